/** Host physical memory as the walks of page tables see it. */
import { HOST_PAGES, PAGE_FLAGS, PHYSICAL_BITS } from "../src/state/layout";
import { cpu } from "./cpu";
import { invalidateCode } from "./code";

/** Address bits 51:12 of a paging-structure entry. */
export const ENTRY_ADDRESS: i64 = 0x000ffffffffff000;
/** Physical-address bits that an entry must leave clear. */
export const BEYOND_PHYSICAL: i64 = ENTRY_ADDRESS & ~((<i64>1 << PHYSICAL_BITS) - 1);

/** Pages at the start of host memory that are nobody's (packages/kvm-run, HostMemory): the microcode's constants are there. */
const RESERVED_PAGES: u64 = 16;

/** True when the host physical address is RAM; elsewhere reads give ones and writes are ignored. */
// @ts-ignore: decorator
@inline
export function isRam(address: i64): bool {
  return (<u64>address >> 12) - RESERVED_PAGES < <u64>load<u32>(cpu + HOST_PAGES) - RESERVED_PAGES;
}

// @ts-ignore: decorator
@inline
export function readPhysical64(address: i64): i64 {
  return isRam(address) ? load<i64>(<usize>address) : -1;
}

// @ts-ignore: decorator
@inline
export function readPhysical32(address: i64): i32 {
  return isRam(address) ? load<i32>(<usize>address) : -1;
}

/** True when processors hold translated code of the host page. */
// @ts-ignore: decorator
@inline
export function hasCode(host: usize): bool {
  return load<u8>(<usize>load<u32>(cpu + PAGE_FLAGS) + (host >> 12)) != 0;
}

/**
 * Sets bits in a paging-structure entry that still reads `old`; false when another processor changed it meanwhile
 * (SDM vol. 3A, 5.8: accessed and dirty flags are set with locked updates).
 */
export function updateEntry64(host: usize, old: i64, bits: i64): bool {
  if (atomic.cmpxchg<i64>(host, old, old | bits) != old) return false;
  if (hasCode(host)) invalidateCode(host, 8);
  return true;
}

export function updateEntry32(host: usize, old: i32, bits: i32): bool {
  if (atomic.cmpxchg<i32>(host, old, old | bits) != old) return false;
  if (hasCode(host)) invalidateCode(host, 4);
  return true;
}
