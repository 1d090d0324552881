/** What the VM-entry checks share: recording the check that failed, and predicates on values. */
import { PHYSICAL_BITS } from "../../src/state/layout";
import { ENTRY_CHECK, ENTRY_CHECK_FIELDS } from "../../src/state/vmx-layout";
import { cpu, set32 } from "../cpu";
import { isCanonical } from "../mode";
import { read64 } from "./vmcs";

const BEYOND: i64 = ~((<i64>1 << PHYSICAL_BITS) - 1);
const PAGE_OFFSET: i64 = 0xfff;

/** Notes the check and the fields that it looked at; returns its number. */
export function failed(check: i32, field1: i32, field2: i32 = -1, field3: i32 = -1, field4: i32 = -1): i32 {
  set32(ENTRY_CHECK, check);
  const fields = cpu + ENTRY_CHECK_FIELDS;
  store<i32>(fields, field1);
  store<i32>(fields, field2, 4);
  store<i32>(fields, field3, 8);
  store<i32>(fields, field4, 12);
  return check;
}

/** Bits beyond the physical-address width. */
// @ts-ignore: decorator
@inline
export function beyondPhysical(address: i64): bool {
  return (address & BEYOND) != 0;
}

/** The field is no address of a page. */
export function badPage(vmcs: usize, field: i32): bool {
  const address = read64(vmcs, field);
  return (address & PAGE_OFFSET) != 0 || beyondPhysical(address);
}

/** The MSR area is misaligned or leaves the physical-address width. */
export function badArea(address: i64, count: u32): bool {
  if (count == 0) return false;
  return (address & 15) != 0 || beyondPhysical(address) || beyondPhysical(address + (<i64>count << 4) - 1);
}

/** Not canonical. */
// @ts-ignore: decorator
@inline
export function wild(address: i64): bool {
  return !isCanonical(address);
}

/** A byte of IA32_PAT is none of UC, WC, WT, WP, WB, UC-. */
export function badPat(pat: i64): bool {
  for (let i = 0; i < 8; i++) {
    const type = <i32>(pat >> (i << 3)) & 0xff;
    if (type > 7 || type == 2 || type == 3) return true;
  }
  return false;
}
