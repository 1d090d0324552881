/**
 * The accesses that miss the TLB. A data access that crosses a page, or
 * writes to a page with translated code, or meets no RAM, goes through the bounce buffer.
 */
import {
  BOUNCE, BOUNCE_HOST1, BOUNCE_HOST2, BOUNCE_SIZE, BOUNCE_SPLIT, CODE_MODE, CURRENT_RECORD, DR7, LONG_MODE, RBP, RSP, SEG, SEG_SIZE, TLB,
  TLB_EXECUTE, TLB_MISSES, TLB_READ, TLB_SET, TLB_SET_SIZE, TLB_WRITE, ZERO,
} from "../src/state/layout";
import { REC_BASE, REC_SEG } from "../src/state/record";
import { ea } from "./access";
import {
  DR7_ENABLED, isProbing, REFUSED, setCommitted, UNWATCHED, WATCH_READS, watchData, watchedPage, watchFetch,
} from "./breakpoint";
import { invalidateCode } from "./code";
import { cpu, get32, get64, set32, set64 } from "./cpu";
import { clearPending, gp0, raiseError, raiseExit, ud, VECTOR_AC, VECTOR_SS } from "./event";
import { hasCode, isRam } from "./memory";
import { isCanonical } from "./mode";
import { ACCESS_AC, ACCESS_FETCH, ACCESS_READ, ACCESS_USER, ACCESS_WRITE, translate } from "./paging";
import { enter, flushTlb, slotOffset } from "./tlb-entries";

/** resolve(): nothing is there; reads give ones, writes are ignored. No RAM lies at this host address. */
const NO_RAM: usize = 1;
const EXIT_APIC_ACCESS = 44;
const FS_BASE = SEG + 4 * SEG_SIZE;
const GS_BASE = SEG + 5 * SEG_SIZE;

/** Host-physical page of the APIC-access page while a guest runs that virtualizes APIC accesses, else -1. */
let apicAccessPage: i64 = -1;

/** Set while an event is being delivered (APIC-access exits tell that). */
let delivering: bool = false;

export function setDelivering(on: bool): void {
  delivering = on;
  setCommitted(on);
}

/** The APIC-access page of the current VMCS, or -1; flushes the TLB when it changes. */
export function setApicAccessPage(page: i64): void {
  if (page == apicAccessPage) return;
  apicAccessPage = page;
  flushTlb();
}

/** Host address of a supervisor's TLB set: what implicit accesses use. */
// @ts-ignore: decorator
@inline
export function systemSet(): usize {
  return cpu + TLB;
}

// @ts-ignore: decorator
@inline
export function userSet(): usize {
  return cpu + TLB + TLB_SET_SIZE * 2;
}

/** The user's set while accesses must be aligned (CR0.AM, RFLAGS.AC): data do not get into it. */
// @ts-ignore: decorator
@inline
function checksAlignment(set: usize): bool {
  return set == cpu + TLB + TLB_SET_SIZE * 3;
}

/** The current set, for what is never checked for alignment (VMASKMOV, gathers). */
export function unalignedSet(): usize {
  const set = currentSet();
  return checksAlignment(set) ? userSet() : set;
}

/** #AC(0) for an operand of 2, 4, 8, 10 or more bytes that is not aligned (SDM vol. 3A, table 7-7). */
function misaligned(linear: i64, size: i32): bool {
  let alignment: i64 = size > 32 || size & (size - 1) ? 1 : size;
  if (size == 10) alignment = 8;
  else if (size == 32) alignment = 16;
  // The x87 environment and state, of 32 and 16-bit format.
  else if (size == 28 || size == 108) alignment = 4;
  else if (size == 14 || size == 94) alignment = 2;
  return !isAlignedTo(linear, alignment);
}

function isAlignedTo(linear: i64, alignment: i64): bool {
  if ((linear & (alignment - 1)) == 0) return true;
  raiseError(VECTOR_AC, 0);
  return false;
}

/** For operands that are accessed in parts: false where the current access is checked and not aligned, with #AC(0) pending. */
export function isAligned(linear: i64, alignment: i64): bool {
  return !checksAlignment(currentSet()) || !isCanonical(linear) || isAlignedTo(linear, alignment);
}

// @ts-ignore: decorator
@inline
export function currentSet(): usize {
  return <usize>load<u32>(cpu + TLB_SET);
}

// @ts-ignore: decorator
@inline
function accessOf(set: usize): i32 {
  const offset = set - cpu - TLB;
  return offset == 0 ? 0 : offset == TLB_SET_SIZE ? ACCESS_AC : ACCESS_USER;
}

/** Host address of one byte for an access, entering it into the TLB; 0: a fault is pending. */
function resolve(set: usize, linear: i64, access: i32): usize {
  set64(TLB_MISSES, get64(TLB_MISSES) + 1);
  const physical = translate(linear, accessOf(set) | access);
  if (physical < 0) return 0;
  if (!isRam(physical)) return NO_RAM;
  if ((physical & ~0xfff) == apicAccessPage) return apicAccess(physical, linear, access);
  const host = <usize>physical;
  const entry = set + slotOffset(linear);
  if (access & ACCESS_FETCH) {
    enter(entry + TLB_EXECUTE, linear, host);
  } else if (!checksAlignment(set)) {
    const watched = get32(DR7) & DR7_ENABLED ? watchedPage(linear) : 0;
    if (!(watched & WATCH_READS)) enter(entry + TLB_READ, linear, host);
    if (access & ACCESS_WRITE && !watched && !hasCode(host)) enter(entry + TLB_WRITE, linear, host);
  }
  return host;
}

/** SDM vol. 3C, 31.4: the exit for an access to the APIC-access page. */
function apicAccess(physical: i64, linear: i64, access: i32): usize {
  const type = delivering ? 3 : access & ACCESS_FETCH ? 2 : access & ACCESS_WRITE ? 1 : 0;
  raiseExit(EXIT_APIC_ACCESS, (physical & 0xfff) | <i64>(type << 12), 0, linear);
  return 0;
}

/** What the read table gives for a byte, or the walk's result. */
// @ts-ignore: decorator
@inline
function lookup(set: usize, table: usize, linear: i64, access: i32): usize {
  const entry = set + table + slotOffset(linear);
  if (load<i64>(entry) == (linear & ~0xfff)) return <usize>(<u32>linear + load<u32>(entry, 8));
  return resolve(set, linear, access);
}

/** First byte of the page after `linear`'s; outside long mode linear addresses wrap at 4 GiB. */
// @ts-ignore: decorator
@inline
function nextPage(linear: i64): i64 {
  const next = (linear & ~0xfff) + 0x1000;
  return get32(LONG_MODE) ? next : next & 0xffffffff;
}

/** #SS or #GP for a non-canonical address: as the current instruction addresses the stack or not. */
function nonCanonical(linear: i64): usize {
  if (addressesStack(linear)) raiseError(VECTOR_SS, 0);
  else gp0();
  return 0;
}

/** The stack is what RSP or RBP as a base addresses (SDM vol. 1, 3.7.4), FS and GS aside, and what stack instructions push, pop and enter. */
function addressesStack(linear: i64): bool {
  const record = <usize>get32(CURRENT_RECORD);
  if (record == 0) return isNear(linear, get64(RSP), 64);
  const base = <usize>load<u32>(record + REC_BASE);
  const seg = <usize>load<u32>(record + REC_SEG);
  if (seg == cpu + FS_BASE || seg == cpu + GS_BASE) return false;
  if (base == cpu + RSP || base == cpu + RBP) return true;
  const operand = ea(record);
  // Of an operand in memory, perhaps a later part.
  if (operand != 0 && isNear(linear, operand, 0xfff)) return false;
  return isNear(linear, get64(RSP), 64) || (base == cpu + ZERO && isNear(linear, get64(RBP), 256));
}

// @ts-ignore: decorator
@inline
function isNear(linear: i64, place: i64, distance: i64): bool {
  return linear - place >= -distance && linear - place <= distance;
}

/** Host address where `size` bytes can be read for an access through `set`; 0: a fault is pending. */
export function readMissIn(set: usize, linear: i64, size: i32): usize {
  const last = linear + size - 1;
  if (!isCanonical(linear) || !isCanonical(last)) return nonCanonical(linear);
  if (checksAlignment(set) && misaligned(linear, size)) return 0;
  const watch = get32(DR7) & DR7_ENABLED ? watchData(linear, size, false) : UNWATCHED;
  if (watch == REFUSED) return 0;
  const host = lookup(set, TLB_READ, linear, ACCESS_READ);
  if (host == 0) return 0;
  // Nobody may go on from a watched byte to its neighbours. A probe may be longer than the bounce buffer.
  if (((linear ^ last) & ~0xfff) == 0 && (isProbing() || (host != NO_RAM && watch == UNWATCHED))) return host;
  const split = min<i32>(size, 0x1000 - (<i32>linear & 0xfff));
  let second: usize = 0;
  if (split < size) {
    second = lookup(set, TLB_READ, nextPage(linear), ACCESS_READ);
    if (second == 0) return 0;
  }
  gather(cpu + BOUNCE, host, split);
  gather(cpu + BOUNCE + <usize>split, second, size - split);
  return cpu + BOUNCE;
}

/** Copies from RAM, or ones from where none is. */
function gather(to: usize, from: usize, length: i32): void {
  if (from == NO_RAM) memory.fill(to, 0xff, length);
  else memory.copy(to, from, length);
}

/** Host address to write `size` bytes through `set` (see writeMiss); 0: a fault is pending. */
export function writeMissIn(set: usize, linear: i64, size: i32): usize {
  set32(BOUNCE_SIZE, 0);
  const last = linear + size - 1;
  if (!isCanonical(linear) || !isCanonical(last)) return nonCanonical(linear);
  if (checksAlignment(set) && misaligned(linear, size)) return 0;
  if (get32(DR7) & DR7_ENABLED && watchData(linear, size, true) == REFUSED) return 0;
  const host = lookup(set, TLB_WRITE, linear, ACCESS_WRITE);
  if (host == 0) return 0;
  const crosses = ((linear ^ last) & ~0xfff) != 0;
  if (!crosses && (isProbing() || (host != NO_RAM && !hasCode(host)))) return host;
  const split = min<i32>(size, 0x1000 - (<i32>linear & 0xfff));
  let second: usize = 0;
  if (split < size) {
    second = lookup(set, TLB_WRITE, nextPage(linear), ACCESS_WRITE);
    if (second == 0) return 0;
  }
  gather(cpu + BOUNCE, host, split);
  gather(cpu + BOUNCE + <usize>split, second, size - split);
  set32(BOUNCE_SIZE, size);
  set32(BOUNCE_SPLIT, split);
  set32(BOUNCE_HOST1, <i32>host);
  set32(BOUNCE_HOST2, <i32>second);
  return cpu + BOUNCE;
}

/**
 * Host address of data in one page for a compiled region whose look into the TLB failed, now that the TLB has it; 0: the
 * interpreter must execute the access, whatever is special about it.
 */
export function fillRead(linear: i64, size: i32): usize {
  return fill(linear, size, TLB_READ, ACCESS_READ);
}

/** The same for an access that writes. */
export function fillWrite(linear: i64, size: i32): usize {
  return fill(linear, size, TLB_WRITE, ACCESS_WRITE);
}

function fill(linear: i64, size: i32, table: usize, access: i32): usize {
  const page = linear & ~0xfff;
  if (!isCanonical(linear) || ((linear + size - 1) & ~0xfff) != page) return 0;
  const set = currentSet();
  const host = resolve(set, linear, access);
  if (host == 0) clearPending();
  return load<i64>(set + table + slotOffset(linear)) == page ? host : 0;
}

/** Where `size` bytes at `linear` can be read: RAM or the bounce buffer; 0: an event or exit is pending. */
export function readMiss(linear: i64, size: i32): usize {
  return readMissIn(currentSet(), linear, size);
}

/**
 * Where `size` bytes can be written, and read for read-modify-write; 0: an event or exit is pending. It may be the
 * bounce buffer: writeCommit() must follow once the bytes are stored.
 */
export function writeMiss(linear: i64, size: i32): usize {
  return writeMissIn(currentSet(), linear, size);
}

/** Copies the bounce buffer out if the last writeMiss used it, and ends translated code that it overwrites. */
export function writeCommit(): void {
  const size = get32(BOUNCE_SIZE);
  if (size == 0) return;
  set32(BOUNCE_SIZE, 0);
  const split = get32(BOUNCE_SPLIT);
  scatter(<usize>get32(BOUNCE_HOST1), cpu + BOUNCE, split);
  if (split < size) scatter(<usize>get32(BOUNCE_HOST2), cpu + BOUNCE + <usize>split, size - split);
}

function scatter(to: usize, from: usize, length: i32): void {
  if (to == NO_RAM) return;
  memory.copy(to, from, length);
  if (hasCode(to)) invalidateCode(to, length);
}

/** #GP(0): the instruction at RIP does not lie within the code segment (SDM vol. 3A, 6.3). */
export function raiseCodeLimit(): void {
  gp0();
}

/** Host address of the instruction byte at a linear address, entering it into the execute table; 0: pending. */
export function fetch(linear: i64): usize {
  const address = get32(CODE_MODE) == 2 ? linear : linear & 0xffffffff;
  if (!isCanonical(address)) {
    gp0();
    return 0;
  }
  if (get32(DR7) & DR7_ENABLED && !watchFetch(address)) return 0;
  const host = lookup(currentSet(), TLB_EXECUTE, address, ACCESS_FETCH);
  if (host != NO_RAM) return host;
  // Ones, where there is no RAM: FF FF is an undefined opcode.
  ud();
  return 0;
}
