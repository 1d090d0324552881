/**
 * 128-bit integers as two u64 words. WebAssembly functions return one value cheaply, so the second word of a result is
 * left in the global `low` (or `rest`).
 */

/** Low word of the last 128-bit result. */
export let low: u64 = 0;
/** Remainder of the last division. */
export let rest: u64 = 0;

/** a * b: returns the high word, `low` is the low one. */
export function multiply(a: u64, b: u64): u64 {
  const aLow = a & 0xffffffff;
  const aHigh = a >> 32;
  const bLow = b & 0xffffffff;
  const bHigh = b >> 32;
  const bottom = aLow * bLow;
  const cross = aHigh * bLow + (bottom >> 32);
  const middle = aLow * bHigh + (cross & 0xffffffff);
  low = (middle << 32) | (bottom & 0xffffffff);
  return aHigh * bHigh + (cross >> 32) + (middle >> 32);
}

/** The high 128 bits of the product of two 128-bit numbers, short of it by at most three units. */
export function multiplyHigh(aHigh: u64, aLow: u64, bHigh: u64, bLow: u64): u64 {
  const cross1 = multiply(aHigh, bLow);
  const cross1Low = low;
  const cross2 = multiply(aLow, bHigh);
  const carry = u64(cross1Low + low < cross1Low);
  const high = multiply(aHigh, bHigh);
  let sum = low + cross1;
  let top = high + u64(sum < low);
  low = sum + cross2;
  top += u64(low < sum);
  sum = low + carry;
  top += u64(sum < low);
  low = sum;
  return top;
}

/** One step of long division: (high:digit) / divisor for 32-bit digits, after Knuth's algorithm D. */
// @ts-ignore: decorator
@inline
function estimate(high: u64, digit: u64, divisorHigh: u64, divisorLow: u64): u64 {
  let q = high / divisorHigh;
  let r = high - q * divisorHigh;
  while (q > 0xffffffff || q * divisorLow > ((r << 32) | digit)) {
    q--;
    r += divisorHigh;
    if (r > 0xffffffff) break;
  }
  return q;
}

/** (high:lowWord) / divisor where divisor has bit 63 set and high < divisor; the remainder goes to `rest`. */
export function divide(high: u64, lowWord: u64, divisor: u64): u64 {
  const divisorHigh = divisor >> 32;
  const divisorLow = divisor & 0xffffffff;
  const first = estimate(high, lowWord >> 32, divisorHigh, divisorLow);
  const next = ((high << 32) | (lowWord >> 32)) - first * divisor;
  const second = estimate(next, lowWord & 0xffffffff, divisorHigh, divisorLow);
  rest = ((next << 32) | (lowWord & 0xffffffff)) - second * divisor;
  return (first << 32) | second;
}

/** high:lowWord / divisor for a divisor below 2^32. */
export function divideSmall(high: u64, lowWord: u64, divisor: u64): u64 {
  const top = high / divisor;
  const a = ((high - top * divisor) << 32) | (lowWord >> 32);
  const middle = a / divisor;
  const b = ((a - middle * divisor) << 32) | (lowWord & 0xffffffff);
  low = (middle << 32) | (b / divisor);
  return top;
}

/** Shifts right; bits shifted out are or-ed into bit 0, so that rounding still sees them. */
export function shiftRightJam(high: u64, lowWord: u64, count: i32): u64 {
  if (count == 0) {
    low = lowWord;
    return high;
  }
  if (count < 64) {
    low = (high << (64 - count)) | (lowWord >> count) | u64((lowWord << (64 - count)) != 0);
    return high >> count;
  }
  if (count == 64) low = high | u64(lowWord != 0);
  else if (count < 128) low = (high >> (count - 64)) | u64(((high << (128 - count)) | lowWord) != 0);
  else low = u64((high | lowWord) != 0);
  return 0;
}

/** Shifts left by 0..127. */
export function shiftLeft(high: u64, lowWord: u64, count: i32): u64 {
  if (count == 0) {
    low = lowWord;
    return high;
  }
  if (count < 64) {
    low = lowWord << count;
    return (high << count) | (lowWord >> (64 - count));
  }
  low = 0;
  return lowWord << (count - 64);
}

export function add(aHigh: u64, aLow: u64, bHigh: u64, bLow: u64): u64 {
  low = aLow + bLow;
  return aHigh + bHigh + u64(low < aLow);
}

export function subtract(aHigh: u64, aLow: u64, bHigh: u64, bLow: u64): u64 {
  low = aLow - bLow;
  return aHigh - bHigh - u64(aLow < bLow);
}

/** a < b. */
// @ts-ignore: decorator
@inline
export function less(aHigh: u64, aLow: u64, bHigh: u64, bLow: u64): bool {
  return aHigh < bHigh || (aHigh == bHigh && aLow < bLow);
}
