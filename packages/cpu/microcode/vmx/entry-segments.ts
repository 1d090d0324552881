/** VM-entry checks on the guest's segment registers (SDM vol. 3C, 27.3.1.2) and its PDPTEs (27.3.1.6). */
import {
  CHECK_BASE_CANONICAL, CHECK_BASE_HIGH, CHECK_CS_DB, CHECK_CS_DPL, CHECK_CS_TYPE, CHECK_DATA_DPL, CHECK_DATA_TYPE,
  CHECK_LDTR_G, CHECK_LDTR_P, CHECK_LDTR_RESERVED, CHECK_LDTR_S, CHECK_LDTR_TI, CHECK_LDTR_TYPE, CHECK_PDPTE, CHECK_SEGMENT_G,
  CHECK_SEGMENT_P, CHECK_SEGMENT_RESERVED, CHECK_SEGMENT_S, CHECK_SS_DPL, CHECK_SS_RPL, CHECK_SS_TYPE, CHECK_TR_G, CHECK_TR_P,
  CHECK_TR_RESERVED, CHECK_TR_S, CHECK_TR_TI, CHECK_TR_TYPE, CHECK_TR_USABLE, CHECK_V86_BASE, CHECK_V86_LIMIT,
  CHECK_V86_RIGHTS,
} from "../../src/vmx/check-ids";
import { CS, DS, ES, GS, LDTR, SS, TR } from "../../src/state/layout";
import {
  SECONDARY_EXEC_ENABLE_EPT, SECONDARY_EXEC_UNRESTRICTED_GUEST, VMX_AR_DB_MASK, VMX_AR_G_MASK, VMX_AR_L_MASK, VMX_AR_P_MASK,
  VMX_AR_S_MASK, VMX_AR_UNUSABLE_MASK, VM_ENTRY_IA32E_MODE,
} from "../../../kvm-run/src/vmx/controls";
import {
  GUEST_CR0, GUEST_CR3, GUEST_CR4, GUEST_CS_AR_BYTES, GUEST_CS_SELECTOR, GUEST_ES_AR_BYTES, GUEST_ES_BASE, GUEST_ES_LIMIT,
  GUEST_ES_SELECTOR, GUEST_FS_BASE, GUEST_GS_BASE, GUEST_LDTR_BASE, GUEST_PDPTR0, GUEST_RFLAGS, GUEST_SS_AR_BYTES,
  GUEST_SS_SELECTOR, GUEST_TR_BASE, VM_ENTRY_CONTROLS,
} from "../../../kvm-run/src/vmx/fields";
import { FLAG_BIT_VM } from "../flags";
import { readPhysical64 } from "../memory";
import { CR0_PG, CR4_PAE } from "../mode";
import { PDPTE_RESERVED } from "../paging";
import { secondaryOf } from "./controls";
import { failed, wild } from "./entry-check";
import { read32, read64, slot } from "./vmcs";

const TI = 4;
const RPL = 3;
/** Bits 31:17 and 11:8. */
const RIGHTS_RESERVED = <i32>0xfffe0f00;
const V86_RIGHTS = 0xf3;
const BUSY_TSS_16 = 3;
const BUSY_TSS_32 = 11;
const LDT = 2;
const CODE = 8;
const READABLE = 2;
const ACCESSED = 1;
const PRESENT: i64 = 1;

// @ts-ignore: decorator
@inline
function rightsOf(vmcs: usize, seg: i32): i32 {
  return load<i32>(vmcs + slot(GUEST_ES_AR_BYTES) + (<usize>seg << 3));
}

// @ts-ignore: decorator
@inline
function limitOf(vmcs: usize, seg: i32): u32 {
  return load<u32>(vmcs + slot(GUEST_ES_LIMIT) + (<usize>seg << 3));
}

// @ts-ignore: decorator
@inline
function baseOf(vmcs: usize, seg: i32): i64 {
  return load<i64>(vmcs + slot(GUEST_ES_BASE) + (<usize>seg << 3));
}

// @ts-ignore: decorator
@inline
function selectorOf(vmcs: usize, seg: i32): i32 {
  return load<i32>(vmcs + slot(GUEST_ES_SELECTOR) + (<usize>seg << 3));
}

// @ts-ignore: decorator
@inline
function dpl(rights: i32): i32 {
  return (rights >> 5) & 3;
}

// @ts-ignore: decorator
@inline
function usable(rights: i32): bool {
  return !(rights & VMX_AR_UNUSABLE_MASK);
}

/** A limit whose low bits are not all ones needs G clear, one above 1 MiB needs G set. */
function badGranularity(rights: i32, limit: u32): bool {
  if (rights & VMX_AR_G_MASK) return (limit & 0xfff) != 0xfff;
  return limit >> 20 != 0;
}

// Encodings of a segment's fields, by segment.
// @ts-ignore: decorator
@inline
function rightsField(seg: i32): i32 {
  return GUEST_ES_AR_BYTES + seg * 2;
}

// @ts-ignore: decorator
@inline
function limitField(seg: i32): i32 {
  return GUEST_ES_LIMIT + seg * 2;
}

// @ts-ignore: decorator
@inline
function baseField(seg: i32): i32 {
  return GUEST_ES_BASE + seg * 2;
}

// @ts-ignore: decorator
@inline
function selectorField(seg: i32): i32 {
  return GUEST_ES_SELECTOR + seg * 2;
}

export function checkSegments(vmcs: usize): i32 {
  const unrestricted = (secondaryOf(vmcs) & SECONDARY_EXEC_UNRESTRICTED_GUEST) != 0;
  const v86 = (read64(vmcs, GUEST_RFLAGS) & FLAG_BIT_VM) != 0;
  const addresses = checkSelectorsAndBases(vmcs, v86, unrestricted);
  if (addresses != 0) return addresses;
  for (let seg = ES; seg <= GS; seg++) {
    const check = v86 ? checkV86(vmcs, seg) : checkRights(vmcs, seg, unrestricted);
    if (check != 0) return check;
  }
  const tr = checkTr(vmcs);
  return tr != 0 ? tr : checkLdtr(vmcs);
}

function checkSelectorsAndBases(vmcs: usize, v86: bool, unrestricted: bool): i32 {
  const ldtr = usable(rightsOf(vmcs, LDTR));
  if (selectorOf(vmcs, TR) & TI) return failed(CHECK_TR_TI, selectorField(TR));
  if (ldtr && selectorOf(vmcs, LDTR) & TI) return failed(CHECK_LDTR_TI, selectorField(LDTR), rightsField(LDTR));
  if (!v86 && !unrestricted && (selectorOf(vmcs, SS) ^ selectorOf(vmcs, CS)) & RPL)
    return failed(CHECK_SS_RPL, GUEST_SS_SELECTOR, GUEST_CS_SELECTOR);
  if (wild(read64(vmcs, GUEST_TR_BASE))) return failed(CHECK_BASE_CANONICAL, GUEST_TR_BASE);
  if (wild(read64(vmcs, GUEST_FS_BASE))) return failed(CHECK_BASE_CANONICAL, GUEST_FS_BASE);
  if (wild(read64(vmcs, GUEST_GS_BASE))) return failed(CHECK_BASE_CANONICAL, GUEST_GS_BASE);
  if (ldtr && wild(read64(vmcs, GUEST_LDTR_BASE))) return failed(CHECK_BASE_CANONICAL, GUEST_LDTR_BASE);
  for (let seg = ES; seg <= DS; seg++) {
    const matters = seg == CS || usable(rightsOf(vmcs, seg));
    if (matters && <u64>baseOf(vmcs, seg) >> 32) return failed(CHECK_BASE_HIGH, baseField(seg), rightsField(seg));
  }
  return 0;
}

function checkV86(vmcs: usize, seg: i32): i32 {
  if (baseOf(vmcs, seg) != <i64>(selectorOf(vmcs, seg) << 4)) return failed(CHECK_V86_BASE, baseField(seg), selectorField(seg));
  if (limitOf(vmcs, seg) != 0xffff) return failed(CHECK_V86_LIMIT, limitField(seg));
  return rightsOf(vmcs, seg) != V86_RIGHTS ? failed(CHECK_V86_RIGHTS, rightsField(seg)) : 0;
}

function checkRights(vmcs: usize, seg: i32, unrestricted: bool): i32 {
  const rights = rightsOf(vmcs, seg);
  if (seg == SS) {
    const privilege = checkStackPrivilege(vmcs, rights, unrestricted);
    if (privilege != 0) return privilege;
  }
  if (seg != CS && !usable(rights)) return 0;
  const type = seg == CS ? checkCode(vmcs, rights, unrestricted) : seg == SS ? checkStackType(rights) : checkData(vmcs, seg, unrestricted);
  if (type != 0) return type;
  if (!(rights & VMX_AR_S_MASK)) return failed(CHECK_SEGMENT_S, rightsField(seg));
  if (!(rights & VMX_AR_P_MASK)) return failed(CHECK_SEGMENT_P, rightsField(seg));
  if (rights & RIGHTS_RESERVED) return failed(CHECK_SEGMENT_RESERVED, rightsField(seg));
  if (badGranularity(rights, limitOf(vmcs, seg))) return failed(CHECK_SEGMENT_G, rightsField(seg), limitField(seg));
  return 0;
}

function checkStackPrivilege(vmcs: usize, rights: i32, unrestricted: bool): i32 {
  if (!unrestricted && dpl(rights) != (selectorOf(vmcs, SS) & RPL)) return failed(CHECK_SS_DPL, GUEST_SS_AR_BYTES, GUEST_SS_SELECTOR);
  const flat = (rightsOf(vmcs, CS) & 15) == 3 || !(read64(vmcs, GUEST_CR0) & 1);
  return flat && dpl(rights) != 0 ? failed(CHECK_SS_DPL, GUEST_SS_AR_BYTES, GUEST_CS_AR_BYTES, GUEST_CR0) : 0;
}

function checkCode(vmcs: usize, rights: i32, unrestricted: bool): i32 {
  const type = rights & 15;
  const stack = dpl(rightsOf(vmcs, SS));
  const code = (type & 9) == 9;
  if (!code && !(unrestricted && type == 3)) return failed(CHECK_CS_TYPE, GUEST_CS_AR_BYTES);
  const fits = !code ? dpl(rights) == 0 : type < 12 ? dpl(rights) == stack : dpl(rights) <= stack;
  if (!fits) return failed(CHECK_CS_DPL, GUEST_CS_AR_BYTES, GUEST_SS_AR_BYTES);
  const long = read32(vmcs, VM_ENTRY_CONTROLS) & VM_ENTRY_IA32E_MODE;
  if (long && rights & VMX_AR_L_MASK && rights & VMX_AR_DB_MASK) return failed(CHECK_CS_DB, GUEST_CS_AR_BYTES, VM_ENTRY_CONTROLS);
  return 0;
}

function checkStackType(rights: i32): i32 {
  const type = rights & 15;
  return type == 3 || type == 7 ? 0 : failed(CHECK_SS_TYPE, GUEST_SS_AR_BYTES);
}

function checkData(vmcs: usize, seg: i32, unrestricted: bool): i32 {
  const rights = rightsOf(vmcs, seg);
  const type = rights & 15;
  if (!(type & ACCESSED) || (type & CODE && !(type & READABLE))) return failed(CHECK_DATA_TYPE, rightsField(seg));
  if (!unrestricted && type < 12 && dpl(rights) < (selectorOf(vmcs, seg) & RPL))
    return failed(CHECK_DATA_DPL, rightsField(seg), selectorField(seg));
  return 0;
}

function checkTr(vmcs: usize): i32 {
  const rights = rightsOf(vmcs, TR);
  const type = rights & 15;
  const legacy = !(read32(vmcs, VM_ENTRY_CONTROLS) & VM_ENTRY_IA32E_MODE);
  if (!usable(rights)) return failed(CHECK_TR_USABLE, rightsField(TR));
  if (type != BUSY_TSS_32 && !(legacy && type == BUSY_TSS_16)) return failed(CHECK_TR_TYPE, rightsField(TR), VM_ENTRY_CONTROLS);
  if (rights & VMX_AR_S_MASK) return failed(CHECK_TR_S, rightsField(TR));
  if (!(rights & VMX_AR_P_MASK)) return failed(CHECK_TR_P, rightsField(TR));
  if (rights & RIGHTS_RESERVED) return failed(CHECK_TR_RESERVED, rightsField(TR));
  return badGranularity(rights, limitOf(vmcs, TR)) ? failed(CHECK_TR_G, rightsField(TR), limitField(TR)) : 0;
}

function checkLdtr(vmcs: usize): i32 {
  const rights = rightsOf(vmcs, LDTR);
  if (!usable(rights)) return 0;
  if ((rights & 15) != LDT) return failed(CHECK_LDTR_TYPE, rightsField(LDTR));
  if (rights & VMX_AR_S_MASK) return failed(CHECK_LDTR_S, rightsField(LDTR));
  if (!(rights & VMX_AR_P_MASK)) return failed(CHECK_LDTR_P, rightsField(LDTR));
  if (rights & RIGHTS_RESERVED) return failed(CHECK_LDTR_RESERVED, rightsField(LDTR));
  return badGranularity(rights, limitOf(vmcs, LDTR)) ? failed(CHECK_LDTR_G, rightsField(LDTR), limitField(LDTR)) : 0;
}

/** With PAE paging: the PDPTE fields with EPT, else the table that CR3 points to. */
export function checkPdptes(vmcs: usize): i32 {
  const pae = (read64(vmcs, GUEST_CR0) & CR0_PG) != 0 && (read64(vmcs, GUEST_CR4) & CR4_PAE) != 0;
  if (!pae || read32(vmcs, VM_ENTRY_CONTROLS) & VM_ENTRY_IA32E_MODE) return 0;
  const ept = (secondaryOf(vmcs) & SECONDARY_EXEC_ENABLE_EPT) != 0;
  const table = read64(vmcs, GUEST_CR3) & 0xffffffe0;
  for (let i = 0; i < 4; i++) {
    const entry = ept ? read64(vmcs, GUEST_PDPTR0 + i * 2) : readPhysical64(table + i * 8);
    if (entry & PRESENT && entry & PDPTE_RESERVED) return failed(CHECK_PDPTE, ept ? GUEST_PDPTR0 + i * 2 : GUEST_CR3);
  }
  return 0;
}
