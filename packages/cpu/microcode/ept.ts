/**
 * Extended page tables (SDM vol. 3C, 30.3): guest-physical to host-physical addresses, with a small cache of
 * guest-physical mappings. VM entry and exit set the EPT pointer (VMX_EPTP).
 */
import { EPT_CACHE, EPT_CACHE_ENTRIES } from "../src/state/layout";
import { NMI_UNBLOCKED, VMX_EPTP } from "../src/state/vmx-layout";
import { cpu, get32, set64 } from "./cpu";
import { raiseExit } from "./event";
import { flushWalkCache } from "./paging";
import { BEYOND_PHYSICAL, ENTRY_ADDRESS, isRam, updateEntry64 } from "./memory";

export const EPT_READ = 1;
export const EPT_WRITE = 2;
export const EPT_EXECUTE = 4;
/** Exit-qualification bits 7 and 8: the linear address is valid; the access is to its translation, not to a table. */
export const EPT_LINEAR = 0x80;
export const EPT_FINAL = 0x100;
const UNBLOCKED = 0x1000;

export const EXIT_EPT_VIOLATION = 48;
export const EXIT_EPT_MISCONFIG = 49;

const ACCESSED: i64 = 0x100;
const DIRTY: i64 = 0x200;
const LARGE: i64 = 0x80;
const EPTP_AD: i64 = 0x40;
/** Low bit of a cache tag, beside the rights: the dirty flag needs no update. */
const CACHED_DIRTY = 8;

/** The EPT pointer whose mappings are cached. */
let cachedPointer: i64 = 0;

/** The EPT pointer while the processor runs a guest with EPT, else 0. */
// @ts-ignore: decorator
@inline
export function eptPointer(): i64 {
  return load<i64>(cpu + VMX_EPTP);
}

/** Sets the EPT pointer (0: guest-physical addresses are host-physical). */
export function setEptPointer(eptp: i64): void {
  set64(VMX_EPTP, eptp);
}

/** Forgets guest-physical mappings (INVEPT). The combined mappings of the TLB are flushed by flushTlb(). */
export function flushEptCache(): void {
  flushWalkCache();
  memory.fill(cpu + EPT_CACHE, 0xff, EPT_CACHE_ENTRIES * 16);
}

/** True when the processor's accesses to guest paging structures count as writes. */
// @ts-ignore: decorator
@inline
export function eptAccessedDirty(): bool {
  return (eptPointer() & EPTP_AD) != 0;
}

/**
 * Host-physical address of a guest-physical one, or -1 with the VM exit pending. `access` is EPT_READ | EPT_WRITE |
 * EPT_EXECUTE; `kind` the bits 7 and 8 of the exit qualification; `linear` what the exit reports as linear address.
 */
export function eptTranslate(gpa: i64, access: i32, linear: i64, kind: i32): i64 {
  if (eptPointer() != cachedPointer) {
    flushEptCache();
    cachedPointer = eptPointer();
  }
  const cached = cpu + EPT_CACHE + ((<usize>(gpa >> 12) & (EPT_CACHE_ENTRIES - 1)) << 4);
  const tag = load<i64>(cached);
  const need = access & EPT_WRITE ? access | CACHED_DIRTY : access;
  if ((tag & ~0xfff) == (gpa & ~0xfff) && (<i32>tag & need) == need) return load<i64>(cached, 8) | (gpa & 0xfff);
  return walkEpt(gpa, access, linear, kind, cached);
}

function walkEpt(gpa: i64, access: i32, linear: i64, kind: i32, cached: usize): i64 {
  const track = eptAccessedDirty();
  let rights = EPT_READ | EPT_WRITE | EPT_EXECUTE;
  let table = eptPointer() & ENTRY_ADDRESS;
  if (<u64>gpa >> 48 != 0) return violation(gpa, access, 0, linear, kind);
  let shift = 39;
  while (true) {
    const slot = table + ((<i64>(<u64>gpa >> shift) & 511) << 3);
    if (!isRam(slot)) return misconfiguration(gpa);
    const host = <usize>slot;
    const entry = atomic.load<i64>(host);
    if ((entry & 7) == 0) return violation(gpa, access, 0, linear, kind);
    const leaf = shift == 12 || (entry & LARGE) != 0;
    if (isMisconfigured(entry, shift, leaf)) return misconfiguration(gpa);
    rights &= <i32>entry & 7;
    if (leaf) {
      if ((rights & access) != access) return violation(gpa, access, rights, linear, kind);
      let flags: i64 = 0;
      if (track) flags = access & EPT_WRITE ? ACCESSED | DIRTY : ACCESSED;
      // Another processor changed the entry under us: walk again.
      if ((entry & flags) != flags && !updateEntry64(host, entry, flags)) return walkEpt(gpa, access, linear, kind, cached);
      const mask = (<i64>1 << shift) - 1;
      const hpa = (entry & ENTRY_ADDRESS & ~mask) | (gpa & mask);
      const clean = track && !(access & EPT_WRITE) && !(entry & DIRTY);
      store<i64>(cached, (gpa & ~0xfff) | <i64>(rights | (clean ? 0 : CACHED_DIRTY)));
      store<i64>(cached, hpa & ~0xfff, 8);
      return hpa;
    }
    if (track && !(entry & ACCESSED) && !updateEntry64(host, entry, ACCESSED)) continue;
    table = entry & ENTRY_ADDRESS;
    shift -= 9;
  }
}

/** SDM vol. 3C, 30.3.3.1: settings of a present entry that no processor accepts. */
function isMisconfigured(entry: i64, shift: i32, leaf: bool): bool {
  // Writable but not readable; execute-only entries are supported (IA32_VMX_EPT_VPID_CAP bit 0).
  if ((entry & 3) == 2) return true;
  if (entry & BEYOND_PHYSICAL) return true;
  if (!leaf) return (entry & (shift == 39 ? 0xf8 : 0x78)) != 0;
  if (shift == 39) return true;
  if (entry & ENTRY_ADDRESS & ((<i64>1 << shift) - 1)) return true;
  const type = <i32>(entry >> 3) & 7;
  return type == 2 || type == 3 || type == 7;
}

function violation(gpa: i64, access: i32, rights: i32, linear: i64, kind: i32): i64 {
  let qualification = access | (rights << 3) | kind;
  // SDM vol. 3C, 28.2.3: an IRET had removed blocking by NMI before it faulted.
  if (get32(NMI_UNBLOCKED)) qualification |= UNBLOCKED;
  raiseExit(EXIT_EPT_VIOLATION, <i64>qualification, gpa, linear);
  return -1;
}

function misconfiguration(gpa: i64): i64 {
  raiseExit(EXIT_EPT_MISCONFIG, 0, gpa, 0);
  return -1;
}
