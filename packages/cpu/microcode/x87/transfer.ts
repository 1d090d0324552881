/** Loads, stores, exchange, constants, and the sign instructions. */
import { ST_FAULT, ST_NEXT } from "../../src/state/layout";
import { readInteger, readReal } from "./compute";
import { ea, fault, readN, writeCommit, writeMiss } from "../mmu";
import {
  bClass, BIAS, bExponent, bSign, bSignificand, INFINITY, INTEGER_BIT, loadB, QUIET_BIT, ZERO,
} from "./operand";
import {
  CHOP, clearRaised, denormalsB, IE, integerOverflow, NEAREST, propagateB, rExponent, roundingControl, roundTo, roundToInteger,
  rSign, rSignificand, setIndefinite, setInfinity, setResult, setZero, SF, signal, UP,
} from "./round";
import {
  begin, clearC1, copyRegister, first, isEmpty, markEmpty, markUsed, operandSize, pop, pushResult, second, settle, st,
  underflow,
} from "./stack";

// ---- loads

export function op_fld(rec: usize): i32 {
  if (begin(rec) != ST_NEXT) return ST_FAULT;
  const size = operandSize(rec);
  if (size == 0) return loadRegister(first(rec));
  if (size == 10) return loadExtended(rec);
  if (!readReal(rec)) return ST_FAULT;
  if (!propagateB()) {
    denormalsB();
    if (bClass == INFINITY) setInfinity(bSign);
    else setResult(bSign, bExponent, bSignificand);
  }
  pushResult();
  return ST_NEXT;
}

/** FLD ST(i). */
function loadRegister(i: i32): i32 {
  if (isEmpty(i)) {
    signal(IE | SF);
    setIndefinite();
  } else {
    const from = st(i);
    copyToResult(load<u16>(from, 8), load<u64>(from));
  }
  pushResult();
  return ST_NEXT;
}

/** FLD m80: a transfer of bits, without exceptions but the stack's. */
function loadExtended(rec: usize): i32 {
  const linear = ea(rec);
  const significand = readN<u64>(linear);
  if (fault) return ST_FAULT;
  const signExponent = readN<u16>(linear + 8);
  if (fault) return ST_FAULT;
  copyToResult(signExponent, significand);
  pushResult();
  return ST_NEXT;
}

function copyToResult(signExponent: i32, significand: u64): void {
  setResult(signExponent >> 15, signExponent & 0x7fff, significand);
}

export function op_fild(rec: usize): i32 {
  if (begin(rec) != ST_NEXT) return ST_FAULT;
  if (!readInteger(rec)) return ST_FAULT;
  if (bClass == ZERO) setZero(0);
  else setResult(bSign, bExponent, bSignificand);
  pushResult();
  return ST_NEXT;
}

/** A constant that is rounded with the rounding control: the value cut off, and where it lies between two neighbours. */
function constant(rec: usize, exponent: i32, significand: u64, nearestUp: bool): i32 {
  if (begin(rec) != ST_NEXT) return ST_FAULT;
  const mode = roundingControl();
  const up = mode == UP || (mode == NEAREST && nearestUp);
  setResult(0, BIAS + exponent, significand + u64(up));
  pushResult();
  return ST_NEXT;
}

export function op_fldl2t(rec: usize): i32 { return constant(rec, 1, 0xd49a784bcd1b8afe, false); }
export function op_fldl2e(rec: usize): i32 { return constant(rec, 0, 0xb8aa3b295c17f0bb, true); }
export function op_fldpi(rec: usize): i32 { return constant(rec, 1, 0xc90fdaa22168c234, true); }
export function op_fldlg2(rec: usize): i32 { return constant(rec, -2, 0x9a209a84fbcff798, true); }
export function op_fldln2(rec: usize): i32 { return constant(rec, -1, 0xb17217f7d1cf79ab, true); }

export function op_fld1(rec: usize): i32 {
  if (begin(rec) != ST_NEXT) return ST_FAULT;
  setResult(0, BIAS, INTEGER_BIT);
  pushResult();
  return ST_NEXT;
}

export function op_fldz(rec: usize): i32 {
  if (begin(rec) != ST_NEXT) return ST_FAULT;
  setZero(0);
  pushResult();
  return ST_NEXT;
}

// ---- stores

/** Rounds B to a real of 4 or 8 bytes; returns its encoding. */
export function narrow(size: i32): u64 {
  const isDouble = size == 8;
  const fractionBits = isDouble ? 52 : 23;
  const greatest = isDouble ? 0x7fe : 0xfe;
  if (propagateB()) {
    // The payload's upper bits are kept.
  } else if (bClass == ZERO) {
    setZero(bSign);
  } else if (bClass == INFINITY) {
    setInfinity(bSign);
  } else {
    const exponent = bExponent - BIAS + (greatest >> 1);
    roundTo(bSign, exponent, bSignificand, 0, 63 - fractionBits, greatest, false);
  }
  const exponent = rExponent == 0x7fff ? greatest + 1 : rExponent;
  const fraction = (rSignificand << 1) >> (64 - fractionBits);
  return (<u64>(rSign != 0) << (isDouble ? 63 : 31)) | (<u64>exponent << fractionBits) | fraction;
}

function storeReal(rec: usize, pops: bool): i32 {
  const size = operandSize(rec);
  const host = writeMiss(ea(rec), size);
  if (host == 0) return ST_FAULT;
  let bits = size == 4 ? <u64>0xffc00000 : 0xfff8000000000000;
  if (isEmpty(0)) {
    signal(IE | SF);
  } else {
    loadB(st(0));
    bits = narrow(size);
  }
  if (!settle(true)) return ST_NEXT;
  if (size == 4) store<u32>(host, <u32>bits);
  else store<u64>(host, bits);
  writeCommit();
  if (pops) pop();
  return ST_NEXT;
}

function storeExtended(rec: usize): i32 {
  const host = writeMiss(ea(rec), 10);
  if (host == 0) return ST_FAULT;
  let significand = INTEGER_BIT | QUIET_BIT;
  let signExponent: u16 = 0xffff;
  if (isEmpty(0)) {
    signal(IE | SF);
  } else {
    significand = load<u64>(st(0));
    signExponent = load<u16>(st(0), 8);
  }
  if (!settle(true)) return ST_NEXT;
  store<u64>(host, significand);
  store<u16>(host, signExponent, 8);
  writeCommit();
  pop();
  return ST_NEXT;
}

/** FST ST(i), FSTP ST(i). */
function storeRegister(i: i32, pops: bool): i32 {
  if (isEmpty(0)) {
    if (underflow(i) && pops) pop();
    return ST_NEXT;
  }
  clearC1();
  copyRegister(st(i), st(0));
  markUsed(i);
  if (pops) pop();
  return ST_NEXT;
}

export function op_fst(rec: usize): i32 {
  if (begin(rec) != ST_NEXT) return ST_FAULT;
  return operandSize(rec) == 0 ? storeRegister(first(rec), false) : storeReal(rec, false);
}

export function op_fstp(rec: usize): i32 {
  if (begin(rec) != ST_NEXT) return ST_FAULT;
  const size = operandSize(rec);
  if (size == 0) return storeRegister(first(rec), true);
  return size == 10 ? storeExtended(rec) : storeReal(rec, true);
}

/** The undocumented alias D9 D8+i of FSTP ST(i): an empty ST(0) is no error. */
export function op_fstpnce(rec: usize): i32 {
  if (begin(rec) != ST_NEXT) return ST_FAULT;
  clearC1();
  if (!isEmpty(0)) {
    copyRegister(st(first(rec)), st(0));
    markUsed(first(rec));
  }
  pop();
  return ST_NEXT;
}

/** B as a signed integer of `size` bytes; the integer indefinite when it does not fit. */
export function toInteger(size: i32, mode: i32): i64 {
  const bits = size << 3;
  const indefinite = <i64>-1 << (bits - 1);
  if (bClass == ZERO) return 0;
  if (bClass >= INFINITY) {
    signal(IE);
    return indefinite;
  }
  const magnitude = roundToInteger(mode, bSign, bExponent, bSignificand);
  const limit = <u64>1 << (bits - 1);
  if (integerOverflow || magnitude > limit || (magnitude == limit && !bSign)) {
    clearRaised();
    signal(IE);
    return indefinite;
  }
  return bSign ? 0 - magnitude : magnitude;
}

function storeInteger(rec: usize, mode: i32, pops: bool): i32 {
  if (begin(rec) != ST_NEXT) return ST_FAULT;
  const size = operandSize(rec);
  const host = writeMiss(ea(rec), size);
  if (host == 0) return ST_FAULT;
  let value: i64 = <i64>-1 << ((size << 3) - 1);
  if (isEmpty(0)) {
    signal(IE | SF);
  } else {
    loadB(st(0));
    value = toInteger(size, mode);
  }
  if (!settle(true)) return ST_NEXT;
  if (size == 2) store<u16>(host, <u16>value);
  else if (size == 4) store<u32>(host, <u32>value);
  else store<u64>(host, value);
  writeCommit();
  if (pops) pop();
  return ST_NEXT;
}

export function op_fist(rec: usize): i32 { return storeInteger(rec, roundingControl(), false); }
export function op_fistp(rec: usize): i32 { return storeInteger(rec, roundingControl(), true); }
export function op_fisttp(rec: usize): i32 { return storeInteger(rec, CHOP, true); }

// ---- packed decimal

/** Eighteen digits, two a byte, and the sign in the tenth byte. */
export function op_fbld(rec: usize): i32 {
  if (begin(rec) != ST_NEXT) return ST_FAULT;
  const linear = ea(rec);
  let digits = readN<u64>(linear);
  if (fault) return ST_FAULT;
  const top = <i32>readN<u16>(linear + 8);
  if (fault) return ST_FAULT;
  let value: u64 = ((top >> 4) & 15) * 10 + (top & 15);
  for (let i = 0; i < 16; i++) {
    value = value * 10 + (digits >> 60);
    digits <<= 4;
  }
  const sign = top >> 15;
  if (value == 0) {
    setZero(sign);
  } else {
    const shift = <i32>clz<u64>(value);
    setResult(sign, BIAS + 63 - shift, value << shift);
  }
  pushResult();
  return ST_NEXT;
}

const LARGEST_DECIMAL: u64 = 999999999999999999;

export function op_fbstp(rec: usize): i32 {
  if (begin(rec) != ST_NEXT) return ST_FAULT;
  const host = writeMiss(ea(rec), 10);
  if (host == 0) return ST_FAULT;
  // The packed decimal indefinite.
  let digits: u64 = 0xc000000000000000;
  let top: i32 = 0xffff;
  if (isEmpty(0)) {
    signal(IE | SF);
  } else {
    loadB(st(0));
    const magnitude = bClass >= INFINITY ? <u64>-1 : decimalMagnitude();
    if (magnitude > LARGEST_DECIMAL) {
      clearRaised();
      signal(IE);
    } else {
      digits = packDigits(magnitude % 10000000000000000);
      top = (bSign << 15) | <i32>packDigits(magnitude / 10000000000000000);
    }
  }
  if (!settle(true)) return ST_NEXT;
  store<u64>(host, digits);
  store<u16>(host, top, 8);
  writeCommit();
  pop();
  return ST_NEXT;
}

function decimalMagnitude(): u64 {
  if (bClass == ZERO) return 0;
  const magnitude = roundToInteger(roundingControl(), bSign, bExponent, bSignificand);
  return integerOverflow ? <u64>-1 : magnitude;
}

function packDigits(value: u64): u64 {
  let packed: u64 = 0;
  for (let shift = 0; value != 0; shift += 4) {
    packed |= (value % 10) << shift;
    value /= 10;
  }
  return packed;
}

// ---- registers

export function op_fxch(rec: usize): i32 {
  if (begin(rec) != ST_NEXT) return ST_FAULT;
  const i = second(rec);
  if (isEmpty(0) || isEmpty(i)) {
    const first = isEmpty(0);
    const other = isEmpty(i);
    signal(IE | SF);
    if (!settle(false)) return ST_NEXT;
    if (first) fillIndefinite(0);
    if (other) fillIndefinite(i);
  } else {
    clearC1();
  }
  const a = st(0);
  const b = st(i);
  const significand = load<u64>(a);
  const signExponent = load<u16>(a, 8);
  copyRegister(a, b);
  store<u64>(b, significand);
  store<u16>(b, signExponent, 8);
  return ST_NEXT;
}

function fillIndefinite(i: i32): void {
  store<u64>(st(i), INTEGER_BIT | QUIET_BIT);
  store<u16>(st(i), 0xffff, 8);
  markUsed(i);
}

/** Changes the sign bit: FCHS, FABS; also of NaNs. */
function sign(rec: usize, keep: i32, flip: i32): i32 {
  if (begin(rec) != ST_NEXT) return ST_FAULT;
  if (isEmpty(0)) {
    underflow(0);
    return ST_NEXT;
  }
  clearC1();
  store<u16>(st(0), (load<u16>(st(0), 8) & keep) ^ flip, 8);
  return ST_NEXT;
}

export function op_fchs(rec: usize): i32 { return sign(rec, 0xffff, 0x8000); }
export function op_fabs(rec: usize): i32 { return sign(rec, 0x7fff, 0); }

export function op_ffree(rec: usize): i32 {
  if (begin(rec) != ST_NEXT) return ST_FAULT;
  markEmpty(first(rec));
  return ST_NEXT;
}

/** Undocumented: FFREE ST(i), then a pop. */
export function op_ffreep(rec: usize): i32 {
  if (begin(rec) != ST_NEXT) return ST_FAULT;
  markEmpty(first(rec));
  pop();
  return ST_NEXT;
}
