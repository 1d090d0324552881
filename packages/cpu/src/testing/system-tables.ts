/** Where a SystemGuest's tables, code and stacks lie (linear and physical addresses alike), and what its GDT holds. */
import { descriptor } from './microcode-bench.ts';

export const IDT = 0x2_0000;
export const GDT = 0x2_1000;
export const LDT = 0x2_2000;
/** The current TSS; its I/O permission bitmap may follow. */
export const TSS = 0x2_3000;
/** Two more tasks. */
export const TSS_B = 0x2_6000;
export const TSS_C = 0x2_7000;
export const PAGE_TABLES = 0x2_8000;
export const CODE = 0x3_0000;
export const DATA = 0x4_0000;
/** Stacks: the current one ends at STACK, that of level n at INNER_STACK + n * 0x1000. */
export const STACK_BASE = 0x5_0000;
export const INNER_STACK = 0x5_1000;
export const STACK = 0x5_f000;
/** First address behind what a test may use; page 0 of linear memory is mapped to it where paging is on. */
export const LOW_PAGE = 0x6_0000;
export const END = 0x6_1000;

// ---- access rights, in the VMCS's format
export const P = 0x80;
export const DPL = (level: number): number => level << 5;
export const READ_ONLY = 0x91;
export const READ_WRITE = 0x93;
export const EXPAND_DOWN = 0x97;
export const EXECUTE_ONLY = 0x99;
export const CODE_READ = 0x9b;
export const CONFORMING = 0x9f;
export const BIG = 0x4000;
export const LONG = 0x2000;
export const PAGES = 0x8000;
const FLAT = BIG | PAGES;

// ---- selectors of the GDT that each guest has; the levels' own have that RPL
export const CODE_OF = (level: number): number => (0x08 + level * 0x10) | level;
export const DATA_OF = (level: number): number => (0x10 + level * 0x10) | level;
export const CODE64_0 = 0x48;
export const CODE64_3 = 0x53;
/** 16-bit code whose base is CODE. */
export const CODE16_0 = 0x58;
export const CODE16_3 = 0x63;
/** 16-bit stack whose base is STACK_BASE. */
export const STACK16_0 = 0x68;
export const TSS_SELECTOR = 0x70;
export const LDT_SELECTOR = 0x80;
/** Free for what a test wants to put there. */
export const OWN = 0x100;

/** Flat code or data, or with a base and limit; `limit` in bytes where `attr` has no G. */
export function segment(attr: number, base = 0, limit?: number): bigint {
  return descriptor(BigInt(base), limit ?? 0xf_ffff, attr | (limit === undefined ? FLAT : 0));
}

/** 64-bit code. */
export function code64(attr: number = CODE_READ): bigint {
  return descriptor(0n, 0xf_ffff, attr | LONG | PAGES);
}

/** A system descriptor: TSS or LDT. */
export function system(type: number, base: number, limit: number): bigint {
  return descriptor(BigInt(base), limit, P | type);
}

/** The GDT of every guest. */
export function standardGdt(longMode: boolean): Readonly<Record<number, bigint>> {
  const entries: Record<number, bigint> = {
    [CODE64_0]: code64(),
    [CODE64_3 & ~3]: code64(CODE_READ | DPL(3)),
    [CODE16_0]: segment(CODE_READ, CODE, 0xffff),
    [CODE16_3 & ~3]: segment(CODE_READ | DPL(3), CODE, 0xffff),
    [STACK16_0]: segment(READ_WRITE, STACK_BASE, 0xffff),
    [TSS_SELECTOR]: system(11, TSS, longMode ? 0xfff : 0x67),
    [LDT_SELECTOR]: system(2, LDT, 0xfff),
  };
  for (let level = 0; level < 4; level++) {
    entries[CODE_OF(level) & ~3] = segment(CODE_READ | DPL(level));
    entries[DATA_OF(level) & ~3] = segment(READ_WRITE | DPL(level));
  }
  return entries;
}
