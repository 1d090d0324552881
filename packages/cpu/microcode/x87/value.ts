/**
 * x87 operations on values, for semantics (src/semantics/x87), which keep the stack. A value is a register as it lies in
 * memory: significand in the low lane, sign and exponent in the other. All exceptions must be masked and none pending; then
 * each operation completes, and of the processor's state only the status word changes.
 *
 * Each begins with a short way for what most programs do all the time: normal numbers, rounded to nearest to 64 bits.
 */
import { FCW, FSW } from "../../src/state/layout";
import { get32, set32 } from "../cpu";
import { addition, division, multiplication, remainderBits, squareRoot, subtraction } from "./arithmetic";
import { compare } from "./compare";
import { compute } from "./compute";
import {
  bClass, bExponent, bSign, bSignificand, BIAS, doubleToB, INFINITY, INTEGER_BIT, singleToB, takeA, takeB,
} from "./operand";
import {
  C1, CHOP, clearRaised, denormalsB, NEAREST, propagateB, rExponent, roundingControl, rSign, rSignificand, setInfinity, setResult,
} from "./round";
import { roundIntegral } from "./remainder";
import { settle } from "./stack";
import { narrow, toInteger } from "./transfer";
import { divide, rest } from "./wide";

/** Rounding and precision control, and their values for the short way. */
const CONTROL = 0xf00;
const NEAREST_EXTENDED = 0x300;
const SIGN = 0x8000;

// @ts-ignore: decorator
@inline
function significandOf(v: v128): u64 {
  return v128.extract_lane<u64>(v, 0);
}

// @ts-ignore: decorator
@inline
function signExponentOf(v: v128): i32 {
  return <i32>v128.extract_lane<u16>(v, 4);
}

// @ts-ignore: decorator
@inline
function valueOf(signExponent: i32, significand: u64): v128 {
  return v128.replace_lane<u64>(v128.splat<u64>(significand), 1, <u64>signExponent);
}

// @ts-ignore: decorator
@inline
function usesShortWay(): bool {
  return (get32(FCW) & CONTROL) == NEAREST_EXTENDED;
}

/** Whether a biased exponent is neither the least nor the greatest. */
// @ts-ignore: decorator
@inline
function isNormal(exponent: i32): bool {
  return <u32>(exponent - 1) < 0x7ffe;
}

/** Whether an exponent stays normal even if rounding carries. */
// @ts-ignore: decorator
@inline
function staysNormal(exponent: i32): bool {
  return <u32>(exponent - 1) < 0x7ffd;
}

/** Rounds a normalised word to nearest; `fraction` is what is cut off. Notes PE and C1. */
// @ts-ignore: decorator
@inline
function round(sign: i32, exponent: i32, word: u64, fraction: u64): v128 {
  const increment = u64((fraction | (word & 1)) > INTEGER_BIT);
  const sum = word + increment;
  // A carry out leaves zero.
  const carry = i32(sum == 0);
  set32(FSW, (get32(FSW) & ~C1) | (i32(fraction != 0) << 5) | (<i32>increment << 9));
  return valueOf(sign | (exponent + carry), sum | (<u64>carry << 63));
}

// @ts-ignore: decorator
@inline
function take(a: v128, b: v128): void {
  clearRaised();
  takeA(signExponentOf(a), significandOf(a));
  takeB(signExponentOf(b), significandOf(b));
}

/** What the general way has computed. */
function result(): v128 {
  settle(false);
  return valueOf((rSign << 15) | rExponent, rSignificand);
}


// ---- arithmetic

function generalSum(a: v128, b: v128, subtracts: bool): v128 {
  take(a, b);
  if (subtracts) subtraction();
  else addition();
  return result();
}

/** A + B, or A - B where `flip` is the sign bit. */
// @ts-ignore: decorator
@inline
function sum(a: v128, b: v128, flip: i32): v128 {
  let large = significandOf(a);
  let small = significandOf(b);
  let first = signExponentOf(a);
  let second = signExponentOf(b) ^ flip;
  const mayBeShort = usesShortWay() & isNormal(first & 0x7fff) & isNormal(second & 0x7fff) & (<i64>(large & small) < 0);
  // By magnitude.
  const swaps = i32((first & 0x7fff) < (second & 0x7fff)) | (i32(((first ^ second) & 0x7fff) == 0) & i32(large < small));
  const other = large;
  large = swaps ? small : large;
  small = swaps ? other : small;
  const otherSign = first;
  first = swaps ? second : first;
  second = swaps ? otherSign : second;
  const distance = (first & 0x7fff) - (second & 0x7fff);
  if (!mayBeShort || distance > 63) return generalSum(a, b, flip != 0);
  const sign = first & SIGN;
  let exponent = first & 0x7fff;
  let fraction = (small << 1) << (63 - distance);
  small >>= distance;
  if (((first ^ second) & SIGN) == 0) {
    const word = large + small;
    const carry = i32(word < large);
    exponent += carry;
    if (!staysNormal(exponent)) return generalSum(a, b, flip != 0);
    // A fraction ends in a zero: nothing is lost.
    fraction = carry ? (word << 63) | (fraction >> 1) : fraction;
    return round(sign, exponent, (word >> carry) | (<u64>carry << 63), fraction);
  }
  const borrow = u64(fraction != 0);
  fraction = 0 - fraction;
  const word = large - small - borrow;
  const shift = <i32>clz<u64>(word);
  exponent -= shift;
  if (word == 0 || !staysNormal(exponent)) return generalSum(a, b, flip != 0);
  return round(sign, exponent, (word << shift) | ((fraction >> 1) >> (63 - shift)), fraction << shift);
}

export function x87Add(a: v128, b: v128): v128 {
  return sum(a, b, 0);
}

export function x87Sub(a: v128, b: v128): v128 {
  return sum(a, b, SIGN);
}

/** High word of a product. */
// @ts-ignore: decorator
@inline
function highProduct(x: u64, y: u64): u64 {
  const xLow = x & 0xffffffff;
  const xHigh = x >> 32;
  const yLow = y & 0xffffffff;
  const yHigh = y >> 32;
  const cross = xHigh * yLow + ((xLow * yLow) >> 32);
  const middle = xLow * yHigh + (cross & 0xffffffff);
  return xHigh * yHigh + (cross >> 32) + (middle >> 32);
}

function generalProduct(a: v128, b: v128): v128 {
  take(a, b);
  multiplication();
  return result();
}

export function x87Mul(a: v128, b: v128): v128 {
  const x = significandOf(a);
  const y = significandOf(b);
  const first = signExponentOf(a);
  const second = signExponentOf(b);
  const top = highProduct(x, y);
  const lowWord = x * y;
  const shift = i32(<i64>top >= 0);
  const exponent = (first & 0x7fff) + (second & 0x7fff) - (BIAS - 1) - shift;
  const mayBeShort = usesShortWay() & isNormal(first & 0x7fff) & isNormal(second & 0x7fff) & (<i64>(x & y) < 0);
  if (!mayBeShort || !staysNormal(exponent)) return generalProduct(a, b);
  return round((first ^ second) & SIGN, exponent, (top << shift) | ((lowWord >> 1) >> (63 - shift)), lowWord << shift);
}

function generalQuotient(a: v128, b: v128): v128 {
  take(a, b);
  division();
  return result();
}

export function x87Div(a: v128, b: v128): v128 {
  const x = significandOf(a);
  const y = significandOf(b);
  const first = signExponentOf(a);
  const second = signExponentOf(b);
  const less = i32(x < y);
  const exponent = (first & 0x7fff) - (second & 0x7fff) + BIAS - less;
  const mayBeShort = usesShortWay() & isNormal(first & 0x7fff) & isNormal(second & 0x7fff) & (<i64>(x & y) < 0);
  if (!mayBeShort || !staysNormal(exponent)) return generalQuotient(a, b);
  const quotient = divide(less ? x : x >> 1, less ? 0 : x << 63, y);
  return round((first ^ second) & SIGN, exponent, quotient, remainderBits(rest, y));
}

function generalRoot(b: v128): v128 {
  clearRaised();
  takeB(signExponentOf(b), significandOf(b));
  squareRoot();
  return result();
}

/** 2^65 and 2^21; the greatest double below 2^64; how close to a half a fraction is left to the general way. */
const RADICAND_SCALE: f64 = 36893488147419103232.0;
const STEP_SCALE: f64 = 2097152.0;
const GREATEST_ROOT: f64 = 18446744073709549568.0;
const NEAR_HALF: f64 = 0.499999;

/**
 * The root of N = high:lowWord in doubles gives its upper 53 bits, h. N is a multiple of 2^63 and the square of h * 2^11 one of
 * 2^22, so (N >> 22) - h * h, which is small, is exact in 64 bits; one step of Newton's gives the other bits and a fraction,
 * good to forty bits. No root lies half way between two words.
 */
export function x87Sqrt(b: v128): v128 {
  const significand = significandOf(b);
  const signExponent = signExponentOf(b);
  if (!(usesShortWay() & isNormal(signExponent) & (<i64>significand < 0))) return generalRoot(b);
  const odd = (signExponent - BIAS) & 1;
  const high = odd ? significand : significand >> 1;
  const lowWord = odd ? 0 : significand << 63;
  const guess = Math.sqrt(<f64><i64>(high >> 1) * RADICAND_SCALE);
  const root = guess > GREATEST_ROOT ? GREATEST_ROOT : guess;
  const upper = <u64><i64>(root * (1.0 / 2048.0));
  const left = <i64>((high << 42) | (lowWord >> 22)) - <i64>(upper * upper);
  const step = (<f64>left * STEP_SCALE) / root;
  const whole = nearest<f64>(step);
  const fraction = step - whole;
  if (Math.abs(fraction) > NEAR_HALF) return generalRoot(b);
  const word = (upper << 11) + <u64><i64>whole;
  // What is left after the step, where that is less than 2^63; elsewhere the fraction tells its sign.
  const rest = Math.abs(fraction) < 0.25 ? <i64>((<u64>left << 22) - <u64><i64>whole * ((upper << 12) + <u64><i64>whole)) : <i64>1 - (<i64>(fraction < 0) << 1);
  set32(FSW, (get32(FSW) & ~C1) | (i32(rest != 0) << 5) | (i32(rest < 0) << 9));
  return valueOf(((signExponent - BIAS - odd) >> 1) + BIAS, word);
}

/** A with a number in memory, for those that are not normal. */
export function x87WithSingle(a: v128, bits: u32, operation: i32): v128 {
  clearRaised();
  takeA(signExponentOf(a), significandOf(a));
  singleToB(bits);
  compute(operation);
  return result();
}

export function x87WithDouble(a: v128, bits: u64, operation: i32): v128 {
  clearRaised();
  takeA(signExponentOf(a), significandOf(a));
  doubleToB(bits);
  compute(operation);
  return result();
}

/** FRNDINT. */
export function x87Round(b: v128): v128 {
  clearRaised();
  takeB(signExponentOf(b), significandOf(b));
  roundIntegral();
  return result();
}

// ---- comparison

/** C3, C2, C0 as of FCOM; quiet NaNs are invalid unless `quiet`. */
export function x87Compare(a: v128, b: v128, quiet: i32): i32 {
  take(a, b);
  const condition = compare(quiet != 0);
  settle(false);
  return condition;
}

/** The same with a number in memory. */
export function x87CompareSingle(a: v128, bits: u32): i32 {
  clearRaised();
  takeA(signExponentOf(a), significandOf(a));
  singleToB(bits);
  const condition = compare(false);
  settle(false);
  return condition;
}

export function x87CompareDouble(a: v128, bits: u64): i32 {
  clearRaised();
  takeA(signExponentOf(a), significandOf(a));
  doubleToB(bits);
  const condition = compare(false);
  settle(false);
  return condition;
}

// ---- conversions

/** B, from a format that has no more precision. */
function widened(): v128 {
  if (!propagateB()) {
    denormalsB();
    if (bClass == INFINITY) setInfinity(bSign);
    else setResult(bSign, bExponent, bSignificand);
  }
  return result();
}

export function x87FromSingle(bits: u32): v128 {
  clearRaised();
  singleToB(bits);
  return widened();
}

export function x87FromDouble(bits: u64): v128 {
  clearRaised();
  doubleToB(bits);
  return widened();
}

/** Raises nothing, and leaves the status word alone. */
export function x87FromInteger(value: i64): v128 {
  if (value == 0) return valueOf(0, 0);
  const sign = i32(value < 0);
  const magnitude: u64 = sign ? 0 - value : value;
  const shift = <i32>clz<u64>(magnitude);
  return valueOf((sign << 15) | (BIAS + 63 - shift), magnitude << shift);
}

function narrowed(v: v128, size: i32): u64 {
  clearRaised();
  takeB(signExponentOf(v), significandOf(v));
  const bits = narrow(size);
  settle(true);
  return bits;
}

/** Rounds a normal number to a format of `bits` of fraction. */
// @ts-ignore: decorator
@inline
function roundTo(exponent: i32, word: u64, bits: i32): u64 {
  const kept = word >> (63 - bits);
  const fraction = word << (bits + 1);
  const increment = u64((fraction | (kept & 1)) > INTEGER_BIT);
  set32(FSW, (get32(FSW) & ~C1) | (i32(fraction != 0) << 5) | (<i32>increment << 9));
  // The integer bit and a carry go to the exponent.
  return (<u64>(exponent - 1) << bits) + kept + increment;
}

export function x87ToDouble(v: v128): u64 {
  const signExponent = signExponentOf(v);
  const word = significandOf(v);
  const exponent = (signExponent & 0x7fff) - (BIAS - 0x3ff);
  const mayBeShort = (roundingControl() == NEAREST) & (<u32>(exponent - 1) < 0x7fd) & (<i64>word < 0);
  if (!mayBeShort) return narrowed(v, 8);
  return (<u64>(signExponent & SIGN) << 48) | roundTo(exponent, word, 52);
}

export function x87ToSingle(v: v128): u32 {
  const signExponent = signExponentOf(v);
  const word = significandOf(v);
  const exponent = (signExponent & 0x7fff) - (BIAS - 0x7f);
  const mayBeShort = (roundingControl() == NEAREST) & (<u32>(exponent - 1) < 0xfd) & (<i64>word < 0);
  if (!mayBeShort) return <u32>narrowed(v, 4);
  return (<u32>(signExponent & SIGN) << 16) | <u32>roundTo(exponent, word, 23);
}

/** To a signed integer of `size` bytes; truncated, or rounded as the control word says. */
export function x87ToInteger(v: v128, size: i32, truncates: i32): i64 {
  clearRaised();
  takeB(signExponentOf(v), significandOf(v));
  const value = toInteger(size, truncates ? CHOP : roundingControl());
  settle(true);
  return value;
}
