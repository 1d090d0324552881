/**
 * FSIN, FCOS, FSINCOS and FPTAN. The argument is reduced by the 66-bit pi that SDM vol. 1, 8.3.8 documents, exactly; then
 * as in transcendental.ts.
 */
import { FSW, ST_FAULT, ST_NEXT } from "../../src/state/layout";
import { get32, set32 } from "../cpu";
import {
  factorialSeries, roundWide, seriesLow, setWide, wExponent, wHigh, wideDivide, wideMultiply, wideSquare, wLow, wSign,
} from "./longreal";
import { bClass, bExponent, bSign, bSignificand, BIAS, INFINITY, INTEGER_BIT, loadB, ZERO } from "./operand";
import {
  C1, C2, denormalsB, IE, propagateB, rExponent, rSign, rSignificand, setIndefinite, setInvalid, setResult, setZero, SF,
  signal,
} from "./round";
import { begin, clearC1, isEmpty, push, settle, st, underflow, writeResult } from "./stack";
import { less, low, shiftLeft, subtract } from "./wide";

/** pi/2 in units of 2^-65: 66 bits. */
const HALF_PI_HIGH: u64 = 0x3;
const HALF_PI_LOW: u64 = 0x243f6a8885a308d3;

/** Bits 1:0 of the number of quarter turns that the reduction took off. */
let quadrant: i32 = 0;

/** W := B reduced to [-pi/4, pi/4], without B's sign. */
function reduce(): void {
  quadrant = 0;
  const exponent = bExponent - BIAS;
  if (exponent <= -2) return setWide(0, bSignificand, 0, exponent);
  let high = shiftLeft(0, bSignificand, exponent + 2);
  let lowWord = low;
  for (let i = exponent; i >= 0; i--) {
    quadrant <<= 1;
    const modulus = shiftLeft(HALF_PI_HIGH, HALF_PI_LOW, i);
    if (less(high, lowWord, modulus, low)) continue;
    high = subtract(high, lowWord, modulus, low);
    lowWord = low;
    quadrant |= 1;
  }
  // More than half of pi/2 left: go on to the next multiple.
  const beyond = subtract(HALF_PI_HIGH, HALF_PI_LOW, high, lowWord);
  const negative = less(beyond, low, high, lowWord);
  if (negative) quadrant++;
  setWide(i32(negative), negative ? beyond : high, negative ? low : lowWord, 62);
}

/** W := sin W. */
function wideSine(): void {
  const z = wideSquare();
  const sum = factorialSeries(z, low, 2);
  wideMultiply(sum, seriesLow, 0);
}

/** W := cos W. */
function wideCosine(): void {
  const z = wideSquare();
  const sum = factorialSeries(z, low, 1);
  setWide(0, sum, seriesLow, 0);
}

/** The sine of B (turned by `turns` quarters) into the result. */
function sineOf(turns: i32): void {
  reduce();
  const quarter = quadrant + turns;
  if (quarter & 1) wideCosine();
  else wideSine();
  let sign = wSign ^ ((quarter >> 1) & 1);
  if (turns == 0) sign ^= bSign;
  setWide(sign, wHigh, wLow, wExponent);
  roundWide();
}

function tangent(): void {
  reduce();
  const sign = wSign ^ bSign;
  const high = wHigh;
  const lowWord = wLow;
  const exponent = wExponent;
  // tan x = x + x^3/3: the least bit is enough to say so.
  if (exponent < -64) {
    setWide(sign, high, lowWord | 1, exponent);
    return roundWide();
  }
  wideCosine();
  const cosineHigh = wHigh;
  const cosineLow = wLow;
  const cosineExponent = wExponent;
  setWide(sign, high, lowWord, exponent);
  wideSine();
  if (quadrant & 1) wideDivide(wSign ^ 1, cosineHigh, cosineLow, cosineExponent, wHigh, wLow, wExponent);
  else wideDivide(wSign, wHigh, wLow, wExponent, cosineHigh, cosineLow, cosineExponent);
  roundWide();
}

/** B's special cases: true when the result is set. */
function special(): bool {
  if (propagateB()) return true;
  if (bClass == INFINITY) {
    setInvalid();
    return true;
  }
  denormalsB();
  return false;
}

// @ts-ignore: decorator
@inline
function setC2(on: bool): void {
  set32(FSW, on ? get32(FSW) | C2 : get32(FSW) & ~C2);
}

/** |B| is 2^63 or more: C2 tells that nothing was done. */
function outOfRange(): bool {
  if (bClass >= INFINITY || bExponent < BIAS + 63) return false;
  setC2(true);
  clearC1();
  return true;
}

function single(rec: usize, turns: i32): i32 {
  if (begin(rec) != ST_NEXT) return ST_FAULT;
  setC2(false);
  if (isEmpty(0)) {
    underflow(0);
    return ST_NEXT;
  }
  loadB(st(0));
  if (outOfRange()) return ST_NEXT;
  if (!special()) {
    if (bClass != ZERO) sineOf(turns);
    else if (turns) setResult(0, BIAS, INTEGER_BIT);
    else setZero(bSign);
  }
  if (settle(false)) writeResult(0);
  return ST_NEXT;
}

export function op_fsin(rec: usize): i32 { return single(rec, 0); }
export function op_fcos(rec: usize): i32 { return single(rec, 1); }

/** FSINCOS and FPTAN begin alike: true when they are done. */
function doubleBegins(): bool {
  setC2(false);
  if (isEmpty(0) || !isEmpty(-1)) {
    signal(IE | SF | (isEmpty(0) ? 0 : C1));
    setIndefinite();
    if (settle(false)) writeTwice();
    return true;
  }
  loadB(st(0));
  if (outOfRange()) return true;
  if (!special()) return false;
  if (settle(false)) writeTwice();
  return true;
}

function writeTwice(): void {
  writeResult(0);
  push();
  writeResult(0);
}

export function op_fsincos(rec: usize): i32 {
  if (begin(rec) != ST_NEXT) return ST_FAULT;
  if (doubleBegins()) return ST_NEXT;
  if (bClass == ZERO) setZero(bSign);
  else sineOf(0);
  const sign = rSign;
  const exponent = rExponent;
  const significand = rSignificand;
  if (bClass == ZERO) setResult(0, BIAS, INTEGER_BIT);
  else sineOf(1);
  if (!settle(false)) return ST_NEXT;
  const cosineSign = rSign;
  const cosineExponent = rExponent;
  const cosineSignificand = rSignificand;
  setResult(sign, exponent, significand);
  writeResult(0);
  push();
  setResult(cosineSign, cosineExponent, cosineSignificand);
  writeResult(0);
  return ST_NEXT;
}

/** The tangent, and then 1 is pushed. */
export function op_fptan(rec: usize): i32 {
  if (begin(rec) != ST_NEXT) return ST_FAULT;
  if (doubleBegins()) return ST_NEXT;
  if (bClass == ZERO) setZero(bSign);
  else tangent();
  if (!settle(false)) return ST_NEXT;
  writeResult(0);
  push();
  setResult(0, BIAS, INTEGER_BIT);
  writeResult(0);
  return ST_NEXT;
}
