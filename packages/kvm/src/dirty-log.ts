/** KVM_GET_DIRTY_LOG and KVM_CLEAR_DIRTY_LOG (kvm_get_dirty_log_protect, kvm_clear_dirty_log_protect). */

import { EFAULT, EINVAL, ENOENT, ENXIO, PAGE_SIZE, type kvmClearDirtyLog, type kvmDirtyLog, type View } from '@vm/kvm-run';
import { idToMemslot } from './memslots.ts';
import { kvmArchMmuEnableLogDirtyPtMasked, kvmFlushRemoteTlbs } from './mmu/mmu.ts';
import type { Kvm, KvmMemorySlot } from './types.ts';
import { vmxFlushPmlBuffer } from './vmx/pml.ts';
import { vmxVcpuLoad } from './vmx/vcpu-setup.ts';

const slotOf = (kvm: Kvm, slot: number): KvmMemorySlot | number => {
  // kvm_use_dirty_bitmap: a VM with rings has no bitmaps.
  if (kvm.dirtyRingSize !== 0) return -ENXIO;
  if (slot >>> 16 !== 0) return -EINVAL;
  const found = idToMemslot(kvm, slot & 0xffff);
  return found === undefined || found.dirtyBitmap === null ? -ENOENT : found;
};

/** kvm_arch_sync_dirty_log: what the processors have logged and nobody has read yet. */
const syncDirtyLog = (kvm: Kvm): void => {
  for (const vcpu of kvm.vcpus) {
    if (vcpu.pmlAddress === 0) continue;
    vmxVcpuLoad(vcpu);
    vmxFlushPmlBuffer(vcpu);
  }
};

const inMemory = (kvm: Kvm, address: bigint, bytes: number): boolean =>
  address + BigInt(bytes) <= BigInt(kvm.memory.pages) * BigInt(PAGE_SIZE);

/** The bitmap goes to `dirty_bitmap`, an address of userspace's memory, in whole 64-bit words. */
export const kvmVmIoctlGetDirtyLog = (kvm: Kvm, log: View<typeof kvmDirtyLog>): number => {
  const slot = slotOf(kvm, log.slot);
  if (typeof slot === 'number') return slot;
  const bitmap = slot.dirtyBitmap!;
  const bytes = Math.ceil(slot.npages / 64) * 8;
  if (!inMemory(kvm, log.dirty_bitmap, bytes)) return -EFAULT;
  syncDirtyLog(kvm);
  const to = Number(log.dirty_bitmap);
  kvm.memory.fill(to, bytes, 0);
  kvm.memory.write(to, new Uint8Array(bitmap.buffer, bitmap.byteOffset, bitmap.byteLength));
  // With manual protection userspace clears what it has copied itself.
  if (kvm.manualDirtyLogProtect !== 0) return 0;
  let flush = false;
  for (let word = 0; word < bitmap.length; word++) {
    const mask = bitmap[word]!;
    if (mask === 0) continue;
    bitmap[word] = 0;
    kvmArchMmuEnableLogDirtyPtMasked(kvm, slot, word, mask);
    flush = true;
  }
  if (flush) kvmFlushRemoteTlbs(kvm);
  return 0;
};

/** Clears the bits of a range that are set in `dirty_bitmap`. */
export const kvmVmIoctlClearDirtyLog = (kvm: Kvm, log: View<typeof kvmClearDirtyLog>): number => {
  const slot = slotOf(kvm, log.slot);
  if (slot === -ENXIO) return slot;
  if ((log.first_page & 63n) !== 0n) return -EINVAL;
  if (typeof slot === 'number') return slot;
  const first = Number(log.first_page);
  const count = log.num_pages;
  if (first > slot.npages || count > slot.npages - first) return -EINVAL;
  if (count < slot.npages - first && (count & 63) !== 0) return -EINVAL;
  const bytes = Math.ceil(count / 64) * 8;
  if (!inMemory(kvm, log.dirty_bitmap, bytes)) return -EFAULT;
  syncDirtyLog(kvm);
  const bitmap = slot.dirtyBitmap!;
  let flush = false;
  for (let i = 0; i < bytes / 4; i++) {
    const word = first / 32 + i;
    if (word >= bitmap.length) break;
    const mask = kvm.memory.view.getUint32(Number(log.dirty_bitmap) + i * 4, true) & bitmap[word]!;
    if (mask === 0) continue;
    bitmap[word] = bitmap[word]! & ~mask;
    kvmArchMmuEnableLogDirtyPtMasked(kvm, slot, word, mask);
    flush = true;
  }
  if (flush) kvmFlushRemoteTlbs(kvm);
  return 0;
};
