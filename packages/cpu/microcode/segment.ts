/** Loading data-segment registers and SS, and the instructions that do (SDM vol. 2, MOV, POP, LDS). */
import {
  CR4, FS, GS, INTERRUPTIBILITY, NEXT_RIP, RIP, SS, ST_FAULT, ST_NEXT, ST_POLL, MSR_KERNEL_GS_BASE,
} from "../src/state/layout";
import { REC_P1, REC_P2 } from "../src/state/record";
import { get32, get64, segAttr, segBase, segLimit, segPointer, segSelector, set32, set64, setSeg } from "./cpu";
import {
  descDpl, descIsCode, descIsConforming, descIsSegment, descIsWritableData, descKind, descPresent, isNull, loadFromDescriptor,
  loadNull, readDescriptor, setAccessed,
} from "./descriptor";
import { gp0, gpSelector, npSelector, ssSelector, ud, VECTOR_GP } from "./event";
import { ea, fault } from "./mmu";
import {
  ATTR_UNUSABLE, CR4_FSGSBASE, currentPrivilege, in64BitMode, inRealOrV86, inV86, isCanonical, updateSegmentMode,
} from "./mode";
import { operandFault, operandSize, pointer, readRm, readSized, writeRegister, writeRm16 } from "./operand";
import { commitStack, openStack, peek, push, skip, stackFault } from "./stack";

/** Loads ES, SS, DS, FS or GS with all checks of the current mode; ST_NEXT, or ST_FAULT with nothing changed. */
export function loadSegment(seg: i32, selector: i32): i32 {
  selector &= 0xffff;
  if (inRealOrV86()) {
    loadRealSegment(seg, selector);
    return ST_NEXT;
  }
  if (isNull(selector)) return seg == SS ? loadNullStack(selector) : loadNullData(seg, selector);
  if (!readDescriptor(selector, VECTOR_GP)) return ST_FAULT;
  const status = seg == SS ? checkStack(selector) : checkData(selector);
  if (status != ST_NEXT) return status;
  if (!setAccessed()) return ST_FAULT;
  loadFromDescriptor(seg, selector);
  if (seg == SS) updateSegmentMode();
  return ST_NEXT;
}

/**
 * Real mode takes only the base from the selector; limit and rights stay as protected mode left them. Virtual-8086 mode
 * fixes all (SDM vol. 3A, 22.1.1 and 22.2.2; the former as processors since the 386 do it).
 */
export function loadRealSegment(seg: i32, selector: i32): void {
  const base = <i64>(selector & 0xffff) << 4;
  if (inV86()) {
    setSeg(seg, selector, base, 0xffff, 0xf3);
    return;
  }
  const attr = segAttr(seg);
  const usable = !(attr & ATTR_UNUSABLE);
  setSeg(seg, selector, base, usable ? segLimit(seg) : 0xffff, usable ? attr : 0x93);
}

function loadNullData(seg: i32, selector: i32): i32 {
  loadNull(seg, selector);
  return ST_NEXT;
}

function loadNullStack(selector: i32): i32 {
  const cpl = currentPrivilege();
  if (!in64BitMode() || cpl == 3 || (selector & 3) != cpl) return gp0();
  loadNull(SS, selector);
  updateSegmentMode();
  return ST_NEXT;
}

function checkStack(selector: i32): i32 {
  const cpl = currentPrivilege();
  if ((selector & 3) != cpl || !descIsWritableData() || descDpl() != cpl) return gpSelector(selector);
  return descPresent() ? ST_NEXT : ssSelector(selector);
}

function checkData(selector: i32): i32 {
  const kind = descKind();
  // Data, or code that can be read.
  if (!descIsSegment() || (descIsCode() && !(kind & 2))) return gpSelector(selector);
  if (!descIsConforming() && descDpl() < max<i32>(selector & 3, currentPrivilege())) return gpSelector(selector);
  return descPresent() ? ST_NEXT : npSelector(selector);
}

/** MOV SS and POP SS hold off interrupts and traps for one instruction (SDM vol. 3A, 7.8.3). */
function blockByMovSs(): i32 {
  set32(INTERRUPTIBILITY, (get32(INTERRUPTIBILITY) & ~1) | 2);
  set64(RIP, get64(NEXT_RIP));
  return ST_POLL;
}

/** MOV Sreg, r/m16 */
export function op_mov_seg_load(rec: usize): i32 {
  const selector = <i32>readRm(rec, REC_P2, 2);
  if (operandFault) return ST_FAULT;
  const seg = load<i32>(rec + REC_P1);
  const status = loadSegment(seg, selector);
  return status == ST_NEXT && seg == SS ? blockByMovSs() : status;
}

/** MOV r/m, Sreg */
export function op_mov_seg_store(rec: usize): i32 {
  return writeRm16(rec, operandSize(rec), segSelector(load<i32>(rec + REC_P2))) ? ST_NEXT : ST_FAULT;
}

/** PUSH Sreg; a 32-bit push writes only the selector's two bytes, as processors do. */
export function op_push_seg(rec: usize): i32 {
  const size = operandSize(rec);
  const selector = <i64>segSelector(load<i32>(rec + REC_P1));
  openStack();
  if (size == 4) {
    skip(-2);
    if (!push(2, selector)) return ST_FAULT;
  } else if (!push(size, selector)) return ST_FAULT;
  commitStack();
  return ST_NEXT;
}

/** POP Sreg */
export function op_pop_seg(rec: usize): i32 {
  const size = operandSize(rec);
  openStack();
  const selector = <i32>peek(size, 0) & 0xffff;
  if (stackFault) return ST_FAULT;
  const seg = load<i32>(rec + REC_P1);
  skip(size);
  const status = loadSegment(seg, selector);
  if (status != ST_NEXT) return status;
  commitStack();
  return seg == SS ? blockByMovSs() : ST_NEXT;
}

/** LDS, LES, LFS, LGS, LSS: offset, then selector, from memory. */
function loadFarPointer(rec: usize, seg: i32): i32 {
  const size = operandSize(rec);
  const address = ea(rec);
  const offset = readSized(address, size);
  if (fault) return ST_FAULT;
  const selector = <i32>readSized(address + size, 2);
  if (fault) return ST_FAULT;
  const status = loadSegment(seg, selector);
  if (status != ST_NEXT) return status;
  writeRegister(pointer(rec, REC_P1), size, offset);
  return ST_NEXT;
}

/** LDS r, m16:16/32 */
export function op_lds(rec: usize): i32 {
  return loadFarPointer(rec, 3);
}

/** LES r, m16:16/32 */
export function op_les(rec: usize): i32 {
  return loadFarPointer(rec, 0);
}

/** LSS r, m16:16/32/64 */
export function op_lss(rec: usize): i32 {
  return loadFarPointer(rec, SS);
}

/** LFS r, m16:16/32/64 */
export function op_lfs(rec: usize): i32 {
  return loadFarPointer(rec, FS);
}

/** LGS r, m16:16/32/64 */
export function op_lgs(rec: usize): i32 {
  return loadFarPointer(rec, GS);
}

/** SWAPGS */
export function op_swapgs(rec: usize): i32 {
  if (!in64BitMode()) return ud();
  if (currentPrivilege() != 0) return gp0();
  const base = segBase(GS);
  store<i64>(segPointer(GS), get64(MSR_KERNEL_GS_BASE));
  set64(MSR_KERNEL_GS_BASE, base);
  return ST_NEXT;
}

function fsgsbaseAllowed(): bool {
  return in64BitMode() && (get32(CR4) & CR4_FSGSBASE) != 0;
}

function readBase(rec: usize, seg: i32): i32 {
  if (!fsgsbaseAllowed()) return ud();
  writeRegister(pointer(rec, REC_P1), operandSize(rec), segBase(seg));
  return ST_NEXT;
}

function writeBase(rec: usize, seg: i32): i32 {
  if (!fsgsbaseAllowed()) return ud();
  const size = operandSize(rec);
  const value = load<i64>(pointer(rec, REC_P1));
  const base = size == 8 ? value : value & 0xffffffff;
  if (!isCanonical(base)) return gp0();
  store<i64>(segPointer(seg), base);
  return ST_NEXT;
}

/** RDFSBASE */
export function op_rdfsbase(rec: usize): i32 {
  return readBase(rec, FS);
}

/** RDGSBASE */
export function op_rdgsbase(rec: usize): i32 {
  return readBase(rec, GS);
}

/** WRFSBASE */
export function op_wrfsbase(rec: usize): i32 {
  return writeBase(rec, FS);
}

/** WRGSBASE */
export function op_wrgsbase(rec: usize): i32 {
  return writeBase(rec, GS);
}
