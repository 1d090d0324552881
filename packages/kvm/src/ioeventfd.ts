/** KVM_IOEVENTFD (virt/kvm/eventfd.c): writes of the guest that only signal an event, without leaving KVM. */

import {
  EEXIST,
  EINVAL,
  ENOENT,
  ENOSPC,
  KVM_IOEVENTFD_FLAG_DATAMATCH,
  KVM_IOEVENTFD_FLAG_DEASSIGN,
  KVM_IOEVENTFD_FLAG_PIO,
  type EventFd,
  type kvmIoeventfd,
  type View,
} from '@vm/kvm-run';
import type { KvmIoBus, KvmIoDevice } from './io-bus.ts';
import type { Kvm } from './types.ts';

interface Ioeventfd {
  readonly event: EventFd;
  readonly address: number;
  readonly length: number;
  /** null: any data. */
  readonly match: { readonly low: number; readonly high: number } | null;
  readonly buses: readonly KvmIoBus[];
  readonly device: KvmIoDevice;
}

const VALID_FLAGS = 0x1f;

const matches = (match: Ioeventfd['match'], length: number, low: number, high: number): boolean => {
  if (match === null) return true;
  if (length === 8) return low === match.low && high === match.high;
  const mask = length === 4 ? 0xffffffff : (1 << (length * 8)) - 1;
  return ((low ^ match.low) & mask) === 0;
};

/** The ioeventfds of one VM. */
export class KvmIoeventfds {
  readonly #kvm: Kvm;
  #list: Ioeventfd[] = [];

  constructor(kvm: Kvm) {
    this.#kvm = kvm;
  }

  /** KVM_IOEVENTFD: 0 or a negative errno. */
  ioctl(args: View<typeof kvmIoeventfd>, event: EventFd): number {
    const { flags, len } = args;
    const address = Number(args.addr);
    if ((flags & KVM_IOEVENTFD_FLAG_DEASSIGN) !== 0) return this.#deassign(args, event);
    if (len !== 0 && len !== 1 && len !== 2 && len !== 4 && len !== 8) return -EINVAL;
    if (args.addr + BigInt(len) >= 1n << 64n || (flags & ~VALID_FLAGS) !== 0) return -EINVAL;
    // Without a length the data are not looked at.
    if (len === 0 && (flags & KVM_IOEVENTFD_FLAG_DATAMATCH) !== 0) return -EINVAL;
    const match =
      (flags & KVM_IOEVENTFD_FLAG_DATAMATCH) === 0
        ? null
        : { low: Number(args.datamatch & 0xffffffffn), high: Number(args.datamatch >> 32n) };
    return this.#assign(event, address, len, match, this.#buses(flags, len));
  }

  release(): void {
    for (const entry of this.#list) for (const bus of entry.buses) bus.unregister(entry.device);
    this.#list = [];
  }

  #buses(flags: number, length: number): readonly KvmIoBus[] {
    if ((flags & KVM_IOEVENTFD_FLAG_PIO) !== 0) return [this.#kvm.pioBus];
    return length === 0 ? [this.#kvm.mmioBus, this.#kvm.fastMmioBus] : [this.#kvm.mmioBus];
  }

  #assign(event: EventFd, address: number, length: number, match: Ioeventfd['match'], buses: readonly KvmIoBus[]): number {
    // ioeventfd_check_collision
    const collides = this.#list.some(
      (other) =>
        other.buses[0] === buses[0] &&
        other.address === address &&
        (other.length === 0 ||
          length === 0 ||
          (other.length === length &&
            (other.match === null || match === null || (other.match.low === match.low && other.match.high === match.high)))),
    );
    if (collides) return -EEXIST;
    const device: KvmIoDevice = {
      read: () => false,
      write: (_vcpu, at, size, low, high) => {
        if (at !== address || (length !== 0 && size !== length) || !matches(match, size, low, high)) return false;
        event.signal(1);
        return true;
      },
    };
    for (const bus of buses) if (!bus.register(address, length, device)) return -ENOSPC;
    this.#list.push({ event, address, length, match, buses, device });
    return 0;
  }

  #deassign(args: View<typeof kvmIoeventfd>, event: EventFd): number {
    const pio = (args.flags & KVM_IOEVENTFD_FLAG_PIO) !== 0;
    const match = (args.flags & KVM_IOEVENTFD_FLAG_DATAMATCH) !== 0;
    const found = this.#list.find(
      (entry) =>
        entry.event === event &&
        entry.address === Number(args.addr) &&
        entry.length === args.len &&
        (entry.buses[0] === this.#kvm.pioBus) === pio &&
        (entry.match !== null) === match &&
        (entry.match === null ||
          (BigInt(entry.match.high) << 32n) + BigInt(entry.match.low) === args.datamatch),
    );
    if (found === undefined) return -ENOENT;
    for (const bus of found.buses) bus.unregister(found.device);
    this.#list = this.#list.filter((entry) => entry !== found);
    return 0;
  }
}
