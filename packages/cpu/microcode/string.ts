/** LODS, SCAS and CMPS (SDM vol. 2); repeated comparisons a page at a time where they can. */
import { ES, FLAG_A, FLAG_B, FLAG_CF, FLAG_MODE, FLAG_RES, RAX, RDI, RSI, ST_FAULT, ST_NEXT } from "../src/state/layout";
import { PREFIX_REPNE, REC_PREFIX } from "../src/state/record";
import { cpu, get64, set32, set64 } from "./cpu";
import { fault, readHost } from "./mmu";
import { readSized, writeRegister } from "./operand";
import { linear, segmentFault } from "./segmented";
import {
  beginString, countDown, elementsAhead, elementSize, endString, goesOn, index, moveIndex, repeated, runLength, sourceSegment, step,
} from "./string-loop";
import { isInPage, withinSegments } from "./string-move";
import { elementAt, elementsUntil, pairsUntil } from "./string-scan";
import { currentSet } from "./tlb";

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

/** REPNE goes on until elements are equal, REPE until they are not. */
// @ts-ignore: decorator
@inline
function untilEqual(rec: usize): bool {
  return (load<u8>(rec + REC_PREFIX) & PREFIX_REPNE) != 0;
}

/** After a comparison: does REPE or REPNE end the loop? */
function isEnd(rec: usize, equal: bool): bool {
  return repeated && equal == untilEqual(rec);
}

/** Host address of plain RAM at an offset in a segment; 0: go one at a time. */
function pageOf(segment: i32, offset: i64): usize {
  const from = linear(segment, offset, elementSize, false);
  if (segmentFault) return 0;
  const host = readHost(currentSet(), from, elementSize);
  return host != 0 && isInPage(host, from) ? host : 0;
}

/** Elements that one page has room for from an index register on, at most `most`. */
function elementsIn(segment: i32, register: usize, most: i64): i64 {
  const offset = index(register);
  const ahead = elementsAhead(linear(segment, offset, elementSize, false), offset);
  return <u64>most < <u64>ahead ? most : ahead;
}

/** Elements compared within a page, the last of which is `element`; 0 when they must go one at a time, for what is special about them. */
function scanPage(rec: usize): i64 {
  if (step < 0 || !repeated) return 0;
  const count = elementsIn(ES, RDI, runLength());
  if (count < 2 || !withinSegments(index(RDI), index(RDI), ES, count, false)) return 0;
  const host = pageOf(ES, index(RDI));
  if (host == 0) return 0;
  const mask: i64 = elementSize == 8 ? -1 : (<i64>1 << (elementSize << 3)) - 1;
  const done = elementsUntil(host, count, elementSize, get64(RAX) & mask, untilEqual(rec));
  element = elementAt(host + <usize>((done - 1) * elementSize), elementSize);
  return done;
}

/** SCASB, SCASW, SCASD, SCASQ, with REPE, REPNE */
export function op_scas(rec: usize): i32 {
  if (!beginString(rec)) return ST_NEXT;
  const accumulator = signExtend(get64(RAX));
  let last: i64 = 0;
  let any = false;
  do {
    let count = scanPage(rec);
    if (count == 0) {
      if (!readElement(ES, RDI)) {
        if (any) setCompareFlags(accumulator, last);
        return ST_FAULT;
      }
      count = 1;
    }
    last = element;
    any = true;
    moveIndex(RDI, count * step);
    countDown(count);
    if (isEnd(rec, signExtend(last) == accumulator)) {
      setCompareFlags(accumulator, last);
      return ST_NEXT;
    }
  } while (goesOn());
  setCompareFlags(accumulator, last);
  return endString();
}

/** What comparePage() compared last at the source; `element` is what it compared it with. */
let sourceElement: i64 = 0;

/** As scanPage(), of two runs. */
function comparePage(rec: usize): i64 {
  if (step < 0 || !repeated) return 0;
  const count = elementsIn(ES, RDI, elementsIn(sourceSegment, RSI, runLength()));
  if (count < 2 || !withinSegments(index(RSI), index(RDI), sourceSegment, count, false)) return 0;
  const a = pageOf(sourceSegment, index(RSI));
  const b = a == 0 ? 0 : pageOf(ES, index(RDI));
  if (b == 0) return 0;
  const done = pairsUntil(a, b, count, elementSize, untilEqual(rec));
  const last = <usize>((done - 1) * elementSize);
  sourceElement = elementAt(a + last, elementSize);
  element = elementAt(b + last, elementSize);
  return done;
}

/** CMPSB, CMPSW, CMPSD, CMPSQ, with REPE, REPNE */
export function op_cmps(rec: usize): i32 {
  if (!beginString(rec)) return ST_NEXT;
  let first: i64 = 0;
  let second: i64 = 0;
  let any = false;
  do {
    let count = comparePage(rec);
    if (count == 0) {
      if (!readElement(sourceSegment, RSI)) return interrupted(any, first, second);
      sourceElement = element;
      if (!readElement(ES, RDI)) return interrupted(any, first, second);
      count = 1;
    }
    first = sourceElement;
    second = element;
    any = true;
    moveIndex(RSI, count * step);
    moveIndex(RDI, count * step);
    countDown(count);
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
