/** F2XM1, FYL2X, FYL2XP1 and FPATAN: computed with 128 bits, then rounded, with the rounding control, to 64. */
import { ST_FAULT, ST_NEXT } from "../../src/state/layout";
import {
  exponentialSeries, oddSeries, roundExact, roundWide, seriesLow, setWide, wExponent, wHigh, wideAdd, wideDivide, wideFraction,
  wideMultiply, wideSquare, wLow, wSign,
} from "./longreal";
import {
  aClass, aExponent, aSign, aSignificand, bClass, bExponent, bSign, bSignificand, BIAS, INFINITY, INTEGER_BIT, loadA, loadB,
  NORMAL, ZERO,
} from "./operand";
import {
  denormals, denormalsB, PE, propagate, propagateB, setInfinity, setInvalid, setResult, setZero, signal, ZE,
} from "./round";
import { begin, isEmpty, pop, settle, st, underflow, writeResult } from "./stack";
import { low, multiplyHigh, shiftLeft, subtract } from "./wide";

/** ln 2 * 2^128. */
const LN2_HIGH: u64 = 0xb17217f7d1cf79ab;
const LN2_LOW: u64 = 0xc9e3b39803f2f6af;
/** 2 / ln 2 * 2^126. */
const TWO_LOG2E_HIGH: u64 = 0xb8aa3b295c17f0bb;
const TWO_LOG2E_LOW: u64 = 0xbe87fed0691d3e89;
/** pi * 2^126. */
const PI_HIGH: u64 = 0xc90fdaa22168c234;
const PI_LOW: u64 = 0xc4c6628b80dc1cd1;
/** Significand of the square root of two. */
const SQRT2: u64 = 0xb504f333f9de6484;

/** atan(i / 16) * 2^128 for i = 1..16, high and low words. */
const ARC_TANGENTS: usize = memory.data<u64>([
  0x0ffaaddb967ef4e3, 0x6cb2792dc0e2e0d5, 0x1fd5ba9aac2f6dc6, 0x5912f313e7d111df, 0x2f72f6979cb6044d, 0x1ec2d3e207271d22,
  0x3eb6ebf25901bac5, 0x5b71e7bd7de885f9, 0x4d89dcdc1faf2f34, 0xe2d5da4c693d7994, 0x5bd86507937bc239, 0xc55190916e7f2242,
  0x6993bb0f308ff2db, 0x213e4af4800f389b, 0x76b19c1586ed3da2, 0xb7f222f65e1d4682, 0x832bf4a6d9867e2a, 0x4b6a09cb61a515c1,
  0x8f005d5ef7f59f9b, 0x5c835e1665c43748, 0x9a2f80e671bdda20, 0x4226f8e2204ff3bd, 0xa4bc7d1934f70924, 0x19a87f2a457dac9f,
  0xaeac4c38b4d8c080, 0x14725e2f3e52070a, 0xb8053e2bc2319e73, 0xcb2da55210a4443d, 0xc0ce85b8ac526640, 0x89dd62c46e92fa25,
  0xc90fdaa22168c234, 0xc4c6628b80dc1cd1,
]);

/** 2^B - 1 for |B| <= 1; beyond, where the result is undefined, B. */
function power(): void {
  if (propagateB()) return;
  if (bClass == ZERO) return setZero(bSign);
  if (bClass == INFINITY) return bSign ? setResult(1, BIAS, INTEGER_BIT) : setInfinity(0);
  denormalsB();
  if (bExponent >= BIAS) {
    if (bExponent > BIAS || bSignificand != INTEGER_BIT) {
      signal(PE);
      return setResult(bSign, bExponent, bSignificand);
    }
    return setResult(bSign, BIAS - bSign, INTEGER_BIT);
  }
  const product = multiplyHigh(bSignificand, 0, LN2_HIGH, LN2_LOW);
  setWide(bSign, product, low, bExponent - BIAS);
  const z = wideFraction();
  const sum = exponentialSeries(z, low, bSign != 0);
  wideMultiply(sum, seriesLow, 0);
  roundWide();
}

export function op_f2xm1(rec: usize): i32 {
  if (begin(rec) != ST_NEXT) return ST_FAULT;
  if (isEmpty(0)) {
    underflow(0);
    return ST_NEXT;
  }
  loadB(st(0));
  power();
  if (settle(false)) writeResult(0);
  return ST_NEXT;
}

/** W := log2 of a normalised number; returns whether that is exact. */
function wideLog(high: u64, lowWord: u64, exponent: i32): bool {
  if (high >= SQRT2) {
    // (m/2 - 1) / (m/2 + 1)
    const difference = subtract(0, 0, high, lowWord);
    setWide(1, difference, low, 0);
    exponent++;
    quotientOf((high >> 1) + INTEGER_BIT, (high << 63) | (lowWord >> 1));
  } else {
    const fraction = high & ~INTEGER_BIT;
    if ((fraction | lowWord) == 0) return wideInteger(exponent);
    setWide(0, fraction, lowWord, 0);
    quotientOf((high >> 1) + (INTEGER_BIT >> 1), (high << 63) | (lowWord >> 1));
  }
  logSeries();
  if (exponent == 0) return false;
  const magnitude: u64 = exponent < 0 ? -exponent : exponent;
  const shift = <i32>clz<u64>(magnitude);
  wideAdd(i32(exponent < 0), magnitude << shift, 0, 63 - shift);
  return false;
}

/** W := W / (high:lowWord * 2^-126). */
function quotientOf(high: u64, lowWord: u64): void {
  wideDivide(wSign, wHigh, wLow, wExponent, high, lowWord, 1);
}

/** W := log2((1 + W) / (1 - W)) for a small W. */
function logSeries(): void {
  const z = wideSquare();
  const sum = oddSeries(z, low, false);
  wideMultiply(sum, seriesLow, 0);
  wideMultiply(TWO_LOG2E_HIGH, TWO_LOG2E_LOW, 1);
}

function wideInteger(value: i32): bool {
  const magnitude: u64 = value < 0 ? -value : value;
  setWide(i32(value < 0), magnitude, 0, 63);
  return true;
}

/** A * log2(B). */
function logarithm(): void {
  if (propagate()) return;
  if (bSign && bClass != ZERO) return setInvalid();
  const one = bClass == NORMAL && bExponent == BIAS && bSignificand == INTEGER_BIT;
  // The sign of log2(B).
  const sign = aSign ^ i32(bClass == ZERO || (bClass != INFINITY && bExponent < BIAS));
  if (aClass == INFINITY || bClass == INFINITY) {
    if (aClass == ZERO || one) return setInvalid();
    denormals();
    return setInfinity(sign);
  }
  if (bClass == ZERO) {
    if (aClass == ZERO) return setInvalid();
    signal(ZE);
    return setInfinity(sign);
  }
  denormals();
  if (aClass == ZERO || one) return setZero(sign);
  const exact = wideLog(bSignificand, 0, bExponent - BIAS);
  multiplyByA(exact);
}

/** The result: W * A. */
function multiplyByA(exact: bool): void {
  wSignXorA();
  wideMultiply(aSignificand, 0, aExponent - BIAS);
  if (!exact) return roundWide();
  // Processors report even an integral power of two as inexact.
  roundExact();
  signal(PE);
}

function wSignXorA(): void {
  setWide(wSign ^ aSign, wHigh, wLow, wExponent);
}

/** A * log2(B + 1). */
function logarithmPlusOne(): void {
  if (propagate()) return;
  const sign = aSign ^ bSign;
  if (bClass == INFINITY) {
    if (bSign || aClass == ZERO) return setInvalid();
    denormals();
    return setInfinity(sign);
  }
  if (aClass == INFINITY) {
    if (bClass == ZERO) return setInvalid();
    denormals();
    return setInfinity(sign);
  }
  if (bSign && bExponent >= BIAS) return setInvalid();
  denormals();
  if (aClass == ZERO || bClass == ZERO) return setZero(sign);
  setWide(0, INTEGER_BIT, 0, bExponent < BIAS - 2 ? 1 : 0);
  wideAdd(bSign, bSignificand, 0, bExponent - BIAS);
  if (bExponent >= BIAS - 2) {
    multiplyByA(wideLog(wHigh, wLow, wExponent));
    return;
  }
  // B / (2 + B)
  wideDivide(bSign, bSignificand, 0, bExponent - BIAS, wHigh, wLow, wExponent);
  logSeries();
  multiplyByA(false);
}

function binary(rec: usize, kind: i32): i32 {
  if (begin(rec) != ST_NEXT) return ST_FAULT;
  if (isEmpty(0) || isEmpty(1)) {
    if (underflow(1)) pop();
    return ST_NEXT;
  }
  loadA(st(1));
  loadB(st(0));
  if (kind == 0) logarithm();
  else if (kind == 1) logarithmPlusOne();
  else arcTangent();
  if (!settle(false)) return ST_NEXT;
  writeResult(1);
  pop();
  return ST_NEXT;
}

export function op_fyl2x(rec: usize): i32 { return binary(rec, 0); }
export function op_fyl2xp1(rec: usize): i32 { return binary(rec, 1); }
export function op_fpatan(rec: usize): i32 { return binary(rec, 2); }

/** atan2(A, B): the angle of the point with the abscissa B and the ordinate A. */
function arcTangent(): void {
  if (propagate()) return;
  denormals();
  const sign = aSign;
  const left = bSign != 0;
  if (aClass == INFINITY && bClass == INFINITY) {
    // pi/4 or 3 pi/4
    setWide(sign, PI_HIGH, PI_LOW, -1);
    if (left) wideMultiply(0xc000000000000000, 0, 1);
    return roundWide();
  }
  if (aClass == INFINITY || (bClass == ZERO && aClass != ZERO)) {
    setWide(sign, PI_HIGH, PI_LOW, 0);
    return roundWide();
  }
  if (aClass == ZERO || bClass == INFINITY) {
    if (!left) return setZero(sign);
    setWide(sign, PI_HIGH, PI_LOW, 1);
    return roundWide();
  }
  const steep = aExponent > bExponent || (aExponent == bExponent && aSignificand > bSignificand);
  if (steep) wideDivide(0, bSignificand, 0, bExponent - BIAS, aSignificand, 0, aExponent - BIAS);
  else wideDivide(0, aSignificand, 0, aExponent - BIAS, bSignificand, 0, bExponent - BIAS);
  wideArcTangent();
  if (steep) subtractFrom(0);
  if (left) subtractFrom(1);
  setWide(sign, wHigh, wLow, wExponent);
  roundWide();
}

/** W := pi * 2^(exponent - 1) - W. */
function subtractFrom(exponent: i32): void {
  setWide(wSign ^ 1, wHigh, wLow, wExponent);
  wideAdd(0, PI_HIGH, PI_LOW, exponent);
}

/** W := atan(W) for 0 < W <= 1: atan(i/16) from a table and the series for what is left. */
function wideArcTangent(): void {
  if (wExponent == 0) return setWide(0, PI_HIGH, PI_LOW, -1);
  const t = wideFraction();
  const tLow = low;
  const i = <i32>(((t >> 59) + 1) >> 1);
  if (i == 0) return arcSeries();
  // (t - i/16) / (1 + t*i/16); the fraction of i = 16 wraps to zero, and so does the difference.
  const step = <u64>i << 60;
  const below = i == 16 || t < step;
  const difference = below ? subtract(step, 0, t, tLow) : subtract(t, tLow, step, 0);
  setWide(i32(below), difference, low, -1);
  if (wHigh != 0) {
    const product = i == 16 ? t : multiplyHigh(t, tLow, step, 0);
    const productLow = i == 16 ? tLow : low;
    wideDivide(wSign, wHigh, wLow, wExponent, INTEGER_BIT | (product >> 1), (product << 63) | (productLow >> 1), 0);
    arcSeries();
  }
  const entry = ARC_TANGENTS + (<usize>(i - 1) << 4);
  const high = load<u64>(entry);
  const lowWord = load<u64>(entry, 8);
  const shift = <i32>clz<u64>(high);
  const top = shiftLeft(high, lowWord, shift);
  wideAdd(0, top, low, -1 - shift);
}

/** W := atan(W) for a small W. */
function arcSeries(): void {
  const z = wideSquare();
  const sum = oddSeries(z, low, true);
  wideMultiply(sum, seriesLow, 0);
}
