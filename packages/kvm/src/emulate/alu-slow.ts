/** Arithmetic that is rare on device memory: on bigints. */

import type { EmulateCtxt, Operand } from './ctxt.ts';
import {
  assignReg,
  emulateException,
  emulateUd,
  OP_MEM,
  regHi,
  regLo,
  setReg,
  X86EMUL_CONTINUE,
} from './ctxt.ts';
import { add, ARITHMETIC, CF, compare, OF, resultFlags, ZF } from './alu.ts';

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RBX = 3;
const DE_VECTOR = 0;

function big(operand: Operand): bigint {
  return (BigInt(operand.hi) << 32n) | BigInt(operand.lo);
}

function store(operand: Operand, value: bigint): void {
  const bits = BigInt.asUintN(operand.bytes * 8, value);
  operand.lo = Number(bits & 0xffffffffn);
  operand.hi = Number(bits >> 32n);
}

function flags(c: EmulateCtxt, mask: number, value: number): void {
  c.rflags = ((c.rflags & ~mask) | (value & mask)) >>> 0;
}

function shiftCount(c: EmulateCtxt, operand: Operand): number {
  return operand.lo & (c.dst.bytes === 8 ? 63 : 31);
}

const bit = (value: bigint, n: number): number => Number((value >> BigInt(n)) & 1n);

// ---- shifts and rotates (SDM vol. 2B); a count of zero changes nothing

function shifted(c: EmulateCtxt, result: bigint, cf: number, of: number): number {
  store(c.dst, result);
  flags(c, ARITHMETIC, cf | (of !== 0 ? OF : 0) | resultFlags(c.dst.lo, c.dst.hi, c.dst.bytes));
  return X86EMUL_CONTINUE;
}

export function shl(c: EmulateCtxt): number {
  const n = shiftCount(c, c.src);
  if (n === 0) return X86EMUL_CONTINUE;
  const width = c.dst.bytes * 8;
  const wide = big(c.dst) << BigInt(n);
  const cf = bit(wide, width);
  return shifted(c, wide, cf, cf ^ bit(wide, width - 1));
}

export function shr(c: EmulateCtxt): number {
  const n = shiftCount(c, c.src);
  if (n === 0) return X86EMUL_CONTINUE;
  const value = big(c.dst);
  return shifted(c, value >> BigInt(n), bit(value, n - 1), bit(value, c.dst.bytes * 8 - 1));
}

export function sar(c: EmulateCtxt): number {
  const n = shiftCount(c, c.src);
  if (n === 0) return X86EMUL_CONTINUE;
  const value = BigInt.asIntN(c.dst.bytes * 8, big(c.dst));
  return shifted(c, value >> BigInt(n), bit(value, n - 1), 0);
}

function rotated(c: EmulateCtxt, result: bigint, cf: number, of: number): number {
  store(c.dst, result);
  flags(c, CF | OF, cf | (of !== 0 ? OF : 0));
  return X86EMUL_CONTINUE;
}

export function rol(c: EmulateCtxt): number {
  const count = shiftCount(c, c.src);
  if (count === 0) return X86EMUL_CONTINUE;
  const width = c.dst.bytes * 8;
  const n = BigInt(count % width);
  const value = big(c.dst);
  const result = BigInt.asUintN(width, (value << n) | (value >> (BigInt(width) - n)));
  const cf = bit(result, 0);
  return rotated(c, result, cf, cf ^ bit(result, width - 1));
}

export function ror(c: EmulateCtxt): number {
  const count = shiftCount(c, c.src);
  if (count === 0) return X86EMUL_CONTINUE;
  const width = c.dst.bytes * 8;
  const n = BigInt(count % width);
  const value = big(c.dst);
  const result = BigInt.asUintN(width, (value >> n) | (value << (BigInt(width) - n)));
  const top = bit(result, width - 1);
  return rotated(c, result, top, top ^ bit(result, width - 2));
}

/** Through the carry flag: a rotate of one bit more. */
function rotateCarry(c: EmulateCtxt, left: boolean): number {
  const width = c.dst.bytes * 8;
  const n = shiftCount(c, c.src) % (width + 1);
  if (n === 0) return X86EMUL_CONTINUE;
  const wide = BigInt(width + 1);
  const value = big(c.dst) | (BigInt(c.rflags & CF) << BigInt(width));
  const by = BigInt(left ? n : width + 1 - n);
  const result = BigInt.asUintN(width + 1, (value << by) | (value >> (wide - by)));
  const cf = bit(result, width);
  const of = left ? cf ^ bit(result, width - 1) : bit(result, width - 1) ^ bit(result, width - 2);
  return rotated(c, result, cf, of);
}

export const rcl = (c: EmulateCtxt): number => rotateCarry(c, true);
export const rcr = (c: EmulateCtxt): number => rotateCarry(c, false);

export function shld(c: EmulateCtxt): number {
  const n = shiftCount(c, c.src2);
  const width = c.dst.bytes * 8;
  if (n === 0 || n > width) return X86EMUL_CONTINUE;
  const value = big(c.dst);
  const result = (value << BigInt(n)) | (big(c.src) >> BigInt(width - n));
  return shifted(c, result, bit(value, width - n), bit(value, width - 1) ^ bit(result, width - 1));
}

export function shrd(c: EmulateCtxt): number {
  const n = shiftCount(c, c.src2);
  const width = c.dst.bytes * 8;
  if (n === 0 || n > width) return X86EMUL_CONTINUE;
  const value = big(c.dst);
  const result = (value >> BigInt(n)) | (big(c.src) << BigInt(width - n));
  return shifted(c, result, bit(value, n - 1), bit(value, width - 1) ^ bit(result, width - 1));
}

// ---- bits

/** A register bit offset reaches beyond the operand: the address has been adjusted, the offset is within it. */
function bitOf(c: EmulateCtxt): number {
  return c.src.lo & (c.dst.bytes * 8 - 1);
}

function bitOp(c: EmulateCtxt, change: (value: bigint, mask: bigint) => bigint): number {
  const n = bitOf(c);
  const value = big(c.dst);
  flags(c, CF, bit(value, n));
  store(c.dst, change(value, 1n << BigInt(n)));
  return X86EMUL_CONTINUE;
}

export const bt = (c: EmulateCtxt): number => bitOp(c, (value) => value);
export const bts = (c: EmulateCtxt): number => bitOp(c, (value, mask) => value | mask);
export const btr = (c: EmulateCtxt): number => bitOp(c, (value, mask) => value & ~mask);
export const btc = (c: EmulateCtxt): number => bitOp(c, (value, mask) => value ^ mask);

function lowestBit(value: bigint): number {
  let n = 0;
  while (bit(value, n) === 0) n++;
  return n;
}

function highestBit(value: bigint): number {
  return value.toString(2).length - 1;
}

/** bsf and bsr of zero leave the destination. */
function scan(c: EmulateCtxt, find: (value: bigint) => number): number {
  const value = big(c.src);
  flags(c, ZF, value === 0n ? ZF : 0);
  if (value === 0n) c.skipWrite = true;
  else store(c.dst, BigInt(find(value)));
  return X86EMUL_CONTINUE;
}

export const bsf = (c: EmulateCtxt): number => scan(c, lowestBit);
export const bsr = (c: EmulateCtxt): number => scan(c, highestBit);

function count(c: EmulateCtxt, n: number, width: number): number {
  store(c.dst, BigInt(n));
  flags(c, CF | ZF, (n === width ? CF : 0) | (n === 0 ? ZF : 0));
  return X86EMUL_CONTINUE;
}

export function tzcnt(c: EmulateCtxt): number {
  const value = big(c.src);
  const width = c.dst.bytes * 8;
  return count(c, value === 0n ? width : lowestBit(value), width);
}

export function lzcnt(c: EmulateCtxt): number {
  const value = big(c.src);
  const width = c.dst.bytes * 8;
  return count(c, value === 0n ? width : width - 1 - highestBit(value), width);
}

export function popcnt(c: EmulateCtxt): number {
  let n = 0;
  for (let value = big(c.src); value !== 0n; value &= value - 1n) n++;
  store(c.dst, BigInt(n));
  flags(c, ARITHMETIC, n === 0 ? ZF : 0);
  return X86EMUL_CONTINUE;
}

// ---- moves

export function movsx(c: EmulateCtxt): number {
  store(c.dst, BigInt.asIntN(c.src.bytes * 8, big(c.src)));
  return X86EMUL_CONTINUE;
}

export function movbe(c: EmulateCtxt): number {
  const value = big(c.src);
  let swapped = 0n;
  for (let i = 0; i < c.dst.bytes; i++) swapped = (swapped << 8n) | ((value >> BigInt(i * 8)) & 0xffn);
  store(c.dst, swapped);
  return X86EMUL_CONTINUE;
}

// ---- exchange

export function xadd(c: EmulateCtxt): number {
  const { lo, hi } = c.dst;
  add(c);
  c.src.lo = lo;
  c.src.hi = hi;
  c.writeSrc = true;
  return X86EMUL_CONTINUE;
}

/** Memory is written in any case, as on hardware; the accumulator takes the old value when they differ. */
export function cmpxchg(c: EmulateCtxt): number {
  const { dst, src } = c;
  const { lo, hi, bytes } = dst;
  if (compare(c, bytes, accumulatorOf(c, bytes), lo, hi)) {
    dst.lo = src.lo;
    dst.hi = src.hi;
  } else {
    assignReg(c, RAX, bytes, lo, hi);
    if (dst.type !== OP_MEM) c.skipWrite = true;
  }
  return X86EMUL_CONTINUE;
}

/** cmpxchg8b: EDX:EAX with memory, ECX:EBX into it. cmpxchg16b is not emulated. */
export function cmpxchg8b(c: EmulateCtxt): number {
  const { dst } = c;
  if (dst.type !== OP_MEM) return emulateUd(c);
  if (regLo(c, RAX) !== dst.lo || regLo(c, RDX) !== dst.hi) {
    setReg(c, RAX, dst.lo, 0);
    setReg(c, RDX, dst.hi, 0);
    flags(c, ZF, 0);
  } else {
    dst.lo = regLo(c, RBX);
    dst.hi = regLo(c, RCX);
    flags(c, ZF, ZF);
  }
  return X86EMUL_CONTINUE;
}

// ---- multiplication and division

function setProductFlags(c: EmulateCtxt, overflow: boolean): void {
  flags(c, CF | OF, overflow ? CF | OF : 0);
}

function imul(c: EmulateCtxt, a: Operand, b: Operand): number {
  const width = c.dst.bytes * 8;
  const product = BigInt.asIntN(width, big(a)) * BigInt.asIntN(width, big(b));
  store(c.dst, product);
  setProductFlags(c, BigInt.asIntN(width, product) !== product);
  return X86EMUL_CONTINUE;
}

export const imul2 = (c: EmulateCtxt): number => imul(c, c.dst, c.src);
export const imul3 = (c: EmulateCtxt): number => imul(c, c.src, c.src2);

function accumulatorOf(c: EmulateCtxt, bytes: number): bigint {
  return BigInt.asUintN(bytes * 8, (BigInt(regHi(c, RAX)) << 32n) | BigInt(regLo(c, RAX)));
}

/** The double-width result of mul: AX, DX:AX, EDX:EAX, RDX:RAX. */
function storeWide(c: EmulateCtxt, bytes: number, value: bigint): void {
  const halves = (part: bigint): [number, number] => [Number(part & 0xffffffffn), Number((part >> 32n) & 0xffffffffn)];
  if (bytes === 1) {
    assignReg(c, RAX, 2, Number(value & 0xffffn), 0);
    return;
  }
  const width = BigInt(bytes * 8);
  const [lo, loHi] = halves(BigInt.asUintN(bytes * 8, value));
  const [hi, hiHi] = halves(BigInt.asUintN(bytes * 8, value >> width));
  assignReg(c, RAX, bytes, lo, loHi);
  assignReg(c, RDX, bytes, hi, hiHi);
}

export function mul(c: EmulateCtxt): number {
  const { bytes } = c.dst;
  const product = accumulatorOf(c, bytes) * big(c.dst);
  storeWide(c, bytes, product);
  setProductFlags(c, product >> BigInt(bytes * 8) !== 0n);
  return X86EMUL_CONTINUE;
}

export function imulWide(c: EmulateCtxt): number {
  const { bytes } = c.dst;
  const product = BigInt.asIntN(bytes * 8, accumulatorOf(c, bytes)) * BigInt.asIntN(bytes * 8, big(c.dst));
  storeWide(c, bytes, product);
  setProductFlags(c, BigInt.asIntN(bytes * 8, product) !== product);
  return X86EMUL_CONTINUE;
}

function dividend(c: EmulateCtxt, bytes: number): bigint {
  if (bytes === 1) return BigInt(regLo(c, RAX) & 0xffff);
  const high = BigInt.asUintN(bytes * 8, (BigInt(regHi(c, RDX)) << 32n) | BigInt(regLo(c, RDX)));
  return (high << BigInt(bytes * 8)) | accumulatorOf(c, bytes);
}

function divide(c: EmulateCtxt, signed: boolean): number {
  const { bytes } = c.dst;
  const width = bytes * 8;
  const as = (bits: number, of: bigint): bigint => (signed ? BigInt.asIntN(bits, of) : BigInt.asUintN(bits, of));
  const divisor = as(width, big(c.dst));
  const value = as(width * 2, dividend(c, bytes));
  if (divisor === 0n) return emulateException(c, DE_VECTOR, 0, false);
  const quotient = value / divisor;
  if (as(width, quotient) !== quotient) return emulateException(c, DE_VECTOR, 0, false);
  const remainder = value % divisor;
  storeWide(c, bytes, (BigInt.asUintN(width, remainder) << BigInt(width)) | BigInt.asUintN(width, quotient));
  return X86EMUL_CONTINUE;
}

export const div = (c: EmulateCtxt): number => divide(c, false);
export const idiv = (c: EmulateCtxt): number => divide(c, true);

