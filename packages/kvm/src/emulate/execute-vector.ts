/** Loads and stores of vector registers. The guest's registers are in the processor while its state is loaded there. */

import { VCPU_PAGE_FPU } from '../types.ts';
import { X86_CR0_EM, X86_CR0_TS, X86_CR4_OSFXSR } from '../x86-bits.ts';
import { kvmReadCr0, kvmReadCr4 } from '../cache-regs.ts';
import type { EmulateCtxt, Operand } from './ctxt.ts';
import { emulateException, emulateUd, OP_XMM, X86EMUL_CONTINUE } from './ctxt.ts';

const XSAVE_XMM = 160;
const XSAVE_XSTATE_BV = 512;
const XFEATURE_SSE = 2;
const NM_VECTOR = 7;

/** Faults of SSE instructions when the system has not enabled them (SDM vol. 2A, 2.4). */
export function checkVector(c: EmulateCtxt): number {
  const cr0 = kvmReadCr0(c.vcpu);
  if ((cr0 & X86_CR0_EM) !== 0 || (kvmReadCr4(c.vcpu) & X86_CR4_OSFXSR) === 0) return emulateUd(c);
  return (cr0 & X86_CR0_TS) !== 0 ? emulateException(c, NM_VECTOR, 0, false) : X86EMUL_CONTINUE;
}

/** Host address of the guest's XSAVE area, made current. */
function area(c: EmulateCtxt): number {
  const { vcpu } = c;
  const address = vcpu.page + VCPU_PAGE_FPU;
  if (vcpu.cpu.fpuOwner === vcpu) vcpu.processor.xsave(address, XFEATURE_SSE);
  return address;
}

export function readXmm(c: EmulateCtxt, operand: Operand): void {
  const at = (area(c) + XSAVE_XMM + operand.reg * 16) >>> 2;
  const { u32 } = c.vcpu;
  operand.lo = u32[at]!;
  operand.hi = u32[at + 1]!;
  operand.x2 = u32[at + 2]!;
  operand.x3 = u32[at + 3]!;
}

export function writeXmm(c: EmulateCtxt, operand: Operand): void {
  const { vcpu } = c;
  const address = area(c);
  const at = (address + XSAVE_XMM + operand.reg * 16) >>> 2;
  vcpu.u32[at] = operand.lo;
  vcpu.u32[at + 1] = operand.hi;
  vcpu.u32[at + 2] = operand.x2;
  vcpu.u32[at + 3] = operand.x3;
  const bv = (address + XSAVE_XSTATE_BV) >>> 2;
  vcpu.u32[bv] = vcpu.u32[bv]! | XFEATURE_SSE;
  if (vcpu.cpu.fpuOwner === vcpu) vcpu.processor.xrstor(address, XFEATURE_SSE);
}

function copyAll(to: Operand, from: Operand): void {
  to.lo = from.lo;
  to.hi = from.hi;
  to.x2 = from.x2;
  to.x3 = from.x3;
}

/** Sixteen bytes. */
export function movVector(c: EmulateCtxt): number {
  copyAll(c.dst, c.src);
  return X86EMUL_CONTINUE;
}

/** Four or eight bytes into the low part; what comes from memory clears the rest, what comes from a register does not. */
export function movLoad(c: EmulateCtxt): number {
  const { dst, src } = c;
  if (src.type === OP_XMM) readXmm(c, dst);
  else {
    dst.hi = 0;
    dst.x2 = 0;
    dst.x3 = 0;
  }
  dst.lo = src.lo;
  if (src.bytes === 8) dst.hi = src.hi;
  return X86EMUL_CONTINUE;
}

export function movLow(c: EmulateCtxt): number {
  readXmm(c, c.dst);
  c.dst.lo = c.src.lo;
  c.dst.hi = c.src.hi;
  return X86EMUL_CONTINUE;
}

export function movHighLoad(c: EmulateCtxt): number {
  readXmm(c, c.dst);
  c.dst.x2 = c.src.lo;
  c.dst.x3 = c.src.hi;
  return X86EMUL_CONTINUE;
}

export function movHighStore(c: EmulateCtxt): number {
  c.dst.lo = c.src.x2;
  c.dst.hi = c.src.x3;
  return X86EMUL_CONTINUE;
}
