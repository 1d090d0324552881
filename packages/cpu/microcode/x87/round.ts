/**
 * Rounding, with the control word's rounding and precision control, of a result that is exact or has its lost bits
 * folded into the low word. Exceptions are collected in `raised` (bits of the status word; C1 when rounded up).
 * Tininess is detected after rounding (SDM vol. 1, 4.9.1.5).
 */
import { FCW } from "../../src/state/layout";
import { get32 } from "../cpu";
import {
  aClass, aSign, aSignificand, bClass, bSign, bSignificand, BIAS, INTEGER_BIT, QNAN, QUIET_BIT, SNAN, UNSUPPORTED, DENORMAL,
} from "./operand";
import { low, shiftRightJam } from "./wide";

export const IE = 0x01;
export const DE = 0x02;
export const ZE = 0x04;
export const OE = 0x08;
export const UE = 0x10;
export const PE = 0x20;
/** Stack fault. */
export const SF = 0x40;
export const C0 = 0x100;
export const C1 = 0x200;
export const C2 = 0x400;
export const C3 = 0x4000;

export const NEAREST = 0;
export const DOWN = 1;
export const UP = 2;
export const CHOP = 3;

/** Exponent adjustment of an unmasked overflow or underflow (SDM vol. 1, 8.5.4 and 8.5.5). */
const ADJUST = 0x6000;

/** Exceptions of the operation at work. */
export let raised: i32 = 0;
/** The result: sign, biased exponent and significand as they are stored. */
export let rSign: i32 = 0;
export let rExponent: i32 = 0;
export let rSignificand: u64 = 0;

export function clearRaised(): void {
  raised = 0;
}

export function signal(flags: i32): void {
  raised |= flags;
}

// @ts-ignore: decorator
@inline
export function roundingControl(): i32 {
  return (get32(FCW) >> 10) & 3;
}

export function setResult(sign: i32, exponent: i32, significand: u64): void {
  rSign = sign;
  rExponent = exponent;
  rSignificand = significand;
}

export function setZero(sign: i32): void {
  setResult(sign, 0, 0);
}

export function setInfinity(sign: i32): void {
  setResult(sign, 0x7fff, INTEGER_BIT);
}

/** The real indefinite: a negative quiet NaN. */
export function setIndefinite(): void {
  setResult(1, 0x7fff, INTEGER_BIT | QUIET_BIT);
}

export function setInvalid(): void {
  raised |= IE;
  setIndefinite();
}

/** Whether the magnitude goes up: `fraction` is the discarded part in units of 2^-64 of the last place. */
export function roundsUp(mode: i32, sign: i32, odd: bool, fraction: u64): bool {
  if (fraction == 0) return false;
  if (mode == NEAREST) return fraction > INTEGER_BIT || (fraction == INTEGER_BIT && odd);
  return mode == UP ? !sign : mode == DOWN ? sign != 0 : false;
}

/** Carry out of the last rounding. */
let carried: bool = false;

/** Rounds high:lowWord (bit 63 of high is the integer bit, or the value is denormal) at `extra` bits above bit 0. */
function roundWord(mode: i32, sign: i32, high: u64, lowWord: u64, extra: i32): u64 {
  let fraction = lowWord;
  let kept = high;
  if (extra != 0) {
    fraction = (high << (64 - extra)) | u64(lowWord != 0);
    kept = (high >> extra) << extra;
  }
  carried = false;
  if (fraction == 0) return kept;
  raised |= PE;
  if (!roundsUp(mode, sign, ((kept >> extra) & 1) != 0, fraction)) {
    raised &= ~C1;
    return kept;
  }
  raised |= C1;
  const sum = kept + (<u64>1 << extra);
  carried = sum < kept;
  return carried ? INTEGER_BIT : sum;
}

/** Bits of the significand that precision control leaves out. */
export function precisionExtra(): i32 {
  const control = (get32(FCW) >> 8) & 3;
  return control == 3 ? 0 : control == 2 ? 11 : control == 0 ? 40 : 0;
}

/** Rounds to the register format with precision control. */
export function roundResult(sign: i32, exponent: i32, high: u64, lowWord: u64): void {
  roundTo(sign, exponent, high, lowWord, precisionExtra(), 0x7ffe, true);
}

/** Rounds to the register format with 64 bits of precision whatever the control word says. */
export function roundExtended(sign: i32, exponent: i32, high: u64, lowWord: u64): void {
  roundTo(sign, exponent, high, lowWord, 0, 0x7ffe, true);
}

/**
 * Rounds a normalised high:lowWord with the exponent (bias such that 1 is the least normal exponent of the format, and
 * `greatest` the greatest). With `adjust` an unmasked overflow or underflow gives the result with adjusted exponent;
 * without, the result is not to be stored.
 */
export function roundTo(sign: i32, exponent: i32, high: u64, lowWord: u64, extra: i32, greatest: i32, adjust: bool): void {
  const mode = roundingControl();
  if (exponent <= 0) return roundSmall(mode, sign, exponent, high, lowWord, extra, adjust);
  const significand = roundWord(mode, sign, high, lowWord, extra);
  if (carried) exponent++;
  if (exponent <= greatest) return setResult(sign, exponent, significand);
  raised |= OE;
  if (!(get32(FCW) & OE)) {
    if (!adjust) raised &= ~(PE | C1);
    exponent -= ADJUST;
    if (exponent <= greatest) return setResult(sign, exponent, significand);
    // FSCALE can go beyond what the adjustment brings back: SDM vol. 2A, FSCALE.
    raised |= PE | C1;
    return setResult(sign, greatest + 1, INTEGER_BIT);
  }
  raised |= PE;
  if (mode == CHOP || mode == (sign ? UP : DOWN)) {
    raised &= ~C1;
    setResult(sign, greatest, (<u64>-1 >> extra) << extra);
  } else {
    raised |= C1;
    setResult(sign, greatest + 1, INTEGER_BIT);
  }
}

/** roundTo for what lies below the least normal number before rounding. */
function roundSmall(mode: i32, sign: i32, exponent: i32, high: u64, lowWord: u64, extra: i32, adjust: bool): void {
  const isTiny = tiny(mode, sign, exponent, high, lowWord, extra);
  if (isTiny && !(get32(FCW) & UE)) {
    raised |= UE;
    if (!adjust) return;
    exponent += ADJUST;
    if (exponent <= 0) {
      raised |= PE;
      return setZero(sign);
    }
    const significand = roundWord(mode, sign, high, lowWord, extra);
    return setResult(sign, exponent + i32(carried), significand);
  }
  const shifted = shiftRightJam(high, lowWord, 1 - exponent);
  const significand = roundWord(mode, sign, shifted, low, extra);
  if (isTiny && raised & PE) raised |= UE;
  setResult(sign, i32((significand & INTEGER_BIT) != 0), significand);
}

/** Would the result, rounded with unbounded exponent, be below the least normal number? */
function tiny(mode: i32, sign: i32, exponent: i32, high: u64, lowWord: u64, extra: i32): bool {
  if (exponent < 0) return true;
  const saved = raised;
  roundWord(mode, sign, high, lowWord, extra);
  raised = saved;
  return !carried;
}

/** Magnitude of the last conversion to an integer; `integerOverflow` when it needs more than 64 bits. */
export let integerOverflow: bool = false;

/** Rounds a finite number to an integer's magnitude. */
export function roundToInteger(mode: i32, sign: i32, exponent: i32, significand: u64): u64 {
  const shift = BIAS + 63 - exponent;
  integerOverflow = shift < 0;
  if (shift <= 0) return significand;
  const high = shiftRightJam(significand, 0, shift);
  const up = roundsUp(mode, sign, (high & 1) != 0, low);
  if (low != 0) raised |= up ? PE | C1 : PE;
  if (!up) return high;
  // At most 63 bits are left, so the sum does not overflow.
  return high + 1;
}

/** If A or B is a NaN or unsupported, sets the result (SDM vol. 1, table 4-7) and returns true. */
export function propagate(): bool {
  if (aClass < QNAN && bClass < QNAN) return false;
  if (aClass == UNSUPPORTED || bClass == UNSUPPORTED) {
    setInvalid();
    return true;
  }
  if (aClass == SNAN || bClass == SNAN) raised |= IE;
  if (takesA()) setResult(aSign, 0x7fff, aSignificand | QUIET_BIT);
  else setResult(bSign, 0x7fff, bSignificand | QUIET_BIT);
  return true;
}

/** Of two NaNs the one with the larger significand, of equals the positive one; a quiet one before a signaling one. */
function takesA(): bool {
  if (aClass < QNAN) return false;
  if (bClass < QNAN) return true;
  if (aClass != bClass) return aClass == QNAN;
  if (aSignificand != bSignificand) return aSignificand > bSignificand;
  return aSign <= bSign;
}

/** Signals a denormal operand; to be called after NaNs and invalid operations are out of the way. */
export function denormals(): void {
  if (aClass == DENORMAL || bClass == DENORMAL) raised |= DE;
}

export function denormalsB(): void {
  if (bClass == DENORMAL) raised |= DE;
}

/** propagate() for operations on B alone. */
export function propagateB(): bool {
  if (bClass < QNAN) return false;
  if (bClass == UNSUPPORTED) {
    setInvalid();
    return true;
  }
  if (bClass == SNAN) raised |= IE;
  setResult(bSign, 0x7fff, bSignificand | QUIET_BIT);
  return true;
}
