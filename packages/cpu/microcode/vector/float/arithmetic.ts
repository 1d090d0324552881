/** Add, subtract, multiply, divide and square root of single and double precision, as MXCSR says. */
import { integerRoot } from "../../x87/arithmetic";
import { divide, low, multiply, rest } from "../../x87/wide";
import {
  bias, denormal, exponent, infinity, INTEGER_BIT, invalid, isInfinite, isNegative, isZero, pack, propagate, seen, shiftJam,
  signBit, takeApart,
} from "./format";
import { DOWN, rounding, signal, ZE } from "./status";

/** The zero that a difference of equals is. */
// @ts-ignore: decorator
@inline
function cancelled<T>(): u64 {
  return rounding == DOWN ? signBit<T>() : 0;
}

export function addition<T>(first: u64, second: u64): u64 {
  const x = seen<T>(first);
  const y = seen<T>(second);
  const nan = propagate<T>(x, y);
  if (nan) return nan;
  if (isInfinite<T>(x) && isInfinite<T>(y) && x != y) return invalid<T>();
  denormal<T>(x);
  denormal<T>(y);
  if (isInfinite<T>(x)) return x;
  if (isInfinite<T>(y)) return y;
  if (isZero<T>(x)) return isZero<T>(y) ? (x == y ? x : cancelled<T>()) : exact<T>(y);
  if (isZero<T>(y)) return exact<T>(x);
  return sum<T>(x, y);
}

/** A number that is the result as it stands, unless it is tiny. */
function exact<T>(x: u64): u64 {
  const significand = takeApart<T>(x);
  return pack<T>(isNegative<T>(x), exponent, significand);
}

function sum<T>(x: u64, y: u64): u64 {
  let negative = isNegative<T>(x);
  const subtracts = negative != isNegative<T>(y);
  // One bit is left free for the carry.
  let large = takeApart<T>(x) >> 1;
  let biased = exponent;
  let small = takeApart<T>(y) >> 1;
  let distance = biased - exponent;
  if (distance < 0 || (distance == 0 && large < small)) {
    const kept = large;
    large = small;
    small = kept;
    biased = exponent;
    distance = -distance;
    if (subtracts) negative = !negative;
  }
  small = shiftJam(small, distance);
  const total = subtracts ? large - small : large + small;
  if (total == 0) return cancelled<T>();
  const shift = <i32>clz<u64>(total);
  return pack<T>(negative, biased + 1 - shift, total << shift);
}

export function subtraction<T>(x: u64, y: u64): u64 {
  // A NaN keeps its sign.
  const nan = propagate<T>(x, y);
  return nan ? nan : addition<T>(x, y ^ signBit<T>());
}

export function multiplication<T>(first: u64, second: u64): u64 {
  const x = seen<T>(first);
  const y = seen<T>(second);
  const nan = propagate<T>(x, y);
  if (nan) return nan;
  const sign = (x ^ y) & signBit<T>();
  if (isInfinite<T>(x) || isInfinite<T>(y)) {
    if (isZero<T>(x) || isZero<T>(y)) return invalid<T>();
    denormal<T>(x);
    denormal<T>(y);
    return sign | infinity<T>();
  }
  denormal<T>(x);
  denormal<T>(y);
  if (isZero<T>(x) || isZero<T>(y)) return sign;
  const left = takeApart<T>(x);
  let biased = exponent;
  const right = takeApart<T>(y);
  biased += exponent - bias<T>() + 1;
  const high = multiply(left, right);
  const product = high | u64(low != 0);
  return high & INTEGER_BIT ? pack<T>(sign != 0, biased, product) : pack<T>(sign != 0, biased - 1, product << 1);
}

export function division<T>(first: u64, second: u64): u64 {
  const x = seen<T>(first);
  const y = seen<T>(second);
  const nan = propagate<T>(x, y);
  if (nan) return nan;
  const sign = (x ^ y) & signBit<T>();
  if (isInfinite<T>(x)) {
    if (isInfinite<T>(y)) return invalid<T>();
    denormal<T>(y);
    return sign | infinity<T>();
  }
  if (isZero<T>(y)) {
    if (isZero<T>(x)) return invalid<T>();
    signal(ZE);
    return sign | infinity<T>();
  }
  denormal<T>(x);
  denormal<T>(y);
  if (isInfinite<T>(y) || isZero<T>(x)) return sign;
  const dividend = takeApart<T>(x);
  let biased = exponent;
  const divisor = takeApart<T>(y);
  biased += bias<T>() - exponent;
  if (dividend >= divisor) {
    const quotient = divide(dividend >> 1, dividend << 63, divisor);
    return pack<T>(sign != 0, biased, quotient | u64(rest != 0));
  }
  const quotient = divide(dividend, 0, divisor);
  return pack<T>(sign != 0, biased - 1, quotient | u64(rest != 0));
}

export function squareRoot<T>(operand: u64): u64 {
  const y = seen<T>(operand);
  const nan = propagate<T>(y, y);
  if (nan) return nan;
  if (isZero<T>(y)) return y;
  if (isNegative<T>(y)) return invalid<T>();
  denormal<T>(y);
  if (isInfinite<T>(y)) return y;
  const significand = takeApart<T>(y);
  const unbiased = exponent - bias<T>();
  const odd = (unbiased & 1) != 0;
  // The radicand in [2^126, 2^128): its root has 64 bits.
  const high = odd ? significand : significand >> 1;
  const lowWord = odd ? 0 : significand << 63;
  const root = integerRoot(high, lowWord);
  const square = multiply(root, root);
  return pack<T>(false, (unbiased >> 1) + bias<T>(), root | u64(square != high || low != lowWord));
}
