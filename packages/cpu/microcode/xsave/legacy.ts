/** FXSAVE, FXRSTOR and MXCSR (SDM vol. 2A). */
import { AVX_BLOCKED, CR0, CR4, MXCSR, ST_FAULT, ST_NEXT } from "../../src/state/layout";
import { get32, set32 } from "../cpu";
import { gp0, nm, raise, ud } from "../event";
import { ea, fault, readN, writeN } from "../mmu";
import { CR0_EM, CR0_TS, CR4_OSFXSR } from "../mode";
import { is64Bit, loadVectors, loadX87, MXCSR_MASK, readable, saveMxcsr, saveVectors, saveX87, writable } from "./components";

/** Bytes that FXSAVE and FXRSTOR reach, though the last ones are not written. */
const LEGACY_SIZE = 512;

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
