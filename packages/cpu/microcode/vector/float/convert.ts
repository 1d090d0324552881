/** Conversions between single, double and half precision and integers, and rounding to integral values. */
import {
  bias, denormal, exponent, exponentMax, fractionBits, infinity, INTEGER_BIT, isInfinite, isNan, isNegative, isSignaling,
  isZero, pack, quietBit, seen, shiftJam, signBit, takeApart,
} from "./format";
import { CHOP, DOWN, IE, NEAREST, OE, overflowMasked, PE, rounding, signal, UE, underflowMasked, UP } from "./status";

/** Whether the last magnitude was exact. */
let inexact: bool = false;
/** The last magnitude needs more than 64 bits. */
let tooLarge: bool = false;

/** The magnitude of a finite number, rounded to an integer. */
function rounded<T>(x: u64, mode: i32): u64 {
  inexact = false;
  tooLarge = false;
  if (isZero<T>(x)) return 0;
  const significand = takeApart<T>(x);
  const shift = bias<T>() + 63 - exponent;
  if (shift <= 0) {
    tooLarge = shift < 0;
    return significand;
  }
  const whole: u64 = shift < 64 ? significand >> shift : 0;
  // The lost bits from bit 63 down.
  const lost: u64 = shift < 64 ? significand << (64 - shift) : shiftJam(significand, shift - 64);
  inexact = lost != 0;
  if (!inexact) return whole;
  const negative = isNegative<T>(x);
  let up = mode == (negative ? DOWN : UP);
  if (mode == NEAREST) up = lost > INTEGER_BIT || (lost == INTEGER_BIT && (whole & 1) != 0);
  return whole + u64(up);
}

/** To an integer of I's width; what does not fit gives the integer indefinite. */
export function toInteger<T, I>(operand: u64, truncate: bool): u64 {
  const least = <u64>1 << (sizeof<I>() * 8 - 1);
  const x = seen<T>(operand);
  if (isNan<T>(x) || isInfinite<T>(x)) {
    signal(IE);
    return least;
  }
  const value = rounded<T>(x, truncate ? CHOP : rounding);
  const negative = isNegative<T>(x);
  if (tooLarge || value > (negative ? least : least - 1)) {
    signal(IE);
    return least;
  }
  if (inexact) signal(PE);
  return negative ? 0 - value : value;
}

/** From an integer. */
export function fromInteger<T>(value: i64): u64 {
  if (value == 0) return 0;
  const absolute = value < 0 ? 0 - <u64>value : <u64>value;
  const shift = <i32>clz<u64>(absolute);
  return pack<T>(value < 0, bias<T>() + 63 - shift, absolute << shift);
}

/** To an integral value in the same format: ROUNDPS and its kin. */
export function toIntegral<T>(operand: u64, control: i32): u64 {
  const x = seen<T>(operand);
  if (isNan<T>(x)) {
    if (isSignaling<T>(x)) signal(IE);
    return x | quietBit<T>();
  }
  const sign = x & signBit<T>();
  if (isInfinite<T>(x)) return x;
  const value = rounded<T>(x, rounding);
  if (inexact && !(control & 8)) signal(PE);
  if (!inexact) return x;
  if (value == 0) return sign;
  // At most 53 bits are left: exact.
  return sign | fromInteger<T>(<i64>value);
}

/** A NaN of another width: sign and upper payload stay. */
function resizeNan<From, To>(x: u64): u64 {
  if (isSignaling<From>(x)) signal(IE);
  const payload = x << (64 - fractionBits<From>()) >> (64 - fractionBits<To>());
  return (isNegative<From>(x) ? signBit<To>() : 0) | infinity<To>() | quietBit<To>() | payload;
}

export function resize<From, To>(operand: u64): u64 {
  const x = seen<From>(operand);
  if (isNan<From>(x)) return resizeNan<From, To>(x);
  const sign = isNegative<From>(x) ? signBit<To>() : 0;
  if (isInfinite<From>(x)) return sign | infinity<To>();
  if (isZero<From>(x)) return sign;
  denormal<From>(x);
  const significand = takeApart<From>(x);
  return pack<To>(sign != 0, exponent - bias<From>() + bias<To>(), significand);
}

const HALF_FRACTION = 10;
const HALF_BIAS = 15;
const HALF_MAX = 31;
const HALF_INFINITY: u64 = 0x7c00;
const HALF_QUIET: u64 = 0x200;

/** Half precision to single: exact, denormals as they are (SDM vol. 2C, VCVTPH2PS). */
export function fromHalf(x: u64): u64 {
  const sign = (x & 0x8000) << 16;
  const biased = <i32>(x >> HALF_FRACTION) & HALF_MAX;
  const fraction = x & 0x3ff;
  if (biased == HALF_MAX) {
    if (fraction == 0) return sign | infinity<f32>();
    if (!(fraction & HALF_QUIET)) signal(IE);
    return sign | infinity<f32>() | quietBit<f32>() | (fraction << 13);
  }
  if (biased != 0) return sign | (<u64>(biased + bias<f32>() - HALF_BIAS) << 23) | (fraction << 13);
  if (fraction == 0) return sign;
  const shift = <i32>clz<u64>(fraction);
  return pack<f32>(sign != 0, bias<f32>() - HALF_BIAS + 1 + (63 - HALF_FRACTION) - shift, fraction << shift);
}

/** Single precision to half (SDM vol. 2C, VCVTPS2PH): tiny results are never flushed. */
export function toHalf(operand: u64): u64 {
  const x = seen<f32>(operand);
  const sign = (x >> 16) & 0x8000;
  if (isNan<f32>(x)) {
    if (isSignaling<f32>(x)) signal(IE);
    return sign | HALF_INFINITY | HALF_QUIET | ((x >> 13) & 0x1ff);
  }
  if (isInfinite<f32>(x)) return sign | HALF_INFINITY;
  if (isZero<f32>(x)) return sign;
  denormal<f32>(x);
  const significand = takeApart<f32>(x);
  return sign | packHalf(sign != 0, exponent - bias<f32>() + HALF_BIAS, significand);
}

const HALF_DROP = 63 - HALF_FRACTION;

function packHalf(negative: bool, biased: i32, significand: u64): u64 {
  const half = <u64>1 << (HALF_DROP - 1);
  const away = rounding == (negative ? DOWN : UP);
  const shifted = biased <= 0 ? shiftJam(significand, 1 - biased) : significand;
  const add = rounding == NEAREST ? half - 1 + ((shifted >> HALF_DROP) & 1) : away ? half + half - 1 : 0;
  if (biased <= 0) {
    const whole = rounding == NEAREST ? half - 1 + ((significand >> HALF_DROP) & 1) : away ? half + half - 1 : 0;
    const tiny = biased < 0 || significand + whole >= significand;
    const lost = ((tiny && !underflowMasked ? significand : shifted) << (64 - HALF_DROP)) != 0;
    if (lost) signal(PE);
    if (tiny && (lost || !underflowMasked)) signal(UE);
    return (shifted + add) >> HALF_DROP;
  }
  if (shifted << (64 - HALF_DROP)) signal(PE);
  const sum = shifted + add;
  const carried = sum < shifted;
  if (carried) biased++;
  if (biased >= HALF_MAX) {
    signal(overflowMasked ? OE | PE : OE);
    return rounding == CHOP || rounding == (negative ? UP : DOWN) ? HALF_INFINITY - 1 : HALF_INFINITY;
  }
  const kept = carried ? 0 : (sum >> HALF_DROP) & 0x3ff;
  return (<u64>biased << HALF_FRACTION) | kept;
}
