/** Add, subtract, multiply, divide, square root of A and B, into the result (round.ts). */
import {
  aClass, aExponent, aSign, aSignificand, bClass, bExponent, bSign, bSignificand, BIAS, INFINITY, INTEGER_BIT, negateB, QNAN,
  ZERO,
} from "./operand";
import {
  denormals, DOWN, propagate, propagateB, roundingControl, roundResult, setInfinity, setInvalid, setZero, signal, ZE,
} from "./round";
import { divide, less, low, multiply, rest, shiftLeft, shiftRightJam } from "./wide";

/** A + B. */
export function addition(): void {
  if (propagate()) return;
  if (aClass == INFINITY || bClass == INFINITY) {
    if (aClass == bClass && aSign != bSign) return setInvalid();
    denormals();
    return setInfinity(aClass == INFINITY ? aSign : bSign);
  }
  denormals();
  if (aClass == ZERO && bClass == ZERO) {
    return setZero(aSign == bSign ? aSign : i32(roundingControl() == DOWN));
  }
  if (bClass == ZERO) return roundResult(aSign, aExponent, aSignificand, 0);
  if (aClass == ZERO) return roundResult(bSign, bExponent, bSignificand, 0);
  if (aExponent > bExponent || (aExponent == bExponent && aSignificand >= bSignificand)) {
    addOrdered(aSign, aExponent, aSignificand, bSign, bExponent, bSignificand);
  } else {
    addOrdered(bSign, bExponent, bSignificand, aSign, aExponent, aSignificand);
  }
}

/** The sum of two nonzero numbers of which the first is not the smaller in magnitude. */
function addOrdered(sign: i32, exponent: i32, large: u64, otherSign: i32, otherExponent: i32, small: u64): void {
  const shift = exponent - otherExponent;
  const high = shiftRightJam(small, 0, shift > 255 ? 255 : shift);
  const lowWord = low;
  if (sign == otherSign) {
    const sum = large + high;
    if (sum >= large) return roundResult(sign, exponent, sum, lowWord);
    return roundResult(sign, exponent + 1, (sum >> 1) | INTEGER_BIT, (sum << 63) | (lowWord >> 1) | (lowWord & 1));
  }
  const difference = large - high - u64(lowWord != 0);
  const negated = 0 - lowWord;
  if ((difference | negated) == 0) return setZero(i32(roundingControl() == DOWN));
  const count = difference != 0 ? <i32>clz<u64>(difference) : 64 + <i32>clz<u64>(negated);
  const top = shiftLeft(difference, negated, count);
  roundResult(sign, exponent - count, top, low);
}

/** A * B. */
export function multiplication(): void {
  if (propagate()) return;
  const sign = aSign ^ bSign;
  if (aClass == INFINITY || bClass == INFINITY) {
    if (aClass == ZERO || bClass == ZERO) return setInvalid();
    denormals();
    return setInfinity(sign);
  }
  denormals();
  if (aClass == ZERO || bClass == ZERO) return setZero(sign);
  const high = multiply(aSignificand, bSignificand);
  const exponent = aExponent + bExponent - BIAS;
  if (high & INTEGER_BIT) return roundResult(sign, exponent + 1, high, low);
  roundResult(sign, exponent, (high << 1) | (low >> 63), low << 1);
}

/** A / B. */
export function division(): void {
  if (propagate()) return;
  const sign = aSign ^ bSign;
  if (aClass == INFINITY) {
    if (bClass == INFINITY) return setInvalid();
    denormals();
    return setInfinity(sign);
  }
  if (bClass == ZERO) {
    if (aClass == ZERO) return setInvalid();
    signal(ZE);
    return setInfinity(sign);
  }
  denormals();
  if (bClass == INFINITY || aClass == ZERO) return setZero(sign);
  let exponent = aExponent - bExponent + BIAS;
  let quotient: u64;
  if (aSignificand >= bSignificand) {
    quotient = divide(aSignificand >> 1, aSignificand << 63, bSignificand);
  } else {
    quotient = divide(aSignificand, 0, bSignificand);
    exponent--;
  }
  roundResult(sign, exponent, quotient, remainderBits(rest, bSignificand));
}

/** The bits below the quotient as far as rounding needs them: half, and whether anything else is left. */
export function remainderBits(remainder: u64, divisor: u64): u64 {
  if (remainder == 0) return 0;
  const complement = divisor - remainder;
  if (remainder == complement) return INTEGER_BIT;
  return remainder > complement ? INTEGER_BIT | 1 : 1;
}

/** The square root of B. */
export function squareRoot(): void {
  if (propagateB()) return;
  if (bClass == ZERO) return setZero(bSign);
  if (bSign) return setInvalid();
  denormals();
  if (bClass == INFINITY) return setInfinity(0);
  const odd = (bExponent - BIAS) & 1;
  // The radicand in [2^126, 2^128): its root has 64 bits.
  const high = odd ? bSignificand : bSignificand >> 1;
  const lowWord = odd ? 0 : bSignificand << 63;
  const exponent = ((bExponent - BIAS - odd) >> 1) + BIAS;
  const root = integerRoot(high, lowWord);
  const top = multiply(root, root);
  const remainder = lowWord - low;
  const remainderHigh = high - top - u64(lowWord < low);
  let bits: u64 = 0;
  if (remainderHigh != 0 || remainder > root) bits = INTEGER_BIT | 1;
  else if (remainder != 0) bits = 1;
  roundResult(0, exponent, root, bits);
}

/** floor(sqrt(high:lowWord)) for a radicand with one of the two top bits set. */
export function integerRoot(high: u64, lowWord: u64): u64 {
  const guess = Math.sqrt(<f64>high) * 4294967296.0;
  let root: u64 = guess >= 18446744073709549568.0 ? <u64>-1 : <u64>guess;
  // Newton's step: the guess is good to 52 bits, so this is good to within a unit or two.
  const square = multiply(root, root);
  const left = lowWord - low;
  const leftHigh = high - square - u64(lowWord < low);
  root += <i64>((<f64><i64>leftHigh * 18446744073709551616.0 + <f64>left) / (guess * 2.0));
  for (;;) {
    const top = multiply(root, root);
    if (!less(high, lowWord, top, low)) break;
    root--;
  }
  while (root != <u64>-1) {
    const top = multiply(root + 1, root + 1);
    if (less(high, lowWord, top, low)) break;
    root++;
  }
  return root;
}


/** A - B. */
export function subtraction(): void {
  if (bClass < QNAN) negateB();
  addition();
}
