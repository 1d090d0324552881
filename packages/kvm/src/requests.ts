import type { KvmVcpu } from './types.ts';

/**
 * Requests of a vCPU (include/linux/kvm_host.h, arch/x86/include/asm/kvm_host.h of Linux 6.1, with the kernel's
 * numbers; MMU_RELOAD as older kernels have it). They are bits in the vCPU's own page of host memory, so that any
 * thread may set them; vcpuEnterGuest serves each before it enters the guest.
 */
export const KVM_REQ_TLB_FLUSH = 0;
export const KVM_REQ_VM_DEAD = 1;
export const KVM_REQ_UNBLOCK = 2;
export const KVM_REQ_MMU_RELOAD = 3;
export const KVM_REQ_MIGRATE_TIMER = 8;
export const KVM_REQ_REPORT_TPR_ACCESS = 9;
export const KVM_REQ_TRIPLE_FAULT = 10;
export const KVM_REQ_MMU_SYNC = 11;
export const KVM_REQ_CLOCK_UPDATE = 12;
export const KVM_REQ_LOAD_MMU_PGD = 13;
export const KVM_REQ_EVENT = 14;
export const KVM_REQ_APF_HALT = 15;
export const KVM_REQ_STEAL_UPDATE = 16;
export const KVM_REQ_NMI = 17;
export const KVM_REQ_PMU = 18;
export const KVM_REQ_PMI = 19;
export const KVM_REQ_SMI = 20;
export const KVM_REQ_MASTERCLOCK_UPDATE = 21;
export const KVM_REQ_MCLOCK_INPROGRESS = 22;
export const KVM_REQ_SCAN_IOAPIC = 23;
export const KVM_REQ_GLOBAL_CLOCK_UPDATE = 24;
export const KVM_REQ_APIC_PAGE_RELOAD = 25;
export const KVM_REQ_IOAPIC_EOI_EXIT = 27;
export const KVM_REQ_LOAD_EOI_EXITMAP = 31;
export const KVM_REQ_APICV_UPDATE = 33;
export const KVM_REQ_TLB_FLUSH_CURRENT = 34;
export const KVM_REQ_TLB_FLUSH_GUEST = 35;
export const KVM_REQ_APF_READY = 36;
export const KVM_REQ_MSR_FILTER_CHANGED = 37;
export const KVM_REQ_UPDATE_CPU_DIRTY_LOGGING = 38;
export const KVM_REQ_MMU_FREE_OBSOLETE_ROOTS = 39;

/** kvm_make_request: sets the bit; whoever wants it served soon kicks the vCPU too. */
export const kvmMakeRequest = (request: number, vcpu: KvmVcpu): void => {
  Atomics.or(vcpu.i32, vcpu.requests + (request >> 5), 1 << (request & 31));
};

/** kvm_check_request: takes the bit; true when it was set. */
export const kvmCheckRequest = (request: number, vcpu: KvmVcpu): boolean => {
  const word = vcpu.requests + (request >> 5);
  const bit = 1 << (request & 31);
  if ((vcpu.i32[word]! & bit) === 0) return false;
  return (Atomics.and(vcpu.i32, word, ~bit) & bit) !== 0;
};

export const kvmTestRequest = (request: number, vcpu: KvmVcpu): boolean =>
  (vcpu.i32[vcpu.requests + (request >> 5)]! & (1 << (request & 31))) !== 0;

export const kvmClearRequest = (request: number, vcpu: KvmVcpu): void => {
  Atomics.and(vcpu.i32, vcpu.requests + (request >> 5), ~(1 << (request & 31)));
};

/** kvm_request_pending */
export const kvmRequestPending = (vcpu: KvmVcpu): boolean =>
  (Atomics.load(vcpu.i32, vcpu.requests) | Atomics.load(vcpu.i32, vcpu.requests + 1)) !== 0;
