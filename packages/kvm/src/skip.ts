/** Going on behind an instruction that KVM has done (skip_emulated_instruction, kvm_skip_emulated_instruction). */

import { KVM_EXIT_DEBUG, KVM_GUESTDBG_SINGLESTEP } from '@vm/kvm-run';
import { GUEST_INTERRUPTIBILITY_INFO, GUEST_INTR_STATE_MOV_SS, GUEST_INTR_STATE_STI, VM_EXIT_INSTRUCTION_LEN } from '@vm/kvm-run/vmx';
import { kvmGetRflags, kvmRipRead64, kvmRipReadHi, kvmRipReadLo, kvmRipWrite } from './cache-regs.ts';
import { kvmQueueExceptionP } from './queue.ts';
import type { KvmVcpu } from './types.ts';
import { is64BitMode, kvmGetLinearRip } from './vmx/segment.ts';
import * as B from './x86-bits.ts';

/** skip_emulated_instruction: RIP goes past it, and the interrupt shadow ends. */
export const skipEmulatedInstruction = (vcpu: KvmVcpu): void => {
  const { processor } = vcpu;
  const low = kvmRipReadLo(vcpu);
  const next = low + processor.vmread(VM_EXIT_INSTRUCTION_LEN);
  let high = kvmRipReadHi(vcpu);
  // Outside 64-bit mode EIP wraps (or faults on its limit at the next fetch).
  if (next > 0xffffffff && is64BitMode(vcpu)) high++;
  kvmRipWrite(vcpu, next >>> 0, high >>> 0);
  const state = processor.vmread(GUEST_INTERRUPTIBILITY_INFO);
  if ((state & (GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS)) !== 0)
    processor.vmwrite(GUEST_INTERRUPTIBILITY_INFO, state & ~(GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS), 0);
};

/** kvm_vcpu_do_singlestep: to the debugger, or as #DB into the guest. */
export const kvmVcpuDoSinglestep = (vcpu: KvmVcpu): number => {
  if ((vcpu.guestDebug & KVM_GUESTDBG_SINGLESTEP) === 0) {
    kvmQueueExceptionP(vcpu, B.DB_VECTOR, B.DR6_BS);
    return 1;
  }
  const { run } = vcpu;
  run.exitReason = KVM_EXIT_DEBUG;
  run.view.setUint32(32, B.DB_VECTOR, true);
  run.view.setBigUint64(40, kvmGetLinearRip(vcpu, kvmRipRead64(vcpu)), true);
  run.view.setBigUint64(48, BigInt((B.DR6_BS | B.DR6_ACTIVE_LOW) >>> 0), true);
  run.view.setBigUint64(56, BigInt(vcpu.dr7), true);
  return 0;
};

/** kvm_skip_emulated_instruction: 1, or what single-stepping makes of it. */
export const kvmSkipEmulatedInstruction = (vcpu: KvmVcpu): number => {
  const rflags = kvmGetRflags(vcpu);
  skipEmulatedInstruction(vcpu);
  // TF was on before the instruction: the trap comes after it. The debugger's TF counts too.
  const step = (rflags & B.X86_EFLAGS_TF) !== 0 || (vcpu.guestDebug & KVM_GUESTDBG_SINGLESTEP) !== 0;
  return step ? kvmVcpuDoSinglestep(vcpu) : 1;
};
