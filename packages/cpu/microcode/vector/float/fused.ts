/** x * y + z with one rounding (SDM vol. 1, 14.5). */
import { less, low, multiply, shiftLeft, shiftRightJam, subtract } from "../../x87/wide";
import {
  bias, denormal, exponent, infinity, invalid, isInfinite, isNan, isNegative, isSignaling, isZero, pack, quietBit, seen,
  signBit, takeApart,
} from "./format";
import { DOWN, IE, rounding, signal } from "./status";

/** The NaN of three operands: the first in the order x, y, z; 0 if none is one. */
function propagate3<T>(x: u64, y: u64, z: u64): u64 {
  if (!isNan<T>(x) && !isNan<T>(y) && !isNan<T>(z)) return 0;
  if (isSignaling<T>(x) || isSignaling<T>(y) || isSignaling<T>(z)) signal(IE);
  return (isNan<T>(x) ? x : isNan<T>(y) ? y : z) | quietBit<T>();
}

/** The product or the sum is infinite; 0 if neither. */
function unbounded<T>(x: u64, y: u64, z: u64, productSign: u64): u64 {
  const infinite = isInfinite<T>(x) || isInfinite<T>(y);
  if (infinite && (isZero<T>(x) || isZero<T>(y))) return invalid<T>();
  if (infinite && isInfinite<T>(z) && (z & signBit<T>()) != productSign) return invalid<T>();
  denormal<T>(x);
  denormal<T>(y);
  denormal<T>(z);
  if (infinite) return productSign | infinity<T>();
  return isInfinite<T>(z) ? z : 0;
}

/** `negateProduct` and `negateAddend` are sign bits or zero; NaNs keep their sign. */
export function fused<T>(first: u64, second: u64, third: u64, negateProduct: u64, negateAddend: u64): u64 {
  const x = seen<T>(first);
  const y = seen<T>(second);
  const nan = propagate3<T>(x, y, third);
  if (nan) return nan;
  const z = seen<T>(third) ^ negateAddend;
  const productSign = ((x ^ y) & signBit<T>()) ^ negateProduct;
  const infinite = unbounded<T>(x, y, z, productSign);
  if (infinite) return infinite;
  if (isZero<T>(x) || isZero<T>(y)) {
    if (!isZero<T>(z)) return exact<T>(z);
    const addendSign = z & signBit<T>();
    if (productSign == addendSign) return productSign;
    return rounding == DOWN ? signBit<T>() : 0;
  }
  const left = takeApart<T>(x);
  let biased = exponent;
  const right = takeApart<T>(y);
  biased += exponent - bias<T>() + 1;
  let high = multiply(left, right);
  let lowWord = low;
  if (!(high >> 63)) {
    high = shiftLeft(high, lowWord, 1);
    lowWord = low;
    biased--;
  }
  if (isZero<T>(z)) return pack<T>(productSign != 0, biased, high | u64(lowWord != 0));
  return sum<T>(productSign, biased, high, lowWord, z);
}

function exact<T>(z: u64): u64 {
  const significand = takeApart<T>(z);
  return pack<T>(isNegative<T>(z), exponent, significand);
}

/** The exact product plus z. One bit above both is left free for the carry; the product has more than twenty below. */
function sum<T>(productSign: u64, productExponent: i32, productHigh: u64, productLow: u64, z: u64): u64 {
  const addend = takeApart<T>(z);
  const zSign = z & signBit<T>();
  const subtracts = productSign != zSign;
  let sign = productSign;
  let biased = productExponent;
  let largeHigh = productHigh >> 1;
  let largeLow = (productHigh << 63) | (productLow >> 1);
  let smallHigh = addend >> 1;
  let smallLow = addend << 63;
  let distance = productExponent - exponent;
  if (distance < 0 || (distance == 0 && less(largeHigh, largeLow, smallHigh, smallLow))) {
    const keptHigh = largeHigh;
    const keptLow = largeLow;
    largeHigh = smallHigh;
    largeLow = smallLow;
    smallHigh = keptHigh;
    smallLow = keptLow;
    biased = exponent;
    distance = -distance;
    sign = zSign;
  }
  smallHigh = shiftRightJam(smallHigh, smallLow, min<i32>(distance, 200));
  smallLow = low;
  let high: u64;
  if (subtracts) {
    high = subtract(largeHigh, largeLow, smallHigh, smallLow);
  } else {
    const total = largeLow + smallLow;
    high = largeHigh + smallHigh + u64(total < largeLow);
    return normalise<T>(sign, biased, high, total);
  }
  if ((high | low) == 0) return rounding == DOWN ? signBit<T>() : 0;
  return normalise<T>(sign, biased, high, low);
}

function normalise<T>(sign: u64, biased: i32, high: u64, lowWord: u64): u64 {
  const shift = high != 0 ? <i32>clz<u64>(high) : 64 + <i32>clz<u64>(lowWord);
  const top = shiftLeft(high, lowWord, shift);
  return pack<T>(sign != 0, biased + 1 - shift, top | u64(low != 0));
}
