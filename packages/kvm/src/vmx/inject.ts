/**
 * Events on their way into the guest: the VM-entry interruption field, interrupt and NMI windows, the interrupt shadow
 * (vmx_inject_irq and relatives of arch/x86/kvm/vmx/vmx.c; SDM vol. 3C, 25.8.3 and 27.6).
 */

import * as V from '@vm/kvm-run/vmx';
import { KVM_X86_SHADOW_INT_MOV_SS, KVM_X86_SHADOW_INT_STI } from '@vm/kvm-run';
import { kvmGetRflags } from '../cache-regs.ts';
import type { KvmVcpu } from '../types.ts';
import { BP_VECTOR, OF_VECTOR, X86_EFLAGS_IF } from '../x86-bits.ts';
import { execControlsSetBit } from './controls.ts';

/** vmx_get_interrupt_shadow: KVM_X86_SHADOW_INT_*. */
export const vmxGetInterruptShadow = (vcpu: KvmVcpu): number => {
  const state = vcpu.processor.vmread(V.GUEST_INTERRUPTIBILITY_INFO);
  return (
    ((state & V.GUEST_INTR_STATE_STI) !== 0 ? KVM_X86_SHADOW_INT_STI : 0) |
    ((state & V.GUEST_INTR_STATE_MOV_SS) !== 0 ? KVM_X86_SHADOW_INT_MOV_SS : 0)
  );
};

export const vmxSetInterruptShadow = (vcpu: KvmVcpu, mask: number): void => {
  const old = vcpu.processor.vmread(V.GUEST_INTERRUPTIBILITY_INFO);
  let state = old & ~(V.GUEST_INTR_STATE_STI | V.GUEST_INTR_STATE_MOV_SS);
  if ((mask & KVM_X86_SHADOW_INT_MOV_SS) !== 0) state |= V.GUEST_INTR_STATE_MOV_SS;
  else if ((mask & KVM_X86_SHADOW_INT_STI) !== 0) state |= V.GUEST_INTR_STATE_STI;
  if (state !== old) vcpu.processor.vmwrite(V.GUEST_INTERRUPTIBILITY_INFO, state, 0);
};

/** vmx_interrupt_blocked */
export const vmxInterruptBlocked = (vcpu: KvmVcpu): boolean =>
  (kvmGetRflags(vcpu) & X86_EFLAGS_IF) === 0 ||
  (vcpu.processor.vmread(V.GUEST_INTERRUPTIBILITY_INFO) & (V.GUEST_INTR_STATE_STI | V.GUEST_INTR_STATE_MOV_SS)) !== 0;

/** vmx_nmi_blocked */
export const vmxNmiBlocked = (vcpu: KvmVcpu): boolean =>
  (vcpu.processor.vmread(V.GUEST_INTERRUPTIBILITY_INFO) &
    (V.GUEST_INTR_STATE_MOV_SS | V.GUEST_INTR_STATE_STI | V.GUEST_INTR_STATE_NMI)) !==
  0;

export const vmxGetNmiMask = (vcpu: KvmVcpu): boolean =>
  (vcpu.processor.vmread(V.GUEST_INTERRUPTIBILITY_INFO) & V.GUEST_INTR_STATE_NMI) !== 0;

export const vmxSetNmiMask = (vcpu: KvmVcpu, masked: boolean): void => {
  const old = vcpu.processor.vmread(V.GUEST_INTERRUPTIBILITY_INFO);
  const state = masked ? old | V.GUEST_INTR_STATE_NMI : old & ~V.GUEST_INTR_STATE_NMI;
  if (state !== old) vcpu.processor.vmwrite(V.GUEST_INTERRUPTIBILITY_INFO, state, 0);
};

/** vmx_inject_exception: the exception that is queued as injected. */
export const vmxInjectException = (vcpu: KvmVcpu): void => {
  const { vector, hasErrorCode, errorCode } = vcpu.exception;
  const { processor } = vcpu;
  let info = vector | V.INTR_INFO_VALID_MASK;
  if (hasErrorCode) {
    processor.vmwrite(V.VM_ENTRY_EXCEPTION_ERROR_CODE, errorCode, 0);
    info |= V.INTR_INFO_DELIVER_CODE_MASK;
  }
  // INT3 and INTO are software exceptions (kvm_exception_is_soft): entry pushes RIP plus their length.
  if (vector === BP_VECTOR || vector === OF_VECTOR) {
    processor.vmwrite(V.VM_ENTRY_INSTRUCTION_LEN, vcpu.eventExitInstLen, 0);
    info |= V.INTR_TYPE_SOFT_EXCEPTION;
  } else info |= V.INTR_TYPE_HARD_EXCEPTION;
  processor.vmwrite(V.VM_ENTRY_INTR_INFO_FIELD, info >>> 0, 0);
};

/** vmx_inject_irq */
export const vmxInjectIrq = (vcpu: KvmVcpu, reinjected: boolean): void => {
  const { processor, tracer } = vcpu;
  if (tracer !== null)
    tracer.event('kvm_inj_virq', vcpu.vcpuId, vcpu.interruptNr, Number(vcpu.interruptSoft), Number(reinjected));
  let info = vcpu.interruptNr | V.INTR_INFO_VALID_MASK;
  if (vcpu.interruptSoft) {
    info |= V.INTR_TYPE_SOFT_INTR;
    processor.vmwrite(V.VM_ENTRY_INSTRUCTION_LEN, vcpu.eventExitInstLen, 0);
  } else info |= V.INTR_TYPE_EXT_INTR;
  processor.vmwrite(V.VM_ENTRY_INTR_INFO_FIELD, info >>> 0, 0);
};

/** vmx_inject_nmi */
export const vmxInjectNmi = (vcpu: KvmVcpu): void => {
  const { processor, tracer } = vcpu;
  if (tracer !== null) tracer.event('kvm_inj_nmi', vcpu.vcpuId);
  processor.vmwrite(V.VM_ENTRY_INTR_INFO_FIELD, (V.INTR_TYPE_NMI_INTR | V.INTR_INFO_VALID_MASK | 2) >>> 0, 0);
};

/** vmx_enable_irq_window */
export const vmxEnableIrqWindow = (vcpu: KvmVcpu): void => execControlsSetBit(vcpu, V.CPU_BASED_INTR_WINDOW_EXITING);

/** vmx_enable_nmi_window: blocking by STI ends with an interrupt window, which KVM gets first. */
export const vmxEnableNmiWindow = (vcpu: KvmVcpu): void => {
  const sti = (vcpu.processor.vmread(V.GUEST_INTERRUPTIBILITY_INFO) & V.GUEST_INTR_STATE_STI) !== 0;
  execControlsSetBit(vcpu, sti ? V.CPU_BASED_INTR_WINDOW_EXITING : V.CPU_BASED_NMI_WINDOW_EXITING);
};

