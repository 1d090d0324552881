/** The MSR areas of VM entry and exit: entries of 16 bytes (SDM vol. 3C, 25.7.2, 25.8.2). */
import { MSR_FS_BASE, MSR_GS_BASE } from "../../../kvm-run/src/vmx/msrs";
import { isRam } from "../memory";
import { msrValue, readMsr, writeMsr } from "../system/msr";

const ENTRY_SIZE: i64 = 16;

/** Stores guest MSRs at a VM exit; false: an entry cannot be stored. */
export function storeMsrs(address: i64, count: i32): bool {
  for (let i = 0; i < count; i++) {
    const entry = address + <i64>i * ENTRY_SIZE;
    if (!isRam(entry) || load<u32>(<usize>entry, 4) != 0) return false;
    if (isX2apic(load<u32>(<usize>entry)) || !readMsr(load<u32>(<usize>entry))) return false;
    store<i64>(<usize>entry, msrValue, 8);
  }
  return true;
}

/**
 * Loads MSRs at a VM entry or exit (27.4, 28.6); returns 0, or the number of the first entry that cannot be loaded,
 * counting from 1.
 */
export function loadMsrs(address: i64, count: i32, entry: bool): i32 {
  for (let i = 0; i < count; i++) {
    const at = address + <i64>i * ENTRY_SIZE;
    if (!isRam(at) || load<u32>(<usize>at, 4) != 0) return i + 1;
    const index = load<u32>(<usize>at);
    if (index == <u32>MSR_FS_BASE || index == <u32>MSR_GS_BASE || isX2apic(index)) return i + 1;
    if (!writeMsr(index, load<i64>(<usize>at, 8), entry)) return i + 1;
  }
  return 0;
}

function isX2apic(index: u32): bool {
  return index >> 8 == 8;
}
