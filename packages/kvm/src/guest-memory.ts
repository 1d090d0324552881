/**
 * Guest-physical memory as KVM itself reads and writes it (kvm_read_guest and relatives). An access may cross slots.
 * Writes mark pages dirty and go through the host memory's write path, so that processors drop translated code.
 */

import { EFAULT, KVM_MEM_READONLY, PAGE_SIZE } from '@vm/kvm-run';
import { gfnToMemslot, markPageDirtyInSlot } from './memslots.ts';
import type { Kvm } from './types.ts';

/** Bytes from `gpa` on that lie in one slot, at most `length`. */
const contiguous = (kvm: Kvm, gpa: number, length: number): number => {
  const slot = gfnToMemslot(kvm, Math.floor(gpa / PAGE_SIZE));
  return slot === undefined ? 0 : Math.min(length, (slot.baseGfn + slot.npages) * PAGE_SIZE - gpa);
};

/** kvm_read_guest: 0, or -EFAULT where there is no memory. */
export const kvmReadGuest = (kvm: Kvm, gpa: number, into: Uint8Array): number => {
  let done = 0;
  while (done < into.length) {
    const chunk = contiguous(kvm, gpa + done, into.length - done);
    if (chunk === 0) return -EFAULT;
    const slot = gfnToMemslot(kvm, Math.floor((gpa + done) / PAGE_SIZE))!;
    const from = slot.userspaceAddr + (gpa + done - slot.baseGfn * PAGE_SIZE);
    into.set(kvm.memory.u8.subarray(from, from + chunk), done);
    done += chunk;
  }
  return 0;
};

/** kvm_write_guest: 0, or -EFAULT where there is no memory, or only readable memory. */
export const kvmWriteGuest = (kvm: Kvm, gpa: number, bytes: Uint8Array): number => {
  let done = 0;
  while (done < bytes.length) {
    const chunk = contiguous(kvm, gpa + done, bytes.length - done);
    if (chunk === 0) return -EFAULT;
    const slot = gfnToMemslot(kvm, Math.floor((gpa + done) / PAGE_SIZE))!;
    if ((slot.flags & KVM_MEM_READONLY) !== 0) return -EFAULT;
    const to = slot.userspaceAddr + (gpa + done - slot.baseGfn * PAGE_SIZE);
    kvm.memory.write(to, bytes.subarray(done, done + chunk));
    const last = Math.floor((gpa + done + chunk - 1) / PAGE_SIZE);
    for (let gfn = Math.floor((gpa + done) / PAGE_SIZE); gfn <= last; gfn++) markPageDirtyInSlot(slot, gfn);
    done += chunk;
  }
  return 0;
};

/**
 * Host address of `length` bytes of guest memory that KVM may write, or -1: no memory there, not writable, or not in
 * one slot. The frames are marked dirty; the caller tells the host memory what it wrote.
 */
export const kvmMapGuest = (kvm: Kvm, gpa: number, length: number): number => {
  const gfn = Math.floor(gpa / PAGE_SIZE);
  const slot = gfnToMemslot(kvm, gfn);
  if (slot === undefined || (slot.flags & KVM_MEM_READONLY) !== 0) return -1;
  if (contiguous(kvm, gpa, length) < length) return -1;
  for (let at = gfn; at <= Math.floor((gpa + length - 1) / PAGE_SIZE); at++) markPageDirtyInSlot(slot, at);
  return slot.userspaceAddr + (gpa - slot.baseGfn * PAGE_SIZE);
};
