/**
 * Packed and scalar floating-point arithmetic of SSE to SSE4.1. WebAssembly leaves open which NaN an operation gives, so
 * NaN results are made anew by the rule of SDM vol. 1, table 4-7: the first NaN operand, quieted, else the negative
 * default NaN.
 */
import type { Value } from '../../wasm/function-builder.ts';
import type { Emitter, Semantics } from '../emitter.ts';
import { readVector, source, withImmediate, writeVector, type Binary } from './operand.ts';
import { bitsOf, compareFloat, float, fromBits, loadFloat, storeFloat, type FloatOp, type Width } from './scalar.ts';
import { bytes, lanes, shuffleLanes, simd, simdTest, type SimdName } from './simd.ts';

const SUFFIX = { 4: 'F32', 8: 'F64' } as const;

/** A vector operator of the given width, by its name without suffix. */
export function packed(b: Emitter, name: 'add' | 'sub' | 'mul' | 'div' | 'sqrt' | 'eq' | 'ne' | 'lt' | 'le' | 'ge' | 'pmin' | 'pmax' | 'ceil' | 'floor' | 'trunc' | 'nearest', width: Width, ...values: readonly Value[]): Value {
  return simd(b, `${name}${SUFFIX[width]}` satisfies SimdName, ...values);
}

/** Lanes of one quiet bit, of the default NaN, of the sign bit. */
export function quietBit(b: Emitter, width: Width): Value {
  return width === 8 ? lanes(b, 8, 0, 0x0008_0000) : lanes(b, 4, 0x0040_0000);
}

export function defaultNan(b: Emitter, width: Width): Value {
  return width === 8 ? lanes(b, 8, 0, 0xfff8_0000) : lanes(b, 4, 0xffc0_0000);
}

export function signBit(b: Emitter, width: Width): Value {
  return width === 8 ? lanes(b, 8, 0, 0x8000_0000) : lanes(b, 4, 0x8000_0000);
}

/** The result with its NaN lanes as the operands x and y make them. */
export function withNans(b: Emitter, width: Width, result: Value, x: Value, y: Value): Value {
  const nan = packed(b, 'ne', width, result, result);
  const out = b.copy(result);
  b.if(simdTest(b, 'anyTrue', nan), () => {
    const quiet = quietBit(b, width);
    const second = simd(b, 'bitselect', simd(b, 'or', y, quiet), defaultNan(b, width), packed(b, 'ne', width, y, y));
    const first = simd(b, 'bitselect', simd(b, 'or', x, quiet), second, packed(b, 'ne', width, x, x));
    b.set(out, simd(b, 'bitselect', first, result, nan));
  });
  return out;
}

/** The same for one value. */
export function withNan(b: Emitter, width: Width, result: Value, x: Value, y: Value): Value {
  const out = b.copy(result);
  b.if(compareFloat(b, width, 'ne', result, result), () => {
    const quiet = width === 8 ? b.i64(0, 0x0008_0000) : b.i32(0x0040_0000);
    const nan = width === 8 ? b.i64(0, 0xfff8_0000 | 0) : b.i32(0xffc0_0000 | 0);
    const second = b.select(compareFloat(b, width, 'ne', y, y), b.or(bitsOf(b, width, y), quiet), nan);
    const first = b.select(compareFloat(b, width, 'ne', x, x), b.or(bitsOf(b, width, x), quiet), second);
    b.set(out, fromBits(b, width, first));
  });
  return out;
}

export function packedArithmetic(name: 'add' | 'sub' | 'mul' | 'div', width: Width): Binary {
  return (b, x, y) => withNans(b, width, packed(b, name, width, x, y), x, y);
}

/** MINPS: the second operand unless the first is less; also of zeros and NaNs. */
function packedExtreme(name: 'pmin' | 'pmax', width: Width): Binary {
  return (b, x, y) => packed(b, name, width, y, x);
}

function packedForm(f: Binary): Semantics {
  return (b) => {
    b.requireSse();
    const y = readVector(b, 1, false);
    const x = readVector(b, 0, false);
    writeVector(b, 0, f(b, x, y), false);
  };
}

function packedUnaryForm(f: (b: Emitter, x: Value) => Value): Semantics {
  return (b) => {
    b.requireSse();
    writeVector(b, 0, f(b, readVector(b, 1, false)), false);
  };
}

/** The low element of the destination from both low elements; what is above stays. */
function scalarForm(width: Width, f: (b: Emitter, x: Value, y: Value) => Value): Semantics {
  return (b) => {
    b.requireSse();
    const y = loadFloat(b, width, source(b, 1, width));
    const pointer = b.registerPointer(0);
    const x = loadFloat(b, width, pointer);
    storeFloat(b, width, pointer, f(b, x, y));
  };
}

function scalarArithmetic(name: FloatOp, width: Width): Semantics {
  return scalarForm(width, (b, x, y) => withNan(b, width, float(b, width, name, x, y), x, y));
}

function scalarExtreme(comparison: 'lt' | 'gt', width: Width): Semantics {
  return scalarForm(width, (b, x, y) => {
    const bits = b.select(compareFloat(b, width, comparison, x, y), bitsOf(b, width, x), bitsOf(b, width, y));
    return fromBits(b, width, bits);
  });
}

/** Reciprocals are computed in full; the manual allows an error of 1.5 * 2^-12. Denormals count as zeros. */
function reciprocal(root: boolean): (b: Emitter, x: Value) => Value {
  return (b, x) => {
    const least = lanes(b, 4, 0x0080_0000);
    const sign = simd(b, 'and', x, signBit(b, 4));
    const tiny = packed(b, 'lt', 4, simd(b, 'andnot', x, signBit(b, 4)), least);
    const operand = simd(b, 'bitselect', sign, x, tiny);
    const divisor = root ? packed(b, 'sqrt', 4, operand) : operand;
    const quotient = packed(b, 'div', 4, lanes(b, 4, 0x3f80_0000), divisor);
    const flushed = packed(b, 'lt', 4, simd(b, 'andnot', quotient, signBit(b, 4)), least);
    return withNans(b, 4, simd(b, 'bitselect', sign, quotient, flushed), x, x);
  };
}

/** A packed function of one operand for the low element. */
function lowLane(f: (b: Emitter, x: Value) => Value): Semantics {
  return (b) => {
    b.requireSse();
    const y = b.load(SINGLE_LOAD, source(b, 1, 4), 0);
    const pointer = b.registerPointer(0);
    const result = f(b, simd(b, 'splat32', y));
    const old = b.loadV128(pointer, 0);
    b.storeV128(pointer, 0, shuffleLanes(b, 4, result, old, [0, 5, 6, 7]));
  };
}

const SINGLE_LOAD = 0x28;

/** ADDSUB: even elements subtracted, odd ones added. */
function addSubtract(width: Width): Binary {
  return (b, x, y) => {
    const even = packed(b, 'sub', width, x, y);
    const odd = packed(b, 'add', width, x, y);
    const picks = width === 8 ? [0, 3] : [0, 5, 2, 7];
    return withNans(b, width, shuffleLanes(b, width, even, odd, picks), x, y);
  };
}

/** HADD, HSUB: the first of each pair with the second. */
function horizontal(name: 'add' | 'sub', width: Width): Binary {
  const picks = width === 8 ? [0, 2] : [0, 2, 4, 6];
  return (b, x, y) => {
    const even = shuffleLanes(b, width, x, y, picks);
    const odd = shuffleLanes(b, width, x, y, picks.map((n) => n + 1));
    return withNans(b, width, packed(b, name, width, even, odd), even, odd);
  };
}

/** DPPS, DPPD: immediate bits 7:4 choose products, bits 3:0 where the sum goes. */
function dotProduct(width: Width): Semantics {
  return withImmediate((b, x, y, immediate) => {
    const chosen = (shift: number): Value => {
      const bits = width === 8 ? [1, 2] : [1, 2, 4, 8];
      const mask = laneBits(b, width, bits.map((bit) => bit << shift));
      const set = simd(b, 'and', simd(b, width === 8 ? 'splat64' : 'splat32', width === 8 ? b.extendU(immediate) : immediate), mask);
      return simd(b, width === 8 ? 'eq64' : 'eq32', set, mask);
    };
    const products = simd(b, 'and', packedArithmetic('mul', width)(b, x, y), chosen(4));
    const sum = horizontal('add', width)(b, products, products);
    const all = width === 8 ? sum : horizontal('add', width)(b, sum, sum);
    return simd(b, 'and', all, chosen(0));
  });
}

/** A constant of given small lanes. */
function laneBits(b: Emitter, width: Width, values: readonly number[]): Value {
  return bytes(b, values.flatMap((value) => Array.from({ length: width }, (_, i) => (i === 0 ? value : 0))));
}

function both(width: Width, suffix: string): Record<string, Semantics> {
  return {
    [`addp${suffix}`]: packedForm(packedArithmetic('add', width)), [`adds${suffix}`]: scalarArithmetic('add', width),
    [`subp${suffix}`]: packedForm(packedArithmetic('sub', width)), [`subs${suffix}`]: scalarArithmetic('sub', width),
    [`mulp${suffix}`]: packedForm(packedArithmetic('mul', width)), [`muls${suffix}`]: scalarArithmetic('mul', width),
    [`divp${suffix}`]: packedForm(packedArithmetic('div', width)), [`divs${suffix}`]: scalarArithmetic('div', width),
    [`minp${suffix}`]: packedForm(packedExtreme('pmin', width)), [`mins${suffix}`]: scalarExtreme('lt', width),
    [`maxp${suffix}`]: packedForm(packedExtreme('pmax', width)), [`maxs${suffix}`]: scalarExtreme('gt', width),
    [`sqrtp${suffix}`]: packedUnaryForm((b, x) => withNans(b, width, packed(b, 'sqrt', width, x), x, x)),
    [`sqrts${suffix}`]: scalarForm(width, (b, _, y) => withNan(b, width, float(b, width, 'sqrt', y), y, y)),
    [`addsubp${suffix}`]: packedForm(addSubtract(width)),
    [`haddp${suffix}`]: packedForm(horizontal('add', width)), [`hsubp${suffix}`]: packedForm(horizontal('sub', width)),
    [`dpp${suffix}`]: dotProduct(width),
  };
}

export const packedFloatSemantics: Readonly<Record<string, Semantics>> = {
  ...both(4, 's'),
  ...both(8, 'd'),
  rcpps: packedUnaryForm(reciprocal(false)), rcpss: lowLane(reciprocal(false)),
  rsqrtps: packedUnaryForm(reciprocal(true)), rsqrtss: lowLane(reciprocal(true)),
};

