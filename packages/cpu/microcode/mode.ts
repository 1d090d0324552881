/** The modes that the rest of the processor asks for, derived from CR0, CR4, EFER, RFLAGS, CS and SS. */
import {
  AVX_BLOCKED, CODE_LIMIT, CODE_MODE, CPL, CR0, CR4, CS, LONG_MODE, MSR_EFER, REAL_MODE, RFLAGS_REST, SS, SSE_BLOCKED, STACK_HIGH, STACK_LOW, STACK_MASK, TLB,
  TLB_SET, TLB_SET_SIZE, X87_BLOCKED, XCR0,
} from "../src/state/layout";
import { cpu, get32, get64, segAttr, segLimit, set32, set64 } from "./cpu";
import { FLAG_BIT_AC, FLAG_BIT_VIF, FLAG_BIT_VIP, FLAG_BIT_VM } from "./flags";

export const CR0_PE = 0x1;
export const CR0_MP = 0x2;
export const CR0_EM = 0x4;
export const CR0_TS = 0x8;
export const CR0_WP = 0x10000;
export const CR0_AM = 0x40000;
export const CR0_PG: i64 = 0x80000000;
export const CR4_VME = 0x1;
export const CR4_PVI = 0x2;
export const CR4_TSD = 0x4;
export const CR4_DE = 0x8;
export const CR4_PSE = 0x10;
export const CR4_PAE = 0x20;
export const CR4_PGE = 0x80;
export const CR4_OSFXSR = 0x200;
export const CR4_UMIP = 0x800;
export const CR4_LA57 = 0x1000;
export const CR4_VMXE = 0x2000;
export const CR4_FSGSBASE = 0x10000;
export const CR4_PCIDE = 0x20000;
export const CR4_OSXSAVE = 0x40000;
export const CR4_SMEP = 0x100000;
export const CR4_SMAP = 0x200000;
export const CR4_PKE = 0x400000;
export const EFER_SCE = 0x1;
export const EFER_LME = 0x100;
export const EFER_LMA = 0x400;
export const EFER_NXE = 0x800;

/** Segment attribute bits, in the format of the VMCS's access rights (SDM vol. 3C, table 26-2). */
export const ATTR_TYPE = 0xf;
export const ATTR_S = 0x10;
export const ATTR_DPL_SHIFT = 5;
export const ATTR_P = 0x80;
export const ATTR_L = 0x2000;
/** D of a code segment, B of a stack segment. */
export const ATTR_DB = 0x4000;
export const ATTR_G = 0x8000;
export const ATTR_UNUSABLE = 0x10000;

/** REAL_MODE's value in virtual-8086 mode. */
export const VIRTUAL_8086 = 2;

/** Recomputes the derived modes; to be called after any change of CR0, CR4, XCR0, EFER, RFLAGS.VM or AC, CS or SS. */
export function updateMode(): void {
  const cr0 = get32(CR0);
  const flags = get32(RFLAGS_REST);
  const long = get32(MSR_EFER) & EFER_LMA ? 1 : 0;
  const real = cr0 & CR0_PE ? (flags & FLAG_BIT_VM && !long ? VIRTUAL_8086 : 0) : 1;
  set32(LONG_MODE, long);
  set32(REAL_MODE, real);
  updateBlocked();
  updateSegmentMode();
}

/** The part of it that CS, SS and RFLAGS.AC decide: enough after transfers that stay in protected mode or in long mode. */
export function updateSegmentMode(): void {
  const real = get32(REAL_MODE);
  const cs = segAttr(CS);
  const ss = segAttr(SS);
  const code = real == VIRTUAL_8086 ? 0 : get32(LONG_MODE) && cs & ATTR_L ? 2 : cs & ATTR_DB ? 1 : 0;
  const cpl = real == 0 ? (ss >> ATTR_DPL_SHIFT) & 3 : real == VIRTUAL_8086 ? 3 : 0;
  set32(CODE_MODE, code);
  set32(CPL, cpl);
  set64(STACK_MASK, code == 2 ? -1 : ss & ATTR_DB ? 0xffffffff : 0xffff);
  set64(CODE_LIMIT, code == 2 ? -1 : <i64>segLimit(CS));
  updateStackRange(ss);
  updateTlbSet();
}

/** The offsets that SS allows (SDM vol. 3A, 6.3: an expand-down segment lies above its limit). */
function updateStackRange(ss: i32): void {
  const limit = <i64><u32>segLimit(SS);
  const down = (ss & 0x1c) == 0x14;
  const unusable = (ss & ATTR_UNUSABLE) != 0;
  set64(STACK_LOW, unusable ? 1 : down ? limit + 1 : 0);
  set64(STACK_HIGH, unusable ? 0 : !down ? limit : ss & ATTR_DB ? 0xffffffff : 0xffff);
}

/** Which vector SSE, x87 and AVX instructions raise at once (SDM vol. 2A, 2.4 and 2.5, and vol. 1, 8.3.1). */
function updateBlocked(): void {
  const cr0 = get32(CR0);
  const cr4 = get32(CR4);
  const switched = cr0 & CR0_TS ? 7 : 0;
  set32(X87_BLOCKED, cr0 & (CR0_EM | CR0_TS) ? 7 : 0);
  set32(SSE_BLOCKED, cr0 & CR0_EM || !(cr4 & CR4_OSFXSR) ? 6 : switched);
  const avx = cr4 & CR4_OSXSAVE && (get32(XCR0) & 6) == 6 && get32(REAL_MODE) == 0;
  set32(AVX_BLOCKED, avx ? switched : 6);
}

/** Chooses the TLB set; alone enough after a change of RFLAGS.AC. */
export function updateTlbSet(): void {
  let set = 0;
  if (get32(CPL) == 3) set = get32(RFLAGS_REST) & FLAG_BIT_AC && get32(CR0) & CR0_AM ? 3 : 2;
  else if (get32(CR4) & CR4_SMAP && get32(RFLAGS_REST) & FLAG_BIT_AC) set = 1;
  set32(TLB_SET, <i32>cpu + TLB + set * TLB_SET_SIZE);
}

// @ts-ignore: decorator
@inline
export function currentPrivilege(): i32 {
  return load<i32>(cpu + CPL);
}

// @ts-ignore: decorator
@inline
export function inLongMode(): bool {
  return load<i32>(cpu + LONG_MODE) != 0;
}

/** True in 64-bit mode (long mode with CS.L). */
// @ts-ignore: decorator
@inline
export function in64BitMode(): bool {
  return load<i32>(cpu + CODE_MODE) == 2;
}

/** True in real-address mode and in virtual-8086 mode. */
// @ts-ignore: decorator
@inline
export function inRealOrV86(): bool {
  return load<i32>(cpu + REAL_MODE) != 0;
}

/** True when CR0.PE is set and RFLAGS.VM is not. */
// @ts-ignore: decorator
@inline
export function inProtectedMode(): bool {
  return load<i32>(cpu + REAL_MODE) == 0;
}

// @ts-ignore: decorator
@inline
export function inV86(): bool {
  return load<i32>(cpu + REAL_MODE) == VIRTUAL_8086;
}

// @ts-ignore: decorator
@inline
export function isCanonical(linear: i64): bool {
  return (linear << 16) >> 16 == linear;
}

/** VIF and VIP have a meaning: virtual-8086 mode with VME, or CPL 3 with PVI (SDM vol. 3B, 22.3 and 22.4). */
export function virtualInterrupts(): bool {
  return inV86() ? (get32(CR4) & CR4_VME) != 0 : currentPrivilege() == 3 && (get32(CR4) & CR4_PVI) != 0;
}

/** A virtual interrupt waits that the program has enabled: #GP(0) before its next instruction (22.3.2). */
export function virtualInterruptWaits(): bool {
  const both = FLAG_BIT_VIF | FLAG_BIT_VIP;
  return (get32(RFLAGS_REST) & both) == both && virtualInterrupts();
}

/** Paging is on. */
// @ts-ignore: decorator
@inline
export function pagingEnabled(): bool {
  return (get64(CR0) & CR0_PG) != 0;
}
