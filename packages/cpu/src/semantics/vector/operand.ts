/**
 * Vector operands: what an instruction checks first, where its source lies, and the frames that most instructions share.
 * The meaning of an operation is a function from vectors to a vector; a frame says where they come from.
 */
import { CR0, FSW, FTAG, FTOP, X87_BLOCKED } from '../../state/layout.ts';
import { RC_MMX } from '../../decode/instruction.ts';
import type { Value } from '../../wasm/function-builder.ts';
import type { Emitter, Semantics } from '../emitter.ts';
import { loadZero, shuffleLanes, storeLow } from './simd.ts';

export type Unary = (b: Emitter, x: Value) => Value;
export type Binary = (b: Emitter, x: Value, y: Value) => Value;

const GP = 13;
const MF = 16;
const CR0_EM = 4;
const CR0_NE = 0x20;
const ES = 0x80;
const MMX_EXPONENT = 0xffff;

export function isMmx(b: Emitter, n: number): boolean {
  const operand = b.operand(n);
  return operand.kind === 'reg' && operand.regClass === RC_MMX;
}

/** Whether the instruction works on MMX registers: any of its operands is one. */
export function usesMmx(b: Emitter): boolean {
  return b.form.operands.some((_, n) => isMmx(b, n));
}

/** The checks of an MMX instruction (SDM vol. 3B, table 24-3): #UD, #NM, a pending x87 error. */
export function requireMmx(b: Emitter): void {
  b.if(b.loadI32(b.cpu, X87_BLOCKED), () => {
    b.raise(6, null, b.and(b.loadI32(b.cpu, CR0), b.i32(CR0_EM)));
    b.raise(7, null, null);
  });
  const pending = b.and(b.loadI32(b.cpu, FSW), b.i32(ES));
  b.raise(MF, null, b.and(b.shrU(pending, b.i32(2)), b.and(b.loadI32(b.cpu, CR0), b.i32(CR0_NE))));
}

/** Using an MMX register makes all of them valid and TOP zero (SDM vol. 3B, 13.2). */
export function enterMmx(b: Emitter): void {
  b.storeI32(b.cpu, FTOP, b.i32(0));
  b.storeI32(b.cpu, FTAG, b.i32(0xff));
}

/** Checks for the register class that the instruction uses. */
export function require(b: Emitter): void {
  if (usesMmx(b)) requireMmx(b);
  else b.requireSse();
}

/** Host address of operand n, of which `size` bytes are read; a 16-byte one in memory must be aligned. */
export function source(b: Emitter, n: number, size: number, aligned: boolean = size === 16): Value {
  if (b.operand(n).kind === 'reg') return b.registerPointer(n);
  const linear = b.address();
  if (aligned) requireAligned(b, linear);
  return b.translateRead(linear, size);
}

/** #GP(0) for an address that is not a multiple of sixteen. */
export function requireAligned(b: Emitter, linear: Value): void {
  b.raise(GP, 0, b.and(b.wrap(linear), b.i32(15)));
}

/** Reads operand n as a vector: all of an XMM register or 16 bytes of memory, or the 8 bytes of an MMX operand. */
export function readVector(b: Emitter, n: number, mmx: boolean): Value {
  if (!mmx) return b.loadV128(source(b, n, 16), 0);
  // PUNPCKL reads four bytes of memory.
  const size = b.operand(n).kind === 'mem' && b.size(n) === 4 ? 4 : 8;
  return loadZero(b, source(b, n, size), size);
}

/** Writes register operand n. */
export function writeVector(b: Emitter, n: number, value: Value, mmx: boolean): void {
  const pointer = b.registerPointer(n);
  if (!mmx) {
    b.storeV128(pointer, 0, value);
    return;
  }
  storeLow(b, pointer, 0, value);
  b.storeI64(pointer, 8, b.i64(MMX_EXPONENT));
}

/** Writes eight bytes to MMX register operand n. */
export function writeMmx(b: Emitter, n: number, value: Value): void {
  const pointer = b.registerPointer(n);
  b.storeI64(pointer, 0, value);
  b.storeI64(pointer, 8, b.i64(MMX_EXPONENT));
}

/** dst := f(dst, src), for XMM and, where the form has MMX registers, for MMX by `narrow` (by default the same). */
export function binary(wide: Binary, narrow: Binary = wide): Semantics {
  return (b) => {
    const mmx = usesMmx(b);
    require(b);
    const y = readVector(b, 1, mmx);
    const x = readVector(b, 0, mmx);
    if (mmx) enterMmx(b);
    writeVector(b, 0, (mmx ? narrow : wide)(b, x, y), mmx);
  };
}

/** dst := f(src). */
export function unary(f: Unary): Semantics {
  return (b) => {
    const mmx = usesMmx(b);
    require(b);
    const x = readVector(b, 1, mmx);
    if (mmx) enterMmx(b);
    writeVector(b, 0, f(b, x), mmx);
  };
}

/** dst := f(dst, src, immediate), the immediate as i32. */
export function withImmediate(f: (b: Emitter, x: Value, y: Value, immediate: Value) => Value): Semantics {
  return (b) => {
    const mmx = usesMmx(b);
    require(b);
    const y = readVector(b, 1, mmx);
    const x = readVector(b, 0, mmx);
    if (mmx) enterMmx(b);
    writeVector(b, 0, f(b, x, y, imm8(b)), mmx);
  };
}

/** The immediate byte as i32. */
export function imm8(b: Emitter): Value {
  return b.and(b.wrap(b.immediate()), b.i32(0xff));
}

/** Both low halves in one vector. */
export function joinLow(b: Emitter, x: Value, y: Value): Value {
  return shuffleLanes(b, 8, x, y, [0, 2]);
}

/** An operation on pairs of neighbours or wider elements, for MMX: both operands side by side in one vector. */
export function folded(f: Binary): Binary {
  return (b, x, y) => {
    const both = joinLow(b, x, y);
    return f(b, both, both);
  };
}
