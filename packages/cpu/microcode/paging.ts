/**
 * Guest page tables (SDM vol. 3A, ch. 5): no paging, 32-bit, PAE and 4-level paging. translate() gives the host
 * physical address behind a linear one after all checks, with EPT applied to the tables and to the result.
 */
import {
  CR0, CR3, CR4, LONG_MODE, MSR_EFER, PDPTE0, PHYSICAL_BITS, PKRU, WALK_CACHE, WALK_CACHE_ENTRIES,
} from "../src/state/layout";
import { cpu, get32, get64, set64 } from "./cpu";
import {
  EPT_EXECUTE, EPT_FINAL, EPT_LINEAR, EPT_READ, EPT_WRITE, eptAccessedDirty, eptPointer, eptTranslate,
} from "./ept";
import { pageFault } from "./event";
import { BEYOND_PHYSICAL, ENTRY_ADDRESS, isRam, readPhysical64, updateEntry32, updateEntry64 } from "./memory";
import { CR0_PG, CR0_WP, CR4_PAE, CR4_PGE, CR4_PKE, CR4_PSE, CR4_SMAP, CR4_SMEP, EFER_NXE } from "./mode";

/** Kinds of access; the first three are the page fault's error-code bits. */
export const ACCESS_READ = 0;
export const ACCESS_WRITE = 2;
export const ACCESS_USER = 4;
export const ACCESS_FETCH = 16;
/** An explicit supervisor access with RFLAGS.AC set: SMAP does not apply. */
export const ACCESS_AC = 0x200;

const ERROR_PRESENT = 1;
const ERROR_RESERVED = 8;
const ERROR_KEY = 0x20;

const P: i64 = 1;
const RW: i64 = 2;
const US: i64 = 4;
const A: i64 = 0x20;
const D: i64 = 0x40;
const PS: i64 = 0x80;
const G: i64 = 0x100;
const XD: i64 = <i64>1 << 63;
const KEY_SHIFT: i64 = 59;

/** log2 of the size of the page that the last translate() found (12 without paging), and whether it is global. */
export let pageShift: i32 = 12;
export let pageGlobal: bool = false;
/** Its protection key plus one; 0 where none counts: supervisor pages, fetches, CR4.PKE clear, other paging modes. */
export let pageKey: i32 = 0;

/**
 * Host physical address of a linear address (which may lie beyond RAM), or -1: a page fault or VM exit is pending.
 * Linear addresses are canonical, and below 4 GiB outside long mode: their users check.
 */
export function translate(linear: i64, access: i32): i64 {
  pageShift = 12;
  pageGlobal = false;
  pageKey = 0;
  const gpa = !(get64(CR0) & CR0_PG)
    ? linear
    : get32(LONG_MODE)
      ? walk4Level(linear, access)
      : get32(CR4) & CR4_PAE
        ? walkPae(linear, access)
        : walk32(linear, access);
  if (gpa < 0 || eptPointer() == 0) return gpa;
  const need = access & ACCESS_FETCH ? EPT_EXECUTE : access & ACCESS_WRITE ? EPT_WRITE : EPT_READ;
  return eptTranslate(gpa, need, linear, EPT_LINEAR | EPT_FINAL);
}

/** Host address of a guest paging-structure entry: -1 a VM exit is pending, -2 not RAM. */
function entryHost(gpa: i64, linear: i64, write: bool): i64 {
  let host = gpa;
  if (eptPointer() != 0) {
    const need = write || eptAccessedDirty() ? EPT_READ | EPT_WRITE : EPT_READ;
    host = eptTranslate(gpa, need, linear, EPT_LINEAR);
    if (host < 0) return -1;
  }
  return isRam(host) ? host : -2;
}

/** A leaf entry's G counts where CR4.PGE is set (SDM vol. 3A, 5.10.2.4). */
// @ts-ignore: decorator
@inline
function setGlobal(leaf: i64): void {
  pageGlobal = (leaf & G) != 0 && (get32(CR4) & CR4_PGE) != 0;
}

function fault(linear: i64, access: i32, bits: i32): i64 {
  let error = (access & (ACCESS_WRITE | ACCESS_USER)) | bits;
  if (access & ACCESS_FETCH) {
    const cr4 = get32(CR4);
    if (cr4 & CR4_SMEP || (cr4 & CR4_PAE && get32(MSR_EFER) & EFER_NXE)) error |= ACCESS_FETCH;
  }
  pageFault(linear, error);
  return -1;
}

/**
 * Do the combined rights of a translation allow the access (SDM vol. 3A, 5.6)? `rights` has the anded R/W and U/S
 * bits and the ored XD bit.
 */
// @ts-ignore: decorator
@inline
function isAllowed(rights: i64, access: i32): bool {
  if (access & ACCESS_FETCH && rights & XD) return false;
  if (access & ACCESS_USER) {
    if (!(rights & US)) return false;
    return !(access & ACCESS_WRITE) || (rights & RW) != 0;
  }
  if (rights & US) {
    const cr4 = get32(CR4);
    if (access & ACCESS_FETCH) {
      if (cr4 & CR4_SMEP) return false;
    } else if (cr4 & CR4_SMAP && !(access & ACCESS_AC)) return false;
  }
  return !(access & ACCESS_WRITE) || (rights & RW) != 0 || !(get32(CR0) & CR0_WP);
}

/**
 * ERROR_KEY where the protection key of a page forbids a data access (SDM vol. 3A, 5.6.2), else 0; 4-level paging only.
 * The error code tells it whatever else is wrong with the access (5.7).
 */
// @ts-ignore: decorator
@inline
function keyFault(rights: i64, entry: i64, access: i32): i32 {
  if (!(get32(CR4) & CR4_PKE) || !(rights & US) || access & ACCESS_FETCH) return 0;
  const key = <i32>(<u64>entry >> KEY_SHIFT) & 15;
  pageKey = key + 1;
  const disabled = get32(PKRU) >> (key << 1);
  if (disabled & 1) return ERROR_KEY;
  if (!(disabled & 2) || !(access & ACCESS_WRITE)) return 0;
  return access & ACCESS_USER || get32(CR0) & CR0_WP ? ERROR_KEY : 0;
}

function walk4Level(linear: i64, access: i32): i64 {
  const known = walkLast(linear, access);
  return known >= 0 ? known : walk64(linear, access, get64(CR3) & ENTRY_ADDRESS, 39);
}

function walkPae(linear: i64, access: i32): i64 {
  const pdpte = get64(<usize>(PDPTE0 + (<i32>(linear >> 27) & 0x18)));
  if (!(pdpte & P)) return fault(linear, access, 0);
  // The page-directory-pointer entries give no rights: bits 1 and 2 are reserved there.
  return walk64(linear, access, pdpte & ENTRY_ADDRESS, 21);
}

/** The walk cache's entry for a linear address. */
// @ts-ignore: decorator
@inline
function walkEntry(linear: i64): usize {
  return cpu + WALK_CACHE + ((<usize>(linear >> 21) & (WALK_CACHE_ENTRIES - 1)) << 4);
}

/** Forgets where page tables are (SDM vol. 3A, 5.10.3: paging-structure caches); part of each TLB flush. */
export function flushWalkCache(): void {
  memory.fill(cpu + WALK_CACHE, 0xff, WALK_CACHE_ENTRIES * 16);
}

/**
 * The last level of a 4-level walk alone, where the cache knows the page table: the address, or -1 for all that is not
 * plain, also faults: the whole walk finds out.
 */
function walkLast(linear: i64, access: i32): i64 {
  const cached = walkEntry(linear);
  const tag = load<i64>(cached);
  // Bit 3 is set in empty entries alone.
  if ((tag ^ linear) >> 21 != 0 || tag & 8) return -1;
  const entry = atomic.load<i64>(<usize>load<i64>(cached, 8) + (<usize>(linear >> 9) & 0xff8));
  const needed = access & ACCESS_WRITE ? P | A | D : P | A;
  if ((entry & needed) != needed || entry & (BEYOND_PHYSICAL | (get32(MSR_EFER) & EFER_NXE ? 0 : XD))) return -1;
  const rights = (tag & entry & (RW | US)) | (((tag & 1) << 63) | (entry & XD));
  if (!isAllowed(rights, access) || keyFault(rights, entry, access) != 0) return -1;
  setGlobal(entry);
  return (entry & ENTRY_ADDRESS) | (linear & 0xfff);
}

/** Levels with 64-bit entries, from the one that `shift` names down. */
function walk64(linear: i64, access: i32, first: i64, top: i32): i64 {
  const reserved = BEYOND_PHYSICAL | (get32(MSR_EFER) & EFER_NXE ? 0 : XD);
  // With PAE paging bits 62:52 are reserved as well (SDM vol. 3A, table 5-10).
  const high: i64 = top == 21 ? 0x7ff0000000000000 : 0;
  let table = first;
  let shift = top;
  let rights = RW | US;
  while (true) {
    const slot = table + ((<i64>(<u64>linear >> shift) & 511) << 3);
    const host = entryHost(slot, linear, false);
    if (host == -1) return -1;
    const entry = host < 0 ? -1 : atomic.load<i64>(<usize>host);
    if (!(entry & P)) return fault(linear, access, 0);
    const leaf = shift == 12 || (shift < 39 && (entry & PS) != 0);
    const mask = (<i64>1 << shift) - 1;
    // Bit 12 of a large page's entry is PAT.
    if (entry & (reserved | high) || (shift == 39 && entry & PS) || (leaf && entry & mask & ~0x1fff))
      return fault(linear, access, ERROR_PRESENT | ERROR_RESERVED);
    const upper = rights;
    rights = (rights & entry & (RW | US)) | ((rights | entry) & XD);
    if (!leaf) {
      if (!(entry & A) && !setEntryBits(slot, host, linear, entry, A)) return retry(linear, access);
      table = entry & ENTRY_ADDRESS;
      shift -= 9;
      continue;
    }
    const key = top == 39 ? keyFault(rights, entry, access) : 0;
    if (key || !isAllowed(rights, access)) return fault(linear, access, ERROR_PRESENT | key);
    if (shift == 12 && top == 39) remember(linear, host, upper);
    const bits = access & ACCESS_WRITE ? A | D : A;
    if ((entry & bits) != bits && !setEntryBits(slot, host, linear, entry, bits)) return retry(linear, access);
    pageShift = shift;
    setGlobal(entry);
    return (entry & ENTRY_ADDRESS & ~mask) | (linear & mask);
  }
}

/** Enters a page table into the walk cache, with the rights of the levels above it (XD as bit 0). */
function remember(linear: i64, slotHost: i64, rights: i64): void {
  const cached = walkEntry(linear);
  store<i64>(cached, (linear & ~0x1fffff) | (rights & (RW | US)) | (<i64>(<u64>rights >> 63)));
  store<i64>(cached, slotHost & ~0xfff, 8);
}

/** Set when an update of A and D found a VM exit, and not merely a changed entry. */
let exitPending: bool = false;

/** Sets A and D bits; false: walk again, or a VM exit is pending. */
function setEntryBits(slot: i64, host: i64, linear: i64, old: i64, bits: i64): bool {
  if (entryWritable(slot, linear)) return updateEntry64(<usize>host, old, bits);
  return false;
}

/** EPT must let the processor write the entry. */
function entryWritable(slot: i64, linear: i64): bool {
  exitPending = eptPointer() != 0 && !eptAccessedDirty() && entryHost(slot, linear, true) == -1;
  return !exitPending;
}

function retry(linear: i64, access: i32): i64 {
  if (exitPending) return -1;
  return get32(LONG_MODE) ? walk4Level(linear, access) : get32(CR4) & CR4_PAE ? walkPae(linear, access) : walk32(linear, access);
}

/** 32-bit paging, with 4-MiB pages and PSE-36 (SDM vol. 3A, 5.3). */
function walk32(linear: i64, access: i32): i64 {
  const directory = (get64(CR3) & 0xfffff000) + ((<i64>(<u64>linear >> 22) & 1023) << 2);
  let host = entryHost(directory, linear, false);
  if (host == -1) return -1;
  const pde = host < 0 ? -1 : atomic.load<i32>(<usize>host);
  if (!(pde & <i32>P)) return fault(linear, access, 0);
  if (pde & <i32>PS && get32(CR4) & CR4_PSE) return large32(linear, access, directory, host, pde);
  if (!(pde & <i32>A) && !setEntryBits32(directory, host, linear, pde, <i32>A)) return retry(linear, access);
  const slot = (<i64>pde & 0xfffff000) + ((<i64>(<u64>linear >> 12) & 1023) << 2);
  host = entryHost(slot, linear, false);
  if (host == -1) return -1;
  const pte = host < 0 ? -1 : atomic.load<i32>(<usize>host);
  if (!(pte & <i32>P)) return fault(linear, access, 0);
  if (!isAllowed(<i64>(pde & pte) & (RW | US), access)) return fault(linear, access, ERROR_PRESENT);
  const bits = <i32>(access & ACCESS_WRITE ? A | D : A);
  if ((pte & bits) != bits && !setEntryBits32(slot, host, linear, pte, bits)) return retry(linear, access);
  setGlobal(<i64>pte);
  return (<i64>pte & 0xfffff000) | (linear & 0xfff);
}

function large32(linear: i64, access: i32, slot: i64, host: i64, pde: i32): i64 {
  // Bits 20:13 carry address bits 39:32, as far as the physical address is that wide; bit 21 is reserved.
  const wide = PHYSICAL_BITS < 40 ? PHYSICAL_BITS - 32 : 8;
  const reserved = 0x3fe000 & ~(((1 << wide) - 1) << 13);
  if (pde & reserved) return fault(linear, access, ERROR_PRESENT | ERROR_RESERVED);
  if (!isAllowed(<i64>pde & (RW | US), access)) return fault(linear, access, ERROR_PRESENT);
  const bits = <i32>(access & ACCESS_WRITE ? A | D : A);
  if ((pde & bits) != bits && !setEntryBits32(slot, host, linear, pde, bits)) return retry(linear, access);
  pageShift = 22;
  setGlobal(<i64>pde);
  return (<i64>pde & 0xffc00000) | (<i64>((pde >> 13) & 0xff) << 32) | (linear & 0x3fffff);
}

function setEntryBits32(slot: i64, host: i64, linear: i64, old: i32, bits: i32): bool {
  return entryWritable(slot, linear) && updateEntry32(<usize>host, old, bits);
}

/** Reserved bits of a present page-directory-pointer entry (SDM vol. 3A, table 5-8). */
export const PDPTE_RESERVED: i64 = 0x1e6 | BEYOND_PHYSICAL | 0xfff0000000000000;

/**
 * Loads the four PDPTEs of PAE paging from the table at `cr3` (MOV to CR3, CR0, CR4; SDM vol. 3A, 5.4.1). False: a
 * reserved bit is set, nothing was loaded and the instruction is to raise #GP(0), or a VM exit is pending in
 * EXIT_REASON.
 */
export function loadPdptes(cr3: i64): bool {
  const table = cr3 & 0xffffffe0;
  for (let pass = 0; pass < 2; pass++) {
    for (let i = 0; i < 4; i++) {
      let host = table + i * 8;
      if (eptPointer() != 0) {
        host = eptTranslate(host, EPT_READ, 0, 0);
        if (host < 0) return false;
      }
      const entry = readPhysical64(host);
      if (pass) set64(PDPTE0 + i * 8, entry);
      else if (entry & P && entry & PDPTE_RESERVED) return false;
    }
  }
  return true;
}
