/** WebAssembly's vector operators by name, as functions over the emitter (core specification, 5.4.9). */
import type { Value } from '../../wasm/function-builder.ts';
import * as op from '../../wasm/opcodes.ts';
import type { Emitter } from '../emitter.ts';

const OPCODES = {
  swizzle: 14, splat8: 15, splat16: 16, splat32: 17, splat64: 18,
  eq8: 35, ltS8: 37, gtS8: 39, eq16: 45, ltS16: 47, gtS16: 49, eq32: 55, ltS32: 57, gtS32: 59,
  eqF32: 65, neF32: 66, ltF32: 67, gtF32: 68, leF32: 69, geF32: 70, eqF64: 71, neF64: 72, ltF64: 73, gtF64: 74, leF64: 75, geF64: 76,
  not: 77, and: 78, andnot: 79, or: 80, xor: 81, bitselect: 82, demote: 94, promote: 95,
  abs8: 96, neg8: 97, narrowS16: 101, narrowU16: 102, ceilF32: 103, floorF32: 104, truncF32: 105, nearestF32: 106,
  add8: 110, addSatS8: 111, addSatU8: 112, sub8: 113, subSatS8: 114, subSatU8: 115, ceilF64: 116, floorF64: 117,
  minS8: 118, minU8: 119, maxS8: 120, maxU8: 121, truncF64: 122, avg8: 123, pairwiseU8: 125, pairwiseU16: 127,
  abs16: 128, neg16: 129, q15mulr: 130, narrowS32: 133, narrowU32: 134, extendLowS8: 135, extendLowU8: 137,
  shl16: 139, shrS16: 140, shrU16: 141, add16: 142, addSatS16: 143, addSatU16: 144, sub16: 145, subSatS16: 146, subSatU16: 147,
  nearestF64: 148, mul16: 149, minS16: 150, minU16: 151, maxS16: 152, maxU16: 153, avg16: 155,
  abs32: 160, neg32: 161, extendLowS16: 167, extendLowU16: 169, extendHighU16: 170, shl32: 171, shrS32: 172, shrU32: 173,
  add32: 174, sub32: 177, mul32: 181, minS32: 182, minU32: 183, maxS32: 184, maxU32: 185, dot16: 186,
  extmulLowS16: 188, extmulHighS16: 189, extmulLowU16: 190, extmulHighU16: 191,
  extendLowS32: 199, extendLowU32: 201, shl64: 203, shrU64: 205, add64: 206, sub64: 209, eq64: 214, gtS64: 217,
  extmulLowS32: 220, extmulLowU32: 222,
  absF32: 224, sqrtF32: 227, addF32: 228, subF32: 229, mulF32: 230, divF32: 231, pminF32: 234, pmaxF32: 235,
  absF64: 236, sqrtF64: 239, addF64: 240, subF64: 241, mulF64: 242, divF64: 243, pminF64: 246, pmaxF64: 247,
  truncSatF32: 248, convertF32: 250, truncSatF64: 252, convertF64: 254,
} as const;
export type SimdName = keyof typeof OPCODES;

const TESTS = { anyTrue: 83, bitmask8: 100, bitmask32: 164, bitmask64: 196 } as const;

const V128_CONST = 12;
const SHUFFLE = 13;
const LOAD32_ZERO = 92;
const LOAD64_ZERO = 93;
const STORE64_LANE = 91;

/** An operator from vectors (and i32 counts) to a vector. */
export function simd(b: Emitter, name: SimdName, ...values: readonly Value[]): Value {
  return b.simd(OPCODES[name], op.V128, values);
}

/** An operator from a vector to i32. */
export function simdTest(b: Emitter, name: keyof typeof TESTS, value: Value): Value {
  return b.simd(TESTS[name], op.I32, [value]);
}

/** A constant from sixteen bytes. */
export function bytes(b: Emitter, list: readonly number[]): Value {
  if (list.length !== 16) throw new Error(`a vector constant of ${list.length} bytes`);
  return b.simd(V128_CONST, op.V128, [], list);
}

/** A constant of equal lanes of `size` bytes, from the two halves of one. */
export function lanes(b: Emitter, size: number, low: number, high = 0): Value {
  return bytes(b, Array.from({ length: 16 }, (_, i) => {
    const at = i % size;
    return ((at < 4 ? low : high) >>> ((at & 3) * 8)) & 0xff;
  }));
}

export function zero(b: Emitter): Value {
  return lanes(b, 8, 0);
}

/** Picks bytes of the two vectors (0..15 of the first, 16..31 of the second). */
export function shuffle(b: Emitter, x: Value, y: Value, picks: readonly number[]): Value {
  if (picks.length !== 16) throw new Error(`a shuffle of ${picks.length} bytes`);
  return b.simd(SHUFFLE, op.V128, [x, y], picks);
}

/** A shuffle of lanes of `size` bytes. */
export function shuffleLanes(b: Emitter, size: number, x: Value, y: Value, picks: readonly number[]): Value {
  return shuffle(b, x, y, picks.flatMap((pick) => Array.from({ length: size }, (_, i) => pick * size + i)));
}

/** 4 or 8 bytes at an address, with zeros above. */
export function loadZero(b: Emitter, address: Value, size: 4 | 8): Value {
  b.push(address);
  b.simdMemarg(size === 4 ? LOAD32_ZERO : LOAD64_ZERO, 0);
  return b.pop(op.V128);
}

/** Stores the low eight bytes. */
export function storeLow(b: Emitter, address: Value, offset: number, value: Value): void {
  b.push(address);
  b.push(value);
  b.simdMemarg(STORE64_LANE, offset);
  b.code.byte(0);
}

const EXTRACT_LANE = { 4: 27, 8: 29 } as const;
const REPLACE_LANE = { 4: 28, 8: 30 } as const;
const EXTRACT_FLOAT = { 4: 31, 8: 33 } as const;
const REPLACE_FLOAT = { 4: 32, 8: 34 } as const;

/** Element i as integer. */
export function lane(b: Emitter, size: 4 | 8, x: Value, i: number): Value {
  return b.simd(EXTRACT_LANE[size], size === 8 ? op.I64 : op.I32, [x], [i]);
}

export function withLane(b: Emitter, size: 4 | 8, x: Value, i: number, value: Value): Value {
  return b.simd(REPLACE_LANE[size], op.V128, [x, value], [i]);
}

/** The low element as number. */
export function floatLane(b: Emitter, width: 4 | 8, x: Value): Value {
  return b.simd(EXTRACT_FLOAT[width], width === 8 ? op.F64 : op.F32, [x], [0]);
}

export function withFloatLane(b: Emitter, width: 4 | 8, x: Value, value: Value): Value {
  return b.simd(REPLACE_FLOAT[width], op.V128, [x, value], [0]);
}

/** Whether a value is a constant when code is staged. */
export function constantOf(value: Value): number | null {
  return value.local < 0 ? value.lo : null;
}
