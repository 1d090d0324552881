/** MOVS and STOS, a page at a time where they can (SDM vol. 2). */
import { ES, RAX, RDI, RSI, ST_FAULT, ST_NEXT } from "../src/state/layout";
import { cpu, get64 } from "./cpu";
import { directWriteHost, fault, readHost } from "./mmu";
import { readSized, writeSized } from "./operand";
import { linear, segmentFault } from "./segmented";
import {
  beginString, countDown, elementsAhead, elementSize, endString, goesOn, index, moveIndex, runLength, sourceSegment, step,
} from "./string-loop";
import { currentSet } from "./tlb";

/** MOVSB, MOVSW, MOVSD, MOVSQ, with REP */
export function op_movs(rec: usize): i32 {
  if (!beginString(rec)) return ST_NEXT;
  do {
    const count = step > 0 ? movePage() : 0;
    if (count < 0) return ST_FAULT;
    if (count == 0) {
      if (!moveOne()) return ST_FAULT;
      advance(1);
    } else advance(count);
  } while (goesOn());
  return endString();
}

function advance(count: i64): void {
  moveIndex(RSI, count * step);
  moveIndex(RDI, count * step);
  countDown(count);
}

/** One element, with all that may be special about it. */
function moveOne(): bool {
  const from = linear(sourceSegment, index(RSI), elementSize, false);
  if (segmentFault) return false;
  const value = readSized(from, elementSize);
  if (fault) return false;
  const to = linear(ES, index(RDI), elementSize, true);
  return !segmentFault && writeSized(to, elementSize, value);
}

/**
 * Elements moved within the current page of source and destination, 0 when they must go one at a time, -1 with a fault
 * pending. Only what lies in plain RAM and is in the TLB moves this way; moveOne() brings it there.
 */
function movePage(): i64 {
  const fromOffset = index(RSI);
  const toOffset = index(RDI);
  const wanted = runLength();
  if (wanted < 2) return 0;
  // What faults, and in which order, moveOne() finds out.
  const from = linear(sourceSegment, fromOffset, elementSize, false);
  if (segmentFault) return 0;
  const to = linear(ES, toOffset, elementSize, true);
  if (segmentFault) return 0;
  let count = min<i64>(elementsAhead(from, fromOffset), elementsAhead(to, toOffset));
  if (<u64>wanted < <u64>count) count = wanted;
  if (count < 2 || !withinSegments(fromOffset, toOffset, sourceSegment, count, true)) return 0;
  const source = readHost(currentSet(), from, elementSize);
  if (source == 0) return -1;
  const target = directWriteHost(currentSet(), to, elementSize);
  if (target == 0 || !isInPage(source, from)) return 0;
  copyForward(target, source, <usize>(count * elementSize));
  return count;
}

/** The whole run lies within the segments' limits; a run that does not goes one element at a time, up to the fault. */
export function withinSegments(fromOffset: i64, toOffset: i64, segment: i32, count: i64, writes: bool): bool {
  const bytes = <i32>count * elementSize;
  linear(segment, fromOffset, bytes, false);
  if (segmentFault) return false;
  linear(ES, toOffset, bytes, writes);
  return !segmentFault;
}

/** Is the host address that of the page itself, and not of the bounce buffer? */
// @ts-ignore: decorator
@inline
export function isInPage(host: usize, linear: i64): bool {
  return (<u32>host & 0xfff) == (<u32>linear & 0xfff) && host >> 12 != cpu >> 12;
}

/** Copies as the elements one by one would: a destination shortly above the source repeats a pattern. */
function copyForward(target: usize, source: usize, bytes: usize): void {
  if (target <= source || target - source >= bytes) {
    memory.copy(target, source, bytes);
    return;
  }
  if (elementSize == 8) for (let i: usize = 0; i < bytes; i += 8) store<u64>(target + i, load<u64>(source + i));
  else if (elementSize == 4) for (let i: usize = 0; i < bytes; i += 4) store<u32>(target + i, load<u32>(source + i));
  else if (elementSize == 2) for (let i: usize = 0; i < bytes; i += 2) store<u16>(target + i, load<u16>(source + i));
  else for (let i: usize = 0; i < bytes; i++) store<u8>(target + i, load<u8>(source + i));
}

/** STOSB, STOSW, STOSD, STOSQ, with REP */
export function op_stos(rec: usize): i32 {
  if (!beginString(rec)) return ST_NEXT;
  do {
    let count = step > 0 ? storePage() : 0;
    if (count < 0) return ST_FAULT;
    if (count == 0) {
      const to = linear(ES, index(RDI), elementSize, true);
      if (segmentFault || !writeSized(to, elementSize, get64(RAX))) return ST_FAULT;
      count = 1;
    }
    moveIndex(RDI, count * step);
    countDown(count);
  } while (goesOn());
  return endString();
}

function storePage(): i64 {
  const offset = index(RDI);
  const wanted = runLength();
  if (wanted < 2) return 0;
  const to = linear(ES, offset, elementSize, true);
  if (segmentFault) return -1;
  let count = elementsAhead(to, offset);
  if (<u64>wanted < <u64>count) count = wanted;
  if (count < 2) return 0;
  linear(ES, offset, <i32>count * elementSize, true);
  if (segmentFault) return 0;
  const target = directWriteHost(currentSet(), to, elementSize);
  if (target == 0) return 0;
  fill(target, <usize>(count * elementSize), get64(RAX));
  return count;
}

function fill(target: usize, bytes: usize, value: i64): void {
  const repeats = value & 0xff;
  const pattern = repeats * 0x0101010101010101;
  const mask: i64 = elementSize == 8 ? -1 : (<i64>1 << (elementSize * 8)) - 1;
  if (((value ^ pattern) & mask) == 0) memory.fill(target, <u8>repeats, bytes);
  else if (elementSize == 8) for (let i: usize = 0; i < bytes; i += 8) store<u64>(target + i, value);
  else if (elementSize == 4) for (let i: usize = 0; i < bytes; i += 4) store<u32>(target + i, <u32>value);
  else for (let i: usize = 0; i < bytes; i += 2) store<u16>(target + i, <u16>value);
}
