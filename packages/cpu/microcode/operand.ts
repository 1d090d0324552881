/** Operands of a record: registers by pointer, memory by ea(); sizes from the prefix byte. */
import { DS, SEG, SEG_SIZE, ZERO } from "../src/state/layout";
import { PREFIX_OPSIZE_SHIFT, REC_P1, REC_PREFIX, REC_SEG } from "../src/state/record";
import { cpu } from "./cpu";
import { ea, fault, readN, writeN } from "./mmu";

/** Operand size in bytes: 1, 2, 4 or 8. */
// @ts-ignore: decorator
@inline
export function operandSize(rec: usize): i32 {
  return 1 << ((<i32>load<u8>(rec + REC_PREFIX) >> PREFIX_OPSIZE_SHIFT) & 3);
}

/** A register pointer, or a segment's number, from REC_P1, REC_P2 or REC_P3. */
// @ts-ignore: decorator
@inline
export function pointer(rec: usize, field: usize): usize {
  return <usize>load<u32>(rec + field);
}

/** An r/m operand of `size` bytes, zero-extended; check `operandFault`. */
export function readRm(rec: usize, field: usize, size: i32): i64 {
  const register = pointer(rec, field);
  if (register != 0) {
    operandFault = 0;
    return readRegister(register, size);
  }
  const value = readSized(ea(rec), size);
  operandFault = fault;
  return value;
}

/** Not zero when readRm() failed. */
export let operandFault: i32 = 0;

/** Reads `size` bytes of memory, zero-extended; check `fault`. */
export function readSized(linear: i64, size: i32): i64 {
  if (size == 8) return readN<i64>(linear);
  if (size == 4) return <i64>readN<u32>(linear);
  if (size == 2) return <i64>readN<u16>(linear);
  return <i64>readN<u8>(linear);
}

export function writeSized(linear: i64, size: i32, value: i64): bool {
  if (size == 8) return writeN<i64>(linear, value);
  if (size == 4) return writeN<u32>(linear, <u32>value);
  if (size == 2) return writeN<u16>(linear, <u16>value);
  return writeN<u8>(linear, <u8>value);
}

/** Reads `size` bytes of a register, zero-extended. */
export function readRegister(register: usize, size: i32): i64 {
  if (size == 8) return load<i64>(register);
  if (size == 4) return <i64>load<u32>(register);
  if (size == 2) return <i64>load<u16>(register);
  return <i64>load<u8>(register);
}

/** Writes a register; a 32-bit write clears the upper half. */
export function writeRegister(register: usize, size: i32, value: i64): void {
  if (size == 8) store<i64>(register, value);
  else if (size == 4) store<i64>(register, value & 0xffffffff);
  else if (size == 2) store<u16>(register, <u16>value);
  else store<u8>(register, <u8>value);
}

/** Writes to an r/m operand: 16 bits to memory, `size` bytes to a register; false: pending. */
export function writeRm16(rec: usize, size: i32, value: i32): bool {
  const register = pointer(rec, REC_P1);
  if (register == 0) return writeN<u16>(ea(rec), <u16>value);
  writeRegister(register, size, <i64>(value & 0xffff));
  return true;
}

/** Segment of an implicit source operand (strings, XLAT): the override, which REC_SEG points to, or DS. */
export function sourceSegment(rec: usize): i32 {
  const base = <usize>load<u32>(rec + REC_SEG);
  return base == cpu + ZERO ? DS : <i32>((base - cpu - SEG) / SEG_SIZE);
}
