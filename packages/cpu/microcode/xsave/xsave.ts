/** The XSAVE family (SDM vol. 1, 13.7 to 13.12; operation in vol. 2). */
import { CR0, CR4, FPR, MSR_XSS, MXCSR, PKRU, RAX, RDX, ST_FAULT, ST_NEXT, XCR0 } from "../../src/state/layout";
import { SECONDARY_EXEC_ENABLE_XSAVES } from "../../../kvm-run/src/vmx/controls";
import { EXIT_REASON_XRSTORS, EXIT_REASON_XSAVES } from "../../../kvm-run/src/vmx/exit-reasons";
import { XSS_EXIT_BITMAP } from "../../../kvm-run/src/vmx/fields";
import { cpu, get32, get64, set32 } from "../cpu";
import { gp0, nm, ud } from "../event";
import { ea, readN, writeN } from "../mmu";
import { CR0_TS, CR4_OSXSAVE, currentPrivilege } from "../mode";
import { writePkru } from "../system/extended";
import { inGuest, secondaryControl } from "../vmx/controls";
import { exitInstruction } from "../vmx/intercept";
import { currentVmcs, read64 } from "../vmx/vmcs";
import { initialise } from "../x87/environment";
import {
  AVX, clearVectors, inUse, is64Bit, loadVectors, loadX87, MXCSR_MASK, PKU, readable, saveMxcsr, saveVectors, saveX87, SSE,
  vectorCount, writable, X87,
} from "./components";

const MXCSR_INITIAL = 0x1f80;
/** MXCSR and its mask in the legacy region, and the vector registers. */
const MXCSR_OFFSET = 24;
const XMM_OFFSET = 160;
/** FCW to the last x87 register, before the XMM registers. */
const X87_BYTES = 160;
/** The XSAVE header, and where the extended region begins. */
const HEADER = 512;
const HEADER_SIZE = 64;
const EXTENDED = 576;
const COMPACTED: i64 = 0x8000000000000000;
/** Where the standard format has PKRU (CPUID leaf 0xd, subleaf 9). */
const PKRU_OFFSET = 2688;
const PKRU_SIZE = 8;
const AVX_SIZE = 256;

/** #UD, #NM and #GP of the whole family. */
function xBegin(rec: usize): i32 {
  if (!(get32(CR4) & CR4_OSXSAVE)) return ud();
  if (get32(CR0) & CR0_TS) return nm();
  return ea(rec) & 63 ? gp0() : ST_NEXT;
}

/** EDX:EAX. */
// @ts-ignore: decorator
@inline
function requested(): i64 {
  return <i64>(<u64>get32(RAX) & 0xffffffff) | (<i64>get32(RDX) << 32);
}

/** Where PKRU stands in an area with room for `format`, in the compacted format or not (13.4.3: no component is aligned). */
function pkruOffset(format: i64, compacted: bool): i64 {
  return compacted ? EXTENDED + (format & AVX ? AVX_SIZE : 0) : PKRU_OFFSET;
}

function vectorBytes(): i32 {
  return vectorCount() << 4;
}

/** Checks that what saving touches can be written, so that nothing faults half-way. Bytes between components are not looked at. */
function savable(at: i64, saved: i64, mxcsr: bool, format: i64, compacted: bool): bool {
  if (saved & X87 && !writable(at, X87_BYTES)) return false;
  if (mxcsr && !writable(at + MXCSR_OFFSET, 8)) return false;
  if (saved & SSE && !writable(at + XMM_OFFSET, vectorBytes())) return false;
  if (!writable(at + HEADER, compacted ? 16 : 8)) return false;
  if (saved & AVX && !writable(at + EXTENDED, vectorBytes())) return false;
  return !(saved & PKU) || writable(at + pkruOffset(format, compacted), PKRU_SIZE);
}

/** Writes the components of `saved`; `format` are those that the area has room for. */
function saveComponents(rec: usize, at: i64, saved: i64, format: i64, compacted: bool): void {
  if (saved & X87) saveX87(at, is64Bit(rec));
  if (saved & SSE) saveVectors(at + XMM_OFFSET, 0);
  if (saved & AVX) saveVectors(at + EXTENDED, 16);
  if (saved & PKU) writeN<u64>(at + pkruOffset(format, compacted), <u64>get32(PKRU) & 0xffffffff);
}

/** XSAVE and, with `optimised`, XSAVEOPT: the standard format. */
function saveStandard(rec: usize, optimised: bool): i32 {
  if (xBegin(rec) != ST_NEXT) return ST_FAULT;
  const at = ea(rec);
  const components = get64(XCR0) & requested();
  const used = inUse();
  const saved = optimised ? components & used : components;
  const mxcsr = (components & (SSE | AVX)) != 0;
  if (!savable(at, saved, mxcsr, components, false)) return ST_FAULT;
  const old = readN<i64>(at + HEADER);
  saveComponents(rec, at, saved, components, false);
  if (mxcsr) saveMxcsr(at);
  writeN<i64>(at + HEADER, (old & ~components) | (components & used));
  return ST_NEXT;
}

/** XSAVEC and XSAVES: the compacted format. SSE is saved for MXCSR's sake too. */
function saveCompacted(rec: usize, available: i64): i32 {
  const at = ea(rec);
  const components = available & requested();
  let saved = components & inUse();
  if (get32(MXCSR) != MXCSR_INITIAL) saved |= components & SSE;
  if (!savable(at, saved, (saved & SSE) != 0, components, true)) return ST_FAULT;
  saveComponents(rec, at, saved, components, true);
  if (saved & SSE) saveMxcsr(at);
  writeN<i64>(at + HEADER, saved);
  writeN<i64>(at + HEADER + 8, components | COMPACTED);
  return ST_NEXT;
}

/** Checks that the components of `loaded` can be read. */
function loadable(at: i64, loaded: i64, mxcsr: bool, format: i64, compacted: bool): bool {
  if (loaded & X87 && !readable(at, X87_BYTES)) return false;
  if (mxcsr && !readable(at + MXCSR_OFFSET, 4)) return false;
  if (loaded & SSE && !readable(at + XMM_OFFSET, vectorBytes())) return false;
  if (loaded & AVX && !readable(at + EXTENDED, vectorBytes())) return false;
  return !(loaded & PKU) || readable(at + pkruOffset(format, compacted), PKRU_SIZE);
}

/** Loads the components of `components`, those in `present` from memory, the others with their initial values. */
function restoreComponents(rec: usize, at: i64, components: i64, present: i64, format: i64, compacted: bool): void {
  if (components & X87) {
    if (present & X87) loadX87(at, is64Bit(rec));
    else resetX87();
  }
  if (components & SSE) {
    if (present & SSE) loadVectors(at + XMM_OFFSET, 0);
    else clearVectors(0);
  }
  if (components & AVX) {
    if (present & AVX) loadVectors(at + EXTENDED, 16);
    else clearVectors(16);
  }
  if (components & PKU) writePkru(present & PKU ? readN<i32>(at + pkruOffset(format, compacted)) : 0);
}

function resetX87(): void {
  initialise();
  memory.fill(cpu + FPR, 0, 128);
}

/** XRSTOR and XRSTORS. Components that the compacted format has no room for get their initial values. */
function restore(rec: usize, available: i64, supervisor: bool): i32 {
  const at = ea(rec);
  if (!readable(at + HEADER, HEADER_SIZE)) return ST_FAULT;
  const present = readN<i64>(at + HEADER);
  const bitmap = readN<i64>(at + HEADER + 8);
  const compacted = bitmap < 0;
  const format = bitmap & ~COMPACTED;
  const components = available & requested();
  if (compacted ? !validCompacted(at, present, format, available) : supervisor || !validStandard(at, present, bitmap)) return gp0();
  const loaded = components & present;
  // The standard format takes MXCSR with SSE or AVX even where the components are initial.
  const takesMxcsr = compacted ? (loaded & SSE) != 0 : (components & (SSE | AVX)) != 0;
  if (!loadable(at, loaded, takesMxcsr, format, compacted)) return ST_FAULT;
  const mxcsr = takesMxcsr ? readN<i32>(at + MXCSR_OFFSET) : components & SSE ? MXCSR_INITIAL : get32(MXCSR);
  if (mxcsr & ~MXCSR_MASK) return gp0();
  restoreComponents(rec, at, components, present, format, compacted);
  set32(MXCSR, mxcsr);
  return ST_NEXT;
}

/** The header of an area in the standard format (13.8.1): bytes 23:8 are zero. */
function validStandard(at: i64, present: i64, bitmap: i64): bool {
  return (present & ~get64(XCR0)) == 0 && bitmap == 0 && readN<i64>(at + HEADER + 16) == 0;
}

/** The header of an area in the compacted format (13.8.2): bytes 63:16 are zero. */
function validCompacted(at: i64, present: i64, format: i64, available: i64): bool {
  if (format & ~available || present & ~format) return false;
  for (let offset: i64 = 16; offset < HEADER_SIZE; offset += 8) if (readN<i64>(at + HEADER + offset) != 0) return false;
  return true;
}

/** XSAVES and XRSTORS: privileged, and sensitive in VMX non-root operation (SDM vol. 3C, 26.1.3). */
function supervisorBegin(rec: usize, reason: i32): i32 {
  if (!(get32(CR4) & CR4_OSXSAVE) || (inGuest() && !secondaryControl(SECONDARY_EXEC_ENABLE_XSAVES))) return ud();
  if (currentPrivilege() != 0) return gp0();
  if (inGuest() && requested() & get64(MSR_XSS) & read64(currentVmcs(), XSS_EXIT_BITMAP)) return exitInstruction(reason, 0);
  return xBegin(rec);
}

function xrstor(rec: usize): i32 {
  return xBegin(rec) == ST_NEXT ? restore(rec, get64(XCR0), false) : ST_FAULT;
}

function xsavec(rec: usize): i32 {
  return xBegin(rec) == ST_NEXT ? saveCompacted(rec, get64(XCR0)) : ST_FAULT;
}

function xsaves(rec: usize): i32 {
  const status = supervisorBegin(rec, EXIT_REASON_XSAVES);
  return status == ST_NEXT ? saveCompacted(rec, get64(XCR0) | get64(MSR_XSS)) : status;
}

function xrstors(rec: usize): i32 {
  const status = supervisorBegin(rec, EXIT_REASON_XRSTORS);
  return status == ST_NEXT ? restore(rec, get64(XCR0) | get64(MSR_XSS), true) : status;
}

export function op_xsave(rec: usize): i32 { return saveStandard(rec, false); }
export function op_xsave64(rec: usize): i32 { return saveStandard(rec, false); }
export function op_xsaveopt(rec: usize): i32 { return saveStandard(rec, true); }
export function op_xsaveopt64(rec: usize): i32 { return saveStandard(rec, true); }
export function op_xsavec(rec: usize): i32 { return xsavec(rec); }
export function op_xsavec64(rec: usize): i32 { return xsavec(rec); }
export function op_xsaves(rec: usize): i32 { return xsaves(rec); }
export function op_xsaves64(rec: usize): i32 { return xsaves(rec); }
export function op_xrstor(rec: usize): i32 { return xrstor(rec); }
export function op_xrstor64(rec: usize): i32 { return xrstor(rec); }
export function op_xrstors(rec: usize): i32 { return xrstors(rec); }
export function op_xrstors64(rec: usize): i32 { return xrstors(rec); }

