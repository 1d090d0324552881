/** Stack, branches through memory, conditions. */

import { segmentedRead, segmentedWrite } from './access.ts';
import { CF, OF, PF, SF, ZF } from './alu.ts';
import type { EmulateCtxt } from './ctxt.ts';
import {
  assignReg,
  emulateGp,
  regHi,
  regLo,
  X86EMUL_CONTINUE,
  X86EMUL_MODE_PROT64,
} from './ctxt.ts';
import { kvmSegmentAttr } from '../vmx/segment.ts';

const RSP = 4;
const SEG_SS = 2;
const AR_DB = 0x4000;

export function nop(_c: EmulateCtxt): number {
  return X86EMUL_CONTINUE;
}

/** Width of the stack pointer. */
function stackBytes(c: EmulateCtxt): number {
  if (c.mode === X86EMUL_MODE_PROT64) return 8;
  return (kvmSegmentAttr(c.vcpu, SEG_SS) & AR_DB) !== 0 ? 4 : 2;
}

function moveStack(c: EmulateCtxt, by: number): { readonly lo: number; readonly hi: number; readonly bytes: number } {
  const bytes = stackBytes(c);
  const sum = regLo(c, RSP) + by;
  const lo = bytes === 2 ? sum & 0xffff : sum >>> 0;
  const carry = sum > 0xffffffff ? 1 : sum < 0 ? -1 : 0;
  return { lo, hi: bytes === 8 ? (regHi(c, RSP) + carry) >>> 0 : 0, bytes };
}

function storeBytes(c: EmulateCtxt, lo: number, hi: number): void {
  for (let i = 0; i < 4; i++) {
    c.memWrite[i] = (lo >>> (i * 8)) & 0xff;
    c.memWrite[4 + i] = (hi >>> (i * 8)) & 0xff;
  }
}

function pushValue(c: EmulateCtxt, lo: number, hi: number): number {
  const stack = moveStack(c, -c.opBytes);
  storeBytes(c, lo, hi);
  const rc = segmentedWrite(c, SEG_SS, stack.lo, stack.hi, c.opBytes);
  if (rc === X86EMUL_CONTINUE) assignReg(c, RSP, stack.bytes, stack.lo, stack.hi);
  return rc;
}

export const push = (c: EmulateCtxt): number => pushValue(c, c.dst.lo, c.dst.hi);

export function pop(c: EmulateCtxt): number {
  const top = moveStack(c, 0);
  const at = segmentedRead(c, SEG_SS, top.lo, top.hi, c.opBytes);
  if (at < 0) return -at;
  const word = (from: number): number =>
    (c.memRead[from]! |
      (c.memRead[from + 1]! << 8) |
      (c.memRead[from + 2]! << 16) |
      (c.memRead[from + 3]! << 24)) >>>
    0;
  c.dst.lo = c.opBytes === 2 ? c.memRead[at]! | (c.memRead[at + 1]! << 8) : word(at);
  c.dst.hi = c.opBytes === 8 ? word(at + 4) : 0;
  const after = moveStack(c, c.opBytes);
  assignReg(c, RSP, after.bytes, after.lo, after.hi);
  return X86EMUL_CONTINUE;
}

/** Near indirect jump. */
export function jmp(c: EmulateCtxt): number {
  const { lo, hi } = c.dst;
  if (c.mode === X86EMUL_MODE_PROT64) {
    if ((hi << 16) >> 16 !== (hi | 0) || (hi >>> 15 !== 0 && hi >>> 15 !== 0x1ffff)) return emulateGp(c);
    c.nextHi = hi;
  }
  c.nextLo = c.opBytes === 2 ? lo & 0xffff : lo;
  return X86EMUL_CONTINUE;
}

/** Near indirect call. */
export function call(c: EmulateCtxt): number {
  const { nextLo, nextHi } = c;
  const rc = jmp(c);
  return rc === X86EMUL_CONTINUE ? pushValue(c, nextLo, nextHi) : rc;
}

/** Does the condition of an opcode's low four bits hold? (SDM vol. 1, table B-1) */
export function condition(c: EmulateCtxt): boolean {
  const flag = (mask: number): boolean => (c.rflags & mask) !== 0;
  const signed = flag(SF) !== flag(OF);
  const table = [flag(OF), flag(CF), flag(ZF), flag(CF | ZF), flag(SF), flag(PF), signed, flag(ZF) || signed];
  return table[(c.opcode >> 1) & 7]! !== ((c.opcode & 1) !== 0);
}

/** The destination is written either way: a 32-bit one loses its high half. */
export function cmovcc(c: EmulateCtxt): number {
  if (condition(c)) {
    c.dst.lo = c.src.lo;
    c.dst.hi = c.src.hi;
  }
  return X86EMUL_CONTINUE;
}

export function setcc(c: EmulateCtxt): number {
  c.dst.lo = condition(c) ? 1 : 0;
  c.dst.hi = 0;
  return X86EMUL_CONTINUE;
}
