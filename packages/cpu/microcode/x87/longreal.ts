/**
 * Reals of 128 bits for the transcendental functions: wHigh:wLow has bit 127 set, the value is
 * (wHigh:wLow) * 2^(wExponent - 127). And the power series that they need, in fixed point.
 */
import { BIAS, INTEGER_BIT } from "./operand";
import { roundExtended } from "./round";
import { add, divideSmall, less, low, multiplyHigh, shiftLeft, shiftRightJam, subtract } from "./wide";

export let wSign: i32 = 0;
export let wHigh: u64 = 0;
export let wLow: u64 = 0;
export let wExponent: i32 = 0;

/** Sets the number, normalising; zero has exponent -0x10000. */
export function setWide(sign: i32, high: u64, lowWord: u64, exponent: i32): void {
  wSign = sign;
  if ((high | lowWord) == 0) {
    wHigh = 0;
    wLow = 0;
    wExponent = -0x10000;
    return;
  }
  const count = high != 0 ? <i32>clz<u64>(high) : 64 + <i32>clz<u64>(lowWord);
  wHigh = shiftLeft(high, lowWord, count);
  wLow = low;
  wExponent = exponent - count;
}

/** W := W * value. */
export function wideMultiply(high: u64, lowWord: u64, exponent: i32): void {
  const top = multiplyHigh(wHigh, wLow, high, lowWord);
  setWide(wSign, top, low, wExponent + exponent + 1);
}

/** W := a / b, both normalised. */
export function wideDivide(sign: i32, aHigh: u64, aLow: u64, aExponent: i32, bHigh: u64, bLow: u64, bExponent: i32): void {
  let high: u64 = 0;
  let lowWord: u64 = 0;
  let carry = false;
  for (let i = 0; i < 128; i++) {
    const fits = carry || !less(aHigh, aLow, bHigh, bLow);
    high = (high << 1) | (lowWord >> 63);
    lowWord = (lowWord << 1) | u64(fits);
    if (fits) {
      aHigh = subtract(aHigh, aLow, bHigh, bLow);
      aLow = low;
    }
    carry = aHigh >> 63 != 0;
    aHigh = (aHigh << 1) | (aLow >> 63);
    aLow <<= 1;
  }
  setWide(sign, high, lowWord | u64((aHigh | aLow) != 0), aExponent - bExponent);
}

/** W := W + value. */
export function wideAdd(sign: i32, high: u64, lowWord: u64, exponent: i32): void {
  let aSign = wSign;
  let aHigh = wHigh;
  let aLow = wLow;
  let aExponent = wExponent;
  if (aExponent < exponent || (aExponent == exponent && less(aHigh, aLow, high, lowWord))) {
    aSign = sign;
    aHigh = high;
    aLow = lowWord;
    aExponent = exponent;
    sign = wSign;
    high = wHigh;
    lowWord = wLow;
    exponent = wExponent;
  }
  const distance = aExponent - exponent;
  const small = shiftRightJam(high, lowWord, distance > 200 ? 200 : distance);
  if (aSign != sign) {
    const difference = subtract(aHigh, aLow, small, low);
    return setWide(aSign, difference, low, aExponent);
  }
  const smallLow = low;
  const sum = add(aHigh, aLow, small, smallLow);
  if (!less(sum, low, aHigh, aLow)) return setWide(aSign, sum, low, aExponent);
  setWide(aSign, (sum >> 1) | INTEGER_BIT, (sum << 63) | (low >> 1), aExponent + 1);
}

/** W as a fraction of 2^-128 in fixed point (W below 1): high word returned, `low` set. */
export function wideFraction(): u64 {
  const shift = -1 - wExponent;
  return shiftRightJam(wHigh, wLow, shift > 200 ? 200 : shift);
}

/** W * W as a fraction, W below 1. */
export function wideSquare(): u64 {
  const top = multiplyHigh(wHigh, wLow, wHigh, wLow);
  const shift = -2 - wExponent * 2;
  return shiftRightJam(top, low, shift > 200 ? 200 : shift);
}

/** Rounds W, which is an approximation of something irrational, to the result. */
export function roundWide(): void {
  roundExtended(wSign, wExponent + BIAS, wHigh, wLow | 1);
}

/** Rounds W, which is exact. */
export function roundExact(): void {
  roundExtended(wSign, wExponent + BIAS, wHigh, wLow);
}

// Series: z is a fraction of 2^-128, the sum is in units of 2^-127.

/**
 * 1 - z/(a(a+1)) + z^2/(a(a+1)(a+2)(a+3)) - ...: with a = 2 it is sin(x)/x, with a = 1 cos(x), of z = x^2. Short of one
 * even for the least z, so that rounding goes the right way.
 */
export function factorialSeries(zHigh: u64, zLow: u64, a: i32): u64 {
  let high = INTEGER_BIT;
  let lowWord: u64 = 0;
  for (let n = 26 + a; n >= a; n -= 2) {
    const top = multiplyHigh(zHigh, zLow, high, lowWord);
    const term = divideSmall(top, low, n * (n + 1));
    high = subtract(INTEGER_BIT, 0, term, low);
    lowWord = low;
  }
  if (high == INTEGER_BIT) {
    high--;
    lowWord = <u64>-1;
  }
  seriesLow = lowWord;
  return high;
}

/** Low word of the last series. */
export let seriesLow: u64 = 0;

/** (e^z - 1) / z, or with `negative` (1 - e^-z) / z. */
export function exponentialSeries(zHigh: u64, zLow: u64, negative: bool): u64 {
  let high = INTEGER_BIT;
  let lowWord: u64 = 0;
  for (let n = 28; n >= 2; n--) {
    const top = multiplyHigh(zHigh, zLow, high, lowWord);
    const term = divideSmall(top, low, n);
    high = negative ? subtract(INTEGER_BIT, 0, term, low) : add(INTEGER_BIT, 0, term, low);
    lowWord = low;
  }
  seriesLow = lowWord;
  return high;
}

/** 1 + z/3 + z^2/5 + ... (atanh), or with alternating signs (atan); for small z. */
export function oddSeries(zHigh: u64, zLow: u64, alternating: bool): u64 {
  let high: u64 = 0;
  let lowWord: u64 = 0;
  for (let n = 41; n >= 1; n -= 2) {
    const top = multiplyHigh(zHigh, zLow, high, lowWord);
    const term = low;
    const coefficient = divideSmall(INTEGER_BIT, 0, n);
    high = alternating ? subtract(coefficient, low, top, term) : add(coefficient, low, top, term);
    lowWord = low;
  }
  if (alternating && high == INTEGER_BIT) {
    high--;
    lowWord = <u64>-1;
  }
  seriesLow = lowWord;
  return high;
}
