/** Exceptions, NMIs, interrupts and windows as reasons of exits (handle_exception_nmi and neighbours of vmx.c). */

import {
  KVM_EXIT_DEBUG,
  KVM_EXIT_EXCEPTION,
  KVM_EXIT_SHUTDOWN,
  KVM_GUESTDBG_SINGLESTEP,
  KVM_GUESTDBG_USE_HW_BP,
  KVM_INTERNAL_ERROR_SIMUL_EX,
} from '@vm/kvm-run';
import * as V from '@vm/kvm-run/vmx';
import { kvmGetRflags, kvmRipRead64 } from '../../cache-regs.ts';
import { handleUd } from '../../emulate-ud.ts';
import { internalError } from '../../internal-error.ts';
import { kvmInjectPageFault, kvmQueueException, kvmQueueExceptionE, kvmQueueExceptionP } from '../../queue.ts';
import { KVM_REQ_EVENT, kvmMakeRequest } from '../../requests.ts';
import { skipEmulatedInstruction } from '../../skip.ts';
import type { KvmVcpu } from '../../types.ts';
import * as B from '../../x86-bits.ts';
import { isExceptionN, isMachineCheck, isNmi } from '../complete.ts';
import { execControlsClearBit } from '../controls.ts';
import { kvmGetCpl, kvmGetLinearRip } from '../segment.ts';

const KVM_EXIT_DATA = 32;

/** To the debugger of userspace: exception, linear RIP, DR6 and DR7. */
const exitDebug = (vcpu: KvmVcpu, vector: number, dr6: number, dr7: number): number => {
  const { run } = vcpu;
  run.exitReason = KVM_EXIT_DEBUG;
  run.view.setUint32(KVM_EXIT_DATA, vector, true);
  run.view.setBigUint64(KVM_EXIT_DATA + 8, kvmGetLinearRip(vcpu, kvmRipRead64(vcpu)), true);
  run.view.setBigUint64(KVM_EXIT_DATA + 16, BigInt(dr6 >>> 0), true);
  run.view.setBigUint64(KVM_EXIT_DATA + 24, BigInt(dr7 >>> 0), true);
  return 0;
};

/** #DB: the debugger's, or back into the guest. */
const handleDebug = (vcpu: KvmVcpu, info: number): number => {
  const { processor } = vcpu;
  const dr6 = processor.vmread(V.EXIT_QUALIFICATION);
  if ((vcpu.guestDebug & (KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW_BP)) !== 0)
    return exitDebug(vcpu, B.DB_VECTOR, dr6 | B.DR6_ACTIVE_LOW, processor.vmread(V.GUEST_DR7));
  // INT1 (ICEBP) is a trap: RIP is still at it.
  if ((info & V.INTR_INFO_INTR_TYPE_MASK) === V.INTR_TYPE_PRIV_SW_EXCEPTION) skipEmulatedInstruction(vcpu);
  else if (
    (kvmGetRflags(vcpu) & B.X86_EFLAGS_TF) !== 0 &&
    (processor.vmread(V.GUEST_INTERRUPTIBILITY_INFO) & (V.GUEST_INTR_STATE_STI | V.GUEST_INTR_STATE_MOV_SS)) !== 0
  ) {
    // VM entry wants a pending single-step to be recorded while STI or MOV SS blocks (SDM vol. 3C, 27.3.1.5).
    const pending = processor.vmread(V.GUEST_PENDING_DBG_EXCEPTIONS);
    processor.vmwrite(V.GUEST_PENDING_DBG_EXCEPTIONS, pending | B.DR6_BS, 0);
  }
  kvmQueueExceptionP(vcpu, B.DB_VECTOR, dr6);
  return 1;
};

/** vmx_guest_inject_ac: did the guest ask for alignment checks by itself? Otherwise it is the host's split-lock check. */
const guestWantsAlignmentCheck = (vcpu: KvmVcpu): boolean =>
  kvmGetCpl(vcpu) === 3 && (vcpu.cr0 & B.X86_CR0_AM) !== 0 && (kvmGetRflags(vcpu) & B.X86_EFLAGS_AC) !== 0;

const exitException = (vcpu: KvmVcpu, vector: number, error: number): number => {
  const { run } = vcpu;
  run.exitReason = KVM_EXIT_EXCEPTION;
  run.view.setUint32(KVM_EXIT_DATA, vector, true);
  run.view.setUint32(KVM_EXIT_DATA + 4, error, true);
  return 0;
};

const handlePageFault = (vcpu: KvmVcpu, error: number): number => {
  const low = vcpu.processor.vmread(V.EXIT_QUALIFICATION);
  kvmInjectPageFault(vcpu, error, low, vcpu.processor.high);
  return 1;
};

/** handle_exception_nmi */
export const handleExceptionNmi = (vcpu: KvmVcpu): number => {
  const info = vcpu.exitIntrInfo;
  // Done already, with interrupts off (vmxCompleteAtomicExit).
  if (isMachineCheck(info) || isNmi(info)) return 1;
  if (isExceptionN(info, B.UD_VECTOR)) return handleUd(vcpu);
  const vector = info & V.INTR_INFO_VECTOR_MASK;
  const { processor } = vcpu;
  const error = (info & V.INTR_INFO_DELIVER_CODE_MASK) !== 0 ? processor.vmread(V.VM_EXIT_INTR_ERROR_CODE) : 0;
  const page = isExceptionN(info, B.PF_VECTOR);
  const own = page || vector === B.DB_VECTOR || vector === B.AC_VECTOR || vector === B.BP_VECTOR;
  if ((vcpu.idtVectoringInfo & V.VECTORING_INFO_VALID_MASK) !== 0 && !own)
    return internalError(vcpu, KVM_INTERNAL_ERROR_SIMUL_EX, [vcpu.idtVectoringInfo >>> 0, info >>> 0, error, vcpu.cpu.index]);
  if (page) return handlePageFault(vcpu, error);
  switch (vector) {
    case B.DB_VECTOR:
      return handleDebug(vcpu, info);
    case B.BP_VECTOR:
      vcpu.eventExitInstLen = processor.vmread(V.VM_EXIT_INSTRUCTION_LEN);
      return exitDebug(vcpu, B.BP_VECTOR, 0, 0);
    case B.AC_VECTOR:
      if (!guestWantsAlignmentCheck(vcpu)) return exitException(vcpu, vector, error);
      kvmQueueExceptionE(vcpu, B.AC_VECTOR, error);
      return 1;
    default:
      return exitException(vcpu, vector, error);
  }
};

/** handle_external_interrupt: its handler has run already (vmxHandleExternalIntr). */
export const handleExternalInterrupt = (_vcpu: KvmVcpu): number => 1;

/** handle_triple_fault */
export const handleTripleFault = (vcpu: KvmVcpu): number => {
  vcpu.run.exitReason = KVM_EXIT_SHUTDOWN;
  vcpu.mmioNeeded = false;
  return 0;
};

/** handle_nmi_window */
export const handleNmiWindow = (vcpu: KvmVcpu): number => {
  execControlsClearBit(vcpu, V.CPU_BASED_NMI_WINDOW_EXITING);
  kvmMakeRequest(KVM_REQ_EVENT, vcpu);
  return 1;
};

/** handle_interrupt_window */
export const handleInterruptWindow = (vcpu: KvmVcpu): number => {
  execControlsClearBit(vcpu, V.CPU_BASED_INTR_WINDOW_EXITING);
  kvmMakeRequest(KVM_REQ_EVENT, vcpu);
  return 1;
};

/** handle_machine_check: done already (vmxCompleteAtomicExit). */
export const handleMachineCheck = (_vcpu: KvmVcpu): number => 1;

/** kvm_handle_invalid_op: an instruction that the guest does not have. */
export const handleInvalidOp = (vcpu: KvmVcpu): number => {
  kvmQueueException(vcpu, B.UD_VECTOR);
  return 1;
};
