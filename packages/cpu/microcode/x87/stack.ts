/**
 * The register stack, and what every x87 instruction does first and last: device-not-available and pending-error
 * checks, the last-instruction pointers, the status word.
 */
import {
  CR0, CS, FCW, FDP, FIP, FOP, FPR, FSW, FTAG, FTOP, RIP, ST_FAULT, ST_NEXT,
} from "../../src/state/layout";
import { REC_P1, REC_P2, REC_P3, REC_SEG } from "../../src/state/record";
import { cpu, get32, get64, segBase, set32, set64 } from "../cpu";
import { clearPending, nm, raise, VECTOR_MF } from "../event";
import { ea, fault, readN } from "../mmu";
import { CR0_EM, CR0_MP, CR0_TS } from "../mode";
import {
  C1, clearRaised, DE, IE, OE, raised, rExponent, rSign, rSignificand, setIndefinite, SF, signal, UE, ZE,
} from "./round";

const CR0_NE = 0x20;
/** Error summary and busy, in the status word. */
export const ES = 0x80;
export const BUSY = 0x8000;
export const EXCEPTIONS = 0x3f;

/** Memory operand's size in bytes, 0 when the operands are registers. */
// @ts-ignore: decorator
@inline
export function operandSize(rec: usize): i32 {
  return load<i32>(rec + REC_P3);
}

/** Number of the ST register that is the first operand. */
// @ts-ignore: decorator
@inline
export function first(rec: usize): i32 {
  return load<i32>(rec + REC_P1);
}

// @ts-ignore: decorator
@inline
export function second(rec: usize): i32 {
  return load<i32>(rec + REC_P2);
}

/** Host address of ST(i). */
// @ts-ignore: decorator
@inline
export function st(i: i32): usize {
  return cpu + FPR + (<usize>((get32(FTOP) + i) & 7) << 4);
}

// @ts-ignore: decorator
@inline
export function isEmpty(i: i32): bool {
  return ((get32(FTAG) >> ((get32(FTOP) + i) & 7)) & 1) == 0;
}

export function markUsed(i: i32): void {
  set32(FTAG, get32(FTAG) | (1 << ((get32(FTOP) + i) & 7)));
}

export function markEmpty(i: i32): void {
  set32(FTAG, get32(FTAG) & ~(1 << ((get32(FTOP) + i) & 7)));
}

/** Marks ST(0) empty and increments TOP. */
export function pop(): void {
  markEmpty(0);
  set32(FTOP, (get32(FTOP) + 1) & 7);
}

/** Decrements TOP; the new ST(0) is written by the caller. */
export function push(): void {
  set32(FTOP, (get32(FTOP) - 1) & 7);
}

/** Writes the result to ST(i). */
export function writeResult(i: i32): void {
  const address = st(i);
  store<u64>(address, rSignificand);
  store<u16>(address, (rSign << 15) | rExponent, 8);
  markUsed(i);
}

/** Copies a register, tag excluded. */
// @ts-ignore: decorator
@inline
export function copyRegister(to: usize, from: usize): void {
  store<u64>(to, load<u64>(from));
  store<u16>(to, load<u16>(from, 8), 8);
}

/** #NM by CR0.EM and TS; for the instructions that do not look for pending errors. */
export function available(): i32 {
  return get32(CR0) & (CR0_EM | CR0_TS) ? nm() : ST_NEXT;
}

/**
 * What a waiting instruction begins with. With CR0.NE clear the error would go out by FERR#; no such line is modelled,
 * so it stays pending, as with IGNNE# asserted (SDM vol. 1, 8.7.2).
 */
export function wait(): i32 {
  if (available() != ST_NEXT) return ST_FAULT;
  if (get32(FSW) & ES && get32(CR0) & CR0_NE) return raise(VECTOR_MF);
  return ST_NEXT;
}

/** Begins an instruction that computes: checks, then the pointers to it. FCS and FDS are always zero (CPUID.7.EBX[13]). */
export function begin(rec: usize): i32 {
  if (wait() != ST_NEXT) return ST_FAULT;
  set64(FIP, get64(RIP));
  if (operandSize(rec) != 0) set64(FDP, ea(rec) - load<i64>(load<i32>(rec + REC_SEG)));
  clearRaised();
  return ST_NEXT;
}

/** FWAIT. */
export function op_wait(rec: usize): i32 {
  if ((get32(CR0) & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS)) return nm();
  if (get32(FSW) & ES && get32(CR0) & CR0_NE) return raise(VECTOR_MF);
  return ST_NEXT;
}

/** Recomputes ES and B after the control or status word changed. */
export function updateSummary(): void {
  const status = get32(FSW);
  const pending = status & ~get32(FCW) & EXCEPTIONS;
  set32(FSW, pending ? status | ES | BUSY : status & ~(ES | BUSY));
}

export function clearC1(): void {
  set32(FSW, get32(FSW) & ~C1);
}

/** Sets C0, C2, C3 from bits of the status word, and C1. */
export function setCondition(bits: i32): void {
  set32(FSW, (get32(FSW) & ~0x4700) | bits);
}

/**
 * Takes `raised` into the status word. Returns true when the destination is to be written: an unmasked invalid
 * operation, zero divide or denormal operand leaves it alone; so does an unmasked overflow or underflow of a store to
 * memory (SDM vol. 1, 8.5).
 */
export function settle(isStore: bool): bool {
  let flags = raised;
  const control = get32(FCW);
  let stops = IE | DE | ZE;
  if (flags & IE) flags &= IE | SF | C1;
  else if (flags & ZE) flags &= ZE;
  else if (flags & DE && !(control & DE)) flags &= DE;
  if (isStore) stops |= OE | UE;
  const unmasked = flags & ~control & EXCEPTIONS;
  let status = (get32(FSW) & ~C1) | flags;
  if (unmasked) {
    status |= ES | BUSY;
    rememberOpcode();
  }
  set32(FSW, status);
  return (unmasked & stops) == 0;
}

/** FOP holds the opcode of the last instruction with an unmasked exception (SDM vol. 1, 8.1.9.1). */
function rememberOpcode(): void {
  let linear = segBase(CS) + get64(FIP);
  for (let i = 0; i < 14; i++, linear++) {
    const byte = <i32>readN<u8>(linear);
    if (!fault && (byte & 0xf8) != 0xd8) continue;
    const opcode = ((byte & 7) << 8) | <i32>readN<u8>(linear + 1);
    if (fault) clearPending();
    else set32(FOP, opcode);
    return;
  }
}

/** Stack underflow on reading: indefinite to ST(i), or nothing if unmasked; returns whether it was masked. */
export function underflow(i: i32): bool {
  signal(IE | SF);
  setIndefinite();
  if (!settle(false)) return false;
  writeResult(i);
  return true;
}

/** Pushes the result, or the indefinite if that overflows the stack; an earlier stack fault of the source comes first. */
export function pushResult(): void {
  if (!isEmpty(-1) && !(raised & SF)) {
    signal(IE | SF | C1);
    setIndefinite();
  }
  if (!settle(false)) return;
  push();
  writeResult(0);
}
