/** Far JMP, CALL and RET (SDM vol. 2; vol. 3A, 6.8). */
import { CS, EA, NEXT_RIP, RIP, RSP, SS, ST_DISPATCH, ST_FAULT, ST_NEXT } from "../src/state/layout";
import { REC_BASE, REC_IMM } from "../src/state/record";
import { cpu, get64, segLimit, segSelector, set64, setSeg } from "./cpu";
import {
  checkDirectCode, checkOffset, enterCode, loadNullStackFor, newStackPointer, newStackSelector, readGateCode, readInnerStack,
  readInnerStack64, restoreDescriptor, saveDescriptor,
} from "./code-segment";
import {
  descAttr, descBase, descDpl, descHigh, descIsCode, descIsConforming, descIsSegment, descKind, descLimit, descLow, descPresent, isNull,
  readDescriptor, readUpperHalf, setAccessed, TYPE_CALL_GATE, TYPE_CALL_GATE16, TYPE_TASK_GATE, TYPE_TSS16_AVAILABLE, TYPE_TSS_AVAILABLE,
  upperFault,
} from "./descriptor";
import { gp0, gpSelector, npSelector, VECTOR_GP } from "./event";
import { readReturnCode, returnWithStack } from "./far-return";
import { getRflags } from "./flags";
import { ea, fault } from "./mmu";
import { currentPrivilege, in64BitMode, inLongMode, inRealOrV86, updateMode } from "./mode";
import { operandSize, readSized } from "./operand";
import { loadRealSegment } from "./segment";
import { commitStack, hasRoom, openNewStack, openStack, openStack64, peek, pop, push, skip, stackFault, stackPointer } from "./stack";
import { settleTask } from "./deliver";
import { switchTask, TASK_CALL, TASK_JUMP } from "./task";

// ---- the far pointer that readFarPointer() found
let farOffset: i64 = 0;
let farSelector: i32 = 0;

/** The far pointer of a record: in memory, or in the instruction (IMM: offset, and above it the selector). */
function readFarPointer(rec: usize, size: i32): bool {
  // 64-bit mode has no far pointers in instructions; in other modes memory operands have an address record in front.
  if (in64BitMode() || <usize>load<u32>(rec + REC_BASE) == cpu + EA) {
    const address = ea(rec);
    farOffset = readSized(address, size);
    if (fault) return false;
    farSelector = <i32>readSized(address + size, 2);
    return !fault;
  }
  farOffset = <i64>load<u32>(rec + REC_IMM) & (size == 2 ? 0xffff : 0xffffffff);
  farSelector = <i32>load<u16>(rec + REC_IMM, 4);
  return true;
}

/** JMP ptr16:16/32, JMP m16:16/32/64 */
export function op_jmp_far(rec: usize): i32 {
  return readFarPointer(rec, operandSize(rec)) ? farJump(farSelector, farOffset) : ST_FAULT;
}

/** CALL ptr16:16/32, CALL m16:16/32/64 */
export function op_call_far(rec: usize): i32 {
  const size = operandSize(rec);
  return readFarPointer(rec, size) ? farCall(farSelector, farOffset, size) : ST_FAULT;
}

function farJump(selector: i32, offset: i64): i32 {
  if (inRealOrV86()) return enterRealCode(selector, offset);
  if (isNull(selector)) return gp0();
  if (!readDescriptor(selector, VECTOR_GP)) return ST_FAULT;
  if (!descIsSegment()) return jumpSystem(selector);
  if (!descIsCode()) return gpSelector(selector);
  if (checkDirectCode(selector) != ST_NEXT || !checkOffset(offset, 0) || !setAccessed()) return ST_FAULT;
  enterCode(selector, offset, currentPrivilege());
  updateMode();
  return ST_DISPATCH;
}

function enterRealCode(selector: i32, offset: i64): i32 {
  if (<u64>offset > <u64>segLimit(CS)) return gp0();
  loadRealSegment(CS, selector);
  set64(RIP, offset);
  updateMode();
  return ST_DISPATCH;
}

function jumpSystem(selector: i32): i32 {
  const kind = descKind();
  if (!gateAllowed(selector)) return gpSelector(selector);
  if (kind == TYPE_CALL_GATE || (kind == TYPE_CALL_GATE16 && !inLongMode())) {
    if (!descPresent()) return npSelector(selector);
    if (!readGate(selector, kind)) return ST_FAULT;
    if (readGateCode(gateSelector, 0, true) != ST_NEXT) return ST_FAULT;
    if (!checkOffset(gateOffset, 0) || !setAccessed()) return ST_FAULT;
    enterCode(gateSelector, gateOffset, currentPrivilege());
    updateMode();
    return ST_DISPATCH;
  }
  return toTask(selector, kind, TASK_JUMP);
}

/** The gate or TSS descriptor must be visible to both CPL and RPL. */
function gateAllowed(selector: i32): bool {
  return descDpl() >= max<i32>(currentPrivilege(), selector & 3);
}

function toTask(selector: i32, kind: i32, source: i32): i32 {
  if (inLongMode()) return gpSelector(selector);
  if (kind != TYPE_TASK_GATE && kind != TYPE_TSS_AVAILABLE && kind != TYPE_TSS16_AVAILABLE) return gpSelector(selector);
  // Of a TSS itself presence is checked behind its place and type, by switchTask().
  if (kind == TYPE_TASK_GATE && !descPresent()) return npSelector(selector);
  const task = kind == TYPE_TASK_GATE ? descLow >>> 16 : selector;
  return settleTask(switchTask(task, source, false, 0, 0, get64(NEXT_RIP), getRflags()));
}

// ---- the call gate that readGate() took apart
let gateSelector: i32 = 0;
let gateOffset: i64 = 0;
let gateSize: i32 = 0;
let gateParameters: i32 = 0;

function readGate(selector: i32, kind: i32): bool {
  gateSelector = descLow >>> 16;
  gateParameters = descHigh & 31;
  gateSize = inLongMode() ? 8 : kind == TYPE_CALL_GATE ? 4 : 2;
  gateOffset = <i64>(descLow & 0xffff);
  if (gateSize != 2) gateOffset |= <i64>(<u32>(descHigh & 0xffff0000));
  if (gateSize == 8) {
    gateOffset |= readUpperHalf(selector, VECTOR_GP);
    return !upperFault;
  }
  return true;
}

function farCall(selector: i32, offset: i64, size: i32): i32 {
  if (inRealOrV86()) {
    if (<u64>offset > <u64>segLimit(CS)) return gp0();
    return pushReturn(size) ? enterRealCode(selector, offset) : ST_FAULT;
  }
  if (isNull(selector)) return gp0();
  if (!readDescriptor(selector, VECTOR_GP)) return ST_FAULT;
  if (!descIsSegment()) return callSystem(selector);
  if (!descIsCode()) return gpSelector(selector);
  return checkDirectCode(selector) == ST_NEXT ? callSame(selector, offset, size) : ST_FAULT;
}

/** CS and the return address on the current stack. */
function pushReturn(size: i32): bool {
  openStack();
  if (!push(size, <i64>segSelector(CS)) || !push(size, get64(NEXT_RIP))) return false;
  commitStack();
  return true;
}

/** To the code segment read last, at the same privilege level. */
function callSame(selector: i32, offset: i64, size: i32): i32 {
  openStack();
  if (!hasRoom(2, size) || !checkOffset(offset, 0) || !setAccessed() || !pushReturn(size)) return ST_FAULT;
  enterCode(selector, offset, currentPrivilege());
  updateMode();
  return ST_DISPATCH;
}

function callSystem(selector: i32): i32 {
  const kind = descKind();
  if (!gateAllowed(selector)) return gpSelector(selector);
  if (kind != TYPE_CALL_GATE && (kind != TYPE_CALL_GATE16 || inLongMode())) return toTask(selector, kind, TASK_CALL);
  if (!descPresent()) return npSelector(selector);
  if (!readGate(selector, kind) || readGateCode(gateSelector, 0) != ST_NEXT) return ST_FAULT;
  if (descIsConforming() || descDpl() == currentPrivilege()) return callSame(gateSelector, gateOffset, gateSize);
  return inLongMode() ? callInner64(descDpl()) : callInner(descDpl());
}

/** Through a call gate to an inner level: new stack, parameters copied. */
function callInner(dpl: i32): i32 {
  saveDescriptor();
  if (readInnerStack(dpl, 0) != ST_NEXT) return ST_FAULT;
  const stackSelector = newStackSelector;
  const base = descBase();
  const limit = descLimit();
  const attr = descAttr();
  restoreDescriptor();
  const size = gateSize;
  const oldPointer = get64(RSP);
  openNewStack(base, limit, attr, newStackPointer, dpl, stackSelector & 0xfffc);
  if (!hasRoom(gateParameters + 4, size) || !checkOffset(gateOffset, 0) || !setAccessed()) return ST_FAULT;
  if (!push(size, <i64>segSelector(SS)) || !push(size, oldPointer)) return ST_FAULT;
  for (let i = gateParameters - 1; i >= 0; i--) {
    const pointer = stackPointer;
    openStack();
    const value = peek(size, i * size);
    if (stackFault) return ST_FAULT;
    openNewStack(base, limit, attr, pointer, dpl, stackSelector & 0xfffc);
    if (!push(size, value)) return ST_FAULT;
  }
  if (!push(size, <i64>segSelector(CS)) || !push(size, get64(NEXT_RIP))) return ST_FAULT;
  setSeg(SS, stackSelector, base, limit, attr);
  commitStack();
  enterCode(gateSelector, gateOffset, dpl);
  updateMode();
  return ST_DISPATCH;
}

function callInner64(dpl: i32): i32 {
  if (readInnerStack64(4 + dpl * 8, 0) != ST_NEXT) return ST_FAULT;
  openStack64(newStackPointer, dpl, 0);
  if (!checkOffset(gateOffset, 0) || !setAccessed()) return ST_FAULT;
  if (!push(8, <i64>segSelector(SS)) || !push(8, get64(RSP))) return ST_FAULT;
  if (!push(8, <i64>segSelector(CS)) || !push(8, get64(NEXT_RIP))) return ST_FAULT;
  commitStack();
  loadNullStackFor(dpl);
  enterCode(gateSelector, gateOffset, dpl);
  updateMode();
  return ST_DISPATCH;
}

/** RETF and RETF imm16 */
export function op_retf(rec: usize): i32 {
  const size = operandSize(rec);
  const release = load<i64>(rec + REC_IMM) & 0xffff;
  openStack();
  const offset = pop(size);
  if (stackFault) return ST_FAULT;
  const selector = <i32>pop(size) & 0xffff;
  if (stackFault) return ST_FAULT;
  skip(release);
  if (inRealOrV86()) {
    if (<u64>offset > <u64>segLimit(CS)) return gp0();
    commitStack();
    return enterRealCode(selector, offset);
  }
  if (readReturnCode(selector) != ST_NEXT) return ST_FAULT;
  if ((selector & 3) == currentPrivilege()) {
    if (!checkOffset(offset, 0) || !setAccessed()) return ST_FAULT;
    commitStack();
    enterCode(selector, offset, selector & 3);
    updateMode();
    return ST_DISPATCH;
  }
  const pointer = pop(size);
  if (stackFault) return ST_FAULT;
  const stack = <i32>pop(size) & 0xffff;
  if (stackFault) return ST_FAULT;
  return returnWithStack(selector, offset, stack, pointer + release) == ST_NEXT ? ST_DISPATCH : ST_FAULT;
}
