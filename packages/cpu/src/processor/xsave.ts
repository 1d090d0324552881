/** XSAVE and XRSTOR of the standard form for host software in TypeScript (SDM vol. 1, 13.7 and 13.8). */
import type { HostMemory } from '@vm/kvm-run';
import {
  FCW, FDP, FIP, FOP, FPR, FSW, FTAG, FTOP, MXCSR, PKRU, XCR0, XMM, XMM_SIZE,
} from '../state/layout.ts';

const X87 = 1;
const SSE = 2;
const AVX = 4;
const PKU = 0x200;
const XMM_OFFSET = 160;
const HEADER = 512;
const YMM_OFFSET = 576;
const PKRU_OFFSET = 2688;
const MXCSR_MASK = 0xffff;
const FCW_INITIAL = 0x37f;
const TOP_SHIFT = 11;
const TOP_BITS = 0x3800;
const EXCEPTIONS = 0x3f;
/** Error summary and busy. */
const SUMMARY = 0x8080;

/** Components of `mask` that XCR0 enables. */
function enabled(memory: HostMemory, area: number, mask: number): number {
  return mask & memory.u32[(area + XCR0) >>> 2]!;
}

/** Writes the components of `mask` to `address`, 64-byte aligned. */
export function xsave(memory: HostMemory, area: number, address: number, mask: number): void {
  const components = enabled(memory, area, mask);
  const { u32 } = memory;
  const to = address >>> 2;
  if ((components & X87) !== 0) saveX87(memory, area, address);
  if ((components & SSE) !== 0) copyVectors(u32, (area + XMM) >>> 2, (address + XMM_OFFSET) >>> 2, XMM_SIZE >>> 2, 4);
  if ((components & (SSE | AVX)) !== 0) {
    u32[to + 6] = u32[(area + MXCSR) >>> 2]!;
    u32[to + 7] = MXCSR_MASK;
  }
  if ((components & AVX) !== 0) copyVectors(u32, (area + XMM + 16) >>> 2, (address + YMM_OFFSET) >>> 2, XMM_SIZE >>> 2, 4);
  if ((components & PKU) !== 0) {
    u32[(address + PKRU_OFFSET) >>> 2] = u32[(area + PKRU) >>> 2]!;
    u32[(address + PKRU_OFFSET + 4) >>> 2] = 0;
  }
  const header = (address + HEADER) >>> 2;
  u32[header] = (u32[header]! & ~components) | components;
}

/** What XRSTOR of an area loads into PKRU, or -1: its component is not in `mask`. To be asked once xrstor() has succeeded. */
export function restoredPkru(memory: HostMemory, area: number, address: number, mask: number): number {
  if ((enabled(memory, area, mask) & PKU) === 0) return -1;
  const present = (memory.u32[(address + HEADER) >>> 2]! & PKU) !== 0;
  return present ? memory.u32[(address + PKRU_OFFSET) >>> 2]! : 0;
}

/** All components but PKRU, on which translations depend (restoredPkru). False: #GP(0). */
export function xrstor(memory: HostMemory, area: number, address: number, mask: number): boolean {
  const { u32 } = memory;
  const header = (address + HEADER) >>> 2;
  const available = u32[(area + XCR0) >>> 2]!;
  const present = u32[header]!;
  if ((present & ~available) !== 0 || u32[header + 1] !== 0 || u32[header + 2] !== 0 || u32[header + 3] !== 0) return false;
  const components = enabled(memory, area, mask);
  const mxcsr = u32[(address >>> 2) + 6]!;
  if ((components & (SSE | AVX)) !== 0) {
    if ((mxcsr & ~MXCSR_MASK) !== 0) return false;
    u32[(area + MXCSR) >>> 2] = mxcsr;
  }
  if ((components & X87) !== 0) {
    if ((present & X87) !== 0) loadX87(memory, area, address);
    else initialiseX87(memory, area);
  }
  if ((components & SSE) !== 0) loadVectors(u32, area, address + XMM_OFFSET, (present & SSE) !== 0, 0);
  if ((components & AVX) !== 0) loadVectors(u32, area, address + YMM_OFFSET, (present & AVX) !== 0, 16);
  return true;
}

/** Copies sixteen halves of vector registers between places whose steps (in words) differ. */
function copyVectors(u32: Uint32Array, from: number, to: number, fromStep: number, toStep: number): void {
  for (let i = 0; i < 16; i++) {
    const source = from + i * fromStep;
    const target = to + i * toStep;
    u32[target] = u32[source]!;
    u32[target + 1] = u32[source + 1]!;
    u32[target + 2] = u32[source + 2]!;
    u32[target + 3] = u32[source + 3]!;
  }
}

function loadVectors(u32: Uint32Array, area: number, address: number, present: boolean, half: number): void {
  const to = (area + XMM + half) >>> 2;
  if (present) return copyVectors(u32, address >>> 2, to, 4, XMM_SIZE >>> 2);
  for (let i = 0; i < 16; i++) u32.fill(0, to + i * (XMM_SIZE >>> 2), to + i * (XMM_SIZE >>> 2) + 4);
}

function saveX87(memory: HostMemory, area: number, address: number): void {
  const { u32 } = memory;
  const word = (offset: number): number => u32[(area + offset) >>> 2]!;
  const top = word(FTOP) & 7;
  const to = address >>> 2;
  u32[to] = (word(FCW) & 0xffff) | (((word(FSW) & ~TOP_BITS & 0xffff) | (top << TOP_SHIFT)) << 16);
  u32[to + 1] = (word(FTAG) & 0xff) | ((word(FOP) & 0x7ff) << 16);
  u32[to + 2] = word(FIP);
  u32[to + 3] = word(FIP + 4);
  u32[to + 4] = word(FDP);
  u32[to + 5] = word(FDP + 4);
  for (let i = 0; i < 8; i++) {
    const register = (area + FPR + ((top + i) & 7) * 16) >>> 2;
    const target = to + 8 + i * 4;
    u32[target] = u32[register]!;
    u32[target + 1] = u32[register + 1]!;
    u32[target + 2] = u32[register + 2]! & 0xffff;
    u32[target + 3] = 0;
  }
}

function loadX87(memory: HostMemory, area: number, address: number): void {
  const { u32 } = memory;
  const from = address >>> 2;
  const put = (offset: number, value: number): void => void (u32[(area + offset) >>> 2] = value);
  const control = u32[from]! & 0xffff;
  const status = u32[from]! >>> 16;
  const top = (status >>> TOP_SHIFT) & 7;
  // Reserved bits are dropped; bit 6 reads as one.
  put(FCW, (control & 0x1f3f) | 0x40);
  const summary = (status & ~control & EXCEPTIONS) !== 0 ? SUMMARY : 0;
  put(FSW, (status & ~(TOP_BITS | SUMMARY)) | summary);
  put(FTOP, top);
  put(FTAG, u32[from + 1]! & 0xff);
  put(FOP, (u32[from + 1]! >>> 16) & 0x7ff);
  put(FIP, u32[from + 2]!);
  put(FIP + 4, u32[from + 3]!);
  put(FDP, u32[from + 4]!);
  put(FDP + 4, u32[from + 5]!);
  for (let i = 0; i < 8; i++) {
    const register = (area + FPR + ((top + i) & 7) * 16) >>> 2;
    const source = from + 8 + i * 4;
    u32[register] = u32[source]!;
    u32[register + 1] = u32[source + 1]!;
    u32[register + 2] = u32[source + 2]! & 0xffff;
    u32[register + 3] = 0;
  }
}

function initialiseX87(memory: HostMemory, area: number): void {
  const { u32 } = memory;
  for (const offset of [FSW, FTOP, FTAG, FOP, FIP, FIP + 4, FDP, FDP + 4]) u32[(area + offset) >>> 2] = 0;
  u32[(area + FCW) >>> 2] = FCW_INITIAL;
  u32.fill(0, (area + FPR) >>> 2, (area + FPR + 128) >>> 2);
}
