/** What all far transfers share: checks on the new code segment, stacks of inner privilege levels, loading CS and SS. */
import { CS, RIP, SS, ST_FAULT, ST_NEXT, TR } from "../src/state/layout";
import { segAttr, segBase, segLimit, segSelector, set64, setSeg } from "./cpu";
import {
  descAddress, descDpl, descHigh, descIsBig, descIsCode, descIsConforming, descIsLong, descIsWritableData, descLimit, descLow,
  descPresent, isNull, loadFromDescriptor, readDescriptor, setAccessed, useDescriptor,
} from "./descriptor";
import { gpSelector, npSelector, raiseError, VECTOR_GP, VECTOR_NP, VECTOR_SS, VECTOR_TS } from "./event";
import { fault, readSystem } from "./mmu";
import { ATTR_DPL_SHIFT, ATTR_UNUSABLE, currentPrivilege, inLongMode, isCanonical } from "./mode";

// ---- a code descriptor put aside while a stack segment's is read
let savedLow: i32 = 0;
let savedHigh: i32 = 0;
let savedAddress: i64 = 0;

export function saveDescriptor(): void {
  savedLow = descLow;
  savedHigh = descHigh;
  savedAddress = descAddress;
}

export function restoreDescriptor(): void {
  useDescriptor(savedLow, savedHigh, savedAddress);
}

/** Is the descriptor read last a 64-bit code segment? */
// @ts-ignore: decorator
@inline
export function targetIs64(): bool {
  return inLongMode() && descIsLong();
}

/** Can control go to `offset` of the code segment read last? Else #GP(`error`) is pending. */
export function checkOffset(offset: i64, error: i32): bool {
  const good = targetIs64() ? isCanonical(offset) : <u64>offset <= <u64>descLimit();
  if (!good) raiseError(VECTOR_GP, error);
  return good;
}

/**
 * A code segment as the target of a jump or a call without a gate, read into the descriptor: ST_NEXT or ST_FAULT
 * (SDM vol. 2, JMP and CALL).
 */
export function checkDirectCode(selector: i32): i32 {
  const cpl = currentPrivilege();
  if (inLongMode() && descIsLong() && descIsBig()) return gpSelector(selector);
  if (descIsConforming()) {
    if (descDpl() > cpl) return gpSelector(selector);
  } else if ((selector & 3) > cpl || descDpl() != cpl) return gpSelector(selector);
  return descPresent() ? ST_NEXT : npSelector(selector);
}

/**
 * The code segment that a gate names, read and checked; `external` is or-ed to error codes, and a `jump` does not change
 * the privilege level. ST_NEXT or ST_FAULT.
 */
export function readGateCode(selector: i32, external: i32, jump: bool = false): i32 {
  if (isNull(selector)) return raiseError(VECTOR_GP, external);
  if (!readDescriptor(selector, VECTOR_GP, external)) return ST_FAULT;
  const error = (selector & 0xfffc) | external;
  if (!descIsCode() || descDpl() > currentPrivilege()) return raiseError(VECTOR_GP, error);
  if (jump && !descIsConforming() && descDpl() != currentPrivilege()) return raiseError(VECTOR_GP, error);
  // Gates of long mode lead to 64-bit code only.
  if (inLongMode() && (!descIsLong() || descIsBig())) return raiseError(VECTOR_GP, error);
  return descPresent() ? ST_NEXT : raiseError(VECTOR_NP, error);
}

/** Loads CS from the descriptor read last and goes to `offset`; the RPL of CS becomes `cpl`. The caller updates the mode. */
export function enterCode(selector: i32, offset: i64, cpl: i32): void {
  loadFromDescriptor(CS, (selector & ~3) | cpl);
  set64(RIP, offset);
}

// ---- the stack of an inner privilege level, from the TSS

export let newStackSelector: i32 = 0;
export let newStackPointer: i64 = 0;

/**
 * Reads SS and ESP of privilege level `dpl` from a 32- or 16-bit TSS and checks the stack segment, which is left as the
 * descriptor read last (SDM vol. 3A, 7.12.1). The code descriptor must have been saved. ST_NEXT or ST_FAULT.
 */
export function readInnerStack(dpl: i32, external: i32): i32 {
  const wide = (segAttr(TR) & 8) != 0;
  const offset = wide ? 4 + dpl * 8 : 2 + dpl * 4;
  const last = offset + (wide ? 5 : 3);
  if (<u32>last > segLimit(TR)) return raiseError(VECTOR_TS, (segSelector(TR) & 0xfffc) | external);
  const base = segBase(TR) + offset;
  newStackPointer = wide ? <i64>readSystem<u32>(base) : <i64>readSystem<u16>(base);
  if (fault) return ST_FAULT;
  newStackSelector = <i32>readSystem<u16>(base + (wide ? 4 : 2));
  if (fault) return ST_FAULT;
  return checkInnerStack(newStackSelector, dpl, external);
}

function checkInnerStack(selector: i32, dpl: i32, external: i32): i32 {
  const error = (selector & 0xfffc) | external;
  if (isNull(selector)) return raiseError(VECTOR_TS, external);
  if (!readDescriptor(selector, VECTOR_TS, external)) return ST_FAULT;
  if ((selector & 3) != dpl || descDpl() != dpl || !descIsWritableData()) return raiseError(VECTOR_TS, error);
  if (!descPresent()) return raiseError(VECTOR_SS, error);
  return setAccessed() ? ST_NEXT : ST_FAULT;
}

/** Reads a 64-bit stack pointer from the TSS: `offset` 4 + 8 * CPL, or 0x1c + 8 * IST. ST_NEXT or ST_FAULT. */
export function readInnerStack64(offset: i32, external: i32): i32 {
  if (<u32>(offset + 7) > segLimit(TR)) return raiseError(VECTOR_TS, (segSelector(TR) & 0xfffc) | external);
  newStackPointer = readSystem<i64>(segBase(TR) + offset);
  if (fault) return ST_FAULT;
  return isCanonical(newStackPointer) ? ST_NEXT : raiseError(VECTOR_SS, external);
}

/** SS after a privilege change in long mode: a null selector whose RPL is the new CPL. */
export function loadNullStackFor(cpl: i32): void {
  setSeg(SS, cpl, 0, 0, ATTR_UNUSABLE | (cpl << ATTR_DPL_SHIFT));
}
