/** IRET in all its forms (SDM vol. 2, IRET). */
import {
  CS, CR4, DS, ES, FS, GS, INTERRUPTIBILITY, NEXT_RIP, RIP, RSP, SS, ST_DISPATCH, ST_FAULT, ST_NEXT, ST_POLL, TR,
} from "../src/state/layout";
import { NMI_UNBLOCKED } from "../src/state/vmx-layout";
import { watchesInstructions } from "./breakpoint";
import { get32, get64, segBase, segLimit, set32, set64 } from "./cpu";
import { checkOffset, enterCode } from "./code-segment";
import { isNull, setAccessed } from "./descriptor";
import { gp0 } from "./event";
import { readReturnCode, returnWithStack } from "./far-return";
import {
  FLAG_BIT_AC, FLAG_BIT_ID, FLAG_BIT_IF, FLAG_BIT_IOPL, FLAG_BIT_NT, FLAG_BIT_RF, FLAG_BIT_TF, FLAG_BIT_VIF, FLAG_BIT_VIP, FLAG_BIT_VM,
  FLAGS_ALL, FLAGS_ARITHMETIC, FLAG_BIT_DF, getRflags, iopl, setRflags, testFlag,
} from "./flags";
import { fault, readSystem } from "./mmu";
import { CR4_VME, currentPrivilege, in64BitMode, inLongMode, inRealOrV86, inV86, isCanonical, updateMode, updateSegmentMode, virtualInterruptWaits } from "./mode";
import { operandSize } from "./operand";
import { loadRealSegment } from "./segment";
import { interruptWaits } from "./shadow";
import { commitStack, frameAbove, openStack, pop, skip, stackFault } from "./stack";
import { settleTask } from "./deliver";
import { switchTask, TASK_IRET } from "./task";
import { inGuest, pinControl } from "./vmx/controls";

const INTERRUPTIBILITY_NMI = 8;
const PIN_NMI_EXITING = 0x8;
const PIN_VIRTUAL_NMIS = 0x20;
const FLAGS_USER = FLAGS_ARITHMETIC | FLAG_BIT_TF | FLAG_BIT_DF | FLAG_BIT_NT;

// ---- the frame
let frameRip: i64 = 0;
let frameCs: i32 = 0;
let frameFlags: i64 = 0;
let framePointer: i64 = 0;
let frameSs: i32 = 0;

/** IRET, IRETD, IRETQ */
export function op_iret(rec: usize): i32 {
  const blocked = unblockNmi();
  const hadIf = testFlag(FLAG_BIT_IF);
  const status = returnFrom(operandSize(rec));
  if (status == ST_FAULT) return ST_FAULT;
  set32(NMI_UNBLOCKED, 0);
  return blocked || testFlag(FLAG_BIT_TF) || virtualInterruptWaits() || (!hadIf && testFlag(FLAG_BIT_IF) && interruptWaits()) ? ST_POLL : ST_DISPATCH;
}

/** IRET ends blocking by NMI even when it faults (SDM vol. 3A, 7.7.1; in a guest, vol. 3C, 26.3). */
function unblockNmi(): bool {
  if (!(get32(INTERRUPTIBILITY) & INTERRUPTIBILITY_NMI)) return false;
  if (inGuest() && pinControl(PIN_NMI_EXITING) && !pinControl(PIN_VIRTUAL_NMIS)) return false;
  set32(INTERRUPTIBILITY, get32(INTERRUPTIBILITY) & ~INTERRUPTIBILITY_NMI);
  set32(NMI_UNBLOCKED, 1);
  return true;
}

function returnFrom(size: i32): i32 {
  if (inRealOrV86()) return inV86() ? returnV86(size) : returnReal(size);
  if (testFlag(FLAG_BIT_NT)) return inLongMode() ? gp0() : returnTask();
  openStack();
  if (!popFrame(size)) return ST_FAULT;
  if (size == 4 && frameFlags & FLAG_BIT_VM && currentPrivilege() == 0 && !inLongMode()) return returnToV86();
  return returnProtected(size);
}

function popFrame(size: i32): bool {
  if (!readFrame(size)) return false;
  // RF matters to instruction breakpoints alone; without any it would only linger.
  if (!watchesInstructions()) frameFlags &= ~<i64>FLAG_BIT_RF;
  return true;
}

function readFrame(size: i32): bool {
  const host = frameAbove(3 * size);
  if (host != 0) {
    frameRip = element(host, 0, size);
    frameCs = <i32>element(host, 1, size) & 0xffff;
    frameFlags = element(host, 2, size);
    skip(3 * size);
    return true;
  }
  frameRip = pop(size);
  if (stackFault) return false;
  frameCs = <i32>pop(size) & 0xffff;
  if (stackFault) return false;
  frameFlags = pop(size);
  return !stackFault;
}

// @ts-ignore: decorator
@inline
function element(host: usize, n: i32, size: i32): i64 {
  const at = host + n * size;
  return size == 4 ? <i64>load<u32>(at) : size == 8 ? load<i64>(at) : <i64>load<u16>(at);
}

/** The rest of the frame of an outer level, or in 64-bit mode of any. */
function popStackPointer(size: i32): bool {
  const host = frameAbove(2 * size);
  if (host != 0) {
    framePointer = element(host, 0, size);
    frameSs = <i32>element(host, 1, size) & 0xffff;
    skip(2 * size);
    return true;
  }
  framePointer = pop(size);
  if (stackFault) return false;
  frameSs = <i32>pop(size) & 0xffff;
  return !stackFault;
}

/** What long mode refuses before it looks at descriptors (SDM vol. 2A, IRET, IA-32e-MODE-RETURN). */
function badLongFrame(withStack: bool): bool {
  const rpl = frameCs & 3;
  const nullStack = withStack && isNull(frameSs);
  return !isCanonical(frameRip) || (nullStack && (rpl == 3 || rpl < currentPrivilege() || (frameSs & 3) != rpl));
}

function returnReal(size: i32): i32 {
  openStack();
  if (!popFrame(size)) return ST_FAULT;
  if (<u64>frameRip > <u64>segLimit(CS)) return gp0();
  enterReal(FLAGS_USER | FLAG_BIT_IF | FLAG_BIT_IOPL | (size == 2 ? 0 : FLAG_BIT_RF | FLAG_BIT_AC | FLAG_BIT_ID));
  return ST_DISPATCH;
}

function enterReal(mask: i32): void {
  commitStack();
  loadRealSegment(CS, frameCs);
  set64(RIP, frameRip);
  setRflags(frameFlags, mask);
  updateMode();
}

function returnV86(size: i32): i32 {
  openStack();
  if (iopl() == 3) {
    if (!popFrame(size)) return ST_FAULT;
    if (<u64>frameRip > <u64>segLimit(CS)) return gp0();
    enterReal(FLAGS_USER | FLAG_BIT_IF | (size == 2 ? 0 : FLAG_BIT_RF | FLAG_BIT_AC | FLAG_BIT_ID));
    return ST_DISPATCH;
  }
  // Virtual interrupts: IF of the frame is VIF.
  if (!(get32(CR4) & CR4_VME) || size != 2) return gp0();
  if (!popFrame(size)) return ST_FAULT;
  if (frameFlags & FLAG_BIT_TF || (frameFlags & FLAG_BIT_IF && testFlag(FLAG_BIT_VIP))) return gp0();
  if (<u64>frameRip > <u64>segLimit(CS)) return gp0();
  enterReal(FLAGS_USER);
  setRflags(frameFlags & FLAG_BIT_IF ? FLAG_BIT_VIF : 0, FLAG_BIT_VIF);
  return ST_DISPATCH;
}

/** NT: back to the task that the TSS's link names. */
function returnTask(): i32 {
  const link = <i32>readSystem<u16>(segBase(TR));
  if (fault) return ST_FAULT;
  return settleTask(switchTask(link, TASK_IRET, false, 0, 0, get64(NEXT_RIP), getRflags()));
}

/** The frame's EFLAGS.VM at CPL 0: to virtual-8086 mode, with all segments from the stack. */
function returnToV86(): i32 {
  const pointer = pop(4);
  if (stackFault) return ST_FAULT;
  const ss = <i32>pop(4);
  if (stackFault) return ST_FAULT;
  const es = <i32>pop(4);
  if (stackFault) return ST_FAULT;
  const ds = <i32>pop(4);
  if (stackFault) return ST_FAULT;
  const fs = <i32>pop(4);
  if (stackFault) return ST_FAULT;
  const gs = <i32>pop(4);
  if (stackFault) return ST_FAULT;
  if (frameRip > 0xffff) return gp0();
  setRflags(frameFlags, FLAGS_ALL);
  updateMode();
  loadRealSegment(CS, frameCs);
  loadRealSegment(SS, ss);
  loadRealSegment(ES, es);
  loadRealSegment(DS, ds);
  loadRealSegment(FS, fs);
  loadRealSegment(GS, gs);
  set64(RIP, frameRip);
  set64(RSP, pointer);
  updateMode();
  return ST_DISPATCH;
}

function returnProtected(size: i32): i32 {
  const cpl = currentPrivilege();
  const always = in64BitMode();
  if (always && !popStackPointer(size)) return ST_FAULT;
  if (inLongMode() && badLongFrame(always)) return gp0();
  let mask = FLAGS_USER;
  if (size != 2) mask |= FLAG_BIT_RF | FLAG_BIT_AC | FLAG_BIT_ID;
  if (cpl <= iopl()) mask |= FLAG_BIT_IF;
  if (cpl == 0) mask |= FLAG_BIT_IOPL | (size == 2 ? 0 : FLAG_BIT_VIF | FLAG_BIT_VIP);
  if (readReturnCode(frameCs) != ST_NEXT) return ST_FAULT;
  if ((frameCs & 3) > cpl || always) {
    if (!always && !popStackPointer(size)) return ST_FAULT;
    // At the same level the offset comes before the stack (SDM vol. 2A, RETURN-TO-SAME-PRIVILEGE-LEVEL).
    if ((frameCs & 3) == cpl && !checkOffset(frameRip, 0)) return ST_FAULT;
    if (returnWithStack(frameCs, frameRip, frameSs, framePointer) != ST_NEXT) return ST_FAULT;
  } else {
    if (!checkOffset(frameRip, 0) || !setAccessed()) return ST_FAULT;
    commitStack();
    enterCode(frameCs, frameRip, cpl);
  }
  setRflags(frameFlags, mask);
  updateSegmentMode();
  return ST_DISPATCH;
}
