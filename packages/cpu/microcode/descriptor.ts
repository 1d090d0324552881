/** Segment and gate descriptors in the GDT and LDT (SDM vol. 3A, 3.4.5, 3.5, 6.8.3). */
import { GDTR_BASE, GDTR_LIMIT, LDTR, SS } from "../src/state/layout";
import { get32, get64, segAttr, segBase, segLimit, setSeg } from "./cpu";
import { raiseError } from "./event";
import { fault, readSystem, writeSystem } from "./mmu";
import { ATTR_DPL_SHIFT, ATTR_UNUSABLE } from "./mode";

/** Types of system descriptors. */
export const TYPE_TSS16_AVAILABLE = 1;
export const TYPE_LDT = 2;
export const TYPE_TSS16_BUSY = 3;
export const TYPE_CALL_GATE16 = 4;
export const TYPE_TASK_GATE = 5;
export const TYPE_INTERRUPT_GATE16 = 6;
export const TYPE_TRAP_GATE16 = 7;
export const TYPE_TSS_AVAILABLE = 9;
export const TYPE_TSS_BUSY = 11;
export const TYPE_CALL_GATE = 12;
export const TYPE_INTERRUPT_GATE = 14;
export const TYPE_TRAP_GATE = 15;

/** The descriptor that readDescriptor() read last: both halves of its first eight bytes, and its linear address. */
export let descLow: i32 = 0;
export let descHigh: i32 = 0;
export let descAddress: i64 = 0;

// @ts-ignore: decorator
@inline
export function isNull(selector: i32): bool {
  return (selector & 0xfffc) == 0;
}

/** Linear address of the selector's descriptor, or -1 when `size` bytes of it do not lie within the table. */
function descriptorAddress(selector: i32, size: i32): i64 {
  const offset = selector & 0xfff8;
  if (selector & 4) {
    if (segAttr(LDTR) & ATTR_UNUSABLE || <u32>(offset + size - 1) > segLimit(LDTR)) return -1;
    return segBase(LDTR) + offset;
  }
  return <u32>(offset + size - 1) > <u32>get32(GDTR_LIMIT) ? -1 : get64(GDTR_BASE) + offset;
}

/**
 * Reads the descriptor of a selector. False: it lies outside its table, and `vector`(selector) is pending, or the
 * table could not be read.
 */
export function readDescriptor(selector: i32, vector: i32, external: i32 = 0): bool {
  const address = descriptorAddress(selector, 8);
  if (address == -1) {
    raiseError(vector, (selector & 0xfffc) | external);
    return false;
  }
  return readDescriptorAt(address);
}

/** The same without a fault for a selector outside the table: 1 read, 0 outside, -1 pending. */
export function tryDescriptor(selector: i32): i32 {
  const address = descriptorAddress(selector, 8);
  if (address == -1) return 0;
  return readDescriptorAt(address) ? 1 : -1;
}

/** Reads eight bytes at a linear address as a descriptor. */
export function readDescriptorAt(address: i64): bool {
  const value = readSystem<i64>(address);
  if (fault) return false;
  descLow = <i32>value;
  descHigh = <i32>(value >> 32);
  descAddress = address;
  return true;
}

/** Makes a descriptor that was read before the one that the functions below look at. */
export function useDescriptor(low: i32, high: i32, address: i64): void {
  descLow = low;
  descHigh = high;
  descAddress = address;
}

/** Bits 63:32 of a 16-byte system descriptor's base or offset; outside its table or malformed: `vector`(selector). */
export function readUpperHalf(selector: i32, vector: i32): i64 {
  if (descriptorAddress(selector, 16) == -1) {
    raiseError(vector, selector & 0xfffc);
    upperFault = 1;
    return 0;
  }
  const value = readSystem<i64>(descAddress + 8);
  upperFault = fault;
  if (fault) return 0;
  // The type field of the second half must be zero (SDM vol. 3A, 6.8.3.1).
  if (<i32>(value >> 40) & 0x1f) {
    raiseError(vector, selector & 0xfffc);
    upperFault = 1;
  }
  return value << 32;
}

/** Not zero when readUpperHalf() failed. */
export let upperFault: i32 = 0;

// ---- fields of the descriptor read last

export function descBase(): i64 {
  return <i64>(<u32>((descLow >>> 16) | ((descHigh & 0xff) << 16) | (descHigh & 0xff000000)));
}

export function descLimit(): u32 {
  const limit = (descLow & 0xffff) | (descHigh & 0xf0000);
  return <u32>(descHigh & 0x800000 ? (limit << 12) | 0xfff : limit);
}

/** Access rights in the VMCS's format. */
export function descAttr(): i32 {
  return (descHigh >> 8) & 0xf0ff;
}

// @ts-ignore: decorator
@inline
export function descType(): i32 {
  return (descHigh >> 8) & 0xf;
}

// @ts-ignore: decorator
@inline
export function descDpl(): i32 {
  return (descHigh >> 13) & 3;
}

// @ts-ignore: decorator
@inline
export function descIsSegment(): bool {
  return (descHigh & 0x1000) != 0;
}

// @ts-ignore: decorator
@inline
export function descPresent(): bool {
  return (descHigh & 0x8000) != 0;
}

/** Type and S in one: 0x10 | type for code and data. */
// @ts-ignore: decorator
@inline
export function descKind(): i32 {
  return (descHigh >> 8) & 0x1f;
}

export function descIsCode(): bool {
  return (descKind() & 0x18) == 0x18;
}

export function descIsConforming(): bool {
  return (descKind() & 0x1c) == 0x1c;
}

export function descIsWritableData(): bool {
  return (descKind() & 0x1a) == 0x12;
}

/** L of a code segment. */
export function descIsLong(): bool {
  return (descHigh & 0x200000) != 0;
}

/** D of a code segment, B of a data segment. */
export function descIsBig(): bool {
  return (descHigh & 0x400000) != 0;
}

/** Sets the accessed bit in memory if it is clear; false: pending. */
export function setAccessed(): bool {
  if (!descIsSegment() || descHigh & 0x100) return true;
  if (!writeSystem<u8>(descAddress + 5, <u8>((descHigh >> 8) | 1))) return false;
  descHigh |= 0x100;
  return true;
}

/** Sets or clears the busy bit of the TSS descriptor at a linear address. */
export function setBusy(address: i64, busy: bool): bool {
  const type = readSystem<u8>(address + 5);
  if (fault) return false;
  return writeSystem<u8>(address + 5, <u8>(busy ? type | 2 : type & ~2));
}

/** Loads a segment register from the descriptor read last. */
export function loadFromDescriptor(seg: i32, selector: i32): void {
  setSeg(seg, selector, descBase(), descLimit(), descAttr() | (descIsSegment() ? 1 : 0));
}

/** Loads a segment register with a null selector. */
export function loadNull(seg: i32, selector: i32): void {
  // The DPL of SS is the CPL, also while SS is unusable (SDM vol. 3C, 25.4.1).
  const dpl = seg == SS ? (selector & 3) << ATTR_DPL_SHIFT : 0;
  setSeg(seg, selector, 0, 0, ATTR_UNUSABLE | dpl);
}
