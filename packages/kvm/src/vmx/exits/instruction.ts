/** Instructions that KVM does for the guest in a few steps. */

import { KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS } from '@vm/kvm-run';
import * as V from '@vm/kvm-run/vmx';
import { kvmRegisterReadLo, kvmRegisterWrite } from '../../cache-regs.ts';
import { kvmReadL1Tsc } from '../../clock.ts';
import { guestCpuidHas } from '../../cpuid.ts';
import { kvmInjectGp, kvmInjectPageFault, kvmQueueException } from '../../queue.ts';
import { KVM_REQ_TLB_FLUSH_GUEST, kvmMakeRequest } from '../../requests.ts';
import { kvmSkipEmulatedInstruction } from '../../skip.ts';
import { VCPU_REGS_RAX, VCPU_REGS_RCX, VCPU_REGS_RDX, type KvmVcpu } from '../../types.ts';
import { UD_VECTOR } from '../../x86-bits.ts';
import { kvmGetCpl } from '../segment.ts';
import { readGuestVirt, vmxMemoryOperand } from '../memory-operand.ts';
import { kvmWalkFault } from '../../mmu/walk.ts';

/** INVD, WBINVD: guests have no caches of their own. */
export const handleWbinvd = (vcpu: KvmVcpu): number => kvmSkipEmulatedInstruction(vcpu);
export const handleInvd = (vcpu: KvmVcpu): number => kvmSkipEmulatedInstruction(vcpu);

/**
 * kvm_emulate_monitor_mwait: MONITOR and MWAIT do nothing, so that a guest that idles by them spins. Without the quirk they are
 * #UD where CPUID does not have them.
 */
const monitorMwait = (vcpu: KvmVcpu): number => {
  const quirk = (vcpu.kvm.disabledQuirks & KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS) === 0;
  return quirk || guestCpuidHas(vcpu, [1, 'ecx', 3]) ? kvmSkipEmulatedInstruction(vcpu) : handleMissing(vcpu);
};
export const handleMonitor = (vcpu: KvmVcpu): number => monitorMwait(vcpu);
export const handleMwait = (vcpu: KvmVcpu): number => monitorMwait(vcpu);

/** XSAVES, XRSTORS that exit by the bitmap, and the withdrawn PCOMMIT: there is nothing to do for them. */
export const handleXsaves = (vcpu: KvmVcpu): number => kvmSkipEmulatedInstruction(vcpu);
export const handleXrstors = (vcpu: KvmVcpu): number => kvmSkipEmulatedInstruction(vcpu);
export const handlePcommit = (vcpu: KvmVcpu): number => kvmSkipEmulatedInstruction(vcpu);
/** UMWAIT and TPAUSE: waiting not at all is a legal time to wait. */
export const handleUmwait = (vcpu: KvmVcpu): number => kvmSkipEmulatedInstruction(vcpu);

/** handle_pause: a guest that spins on a lock gives way to the other vCPUs (kvm_vcpu_on_spin). */
export const handlePause = (vcpu: KvmVcpu): number => {
  if (vcpu.kvm.vcpus.length > 1) vcpu.cpu.signalPending = true;
  return kvmSkipEmulatedInstruction(vcpu);
};

/** handle_invlpg: of what the processor caches for the guest, one page would do; all of it goes. */
export const handleInvlpg = (vcpu: KvmVcpu): number => {
  kvmMakeRequest(KVM_REQ_TLB_FLUSH_GUEST, vcpu);
  return kvmSkipEmulatedInstruction(vcpu);
};

/** kvm_emulate_rdpmc: the guest has no performance counters. */
export const handleRdpmc = (vcpu: KvmVcpu): number => {
  kvmInjectGp(vcpu, 0);
  return 1;
};

const readTsc = (vcpu: KvmVcpu): void => {
  const tsc = kvmReadL1Tsc(vcpu, vcpu.processor.rdtsc());
  kvmRegisterWrite(vcpu, VCPU_REGS_RAX, Number(tsc & 0xffffffffn), 0);
  kvmRegisterWrite(vcpu, VCPU_REGS_RDX, Number(tsc >> 32n), 0);
};

/** RDTSC exits only where its exiting was turned on. */
export const handleRdtsc = (vcpu: KvmVcpu): number => {
  readTsc(vcpu);
  return kvmSkipEmulatedInstruction(vcpu);
};

export const handleRdtscp = (vcpu: KvmVcpu): number => {
  if (!guestCpuidHas(vcpu, [0x80000001, 'edx', 27])) return handleMissing(vcpu);
  readTsc(vcpu);
  // Slot 4 of the user-return MSRs: IA32_TSC_AUX.
  kvmRegisterWrite(vcpu, VCPU_REGS_RCX, vcpu.msrs[8]!, 0);
  return kvmSkipEmulatedInstruction(vcpu);
};

/** kvm_handle_invalid_op: RDRAND, RDSEED, VMFUNC, ENCLS of a guest whose CPUID does not have them. */
export const handleMissing = (vcpu: KvmVcpu): number => {
  kvmQueueException(vcpu, UD_VECTOR);
  return 1;
};

const INVPCID_TYPES = 4;

/** handle_invpcid: the operand is 16 bytes, PCID and linear address. */
export const handleInvpcid = (vcpu: KvmVcpu): number => {
  if (!guestCpuidHas(vcpu, [7, 'ebx', 10])) return handleMissing(vcpu);
  if (kvmGetCpl(vcpu) !== 0) return handleRdpmc(vcpu);
  const info = vcpu.processor.vmread(V.VMX_INSTRUCTION_INFO);
  const type = kvmRegisterReadLo(vcpu, (info >>> V.INSN_INFO_REG2_SHIFT) & 15);
  const address = vmxMemoryOperand(vcpu, info);
  const operand = new Uint8Array(16);
  if (!readGuestVirt(vcpu, address, operand)) {
    const fault = kvmWalkFault(vcpu);
    kvmInjectPageFault(vcpu, fault.errorCode, fault.addressLo, fault.addressHi);
    return 1;
  }
  const pcid = operand[0]! | (operand[1]! << 8);
  if (type >= INVPCID_TYPES || pcid >>> 12 !== 0) return handleRdpmc(vcpu);
  kvmMakeRequest(KVM_REQ_TLB_FLUSH_GUEST, vcpu);
  return kvmSkipEmulatedInstruction(vcpu);
};
