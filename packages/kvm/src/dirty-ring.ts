/**
 * The dirty ring (virt/kvm/dirty_ring.c): a vCPU's own list of the pages that it wrote, struct kvm_dirty_gfn by struct kvm_dirty_gfn in memory
 * that userspace maps. Userspace collects entries in order and marks them; KVM_RESET_DIRTY_RINGS takes the marked ones
 * back and protects their pages anew.
 */

import { E2BIG, EINVAL, KVM_DIRTY_GFN_F_DIRTY, KVM_DIRTY_GFN_F_RESET, PAGE_SIZE, kvmDirtyGfn } from '@vm/kvm-run';
import { idToMemslot } from './memslots.ts';
import { kvmArchMmuEnableLogDirtyPtMasked, kvmFlushRemoteTlbs } from './mmu/mmu.ts';
import type { Kvm, KvmDirtyRing, KvmVcpu } from './types.ts';

const KVM_DIRTY_RING_MAX_ENTRIES = 65536;
const KVM_DIRTY_RING_RSVD_ENTRIES = 64;
/** Entries that a full log of the processor's needs at once (kvm_cpu_dirty_log_size). */
const CPU_DIRTY_LOG_SIZE = 512;
const ENTRY = kvmDirtyGfn.size;

/** KVM_CAP_DIRTY_LOG_RING: the largest ring, in bytes. */
export const KVM_DIRTY_RING_MAX_BYTES: number = KVM_DIRTY_RING_MAX_ENTRIES * ENTRY;

/** kvm_dirty_ring_get_rsvd_entries */
const reserved = (kvm: Kvm): number => KVM_DIRTY_RING_RSVD_ENTRIES + (kvm.global.vmx.pml ? CPU_DIRTY_LOG_SIZE : 0);

/** kvm_vm_ioctl_enable_dirty_log_ring: once, before there are vCPUs. */
export const kvmVmIoctlEnableDirtyLogRing = (kvm: Kvm, size: number): number => {
  if (size === 0 || (size & (size - 1)) !== 0) return -EINVAL;
  if (size < reserved(kvm) * ENTRY || size < PAGE_SIZE) return -EINVAL;
  if (size > KVM_DIRTY_RING_MAX_BYTES) return -E2BIG;
  if (kvm.dirtyRingSize !== 0 || kvm.vcpus.length > 0) return -EINVAL;
  kvm.dirtyRingSize = size;
  return 0;
};

/** kvm_dirty_ring_alloc. Throws OutOfHostMemory. */
export const kvmDirtyRingAlloc = (kvm: Kvm): KvmDirtyRing | null => {
  if (kvm.dirtyRingSize === 0) return null;
  const address = kvm.memory.allocPages(kvm.dirtyRingSize / PAGE_SIZE);
  const size = kvm.dirtyRingSize / ENTRY;
  return { address, size, softLimit: size - reserved(kvm), dirtyIndex: 0, resetIndex: 0 };
};

export const kvmDirtyRingFree = (vcpu: KvmVcpu): void => {
  if (vcpu.dirtyRing !== null) vcpu.memory.free(vcpu.dirtyRing.address, vcpu.kvm.dirtyRingSize / PAGE_SIZE);
};

const used = (ring: KvmDirtyRing): number => (ring.dirtyIndex - ring.resetIndex) >>> 0;

/** kvm_dirty_ring_soft_full: userspace must collect before the vCPU goes on. */
export const kvmDirtyRingSoftFull = (ring: KvmDirtyRing): boolean => used(ring) >= ring.softLimit;

/** kvm_dirty_ring_push, to the ring of the vCPU that ran last. */
export const kvmDirtyRingPush = (kvm: Kvm, slot: number, offset: number): void => {
  const ring = (kvm.runningVcpu ?? kvm.vcpus[0])?.dirtyRing ?? null;
  if (ring === null || used(ring) >= ring.size) return;
  const at = (ring.address + (ring.dirtyIndex & (ring.size - 1)) * ENTRY) >>> 2;
  const { u32 } = kvm.memory;
  u32[at + 1] = slot;
  u32[at + 2] = offset;
  u32[at + 3] = offset / 0x1_0000_0000;
  Atomics.store(u32, at, KVM_DIRTY_GFN_F_DIRTY);
  ring.dirtyIndex = (ring.dirtyIndex + 1) >>> 0;
};

/** kvm_dirty_ring_reset: how many entries userspace had marked. What it wrote into them is not believed. */
const reset = (kvm: Kvm, ring: KvmDirtyRing): number => {
  const { u32 } = kvm.memory;
  let count = 0;
  for (; count < ring.size; count++) {
    const at = (ring.address + (ring.resetIndex & (ring.size - 1)) * ENTRY) >>> 2;
    if ((Atomics.load(u32, at) & KVM_DIRTY_GFN_F_RESET) === 0) break;
    const slot = u32[at + 1]! >>> 16 === 0 ? idToMemslot(kvm, u32[at + 1]!) : undefined;
    const offset = u32[at + 2]! + u32[at + 3]! * 0x1_0000_0000;
    if (slot !== undefined && offset < slot.npages)
      kvmArchMmuEnableLogDirtyPtMasked(kvm, slot, Math.floor(offset / 32), 1 << (offset % 32));
    Atomics.store(u32, at, 0);
    ring.resetIndex = (ring.resetIndex + 1) >>> 0;
  }
  return count;
};

/** KVM_RESET_DIRTY_RINGS: entries taken back in all rings. */
export const kvmVmIoctlResetDirtyPages = (kvm: Kvm): number => {
  if (kvm.dirtyRingSize === 0) return -EINVAL;
  let cleared = 0;
  for (const vcpu of kvm.vcpus) if (vcpu.dirtyRing !== null) cleared += reset(kvm, vcpu.dirtyRing);
  if (cleared > 0) kvmFlushRemoteTlbs(kvm);
  return cleared;
};
