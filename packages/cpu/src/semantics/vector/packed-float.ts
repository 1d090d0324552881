/** Packed and scalar floating-point arithmetic: SSE to SSE4.1, AVX. What MXCSR does: see float-exact.ts. */
import {
  FLOAT_ADD, FLOAT_ADDSUB, FLOAT_DIV, FLOAT_DOT, FLOAT_DOUBLE, FLOAT_MAX, FLOAT_MIN, FLOAT_MUL, FLOAT_SQRT, FLOAT_SUB,
} from '../../state/float-operation.ts';
import type { Value } from '../../wasm/function-builder.ts';
import * as op from '../../wasm/opcodes.ts';
import type { Emitter, Semantics } from '../emitter.ts';
import {
  all, allSet, certainNumberOr, certainOr, computeFloat, inexactAllowed, isNotDenormal, isOrdinary, ordinaryLanes, packed, plainLanes, resultParts,
} from './float-exact.ts';
import {
  firstSource, imm8, readVector, requireXmm, secondSource, unary, writeVector, type Vector, readFloat, writeFloat,
} from './operand.ts';
import { bitsOf, compareFloat, float, fromBits, type Width } from './scalar.ts';
import { lanes, shuffleLanes, simd, simdTest } from './simd.ts';

const ARITHMETIC = { add: FLOAT_ADD, sub: FLOAT_SUB, mul: FLOAT_MUL, div: FLOAT_DIV } as const;
type Arithmetic = keyof typeof ARITHMETIC;

/** An operation of computeFloat() for the width. */
export function ofWidth(operation: number, width: Width): number {
  return width === 8 ? operation | FLOAT_DOUBLE : operation;
}

/** Elements in some parts. */
export function elements(parts: Vector, width: Width): number {
  return (parts.length * 16) / width;
}

/** Lanes that hold in all parts, as i32. */
function inAllParts(b: Emitter, width: Width, masks: readonly Value[]): Value {
  return allSet(b, width, masks.reduce((x, y) => simd(b, 'and', x, y)));
}

/** f of both vectors natively where that is certain, else the operation of the microcode. */
function packedOr(b: Emitter, operation: number, width: Width, x: Vector, y: Vector, native: (x: Value, y: Value) => Value): Vector {
  const results = x.map((part, i) => native(part, y[i]!));
  const ordinary = inAllParts(b, width, results.map((result, i) => ordinaryLanes(b, width, result, x[i]!, y[i]!)));
  const certain = b.and(ordinary, inexactAllowed(b, true));
  return certainOr(b, results, certain, { operation: ofWidth(operation, width), count: elements(x, width), x, y });
}

function packedForm(f: (b: Emitter, x: Vector, y: Vector) => Vector): Semantics {
  return (b) => {
    requireXmm(b);
    const y = readVector(b, secondSource(b));
    const x = readVector(b, firstSource(b));
    writeVector(b, 0, f(b, x, y));
  };
}

function packedArithmetic(name: Arithmetic, width: Width): Semantics {
  return packedForm((b, x, y) => packedOr(b, ARITHMETIC[name], width, x, y, (p, q) => packed(b, name, width, p, q)));
}

/** MINPS: the second operand unless the first is less; also of zeros. */
function packedExtreme(name: 'pmin' | 'pmax', width: Width): Semantics {
  const operation = ofWidth(name === 'pmin' ? FLOAT_MIN : FLOAT_MAX, width);
  return packedForm((b, x, y) => {
    const results = x.map((part, i) => packed(b, name, width, y[i]!, part));
    const certain = inAllParts(b, width, [...x, ...y].map((part) => plainLanes(b, width, part)));
    return certainOr(b, results, certain, { operation, count: elements(x, width), x, y });
  });
}

function packedRoot(width: Width): Semantics {
  return (b) => {
    requireXmm(b);
    const y = readVector(b, 1);
    const results = y.map((part) => packed(b, 'sqrt', width, part));
    const ordinary = inAllParts(b, width, results.map((result, i) => ordinaryLanes(b, width, result, y[i]!)));
    const certain = b.and(ordinary, inexactAllowed(b, true));
    writeVector(b, 0, certainOr(b, results, certain, { operation: ofWidth(FLOAT_SQRT, width), count: elements(y, width), y }));
  };
}

/** ADDSUB: even elements subtracted, odd ones added. */
function addSubtract(width: Width): Semantics {
  const picks = width === 8 ? [0, 3] : [0, 5, 2, 7];
  return packedForm((b, x, y) => packedOr(b, FLOAT_ADDSUB, width, x, y, (p, q) =>
    shuffleLanes(b, width, packed(b, 'sub', width, p, q), packed(b, 'add', width, p, q), picks)));
}

/** HADD, HSUB: the first of each pair with the second. */
function horizontal(name: 'add' | 'sub', width: Width): Semantics {
  const picks = width === 8 ? [0, 2] : [0, 2, 4, 6];
  return packedForm((b, x, y) => {
    const even = x.map((part, i) => shuffleLanes(b, width, part, y[i]!, picks));
    const odd = x.map((part, i) => shuffleLanes(b, width, part, y[i]!, picks.map((n) => n + 1)));
    return packedOr(b, ARITHMETIC[name], width, even, odd, (p, q) => packed(b, name, width, p, q));
  });
}

/** DPPS, DPPD. */
function dotProduct(width: Width): Semantics {
  return packedForm((b, x, y) => {
    computeFloat(b, { operation: ofWidth(FLOAT_DOT, width), count: elements(x, width), control: imm8(b), x, y });
    return resultParts(b, x.length * 16);
  });
}

// ---- the low element of the destination from both low elements; what is above stays, or comes from the first source

function scalarForm(width: Width, f: (b: Emitter, x: Value, y: Value) => Value): Semantics {
  return (b) => {
    requireXmm(b);
    const y = readFloat(b, secondSource(b), width);
    const x = readFloat(b, firstSource(b), width);
    const result = f(b, x, y);
    writeFloat(b, width, result);
  };
}

function scalarArithmetic(name: Arithmetic, width: Width): Semantics {
  return scalarForm(width, (b, x, y) => {
    const result = float(b, width, name, x, y);
    const certain = all(b, [inexactAllowed(b, true), ...[x, y, result].map((value) => isOrdinary(b, width, value))]);
    return certainNumberOr(b, result, certain, { operation: ofWidth(ARITHMETIC[name], width), count: 1, x: [x], y: [y] });
  });
}

function scalarRoot(width: Width): Semantics {
  return scalarForm(width, (b, _, y) => {
    const result = float(b, width, 'sqrt', y);
    const certain = all(b, [inexactAllowed(b, true), isOrdinary(b, width, y), isOrdinary(b, width, result)]);
    return certainNumberOr(b, result, certain, { operation: ofWidth(FLOAT_SQRT, width), count: 1, y: [y] });
  });
}

function scalarExtreme(comparison: 'lt' | 'gt', width: Width): Semantics {
  const operation = ofWidth(comparison === 'lt' ? FLOAT_MIN : FLOAT_MAX, width);
  return scalarForm(width, (b, x, y) => {
    const less = compareFloat(b, width, comparison, x, y);
    const bits = b.select(less, bitsOf(b, width, x), bitsOf(b, width, y));
    const ordered = b.or(compareFloat(b, width, 'le', x, y), compareFloat(b, width, 'gt', x, y));
    const certain = all(b, [ordered, isNotDenormal(b, width, x), isNotDenormal(b, width, y)]);
    return certainNumberOr(b, fromBits(b, width, bits), certain, { operation, count: 1, x: [x], y: [y] });
  });
}

// ---- reciprocals: no exceptions, MXCSR has no say

function signBit(b: Emitter): Value {
  return lanes(b, 4, 0x8000_0000);
}

/** NaN lanes of the result as the operand makes them: its own NaN, quiet, or the default one. */
function withNans(b: Emitter, result: Value, x: Value): Value {
  const nan = packed(b, 'ne', 4, result, result);
  const out = b.copy(result);
  b.if(simdTest(b, 'anyTrue', nan), () => {
    const quiet = simd(b, 'or', x, lanes(b, 4, 0x0040_0000));
    const made = simd(b, 'bitselect', quiet, lanes(b, 4, 0xffc0_0000), packed(b, 'ne', 4, x, x));
    b.set(out, simd(b, 'bitselect', made, result, nan));
  });
  return out;
}

/** They are computed in full; the manual allows an error of 1.5 * 2^-12. Denormals count as zeros. */
function reciprocal(root: boolean): (b: Emitter, x: Value) => Value {
  return (b, x) => {
    const least = lanes(b, 4, 0x0080_0000);
    const sign = simd(b, 'and', x, signBit(b));
    const tiny = packed(b, 'lt', 4, packed(b, 'abs', 4, x), least);
    const operand = simd(b, 'bitselect', sign, x, tiny);
    const divisor = root ? packed(b, 'sqrt', 4, operand) : operand;
    const quotient = packed(b, 'div', 4, lanes(b, 4, 0x3f80_0000), divisor);
    const flushed = packed(b, 'lt', 4, packed(b, 'abs', 4, quotient), least);
    return withNans(b, simd(b, 'bitselect', sign, quotient, flushed), x);
  };
}

const EXTRACT_LANE_F32 = 31;

/** A packed function of one operand for the low element. */
function lowLane(f: (b: Emitter, x: Value) => Value): Semantics {
  return scalarForm(4, (b, _, y) => {
    const result = f(b, simd(b, 'splat32', bitsOf(b, 4, y)));
    return b.simd(EXTRACT_LANE_F32, op.F32, [result], [0]);
  });
}

function both(width: Width, suffix: string): Record<string, Semantics> {
  return {
    [`addp${suffix}`]: packedArithmetic('add', width), [`adds${suffix}`]: scalarArithmetic('add', width),
    [`subp${suffix}`]: packedArithmetic('sub', width), [`subs${suffix}`]: scalarArithmetic('sub', width),
    [`mulp${suffix}`]: packedArithmetic('mul', width), [`muls${suffix}`]: scalarArithmetic('mul', width),
    [`divp${suffix}`]: packedArithmetic('div', width), [`divs${suffix}`]: scalarArithmetic('div', width),
    [`minp${suffix}`]: packedExtreme('pmin', width), [`mins${suffix}`]: scalarExtreme('lt', width),
    [`maxp${suffix}`]: packedExtreme('pmax', width), [`maxs${suffix}`]: scalarExtreme('gt', width),
    [`sqrtp${suffix}`]: packedRoot(width), [`sqrts${suffix}`]: scalarRoot(width),
    [`addsubp${suffix}`]: addSubtract(width),
    [`haddp${suffix}`]: horizontal('add', width), [`hsubp${suffix}`]: horizontal('sub', width),
    [`dpp${suffix}`]: dotProduct(width),
  };
}

export const packedFloatSemantics: Readonly<Record<string, Semantics>> = {
  ...both(4, 's'),
  ...both(8, 'd'),
  rcpps: unary(reciprocal(false)), rcpss: lowLane(reciprocal(false)),
  rsqrtps: unary(reciprocal(true)), rsqrtss: lowLane(reciprocal(true)),
};
