/**
 * The stack as microcode pushes to it and pops from it: a stack frame is opened on the current or on a new stack, values
 * go through it, and only commitStack() moves RSP, so that a fault on the way leaves the registers alone.
 */
import { CPL, RSP, SS, STACK_MASK } from "../src/state/layout";
import { get32, get64, segAttr, segBase, segLimit, set64 } from "./cpu";
import { raiseError, VECTOR_SS } from "./event";
import { directReadHost, directWriteHost, fault, probeWrite, readAs, systemSet, userSet, writeAs } from "./mmu";
import { ATTR_UNUSABLE, in64BitMode, isCanonical } from "./mode";
import { withinLimit } from "./segmented";
import { currentSet } from "./tlb";

/** Stack pointer of the open frame. */
export let stackPointer: i64 = 0;
/** Not zero when the last pop failed. */
export let stackFault: i32 = 0;
let stackBase: i64 = 0;
let stackLimit: u32 = 0;
let stackAttr: i32 = 0;
let stackMask: i64 = -1;
let stackSet: usize = 0;
let flat: bool = false;
/** Error code of the #SS that this stack raises. */
let stackError: i32 = 0;

/** Opens a frame on the current stack; `error` goes with its #SS. */
export function openStack(error: i32 = 0): void {
  stackPointer = get64(RSP);
  stackBase = segBase(SS);
  stackLimit = segLimit(SS);
  stackAttr = segAttr(SS);
  stackMask = get64(STACK_MASK);
  stackSet = currentSet();
  flat = in64BitMode();
  stackError = error;
}

/** Opens a frame on another legacy stack, accessed with the privilege `cpl`; `error` goes with its #SS. */
export function openNewStack(base: i64, limit: u32, attr: i32, pointer: i64, cpl: i32, error: i32): void {
  stackPointer = pointer;
  stackBase = base;
  stackLimit = limit;
  stackAttr = attr;
  stackMask = attr & 0x4000 ? 0xffffffff : 0xffff;
  stackSet = cpl == 3 ? userSet() : systemSet();
  flat = false;
  stackError = error;
}

/** Opens a frame on a 64-bit stack. */
export function openStack64(pointer: i64, cpl: i32, error: i32): void {
  stackPointer = pointer;
  stackMask = -1;
  stackSet = cpl == 3 ? userSet() : cpl == get32(CPL) ? currentSet() : systemSet();
  flat = true;
  stackError = error;
}

/** Linear address of `size` bytes at `offset` of the open stack; sets stackFault. */
function stackLinear(offset: i64, size: i32): i64 {
  stackFault = 0;
  if (flat) {
    if (isCanonical(offset) && isCanonical(offset + size - 1)) return offset;
  } else if (!(stackAttr & ATTR_UNUSABLE) && withinLimit(<u32>offset, size, stackLimit, stackAttr)) {
    return (stackBase + offset) & 0xffffffff;
  }
  stackFault = 1;
  raiseError(VECTOR_SS, stackError);
  return 0;
}

/** Linear address of a whole frame at `offset` of the open stack, or -1 where its elements might not lie one after the other within the limit. */
// @ts-ignore: decorator
@inline
function frameLinear(offset: i64, bytes: i32): i64 {
  // The TLB has canonical addresses alone.
  if (flat) return offset;
  const whole = !(stackAttr & ATTR_UNUSABLE) && <u64>offset + bytes - 1 <= <u64>stackMask && withinLimit(<u32>offset, bytes, stackLimit, stackAttr);
  return whole ? (stackBase + offset) & 0xffffffff : -1;
}

/**
 * Host address of the `bytes` on top of the open stack, which the caller reads and skips, or 0: they must be popped one by one.
 * That is so wherever one of them might fault or is out of the ordinary.
 */
export function frameAbove(bytes: i32): usize {
  const linear = frameLinear(stackPointer & stackMask, bytes);
  return linear == -1 ? 0 : directReadHost(stackSet, linear, bytes);
}

/** The same for `bytes` below the top, to be written and taken by skip(-bytes). */
export function frameBelow(bytes: i32): usize {
  const linear = frameLinear((stackPointer - bytes) & stackMask, bytes);
  return linear == -1 ? 0 : directWriteHost(stackSet, linear, bytes);
}

/** Pushes `size` (2, 4 or 8) bytes; false: an event is pending. */
export function push(size: i32, value: i64): bool {
  const offset = (stackPointer - size) & stackMask;
  const address = stackLinear(offset, size);
  if (stackFault) return false;
  const done =
    size == 2
      ? writeAs<u16>(stackSet, address, <u16>value)
      : size == 4
        ? writeAs<u32>(stackSet, address, <u32>value)
        : writeAs<i64>(stackSet, address, value);
  if (done) stackPointer = (stackPointer & ~stackMask) | offset;
  else stackFault = 1;
  return done;
}

/** Reads `size` bytes `skip` bytes above the frame's stack pointer, zero-extended; check stackFault. */
export function peek(size: i32, skip: i64): i64 {
  const address = stackLinear((stackPointer + skip) & stackMask, size);
  if (stackFault) return 0;
  let value: i64 = 0;
  if (size == 2) value = <i64>readAs<u16>(stackSet, address);
  else if (size == 4) value = <i64>readAs<u32>(stackSet, address);
  else value = readAs<i64>(stackSet, address);
  stackFault = fault;
  return value;
}

/** Whether `count` elements can be pushed within the stack segment; false: #SS is pending. */
export function hasRoom(count: i32, size: i32): bool {
  for (let i = 1; i <= count; i++) {
    stackLinear((stackPointer - i * size) & stackMask, size);
    if (stackFault) return false;
  }
  return true;
}

/** Whether `size` bytes at the frame's stack pointer can be written; false: an event is pending. */
export function probeTop(size: i32): bool {
  const address = stackLinear(stackPointer & stackMask, size);
  if (stackFault) return false;
  stackFault = i32(!probeWrite(stackSet, address, size));
  return stackFault == 0;
}

/** Pops `size` bytes, zero-extended; check stackFault. */
export function pop(size: i32): i64 {
  const value = peek(size, 0);
  if (!stackFault) skip(size);
  return value;
}

/** Moves the frame's stack pointer up. */
export function skip(bytes: i64): void {
  stackPointer = (stackPointer & ~stackMask) | ((stackPointer + bytes) & stackMask);
}

/** RSP takes the frame's stack pointer. */
export function commitStack(): void {
  set64(RSP, stackMask == 0xffffffff ? stackPointer & 0xffffffff : stackPointer);
}

/** Sets the part of RSP that the current stack's size covers. */
export function setStackPointer(value: i64): void {
  const mask = get64(STACK_MASK);
  set64(RSP, mask == 0xffff ? (get64(RSP) & ~mask) | (value & mask) : value & mask);
}

export function push16(value: i32): bool {
  openStack();
  if (!push(2, <i64>value)) return false;
  commitStack();
  return true;
}

export function push32(value: i32): bool {
  openStack();
  if (!push(4, <i64>value)) return false;
  commitStack();
  return true;
}

export function push64(value: i64): bool {
  openStack();
  if (!push(8, value)) return false;
  commitStack();
  return true;
}

/** Pops two bytes and moves RSP; check stackFault. */
export function pop16(): i32 {
  openStack();
  const value = pop(2);
  if (!stackFault) commitStack();
  return <i32>value;
}

export function pop32(): i32 {
  openStack();
  const value = pop(4);
  if (!stackFault) commitStack();
  return <i32>value;
}

export function pop64(): i64 {
  openStack();
  const value = pop(8);
  if (!stackFault) commitStack();
  return value;
}
