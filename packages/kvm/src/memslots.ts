/**
 * Memory slots (virt/kvm/kvm_main.c): which host memory is which guest-physical memory. A userspace address is a host
 * physical address here. Slots are kept sorted by guest frame in an immutable array that is replaced as a whole, so
 * that readers never see half a change.
 */

import {
  EEXIST,
  EINVAL,
  KVM_DIRTY_LOG_INITIALLY_SET,
  KVM_MEM_LOG_DIRTY_PAGES,
  KVM_MEM_READONLY,
  PAGE_SHIFT,
  PAGE_SIZE,
  kvmUserspaceMemoryRegion,
  type View,
} from '@vm/kvm-run';
import type { Kvm, KvmMemorySlot } from './types.ts';

export const KVM_USER_MEM_SLOTS = 32764;
const KVM_MEM_MAX_NR_PAGES = 0x7fffffff;
/** Guest-physical addresses have 52 bits at most. */
const MAX_GFN = 2 ** 40;

const DELETE = 0;
const CREATE = 1;
const MOVE = 2;
const FLAGS_ONLY = 3;

/** What the MMU must do after slots changed; see kvmArchCommitMemoryRegion. */
export interface MemoryRegionChange {
  readonly old: KvmMemorySlot | undefined;
  readonly now: KvmMemorySlot | undefined;
}

/** gfn_to_memslot: by bisection. */
export const gfnToMemslot = (kvm: Kvm, gfn: number): KvmMemorySlot | undefined => {
  const slots = kvm.memslots;
  let low = 0;
  let high = slots.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (slots[middle]!.baseGfn <= gfn) low = middle + 1;
    else high = middle;
  }
  const slot = low > 0 ? slots[low - 1] : undefined;
  return slot !== undefined && gfn < slot.baseGfn + slot.npages ? slot : undefined;
};

/** Host physical address of a guest-physical address, or -1 where there is no memory. */
export const gpaToHva = (kvm: Kvm, gpa: number): number => {
  const slot = gfnToMemslot(kvm, Math.floor(gpa / PAGE_SIZE));
  return slot === undefined ? -1 : slot.userspaceAddr + (gpa - slot.baseGfn * PAGE_SIZE);
};

export const idToMemslot = (kvm: Kvm, id: number): KvmMemorySlot | undefined => kvm.memslots.find((slot) => slot.id === id);

/** mark_page_dirty_in_slot */
export const markPageDirtyInSlot = (slot: KvmMemorySlot, gfn: number): void => {
  slot.dirtyRing?.(slot.id, gfn - slot.baseGfn);
  const bitmap = slot.dirtyBitmap;
  if (bitmap === null) return;
  const bit = gfn - slot.baseGfn;
  bitmap[bit >>> 5] = bitmap[bit >>> 5]! | (1 << (bit & 31));
};

export const markPageDirty = (kvm: Kvm, gfn: number): void => {
  const slot = gfnToMemslot(kvm, gfn);
  if (slot !== undefined) markPageDirtyInSlot(slot, gfn);
};

/** Is there a slot, other than `except`, that holds one of the frames? */
const overlaps = (kvm: Kvm, except: number, start: number, end: number): boolean =>
  kvm.memslots.some((slot) => slot.id !== except && slot.baseGfn < end && slot.baseGfn + slot.npages > start);

/** The argument checks of __kvm_set_memory_region; 0 or a negative errno. */
const checkRegion = (kvm: Kvm, region: View<typeof kvmUserspaceMemoryRegion>): number => {
  const { slot, flags, guest_phys_addr: gpa, memory_size: size, userspace_addr: hva } = region;
  if ((flags & ~(KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY)) !== 0) return -EINVAL;
  const mask = BigInt(PAGE_SIZE - 1);
  if (((size | gpa | hva) & mask) !== 0n) return -EINVAL;
  if (slot >>> 16 !== 0 || (slot & 0xffff) >= KVM_USER_MEM_SLOTS) return -EINVAL;
  if (gpa + size > BigInt(MAX_GFN) << BigInt(PAGE_SHIFT)) return -EINVAL;
  if (size >> BigInt(PAGE_SHIFT) > BigInt(KVM_MEM_MAX_NR_PAGES)) return -EINVAL;
  // access_ok: the memory is userspace's only as far as there is memory.
  if (hva + size > BigInt(kvm.memory.pages) << BigInt(PAGE_SHIFT)) return -EINVAL;
  return 0;
};

/** A bitmap where logging is on and goes to bitmaps; all dirty with KVM_DIRTY_LOG_INITIALLY_SET. */
const newBitmap = (kvm: Kvm, flags: number, npages: number): Uint32Array | null => {
  if ((flags & KVM_MEM_LOG_DIRTY_PAGES) === 0 || kvm.dirtyRingSize !== 0) return null;
  const bitmap = new Uint32Array(Math.ceil(npages / 32));
  if ((kvm.manualDirtyLogProtect & KVM_DIRTY_LOG_INITIALLY_SET) === 0) return bitmap;
  bitmap.fill(0xffffffff);
  if (npages % 32 !== 0) bitmap[bitmap.length - 1] = 2 ** (npages % 32) - 1;
  return bitmap;
};

/** Replaces the slot of this id in the sorted array. */
const install = (kvm: Kvm, id: number, slot: KvmMemorySlot | undefined): void => {
  const slots = kvm.memslots.filter((other) => other.id !== id);
  if (slot !== undefined) {
    slots.push(slot);
    slots.sort((a, b) => a.baseGfn - b.baseGfn);
  }
  kvm.memslots = slots;
  kvm.memslotsGeneration++;
};

const changeOf = (old: KvmMemorySlot | undefined, region: View<typeof kvmUserspaceMemoryRegion>): number => {
  if (region.memory_size === 0n) return old === undefined ? -EINVAL : DELETE;
  if (old === undefined) return CREATE;
  const npages = Number(region.memory_size >> BigInt(PAGE_SHIFT));
  if (
    Number(region.userspace_addr) !== old.userspaceAddr ||
    npages !== old.npages ||
    ((region.flags ^ old.flags) & KVM_MEM_READONLY) !== 0
  )
    return -EINVAL;
  return Number(region.guest_phys_addr >> BigInt(PAGE_SHIFT)) !== old.baseGfn ? MOVE : FLAGS_ONLY;
};

/**
 * __kvm_set_memory_region: creates, moves, changes or deletes a slot. `commit` is told what changed, after it did; `push` takes
 * written pages while the VM has dirty rings.
 */
export const kvmSetMemoryRegion = (
  kvm: Kvm,
  region: View<typeof kvmUserspaceMemoryRegion>,
  commit: (change: MemoryRegionChange) => void,
  push: (slot: number, offset: number) => void = () => {},
): number => {
  const error = checkRegion(kvm, region);
  if (error !== 0) return error;
  const id = region.slot & 0xffff;
  const old = idToMemslot(kvm, id);
  const change = changeOf(old, region);
  if (change < 0) return change;
  if (change === DELETE) {
    install(kvm, id, undefined);
    commit({ old, now: undefined });
    return 0;
  }
  if (change === FLAGS_ONLY && old!.flags === region.flags) return 0;
  const baseGfn = Number(region.guest_phys_addr >> BigInt(PAGE_SHIFT));
  const npages = Number(region.memory_size >> BigInt(PAGE_SHIFT));
  if ((change === CREATE || change === MOVE) && overlaps(kvm, id, baseGfn, baseGfn + npages)) return -EEXIST;
  const keep = change === FLAGS_ONLY && old!.dirtyBitmap !== null && (region.flags & KVM_MEM_LOG_DIRTY_PAGES) !== 0;
  const now: KvmMemorySlot = {
    id,
    asId: 0,
    baseGfn,
    npages,
    userspaceAddr: Number(region.userspace_addr),
    flags: region.flags,
    dirtyBitmap: keep ? old!.dirtyBitmap : newBitmap(kvm, region.flags, npages),
    dirtyRing: (region.flags & KVM_MEM_LOG_DIRTY_PAGES) !== 0 && kvm.dirtyRingSize !== 0 ? push : null,
  };
  install(kvm, id, now);
  commit({ old, now });
  return 0;
};

