/** Descriptor-table and task registers: LLDT LTR SLDT STR LGDT LIDT SGDT SIDT (SDM vol. 2). */
import { CR4, GDTR_BASE, GDTR_LIMIT, IDTR_BASE, IDTR_LIMIT, LDTR, ST_FAULT, ST_NEXT, TR } from "../src/state/layout";
import { REC_P1 } from "../src/state/record";
import { get32, get64, segSelector, set32, set64, setSeg } from "./cpu";
import {
  descAddress, descAttr, descBase, descKind, descLimit, descPresent, isNull, loadNull, readDescriptor, readUpperHalf, setBusy, TYPE_LDT,
  TYPE_TSS16_AVAILABLE, TYPE_TSS_AVAILABLE, upperFault,
} from "./descriptor";
import { gp0, gpSelector, npSelector, ud, VECTOR_GP } from "./event";
import { ea, fault, probeWrite, readN, writeAs } from "./mmu";
import { CR4_UMIP, currentPrivilege, in64BitMode, inLongMode, inRealOrV86, isCanonical } from "./mode";
import { operandFault, operandSize, readRm, writeRm16 } from "./operand";
import { isAligned, unalignedSet } from "./tlb";
import { interceptDescriptorTable } from "./vmx/intercept";

/** Instructions by their identity in VM-exit instruction information (SDM vol. 3C, tables 28-10 and 28-11). */
const IDENTITY_SLDT = 0;
const IDENTITY_STR = 1;
const IDENTITY_LLDT = 2;
const IDENTITY_LTR = 3;
const IDENTITY_SGDT = 0;
const IDENTITY_SIDT = 1;
const IDENTITY_LGDT = 2;
const IDENTITY_LIDT = 3;

/** Loads LDTR; ST_NEXT or ST_FAULT. */
export function loadLdtr(selector: i32): i32 {
  if (isNull(selector)) {
    loadNull(LDTR, selector);
    return ST_NEXT;
  }
  if (selector & 4) return gpSelector(selector);
  if (!readDescriptor(selector, VECTOR_GP)) return ST_FAULT;
  if (descKind() != TYPE_LDT) return gpSelector(selector);
  if (!descPresent()) return npSelector(selector);
  return loadSystem(LDTR, selector, 0);
}

/** Loads TR and marks the TSS busy. */
export function loadTr(selector: i32): i32 {
  if (isNull(selector)) return gp0();
  if (selector & 4) return gpSelector(selector);
  if (!readDescriptor(selector, VECTOR_GP)) return ST_FAULT;
  const kind = descKind();
  if (kind != TYPE_TSS_AVAILABLE && (kind != TYPE_TSS16_AVAILABLE || inLongMode())) return gpSelector(selector);
  if (!descPresent()) return npSelector(selector);
  return loadSystem(TR, selector, 2);
}

/** Loads a system segment register from the descriptor read last, adding `busy` to its type. */
function loadSystem(seg: i32, selector: i32, busy: i32): i32 {
  let base = descBase();
  const limit = descLimit();
  const attr = descAttr() | busy;
  if (inLongMode()) {
    base |= readUpperHalf(selector, VECTOR_GP);
    if (upperFault) return ST_FAULT;
    if (!isCanonical(base)) return gpSelector(selector);
  }
  if (busy && !setBusy(descAddress, true)) return ST_FAULT;
  setSeg(seg, selector, base, limit, attr);
  return ST_NEXT;
}

/** LLDT r/m16 */
export function op_lldt(rec: usize): i32 {
  if (inRealOrV86()) return ud();
  if (currentPrivilege() != 0) return gp0();
  const exit = interceptDescriptorTable(rec, true, IDENTITY_LLDT);
  if (exit != ST_NEXT) return exit;
  const selector = <i32>readRm(rec, REC_P1, 2);
  return operandFault ? ST_FAULT : loadLdtr(selector);
}

/** LTR r/m16 */
export function op_ltr(rec: usize): i32 {
  if (inRealOrV86()) return ud();
  if (currentPrivilege() != 0) return gp0();
  const exit = interceptDescriptorTable(rec, true, IDENTITY_LTR);
  if (exit != ST_NEXT) return exit;
  const selector = <i32>readRm(rec, REC_P1, 2);
  return operandFault ? ST_FAULT : loadTr(selector);
}

/** User-mode instruction prevention (SDM vol. 3A, 2.5, CR4.UMIP). */
export function umipForbids(): bool {
  return (get32(CR4) & CR4_UMIP) != 0 && currentPrivilege() > 0;
}

function storeSelector(rec: usize, seg: i32, identity: i32): i32 {
  if (inRealOrV86()) return ud();
  if (umipForbids()) return gp0();
  const exit = interceptDescriptorTable(rec, true, identity);
  if (exit != ST_NEXT) return exit;
  return writeRm16(rec, operandSize(rec), segSelector(seg)) ? ST_NEXT : ST_FAULT;
}

/** SLDT r/m */
export function op_sldt(rec: usize): i32 {
  return storeSelector(rec, LDTR, IDENTITY_SLDT);
}

/** STR r/m */
export function op_str(rec: usize): i32 {
  return storeSelector(rec, TR, IDENTITY_STR);
}

function loadTable(rec: usize, baseField: usize, limitField: usize, identity: i32): i32 {
  if (currentPrivilege() != 0) return gp0();
  const exit = interceptDescriptorTable(rec, false, identity);
  if (exit != ST_NEXT) return exit;
  const address = ea(rec);
  const limit = readN<u16>(address);
  if (fault) return ST_FAULT;
  let base: i64;
  if (in64BitMode()) {
    base = readN<i64>(address + 2);
    if (!fault && !isCanonical(base)) return gp0();
  } else {
    base = <i64>readN<u32>(address + 2);
    // With 16-bit operand size the base has 24 bits.
    if (operandSize(rec) == 2) base &= 0xffffff;
  }
  if (fault) return ST_FAULT;
  set64(baseField, base);
  set32(limitField, <i32>limit);
  return ST_NEXT;
}

function storeTable(rec: usize, baseField: usize, limitField: usize, identity: i32): i32 {
  if (umipForbids()) return gp0();
  const exit = interceptDescriptorTable(rec, false, identity);
  if (exit != ST_NEXT) return exit;
  const address = ea(rec);
  // One operand of which table 7-7 (SDM vol. 3A) wants that four bytes be its alignment.
  if (!isAligned(address, 4)) return ST_FAULT;
  const set = unalignedSet();
  const wide = in64BitMode();
  if (!probeWrite(set, address, wide ? 10 : 6)) return ST_FAULT;
  writeAs<u16>(set, address, <u16>get32(limitField));
  if (wide) writeAs<i64>(set, address + 2, get64(baseField));
  else writeAs<u32>(set, address + 2, <u32>get64(baseField));
  return ST_NEXT;
}

/** LGDT m */
export function op_lgdt(rec: usize): i32 {
  return loadTable(rec, GDTR_BASE, GDTR_LIMIT, IDENTITY_LGDT);
}

/** LIDT m */
export function op_lidt(rec: usize): i32 {
  return loadTable(rec, IDTR_BASE, IDTR_LIMIT, IDENTITY_LIDT);
}

/** SGDT m */
export function op_sgdt(rec: usize): i32 {
  return storeTable(rec, GDTR_BASE, GDTR_LIMIT, IDENTITY_SGDT);
}

/** SIDT m */
export function op_sidt(rec: usize): i32 {
  return storeTable(rec, IDTR_BASE, IDTR_LIMIT, IDENTITY_SIDT);
}
