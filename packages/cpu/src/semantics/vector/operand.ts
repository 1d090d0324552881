/**
 * Vector operands: what an instruction checks first, where its sources lie, and the frames that most instructions share.
 * The meaning of an operation is a function from vectors of sixteen bytes to one; a frame says where they come from: the
 * frames of MMX, of SSE (destination and first source are one operand) and of VEX (three operands, of 16 or 32 bytes).
 */
import { CR0, FSW, FTAG, FTOP, X87_BLOCKED } from '../../state/layout.ts';
import { RC_GPR, RC_MMX, RC_VEC } from '../../decode/instruction.ts';
import type { Value } from '../../wasm/function-builder.ts';
import * as op from '../../wasm/opcodes.ts';
import type { Emitter, Semantics } from '../emitter.ts';
import { floatLane, lane, loadZero, shuffleLanes, storeLow, withFloatLane, withLane, zero } from './simd.ts';

/** An operand's sixteen-byte parts, the low one first. */
export type Vector = readonly Value[];
export type Unary = (b: Emitter, x: Value) => Value;
export type Binary = (b: Emitter, x: Value, y: Value) => Value;
/** The immediate as i32, and which sixteen bytes of the operands these are. */
export type Immediate = (b: Emitter, x: Value, y: Value, immediate: Value, part: number) => Value;

const GP = 13;
const MF = 16;
const CR0_EM = 4;
const CR0_NE = 0x20;
const ES = 0x80;
const MMX_EXPONENT = 0xffff;
const PART = 16;

export function isMmx(b: Emitter, n: number): boolean {
  const operand = b.operand(n);
  return operand.kind === 'reg' && operand.regClass === RC_MMX;
}

/** Whether the instruction works on MMX registers: any of its operands is one. */
export function usesMmx(b: Emitter): boolean {
  return b.form.operands.some((_, n) => isMmx(b, n));
}

/** All mnemonics of VEX instructions on vectors begin so, and no others of the vector semantics. */
export function isVex(b: Emitter): boolean {
  return b.form.mnemonic.startsWith('v');
}

/** Position of the first of two source operands: the destination, or with VEX the operand after it. */
export function firstSource(b: Emitter): number {
  return isVex(b) ? 1 : 0;
}

export function secondSource(b: Emitter): number {
  return firstSource(b) + 1;
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

/** Checks of an instruction on XMM or YMM registers. */
export function requireXmm(b: Emitter): void {
  if (isVex(b)) b.requireAvx();
  else b.requireSse();
}

/** Checks for the register class that the instruction uses. */
export function require(b: Emitter): void {
  if (usesMmx(b)) requireMmx(b);
  else requireXmm(b);
}

/** Host address of operand n, of which `size` bytes are read. Sixteen bytes in memory must be aligned, but not with VEX. */
export function source(b: Emitter, n: number, size: number, aligned: boolean = size === PART && !isVex(b)): Value {
  if (b.operand(n).kind === 'reg') return b.registerPointer(n);
  const linear = b.address();
  if (aligned) requireAligned(b, linear, size);
  return b.translateRead(linear, size);
}

export function isGeneral(b: Emitter, n: number): boolean {
  const operand = b.operand(n);
  return operand.kind === 'reg' && operand.regClass === RC_GPR;
}

/** The low `size` bytes of a general register or of memory (operand n). */
export function readGeneral(b: Emitter, n: number, size: 1 | 2 | 4 | 8): Value {
  if (!isGeneral(b, n)) return size === 4 || size === 8 ? readLow(b, n, size) : b.loadSized(source(b, n, size), 0, size);
  const value = b.read(n);
  return size === 8 ? value : b.mask(size, b.wrap(value));
}

/** Zero-extends to general register operand n. */
export function writeGeneral(b: Emitter, n: number, value: Value): void {
  b.write(n, b.size(n) === 8 ? b.extendU(value) : b.wrap(value));
}

/** Stores at a linear address. */
export function storeParts(b: Emitter, linear: Value, parts: Vector): void {
  const { host, slow } = b.translateWrite(linear, parts.length * PART);
  for (const [i, part] of parts.entries()) b.storeV128(host, i * PART, part);
  b.commit(slow);
}

/** #GP(0) for an address that is not a multiple of the size. */
export function requireAligned(b: Emitter, linear: Value, size: number): void {
  b.raise(GP, 0, b.and(b.wrap(linear), b.i32(size - 1)));
}

/** Bytes of a vector operand as instructions use it: an XMM register is one of sixteen also where memory has fewer. */
export function vectorSize(b: Emitter): number {
  return Math.max(PART, ...b.form.operands.map((o) => (o.kind === 'reg' || o.kind === 'mem' ? o.size : 0)));
}

/** Loads the parts at an address. */
export function loadParts(b: Emitter, address: Value, size: number): Vector {
  const parts: Value[] = [];
  for (let at = 0; at < size; at += PART) parts.push(b.loadV128(address, at));
  return parts;
}

function localOf(b: Emitter, n: number, part: number, write: boolean): Value | null {
  const { kind, regClass } = b.operand(n);
  if (kind !== 'reg' || regClass !== RC_VEC) return null;
  const register = b.vectorNumber(n);
  return register < 0 ? null : b.vectorLocal(register, part, write);
}

/** Sixteen bytes of vector register operand n. */
function readPart(b: Emitter, n: number, part: number): Value {
  const local = localOf(b, n, part, false);
  return local ? b.copy(local) : b.loadV128(b.registerPointer(n), part * PART);
}

function writePart(b: Emitter, n: number, part: number, value: Value): void {
  const local = localOf(b, n, part, true);
  if (local) b.set(local, value);
  else b.storeV128(b.registerPointer(n), part * PART, value);
}

/** A vector register as `size` bytes. */
export function readRegister(b: Emitter, n: number, size: number): Vector {
  return Array.from({ length: size / PART }, (_, part) => readPart(b, n, part));
}

/** The low bytes of operand n, a vector register or memory, as integer. */
export function readLow(b: Emitter, n: number, size: 4 | 8): Value {
  const local = localOf(b, n, 0, false);
  return local ? lane(b, size, local, 0) : b.loadSized(source(b, n, size), 0, size);
}

/** The low eight bytes of operand n with zeros above, or with what is there. */
export function readLowVector(b: Emitter, n: number): Value {
  return localOf(b, n, 0, false) ? readPart(b, n, 0) : loadZero(b, source(b, n, 8), 8);
}

/** The low number of operand n, a vector register or memory. */
export function readFloat(b: Emitter, n: number, width: 4 | 8): Value {
  const local = localOf(b, n, 0, false);
  return local ? floatLane(b, width, local) : b.load(width === 8 ? op.F64_LOAD : op.F32_LOAD, source(b, n, width), 0);
}

/** Writes the low number of destination operand 0; what is above stays, or comes with VEX from the first source. */
export function writeFloat(b: Emitter, width: 4 | 8, value: Value): void {
  const rest = localOf(b, firstSource(b), 0, false);
  const local = localOf(b, 0, 0, true);
  if (!rest || !local) {
    b.store(width === 8 ? op.F64_STORE : op.F32_STORE, copyFirstSource(b), 0, value);
    return;
  }
  b.set(local, withFloatLane(b, width, rest, value));
  if (isVex(b)) writePart(b, 0, 1, zero(b));
}

/** Writes eight bytes, the lower (0) or the upper (1), in the same way. */
export function writeHalf(b: Emitter, half: 0 | 1, value: Value): void {
  const rest = localOf(b, firstSource(b), 0, false);
  const local = localOf(b, 0, 0, true);
  if (!rest || !local) {
    b.storeI64(copyFirstSource(b), half * 8, value);
    return;
  }
  b.set(local, withLane(b, 8, rest, half, value));
  if (isVex(b)) writePart(b, 0, 1, zero(b));
}

/** Eight bytes of vector register operand n. */
export function readHalf(b: Emitter, n: number, half: 0 | 1): Value {
  const local = localOf(b, n, 0, false);
  return local ? lane(b, 8, local, half) : b.loadI64(b.registerPointer(n), half * 8);
}

/** Reads operand n: a register of `size` bytes or as many of memory; of an MMX operand 8. */
export function readVector(b: Emitter, n: number, size: number = vectorSize(b)): Vector {
  if (!usesMmx(b)) return b.operand(n).kind === 'reg' ? readRegister(b, n, size) : loadParts(b, source(b, n, size), size);
  // PUNPCKL reads four bytes of memory.
  const narrow = b.operand(n).kind === 'mem' && b.size(n) === 4 ? 4 : 8;
  return [loadZero(b, source(b, n, narrow), narrow)];
}

/** Writes register operand n. VEX instructions clear what is above, others leave it. */
export function writeVector(b: Emitter, n: number, parts: Vector): void {
  const low = parts[0]!;
  if (isMmx(b, n)) {
    const pointer = b.registerPointer(n);
    storeLow(b, pointer, 0, low);
    b.storeI64(pointer, 8, b.i64(MMX_EXPONENT));
    return;
  }
  writePart(b, n, 0, low);
  if (isVex(b)) writePart(b, n, 1, parts[1] ?? zero(b));
}

/** Writes eight bytes to MMX register operand n. */
export function writeMmx(b: Emitter, n: number, value: Value): void {
  const pointer = b.registerPointer(n);
  b.storeI64(pointer, 0, value);
  b.storeI64(pointer, 8, b.i64(MMX_EXPONENT));
}

/** Before a part of destination operand 0 is written: with VEX the rest comes from the first source, and zeros above. */
export function copyFirstSource(b: Emitter): Value {
  const pointer = b.registerPointer(0);
  if (!isVex(b)) return pointer;
  const low = b.loadV128(b.registerPointer(1), 0);
  b.storeV128(pointer, 0, low);
  b.storeV128(pointer, PART, zero(b));
  return pointer;
}

/** dst := f(first, second), for XMM, YMM and, where the form has MMX registers, for MMX by `narrow` (by default the same). */
export function binary(wide: Binary, narrow: Binary = wide): Semantics {
  return (b) => {
    const mmx = usesMmx(b);
    require(b);
    const y = readVector(b, secondSource(b));
    const x = readVector(b, firstSource(b));
    if (mmx) enterMmx(b);
    const f = mmx ? narrow : wide;
    writeVector(b, 0, x.map((part, i) => f(b, part, y[i]!)));
  };
}

/** dst := f(src). */
export function unary(f: Unary): Semantics {
  return (b) => {
    require(b);
    const x = readVector(b, 1);
    if (usesMmx(b)) enterMmx(b);
    writeVector(b, 0, x.map((part) => f(b, part)));
  };
}

/** dst := f(first, second, immediate). */
export function withImmediate(f: Immediate): Semantics {
  return (b) => {
    require(b);
    const y = readVector(b, secondSource(b));
    const x = readVector(b, firstSource(b));
    if (usesMmx(b)) enterMmx(b);
    const immediate = imm8(b);
    writeVector(b, 0, x.map((part, i) => f(b, part, y[i]!, immediate, i)));
  };
}

/** dst := f(src, immediate). */
export function unaryWithImmediate(f: (b: Emitter, x: Value, immediate: Value, part: number) => Value): Semantics {
  return (b) => {
    require(b);
    const x = readVector(b, 1);
    if (usesMmx(b)) enterMmx(b);
    const immediate = imm8(b);
    writeVector(b, 0, x.map((part, i) => f(b, part, immediate, i)));
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
