/** The VMX-preemption timer as the local APIC's timer (vmx_set_hv_timer). */

import { PIN_BASED_VMX_PREEMPTION_TIMER } from '@vm/kvm-run/vmx';
import type { KvmVcpu } from '../types.ts';

/** vmx_set_hv_timer: -1: it cannot; 0: armed; 1: the deadline is over already. */
export const vmxSetHvTimer = (vcpu: KvmVcpu, hostTsc: number): number => {
  const { vmx } = vcpu.kvm.global;
  if ((vmx.pinBased & PIN_BASED_VMX_PREEMPTION_TIMER) === 0) return -1;
  const now = vcpu.processor.rdtsc();
  // The counter has 32 bits.
  if ((hostTsc - now) / (1 << vmx.preemptionTimerShift) > 0xffffffff) return -1;
  vcpu.hvDeadlineTsc = hostTsc;
  return hostTsc <= now ? 1 : 0;
};

export const vmxCancelHvTimer = (vcpu: KvmVcpu): void => {
  vcpu.hvDeadlineTsc = Infinity;
};
