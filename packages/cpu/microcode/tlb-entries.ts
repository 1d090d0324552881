/**
 * The entries of the TLB (layout.ts, TLB_*): entering and forgetting translations. Journals tell which entries are in use, so that
 * forgetting need not look at all of them.
 */
import {
  DR0, DR7, TLB, TLB_ENTRIES, TLB_ENTRY_SIZE, TLB_EXECUTE, TLB_GLOBAL_JOURNAL, TLB_JOURNAL, TLB_JOURNAL_ENTRIES, TLB_READ, TLB_SETS, TLB_SET_SIZE,
  TLB_TABLE_SIZE, TLB_WRITE,
} from "../src/state/layout";
import { DR7_ENABLED, watchedPage, watchesCode } from "./breakpoint";
import { cpu, get32, get64 } from "./cpu";
import { flushWalkCache, pageGlobal, pageKey, pageShift } from "./paging";

/** Entries in the journals; above its size the next flush looks at all. */
let journalCount: i32 = TLB_JOURNAL_ENTRIES + 1;
let globalCount: i32 = TLB_JOURNAL_ENTRIES + 1;
/** In an entry, beside the page's size: the page is global; its key (paging.ts, pageKey). */
const GLOBAL = 0x100;
const KEY_SHIFT = 16;
/** One bit a gigabyte, folded: large pages were entered there, so INVLPG must look for all parts of one. */
let largePages: i64 = 0;
/** Protection keys of the pages that were entered, one bit each. */
let keysEntered: i32 = 0;

/**
 * Makes an entry such that no address whose entry it is lies in its page: bits 23:12 of the tag are not the number that the entry has in
 * its table (tables lie at multiples of 256 entries). Who compares whole tags is told by bit 0.
 */
// @ts-ignore: decorator
@inline
function clear(entry: usize): void {
  store<i64>(entry, ((<i64>entry << 8) + 0x1000) | 1);
}

/** Forgets all linear translations, also of global pages. */
export function flushTlb(): void {
  if (journalCount > TLB_JOURNAL_ENTRIES || globalCount > TLB_JOURNAL_ENTRIES) {
    const end = cpu + TLB + TLB_SET_SIZE * TLB_SETS;
    for (let entry = cpu + TLB; entry < end; entry += TLB_ENTRY_SIZE) clear(entry);
  } else {
    clearJournaled(TLB_JOURNAL, journalCount);
    clearJournaled(TLB_GLOBAL_JOURNAL, globalCount);
  }
  journalCount = 0;
  globalCount = 0;
  largePages = 0;
  keysEntered = 0;
  flushWalkCache();
}

function clearJournaled(journal: usize, count: i32): void {
  const end = cpu + journal + (<usize>count << 2);
  for (let at = cpu + journal; at < end; at += 4) clear(<usize>load<u32>(at));
}

/** Forgets all but global pages: what a new CR3 does (SDM vol. 3A, 5.10.4.1). */
export function flushTlbNonGlobal(): void {
  if (journalCount > TLB_JOURNAL_ENTRIES) {
    const end = cpu + TLB + TLB_SET_SIZE * TLB_SETS;
    for (let entry = cpu + TLB; entry < end; entry += TLB_ENTRY_SIZE) clearNonGlobal(entry);
  } else {
    const end = cpu + TLB_JOURNAL + (<usize>journalCount << 2);
    // A global page may have taken the place of what was journaled.
    for (let at = cpu + TLB_JOURNAL; at < end; at += 4) clearNonGlobal(<usize>load<u32>(at));
  }
  journalCount = 0;
  flushWalkCache();
}

// @ts-ignore: decorator
@inline
function clearNonGlobal(entry: usize): void {
  if (!(load<i32>(entry, 12) & GLOBAL)) clear(entry);
}

/** Forgets the translations of pages with the given protection keys, one bit each: their rights are others now. */
export function flushTlbKeys(keys: i32): void {
  if (!(keys & keysEntered)) return;
  if (journalCount > TLB_JOURNAL_ENTRIES || globalCount > TLB_JOURNAL_ENTRIES) return flushTlb();
  clearKeys(TLB_JOURNAL, journalCount, keys);
  clearKeys(TLB_GLOBAL_JOURNAL, globalCount, keys);
  keysEntered &= ~keys;
}

function clearKeys(journal: usize, count: i32, keys: i32): void {
  const end = cpu + journal + (<usize>count << 2);
  for (let at = cpu + journal; at < end; at += 4) {
    const entry = <usize>load<u32>(at);
    const key = load<i32>(entry, 12) >> KEY_SHIFT;
    if (key != 0 && (keys >> (key - 1)) & 1) clear(entry);
  }
}

/** Forgets the translation of one page (INVLPG), all of it when it is a large one. */
export function flushTlbPage(linear: i64): void {
  const page = linear & ~0xfff;
  for (let set = 0; set < TLB_SETS; set++) {
    const entry = cpu + TLB + <usize>(set * TLB_SET_SIZE) + slotOffset(linear);
    clearIf(entry + TLB_READ, page);
    clearIf(entry + TLB_WRITE, page);
    clearIf(entry + TLB_EXECUTE, page);
  }
  flushWalkCache();
  if ((largePages >> ((linear >> 30) & 63)) & 1) flushLarge(linear);
}

// @ts-ignore: decorator
@inline
function clearIf(entry: usize, tag: i64): void {
  if (load<i64>(entry) == tag) clear(entry);
}

function flushLarge(linear: i64): void {
  if (journalCount > TLB_JOURNAL_ENTRIES || globalCount > TLB_JOURNAL_ENTRIES) return flushTlb();
  clearLarge(TLB_JOURNAL, journalCount, linear);
  clearLarge(TLB_GLOBAL_JOURNAL, globalCount, linear);
}

function clearLarge(journal: usize, count: i32, linear: i64): void {
  const end = cpu + journal + (<usize>count << 2);
  for (let at = cpu + journal; at < end; at += 4) {
    const entry = <usize>load<u32>(at);
    const shift = <i32>load<u8>(entry, 12);
    if (shift > 12 && ((load<i64>(entry) ^ linear) >> shift) == 0) clear(entry);
  }
}

/** Takes a host page out of the write tables: there is translated code in it now. */
export function forgetWrites(page: u32): void {
  if (journalCount > TLB_JOURNAL_ENTRIES || globalCount > TLB_JOURNAL_ENTRIES) return flushTlb();
  clearWrites(TLB_JOURNAL, journalCount, page);
  clearWrites(TLB_GLOBAL_JOURNAL, globalCount, page);
}

function clearWrites(journal: usize, count: i32, page: u32): void {
  const end = cpu + journal + (<usize>count << 2);
  for (let at = cpu + journal; at < end; at += 4) {
    const entry = <usize>load<u32>(at);
    const table = <i32>(entry - cpu - TLB) % TLB_SET_SIZE;
    if (table < TLB_WRITE || table >= TLB_WRITE + TLB_TABLE_SIZE) continue;
    if ((<u32>load<i64>(entry) + load<u32>(entry, 8)) >> 12 == page) clear(entry);
  }
}

/**
 * Takes pages with enabled breakpoints out of the tables: to be called when DR0 to DR3 or DR7 have changed, and when code goes
 * on after single steps.
 */
export function forgetWatched(): void {
  if (!(get32(DR7) & DR7_ENABLED)) return;
  for (let i = 0; i < 4; i++) {
    const page = get64(DR0 + (i << 3)) & ~0xfff;
    const data = watchedPage(page) != 0;
    const code = watchesCode(page);
    for (let set = 0; set < TLB_SETS; set++) {
      const entry = cpu + TLB + <usize>(set * TLB_SET_SIZE) + slotOffset(page);
      if (data) clearIf(entry + TLB_READ, page);
      if (data) clearIf(entry + TLB_WRITE, page);
      if (code) clearIf(entry + TLB_EXECUTE, page);
    }
  }
}

// @ts-ignore: decorator
@inline
export function slotOffset(linear: i64): usize {
  return <usize>(linear >> 8) & ((TLB_ENTRIES - 1) << 4);
}

export function enter(entry: usize, linear: i64, host: usize): void {
  const page = linear & ~0xfff;
  store<i64>(entry, page);
  store<u32>(entry, <u32>host - <u32>linear, 8);
  store<i32>(entry, pageShift | (pageGlobal ? GLOBAL : 0) | (pageKey << KEY_SHIFT), 12);
  if (pageKey != 0) keysEntered |= 1 << (pageKey - 1);
  if (pageShift > 12) largePages |= <i64>1 << ((linear >> 30) & 63);
  if (pageGlobal) globalCount = journal(TLB_GLOBAL_JOURNAL, globalCount, entry);
  else journalCount = journal(TLB_JOURNAL, journalCount, entry);
}

// @ts-ignore: decorator
@inline
function journal(at: usize, count: i32, entry: usize): i32 {
  if (count < TLB_JOURNAL_ENTRIES) store<u32>(cpu + at + (<usize>count << 2), <u32>entry);
  return count <= TLB_JOURNAL_ENTRIES ? count + 1 : count;
}
