/**
 * What must be done right after a VM exit, before anything else can be lost: machine checks and NMIs that were the reason,
 * blocking by NMI, and events whose delivery the exit cut off (arch/x86/kvm/vmx/vmx.c; SDM vol. 3C, 28.2.4, 28.7.1.1).
 */

import * as V from '@vm/kvm-run/vmx';
import { callGate } from '../host/host-cpu.ts';
import {
  kvmClearExceptionQueue,
  kvmClearInterruptQueue,
  kvmQueueInterrupt,
  kvmRequeueException,
  kvmRequeueExceptionE,
} from '../queue.ts';
import { kvmMakeRequest, KVM_REQ_EVENT } from '../requests.ts';
import type { KvmVcpu } from '../types.ts';
import { DF_VECTOR, MC_VECTOR, NMI_VECTOR } from '../x86-bits.ts';
import { vmxSetNmiMask } from './inject.ts';
import { reportSwitch } from './switch-report.ts';

/** The type and vector of an interruption information, when it is valid. */
const isEvent = (info: number, type: number, vector: number): boolean =>
  (info & (V.INTR_INFO_INTR_TYPE_MASK | V.INTR_INFO_VECTOR_MASK | V.INTR_INFO_VALID_MASK)) ===
  ((type | vector | V.INTR_INFO_VALID_MASK) | 0);

export const isNmi = (info: number): boolean =>
  (info & (V.INTR_INFO_INTR_TYPE_MASK | V.INTR_INFO_VALID_MASK)) === ((V.INTR_TYPE_NMI_INTR | V.INTR_INFO_VALID_MASK) | 0);
export const isMachineCheck = (info: number): boolean => isEvent(info, V.INTR_TYPE_HARD_EXCEPTION, MC_VECTOR);
export const isExceptionN = (info: number, vector: number): boolean => isEvent(info, V.INTR_TYPE_HARD_EXCEPTION, vector);

/**
 * vmx_complete_atomic_exit: machine checks and NMIs belong to the host; its handlers run through the IDT, as if they
 * had come while it ran.
 */
export const vmxCompleteAtomicExit = (vcpu: KvmVcpu): void => {
  const basic = vcpu.exitReason & V.VMX_BASIC_EXIT_REASON_MASK;
  if (basic !== V.EXIT_REASON_EXCEPTION_NMI && basic !== V.EXIT_REASON_MCE_DURING_VMENTRY) return;
  const { processor, cpu } = vcpu;
  if (basic === V.EXIT_REASON_MCE_DURING_VMENTRY || isMachineCheck(vcpu.exitIntrInfo)) {
    if (processor.switchObserver !== null)
      reportSwitch(processor, 'exit', 'vmx_complete_atomic_exit', 'kvm_machine_check', 'IDT', 'host', MC_VECTOR, 0);
    callGate(cpu, MC_VECTOR);
  } else if (isNmi(vcpu.exitIntrInfo)) {
    if (processor.switchObserver !== null)
      reportSwitch(processor, 'exit', 'vmx_complete_atomic_exit', 'INT $2', 'IDT', 'host', NMI_VECTOR, 0);
    callGate(cpu, NMI_VECTOR);
  }
};

/**
 * vmx_recover_nmi_blocking: an exit during the guest's IRET has unblocked NMIs although the IRET will run again; set
 * the blocking back.
 */
export const vmxRecoverNmiBlocking = (vcpu: KvmVcpu): void => {
  if (vcpu.nmiKnownUnmasked) return;
  const { processor } = vcpu;
  const info = vcpu.exitIntrInfo;
  const state = processor.vmread(V.GUEST_INTERRUPTIBILITY_INFO);
  const vectoring = (vcpu.idtVectoringInfo & V.VECTORING_INFO_VALID_MASK) !== 0;
  if (
    (info & V.INTR_INFO_VALID_MASK) !== 0 &&
    (info & V.INTR_INFO_UNBLOCK_NMI) !== 0 &&
    (info & V.INTR_INFO_VECTOR_MASK) !== DF_VECTOR &&
    !vectoring
  ) {
    processor.vmwrite(V.GUEST_INTERRUPTIBILITY_INFO, state | V.GUEST_INTR_STATE_NMI, 0);
    if (processor.switchObserver !== null)
      reportSwitch(processor, 'exit', 'vmx_recover_nmi_blocking', 'GUEST_INTERRUPTIBILITY_INFO', 'vcpu', 'VMCS', state | 8, 0);
  } else vcpu.nmiKnownUnmasked = (state & V.GUEST_INTR_STATE_NMI) === 0;
};

/** __vmx_complete_interrupts: queues again the event that an information field names. */
const completeInterrupts = (vcpu: KvmVcpu, info: number, lengthField: number, errorField: number): void => {
  vcpu.nmiInjected = false;
  kvmClearExceptionQueue(vcpu);
  kvmClearInterruptQueue(vcpu);
  if ((info & V.VECTORING_INFO_VALID_MASK) === 0) return;
  kvmMakeRequest(KVM_REQ_EVENT, vcpu);
  const { processor } = vcpu;
  const vector = info & V.VECTORING_INFO_VECTOR_MASK;
  const type = info & V.VECTORING_INFO_TYPE_MASK;
  if (type === V.INTR_TYPE_SOFT_EXCEPTION || type === V.INTR_TYPE_SOFT_INTR || type === V.INTR_TYPE_PRIV_SW_EXCEPTION)
    vcpu.eventExitInstLen = processor.vmread(lengthField);
  switch (type) {
    case V.INTR_TYPE_NMI_INTR:
      vcpu.nmiInjected = true;
      // The NMI was not delivered: entry will block NMIs again.
      vmxSetNmiMask(vcpu, false);
      break;
    case V.INTR_TYPE_SOFT_EXCEPTION:
    case V.INTR_TYPE_HARD_EXCEPTION:
      if ((info & V.VECTORING_INFO_DELIVER_CODE_MASK) !== 0) kvmRequeueExceptionE(vcpu, vector, processor.vmread(errorField));
      else kvmRequeueException(vcpu, vector);
      break;
    case V.INTR_TYPE_SOFT_INTR:
    case V.INTR_TYPE_EXT_INTR:
      kvmQueueInterrupt(vcpu, vector, type === V.INTR_TYPE_SOFT_INTR);
      break;
    default:
      break;
  }
};

/** vmx_complete_interrupts */
export const vmxCompleteInterrupts = (vcpu: KvmVcpu): void => {
  completeInterrupts(vcpu, vcpu.idtVectoringInfo, V.VM_EXIT_INSTRUCTION_LEN, V.IDT_VECTORING_ERROR_CODE);
  const { processor } = vcpu;
  if (processor.switchObserver !== null && (vcpu.idtVectoringInfo & V.VECTORING_INFO_VALID_MASK) !== 0)
    reportSwitch(processor, 'exit', 'vmx_complete_interrupts', 'IDT_VECTORING_INFO_FIELD', 'VMCS', 'vcpu', vcpu.idtVectoringInfo, 0);
};

/** vmx_cancel_injection: entry did not happen; the event goes back into the queue. */
export const vmxCancelInjection = (vcpu: KvmVcpu): void => {
  const { processor } = vcpu;
  const info = processor.vmread(V.VM_ENTRY_INTR_INFO_FIELD);
  completeInterrupts(vcpu, info, V.VM_ENTRY_INSTRUCTION_LEN, V.VM_ENTRY_EXCEPTION_ERROR_CODE);
  processor.vmwrite(V.VM_ENTRY_INTR_INFO_FIELD, 0, 0);
};
