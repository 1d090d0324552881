/** KVM_X86_SET_MSR_FILTER: which MSRs KVM serves itself (kvm_msr_allowed). */

import {
  EFAULT,
  EINVAL,
  KVM_MSR_FILTER_DEFAULT_DENY,
  KVM_MSR_FILTER_MAX_BITMAP_SIZE,
  KVM_MSR_FILTER_READ,
  KVM_MSR_FILTER_WRITE,
  PAGE_SIZE,
  kvmMsrFilter,
  type View,
} from '@vm/kvm-run';
import { KVM_REQ_MSR_FILTER_CHANGED, kvmMakeRequest } from './requests.ts';
import type { Kvm, MsrFilterRange } from './types.ts';

/** kvm_msr_allowed; x2APIC's MSRs cannot be filtered. */
export const kvmMsrAllowed = (kvm: Kvm, index: number, type: number): boolean => {
  if (index >= 0x800 && index <= 0x8ff) return true;
  for (const range of kvm.msrFilter) {
    if (index < range.base || index >= range.base + range.nmsrs || (range.flags & type) === 0) continue;
    const bit = index - range.base;
    return ((range.bitmap[bit >> 3]! >> (bit & 7)) & 1) !== 0;
  }
  return kvm.msrFilterDefaultAllow;
};

/** kvm_vm_ioctl_set_msr_filter */
export const kvmVmIoctlSetMsrFilter = (kvm: Kvm, filter: View<typeof kvmMsrFilter>): number => {
  if ((filter.flags & ~KVM_MSR_FILTER_DEFAULT_DENY) !== 0) return -EINVAL;
  const ranges: MsrFilterRange[] = [];
  let empty = true;
  for (const range of filter.ranges) empty &&= range.nmsrs === 0;
  // Denying all without a single range is refused: it would also deny what the VM needs to start.
  if (empty && (filter.flags & KVM_MSR_FILTER_DEFAULT_DENY) !== 0) return -EINVAL;
  for (const range of filter.ranges) {
    if (range.nmsrs === 0) continue;
    if ((range.flags & ~(KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE)) !== 0 || range.flags === 0) return -EINVAL;
    const size = Math.ceil(range.nmsrs / 64) * 8;
    if (size > KVM_MSR_FILTER_MAX_BITMAP_SIZE) return -EINVAL;
    const address = Number(range.bitmap);
    if (address + size > kvm.memory.pages * PAGE_SIZE) return -EFAULT;
    ranges.push({ flags: range.flags, base: range.base, nmsrs: range.nmsrs, bitmap: kvm.memory.u8.slice(address, address + size) });
  }
  kvm.msrFilterDefaultAllow = (filter.flags & KVM_MSR_FILTER_DEFAULT_DENY) === 0;
  kvm.msrFilter = ranges;
  for (const vcpu of kvm.vcpus) kvmMakeRequest(KVM_REQ_MSR_FILTER_CHANGED, vcpu);
  return 0;
};
