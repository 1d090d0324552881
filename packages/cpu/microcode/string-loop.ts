/**
 * What string instructions share: the index registers and the counter in their address size, the source segment, REP, and
 * how long one call may run. Registers are right after each element, so a fault or an interrupt in the middle resumes there.
 */
import { DR7, DS, RCX, RFLAGS_REST, SEG, SEG_SIZE, SINGLE_STEP, ST_NEXT, ST_POLL, ZERO } from "../src/state/layout";
import { PREFIX_REP, PREFIX_REPNE, REC_PREFIX, REC_SEG } from "../src/state/record";
import { MTF_PENDING, REPEATING } from "../src/state/vmx-layout";
import { DR7_ENABLED } from "./breakpoint";
import { cpu, get32, get64, set32, set64 } from "./cpu";
import { FLAG_BIT_DF, FLAG_BIT_RF, FLAG_BIT_TF, testFlag } from "./flags";
import { addressMask } from "./segmented";
import { operandSize } from "./operand";

/** Bytes that one call moves before it lets events and the slice's end be looked at. */
const LONGEST_RUN = 0x10000;

/** Bytes of an element. */
export let elementSize: i32 = 0;
/** What an index register moves by: the element's size, negative with DF set. */
export let step: i64 = 0;
/** Mask of the address size. */
export let indexMask: i64 = -1;
/** Segment of the source: DS, or the overriding one. */
export let sourceSegment: i32 = DS;
/** Elements left; without REP 1. */
export let remaining: i64 = 0;
/** REP, REPE or REPNE. */
export let repeated: bool = false;
/** Elements that this call may still do. */
let allowance: i64 = 0;

/** Takes the record apart; false: nothing to do (REP with a zero counter). */
export function beginString(rec: usize): bool {
  elementSize = operandSize(rec);
  step = testFlag(FLAG_BIT_DF) ? -(<i64>elementSize) : <i64>elementSize;
  indexMask = addressMask(rec);
  const segment = <usize>load<u32>(rec + REC_SEG);
  sourceSegment = segment == cpu + ZERO ? DS : <i32>((segment - cpu - SEG) / SEG_SIZE);
  repeated = (load<u8>(rec + REC_PREFIX) & (PREFIX_REP | PREFIX_REPNE)) != 0;
  remaining = repeated ? get64(RCX) & indexMask : 1;
  allowance = trapsPossible() ? 1 : LONGEST_RUN / elementSize;
  return remaining != 0;
}

/** Traps of single-stepping and of breakpoints, and MTF exits, come after each element. */
function trapsPossible(): bool {
  return testFlag(FLAG_BIT_TF) || (get32(SINGLE_STEP) != 0 && ((get32(DR7) & DR7_ENABLED) != 0 || get32(MTF_PENDING) != 0));
}

/** Elements that may be done now, unsigned minimum of what is left and what the call may do. */
export function runLength(): i64 {
  return <u64>remaining < <u64>allowance ? remaining : allowance;
}

/** `count` elements are done: the counter goes down. */
export function countDown(count: i64): void {
  remaining -= count;
  allowance -= count;
  if (repeated) writeIndex(RCX, remaining);
}

/** True when the call should go on with the next element. */
export function goesOn(): bool {
  return remaining != 0 && allowance > 0;
}

/** The call ends after this element. */
export function endCall(): void {
  allowance = 0;
}

/**
 * The status at the end of a call: done, or to be gone on with after a look at events. Between elements RF is set, so that a
 * breakpoint on the instruction does not match again (SDM vol. 3B, 19.3.1.1).
 */
export function endString(): i32 {
  const flags = get32(RFLAGS_REST);
  if (remaining == 0) {
    if (flags & FLAG_BIT_RF) set32(RFLAGS_REST, flags & ~FLAG_BIT_RF);
    return ST_NEXT;
  }
  set32(RFLAGS_REST, flags | FLAG_BIT_RF);
  set32(REPEATING, 1);
  return ST_POLL;
}

/** An index register's offset. */
// @ts-ignore: decorator
@inline
export function index(register: usize): i64 {
  return get64(register) & indexMask;
}

/** Writes an index register or the counter in its width. */
export function writeIndex(register: usize, value: i64): void {
  if (indexMask == 0xffff) set64(register, (get64(register) & ~0xffff) | (value & 0xffff));
  else set64(register, value & indexMask);
}

/** Moves an index register by `bytes`. */
// @ts-ignore: decorator
@inline
export function moveIndex(register: usize, bytes: i64): void {
  writeIndex(register, get64(register) + bytes);
}

/** Elements up to the end of the page, and of the address space that the mask leaves, from `offset` at `linear` up. */
export function elementsAhead(linear: i64, offset: i64): i64 {
  let bytes = 0x1000 - (linear & 0xfff);
  if (indexMask == 0xffff) bytes = min<i64>(bytes, 0x10000 - offset);
  return bytes / elementSize;
}
