/** Arithmetic that is common on device memory, on 32-bit halves. Results go to the destination, flags to the context. */

import type { EmulateCtxt } from './ctxt.ts';
import { Operand, X86EMUL_CONTINUE } from './ctxt.ts';

export const CF = 0x1;
export const PF = 0x4;
export const AF = 0x10;
export const ZF = 0x40;
export const SF = 0x80;
export const OF = 0x800;
export const ARITHMETIC = 0x8d5;

/** Mask of an operand of up to four bytes. */
export function maskOf(bytes: number): number {
  return bytes === 1 ? 0xff : bytes === 2 ? 0xffff : 0xffffffff;
}

/** Parity flag of a result's low byte. */
function parity(lo: number): number {
  let bits = lo & 0xff;
  bits ^= bits >> 4;
  return ((0x9669 >> (bits & 15)) & 1) * PF;
}

/** ZF, SF and PF of a result. */
export function resultFlags(lo: number, hi: number, bytes: number): number {
  const sign = bytes === 8 ? hi >>> 31 : (lo >>> (bytes * 8 - 1)) & 1;
  const zero = lo === 0 && (bytes < 8 || hi === 0);
  return (zero ? ZF : 0) | (sign !== 0 ? SF : 0) | parity(lo);
}

function setFlags(c: EmulateCtxt, flags: number): void {
  c.rflags = ((c.rflags & ~ARITHMETIC) | flags) >>> 0;
}

/** dst = dst + src + carry. */
function addWith(c: EmulateCtxt, dst: Operand, srcLo: number, srcHi: number, carry: number, keepCf: boolean): number {
  const { bytes } = dst;
  const mask = maskOf(bytes);
  const a = dst.lo;
  const aHi = dst.hi;
  const b = (srcLo & mask) >>> 0;
  const sum = a + b + carry;
  const lo = (sum & mask) >>> 0;
  let out = sum > mask ? 1 : 0;
  let hi = 0;
  let overflow = ((a ^ lo) & (b ^ lo)) >>> (bytes * 8 - 1);
  if (bytes === 8) {
    const high = aHi + srcHi + out;
    hi = high >>> 0;
    out = high > 0xffffffff ? 1 : 0;
    overflow = ((aHi ^ hi) & (srcHi ^ hi)) >>> 31;
  }
  dst.lo = lo;
  dst.hi = hi;
  const cf = keepCf ? c.rflags & CF : out;
  setFlags(c, cf | ((overflow & 1) !== 0 ? OF : 0) | ((a ^ b ^ lo) & AF) | resultFlags(lo, hi, bytes));
  return X86EMUL_CONTINUE;
}

/** dst = dst - src - borrow. */
function subWith(c: EmulateCtxt, dst: Operand, srcLo: number, srcHi: number, borrow: number, keepCf: boolean): number {
  const { bytes } = dst;
  const mask = maskOf(bytes);
  const a = dst.lo;
  const aHi = dst.hi;
  const b = (srcLo & mask) >>> 0;
  const difference = a - b - borrow;
  const lo = (difference & mask) >>> 0;
  let out = difference < 0 ? 1 : 0;
  let hi = 0;
  let overflow = ((a ^ b) & (a ^ lo)) >>> (bytes * 8 - 1);
  if (bytes === 8) {
    const high = aHi - srcHi - out;
    hi = high >>> 0;
    out = high < 0 ? 1 : 0;
    overflow = ((aHi ^ srcHi) & (aHi ^ hi)) >>> 31;
  }
  dst.lo = lo;
  dst.hi = hi;
  const cf = keepCf ? c.rflags & CF : out;
  setFlags(c, cf | ((overflow & 1) !== 0 ? OF : 0) | ((a ^ b ^ lo) & AF) | resultFlags(lo, hi, bytes));
  return X86EMUL_CONTINUE;
}

function logic(c: EmulateCtxt, lo: number, hi: number): number {
  const { dst } = c;
  dst.lo = (lo & maskOf(dst.bytes)) >>> 0;
  dst.hi = dst.bytes === 8 ? hi >>> 0 : 0;
  setFlags(c, resultFlags(dst.lo, dst.hi, dst.bytes));
  return X86EMUL_CONTINUE;
}

export const add = (c: EmulateCtxt): number => addWith(c, c.dst, c.src.lo, c.src.hi, 0, false);
export const adc = (c: EmulateCtxt): number => addWith(c, c.dst, c.src.lo, c.src.hi, c.rflags & CF, false);
export const sub = (c: EmulateCtxt): number => subWith(c, c.dst, c.src.lo, c.src.hi, 0, false);
export const sbb = (c: EmulateCtxt): number => subWith(c, c.dst, c.src.lo, c.src.hi, c.rflags & CF, false);
export const inc = (c: EmulateCtxt): number => addWith(c, c.dst, 1, 0, 0, true);
export const dec = (c: EmulateCtxt): number => subWith(c, c.dst, 1, 0, 0, true);
export const and = (c: EmulateCtxt): number => logic(c, c.dst.lo & c.src.lo, c.dst.hi & c.src.hi);
export const or = (c: EmulateCtxt): number => logic(c, c.dst.lo | c.src.lo, c.dst.hi | c.src.hi);
export const xor = (c: EmulateCtxt): number => logic(c, c.dst.lo ^ c.src.lo, c.dst.hi ^ c.src.hi);

export function neg(c: EmulateCtxt): number {
  const { lo, hi } = c.dst;
  c.dst.lo = 0;
  c.dst.hi = 0;
  return subWith(c, c.dst, lo, hi, 0, false);
}

/** No flags. */
export function not(c: EmulateCtxt): number {
  const { dst } = c;
  dst.lo = (~dst.lo & maskOf(dst.bytes)) >>> 0;
  dst.hi = dst.bytes === 8 ? ~dst.hi >>> 0 : 0;
  return X86EMUL_CONTINUE;
}

export function mov(c: EmulateCtxt): number {
  c.dst.lo = c.src.lo;
  c.dst.hi = c.src.hi;
  return X86EMUL_CONTINUE;
}

/** The register takes the old value; it is written here, the other operand with the destination. */
export function xchg(c: EmulateCtxt): number {
  const { dst, src } = c;
  const { lo, hi } = dst;
  dst.lo = src.lo;
  dst.hi = src.hi;
  src.lo = lo;
  src.hi = hi;
  c.writeSrc = true;
  return X86EMUL_CONTINUE;
}

/** The flags of a - b, for cmpxchg; true when they are equal. */
export function compare(c: EmulateCtxt, bytes: number, a: bigint, lo: number, hi: number): boolean {
  const left = new Operand();
  left.bytes = bytes;
  left.lo = Number(a & 0xffffffffn);
  left.hi = Number(a >> 32n);
  subWith(c, left, lo, hi, 0, false);
  return (c.rflags & ZF) !== 0;
}
