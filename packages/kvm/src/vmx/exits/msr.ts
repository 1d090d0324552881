/** RDMSR and WRMSR (kvm_emulate_rdmsr, kvm_emulate_wrmsr of x86.c), with userspace's part in them. */

import {
  KVM_EXIT_X86_RDMSR,
  KVM_EXIT_X86_WRMSR,
  KVM_MSR_EXIT_REASON_FILTER,
  KVM_MSR_EXIT_REASON_INVAL,
  KVM_MSR_EXIT_REASON_UNKNOWN,
} from '@vm/kvm-run';
import { kvmRegisterReadLo, kvmRegisterWrite } from '../../cache-regs.ts';
import { kvmGetMsr, kvmSetMsr, KVM_MSR_RET_FILTERED, KVM_MSR_RET_INVALID, MSR_OK } from '../../msrs.ts';
import { kvmInjectGp } from '../../queue.ts';
import { kvmSkipEmulatedInstruction } from '../../skip.ts';
import { u64 } from '../../trace.ts';
import { VCPU_REGS_RAX, VCPU_REGS_RCX, VCPU_REGS_RDX, type KvmVcpu } from '../../types.ts';

const ERROR = 32;
const REASON = 40;
const INDEX = 44;
const DATA = 48;

const reasonOf = (result: number): number => {
  if (result === KVM_MSR_RET_INVALID) return KVM_MSR_EXIT_REASON_UNKNOWN;
  return result === KVM_MSR_RET_FILTERED ? KVM_MSR_EXIT_REASON_FILTER : KVM_MSR_EXIT_REASON_INVAL;
};

/** kvm_msr_user_space: userspace wants to answer. */
const userSpace = (vcpu: KvmVcpu, exit: number, index: number, result: number, complete: (vcpu: KvmVcpu) => number): boolean => {
  const reason = reasonOf(result);
  if ((vcpu.kvm.userSpaceMsrMask & reason) === 0) return false;
  const { run } = vcpu;
  run.exitReason = exit;
  run.view.setBigUint64(ERROR, 0n, true);
  run.view.setUint32(REASON, reason, true);
  run.view.setUint32(INDEX, index, true);
  run.view.setUint32(DATA, vcpu.msrLo, true);
  run.view.setUint32(DATA + 4, vcpu.msrHi, true);
  vcpu.completeUserspaceIo = complete;
  return true;
};

const complete = (vcpu: KvmVcpu): number => {
  if (vcpu.run.bytes[ERROR] === 0) return kvmSkipEmulatedInstruction(vcpu);
  kvmInjectGp(vcpu, 0);
  return 1;
};

/** complete_fast_rdmsr */
const completeRdmsr = (vcpu: KvmVcpu): number => {
  if (vcpu.run.bytes[ERROR] === 0) {
    kvmRegisterWrite(vcpu, VCPU_REGS_RAX, vcpu.run.view.getUint32(DATA, true), 0);
    kvmRegisterWrite(vcpu, VCPU_REGS_RDX, vcpu.run.view.getUint32(DATA + 4, true), 0);
  }
  return complete(vcpu);
};

const trace = (vcpu: KvmVcpu, write: number, index: number, exception: boolean): void => {
  if (vcpu.tracer !== null)
    vcpu.tracer.event('kvm_msr', vcpu.vcpuId, write, index, exception && write === 0 ? 0n : u64(vcpu.msrLo, vcpu.msrHi), Number(exception));
};

const fail = (vcpu: KvmVcpu): number => {
  kvmInjectGp(vcpu, 0);
  return 1;
};

/** kvm_emulate_rdmsr */
export const handleRdmsr = (vcpu: KvmVcpu): number => {
  const index = kvmRegisterReadLo(vcpu, VCPU_REGS_RCX);
  const result = kvmGetMsr(vcpu, index);
  if (result !== MSR_OK) {
    vcpu.msrLo = 0;
    vcpu.msrHi = 0;
    if (userSpace(vcpu, KVM_EXIT_X86_RDMSR, index, result, completeRdmsr)) return 0;
    trace(vcpu, 0, index, true);
    return fail(vcpu);
  }
  trace(vcpu, 0, index, false);
  kvmRegisterWrite(vcpu, VCPU_REGS_RAX, vcpu.msrLo >>> 0, 0);
  kvmRegisterWrite(vcpu, VCPU_REGS_RDX, vcpu.msrHi >>> 0, 0);
  return kvmSkipEmulatedInstruction(vcpu);
};

/** kvm_emulate_wrmsr */
export const handleWrmsr = (vcpu: KvmVcpu): number => {
  const index = kvmRegisterReadLo(vcpu, VCPU_REGS_RCX);
  vcpu.msrLo = kvmRegisterReadLo(vcpu, VCPU_REGS_RAX);
  vcpu.msrHi = kvmRegisterReadLo(vcpu, VCPU_REGS_RDX);
  const result = kvmSetMsr(vcpu, index);
  if (result !== MSR_OK) {
    vcpu.msrLo = kvmRegisterReadLo(vcpu, VCPU_REGS_RAX);
    vcpu.msrHi = kvmRegisterReadLo(vcpu, VCPU_REGS_RDX);
    if (userSpace(vcpu, KVM_EXIT_X86_WRMSR, index, result, complete)) return 0;
    trace(vcpu, 1, index, true);
    return fail(vcpu);
  }
  trace(vcpu, 1, index, false);
  return kvmSkipEmulatedInstruction(vcpu);
};
