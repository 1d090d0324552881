/** MOV CR, CLTS, LMSW, SMSW (SDM vol. 2B; in VMX non-root operation vol. 3C, 26.1.3 and 26.3). */
import {
  CR0, CR2, CR3, CR4, CR8, CS, EXIT_GLA, EXIT_REASON, MSR_EFER, NEXT_RIP, PHYSICAL_BITS, RIP, ST_DISPATCH, ST_FAULT, ST_NEXT, TR,
} from "../../src/state/layout";
import { PREFIX_OPSIZE_SHIFT, REC_P1, REC_P2, REC_PREFIX } from "../../src/state/record";
import {
  CPU_BASED_CR3_LOAD_EXITING, CPU_BASED_CR3_STORE_EXITING, CPU_BASED_CR8_LOAD_EXITING, CPU_BASED_CR8_STORE_EXITING,
  CPU_BASED_TPR_SHADOW,
} from "../../../kvm-run/src/vmx/controls";
import {
  CONTROL_REG_ACCESS_REG_SHIFT, CONTROL_REG_ACCESS_TYPE_SHIFT, CR_ACCESS_CLTS, CR_ACCESS_LMSW, CR_ACCESS_MOV_FROM,
  CR_ACCESS_MOV_TO, EXIT_REASON_CR_ACCESS, LMSW_OPERAND_MEMORY, LMSW_SOURCE_DATA_SHIFT,
} from "../../../kvm-run/src/vmx/exit-reasons";
import {
  CR0_GUEST_HOST_MASK, CR0_READ_SHADOW, CR3_TARGET_COUNT, CR3_TARGET_VALUE0, CR4_GUEST_HOST_MASK, CR4_READ_SHADOW,
} from "../../../kvm-run/src/vmx/fields";
import {
  EFER_LMA, EFER_LME, MSR_IA32_VMX_CR0_FIXED0, MSR_IA32_VMX_CR4_FIXED0, MSR_IA32_VMX_CR4_FIXED1,
} from "../../../kvm-run/src/vmx/msrs";
import { get32, get64, segAttr, set64 } from "../cpu";
import { gp0, ud } from "../event";
import { ea, fault, flushTlb, flushTlbNonGlobal, loadPdptes, readN, writeN } from "../mmu";
import {
  ATTR_L, CR0_PG, CR0_WP, CR4_PAE, CR4_PCIDE, CR4_PGE, CR4_PKE, CR4_PSE, CR4_SMAP, CR4_SMEP, CR4_UMIP, currentPrivilege, in64BitMode,
  updateMode,
} from "../mode";
import { pointer, readRegister, writeRegister } from "../operand";
import { capability, inGuest, procControl, unrestrictedGuest, violatesFixedBits, vmxMode, VMX_OUTSIDE } from "../vmx/controls";
import { exitInstruction, registerNumber } from "../vmx/intercept";
import { exitIfTprBelowThreshold, setVirtualTpr, virtualTpr } from "../vmx/tpr";
import { currentVmcs, field64, read32, read64 } from "../vmx/vmcs";

const CR0_PE: i64 = 1;
const CR0_TS: i64 = 8;
const CR0_ET: i64 = 0x10;
const CR0_NW: i64 = 0x20000000;
const CR0_CD: i64 = 0x40000000;
/** PE MP EM TS ET NE WP AM NW CD PG. */
const CR0_DEFINED: i64 = 0xe005003f;
const CR0_TRANSLATION: i64 = CR0_PG | <i64>CR0_WP | CR0_PE;
const CR4_TRANSLATION: i64 = CR4_PSE | CR4_PAE | CR4_PGE | CR4_SMEP | CR4_SMAP | CR4_PCIDE | CR4_PKE;
const CR4_RELOADS_PDPTES: i64 = CR4_PSE | CR4_PAE | CR4_PGE | CR4_SMEP;
/** A 16-bit TSS, available or busy, in the access rights of TR. */
const TSS_16_MASK = 0x1001d;
const TSS_16 = 1;
const CR3_NO_FLUSH: i64 = <i64>1 << 63;
const CR3_BEYOND: i64 = ~((<i64>1 << PHYSICAL_BITS) - 1);

/** CR0 as the guest is to see it: host-owned bits from the read shadow. */
export function visibleCr0(): i64 {
  if (!inGuest()) return get64(CR0);
  const mask = field64(CR0_GUEST_HOST_MASK);
  return (get64(CR0) & ~mask) | (field64(CR0_READ_SHADOW) & mask);
}

export function visibleCr4(): i64 {
  if (!inGuest()) return get64(CR4);
  const mask = field64(CR4_GUEST_HOST_MASK);
  return (get64(CR4) & ~mask) | (field64(CR4_READ_SHADOW) & mask);
}

/** On to the next instruction by looking its trace up: modes and mappings may have changed. */
function dispatch(): i32 {
  set64(RIP, get64(NEXT_RIP));
  return ST_DISPATCH;
}

/** loadPdptes() failed: a VM exit is pending, or the instruction raises #GP(0). */
function pdpteFault(): i32 {
  return get32(EXIT_REASON) != -1 ? ST_FAULT : gp0();
}

function exitCr(number: i32, type: i32, register: i32): i32 {
  const qualification = number | (type << CONTROL_REG_ACCESS_TYPE_SHIFT) | (register << CONTROL_REG_ACCESS_REG_SHIFT);
  return exitInstruction(EXIT_REASON_CR_ACCESS, qualification);
}

export function op_mov_cr_load(rec: usize): i32 {
  const number = <i32>pointer(rec, REC_P1);
  const register = pointer(rec, REC_P2);
  if (number == 1 || (number > 4 && number != 8)) return ud();
  if (currentPrivilege() != 0) return gp0();
  const value = readRegister(register, in64BitMode() ? 8 : 4);
  if (inGuest()) {
    const exits = loadExits(number, value);
    if (exits) return exitCr(number, CR_ACCESS_MOV_TO, registerNumber(register));
  }
  switch (number) {
    case 0: return loadCr0(value);
    case 2: {
      set64(CR2, value);
      return ST_NEXT;
    }
    case 3: return loadCr3(value);
    case 4: return loadCr4(value);
    default: return loadCr8(value);
  }
}

function loadExits(number: i32, value: i64): bool {
  const vmcs = currentVmcs();
  switch (number) {
    case 0: return ((value ^ read64(vmcs, CR0_READ_SHADOW)) & read64(vmcs, CR0_GUEST_HOST_MASK)) != 0;
    case 3: return procControl(CPU_BASED_CR3_LOAD_EXITING) && !isCr3Target(vmcs, value);
    case 4: return ((value ^ read64(vmcs, CR4_READ_SHADOW)) & read64(vmcs, CR4_GUEST_HOST_MASK)) != 0;
    case 8: return procControl(CPU_BASED_CR8_LOAD_EXITING);
    default: return false;
  }
}

function isCr3Target(vmcs: usize, value: i64): bool {
  const count = read32(vmcs, CR3_TARGET_COUNT);
  for (let i = 0; i < count; i++) if (read64(vmcs, CR3_TARGET_VALUE0 + i * 2) == value) return true;
  return false;
}

/** Host-owned bits keep their value. */
function loadCr0(value: i64): i32 {
  const mask = inGuest() ? field64(CR0_GUEST_HOST_MASK) : 0;
  return writeCr0((value & ~mask) | (get64(CR0) & mask)) ? dispatch() : pdpteFault();
}

function loadCr4(value: i64): i32 {
  const mask = inGuest() ? field64(CR4_GUEST_HOST_MASK) : 0;
  return writeCr4((value & ~mask) | (get64(CR4) & mask)) ? dispatch() : pdpteFault();
}

function loadCr3(value: i64): i32 {
  return writeCr3(value) ? dispatch() : pdpteFault();
}

/** False: #GP(0) or, with EXIT_REASON set, a VM exit. Used for host software in TypeScript too, as are the next two. */
export function writeCr0(wanted: i64): bool {
  if (wanted & ~<i64>0xffffffff) return false;
  const value = (wanted & CR0_DEFINED) | CR0_ET;
  if ((value & CR0_PG && !(value & CR0_PE)) || (value & CR0_NW && !(value & CR0_CD))) return false;
  if (vmxMode() != VMX_OUTSIDE) {
    const exempt = inGuest() && unrestrictedGuest() ? CR0_PE | CR0_PG : 0;
    if (violatesFixedBits(value, MSR_IA32_VMX_CR0_FIXED0, exempt)) return false;
  }
  const old = get64(CR0);
  const changed = value ^ old;
  if (changed & CR0_PG && !switchPaging((value & CR0_PG) != 0)) return false;
  const pae = (value & CR0_PG) != 0 && (get32(CR4) & CR4_PAE) != 0 && !(get32(MSR_EFER) & EFER_LMA);
  if (pae && changed & (CR0_PG | CR0_NW | CR0_CD) && !loadPdptes(get64(CR3))) return false;
  set64(CR0, value);
  if (changed & CR0_TRANSLATION) flushTlb();
  updateMode();
  return true;
}

/** Entering and leaving long mode with paging (SDM vol. 3A, 10.8.5). */
function switchPaging(on: bool): bool {
  const efer = get64(MSR_EFER);
  if (!on) {
    if ((efer & EFER_LMA && in64BitMode()) || get32(CR4) & CR4_PCIDE) return false;
    set64(MSR_EFER, efer & ~<i64>EFER_LMA);
    return true;
  }
  if (!(efer & EFER_LME)) return true;
  if (!(get32(CR4) & CR4_PAE) || segAttr(CS) & ATTR_L || has16BitTss()) return false;
  set64(MSR_EFER, efer | EFER_LMA);
  return true;
}

function has16BitTss(): bool {
  return (segAttr(TR) & TSS_16_MASK) == TSS_16;
}

export function writeCr4(value: i64): bool {
  const old = get64(CR4);
  const changed = value ^ old;
  const long = (get32(MSR_EFER) & EFER_LMA) != 0;
  if (value & ~capability(MSR_IA32_VMX_CR4_FIXED1)) return false;
  if (vmxMode() != VMX_OUTSIDE && violatesFixedBits(value, MSR_IA32_VMX_CR4_FIXED0, 0)) return false;
  if (long && !(value & CR4_PAE)) return false;
  if (changed & CR4_PCIDE && value & CR4_PCIDE && (!long || get64(CR3) & 0xfff)) return false;
  const pae = !long && (get64(CR0) & CR0_PG) != 0 && (value & CR4_PAE) != 0;
  if (pae && changed & CR4_RELOADS_PDPTES && !loadPdptes(get64(CR3))) return false;
  set64(CR4, value);
  if (changed & CR4_TRANSLATION) flushTlb();
  updateMode();
  return true;
}

/**
 * The TLB keeps nothing of the PCIDs that are not current, so a load without bit 63 forgets no more than one with it does
 * (SDM vol. 3A, 5.10.4.1 allows that): unless the register stays what it is.
 */
export function writeCr3(value: i64): bool {
  const long = (get32(MSR_EFER) & EFER_LMA) != 0;
  const keep = get32(CR4) & CR4_PCIDE && value & CR3_NO_FLUSH;
  const bits = keep ? value & ~CR3_NO_FLUSH : value;
  if (long && bits & CR3_BEYOND) return false;
  const pae = !long && (get64(CR0) & CR0_PG) != 0 && (get32(CR4) & CR4_PAE) != 0;
  if (pae && !loadPdptes(bits)) return false;
  const stays = keep && bits == get64(CR3);
  set64(CR3, bits);
  if (!stays) flushTlbNonGlobal();
  return true;
}

/** MOV to CR8: to the virtual TPR where there is a TPR shadow, after which the threshold may exit (trap-like). */
function loadCr8(value: i64): i32 {
  if (value & ~<i64>15) return gp0();
  if (inGuest() && procControl(CPU_BASED_TPR_SHADOW)) {
    setVirtualTpr(<i32>value);
    set64(RIP, get64(NEXT_RIP));
    const status = exitIfTprBelowThreshold();
    return status == ST_NEXT ? ST_DISPATCH : status;
  }
  set64(CR8, value);
  return dispatch();
}

export function op_mov_cr_store(rec: usize): i32 {
  const register = pointer(rec, REC_P1);
  const number = <i32>pointer(rec, REC_P2);
  if (number == 1 || (number > 4 && number != 8)) return ud();
  if (currentPrivilege() != 0) return gp0();
  if (inGuest()) {
    const control = number == 3 ? CPU_BASED_CR3_STORE_EXITING : number == 8 ? CPU_BASED_CR8_STORE_EXITING : 0;
    if (procControl(control)) return exitCr(number, CR_ACCESS_MOV_FROM, registerNumber(register));
  }
  writeRegister(register, in64BitMode() ? 8 : 4, controlRegister(number));
  return ST_NEXT;
}

function controlRegister(number: i32): i64 {
  switch (number) {
    case 0: return visibleCr0();
    case 2: return get64(CR2);
    case 3: return get64(CR3);
    case 4: return visibleCr4();
    default: return inGuest() && procControl(CPU_BASED_TPR_SHADOW) ? <i64>virtualTpr() : get64(CR8);
  }
}

export function op_clts(rec: usize): i32 {
  if (currentPrivilege() != 0) return gp0();
  if (inGuest() && field64(CR0_GUEST_HOST_MASK) & CR0_TS) {
    if (field64(CR0_READ_SHADOW) & CR0_TS) return exitCr(0, CR_ACCESS_CLTS, 0);
    return ST_NEXT;
  }
  set64(CR0, get64(CR0) & ~CR0_TS);
  updateMode();
  return dispatch();
}

export function op_lmsw(rec: usize): i32 {
  if (currentPrivilege() != 0) return gp0();
  const register = pointer(rec, REC_P1);
  const linear = register == 0 ? ea(rec) : 0;
  const source = register == 0 ? <i64>readN<u16>(linear) : <i64>load<u16>(register);
  if (register == 0 && fault) return ST_FAULT;
  if (inGuest() && lmswExits(source)) {
    const memory = register == 0 ? LMSW_OPERAND_MEMORY : 0;
    set64(EXIT_GLA, linear);
    const qualification = (<i32>source << LMSW_SOURCE_DATA_SHIFT) | (CR_ACCESS_LMSW << CONTROL_REG_ACCESS_TYPE_SHIFT) | memory;
    return exitInstruction(EXIT_REASON_CR_ACCESS, <i64><u32>qualification);
  }
  // PE can be set but not cleared; host-owned bits keep their value.
  const mask = (inGuest() ? ~field64(CR0_GUEST_HOST_MASK) : -1) & 15;
  const old = get64(CR0);
  const value = (old & ~mask) | (source & mask) | (old & CR0_PE);
  return writeCr0(value) ? dispatch() : pdpteFault();
}

/** 26.1.3: PE counts only when it would be set; MP, EM and TS when they differ from the shadow. */
function lmswExits(source: i64): bool {
  const mask = field64(CR0_GUEST_HOST_MASK);
  const shadow = field64(CR0_READ_SHADOW);
  return ((source ^ shadow) & mask & 14) != 0 || (source & ~shadow & mask & 1) != 0;
}

export function op_smsw(rec: usize): i32 {
  if (get32(CR4) & CR4_UMIP && currentPrivilege() != 0) return gp0();
  const value = visibleCr0();
  const register = pointer(rec, REC_P1);
  if (register == 0) return writeN<u16>(ea(rec), <u16>value) ? ST_NEXT : ST_FAULT;
  writeRegister(register, 1 << ((<i32>load<u8>(rec + REC_PREFIX) >> PREFIX_OPSIZE_SHIFT) & 3), value);
  return ST_NEXT;
}
