/**
 * Emulating the instruction that the guest stopped at (x86_emulate_instruction and relatives of arch/x86/kvm/x86.c). An
 * instruction that needs data from userspace is left half done, with kvm_run filled; completeUserspaceIo takes the
 * answer and runs it again from the decoded form, with what it had already read in a cache.
 */

import {
  KVM_EXIT_INTERNAL_ERROR,
  KVM_GUESTDBG_SINGLESTEP,
  KVM_INTERNAL_ERROR_EMULATION,
  KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES,
} from '@vm/kvm-run';
import { EXIT_QUALIFICATION, VECTORING_INFO_VALID_MASK } from '@vm/kvm-run/vmx';
import { isLongMode, isProtmode, kvmGetRflags, kvmRipWrite, kvmSetRflags } from '../cache-regs.ts';
import { kvmPrepareEventVectoringExit } from '../internal-error.ts';
import { kvmInjectPageFault, kvmQueueException, kvmQueueExceptionE } from '../queue.ts';
import { kvmVcpuDoSinglestep } from '../skip.ts';
import { u64 } from '../trace.ts';
import type { KvmVcpu } from '../types.ts';
import { vmxSetInterruptShadow } from '../vmx/inject.ts';
import { is64BitMode, isCsDb, kvmGetCpl, kvmSegmentBase } from '../vmx/segment.ts';
import { PF_VECTOR, UD_VECTOR, X86_EFLAGS_RF, X86_EFLAGS_TF, X86_EFLAGS_VM } from '../x86-bits.ts';
import { exitMmio, nextMmioFragment } from './access.ts';
import type { EmulateCtxt } from './ctxt.ts';
import {
  ctxtOf,
  resetCtxt,
  writebackRegisters,
  X86EMUL_CONTINUE,
  X86EMUL_IO_NEEDED,
  X86EMUL_MODE_PROT16,
  X86EMUL_MODE_PROT32,
  X86EMUL_MODE_PROT64,
  X86EMUL_MODE_REAL,
  X86EMUL_MODE_VM86,
  X86EMUL_PROPAGATE_FAULT,
} from './ctxt.ts';
import { decodeInsn } from './decode.ts';
import { executeInsn } from './execute.ts';

/** The instruction is decoded already: it goes on after userspace answered. */
export const EMULTYPE_NO_DECODE = 1;
/** Only goes past the instruction. */
export const EMULTYPE_SKIP = 4;
/** The exit gave the guest-physical address of the memory operand. */
export const EMULTYPE_PF = 64;

const SEG_CS = 1;

/**
 * x86_emulate_instruction: 1 when the guest goes on, 0 when kvm_run is filled for userspace. `gpa` counts with
 * EMULTYPE_PF.
 */
export function x86EmulateInstruction(vcpu: KvmVcpu, gpa: number, type: number): number {
  const c = ctxtOf(vcpu);
  if ((type & EMULTYPE_NO_DECODE) === 0) {
    // The access was the delivery's, not the instruction's (vmx_check_emulate_instruction).
    if ((type & EMULTYPE_PF) !== 0 && (vcpu.idtVectoringInfo & VECTORING_INFO_VALID_MASK) !== 0)
      return kvmPrepareEventVectoringExit(vcpu, gpa);
    vcpu.mmioNeeded = false;
    vcpu.mmioReadCompleted = false;
    const rc = decode(c, (type & EMULTYPE_PF) !== 0 ? gpa : -1);
    if (rc !== X86EMUL_CONTINUE) return failed(c, type);
    if ((type & EMULTYPE_SKIP) !== 0) return skip(c);
  } else {
    // Userspace may have changed registers meanwhile.
    c.regsValid = 0;
    c.regsDirty = 0;
    c.rflags = kvmGetRflags(vcpu);
    c.memPos = 0;
    c.haveException = false;
  }
  const rc = executeInsn(c);
  if (rc === X86EMUL_PROPAGATE_FAULT) {
    inject(c);
    return 1;
  }
  if (rc === X86EMUL_IO_NEEDED) {
    vcpu.completeUserspaceIo = vcpu.mmioNeeded ? completeEmulatedMmio : completeEmulatedPio;
    return 0;
  }
  if (rc !== X86EMUL_CONTINUE) return failed(c, type);
  return finish(c);
}

/** kvm_emulate_instruction. */
export function kvmEmulateInstruction(vcpu: KvmVcpu, type: number): number {
  return x86EmulateInstruction(vcpu, 0, type);
}

/** init_emulate_ctxt. */
function decode(c: EmulateCtxt, gpa: number): number {
  const { vcpu } = c;
  resetCtxt(c);
  c.gpa = gpa;
  c.mode = modeOf(vcpu, c.rflags);
  c.cpl = kvmGetCpl(vcpu);
  const rc = decodeInsn(c);
  if (vcpu.tracer !== null) traceInsn(c, rc !== X86EMUL_CONTINUE);
  return rc;
}

function modeOf(vcpu: KvmVcpu, rflags: number): number {
  if (!isProtmode(vcpu)) return X86EMUL_MODE_REAL;
  if ((rflags & X86_EFLAGS_VM) !== 0) return X86EMUL_MODE_VM86;
  if (isLongMode(vcpu) && is64BitMode(vcpu)) return X86EMUL_MODE_PROT64;
  return isCsDb(vcpu) ? X86EMUL_MODE_PROT32 : X86EMUL_MODE_PROT16;
}

function traceInsn(c: EmulateCtxt, failure: boolean): void {
  const { vcpu } = c;
  const base = kvmSegmentBase(vcpu, SEG_CS);
  const csBase = u64(base, vcpu.processor.high);
  let bytes = '';
  for (let i = 0; i < Math.max(c.pos, 1); i++) bytes += c.insn[i]!.toString(16).padStart(2, '0');
  vcpu.tracer!.event('kvm_emulate_insn', vcpu.vcpuId, u64(c.ripLo, c.ripHi), csBase, bytes, failure ? 1 : 0);
}

/** Writes back what the instruction changed, and leaves to userspace when there is something for it. */
function finish(c: EmulateCtxt): number {
  const { vcpu } = c;
  const rflags = kvmGetRflags(vcpu);
  writebackRegisters(c);
  // The interrupt shadow of STI and MOV SS lasts one instruction.
  vmxSetInterruptShadow(vcpu, 0);
  if (!c.restart) {
    c.rflags &= ~X86_EFLAGS_RF;
    kvmRipWrite(vcpu, c.nextLo, c.nextHi);
  }
  if (c.rflags >>> 0 !== rflags >>> 0) kvmSetRflags(vcpu, c.rflags);
  let result = 1;
  if (vcpu.mmioNeeded) {
    vcpu.completeUserspaceIo = completeEmulatedMmio;
    result = 0;
  } else if (vcpu.pioCount !== 0) {
    vcpu.pioCount = 0;
    result = 0;
  }
  const step = (rflags & X86_EFLAGS_TF) !== 0 || (vcpu.guestDebug & KVM_GUESTDBG_SINGLESTEP) !== 0;
  return result === 1 && !c.restart && step ? kvmVcpuDoSinglestep(vcpu) : result;
}

function skip(c: EmulateCtxt): number {
  const { vcpu } = c;
  kvmRipWrite(vcpu, c.nextLo, c.nextHi);
  if ((c.rflags & X86_EFLAGS_RF) !== 0) kvmSetRflags(vcpu, c.rflags & ~X86_EFLAGS_RF);
  vmxSetInterruptShadow(vcpu, 0);
  return (c.rflags & X86_EFLAGS_TF) !== 0 ? kvmVcpuDoSinglestep(vcpu) : 1;
}

/** inject_emulated_exception. */
function inject(c: EmulateCtxt): void {
  const { vcpu } = c;
  vcpu.mmioNeeded = false;
  if (c.vector === PF_VECTOR) kvmInjectPageFault(vcpu, c.errorCode, c.addressLo, c.addressHi);
  else if (c.hasErrorCode) kvmQueueExceptionE(vcpu, c.vector, c.errorCode);
  else kvmQueueException(vcpu, c.vector);
}

/** handle_emulation_failure, after a fault of the fetch has been ruled out. */
function failed(c: EmulateCtxt, type: number): number {
  const { vcpu } = c;
  if (c.haveException) {
    inject(c);
    return 1;
  }
  if (!vcpu.kvm.exitOnEmulationError && (type & EMULTYPE_SKIP) === 0) {
    kvmQueueException(vcpu, UD_VECTOR);
    // What an application does must not stop the VM: it gets #UD.
    if (c.cpl !== 0) return 1;
  }
  prepareEmulationFailureExit(c);
  return 0;
}

/** prepare_emulation_failure_exit: KVM_EXIT_INTERNAL_ERROR with the instruction's bytes and what the exit said. */
function prepareEmulationFailureExit(c: EmulateCtxt): void {
  const { vcpu } = c;
  const { run } = vcpu;
  const { view } = run;
  run.exitReason = KVM_EXIT_INTERNAL_ERROR;
  view.setUint32(32, KVM_INTERNAL_ERROR_EMULATION, true);
  for (let at = 36; at < 40 + 16 * 8; at += 4) view.setUint32(at, 0, true);
  const hasBytes = c.fetched > 0;
  const info = [vcpu.exitReason, vcpu.processor.vmread(EXIT_QUALIFICATION), vcpu.exitIntrInfo, vcpu.idtVectoringInfo];
  const first = hasBytes ? 3 : 1;
  view.setUint32(36, first + info.length, true);
  if (hasBytes) {
    view.setUint32(40, KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES, true);
    const length = Math.min(15, c.fetched);
    view.setUint8(48, length);
    for (let i = 0; i < 15; i++) view.setUint8(49 + i, i < length ? c.insn[i]! : 0x90);
  }
  info.forEach((value, i) => view.setUint32(40 + (first + i) * 8, value, true));
}

// ---- after userspace

/** complete_emulated_mmio: the next fragment, or the end of the instruction. */
export function completeEmulatedMmio(vcpu: KvmVcpu): number {
  const c = ctxtOf(vcpu);
  if (!nextMmioFragment(c)) {
    exitMmio(c);
    vcpu.completeUserspaceIo = completeEmulatedMmio;
    return 0;
  }
  if (vcpu.mmioIsWrite) return 1;
  vcpu.mmioReadCompleted = true;
  return kvmEmulateInstruction(vcpu, EMULTYPE_NO_DECODE);
}

/** complete_emulated_pio: string input goes on with what userspace answered. */
export function completeEmulatedPio(vcpu: KvmVcpu): number {
  return kvmEmulateInstruction(vcpu, EMULTYPE_NO_DECODE);
}
