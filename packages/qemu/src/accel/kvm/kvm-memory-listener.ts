/**
 * What tells KVM of the address spaces (kvm_memory_listener_register): RAM and ROM become memory slots, coalesced ranges
 * and event descriptors their ioctls. A slot's userspace address is an offset in the host memory.
 */

import {
  KVM_IOEVENTFD,
  KVM_IOEVENTFD_FLAG_DATAMATCH,
  KVM_IOEVENTFD_FLAG_DEASSIGN,
  KVM_IOEVENTFD_FLAG_PIO,
  KVM_MEM_READONLY,
  KVM_REGISTER_COALESCED_MMIO,
  KVM_SET_USER_MEMORY_REGION,
  KVM_UNREGISTER_COALESCED_MMIO,
  PAGE_SIZE,
  allocate,
  kvmCoalescedMmioZone,
  kvmIoeventfd,
  kvmUserspaceMemoryRegion,
  view,
} from '@vm/kvm-run';
import type { MemoryListener } from '../../system/address-space.ts';
import type { FlatCoalesced, FlatEventFd, FlatRange } from '../../system/flat-view.ts';
import type { KvmState } from './kvm-all.ts';
import { KvmError, checkIoctl } from './kvm-error.ts';

interface Slot {
  readonly start: number;
  readonly size: number;
}

/** Slots are whole pages: what sticks out is not mapped, and exits (kvm_align_section). */
function aligned(range: FlatRange): Slot | undefined {
  if (range.region.ops !== undefined) return undefined;
  const start = Math.ceil(range.start / PAGE_SIZE) * PAGE_SIZE;
  const end = Math.floor((range.start + range.size) / PAGE_SIZE) * PAGE_SIZE;
  return end > start ? { start, size: end - start } : undefined;
}

export class KvmMemoryListener implements MemoryListener {
  readonly #kvm: KvmState;
  readonly #slots: (Slot | undefined)[] = [];

  constructor(kvm: KvmState) {
    this.#kvm = kvm;
  }

  regionAdd(range: FlatRange): void {
    const slot = aligned(range);
    if (slot === undefined || (range.readonly && !this.#kvm.readonlyMem)) return;
    const free = this.#slots.indexOf(undefined);
    const index = free >= 0 ? free : this.#slots.length;
    if (index >= this.#kvm.memorySlots) throw new KvmError('KVM_SET_USER_MEMORY_REGION', 0, `${index} memory slots are all there are`);
    this.#slots[index] = slot;
    const host = range.region.host + range.offset + (slot.start - range.start);
    this.#set(index, slot.start, slot.size, host, range.readonly ? KVM_MEM_READONLY : 0);
  }

  regionDel(range: FlatRange): void {
    const gone = aligned(range);
    if (gone === undefined) return;
    const index = this.#slots.findIndex((slot) => slot?.start === gone.start && slot.size === gone.size);
    if (index < 0) return;
    this.#slots[index] = undefined;
    this.#set(index, gone.start, 0, 0, 0);
  }

  coalescedIoAdd(range: FlatCoalesced): void {
    if (this.#kvm.coalescedMmio) coalesced(this.#kvm, KVM_REGISTER_COALESCED_MMIO, range, false);
  }

  coalescedIoDel(range: FlatCoalesced): void {
    if (this.#kvm.coalescedMmio) coalesced(this.#kvm, KVM_UNREGISTER_COALESCED_MMIO, range, false);
  }

  eventFdAdd(eventFd: FlatEventFd): void {
    ioeventfd(this.#kvm, eventFd, 0, 0);
  }

  eventFdDel(eventFd: FlatEventFd): void {
    ioeventfd(this.#kvm, eventFd, 0, KVM_IOEVENTFD_FLAG_DEASSIGN);
  }

  #set(index: number, start: number, size: number, host: number, flags: number): void {
    const bytes = allocate(kvmUserspaceMemoryRegion);
    const region = view(kvmUserspaceMemoryRegion, bytes);
    region.slot = index;
    region.flags = flags;
    region.guest_phys_addr = BigInt(start);
    region.memory_size = BigInt(size);
    region.userspace_addr = BigInt(host);
    const at = `guest memory at 0x${start.toString(16)}, ${size} bytes`;
    checkIoctl(KVM_SET_USER_MEMORY_REGION, this.#kvm.kvmVmIoctl(KVM_SET_USER_MEMORY_REGION, bytes), at);
  }
}

/** The same for the port space, which has no memory. */
export function kvmIoListener(kvm: KvmState): MemoryListener {
  const listener: MemoryListener = {
    eventFdAdd: (eventFd) => ioeventfd(kvm, eventFd, KVM_IOEVENTFD_FLAG_PIO, 0),
    eventFdDel: (eventFd) => ioeventfd(kvm, eventFd, KVM_IOEVENTFD_FLAG_PIO, KVM_IOEVENTFD_FLAG_DEASSIGN),
  };
  if (!kvm.coalescedPio) return listener;
  return {
    ...listener,
    coalescedIoAdd: (range) => coalesced(kvm, KVM_REGISTER_COALESCED_MMIO, range, true),
    coalescedIoDel: (range) => coalesced(kvm, KVM_UNREGISTER_COALESCED_MMIO, range, true),
  };
}

function coalesced(kvm: KvmState, code: number, range: FlatCoalesced, pio: boolean): void {
  const bytes = allocate(kvmCoalescedMmioZone);
  const zone = view(kvmCoalescedMmioZone, bytes);
  zone.addr = BigInt(range.address);
  zone.size = range.size;
  zone.pio = pio ? 1 : 0;
  checkIoctl(code, kvm.kvmVmIoctl(code, bytes));
}

function ioeventfd(kvm: KvmState, flat: FlatEventFd, space: number, action: number): void {
  const { size, match, event } = flat.eventFd;
  const bytes = allocate(kvmIoeventfd);
  const request = view(kvmIoeventfd, bytes);
  request.addr = BigInt(flat.address);
  request.len = size;
  request.fd = kvm.descriptorOf(event);
  request.datamatch = match ?? 0n;
  request.flags = space | action | (match === undefined ? 0 : KVM_IOEVENTFD_FLAG_DATAMATCH);
  checkIoctl(KVM_IOEVENTFD, kvm.kvmVmIoctl(KVM_IOEVENTFD, bytes));
}
