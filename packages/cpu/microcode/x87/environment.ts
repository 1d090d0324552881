/** Control and status words, the environment and the whole state: FLDCW to FNSAVE, and the instructions without operands. */
import {
  CR0, FCW, FDP, FIP, FOP, FPR, FSW, FTAG, FTOP, ST_FAULT, ST_NEXT,
} from "../../src/state/layout";
import { PREFIX_OPSIZE_SHIFT, REC_P1, REC_PREFIX } from "../../src/state/record";
import { cpu, get32, get64, set32, set64 } from "../cpu";
import { nm, ud } from "../event";
import { ea, fault, readMiss, readN, writeCommit, writeMiss, writeN } from "../mmu";
import { CR0_EM, CR0_TS, inRealOrV86 } from "../mode";
import { classify, NORMAL, ZERO } from "./operand";
import {
  available, begin, BUSY, clearC1, copyRegister, ES, EXCEPTIONS, operandSize, st, updateSummary, wait,
} from "./stack";

/** Bits of the control word that can be written; bit 6 always reads one. */
const CONTROL_BITS = 0x1f3f;
const CONTROL_ONE = 0x40;

/** The state after FINIT. */
export function initialise(): void {
  set32(FCW, 0x37f);
  set32(FSW, 0);
  set32(FTOP, 0);
  set32(FTAG, 0);
  set32(FOP, 0);
  set64(FIP, 0);
  set64(FDP, 0);
}

export function setControl(value: i32): void {
  set32(FCW, (value & CONTROL_BITS) | CONTROL_ONE);
}

/** The status word as it is stored, TOP included. */
export function statusWord(): i32 {
  return get32(FSW) | (get32(FTOP) << 11);
}

export function setStatusWord(value: i32): void {
  set32(FTOP, (value >> 11) & 7);
  set32(FSW, value & 0xc7ff);
}

/** The tag word of FSTENV: two bits a register, by content (SDM vol. 1, figure 8-7). */
function fullTags(): i32 {
  let tags = 0;
  for (let i = 0; i < 8; i++) tags |= tagOf(i) << (i << 1);
  return tags;
}

function tagOf(register: i32): i32 {
  if (!((get32(FTAG) >> register) & 1)) return 3;
  const address = cpu + FPR + (<usize>register << 4);
  const kind = classify(load<u16>(address, 8), load<u64>(address));
  return kind == NORMAL ? 0 : kind == ZERO ? 1 : 2;
}

function setFullTags(tags: i32): void {
  let used = 0;
  for (let i = 0; i < 8; i++) used |= i32(((tags >> (i << 1)) & 3) != 3) << i;
  set32(FTAG, used);
}

export function op_fninit(rec: usize): i32 {
  if (available() != ST_NEXT) return ST_FAULT;
  initialise();
  return ST_NEXT;
}

export function op_fnclex(rec: usize): i32 {
  if (available() != ST_NEXT) return ST_FAULT;
  set32(FSW, get32(FSW) & 0x4700);
  return ST_NEXT;
}

export function op_fldcw(rec: usize): i32 {
  if (wait() != ST_NEXT) return ST_FAULT;
  const value = <i32>readN<u16>(ea(rec));
  if (fault) return ST_FAULT;
  setControl(value);
  updateSummary();
  return ST_NEXT;
}

export function op_fnstcw(rec: usize): i32 {
  if (available() != ST_NEXT) return ST_FAULT;
  return writeN<u16>(ea(rec), <u16>get32(FCW)) ? ST_NEXT : ST_FAULT;
}

/** To memory or to AX. */
export function op_fnstsw(rec: usize): i32 {
  if (available() != ST_NEXT) return ST_FAULT;
  if (operandSize(rec) == 0) {
    store<u16>(<usize>load<u32>(rec + REC_P1), <u16>statusWord());
    return ST_NEXT;
  }
  return writeN<u16>(ea(rec), <u16>statusWord()) ? ST_NEXT : ST_FAULT;
}

// ---- the environment (SDM vol. 1, figures 8-9 to 8-12)

// @ts-ignore: decorator
@inline
function is16Bit(rec: usize): bool {
  return ((load<u8>(rec + REC_PREFIX) >> PREFIX_OPSIZE_SHIFT) & 3) == 1;
}

function storeEnvironment(at: usize, wide: bool): void {
  const ip = <u32>get64(FIP);
  const dp = <u32>get64(FDP);
  const opcode = <u32>get32(FOP) & 0x7ff;
  const real = inRealOrV86();
  if (wide) {
    store<u32>(at, 0xffff0000 | get32(FCW));
    store<u32>(at, 0xffff0000 | statusWord(), 4);
    store<u32>(at, 0xffff0000 | fullTags(), 8);
    store<u32>(at, real ? ip & 0xffff : ip, 12);
    store<u32>(at, real ? ((ip >> 16) << 12) | opcode : opcode << 16, 16);
    store<u32>(at, real ? dp & 0xffff : dp, 20);
    store<u32>(at, real ? (dp >> 16) << 12 : 0xffff0000, 24);
    return;
  }
  store<u16>(at, <u16>get32(FCW));
  store<u16>(at, <u16>statusWord(), 2);
  store<u16>(at, <u16>fullTags(), 4);
  store<u16>(at, <u16>ip, 6);
  store<u16>(at, real ? <u16>(((ip >> 16) << 12) | opcode) : 0, 8);
  store<u16>(at, <u16>dp, 10);
  store<u16>(at, real ? <u16>((dp >> 16) << 12) : 0, 12);
}

function loadEnvironment(at: usize, wide: bool): void {
  const step = wide ? 4 : 2;
  setControl(load<u16>(at));
  setStatusWord(load<u16>(at + step));
  setFullTags(load<u16>(at + step * 2));
  updateSummary();
  const real = inRealOrV86();
  let ip: u32 = wide && !real ? load<u32>(at + 12) : load<u16>(at + step * 3);
  const second: u32 = wide ? load<u32>(at + 16) : load<u16>(at + 8);
  let dp: u32 = wide && !real ? load<u32>(at + 20) : load<u16>(at + step * 5);
  const fourth: u32 = wide ? load<u32>(at + 24) : load<u16>(at + 12);
  if (real) {
    ip |= (second >> 12) << 16;
    dp |= (fourth >> 12) << 16;
    set32(FOP, second & 0x7ff);
  } else if (wide) {
    set32(FOP, (second >> 16) & 0x7ff);
  }
  set64(FIP, ip);
  set64(FDP, dp);
}

export function op_fnstenv(rec: usize): i32 {
  if (available() != ST_NEXT) return ST_FAULT;
  const wide = !is16Bit(rec);
  const host = writeMiss(ea(rec), wide ? 28 : 14);
  if (host == 0) return ST_FAULT;
  storeEnvironment(host, wide);
  writeCommit();
  set32(FCW, get32(FCW) | EXCEPTIONS);
  set32(FSW, get32(FSW) & ~(ES | BUSY));
  return ST_NEXT;
}

export function op_fldenv(rec: usize): i32 {
  if (wait() != ST_NEXT) return ST_FAULT;
  const wide = !is16Bit(rec);
  const host = readMiss(ea(rec), wide ? 28 : 14);
  if (host == 0) return ST_FAULT;
  loadEnvironment(host, wide);
  return ST_NEXT;
}

export function op_fnsave(rec: usize): i32 {
  if (available() != ST_NEXT) return ST_FAULT;
  const wide = !is16Bit(rec);
  const size = wide ? 28 : 14;
  const host = writeMiss(ea(rec), size + 80);
  if (host == 0) return ST_FAULT;
  storeEnvironment(host, wide);
  for (let i = 0; i < 8; i++) copyRegister(host + size + i * 10, st(i));
  writeCommit();
  initialise();
  return ST_NEXT;
}

export function op_frstor(rec: usize): i32 {
  if (wait() != ST_NEXT) return ST_FAULT;
  const wide = !is16Bit(rec);
  const size = wide ? 28 : 14;
  const host = readMiss(ea(rec), size + 80);
  if (host == 0) return ST_FAULT;
  loadEnvironment(host, wide);
  for (let i = 0; i < 8; i++) copyRegister(st(i), host + size + i * 10);
  return ST_NEXT;
}

// ---- without operands

export function op_fnop(rec: usize): i32 {
  return begin(rec);
}

function rotate(rec: usize, by: i32): i32 {
  if (begin(rec) != ST_NEXT) return ST_FAULT;
  clearC1();
  set32(FTOP, (get32(FTOP) + by) & 7);
  return ST_NEXT;
}

export function op_fincstp(rec: usize): i32 { return rotate(rec, 1); }
export function op_fdecstp(rec: usize): i32 { return rotate(rec, -1); }

/** FENI, FDISI and FSETPM of the 8087 and 287 do nothing since the 387. */
export function op_fneni(rec: usize): i32 { return available(); }
export function op_fndisi(rec: usize): i32 { return available(); }
export function op_fnsetpm(rec: usize): i32 { return available(); }

/** Ends the use of the registers by MMX. */
export function op_emms(rec: usize): i32 {
  const cr0 = get32(CR0);
  if (cr0 & CR0_EM) return ud();
  if (cr0 & CR0_TS) return nm();
  if (wait() != ST_NEXT) return ST_FAULT;
  set32(FTAG, 0);
  set32(FTOP, 0);
  return ST_NEXT;
}
