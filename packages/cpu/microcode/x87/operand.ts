/**
 * x87 operands taken apart. Binary operations work on two operands A and B, held in globals: sign, biased exponent
 * (normalised, so it may be zero or negative for denormals), significand with bit 63 set, class, and the raw encoding
 * for NaNs.
 */

export const ZERO = 0;
export const NORMAL = 1;
/** A denormal or pseudo-denormal (also a denormal of a narrower memory format). */
export const DENORMAL = 2;
export const INFINITY = 3;
export const QNAN = 4;
export const SNAN = 5;
/** Unnormals, pseudo-NaNs and pseudo-infinities (SDM vol. 1, table 8-3). */
export const UNSUPPORTED = 6;

export const BIAS = 0x3fff;
export const INTEGER_BIT: u64 = 0x8000000000000000;
export const QUIET_BIT: u64 = 0x4000000000000000;

export let aSign: i32 = 0;
export let aExponent: i32 = 0;
export let aSignificand: u64 = 0;
export let aClass: i32 = 0;

export let bSign: i32 = 0;
export let bExponent: i32 = 0;
export let bSignificand: u64 = 0;
export let bClass: i32 = 0;

/** What an encoding is. */
export function classify(signExponent: i32, significand: u64): i32 {
  const exponent = signExponent & 0x7fff;
  if (exponent == 0) return significand == 0 ? ZERO : DENORMAL;
  if (!(significand & INTEGER_BIT)) return UNSUPPORTED;
  if (exponent != 0x7fff) return NORMAL;
  if (significand << 1 == 0) return INFINITY;
  return significand & QUIET_BIT ? QNAN : SNAN;
}

/** Operand B from a register. */
export function loadB(address: usize): void {
  takeB(<i32>load<u16>(address, 8), load<u64>(address));
}

/** Operand B from a register's contents. */
export function takeB(signExponent: i32, significand: u64): void {
  bSignificand = significand;
  bSign = signExponent >> 15;
  bExponent = signExponent & 0x7fff;
  bClass = classify(signExponent, bSignificand);
  if (bClass == DENORMAL) normaliseB(1);
}

/** Operand A from a register. */
export function loadA(address: usize): void {
  takeA(<i32>load<u16>(address, 8), load<u64>(address));
}

/** Operand A from a register's contents. */
export function takeA(signExponent: i32, significand: u64): void {
  aSignificand = significand;
  aSign = signExponent >> 15;
  aExponent = signExponent & 0x7fff;
  aClass = classify(signExponent, aSignificand);
  if (aClass != DENORMAL) return;
  const shift = <i32>clz<u64>(aSignificand);
  aSignificand <<= shift;
  aExponent = 1 - shift;
}

function normaliseB(exponent: i32): void {
  const shift = <i32>clz<u64>(bSignificand);
  bSignificand <<= shift;
  bExponent = exponent - shift;
}

/** Operand B from a 32-bit real; a signaling NaN stays signaling. */
export function singleToB(bits: u32): void {
  bSign = bits >> 31;
  bExponent = (bits >> 23) & 0xff;
  bSignificand = <u64>(bits & 0x7fffff) << 40;
  widenB(0xff, 0x7f);
}

/** Operand B from a 64-bit real. */
export function doubleToB(bits: u64): void {
  bSign = <i32>(bits >> 63);
  bExponent = <i32>(bits >> 52) & 0x7ff;
  bSignificand = (bits & 0xfffffffffffff) << 11;
  widenB(0x7ff, 0x3ff);
}

/** Completes B from the exponent and fraction (at bit 62 and below) of a narrower format. */
function widenB(exponentMax: i32, bias: i32): void {
  if (bExponent == exponentMax) {
    bExponent = 0x7fff;
    bClass = bSignificand == 0 ? INFINITY : bSignificand & QUIET_BIT ? QNAN : SNAN;
    bSignificand |= INTEGER_BIT;
  } else if (bExponent != 0) {
    bClass = NORMAL;
    bExponent += BIAS - bias;
    bSignificand |= INTEGER_BIT;
  } else if (bSignificand == 0) {
    bClass = ZERO;
  } else {
    bClass = DENORMAL;
    normaliseB(1 + BIAS - bias);
  }
}

/** Operand B from an integer. */
export function integerToB(value: i64): void {
  bSign = i32(value < 0);
  bSignificand = value < 0 ? 0 - value : value;
  bExponent = 0;
  bClass = ZERO;
  if (value == 0) return;
  bClass = NORMAL;
  normaliseB(BIAS + 63);
}

/** Exchanges A and B. */
export function exchange(): void {
  const sign = aSign;
  const exponent = aExponent;
  const significand = aSignificand;
  const kind = aClass;
  aSign = bSign;
  aExponent = bExponent;
  aSignificand = bSignificand;
  aClass = bClass;
  bSign = sign;
  bExponent = exponent;
  bSignificand = significand;
  bClass = kind;
}

export function negateB(): void {
  bSign ^= 1;
}
