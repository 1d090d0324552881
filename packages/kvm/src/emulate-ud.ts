/**
 * #UD in the guest (handle_ud of arch/x86/kvm/x86.c). KVM looks first: an instruction that the emulator knows but this
 * processor does not is emulated, and AMD's VMMCALL becomes the VMCALL that works here.
 */

import { KVM_X86_QUIRK_FIX_HYPERCALL_INSN } from '@vm/kvm-run';
import { kvmRipRead64 } from './cache-regs.ts';
import { kvmMapGuest } from './guest-memory.ts';
import { kvmMmuGvaToGpa, UNMAPPED_GVA } from './mmu/walk.ts';
import { kvmQueueException } from './queue.ts';
import type { KvmVcpu } from './types.ts';
import { kvmGetCpl, kvmGetLinearRip } from './vmx/segment.ts';
import { PFERR_FETCH_MASK, PFERR_USER_MASK, UD_VECTOR } from './x86-bits.ts';

const VMMCALL = [0x0f, 0x01, 0xd9];
const VMCALL = Uint8Array.of(0x0f, 0x01, 0xc1);

/** Host address of the instruction, when its first bytes lie in one page of memory; -1 otherwise. */
const codeAddress = (vcpu: KvmVcpu): number => {
  const linear = kvmGetLinearRip(vcpu, kvmRipRead64(vcpu));
  const low = Number(linear & 0xffffffffn);
  if ((low & 0xfff) > 0x1000 - VMMCALL.length) return -1;
  const user = kvmGetCpl(vcpu) === 3 ? PFERR_USER_MASK : 0;
  const gpa = kvmMmuGvaToGpa(vcpu, low, Number(linear >> 32n), PFERR_FETCH_MASK | user);
  return gpa === UNMAPPED_GVA ? -1 : kvmMapGuest(vcpu.kvm, gpa, VMMCALL.length);
};

export const handleUd = (vcpu: KvmVcpu): number => {
  const at = codeAddress(vcpu);
  const { memory } = vcpu;
  const fix = (vcpu.kvm.disabledQuirks & KVM_X86_QUIRK_FIX_HYPERCALL_INSN) === 0;
  if (fix && at >= 0 && VMMCALL.every((byte, i) => memory.u8[at + i] === byte)) {
    // emulator_fix_hypercall: the guest runs the right instruction from now on.
    memory.write(at, VMCALL);
    return 1;
  }
  kvmQueueException(vcpu, UD_VECTOR);
  return 1;
};
