/**
 * Hardware breakpoints on data, ports and instructions (SDM vol. 3B, 19.2 and 19.3).
 *
 * Code runs at full speed while none matches. Pages with an enabled data breakpoint have no entries for the accesses it
 * watches in the TLB (tlb.ts), so that those come to the slow path. An instruction whose access matches there is not executed:
 * it leaves as if it had faulted (STEP_WANTED), and runs once more by itself, between two looks at events (POLL_STEP). Then
 * the match is noted in BREAKPOINT_HITS, and becomes a pending debug trap when the instruction has completed. What has gone
 * too far to be begun anew, the delivery of an event or a task switch, notes matches at once.
 *
 * In the same way code of a page with an instruction breakpoint is fetched for single steps alone.
 */
import { CR4, CS, DR0, DR7, RIP, SEG, SEG_BASE, SEG_SIZE, SINGLE_STEP } from "../src/state/layout";
import { BREAKPOINT_HITS, STEP_WANTED } from "../src/state/vmx-layout";
import { get32, get64, set32 } from "./cpu";
import { CR4_DE, in64BitMode } from "./mode";

/** L0 to G3 of DR7. */
export const DR7_ENABLED = 0xff;

/** R/W fields of DR7. */
const EXECUTION = 0;
const WRITES = 1;
const PORTS = 2;
const ACCESSES = 3;

/** watchData(): the page is not watched; it is, and the access may go on byte by byte; the instruction must be stepped. */
export const UNWATCHED = 0;
export const WATCHED = 1;
export const REFUSED = 2;

/** Accesses of a page that must not be in the TLB. */
export const WATCH_WRITES = 1;
export const WATCH_READS = 2;

/** An access that only asks whether it is possible: it does not match by itself. */
let probing: bool = false;
/** An event is being delivered, or a task switched. */
let committed: bool = false;

export function setProbing(on: bool): void {
  probing = on;
}

export function isProbing(): bool {
  return probing;
}

export function isCommitted(): bool {
  return committed;
}

export function setCommitted(on: bool): void {
  committed = on;
}

// @ts-ignore: decorator
@inline
function isEnabled(dr7: i32, i: i32): bool {
  return ((dr7 >> (i << 1)) & 3) != 0;
}

// @ts-ignore: decorator
@inline
function kindOf(dr7: i32, i: i32): i32 {
  return (dr7 >> (16 + (i << 2))) & 3;
}

/** Bytes that a breakpoint covers: LEN of 00, 01, 10, 11 is 1, 2, 8, 4. */
// @ts-ignore: decorator
@inline
function lengthOf(dr7: i32, i: i32): i64 {
  const len = (dr7 >> (18 + (i << 2))) & 3;
  return len == 2 ? 8 : <i64>(len + 1);
}

/** First byte: the address counts as aligned to the length (19.2.5). */
// @ts-ignore: decorator
@inline
function startOf(dr7: i32, i: i32): i64 {
  return get64(DR0 + (i << 3)) & ~(lengthOf(dr7, i) - 1);
}

/** Enabled breakpoints of a kind, or of ACCESSES as well, that a range touches: bits 0 to 3 of DR6. */
function matches(kind: i32, from: i64, size: i32): i32 {
  const dr7 = get32(DR7);
  let hits = 0;
  for (let i = 0; i < 4; i++) {
    const watched = kindOf(dr7, i);
    if (!isEnabled(dr7, i) || (watched != kind && (kind == PORTS || watched != ACCESSES))) continue;
    const start = startOf(dr7, i);
    if (start < from + size && from < start + lengthOf(dr7, i)) hits |= 1 << i;
  }
  return hits;
}

/** WATCH_* for the page of a linear address: what the TLB must not have. */
export function watchedPage(linear: i64): i32 {
  const dr7 = get32(DR7);
  let watched = 0;
  for (let i = 0; i < 4; i++) {
    const kind = kindOf(dr7, i);
    if (!isEnabled(dr7, i) || !(kind & WRITES) || (get64(DR0 + (i << 3)) ^ linear) >> 12 != 0) continue;
    watched |= kind == ACCESSES ? WATCH_READS | WATCH_WRITES : WATCH_WRITES;
  }
  return watched;
}

/** Asked about each data access on the slow path while any breakpoint is enabled. */
export function watchData(linear: i64, size: i32, write: bool): i32 {
  const hits = matches(write ? WRITES : ACCESSES, linear, size);
  if (hits != 0) {
    if (!committed && get32(SINGLE_STEP) == 0) {
      set32(STEP_WANTED, 1);
      return REFUSED;
    }
    if (!probing) noteHits(hits);
  }
  return watchedPage(linear) != 0 ? WATCHED : UNWATCHED;
}

function noteHits(hits: i32): void {
  set32(BREAKPOINT_HITS, get32(BREAKPOINT_HITS) | hits);
}

/** After an access to a port was done: notes the breakpoints that it matches (CR4.DE; 19.2.4). True: a trap is due. */
export function watchPort(port: i32, size: i32): bool {
  if (!(get32(DR7) & DR7_ENABLED) || !(get32(CR4) & CR4_DE)) return false;
  const hits = matches(PORTS, <i64>port, size);
  if (hits != 0) noteHits(hits);
  return hits != 0;
}

/** Any breakpoint on instructions. */
export function watchesInstructions(): bool {
  const dr7 = get32(DR7);
  if (!(dr7 & DR7_ENABLED)) return false;
  for (let i = 0; i < 4; i++) if (isEnabled(dr7, i) && kindOf(dr7, i) == EXECUTION) return true;
  return false;
}

/** Any in the page of a linear address. */
export function watchesCode(linear: i64): bool {
  const dr7 = get32(DR7);
  for (let i = 0; i < 4; i++) {
    if (isEnabled(dr7, i) && kindOf(dr7, i) == EXECUTION && (get64(DR0 + (i << 3)) ^ linear) >> 12 == 0) return true;
  }
  return false;
}

/** Asked about each fetch that misses the TLB while any breakpoint is enabled: false: the instruction must be stepped. */
export function watchFetch(linear: i64): bool {
  if (get32(SINGLE_STEP) != 0 || !watchesCode(linear)) return true;
  set32(STEP_WANTED, 1);
  return false;
}

/** Linear address of the instruction at RIP. */
export function linearRip(): i64 {
  return in64BitMode() ? get64(RIP) : (get64(RIP) + get64(SEG + CS * SEG_SIZE + SEG_BASE)) & 0xffffffff;
}

/** Bits 0 to 3 of DR6 for the breakpoints on the instruction at RIP; their length must be 00 (19.2.4). */
export function instructionBreakpoints(): i32 {
  const dr7 = get32(DR7);
  const linear = linearRip();
  let hits = 0;
  for (let i = 0; i < 4; i++) {
    const plain = ((dr7 >> (16 + (i << 2))) & 15) == EXECUTION;
    if (isEnabled(dr7, i) && plain && get64(DR0 + (i << 3)) == linear) hits |= 1 << i;
  }
  return hits;
}
