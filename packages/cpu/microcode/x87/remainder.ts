/** FPREM, FPREM1, FSCALE, FXTRACT and FRNDINT: exact, or rounded to the full 64 bits. */
import { FSW, ST_FAULT, ST_NEXT } from "../../src/state/layout";
import { get32, set32 } from "../cpu";
import {
  aClass, aExponent, aSign, aSignificand, bClass, bExponent, bSign, bSignificand, BIAS, INFINITY, loadA, loadB,
  ZERO,
} from "./operand";
import {
  C0, C1, C2, C3, denormals, denormalsB, IE, integerOverflow, propagate, propagateB, roundExtended, roundingControl,
  roundToInteger, setIndefinite, setInfinity, setInvalid, setResult, setZero, SF, signal, ZE,
} from "./round";
import {
  begin, isEmpty, push, setCondition, settle, st, underflow, writeResult,
} from "./stack";

/** Low bits of the last quotient. */
let quotient: u64 = 0;
/** Whether the last reduction was complete. */
let complete: bool = false;
/** Whether the quotient means anything: not with NaNs. */
let defined: bool = false;

/** A modulo B into the result; `nearest` for the IEEE remainder, else the quotient is cut off. */
function remainder(nearest: bool): void {
  quotient = 0;
  complete = true;
  defined = false;
  if (propagate()) return;
  if (aClass == INFINITY || bClass == ZERO) return setInvalid();
  defined = true;
  denormals();
  if (aClass == ZERO) return setZero(aSign);
  if (bClass == INFINITY) return roundExtended(aSign, aExponent, aSignificand, 0);
  const distance = aExponent - bExponent;
  if (distance < 0) return smaller(nearest && distance == -1);
  // SDM vol. 2A, FPREM: a distance of 64 or more is reduced by between 32 and 63 and C2 tells that it was not enough.
  complete = distance < 64;
  const steps = complete ? distance : (distance & 31) | 32;
  const exponent = bExponent + distance - steps;
  let r = reduce(steps);
  let sign = aSign;
  if (complete && nearest) {
    const complement = bSignificand - r;
    if (r > complement || (r == complement && quotient & 1)) {
      r = complement;
      sign ^= 1;
      quotient++;
    }
  }
  if (r == 0) return setZero(aSign);
  const shift = <i32>clz<u64>(r);
  roundExtended(sign, exponent - shift, r << shift, 0);
}

/** Remainder of the significands after `steps` steps of long division; the quotient's bits go to `quotient`. */
function reduce(steps: i32): u64 {
  let r = aSignificand;
  let q: u64 = 0;
  let carry = false;
  for (let i = steps; ; i--) {
    q <<= 1;
    if (carry || r >= bSignificand) {
      r -= bSignificand;
      q |= 1;
    }
    if (i == 0) break;
    carry = r >> 63 != 0;
    r <<= 1;
  }
  quotient = q;
  return r;
}

/** |A| < |B|: A itself, or with `mayRound` (|A| at least half of |B|) A - B if that is nearer. */
function smaller(mayRound: bool): void {
  if (!mayRound || aSignificand <= bSignificand) return roundExtended(aSign, aExponent, aSignificand, 0);
  quotient = 1;
  const difference = (bSignificand << 1) - aSignificand;
  const shift = <i32>clz<u64>(difference);
  roundExtended(aSign ^ 1, aExponent - shift, difference << shift, 0);
}

function partialRemainder(rec: usize, nearest: bool): i32 {
  if (begin(rec) != ST_NEXT) return ST_FAULT;
  set32(FSW, get32(FSW) & ~C2);
  if (isEmpty(0) || isEmpty(1)) {
    underflow(0);
    return ST_NEXT;
  }
  loadA(st(0));
  loadB(st(1));
  remainder(nearest);
  if (!settle(false)) return ST_NEXT;
  writeResult(0);
  if (!defined) return ST_NEXT;
  if (!complete) setCondition(C2);
  else setCondition((quotient & 4 ? C0 : 0) | (quotient & 2 ? C3 : 0) | (quotient & 1 ? C1 : 0));
  return ST_NEXT;
}

export function op_fprem(rec: usize): i32 { return partialRemainder(rec, false); }
export function op_fprem1(rec: usize): i32 { return partialRemainder(rec, true); }

/** A * 2^trunc(B). */
function scale(): void {
  if (propagate()) return;
  if (bClass == INFINITY) {
    if (bSign ? aClass == INFINITY : aClass == ZERO) return setInvalid();
    denormals();
    return bSign ? setZero(aSign) : setInfinity(aSign);
  }
  denormals();
  if (aClass == INFINITY) return setInfinity(aSign);
  if (aClass == ZERO) return setZero(aSign);
  let shift = 0;
  if (bClass != ZERO && bExponent >= BIAS) {
    // Beyond 2^16 it is an overflow or underflow whatever A is.
    shift = bExponent >= BIAS + 16 ? 0x10000 : <i32>(bSignificand >> (BIAS + 63 - bExponent));
    if (bSign) shift = -shift;
  }
  roundExtended(aSign, aExponent + shift, aSignificand, 0);
}

export function op_fscale(rec: usize): i32 {
  if (begin(rec) != ST_NEXT) return ST_FAULT;
  if (isEmpty(0) || isEmpty(1)) {
    underflow(0);
    return ST_NEXT;
  }
  loadA(st(0));
  loadB(st(1));
  scale();
  if (settle(false)) writeResult(0);
  return ST_NEXT;
}

/** ST(0) becomes the exponent, and the significand is pushed. */
export function op_fxtract(rec: usize): i32 {
  if (begin(rec) != ST_NEXT) return ST_FAULT;
  if (isEmpty(0) || !isEmpty(-1)) {
    const overflow = !isEmpty(0);
    signal(IE | SF | (overflow ? C1 : 0));
    setIndefinite();
    if (settle(false)) writeTwice();
    return ST_NEXT;
  }
  loadB(st(0));
  if (propagateB()) {
    if (settle(false)) writeTwice();
    return ST_NEXT;
  }
  if (bClass == ZERO) signal(ZE);
  else denormalsB();
  if (!settle(false)) return ST_NEXT;
  setExponent();
  writeResult(0);
  push();
  if (bClass == ZERO) setZero(bSign);
  else if (bClass == INFINITY) setInfinity(bSign);
  else setResult(bSign, BIAS, bSignificand);
  writeResult(0);
  return ST_NEXT;
}

function writeTwice(): void {
  writeResult(0);
  push();
  writeResult(0);
}

/** The unbiased exponent of B as a real. */
function setExponent(): void {
  if (bClass == ZERO) return setInfinity(1);
  if (bClass == INFINITY) return setInfinity(0);
  const value = bExponent - BIAS;
  if (value == 0) return setZero(0);
  const magnitude: u64 = value < 0 ? -value : value;
  const shift = <i32>clz<u64>(magnitude);
  setResult(i32(value < 0), BIAS + 63 - shift, magnitude << shift);
}

/** B rounded to an integer. */
export function roundIntegral(): void {
  if (propagateB()) return;
  if (bClass == ZERO) return setZero(bSign);
  if (bClass == INFINITY) return setInfinity(bSign);
  denormalsB();
  if (bExponent >= BIAS + 63) return setResult(bSign, bExponent, bSignificand);
  const magnitude = roundToInteger(roundingControl(), bSign, bExponent, bSignificand);
  if (magnitude == 0) return setZero(bSign);
  const shift = <i32>clz<u64>(magnitude);
  setResult(bSign, BIAS + 63 - shift, magnitude << shift);
}

export function op_frndint(rec: usize): i32 {
  if (begin(rec) != ST_NEXT) return ST_FAULT;
  if (isEmpty(0)) {
    underflow(0);
    return ST_NEXT;
  }
  loadB(st(0));
  roundIntegral();
  if (settle(false)) writeResult(0);
  return ST_NEXT;
}
