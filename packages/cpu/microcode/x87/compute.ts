/** The x87 instructions of two operands: FADD, FSUB, FMUL, FDIV in all their forms, and FSQRT. */
import {
  X87_ADD as ADD, X87_DIV as DIV, X87_DIVR as DIVR, X87_MUL as MUL, X87_SUB as SUB, X87_SUBR as SUBR,
} from "../../src/state/float-operation";
import { ST_FAULT, ST_NEXT } from "../../src/state/layout";
import { ea, fault, readN } from "../mmu";
import { addition, division, multiplication, squareRoot, subtraction } from "./arithmetic";
import { doubleToB, exchange, integerToB, loadA, loadB, singleToB } from "./operand";
import { begin, first, isEmpty, operandSize, pop, second, settle, st, underflow, writeResult } from "./stack";

/** Operand B from a real in memory; false: fault. */
export function readReal(rec: usize): bool {
  if (operandSize(rec) == 4) {
    const bits = readN<u32>(ea(rec));
    if (fault) return false;
    singleToB(bits);
  } else {
    const bits = readN<u64>(ea(rec));
    if (fault) return false;
    doubleToB(bits);
  }
  return true;
}

/** Operand B from an integer in memory; false: fault. */
export function readInteger(rec: usize): bool {
  const size = operandSize(rec);
  const linear = ea(rec);
  const value: i64 = size == 2 ? readN<i16>(linear) : size == 4 ? readN<i32>(linear) : readN<i64>(linear);
  if (fault) return false;
  integerToB(value);
  return true;
}

/** A op B, into the result. */
export function compute(kind: i32): void {
  if (kind == ADD) return addition();
  if (kind == MUL) return multiplication();
  if (kind == SUBR || kind == DIVR) exchange();
  if (kind == SUB || kind == SUBR) subtraction();
  else division();
}

/** ST(0) := ST(0) op B, with B read from memory. */
function withMemory(kind: i32): i32 {
  if (isEmpty(0)) {
    underflow(0);
    return ST_NEXT;
  }
  loadA(st(0));
  compute(kind);
  if (settle(false)) writeResult(0);
  return ST_NEXT;
}

function real(rec: usize, kind: i32): i32 {
  if (begin(rec) != ST_NEXT) return ST_FAULT;
  if (operandSize(rec) == 0) return withRegister(first(rec), second(rec), kind, false);
  return readReal(rec) ? withMemory(kind) : ST_FAULT;
}

function integer(rec: usize, kind: i32): i32 {
  if (begin(rec) != ST_NEXT) return ST_FAULT;
  return readInteger(rec) ? withMemory(kind) : ST_FAULT;
}

function popping(rec: usize, kind: i32): i32 {
  if (begin(rec) != ST_NEXT) return ST_FAULT;
  return withRegister(first(rec), second(rec), kind, true);
}

/** ST(target) := ST(target) op ST(source). */
function withRegister(target: i32, source: i32, kind: i32, pops: bool): i32 {
  if (isEmpty(target) || isEmpty(source)) {
    if (underflow(target) && pops) pop();
    return ST_NEXT;
  }
  loadA(st(target));
  loadB(st(source));
  compute(kind);
  if (!settle(false)) return ST_NEXT;
  writeResult(target);
  if (pops) pop();
  return ST_NEXT;
}

export function op_fadd(rec: usize): i32 { return real(rec, ADD); }
export function op_fmul(rec: usize): i32 { return real(rec, MUL); }
export function op_fsub(rec: usize): i32 { return real(rec, SUB); }
export function op_fsubr(rec: usize): i32 { return real(rec, SUBR); }
export function op_fdiv(rec: usize): i32 { return real(rec, DIV); }
export function op_fdivr(rec: usize): i32 { return real(rec, DIVR); }

export function op_faddp(rec: usize): i32 { return popping(rec, ADD); }
export function op_fmulp(rec: usize): i32 { return popping(rec, MUL); }
export function op_fsubp(rec: usize): i32 { return popping(rec, SUB); }
export function op_fsubrp(rec: usize): i32 { return popping(rec, SUBR); }
export function op_fdivp(rec: usize): i32 { return popping(rec, DIV); }
export function op_fdivrp(rec: usize): i32 { return popping(rec, DIVR); }

export function op_fiadd(rec: usize): i32 { return integer(rec, ADD); }
export function op_fimul(rec: usize): i32 { return integer(rec, MUL); }
export function op_fisub(rec: usize): i32 { return integer(rec, SUB); }
export function op_fisubr(rec: usize): i32 { return integer(rec, SUBR); }
export function op_fidiv(rec: usize): i32 { return integer(rec, DIV); }
export function op_fidivr(rec: usize): i32 { return integer(rec, DIVR); }

export function op_fsqrt(rec: usize): i32 {
  if (begin(rec) != ST_NEXT) return ST_FAULT;
  if (isEmpty(0)) {
    underflow(0);
    return ST_NEXT;
  }
  loadB(st(0));
  squareRoot();
  if (settle(false)) writeResult(0);
  return ST_NEXT;
}
