/** State components in memory (SDM vol. 1, 13.4 to 13.6), for FXSAVE and the XSAVE family. */
import {
  FCW, FDP, FIP, FOP, FPR, FSW, FTAG, FTOP, MXCSR, PKRU, XMM, XMM_SIZE,
} from "../../src/state/layout";
import { PREFIX_OPSIZE_SHIFT, REC_PREFIX } from "../../src/state/record";
import { cpu, get32, get64, set32, set64 } from "../cpu";
import { currentSet, probeRead, probeWrite, readN, writeN } from "../mmu";
import { in64BitMode } from "../mode";
import { setControl, setStatusWord, statusWord } from "../x87/environment";
import { updateSummary } from "../x87/stack";

/** MXCSR bits that can be set; what FXSAVE stores as MXCSR_MASK. */
export const MXCSR_MASK = 0xffff;

export const X87: i64 = 1;
export const SSE: i64 = 2;
export const AVX: i64 = 4;
export const PKU: i64 = 0x200;

// @ts-ignore: decorator
@inline
export function is64Bit(rec: usize): bool {
  return ((load<u8>(rec + REC_PREFIX) >> PREFIX_OPSIZE_SHIFT) & 3) == 3;
}

/** Vector registers that the mode shows. */
// @ts-ignore: decorator
@inline
export function vectorCount(): i32 {
  return in64BitMode() ? 16 : 8;
}

// @ts-ignore: decorator
@inline
export function vector(i: i32): usize {
  return cpu + XMM + <usize>i * XMM_SIZE;
}

/** Checks that all of the area can be written, so that nothing faults half-way. */
export function writable(linear: i64, size: i32): bool {
  for (let at = linear; size > 0; ) {
    const part = min<i32>(size, 0x1000 - (<i32>at & 0xfff));
    if (!probeWrite(currentSet(), at, part)) return false;
    at += part;
    size -= part;
  }
  return true;
}

export function readable(linear: i64, size: i32): bool {
  for (let at = linear; size > 0; ) {
    const part = min<i32>(size, 0x1000 - (<i32>at & 0xfff));
    if (!probeRead(currentSet(), at, part)) return false;
    at += part;
    size -= part;
  }
  return true;
}

// ---- components to and from memory that was checked

export function saveX87(at: i64, wide: bool): void {
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

export function loadX87(at: i64, wide: bool): void {
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
export function saveVectors(at: i64, half: usize): void {
  for (let i = 0; i < vectorCount(); i++, at += 16) {
    writeN<u64>(at, load<u64>(vector(i) + half));
    writeN<u64>(at + 8, load<u64>(vector(i) + half, 8));
  }
}

export function loadVectors(at: i64, half: usize): void {
  for (let i = 0; i < vectorCount(); i++, at += 16) {
    store<u64>(vector(i) + half, readN<u64>(at));
    store<u64>(vector(i) + half, readN<u64>(at + 8), 8);
  }
}

export function clearVectors(half: usize): void {
  for (let i = 0; i < vectorCount(); i++) v128.store(vector(i) + half, i64x2.splat(0));
}

export function vectorsInUse(half: usize): bool {
  let bits = i64x2.splat(0);
  for (let i = 0; i < vectorCount(); i++) bits = v128.or(bits, v128.load(vector(i) + half));
  return v128.any_true(bits);
}

export function saveMxcsr(at: i64): void {
  writeN<u32>(at + 24, get32(MXCSR));
  writeN<u32>(at + 28, MXCSR_MASK);
}

/** XINUSE: the components that are not in their initial configuration (SDM vol. 1, 13.6); of SSE and AVX what the mode shows. */
export function inUse(): i64 {
  let bits: i64 = 0;
  if (x87InUse()) bits |= X87;
  if (vectorsInUse(0)) bits |= SSE;
  if (vectorsInUse(16)) bits |= AVX;
  if (get32(PKRU)) bits |= PKU;
  return bits;
}

export function x87InUse(): bool {
  if (get32(FCW) != 0x37f || (get32(FSW) | get32(FTOP) | get32(FTAG) | get32(FOP)) != 0) return true;
  if ((get64(FIP) | get64(FDP)) != 0) return true;
  for (let i: usize = 0; i < 8; i++) {
    const register = cpu + FPR + (i << 4);
    if ((load<u64>(register) | <u64>load<u16>(register, 8)) != 0) return true;
  }
  return false;
}

