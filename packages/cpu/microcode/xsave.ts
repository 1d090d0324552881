/** FXSAVE, the XSAVE family (SDM vol. 1, ch. 13) and MXCSR. */
import {
  AVX_BLOCKED, CR0, CR4, FCW, FDP, FIP, FOP, FPR, FSW, FTAG, FTOP, MSR_XSS, MXCSR, PKRU, RAX, RDX, ST_FAULT, ST_NEXT, XCR0, XMM, XMM_SIZE,
} from "../src/state/layout";
import { PREFIX_OPSIZE_SHIFT, REC_PREFIX } from "../src/state/record";
import { SECONDARY_EXEC_ENABLE_XSAVES } from "../../kvm-run/src/vmx/controls";
import { EXIT_REASON_XRSTORS, EXIT_REASON_XSAVES } from "../../kvm-run/src/vmx/exit-reasons";
import { XSS_EXIT_BITMAP } from "../../kvm-run/src/vmx/fields";
import { cpu, get32, get64, set32, set64 } from "./cpu";
import { gp0, nm, raise, ud } from "./event";
import { currentSet, ea, fault, probeWrite, readHost, readN, writeN } from "./mmu";
import { CR0_EM, CR0_TS, CR4_OSFXSR, CR4_OSXSAVE, currentPrivilege, in64BitMode } from "./mode";
import { writePkru } from "./system/extended";
import { inGuest, secondaryControl } from "./vmx/controls";
import { exitInstruction } from "./vmx/intercept";
import { currentVmcs, read64 } from "./vmx/vmcs";
import { initialise, setControl, setStatusWord, statusWord } from "./x87/environment";
import { updateSummary } from "./x87/stack";

const MXCSR_INITIAL = 0x1f80;
/** MXCSR bits that can be set; what FXSAVE stores as MXCSR_MASK. */
const MXCSR_MASK = 0xffff;
/** Bytes that FXSAVE and FXRSTOR reach, though the last ones are not written. */
const LEGACY_SIZE = 512;
/** Start of the XSAVE header, and end: where the extended region begins. */
const HEADER = 512;
const EXTENDED = 576;

/** State components. */
const X87: i64 = 1;
const SSE: i64 = 2;
const AVX: i64 = 4;
const PKU: i64 = 0x200;
const COMPACTED: i64 = 0x8000000000000000;
/** Where the standard format has PKRU. */
const PKRU_OFFSET = 2688;

// @ts-ignore: decorator
@inline
function is64Bit(rec: usize): bool {
  return ((load<u8>(rec + REC_PREFIX) >> PREFIX_OPSIZE_SHIFT) & 3) == 3;
}

/** Vector registers that the mode shows. */
// @ts-ignore: decorator
@inline
function vectorCount(): i32 {
  return in64BitMode() ? 16 : 8;
}

// @ts-ignore: decorator
@inline
function vector(i: i32): usize {
  return cpu + XMM + <usize>i * XMM_SIZE;
}

/** Checks that all of the area can be written, so that nothing faults half-way. */
function writable(linear: i64, size: i32): bool {
  for (let at = linear; size > 0; ) {
    const part = min<i32>(size, 0x1000 - (<i32>at & 0xfff));
    if (!probeWrite(currentSet(), at, part)) return false;
    at += part;
    size -= part;
  }
  return true;
}

function readable(linear: i64, size: i32): bool {
  for (let at = linear; size > 0; ) {
    const part = min<i32>(size, 0x1000 - (<i32>at & 0xfff));
    if (readHost(currentSet(), at, part) == 0) return false;
    at += part;
    size -= part;
  }
  return true;
}

// ---- components to and from memory that was checked

function saveX87(at: i64, wide: bool): void {
  writeN<u32>(at, get32(FCW) | (statusWord() << 16));
  writeN<u32>(at + 4, get32(FTAG) | (get32(FOP) << 16));
  writeN<u64>(at + 8, wide ? get64(FIP) : get64(FIP) & 0xffffffff);
  writeN<u64>(at + 16, wide ? get64(FDP) : get64(FDP) & 0xffffffff);
  const top = get32(FTOP);
  for (let i = 0; i < 8; i++) {
    const register = cpu + FPR + <usize>(((top + i) & 7) << 4);
    writeN<u64>(at + 32 + (i << 4), load<u64>(register));
    writeN<u64>(at + 40 + (i << 4), <u64>load<u16>(register, 8));
  }
}

function loadX87(at: i64, wide: bool): void {
  const words = readN<u64>(at);
  setControl(<i32>words & 0xffff);
  setStatusWord(<i32>(words >> 16) & 0xffff);
  set32(FTAG, <i32>(words >> 32) & 0xff);
  set32(FOP, <i32>(words >> 48) & 0x7ff);
  const ip = readN<u64>(at + 8);
  const dp = readN<u64>(at + 16);
  set64(FIP, wide ? ip : ip & 0xffffffff);
  set64(FDP, wide ? dp : dp & 0xffffffff);
  updateSummary();
  const top = get32(FTOP);
  for (let i = 0; i < 8; i++) {
    const register = cpu + FPR + <usize>(((top + i) & 7) << 4);
    store<u64>(register, readN<u64>(at + 32 + (i << 4)));
    store<u64>(register, <u64>readN<u16>(at + 40 + (i << 4)), 8);
  }
}

/** Copies the given half of the vector registers to memory. */
function saveVectors(at: i64, half: usize): void {
  for (let i = 0; i < vectorCount(); i++, at += 16) {
    writeN<u64>(at, load<u64>(vector(i) + half));
    writeN<u64>(at + 8, load<u64>(vector(i) + half, 8));
  }
}

function loadVectors(at: i64, half: usize): void {
  for (let i = 0; i < vectorCount(); i++, at += 16) {
    store<u64>(vector(i) + half, readN<u64>(at));
    store<u64>(vector(i) + half, readN<u64>(at + 8), 8);
  }
}

function clearVectors(half: usize): void {
  for (let i = 0; i < vectorCount(); i++) v128.store(vector(i) + half, i64x2.splat(0));
}

function vectorsInUse(half: usize): bool {
  let bits = i64x2.splat(0);
  for (let i = 0; i < 16; i++) bits = v128.or(bits, v128.load(vector(i) + half));
  return v128.any_true(bits);
}

function saveMxcsr(at: i64): void {
  writeN<u32>(at + 24, get32(MXCSR));
  writeN<u32>(at + 28, MXCSR_MASK);
}

// ---- FXSAVE

function fxBegin(rec: usize): i32 {
  if (get32(CR0) & (CR0_EM | CR0_TS)) return nm();
  return ea(rec) & 15 ? gp0() : ST_NEXT;
}

function fxsave(rec: usize): i32 {
  if (fxBegin(rec) != ST_NEXT) return ST_FAULT;
  const at = ea(rec);
  if (!writable(at, LEGACY_SIZE)) return ST_FAULT;
  saveX87(at, is64Bit(rec));
  saveMxcsr(at);
  saveVectors(at + 160, 0);
  return ST_NEXT;
}

function fxrstor(rec: usize): i32 {
  if (fxBegin(rec) != ST_NEXT) return ST_FAULT;
  const at = ea(rec);
  if (!readable(at, LEGACY_SIZE)) return ST_FAULT;
  const mxcsr = readN<i32>(at + 24);
  if (mxcsr & ~MXCSR_MASK) return gp0();
  loadX87(at, is64Bit(rec));
  set32(MXCSR, mxcsr);
  loadVectors(at + 160, 0);
  return ST_NEXT;
}

export function op_fxsave(rec: usize): i32 { return fxsave(rec); }
export function op_fxsave64(rec: usize): i32 { return fxsave(rec); }
export function op_fxrstor(rec: usize): i32 { return fxrstor(rec); }
export function op_fxrstor64(rec: usize): i32 { return fxrstor(rec); }

// ---- XSAVE

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

/** XINUSE: the components that are not in their initial configuration (SDM vol. 1, 13.6). */
function inUse(): i64 {
  let bits: i64 = 0;
  if (x87InUse()) bits |= X87;
  if (vectorsInUse(0)) bits |= SSE;
  if (vectorsInUse(16)) bits |= AVX;
  if (get32(PKRU)) bits |= PKU;
  return bits;
}

function x87InUse(): bool {
  if (get32(FCW) != 0x37f || (get32(FSW) | get32(FTOP) | get32(FTAG) | get32(FOP)) != 0) return true;
  if ((get64(FIP) | get64(FDP)) != 0) return true;
  for (let i: usize = 0; i < 8; i++) {
    const register = cpu + FPR + (i << 4);
    if ((load<u64>(register) | <u64>load<u16>(register, 8)) != 0) return true;
  }
  return false;
}

/** Bytes of an area with these components, in the compacted format or not. */
function areaSize(components: i64, compacted: bool): i32 {
  if (compacted) return EXTENDED + (components & AVX ? 256 : 0) + (components & PKU ? 8 : 0);
  return components & PKU ? PKRU_OFFSET + 8 : components & AVX ? EXTENDED + 256 : EXTENDED;
}

/** Where PKRU stands among the components. */
function pkruOffset(components: i64, compacted: bool): i64 {
  return compacted ? EXTENDED + (components & AVX ? 256 : 0) : PKRU_OFFSET;
}

/** Writes the components of `saved`; `format` are those that the area has room for. */
function saveComponents(rec: usize, at: i64, saved: i64, format: i64, compacted: bool): void {
  if (saved & X87) saveX87(at, is64Bit(rec));
  if (saved & SSE) saveVectors(at + 160, 0);
  if (saved & AVX) saveVectors(at + EXTENDED, 16);
  if (saved & PKU) writeN<u64>(at + pkruOffset(format, compacted), <u64>get32(PKRU) & 0xffffffff);
}

/** XSAVE and, with `optimised`, XSAVEOPT: the standard format. */
function saveStandard(rec: usize, optimised: bool): i32 {
  if (xBegin(rec) != ST_NEXT) return ST_FAULT;
  const at = ea(rec);
  const components = get64(XCR0) & requested();
  if (!writable(at, areaSize(components, false))) return ST_FAULT;
  const used = inUse();
  const old = readN<i64>(at + HEADER);
  saveComponents(rec, at, optimised ? components & used : components, components, false);
  if (components & (SSE | AVX)) saveMxcsr(at);
  writeN<i64>(at + HEADER, (old & ~components) | (components & used));
  return ST_NEXT;
}

/** XSAVEC and XSAVES: the compacted format. */
function saveCompacted(rec: usize, available: i64): i32 {
  const at = ea(rec);
  const components = available & requested();
  if (!writable(at, areaSize(components, true))) return ST_FAULT;
  let saved = components & inUse();
  if (get32(MXCSR) != MXCSR_INITIAL) saved |= components & SSE;
  saveComponents(rec, at, saved, components, true);
  if (saved & SSE) saveMxcsr(at);
  writeN<i64>(at + HEADER, saved);
  writeN<i64>(at + HEADER + 8, components | COMPACTED);
  return ST_NEXT;
}

/** Loads the components of `components`, those in `present` from memory, the others with their initial values. */
function restoreComponents(rec: usize, at: i64, components: i64, present: i64, format: i64, compacted: bool): void {
  if (components & X87) {
    if (present & X87) loadX87(at, is64Bit(rec));
    else resetX87();
  }
  if (components & SSE) {
    if (present & SSE) loadVectors(at + 160, 0);
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

/** XRSTOR and XRSTORS. */
function restore(rec: usize, available: i64, supervisor: bool): i32 {
  const at = ea(rec);
  if (!readable(at, EXTENDED)) return ST_FAULT;
  const present = readN<i64>(at + HEADER);
  const format = readN<i64>(at + HEADER + 8);
  const compacted = format < 0;
  const components = available & requested();
  if (compacted) {
    if (!validCompacted(at, present, format & ~COMPACTED, available)) return gp0();
  } else if (supervisor || format != 0 || present & ~get64(XCR0) || readN<i64>(at + HEADER + 16) != 0) {
    return gp0();
  }
  const layout = compacted ? format & ~COMPACTED : components & present;
  if (!readable(at, areaSize(layout, compacted))) return ST_FAULT;
  // The standard format takes MXCSR with SSE or AVX even where the components are initial.
  const takesMxcsr = compacted ? components & present & SSE : components & (SSE | AVX);
  const mxcsr = takesMxcsr ? readN<i32>(at + 24) : components & SSE ? MXCSR_INITIAL : get32(MXCSR);
  if (mxcsr & ~MXCSR_MASK) return gp0();
  restoreComponents(rec, at, components, present, layout, compacted);
  set32(MXCSR, mxcsr);
  return ST_NEXT;
}

/** The header of a compacted area (SDM vol. 1, 13.8.2). */
function validCompacted(at: i64, present: i64, format: i64, available: i64): bool {
  if (format & ~available || present & ~format) return false;
  for (let offset: i64 = 16; offset < 64; offset += 8) if (readN<i64>(at + HEADER + offset) != 0) return false;
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

// ---- MXCSR

function sseBegin(): i32 {
  if (get32(CR0) & CR0_EM || !(get32(CR4) & CR4_OSFXSR)) return ud();
  return get32(CR0) & CR0_TS ? nm() : ST_NEXT;
}

function avxBegin(): i32 {
  const blocked = get32(AVX_BLOCKED);
  return blocked ? raise(blocked) : ST_NEXT;
}

function loadMxcsr(rec: usize): i32 {
  const value = readN<i32>(ea(rec));
  if (fault) return ST_FAULT;
  if (value & ~MXCSR_MASK) return gp0();
  set32(MXCSR, value);
  return ST_NEXT;
}

function storeMxcsr(rec: usize): i32 {
  return writeN<i32>(ea(rec), get32(MXCSR)) ? ST_NEXT : ST_FAULT;
}

export function op_ldmxcsr(rec: usize): i32 { return sseBegin() == ST_NEXT ? loadMxcsr(rec) : ST_FAULT; }
export function op_ldmxcsr_avx(rec: usize): i32 { return avxBegin() == ST_NEXT ? loadMxcsr(rec) : ST_FAULT; }
export function op_stmxcsr(rec: usize): i32 { return sseBegin() == ST_NEXT ? storeMxcsr(rec) : ST_FAULT; }
export function op_stmxcsr_avx(rec: usize): i32 { return avxBegin() == ST_NEXT ? storeMxcsr(rec) : ST_FAULT; }
