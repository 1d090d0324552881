import type { ApicVcpu } from './irq/types.ts';

/**
 * The in-kernel I/O buses (virt/kvm/kvm_main.c, kvm_io_bus_*): port numbers or guest-physical addresses to devices that
 * KVM serves itself. A bus is a sorted array of ranges, searched by bisection; several devices may share one address
 * (ioeventfds told apart by their data), and each may decline an access, which then goes to the next and in the end to
 * userspace.
 */

/** Number of ranges one bus takes (NR_IOBUS_DEVS). */
export const NR_IOBUS_DEVS = 1000;

/**
 * A device on a bus. Values travel as two unsigned 32-bit halves, so that an access allocates nothing. Returning false
 * declines the access.
 */
export interface KvmIoDevice {
  /** Puts what is read into `result[0]` (low) and `result[1]` (high); both are zero before the call. */
  read(vcpu: ApicVcpu | null, address: number, length: number, result: Uint32Array): boolean;
  write(vcpu: ApicVcpu | null, address: number, length: number, low: number, high: number): boolean;
}

interface Range {
  readonly address: number;
  readonly length: number;
  readonly device: KvmIoDevice;
}

/**
 * Does an access [address, +length) belong to the range? A range of length 0 takes any length at its address
 * (wildcard ioeventfds); an access of length 0 asks for the address alone.
 */
function compare(range: Range, address: number, length: number): number {
  if (address < range.address) return -1;
  const end = range.length === 0 ? address : address + length;
  if (range.length === 0 ? address > range.address : end > range.address + range.length) return 1;
  return 0;
}

export class KvmIoBus {
  readonly #ranges: Range[] = [];
  readonly #ends: number[] = [];
  /** The halves of the value that the last successful read gave. */
  readonly result: Uint32Array = new Uint32Array(2);

  get devices(): number {
    return this.#ranges.length;
  }

  /** kvm_io_bus_register_dev: false when the bus is full. */
  register(address: number, length: number, device: KvmIoDevice): boolean {
    if (this.#ranges.length >= NR_IOBUS_DEVS) return false;
    let at = 0;
    while (at < this.#ranges.length && this.#ranges[at]!.address <= address) at++;
    this.#ranges.splice(at, 0, { address, length, device });
    this.#sort();
    return true;
  }

  /** kvm_io_bus_unregister_dev: takes all ranges of the device off the bus. */
  unregister(device: KvmIoDevice): boolean {
    let found = false;
    for (let i = this.#ranges.length - 1; i >= 0; i--) {
      if (this.#ranges[i]!.device !== device) continue;
      this.#ranges.splice(i, 1);
      found = true;
    }
    this.#sort();
    return found;
  }

  /** kvm_io_bus_write: true when a device took the access. */
  write(vcpu: ApicVcpu | null, address: number, length: number, low: number, high: number): boolean {
    for (let i = this.#first(address); i < this.#ranges.length; i++) {
      const range = this.#ranges[i]!;
      if (range.address > address) return false;
      if (compare(range, address, length) === 0 && range.device.write(vcpu, address, length, low >>> 0, high >>> 0))
        return true;
    }
    return false;
  }

  /** kvm_io_bus_read: true when a device took the access; the value is in `result`. */
  read(vcpu: ApicVcpu | null, address: number, length: number): boolean {
    for (let i = this.#first(address); i < this.#ranges.length; i++) {
      const range = this.#ranges[i]!;
      if (range.address > address) return false;
      if (compare(range, address, length) !== 0) continue;
      this.result[0] = 0;
      this.result[1] = 0;
      if (range.device.read(vcpu, address, length, this.result)) return true;
    }
    return false;
  }

  /** The device of an exact address, if there is one (kvm_io_bus_get_dev). */
  find(address: number): KvmIoDevice | undefined {
    const range = this.#ranges[this.#first(address)];
    return range !== undefined && compare(range, address, 0) === 0 ? range.device : undefined;
  }

  /** Index of the first range that may hold the address; ranges may nest (a coalesced zone around an ioeventfd). */
  #first(address: number): number {
    const ranges = this.#ranges;
    let low = 0;
    let high = ranges.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (ranges[middle]!.address <= address) low = middle + 1;
      else high = middle;
    }
    while (low > 0 && this.#ends[low - 1]! > address) low--;
    return low;
  }

  /** For each range the greatest end of all ranges up to it. */
  #sort(): void {
    let end = 0;
    this.#ends.length = 0;
    for (const range of this.#ranges) {
      end = Math.max(end, range.address + Math.max(range.length, 1));
      this.#ends.push(end);
    }
  }
}
