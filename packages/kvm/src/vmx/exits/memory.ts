/** Guest-physical addresses that EPT does not let through (handle_ept_violation, handle_ept_misconfig, handle_pml_full). */

import * as V from '@vm/kvm-run/vmx';
import { kvmRipRead64 } from '../../cache-regs.ts';
import { EMULTYPE_PF, x86EmulateInstruction } from '../../emulate/emulate-instruction.ts';
import { kvmTdpPageFault, RET_PF_EMULATE } from '../../mmu/mmu.ts';
import { kvmSkipEmulatedInstruction } from '../../skip.ts';
import type { KvmVcpu } from '../../types.ts';
import { PFERR_FETCH_MASK, PFERR_PRESENT_MASK, PFERR_RSVD_MASK, PFERR_USER_MASK, PFERR_WRITE_MASK } from '../../x86-bits.ts';

const TWO_32 = 0x1_0000_0000;

/** The guest-physical address of the exit, a double. */
export const guestPhysicalAddress = (vcpu: KvmVcpu): number => {
  const low = vcpu.processor.vmread(V.GUEST_PHYSICAL_ADDRESS);
  return vcpu.processor.high * TWO_32 + low;
};

/** kvm_mmu_page_fault */
const kvmMmuPageFault = (vcpu: KvmVcpu, gpa: number, errorCode: number): number => {
  const result = kvmTdpPageFault(vcpu, gpa, errorCode);
  if (result < 0) return result;
  return result === RET_PF_EMULATE ? x86EmulateInstruction(vcpu, gpa, EMULTYPE_PF) : 1;
};

/** The error code of a page fault that tells the same (handle_ept_violation). */
const errorCodeOf = (qualification: number): number => {
  let code = 0;
  if ((qualification & V.EPT_VIOLATION_ACC_READ) !== 0) code |= PFERR_USER_MASK;
  if ((qualification & V.EPT_VIOLATION_ACC_WRITE) !== 0) code |= PFERR_WRITE_MASK;
  if ((qualification & V.EPT_VIOLATION_ACC_INSTR) !== 0) code |= PFERR_FETCH_MASK;
  const present = V.EPT_VIOLATION_PROT_READ | V.EPT_VIOLATION_PROT_WRITE | V.EPT_VIOLATION_PROT_EXEC;
  if ((qualification & present) !== 0) code |= PFERR_PRESENT_MASK;
  return code;
};

/** handle_ept_violation */
export const handleEptViolation = (vcpu: KvmVcpu): number => {
  const { processor } = vcpu;
  const qualification = processor.vmread(V.EXIT_QUALIFICATION);
  // The violation came in an IRET that had unblocked NMIs already (SDM vol. 3C, 28.2.3).
  const vectoring = (vcpu.idtVectoringInfo & V.VECTORING_INFO_VALID_MASK) !== 0;
  if (!vectoring && (qualification & V.EPT_VIOLATION_NMI_UNBLOCK) !== 0) {
    const state = processor.vmread(V.GUEST_INTERRUPTIBILITY_INFO);
    processor.vmwrite(V.GUEST_INTERRUPTIBILITY_INFO, state | V.GUEST_INTR_STATE_NMI, 0);
    vcpu.nmiKnownUnmasked = false;
  }
  const gpa = guestPhysicalAddress(vcpu);
  const code = errorCodeOf(qualification);
  if (vcpu.tracer !== null) vcpu.tracer.event('kvm_page_fault', vcpu.vcpuId, kvmRipRead64(vcpu), gpa, code);
  return kvmMmuPageFault(vcpu, gpa, code);
};

/** handle_ept_misconfig: how EPT marks device memory. ioeventfds that want no data are served without decoding. */
export const handleEptMisconfig = (vcpu: KvmVcpu): number => {
  const gpa = guestPhysicalAddress(vcpu);
  if (vcpu.kvm.fastMmioBus.devices > 0 && vcpu.kvm.fastMmioBus.write(vcpu, gpa, 0, 0, 0)) {
    if (vcpu.tracer !== null) vcpu.tracer.event('kvm_fast_mmio', vcpu.vcpuId, gpa);
    return kvmSkipEmulatedInstruction(vcpu);
  }
  return kvmMmuPageFault(vcpu, gpa, PFERR_RSVD_MASK);
};

/** handle_pml_full: the log was emptied before the handlers ran; only blocking by NMI is left to be put back. */
export const handlePmlFull = (vcpu: KvmVcpu): number => {
  const { processor } = vcpu;
  const vectoring = (vcpu.idtVectoringInfo & V.VECTORING_INFO_VALID_MASK) !== 0;
  if (!vectoring && (processor.vmread(V.EXIT_QUALIFICATION) & V.INTR_INFO_UNBLOCK_NMI) !== 0) {
    const state = processor.vmread(V.GUEST_INTERRUPTIBILITY_INFO);
    processor.vmwrite(V.GUEST_INTERRUPTIBILITY_INFO, state | V.GUEST_INTR_STATE_NMI, 0);
  }
  return 1;
};
