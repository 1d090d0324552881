/**
 * Floating-point arithmetic with MXCSR: WebAssembly's operators round to nearest, raise nothing and leave NaNs open. Their
 * result is the processor's where MXCSR rounds to nearest, the precision exception is masked and sticky already, and
 * operands and result are ordinary: neither zero nor denormal, infinite or NaN. Everything else goes to computeFloat() of
 * the microcode.
 */
import { MXCSR, SCRATCH } from '../../state/layout.ts';
import { FLOAT_RESULT, FLOAT_X, FLOAT_Y, FLOAT_Z } from '../../state/float-operation.ts';
import type { Value } from '../../wasm/function-builder.ts';
import * as op from '../../wasm/opcodes.ts';
import type { Emitter } from '../emitter.ts';
import { loadParts, type Vector } from './operand.ts';
import { bitsOf, type Width } from './scalar.ts';
import { lanes, simd, simdTest, type SimdName } from './simd.ts';

const SUFFIX = { 4: 'F32', 8: 'F64' } as const;
type PackedOp = 'add' | 'sub' | 'mul' | 'div' | 'sqrt' | 'eq' | 'ne' | 'lt' | 'gt' | 'le' | 'ge' | 'abs' | 'pmin' | 'pmax'
  | 'ceil' | 'floor' | 'trunc' | 'nearest';

/** A vector operator of the given width, by its name without suffix. */
export function packed(b: Emitter, name: PackedOp, width: Width, ...values: readonly Value[]): Value {
  return simd(b, `${name}${SUFFIX[width]}` satisfies SimdName, ...values);
}

// ---- MXCSR

const PE = 0x20;
const DAZ = 0x40;
const PM = 0x1000;
const RC = 0x6000;

/** Whether inexact results go unnoticed, as i32. `nearest`: and are rounded to nearest; `denormals`: and denormals are seen as they are. */
export function inexactAllowed(b: Emitter, nearest: boolean, denormals = false): Value {
  const mask = PE | PM | (nearest ? RC : 0) | (denormals ? DAZ : 0);
  return b.eq(b.and(b.loadI32(b.cpu, MXCSR), b.i32(mask)), b.i32(PE | PM));
}

// ---- ordinary numbers

/** The upper half of the least number taken for ordinary: twice the least normal one, to which a tiny one may round. */
const LEAST = { 4: 0x0100_0000, 8: 0x0020_0000 } as const;
const NORMAL = { 4: 0x0080_0000, 8: 0x0010_0000 } as const;
const INFINITY = { 4: 0x7f80_0000, 8: 0x7ff0_0000 } as const;

function splat(b: Emitter, width: Width, upper: number): Value {
  return width === 8 ? lanes(b, 8, 0, upper) : lanes(b, 4, upper);
}

/** Whether all lanes of a mask are set, as i32. */
export function allSet(b: Emitter, width: Width, mask: Value): Value {
  return b.eq(simdTest(b, width === 8 ? 'bitmask64' : 'bitmask32', mask), b.i32(width === 8 ? 3 : 15));
}

/** Lanes where operands and result are ordinary. An infinite or NaN operand shows in the result. */
export function ordinaryLanes(b: Emitter, width: Width, result: Value, ...operands: readonly Value[]): Value {
  const size = packed(b, 'abs', width, result);
  const least = operands.reduce((value, x) => packed(b, 'pmin', width, value, packed(b, 'abs', width, x)), size);
  return simd(b, 'and', packed(b, 'ge', width, least, splat(b, width, LEAST[width])), packed(b, 'lt', width, size, splat(b, width, INFINITY[width])));
}

/** Lanes that are zero, normal or infinite. */
export function plainLanes(b: Emitter, width: Width, x: Value): Value {
  const normal = packed(b, 'ge', width, packed(b, 'abs', width, x), splat(b, width, NORMAL[width]));
  return simd(b, 'or', normal, packed(b, 'eq', width, x, splat(b, width, 0)));
}

/** The bits without the sign, doubled. */
function doubled(b: Emitter, width: Width, x: Value): Value {
  return b.shl(bitsOf(b, width, x), b.constant(width, 1));
}

/** A constant with the given upper half, doubled. */
function twice(b: Emitter, width: Width, upper: number): Value {
  return width === 8 ? b.i64(0, (upper * 2) | 0) : b.i32((upper * 2) | 0);
}

/** Whether a number is ordinary, as i32. */
export function isOrdinary(b: Emitter, width: Width, x: Value): Value {
  const least = twice(b, width, LEAST[width]);
  const range = twice(b, width, INFINITY[width] - LEAST[width]);
  return b.ltU(b.sub(doubled(b, width, x), least), range);
}

/** Whether a number is not denormal, as i32. */
export function isNotDenormal(b: Emitter, width: Width, x: Value): Value {
  const one = b.constant(width, 1);
  return b.int('geU', b.sub(doubled(b, width, x), one), b.sub(twice(b, width, NORMAL[width]), one));
}

/** All of some conditions (i32, 0 or 1). */
export function all(b: Emitter, conditions: readonly Value[]): Value {
  return conditions.reduce((x, y) => b.and(x, y));
}

// ---- microcode

/** An operation of computeFloat(): operands that lie in registers already as parts, or as numbers of a width. */
export interface FloatCall {
  /** FLOAT_*. */
  readonly operation: number;
  /** Elements. */
  readonly count: number;
  readonly control?: Value;
  readonly x?: Vector;
  readonly y?: Vector;
  readonly z?: Vector;
}

function place(b: Emitter, at: number, parts: Vector | undefined): void {
  const [low, high] = parts ?? [];
  if (!low) return;
  if (low.type === op.V128) b.storeV128(b.cpu, SCRATCH + at, low);
  else if (low.type === op.F64) b.store(op.F64_STORE, b.cpu, SCRATCH + at, low);
  else if (low.type === op.F32) b.store(op.F32_STORE, b.cpu, SCRATCH + at, low);
  else if (low.type === op.I64) b.storeI64(b.cpu, SCRATCH + at, low);
  else b.storeI32(b.cpu, SCRATCH + at, low);
  if (high) b.storeV128(b.cpu, SCRATCH + at + 16, high);
}

/** Computes in microcode; leaves with #XM where that raises it. The result is in SCRATCH. */
export function computeFloat(b: Emitter, call: FloatCall): void {
  place(b, FLOAT_X, call.x);
  place(b, FLOAT_Y, call.y);
  place(b, FLOAT_Z, call.z);
  const status = b.micro('computeFloat', op.I32, b.i32(call.operation), b.i32(call.count), call.control ?? b.i32(0));
  b.leaveWithFault(status);
}

/** The result of computeFloat() as parts. */
export function resultParts(b: Emitter, size: number): Vector {
  return loadParts(b, b.add(b.cpu, b.i32(SCRATCH + FLOAT_RESULT)), size);
}

/** The native result where it is certain, else the microcode's. */
export function certainOr(b: Emitter, native: Vector, certain: Value, call: FloatCall): Vector {
  const out = native.map((part) => b.copy(part));
  b.if(b.eqz(certain), () => {
    computeFloat(b, call);
    for (const [i, part] of resultParts(b, out.length * 16).entries()) b.set(out[i]!, part);
  });
  return out;
}

const LOADS = new Map([[op.I32, op.I32_LOAD], [op.I64, op.I64_LOAD], [op.F32, op.F32_LOAD], [op.F64, op.F64_LOAD]]);

/** The same for a result that is one number. */
export function certainNumberOr(b: Emitter, native: Value, certain: Value, call: FloatCall): Value {
  const out = b.copy(native);
  b.if(b.eqz(certain), () => {
    computeFloat(b, call);
    b.set(out, b.load(LOADS.get(native.type)!, b.cpu, SCRATCH + FLOAT_RESULT));
  });
  return out;
}
