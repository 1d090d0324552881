/**
 * Translated code and the pages it came from: a write to code bytes ends the traces made from them (layout.ts,
 * PAGE_TRACES; record.ts, TRACE_*).
 */
import { HOST_PAGES, PAGE_FLAGS, PAGE_TRACES } from "../src/state/layout";
import {
  HANDLER_EXIT_TRACE, HANDLER_HEAT, HANDLER_REGION, REC_HANDLER, REC_IMM, REC_P2, REC_SIZE, TRACE_BYTES, TRACE_HASH_NEXT, TRACE_HASH_SLOT,
  TRACE_HEADER_SIZE, TRACE_HOST, TRACE_HOST2, TRACE_NEXT, TRACE_RECORDS, TRACE_REGION,
} from "../src/state/record";
import { cpu } from "./cpu";
import { forgetWrites } from "./tlb-entries";

const PAGE_HAS_CODE: i32 = 1;
/** A region that was overwritten is compiled again only after more runs each time, up to this many. */
const LONGEST_HEAT: i32 = 1 << 28;
/** No instruction is longer. */
const LONGEST_INSTRUCTION = 15;

/**
 * Ends the traces made from host bytes [host, host + length): called after the bytes changed, by the write path of the
 * microcode and, through HostMemory's listeners, for writes from outside.
 */
export function invalidateCode(host: usize, length: i32): void {
  if (length <= 0) return;
  const flags = <usize>load<u32>(cpu + PAGE_FLAGS);
  const last = (<u64>host + <u64>length - 1) >> 12;
  for (let page = <u64>host >> 12; page <= last && page < <u64>load<u32>(cpu + HOST_PAGES); page++) {
    if (load<u8>(flags + <usize>page) & PAGE_HAS_CODE) invalidateInPage(<usize>page, <u64>host, <u64>host + <u64>length);
  }
}

function invalidateInPage(page: usize, from: u64, to: u64): void {
  const heads = <usize>load<u32>(cpu + PAGE_TRACES);
  if (heads == 0) return;
  let link = heads + (page << 2);
  let trace = <usize>load<u32>(link);
  while (trace != 0) {
    const next = <usize>load<u32>(trace + TRACE_NEXT);
    if (overlaps(trace, page, from, to)) {
      endTrace(trace);
      store<u32>(link, <u32>next);
    } else {
      link = trace + TRACE_NEXT;
    }
    trace = next;
  }
  if (load<u32>(heads + (page << 2)) == 0) {
    const flag = <usize>load<u32>(cpu + PAGE_FLAGS) + page;
    store<u8>(flag, load<u8>(flag) & ~PAGE_HAS_CODE);
  }
}

function overlaps(trace: usize, page: usize, from: u64, to: u64): bool {
  const start = <u64>load<u32>(trace + TRACE_HOST);
  if (start < to && from < start + <u64>load<u32>(trace + TRACE_BYTES)) return true;
  // The tail of an instruction that goes on in another page: it begins at that page's first byte.
  const second = <u64>load<u32>(trace + TRACE_HOST2);
  return second != 0 && second < to && from < second + LONGEST_INSTRUCTION;
}

function endTrace(trace: usize): void {
  const slot = <usize>load<u32>(trace + TRACE_HASH_SLOT);
  const first = trace + TRACE_HEADER_SIZE;
  if (slot != 0) unhash(slot, trace);
  const count = load<i32>(trace + TRACE_RECORDS);
  for (let i = 0; i < count; i++) store<u16>(first + <usize>(i * REC_SIZE) + REC_HANDLER, HANDLER_EXIT_TRACE);
  const region = <usize>load<u32>(trace + TRACE_REGION);
  if (region != 0) endRegion(region);
}

/** Takes a trace out of its hash entry; it may not be there any more. */
function unhash(slot: usize, trace: usize): void {
  let at = hashed(slot);
  const next = <usize>load<u32>(trace + TRACE_HASH_NEXT);
  if (at == trace) return setHashed(slot, next);
  while (at != 0) {
    const after = <usize>load<u32>(at + TRACE_HASH_NEXT);
    if (after == trace) return store<u32>(at + TRACE_HASH_NEXT, <u32>next);
    at = after;
  }
}

/** The first trace of a hash entry, or 0. */
// @ts-ignore: decorator
@inline
function hashed(slot: usize): usize {
  return load<u32>(slot) == 0 ? 0 : <usize>load<u32>(slot, 4) - TRACE_HEADER_SIZE;
}

function setHashed(slot: usize, trace: usize): void {
  store<u32>(slot, trace == 0 ? 0 : load<u32>(trace + TRACE_HOST));
  if (trace != 0) store<u32>(slot, <u32>trace + TRACE_HEADER_SIZE, 4);
}

/** The first record of the trace at `host`, which is not the first one of its hash entry but becomes it; 0: there is none. */
export function seekTrace(slot: usize, host: usize): usize {
  const head = hashed(slot);
  if (head == 0) return 0;
  let before = head;
  while (true) {
    const trace = <usize>load<u32>(before + TRACE_HASH_NEXT);
    if (trace == 0) return 0;
    if (load<u32>(trace + TRACE_HOST) == <u32>host) {
      store<u32>(before + TRACE_HASH_NEXT, load<u32>(trace + TRACE_HASH_NEXT));
      store<u32>(trace + TRACE_HASH_NEXT, <u32>head);
      setHashed(slot, trace);
      return trace + TRACE_HEADER_SIZE;
    }
    before = trace;
  }
}

/** The trace runs interpreted again, and is counted from a higher start. */
function endRegion(record: usize): void {
  if (load<u16>(record + REC_HANDLER) != HANDLER_REGION) return;
  const heat = min<i32>(load<i32>(record + REC_P2) << 1, LONGEST_HEAT);
  store<i32>(record + REC_P2, heat);
  store<i32>(record + REC_IMM, heat);
  store<u16>(record + REC_HANDLER, HANDLER_HEAT);
}

/**
 * Marks the host page as holding translated code, so that writes to it come through the slow path: takes it out of
 * this processor's write tables. To be called before the first trace of the page is registered.
 */
export function protectCode(host: usize): void {
  const page = host >> 12;
  const flag = <usize>load<u32>(cpu + PAGE_FLAGS) + page;
  if (load<u8>(flag) & PAGE_HAS_CODE) return;
  store<u8>(flag, load<u8>(flag) | PAGE_HAS_CODE);
  forgetWrites(<u32>page);
}
