/**
 * X * Y + Z with one rounding, of two doubles or four singles, from operations that round each: exact where `certain` says so.
 *
 * Singles: the product is exact in double precision, and rounding the double sum to single once more is right unless that
 * lies half way between two singles. Doubles: after S. Boldo and G. Melquiond, "Emulation of FMA and correctly rounded sums:
 * proved algorithms using rounding to odd" (IEEE Transactions on Computers 57, 2008), with the exact product after Dekker.
 */
import { FMA_NEGATE_ADDEND, FMA_NEGATE_EVEN, FMA_NEGATE_ODD, FMA_NEGATE_PRODUCT } from '../../state/float-operation.ts';
import type { Value } from '../../wasm/function-builder.ts';
import type { Emitter } from '../emitter.ts';
import { ordinaryLanes, packed, plainLanes } from './float-exact.ts';
import { joinLow } from './operand.ts';
import type { Width } from './scalar.ts';
import { bytes, lanes, shuffleLanes, simd, zero } from './simd.ts';

interface Fusion {
  readonly result: Value;
  /** All ones in the lanes whose result is right. */
  readonly certain: Value;
}

/** `control`: FMA_NEGATE_*. */
export function fuse(b: Emitter, width: Width, control: number, x: Value, y: Value, z: Value): Fusion {
  const factor = control & FMA_NEGATE_PRODUCT ? simd(b, 'xor', x, signs(b, width, 3)) : x;
  const which = (control & (FMA_NEGATE_ADDEND | FMA_NEGATE_EVEN) ? 1 : 0) | (control & (FMA_NEGATE_ADDEND | FMA_NEGATE_ODD) ? 2 : 0);
  const addend = which === 0 ? z : simd(b, 'xor', z, signs(b, width, which));
  return width === 4 ? fuseSingles(b, factor, y, addend) : fuseDoubles(b, factor, y, addend);
}

/** Sign bits of the even (1) and odd (2) elements. */
function signs(b: Emitter, width: Width, which: number): Value {
  return bytes(b, Array.from({ length: 16 }, (_, i) => (i % width === width - 1 && (which >> (Math.floor(i / width) & 1)) & 1 ? 0x80 : 0)));
}

// ---- singles

/** What a double has below a single's last place, and half of it. */
const BELOW = 0x1fff_ffff;
const HALF = 0x1000_0000;

function fuseSingles(b: Emitter, x: Value, y: Value, z: Value): Fusion {
  const upper = (value: Value): Value => shuffleLanes(b, 8, value, value, [1, 1]);
  const half = (...operands: readonly [Value, Value, Value]): { single: Value; tie: Value } => {
    const [p, q, r] = operands.map((value) => simd(b, 'promote', value)) as [Value, Value, Value];
    const sum = add(b, mul(b, p, q), r);
    return { single: simd(b, 'demote', sum), tie: simd(b, 'eq64', simd(b, 'and', sum, lanes(b, 8, BELOW)), lanes(b, 8, HALF)) };
  };
  const low = half(x, y, z);
  const high = half(upper(x), upper(y), upper(z));
  const result = joinLow(b, low.single, high.single);
  const ties = shuffleLanes(b, 4, low.tie, high.tie, [0, 2, 4, 6]);
  const plain = [x, y, z].map((value) => plainLanes(b, 4, value)).reduce((one, other) => simd(b, 'and', one, other));
  return { result, certain: simd(b, 'andnot', simd(b, 'and', plain, ordinaryLanes(b, 4, result)), ties) };
}

// ---- doubles

/** Upper halves of 2^-450, 2^450, 2^-900, 2^900: factors and addends in between make nothing that under- or overflows. */
const FACTORS = [0x23d0_0000, 0x5c10_0000] as const;
const ADDENDS = [0x07b0_0000, 0x7830_0000] as const;
/** 2^27 + 1, which splits a double into halves of 26 bits. */
const SPLITTER = [0x0200_0000, 0x41a0_0000] as const;

function add(b: Emitter, x: Value, y: Value): Value { return simd(b, 'addF64', x, y); }
function sub(b: Emitter, x: Value, y: Value): Value { return simd(b, 'subF64', x, y); }
function mul(b: Emitter, x: Value, y: Value): Value { return simd(b, 'mulF64', x, y); }

/** A number and what it is short of the exact one. */
type Pair = readonly [Value, Value];

function exactSum(b: Emitter, x: Value, y: Value): Pair {
  const sum = add(b, x, y);
  const second = sub(b, sum, x);
  return [sum, add(b, sub(b, x, sub(b, sum, second)), sub(b, y, second))];
}

function split(b: Emitter, x: Value): Pair {
  const scaled = mul(b, x, lanes(b, 8, ...SPLITTER));
  const high = sub(b, scaled, sub(b, scaled, x));
  return [high, sub(b, x, high)];
}

function exactProduct(b: Emitter, x: Value, y: Value): Pair {
  const product = mul(b, x, y);
  const [xHigh, xLow] = split(b, x);
  const [yHigh, yLow] = split(b, y);
  const first = sub(b, mul(b, xHigh, yHigh), product);
  const cross = add(b, add(b, first, mul(b, xHigh, yLow)), mul(b, xLow, yHigh));
  return [product, add(b, cross, mul(b, xLow, yLow))];
}

/** The sum rounded to odd: where it is not exact, of its two neighbours the one whose last bit is set. */
function oddSum(b: Emitter, x: Value, y: Value): Value {
  const [sum, rest] = exactSum(b, x, y);
  const none = zero(b);
  const one = lanes(b, 8, 1);
  const even = simd(b, 'eq64', simd(b, 'and', sum, one), none);
  const inexact = packed(b, 'ne', 8, rest, none);
  // One up in magnitude where the rest has the sum's sign, else one down.
  const step = simd(b, 'or', simd(b, 'gtS64', none, simd(b, 'xor', sum, rest)), one);
  return simd(b, 'add64', sum, simd(b, 'and', simd(b, 'and', even, inexact), step));
}

function within(b: Emitter, x: Value, [least, greatest]: readonly [number, number]): Value {
  const size = packed(b, 'abs', 8, x);
  return simd(b, 'and', packed(b, 'ge', 8, size, lanes(b, 8, 0, least)), packed(b, 'le', 8, size, lanes(b, 8, 0, greatest)));
}

function fuseDoubles(b: Emitter, x: Value, y: Value, z: Value): Fusion {
  const [product, low] = exactProduct(b, x, y);
  const [middle, lowest] = exactSum(b, z, low);
  const [high, rest] = exactSum(b, product, middle);
  const result = add(b, high, oddSum(b, lowest, rest));
  const addend = simd(b, 'or', within(b, z, ADDENDS), packed(b, 'eq', 8, z, zero(b)));
  return { result, certain: simd(b, 'and', simd(b, 'and', within(b, x, FACTORS), within(b, y, FACTORS)), addend) };
}
