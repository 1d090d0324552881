/** Comparisons, FXAM and the conditional moves. */
import { ST_FAULT, ST_NEXT } from "../../src/state/layout";
import { FLAG_BIT_CF, FLAG_BIT_PF, FLAG_BIT_ZF, getArithmeticFlags, setFlags } from "../flags";
import { readInteger, readReal } from "./compute";
import {
  aClass, aExponent, aSign, aSignificand, bClass, bExponent, bSign, bSignificand, classify, DENORMAL, INFINITY, integerToB,
  loadA, loadB, NORMAL, QNAN, SNAN, UNSUPPORTED, ZERO,
} from "./operand";
import { C0, C1, C2, C3, denormals, IE, SF, signal } from "./round";
import {
  begin, copyRegister, isEmpty, operandSize, pop, second, setCondition, settle, st, underflow,
} from "./stack";

const LESS = C0;
const EQUAL = C3;
const UNORDERED = C0 | C2 | C3;

/** A against B as condition codes; quiet NaNs are invalid unless `quiet`. */
export function compare(quiet: bool): i32 {
  if (aClass >= QNAN || bClass >= QNAN) {
    if (!quiet || aClass >= SNAN || bClass >= SNAN) signal(IE);
    return UNORDERED;
  }
  denormals();
  if (aClass == ZERO && bClass == ZERO) return EQUAL;
  if (aClass == ZERO) return bSign ? 0 : LESS;
  if (bClass == ZERO || aSign != bSign) return aSign ? LESS : 0;
  const a = magnitude(aClass, aExponent);
  const b = magnitude(bClass, bExponent);
  if (a != b) return a < b != (aSign != 0) ? LESS : 0;
  if (a == 0x7fff || aSignificand == bSignificand) return EQUAL;
  return aSignificand < bSignificand != (aSign != 0) ? LESS : 0;
}

// @ts-ignore: decorator
@inline
function magnitude(kind: i32, exponent: i32): i32 {
  return kind == INFINITY ? 0x7fff : exponent;
}

/** Condition codes to C3, C2, C0, or to ZF, PF, CF; then pops, which an unmasked exception prevents. */
function conclude(bits: i32, pops: i32, toFlags: bool): i32 {
  const completes = settle(false);
  if (toFlags) setFlags((bits & C0 ? FLAG_BIT_CF : 0) | (bits & C2 ? FLAG_BIT_PF : 0) | (bits & C3 ? FLAG_BIT_ZF : 0));
  else setCondition(bits);
  if (!completes) return ST_NEXT;
  for (let i = 0; i < pops; i++) pop();
  return ST_NEXT;
}

function registers(i: i32, quiet: bool, pops: i32, toFlags: bool): i32 {
  if (isEmpty(0) || isEmpty(i)) {
    signal(IE | SF);
    return conclude(UNORDERED, pops, toFlags);
  }
  loadA(st(0));
  loadB(st(i));
  return conclude(compare(quiet), pops, toFlags);
}

function withB(pops: i32): i32 {
  if (isEmpty(0)) {
    signal(IE | SF);
    return conclude(UNORDERED, pops, false);
  }
  loadA(st(0));
  return conclude(compare(false), pops, false);
}

function ordered(rec: usize, pops: i32): i32 {
  if (begin(rec) != ST_NEXT) return ST_FAULT;
  if (operandSize(rec) == 0) return registers(second(rec), false, pops, false);
  return readReal(rec) ? withB(pops) : ST_FAULT;
}

function integer(rec: usize, pops: i32): i32 {
  if (begin(rec) != ST_NEXT) return ST_FAULT;
  return readInteger(rec) ? withB(pops) : ST_FAULT;
}

function fixed(rec: usize, i: i32, quiet: bool, pops: i32, toFlags: bool): i32 {
  if (begin(rec) != ST_NEXT) return ST_FAULT;
  return registers(i, quiet, pops, toFlags);
}

export function op_fcom(rec: usize): i32 { return ordered(rec, 0); }
export function op_fcomp(rec: usize): i32 { return ordered(rec, 1); }
export function op_fcompp(rec: usize): i32 { return fixed(rec, 1, false, 2, false); }
export function op_fucom(rec: usize): i32 { return fixed(rec, second(rec), true, 0, false); }
export function op_fucomp(rec: usize): i32 { return fixed(rec, second(rec), true, 1, false); }
export function op_fucompp(rec: usize): i32 { return fixed(rec, 1, true, 2, false); }
export function op_ficom(rec: usize): i32 { return integer(rec, 0); }
export function op_ficomp(rec: usize): i32 { return integer(rec, 1); }
export function op_fcomi(rec: usize): i32 { return fixed(rec, second(rec), false, 0, true); }
export function op_fcomip(rec: usize): i32 { return fixed(rec, second(rec), false, 1, true); }
export function op_fucomi(rec: usize): i32 { return fixed(rec, second(rec), true, 0, true); }
export function op_fucomip(rec: usize): i32 { return fixed(rec, second(rec), true, 1, true); }

export function op_ftst(rec: usize): i32 {
  if (begin(rec) != ST_NEXT) return ST_FAULT;
  integerToB(0);
  return withB(0);
}

/** Class of ST(0) in C3, C2, C0 and its sign in C1; never an exception. */
export function op_fxam(rec: usize): i32 {
  if (begin(rec) != ST_NEXT) return ST_FAULT;
  const address = st(0);
  const signExponent = <i32>load<u16>(address, 8);
  const kind = classify(signExponent, load<u64>(address));
  let bits = signExponent & 0x8000 ? C1 : 0;
  if (isEmpty(0)) bits |= C3 | C0;
  else if (kind == ZERO) bits |= C3;
  else if (kind == NORMAL) bits |= C2;
  else if (kind == DENORMAL) bits |= C3 | C2;
  else if (kind == INFINITY) bits |= C2 | C0;
  else if (kind != UNSUPPORTED) bits |= C0;
  setCondition(bits);
  return ST_NEXT;
}

/** ST(0) := ST(i) if the flags say so. */
function move(rec: usize, mask: i32, wanted: bool): i32 {
  if (begin(rec) != ST_NEXT) return ST_FAULT;
  const i = second(rec);
  if (isEmpty(0) || isEmpty(i)) {
    underflow(0);
    return ST_NEXT;
  }
  if (((getArithmeticFlags() & mask) != 0) == wanted) copyRegister(st(0), st(i));
  return ST_NEXT;
}

export function op_fcmovb(rec: usize): i32 { return move(rec, FLAG_BIT_CF, true); }
export function op_fcmove(rec: usize): i32 { return move(rec, FLAG_BIT_ZF, true); }
export function op_fcmovbe(rec: usize): i32 { return move(rec, FLAG_BIT_CF | FLAG_BIT_ZF, true); }
export function op_fcmovu(rec: usize): i32 { return move(rec, FLAG_BIT_PF, true); }
export function op_fcmovnb(rec: usize): i32 { return move(rec, FLAG_BIT_CF, false); }
export function op_fcmovne(rec: usize): i32 { return move(rec, FLAG_BIT_ZF, false); }
export function op_fcmovnbe(rec: usize): i32 { return move(rec, FLAG_BIT_CF | FLAG_BIT_ZF, false); }
export function op_fcmovnu(rec: usize): i32 { return move(rec, FLAG_BIT_PF, false); }
