/** Typed loads and stores at linear addresses. */
import { TLB_READ, TLB_WRITE } from "../src/state/layout";
import { REC_BASE, REC_DISP, REC_INDEX_REG, REC_SCALE, REC_SEG } from "../src/state/record";
import { setProbing } from "./breakpoint";
import { currentSet, readMissIn, systemSet, writeCommit, writeMissIn } from "./tlb";
import { slotOffset } from "./tlb-entries";

/** Not zero when the last read failed: an event or VM exit is pending. */
export let fault: i32 = 0;

/** Linear address of the record's memory operand. */
// @ts-ignore: decorator
@inline
export function ea(rec: usize): i64 {
  return (
    load<i64>(<usize>load<u32>(rec + REC_SEG)) +
    load<i64>(<usize>load<u32>(rec + REC_BASE)) +
    (load<i64>(<usize>load<u32>(rec + REC_INDEX_REG)) << <i64>load<u8>(rec + REC_SCALE)) +
    load<i64>(rec + REC_DISP)
  );
}

/** Host address for a read through the given TLB set, or 0. */
// @ts-ignore: decorator
@inline
export function readHost(set: usize, linear: i64, size: i32): usize {
  const direct = directReadHost(set, linear, size);
  return direct != 0 ? direct : readMissIn(set, linear, size);
}

/** Host address for a read through the given TLB set when the read table has it, or 0. */
// @ts-ignore: decorator
@inline
export function directReadHost(set: usize, linear: i64, size: i32): usize {
  const entry = set + TLB_READ + slotOffset(linear);
  if (load<i64>(entry) == ((linear + size - 1) & ~0xfff)) return <usize>(<u32>linear + load<u32>(entry, 8));
  return 0;
}

/** Host address for a write through the given TLB set when the write table has it, or 0. */
// @ts-ignore: decorator
@inline
export function directWriteHost(set: usize, linear: i64, size: i32): usize {
  const entry = set + TLB_WRITE + slotOffset(linear);
  if (load<i64>(entry) == ((linear + size - 1) & ~0xfff)) return <usize>(<u32>linear + load<u32>(entry, 8));
  return 0;
}

/** Reads through a TLB set; check `fault`. */
export function readAs<T>(set: usize, linear: i64): T {
  const host = readHost(set, linear, sizeof<T>());
  fault = i32(host == 0);
  return host == 0 ? <T>0 : load<T>(host);
}

/** Writes through a TLB set; false: pending. */
export function writeAs<T>(set: usize, linear: i64, value: T): bool {
  const direct = directWriteHost(set, linear, sizeof<T>());
  if (direct != 0) {
    store<T>(direct, value);
    return true;
  }
  const host = writeMissIn(set, linear, sizeof<T>());
  if (host == 0) return false;
  store<T>(host, value);
  writeCommit();
  return true;
}

/** Reads as the current instruction does; check `fault` afterwards. */
// @ts-ignore: decorator
@inline
export function readN<T>(linear: i64): T {
  return readAs<T>(currentSet(), linear);
}

/** Writes as the current instruction does; false: an event or VM exit is pending. */
// @ts-ignore: decorator
@inline
export function writeN<T>(linear: i64, value: T): bool {
  return writeAs<T>(currentSet(), linear, value);
}

/** Reads as an implicit supervisor access (descriptor tables, TSS); check `fault`. */
// @ts-ignore: decorator
@inline
export function readSystem<T>(linear: i64): T {
  return readAs<T>(systemSet(), linear);
}

/** Writes as an implicit supervisor access; false: pending. */
// @ts-ignore: decorator
@inline
export function writeSystem<T>(linear: i64, value: T): bool {
  return writeAs<T>(systemSet(), linear, value);
}

/** Makes sure that [linear, linear + size), within a page, can be read: checks rights and maps it. */
export function probeRead(set: usize, linear: i64, size: i32): bool {
  setProbing(true);
  const host = readHost(set, linear, size);
  setProbing(false);
  return host != 0;
}

/** Makes sure that [linear, linear + size) can be written, without writing: checks rights and maps it. */
export function probeWrite(set: usize, linear: i64, size: i32): bool {
  if (directWriteHost(set, linear, size) != 0) return true;
  setProbing(true);
  const host = writeMissIn(set, linear, size);
  setProbing(false);
  return host != 0;
}
