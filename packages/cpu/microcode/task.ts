/** Task switches of legacy modes (SDM vol. 3A, 9.3). In a guest each is a VM exit (vol. 3C, 26.2). */
import {
  CR0, CR3, CR4, CS, DR7, DS, ES, FS, GS, LDTR, PENDING_DEBUG, RIP, SS, ST_DISPATCH, ST_FAULT, ST_NEXT, ST_POLL, TR,
} from "../src/state/layout";
import { BREAKPOINT_HITS } from "../src/state/vmx-layout";
import { isCommitted, setCommitted } from "./breakpoint";
import { get32, get64, getGpr, segAttr, segBase, segLimit, segSelector, set64, setGpr, setSeg } from "./cpu";
import {
  descAddress, descAttr, descBase, descDpl, descIsCode, descIsConforming, descIsSegment, descIsWritableData, descKind, descLimit,
  descPresent, isNull, loadFromDescriptor, loadNull, readDescriptor, setAccessed, setBusy, TYPE_LDT, TYPE_TSS16_AVAILABLE,
  TYPE_TSS16_BUSY, TYPE_TSS_AVAILABLE, TYPE_TSS_BUSY,
} from "./descriptor";
import { raiseError, raiseExit, VECTOR_GP, VECTOR_NP, VECTOR_SS, VECTOR_TS } from "./event";
import { FLAG_BIT_NT, FLAG_BIT_VM, FLAGS_ALL, setRflags } from "./flags";
import { flushTlbNonGlobal, loadPdptes, probeWrite, readSystem, systemSet, writeSystem } from "./mmu";
import { ATTR_DPL_SHIFT, ATTR_UNUSABLE, CR0_PG, CR0_TS, CR4_PAE, updateMode, virtualInterruptWaits } from "./mode";
import { loadRealSegment } from "./segment";
import { commitStack, openStack, push } from "./stack";
import { inGuest } from "./vmx/controls";

/** What switches: the values of the VM exit's qualification. */
export const TASK_CALL = 0;
export const TASK_IRET = 1;
export const TASK_JUMP = 2;
export const TASK_GATE = 3;

const EXIT_TASK_SWITCH = 9;
const DEBUG_BT: i64 = 0x8000;
/** L0 to L3 and LE, which end with the task (SDM vol. 3B, 19.2.4). */
const DR7_LOCAL: i64 = 0x155;

/** Offsets in the 32-bit and in the 16-bit TSS. */
const TSS32_CR3 = 0x1c;
const TSS32_EIP = 0x20;
const TSS32_FLAGS = 0x24;
const TSS32_EAX = 0x28;
const TSS32_ES = 0x48;
const TSS32_LDT = 0x60;
const TSS32_TRAP = 0x64;
const TSS32_LIMIT: u32 = 0x67;
const TSS16_IP = 0xe;
const TSS16_FLAGS = 0x10;
const TSS16_AX = 0x12;
const TSS16_ES = 0x22;
const TSS16_LDT = 0x2a;
const TSS16_LIMIT: u32 = 0x2b;

/** The switch is done: a fault is the new task's. */
export let switched: bool = false;
/** ERROR_EXT of the event whose task gate switches. */
let external: i32 = 0;
/** Linear address of the new task's descriptor. */
let newDescriptor: i64 = 0;
let newBase: i64 = 0;
let newLimit: u32 = 0;
let newAttr: i32 = 0;

/**
 * Switches to the task of `selector`. `rip` and `flags` are the old task's; an error code is pushed on the new task's
 * stack. ST_DISPATCH, ST_POLL, or ST_FAULT: from the point where the new task's state is loaded (`switched`), in the new task.
 */
export function switchTask(
  selector: i32, source: i32, hasError: bool, error: i32, ext: i32, rip: i64, flags: i64,
): i32 {
  external = ext;
  switched = false;
  if (readTask(selector, source) != ST_NEXT) return ST_FAULT;
  if (inGuest()) return raiseExit(EXIT_TASK_SWITCH, <i64>(<u32>(selector | (source << 30))), 0, 0);
  if (!reachable()) return ST_FAULT;
  // From here on nothing is begun anew for a data breakpoint.
  const before = isCommitted();
  setCommitted(true);
  const status = enterTask(selector, source, hasError, error, rip, flags);
  setCommitted(before);
  return status == ST_DISPATCH && get32(BREAKPOINT_HITS) ? ST_POLL : status;
}

function enterTask(selector: i32, source: i32, hasError: bool, error: i32, rip: i64, flags: i64): i32 {
  const oldSelector = segSelector(TR);
  if (!saveOld(rip, source == TASK_IRET ? flags & ~FLAG_BIT_NT : flags)) return ST_FAULT;
  const nested = source == TASK_CALL || source == TASK_GATE;
  if (nested && !writeSystem<u16>(newBase, <u16>oldSelector)) return ST_FAULT;
  if (!nested && !releaseOld(oldSelector)) return ST_FAULT;
  if (source != TASK_IRET && !setBusy(newDescriptor, true)) return ST_FAULT;
  setSeg(TR, selector, newBase, newLimit, newAttr | 2);
  set64(CR0, get64(CR0) | CR0_TS);
  set64(DR7, get64(DR7) & ~DR7_LOCAL);
  switched = true;
  const status = loadNew(nested);
  if (status != ST_NEXT) return status;
  if (hasError && !pushError(error)) return ST_FAULT;
  if (<u64>get64(RIP) > <u64>segLimit(CS)) return raiseError(VECTOR_GP, external);
  return get64(PENDING_DEBUG) & DEBUG_BT || virtualInterruptWaits() ? ST_POLL : ST_DISPATCH;
}

function isWide(): bool {
  return (newAttr & 8) != 0;
}

/** Reads and checks the new TSS's descriptor. */
function readTask(selector: i32, source: i32): i32 {
  const vector = source == TASK_IRET ? VECTOR_TS : VECTOR_GP;
  const errorCode = (selector & 0xfffc) | external;
  if (isNull(selector) || selector & 4) return raiseError(vector, errorCode);
  if (!readDescriptor(selector, vector, external)) return ST_FAULT;
  const kind = descKind();
  const good =
    source == TASK_IRET
      ? kind == TYPE_TSS_BUSY || kind == TYPE_TSS16_BUSY
      : kind == TYPE_TSS_AVAILABLE || kind == TYPE_TSS16_AVAILABLE;
  if (!good) return raiseError(vector, errorCode);
  if (!descPresent()) return raiseError(VECTOR_NP, errorCode);
  newDescriptor = descAddress;
  newBase = descBase();
  newLimit = descLimit();
  newAttr = descAttr();
  return newLimit < (isWide() ? TSS32_LIMIT : TSS16_LIMIT) ? raiseError(VECTOR_TS, errorCode) : ST_NEXT;
}

/** Both TSSs must be mapped before anything changes. */
function reachable(): bool {
  const size = isWide() ? <i32>TSS32_LIMIT + 1 : <i32>TSS16_LIMIT + 1;
  const old = segAttr(TR) & 8 ? <i32>TSS32_LIMIT + 1 : <i32>TSS16_LIMIT + 1;
  return probeWrite(systemSet(), newBase, size) && probeWrite(systemSet(), segBase(TR), old);
}

function saveOld(rip: i64, flags: i64): bool {
  const base = segBase(TR);
  if (segAttr(TR) & 8) {
    if (!writeSystem<u32>(base + TSS32_EIP, <u32>rip) || !writeSystem<u32>(base + TSS32_FLAGS, <u32>flags)) return false;
    for (let i = 0; i < 8; i++) if (!writeSystem<u32>(base + TSS32_EAX + i * 4, <u32>getGpr(i))) return false;
    for (let i = ES; i <= GS; i++) if (!writeSystem<u16>(base + TSS32_ES + i * 4, <u16>segSelector(i))) return false;
    return true;
  }
  if (!writeSystem<u16>(base + TSS16_IP, <u16>rip) || !writeSystem<u16>(base + TSS16_FLAGS, <u16>flags)) return false;
  for (let i = 0; i < 8; i++) if (!writeSystem<u16>(base + TSS16_AX + i * 2, <u16>getGpr(i))) return false;
  for (let i = ES; i <= DS; i++) if (!writeSystem<u16>(base + TSS16_ES + i * 2, <u16>segSelector(i))) return false;
  return true;
}

/** The old task is no longer busy. */
function releaseOld(selector: i32): bool {
  return readDescriptor(selector, VECTOR_TS) && setBusy(descAddress, false);
}

// ---- selectors of the new task, read before its CR3 takes effect
let newEs: i32 = 0;
let newCs: i32 = 0;
let newSs: i32 = 0;
let newDs: i32 = 0;
let newFs: i32 = 0;
let newGs: i32 = 0;

function readSelector(seg: i32): i32 {
  return <i32>readSystem<u16>(isWide() ? newBase + TSS32_ES + seg * 4 : newBase + TSS16_ES + seg * 2);
}

/** Loads the new task's registers; faults from here on are the new task's own. */
function loadNew(nested: bool): i32 {
  const wide = isWide();
  const cr3: i64 = wide ? <i64>readSystem<u32>(newBase + TSS32_CR3) : 0;
  const rip: i64 = wide ? <i64>readSystem<u32>(newBase + TSS32_EIP) : <i64>readSystem<u16>(newBase + TSS16_IP);
  let flags: i64 = wide ? <i64>readSystem<u32>(newBase + TSS32_FLAGS) : <i64>readSystem<u16>(newBase + TSS16_FLAGS);
  for (let i = 0; i < 8; i++) {
    if (wide) setGpr(i, <i64>readSystem<u32>(newBase + TSS32_EAX + i * 4));
    else setGpr(i, (getGpr(i) & 0xffff0000) | <i64>readSystem<u16>(newBase + TSS16_AX + i * 2));
  }
  newEs = readSelector(ES);
  newCs = readSelector(CS);
  newSs = readSelector(SS);
  newDs = readSelector(DS);
  newFs = wide ? readSelector(FS) : 0;
  newGs = wide ? readSelector(GS) : 0;
  const ldt = <i32>readSystem<u16>(newBase + (wide ? TSS32_LDT : TSS16_LDT));
  if (wide && readSystem<u16>(newBase + TSS32_TRAP) & 1) set64(PENDING_DEBUG, get64(PENDING_DEBUG) | DEBUG_BT);
  set64(RIP, rip);
  if (nested) flags |= FLAG_BIT_NT;
  // A 16-bit TSS clears the upper half, VM with it.
  setRflags(flags, FLAGS_ALL);
  if (wide && get64(CR0) & CR0_PG && !loadCr3(cr3)) return raiseError(VECTOR_GP, external);
  return loadSegments(ldt, (flags & FLAG_BIT_VM) != 0 && wide);
}

function loadCr3(cr3: i64): bool {
  if (get32(CR4) & CR4_PAE && !loadPdptes(cr3)) return false;
  set64(CR3, cr3);
  flushTlbNonGlobal();
  return true;
}

function loadSegments(ldt: i32, v86: bool): i32 {
  // All selectors are there before the first descriptor is looked at, and the privilege level is that of the new CS.
  setSeg(ES, newEs, 0, 0, ATTR_UNUSABLE);
  setSeg(CS, newCs, 0, 0, ATTR_UNUSABLE);
  setSeg(SS, newSs, 0, 0, ATTR_UNUSABLE | ((newCs & 3) << ATTR_DPL_SHIFT));
  setSeg(DS, newDs, 0, 0, ATTR_UNUSABLE);
  setSeg(FS, newFs, 0, 0, ATTR_UNUSABLE);
  setSeg(GS, newGs, 0, 0, ATTR_UNUSABLE);
  setSeg(LDTR, ldt, 0, 0, ATTR_UNUSABLE);
  updateMode();
  if (!v86) {
    if (loadLdt(ldt) != ST_NEXT || loadCode(newCs) != ST_NEXT || loadStack(newSs) != ST_NEXT) return ST_FAULT;
    if (loadData(ES, newEs) != ST_NEXT || loadData(DS, newDs) != ST_NEXT) return ST_FAULT;
    return loadData(FS, newFs) == ST_NEXT && loadData(GS, newGs) == ST_NEXT ? ST_NEXT : ST_FAULT;
  }
  if (loadLdt(ldt) != ST_NEXT) return ST_FAULT;
  loadRealSegment(ES, newEs);
  loadRealSegment(CS, newCs);
  loadRealSegment(SS, newSs);
  loadRealSegment(DS, newDs);
  loadRealSegment(FS, newFs);
  loadRealSegment(GS, newGs);
  updateMode();
  return ST_NEXT;
}

function taskFault(vector: i32, selector: i32): i32 {
  return raiseError(vector, (selector & 0xfffc) | external);
}

function loadLdt(selector: i32): i32 {
  if (isNull(selector)) return ST_NEXT;
  if (selector & 4) return taskFault(VECTOR_TS, selector);
  if (!readDescriptor(selector, VECTOR_TS, external)) return ST_FAULT;
  if (descKind() != TYPE_LDT || !descPresent()) return taskFault(VECTOR_TS, selector);
  setSeg(LDTR, selector, descBase(), descLimit(), descAttr());
  return ST_NEXT;
}

function loadCode(selector: i32): i32 {
  if (isNull(selector)) return taskFault(VECTOR_TS, selector);
  if (!readDescriptor(selector, VECTOR_TS, external)) return ST_FAULT;
  const rpl = selector & 3;
  if (!descIsCode() || (descIsConforming() ? descDpl() > rpl : descDpl() != rpl)) return taskFault(VECTOR_TS, selector);
  if (!descPresent()) return taskFault(VECTOR_NP, selector);
  if (!setAccessed()) return ST_FAULT;
  loadFromDescriptor(CS, selector);
  updateMode();
  return ST_NEXT;
}

function loadStack(selector: i32): i32 {
  const cpl = newCs & 3;
  if (isNull(selector)) return taskFault(VECTOR_TS, selector);
  if (!readDescriptor(selector, VECTOR_TS, external)) return ST_FAULT;
  if (!descIsWritableData() || descDpl() != cpl || (selector & 3) != cpl) return taskFault(VECTOR_TS, selector);
  if (!descPresent()) return taskFault(VECTOR_SS, selector);
  if (!setAccessed()) return ST_FAULT;
  loadFromDescriptor(SS, selector);
  updateMode();
  return ST_NEXT;
}

function loadData(seg: i32, selector: i32): i32 {
  if (isNull(selector)) {
    loadNull(seg, selector);
    return ST_NEXT;
  }
  if (!readDescriptor(selector, VECTOR_TS, external)) return ST_FAULT;
  if (!descIsSegment() || (descIsCode() && !(descKind() & 2))) return taskFault(VECTOR_TS, selector);
  if (!descIsConforming() && descDpl() < max<i32>(newCs & 3, selector & 3)) return taskFault(VECTOR_TS, selector);
  if (!descPresent()) return taskFault(VECTOR_NP, selector);
  if (!setAccessed()) return ST_FAULT;
  loadFromDescriptor(seg, selector);
  return ST_NEXT;
}

function pushError(error: i32): bool {
  openStack(external);
  if (!push(isWide() ? 4 : 2, <i64>error)) return false;
  commitStack();
  return true;
}
