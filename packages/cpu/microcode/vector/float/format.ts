/**
 * Single and double precision: taking numbers apart and rounding them together. Values are their bits in a u64; the type
 * parameter is f32 or f64 and decided when the microcode is compiled.
 */
import {
  CHOP, DE, denormalsAreZeros, DOWN, flushToZero, IE, NEAREST, OE, overflowMasked, PE, rounding, signal, UE, underflowMasked, UP,
} from "./status";

export const INTEGER_BIT: u64 = 0x8000000000000000;

// @ts-ignore: decorator
@inline
export function fractionBits<T>(): i32 {
  return sizeof<T>() == 8 ? 52 : 23;
}

// @ts-ignore: decorator
@inline
export function exponentMax<T>(): i32 {
  return sizeof<T>() == 8 ? 0x7ff : 0xff;
}

// @ts-ignore: decorator
@inline
export function bias<T>(): i32 {
  return sizeof<T>() == 8 ? 0x3ff : 0x7f;
}

// @ts-ignore: decorator
@inline
export function signBit<T>(): u64 {
  return sizeof<T>() == 8 ? 0x8000000000000000 : 0x80000000;
}

// @ts-ignore: decorator
@inline
export function infinity<T>(): u64 {
  return <u64>exponentMax<T>() << fractionBits<T>();
}

// @ts-ignore: decorator
@inline
export function quietBit<T>(): u64 {
  return <u64>1 << (fractionBits<T>() - 1);
}

/** The real indefinite. */
// @ts-ignore: decorator
@inline
export function defaultNan<T>(): u64 {
  return signBit<T>() | infinity<T>() | quietBit<T>();
}

// @ts-ignore: decorator
@inline
export function magnitude<T>(x: u64): u64 {
  return x & (signBit<T>() - 1);
}

// @ts-ignore: decorator
@inline
export function isNegative<T>(x: u64): bool {
  return (x & signBit<T>()) != 0;
}

// @ts-ignore: decorator
@inline
export function isNan<T>(x: u64): bool {
  return magnitude<T>(x) > infinity<T>();
}

// @ts-ignore: decorator
@inline
export function isSignaling<T>(x: u64): bool {
  return isNan<T>(x) && !(x & quietBit<T>());
}

// @ts-ignore: decorator
@inline
export function isInfinite<T>(x: u64): bool {
  return magnitude<T>(x) == infinity<T>();
}

// @ts-ignore: decorator
@inline
export function isZero<T>(x: u64): bool {
  return magnitude<T>(x) == 0;
}

// @ts-ignore: decorator
@inline
export function isDenormal<T>(x: u64): bool {
  return magnitude<T>(x) - 1 < ((<u64>1 << fractionBits<T>()) - 1);
}

/** The operand as MXCSR.DAZ lets it be seen. */
// @ts-ignore: decorator
@inline
export function seen<T>(x: u64): u64 {
  return denormalsAreZeros && isDenormal<T>(x) ? x & signBit<T>() : x;
}

/** Signals a denormal operand; after NaNs and invalid operations are out of the way. */
// @ts-ignore: decorator
@inline
export function denormal<T>(x: u64): void {
  if (isDenormal<T>(x)) signal(DE);
}

/** The NaN that two operands give (SDM vol. 1, table 4-7): the first one, quiet; 0 if none is a NaN. */
export function propagate<T>(x: u64, y: u64): u64 {
  if (!isNan<T>(x) && !isNan<T>(y)) return 0;
  if (isSignaling<T>(x) || isSignaling<T>(y)) signal(IE);
  return (isNan<T>(x) ? x : y) | quietBit<T>();
}

/** An invalid operation. */
export function invalid<T>(): u64 {
  signal(IE);
  return defaultNan<T>();
}

/** Exponent of the last number taken apart. */
export let exponent: i32 = 0;

/** The significand of a finite number other than zero with bit 63 set; its biased exponent goes to `exponent`. */
export function takeApart<T>(x: u64): u64 {
  const fraction = x << (63 - fractionBits<T>());
  exponent = <i32>(x >> fractionBits<T>()) & exponentMax<T>();
  if (exponent != 0) return fraction | INTEGER_BIT;
  // Bit 63 is clear, though in single precision the sign is still above it.
  const shift = <i32>clz<u64>(fraction);
  exponent = 1 - shift;
  return fraction << shift;
}

/** Shifts right; what is lost is or-ed into bit 0. */
// @ts-ignore: decorator
@inline
export function shiftJam(x: u64, count: i32): u64 {
  if (count >= 64) return u64(x != 0);
  return count == 0 ? x : (x >> count) | u64((x << (64 - count)) != 0);
}

/** What rounding adds below the last place of a significand that keeps all but `drop` bits. */
// @ts-ignore: decorator
@inline
function increment(negative: bool, significand: u64, drop: i32): u64 {
  const half = <u64>1 << (drop - 1);
  // To nearest even: just under a half where the last place is even.
  if (rounding == NEAREST) return half - 1 + ((significand >> drop) & 1);
  return rounding == (negative ? DOWN : UP) ? half + half - 1 : 0;
}

/**
 * Rounds significand / 2^63 * 2^(exponent - bias): bit 63 is set, bit 0 stands for all that is lost.
 */
export function pack<T>(negative: bool, biased: i32, significand: u64): u64 {
  const drop = 63 - fractionBits<T>();
  if (biased <= 0) return packTiny<T>(negative, biased, significand);
  const sum = significand + increment(negative, significand, drop);
  let kept = sum >> drop;
  // A carry out of bit 63 leaves a power of two.
  if (sum < significand) {
    kept = <u64>1 << fractionBits<T>();
    biased++;
  }
  if (significand << (64 - drop)) signal(PE);
  if (biased >= exponentMax<T>()) return overflow<T>(negative);
  const sign = negative ? signBit<T>() : 0;
  return sign | ((<u64>biased << fractionBits<T>()) + (kept - (<u64>1 << fractionBits<T>())));
}

/** Unmasked, the result is scaled, and inexact only where its significand is (SDM vol. 1, 4.9.1.4). */
function overflow<T>(negative: bool): u64 {
  signal(overflowMasked ? OE | PE : OE);
  const sign = negative ? signBit<T>() : 0;
  const stays = rounding == CHOP || rounding == (negative ? UP : DOWN);
  return sign | (stays ? infinity<T>() - 1 : infinity<T>());
}

/** Below the least normal number before rounding; tininess is detected after it (SDM vol. 1, 4.9.1.5). */
function packTiny<T>(negative: bool, biased: i32, significand: u64): u64 {
  const drop = 63 - fractionBits<T>();
  const sign = negative ? signBit<T>() : 0;
  const carried = significand + increment(negative, significand, drop) < significand;
  const tiny = biased < 0 || !carried;
  if (tiny && flushToZero) {
    signal(UE | PE);
    return sign;
  }
  const shifted = shiftJam(significand, 1 - biased);
  const inexact = ((tiny && !underflowMasked ? significand : shifted) << (64 - drop)) != 0;
  if (inexact) signal(PE);
  if (tiny && (inexact || !underflowMasked)) signal(UE);
  // A carry into the exponent's place gives the least normal number.
  return sign | ((shifted + increment(negative, shifted, drop)) >> drop);
}
