/**
 * Coalesced I/O (virt/kvm/coalesced_mmio.c): writes to a zone go into a ring that userspace empties at its next exit,
 * struct kvm_coalesced_mmio_ring in the third page of the first vCPU's mapping.
 */

import { EINVAL, ENOSPC, KVM_COALESCED_MMIO_MAX, type kvmCoalescedMmioZone, type View } from '@vm/kvm-run';
import type { KvmIoBus, KvmIoDevice } from './io-bus.ts';
import type { Kvm } from './types.ts';

const ENTRY = 24;
const HEADER = 8;

interface Zone {
  readonly address: number;
  readonly size: number;
  readonly pio: number;
  readonly bus: KvmIoBus;
  readonly device: KvmIoDevice;
}

export class KvmCoalesced {
  readonly #kvm: Kvm;
  #zones: Zone[] = [];

  constructor(kvm: Kvm) {
    this.#kvm = kvm;
  }

  /** KVM_REGISTER_COALESCED_MMIO */
  register(zone: View<typeof kvmCoalescedMmioZone>): number {
    if (zone.pio !== 0 && zone.pio !== 1) return -EINVAL;
    const address = Number(zone.addr);
    const { size, pio } = zone;
    const bus = pio === 1 ? this.#kvm.pioBus : this.#kvm.mmioBus;
    const device: KvmIoDevice = {
      read: () => false,
      write: (_vcpu, at, length, low, high) =>
        at >= address && at + length <= address + size && this.#append(at, length, pio, low, high),
    };
    if (!bus.register(address, size, device)) return -ENOSPC;
    this.#zones.push({ address, size, pio, bus, device });
    return 0;
  }

  /** KVM_UNREGISTER_COALESCED_MMIO: all zones that lie in the given one. */
  unregister(zone: View<typeof kvmCoalescedMmioZone>): number {
    if (zone.pio !== 0 && zone.pio !== 1) return -EINVAL;
    const start = Number(zone.addr);
    const end = start + zone.size;
    this.#zones = this.#zones.filter((entry) => {
      const inside = entry.pio === zone.pio && entry.address >= start && entry.address + entry.size <= end;
      if (inside) entry.bus.unregister(entry.device);
      return !inside;
    });
    return 0;
  }

  /** coalesced_mmio_write: false when the ring is full; the write then goes to userspace by itself. */
  #append(address: number, length: number, pio: number, low: number, high: number): boolean {
    const first = this.#kvm.vcpus[0];
    if (first === undefined) return false;
    const { coalescedRing: ring } = first.run;
    const view = new DataView(ring.buffer, ring.byteOffset, ring.byteLength);
    // Userspace moves `first`, and may have written nonsense.
    const head = view.getUint32(0, true) % KVM_COALESCED_MMIO_MAX;
    const last = view.getUint32(4, true) % KVM_COALESCED_MMIO_MAX;
    const next = (last + 1) % KVM_COALESCED_MMIO_MAX;
    if (next === head) return false;
    const at = HEADER + last * ENTRY;
    view.setBigUint64(at, BigInt(address), true);
    view.setUint32(at + 8, length, true);
    view.setUint32(at + 12, pio, true);
    view.setUint32(at + 16, low, true);
    view.setUint32(at + 20, high, true);
    view.setUint32(4, next, true);
    return true;
  }
}
