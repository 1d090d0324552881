/** Event delivery through the interrupt vector table and the IDT (SDM vol. 3A, 7.12, 7.14 and 22.1.4). */
import {
  CS, DS, ES, FS, GS, IDTR_BASE, IDTR_LIMIT, RIP, RSP, SS, ST_DISPATCH, ST_FAULT, ST_NEXT,
} from "../src/state/layout";
import { get32, get64, segLimit, segSelector, set64, setSeg } from "./cpu";
import {
  checkOffset, enterCode, loadNullStackFor, newStackPointer, newStackSelector, readGateCode, readInnerStack, readInnerStack64,
  restoreDescriptor, saveDescriptor,
} from "./code-segment";
import {
  descAttr, descBase, descDpl, descIsConforming, descLimit, loadNull, setAccessed, TYPE_INTERRUPT_GATE, TYPE_INTERRUPT_GATE16,
  TYPE_TASK_GATE, TYPE_TRAP_GATE, TYPE_TRAP_GATE16,
} from "./descriptor";
import { raiseError, TYPE_SOFTWARE_EXCEPTION, TYPE_SOFTWARE_INTERRUPT, VECTOR_GP, VECTOR_NP } from "./event";
import { FLAG_BIT_AC, FLAG_BIT_IF, FLAG_BIT_NT, FLAG_BIT_RF, FLAG_BIT_TF, FLAG_BIT_VM, setRflags } from "./flags";
import { fault, readSystem } from "./mmu";
import { currentPrivilege, inLongMode, inRealOrV86, inV86, updateMode, updateSegmentMode } from "./mode";
import { loadRealSegment } from "./segment";
import { commitStack, frameBelow, hasRoom, openNewStack, openStack, openStack64, push, skip } from "./stack";
import { switchTask, TASK_GATE } from "./task";

/** Error-code bits: the event is external to the program; the index is into the IDT. */
const ERROR_EXT = 1;
const ERROR_IDT = 2;

/** What is being delivered. */
let returnRip: i64 = 0;
let flagsImage: i64 = 0;
let pushesError: bool = false;
let errorCode: i32 = 0;
/** ERROR_EXT, or 0 for INT n, INT3 and INTO. */
let external: i32 = 0;

/**
 * Goes to the handler of `vector`. ST_DISPATCH, or ST_FAULT: an exception or VM exit came up on the way and is pending,
 * and no register has changed. `rip` and `flags` are what the frame shows.
 */
export function enterHandler(vector: i32, type: i32, hasError: bool, error: i32, rip: i64, flags: i64): i32 {
  const software = type == TYPE_SOFTWARE_INTERRUPT || type == TYPE_SOFTWARE_EXCEPTION;
  returnRip = rip;
  flagsImage = flags;
  pushesError = hasError;
  errorCode = error;
  external = software ? 0 : ERROR_EXT;
  if (inRealOrV86() && !inV86()) return enterReal(vector);
  return inLongMode() ? enterLong(vector, software) : enterProtected(vector, software);
}

/** Through the interrupt vector table, of real mode or of a virtual-8086 task (CR4.VME); `flags` goes on the stack. */
export function enterVector(offset: i64, selector: i32, flags: i32, rip: i64): i32 {
  openStack();
  if (!push(2, <i64>flags) || !push(2, <i64>segSelector(CS)) || !push(2, rip)) return ST_FAULT;
  commitStack();
  loadRealSegment(CS, selector);
  set64(RIP, offset);
  return ST_DISPATCH;
}

function enterReal(vector: i32): i32 {
  const offset = vector * 4;
  if (<u32>(offset + 3) > <u32>get32(IDTR_LIMIT)) return raiseError(VECTOR_GP, (vector << 3) | ERROR_IDT | external);
  const entry = readSystem<u32>((get64(IDTR_BASE) + offset) & 0xffffffff);
  if (fault) return ST_FAULT;
  if ((entry & 0xffff) > segLimit(CS)) return raiseError(VECTOR_GP, external);
  const status = enterVector(<i64>(entry & 0xffff), <i32>(entry >> 16), <i32>flagsImage, returnRip);
  if (status != ST_DISPATCH) return status;
  setRflags(0, FLAG_BIT_IF | FLAG_BIT_TF | FLAG_BIT_AC | FLAG_BIT_RF);
  updateMode();
  return ST_DISPATCH;
}

/** #GP or #NP about the gate itself. */
function gateFault(fault: i32, vector: i32): i32 {
  return raiseError(fault, (vector << 3) | ERROR_IDT | external);
}

function enterProtected(vector: i32, software: bool): i32 {
  const at = vector * 8;
  if (<u32>(at + 7) > <u32>get32(IDTR_LIMIT)) return gateFault(VECTOR_GP, vector);
  const gate = readSystem<i64>(get64(IDTR_BASE) + at);
  if (fault) return ST_FAULT;
  const high = <i32>(gate >> 32);
  const kind = (high >> 8) & 0x1f;
  const wide = kind == TYPE_INTERRUPT_GATE || kind == TYPE_TRAP_GATE;
  if (!wide && kind != TYPE_INTERRUPT_GATE16 && kind != TYPE_TRAP_GATE16 && kind != TYPE_TASK_GATE)
    return gateFault(VECTOR_GP, vector);
  if (software && ((high >> 13) & 3) < currentPrivilege()) return gateFault(VECTOR_GP, vector);
  if (!(high & 0x8000)) return gateFault(VECTOR_NP, vector);
  const selector = <i32>(gate >> 16) & 0xffff;
  if (kind == TYPE_TASK_GATE) return enterTask(selector);
  const offset = <i64>(<u32>((<i32>gate & 0xffff) | (wide ? high & 0xffff0000 : 0)));
  if (readGateCode(selector, external) != ST_NEXT) return ST_FAULT;
  const status = enterLegacy(selector, offset, wide ? 4 : 2);
  if (status == ST_DISPATCH) clearFlags(kind == TYPE_INTERRUPT_GATE || kind == TYPE_INTERRUPT_GATE16);
  return status;
}

function enterTask(selector: i32): i32 {
  return switchTask(selector, TASK_GATE, pushesError, errorCode, external, returnRip, flagsImage);
}

/** The target code segment has been read: to it through the current stack or an inner one. */
function enterLegacy(selector: i32, offset: i64, size: i32): i32 {
  const cpl = currentPrivilege();
  const dpl = descDpl();
  const inner = !descIsConforming() && dpl < cpl;
  if (inV86() && !(inner && dpl == 0)) return raiseError(VECTOR_GP, (selector & 0xfffc) | external);
  if (inner) return enterInner(selector, offset, size, dpl);
  openStack(external);
  openFrame(3, size);
  if (!hasFrame() || !checkOffset(offset, external) || !setAccessed() || !pushReturn()) return ST_FAULT;
  commitStack();
  enterCode(selector, offset, cpl);
  return ST_DISPATCH;
}

// ---- the frame

/** Bytes of an element, how many there are, and where they go if all can be written at once; else 0, and they are pushed one by one. */
let elementSize: i32 = 0;
let elements: i32 = 0;
let frame: usize = 0;

/** On the stack that was opened: `count` elements and the error code. */
function openFrame(count: i32, size: i32): void {
  elements = count + i32(pushesError);
  elementSize = size;
  frame = frameBelow(elements * size);
  if (frame != 0) skip(-elements * size);
}

/** Is there room within the stack segment? */
// @ts-ignore: decorator
@inline
function hasFrame(): bool {
  return frame != 0 || hasRoom(elements, elementSize);
}

/** The next element down. */
function put(value: i64): bool {
  if (frame == 0) return push(elementSize, value);
  const at = frame + --elements * elementSize;
  if (elementSize == 4) store<u32>(at, <u32>value);
  else if (elementSize == 8) store<i64>(at, value);
  else store<u16>(at, <u16>value);
  return true;
}

/** SS and RSP of the interrupted program. */
// @ts-ignore: decorator
@inline
function pushStack(): bool {
  return put(<i64>segSelector(SS)) && put(get64(RSP));
}

/** EFLAGS, CS, EIP and the error code. */
function pushReturn(): bool {
  return put(flagsImage) && put(<i64>segSelector(CS)) && put(returnRip) && (!pushesError || put(<i64>errorCode));
}

function enterInner(selector: i32, offset: i64, size: i32, dpl: i32): i32 {
  saveDescriptor();
  if (readInnerStack(dpl, external) != ST_NEXT) return ST_FAULT;
  const stackSelector = newStackSelector;
  const base = descBase();
  const limit = descLimit();
  const attr = descAttr();
  restoreDescriptor();
  openNewStack(base, limit, attr, newStackPointer, dpl, (stackSelector & 0xfffc) | external);
  const v86 = inV86();
  openFrame(v86 ? 9 : 5, size);
  if (!hasFrame() || !checkOffset(offset, external) || !setAccessed()) return ST_FAULT;
  if (v86) {
    for (let seg = GS; seg >= 0; seg = nextPushed(seg)) if (!put(<i64>segSelector(seg))) return ST_FAULT;
  }
  if (!pushStack() || !pushReturn()) return ST_FAULT;
  if (v86) {
    loadNull(GS, 0);
    loadNull(FS, 0);
    loadNull(DS, 0);
    loadNull(ES, 0);
  }
  setSeg(SS, stackSelector, base, limit, attr);
  commitStack();
  enterCode(selector, offset, dpl);
  return ST_DISPATCH;
}

/** Order of a virtual-8086 frame: GS FS DS ES. */
function nextPushed(seg: i32): i32 {
  return seg == GS ? FS : seg == FS ? DS : seg == DS ? ES : -1;
}

/** Of the handler's flags: TF, NT, RF and VM go off, and IF where the gate is an interrupt gate. */
function clearFlags(interruptGate: bool): void {
  setRflags(0, FLAG_BIT_TF | FLAG_BIT_NT | FLAG_BIT_RF | FLAG_BIT_VM | (interruptGate ? FLAG_BIT_IF : 0));
  if (inV86()) updateMode();
  else updateSegmentMode();
}

/** SDM vol. 3A, 7.14: sixteen-byte gates, IST, the stack aligned and always switched with SS:RSP pushed. */
function enterLong(vector: i32, software: bool): i32 {
  const at = vector * 16;
  if (<u32>(at + 15) > <u32>get32(IDTR_LIMIT)) return gateFault(VECTOR_GP, vector);
  const address = get64(IDTR_BASE) + at;
  const gate = readSystem<i64>(address);
  if (fault) return ST_FAULT;
  const upper = readSystem<i64>(address + 8);
  if (fault) return ST_FAULT;
  const high = <i32>(gate >> 32);
  const kind = (high >> 8) & 0x1f;
  if (kind != TYPE_INTERRUPT_GATE && kind != TYPE_TRAP_GATE) return gateFault(VECTOR_GP, vector);
  const cpl = currentPrivilege();
  if (software && ((high >> 13) & 3) < cpl) return gateFault(VECTOR_GP, vector);
  if (!(high & 0x8000)) return gateFault(VECTOR_NP, vector);
  const selector = <i32>(gate >> 16) & 0xffff;
  const offset = (upper << 32) | <i64>(<u32>((<i32>gate & 0xffff) | (high & 0xffff0000)));
  if (readGateCode(selector, external) != ST_NEXT) return ST_FAULT;
  const newCpl = descIsConforming() ? cpl : descDpl();
  const ist = high & 7;
  let pointer = get64(RSP);
  if (ist || newCpl < cpl) {
    if (readInnerStack64(ist ? 0x1c + ist * 8 : 4 + newCpl * 8, external) != ST_NEXT) return ST_FAULT;
    pointer = newStackPointer;
  }
  openStack64(pointer & ~15, newCpl, external);
  openFrame(5, 8);
  if (!hasFrame() || !checkOffset(offset, external) || !setAccessed() || !pushStack() || !pushReturn()) return ST_FAULT;
  commitStack();
  if (newCpl < cpl) loadNullStackFor(newCpl);
  enterCode(selector, offset, newCpl);
  clearFlags(kind == TYPE_INTERRUPT_GATE);
  return ST_DISPATCH;
}
