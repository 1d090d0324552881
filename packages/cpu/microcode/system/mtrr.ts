/**
 * Memory-type range registers (SDM vol. 3A, 12.11). All host memory is alike, so they are kept with their checks and
 * change nothing else.
 */
import { PHYSICAL_BITS } from "../../src/state/layout";
import { MSR_MTRR_DEF_TYPE, MSR_MTRR_FIXED, MSR_MTRR_VARIABLE, MTRR_VARIABLE_COUNT } from "../../src/state/vmx-layout";
import {
  MSR_IA32_MTRRCAP, MSR_MTRRdefType, MSR_MTRRfix16K_80000, MSR_MTRRfix16K_A0000, MSR_MTRRfix4K_C0000, MSR_MTRRfix64K_00000,
  MSR_MTRRphysBase0,
} from "../../../kvm-run/src/vmx/msrs";
import { get64, set64 } from "../cpu";

/** Variable ranges, fixed ranges (8), write combining (10). */
const MTRR_CAP: i64 = MTRR_VARIABLE_COUNT | 0x500;
/** Enable, fixed enable, type. */
const DEF_TYPE_BITS: i64 = 0xcff;
const MASK_VALID: i64 = 0x800;
const ADDRESS: i64 = ((<i64>1 << PHYSICAL_BITS) - 1) & ~0xfff;

/** Number of a fixed-range MTRR in the area's order, or -1. */
function fixedIndex(index: u32): i32 {
  if (index == MSR_MTRRfix64K_00000) return 0;
  if (index == MSR_MTRRfix16K_80000 || index == MSR_MTRRfix16K_A0000) return <i32>index - MSR_MTRRfix16K_80000 + 1;
  return index - MSR_MTRRfix4K_C0000 < 8 ? <i32>index - MSR_MTRRfix4K_C0000 + 3 : -1;
}

function offsetOf(index: u32): usize {
  if (index == MSR_MTRRdefType) return MSR_MTRR_DEF_TYPE;
  const fixed = fixedIndex(index);
  return <usize>(fixed >= 0 ? MSR_MTRR_FIXED + (fixed << 3) : MSR_MTRR_VARIABLE + ((<i32>index - MSR_MTRRphysBase0) << 3));
}

export function isMtrr(index: u32): bool {
  return index == MSR_IA32_MTRRCAP || index == MSR_MTRRdefType || fixedIndex(index) >= 0 ||
    (index - MSR_MTRRphysBase0 < <u32>(MTRR_VARIABLE_COUNT * 2));
}

export function readMtrr(index: u32): i64 {
  return index == MSR_IA32_MTRRCAP ? MTRR_CAP : get64(offsetOf(index));
}

/** UC, WC, WT, WP, WB. */
function isType(type: i32): bool {
  return type == 0 || type == 1 || (type >= 4 && type <= 6);
}

export function writeMtrr(index: u32, value: i64): bool {
  if (index == MSR_IA32_MTRRCAP || !accepts(index, value)) return false;
  set64(offsetOf(index), value);
  return true;
}

function accepts(index: u32, value: i64): bool {
  if (index == MSR_MTRRdefType) return !(value & ~DEF_TYPE_BITS) && isType(<i32>value & 0xff);
  if (fixedIndex(index) >= 0) {
    for (let i = 0; i < 8; i++) if (!isType(<i32>(value >> (i << 3)) & 0xff)) return false;
    return true;
  }
  if (index & 1) return !(value & ~(ADDRESS | MASK_VALID));
  return !(value & ~(ADDRESS | 0xff)) && isType(<i32>value & 0xff);
}
