/** LODS, SCAS and CMPS (SDM vol. 2). */
import { ES, FLAG_A, FLAG_B, FLAG_CF, FLAG_MODE, FLAG_RES, RAX, RDI, RSI, ST_FAULT, ST_NEXT } from "../src/state/layout";
import { PREFIX_REPNE, REC_PREFIX } from "../src/state/record";
import { cpu, get64, set32, set64 } from "./cpu";
import { fault } from "./mmu";
import { readSized, writeRegister } from "./operand";
import { linear, segmentFault } from "./segmented";
import {
  beginString, countDown, elementSize, endString, goesOn, index, moveIndex, repeated, sourceSegment, step,
} from "./string-loop";

/** What readElement() read, zero-extended. */
let element: i64 = 0;

function readElement(segment: i32, register: usize): bool {
  const from = linear(segment, index(register), elementSize, false);
  if (segmentFault) return false;
  element = readSized(from, elementSize);
  return fault == 0;
}

/** LODSB, LODSW, LODSD, LODSQ, with REP */
export function op_lods(rec: usize): i32 {
  if (!beginString(rec)) return ST_NEXT;
  do {
    if (!readElement(sourceSegment, RSI)) return ST_FAULT;
    writeRegister(cpu + RAX, elementSize, element);
    moveIndex(RSI, step);
    countDown(1);
  } while (goesOn());
  return endString();
}

// @ts-ignore: decorator
@inline
function signExtend(value: i64): i64 {
  const shift = 64 - (elementSize << 3);
  return (value << shift) >> shift;
}

/** The flags of `a - b`, lazily. */
function setCompareFlags(a: i64, b: i64): void {
  const left = signExtend(a);
  const right = signExtend(b);
  set64(FLAG_A, left);
  set64(FLAG_B, right);
  set64(FLAG_RES, signExtend(left - right));
  set32(FLAG_CF, i32(<u64>left < <u64>right));
  set32(FLAG_MODE, <i32>0x80000000);
}

/** After a comparison: does REPE or REPNE end the loop? */
function isEnd(rec: usize, equal: bool): bool {
  return repeated && equal == ((load<u8>(rec + REC_PREFIX) & PREFIX_REPNE) != 0);
}

/** SCASB, SCASW, SCASD, SCASQ, with REPE, REPNE */
export function op_scas(rec: usize): i32 {
  if (!beginString(rec)) return ST_NEXT;
  const accumulator = signExtend(get64(RAX));
  let last: i64 = 0;
  let any = false;
  do {
    if (!readElement(ES, RDI)) {
      if (any) setCompareFlags(accumulator, last);
      return ST_FAULT;
    }
    last = element;
    any = true;
    moveIndex(RDI, step);
    countDown(1);
    if (isEnd(rec, signExtend(last) == accumulator)) {
      setCompareFlags(accumulator, last);
      return ST_NEXT;
    }
  } while (goesOn());
  setCompareFlags(accumulator, last);
  return endString();
}

/** CMPSB, CMPSW, CMPSD, CMPSQ, with REPE, REPNE */
export function op_cmps(rec: usize): i32 {
  if (!beginString(rec)) return ST_NEXT;
  let first: i64 = 0;
  let second: i64 = 0;
  let any = false;
  do {
    if (!readElement(sourceSegment, RSI)) return interrupted(any, first, second);
    const source = element;
    if (!readElement(ES, RDI)) return interrupted(any, first, second);
    first = source;
    second = element;
    any = true;
    moveIndex(RSI, step);
    moveIndex(RDI, step);
    countDown(1);
    if (isEnd(rec, first == second)) {
      setCompareFlags(first, second);
      return ST_NEXT;
    }
  } while (goesOn());
  setCompareFlags(first, second);
  return endString();
}

function interrupted(any: bool, first: i64, second: i64): i32 {
  if (any) setCompareFlags(first, second);
  return ST_FAULT;
}
