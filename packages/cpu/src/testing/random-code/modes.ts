/** Where random programs lie and how their memory looks, in each mode. */
import type { Random } from './random.ts';

export type Mode = 16 | 32 | 64;

/** All distances are from the beginning of the memory that programs have. */
export const CODE = 0;
export const CODE_BYTES = 0x10_0000;
/** Data that instructions read and write: four pages, then one for what programs keep themselves. */
export const WINDOW = 0x10_0000;
export const WINDOW_BYTES = 0x4000;
export const SLOTS: number = WINDOW + WINDOW_BYTES;
export const DATA_BYTES: number = WINDOW_BYTES + 0x1000;
export const STACK_LOW = 0x18_0000;
export const STACK_TOP = 0x18_f000;
/** Sixteen pages that others can be moved to. */
export const SPARE = 0x1c_0000;
/** The kernel below programs, where they have one: code, tables and words, its stack, and the page table of the memory seen again. */
export const KERNEL = 0x1d_0000;
export const KERNEL_STACK = 0x1d_8000;
export const KERNEL_STACK_TOP = 0x1d_a000;
export const KERNEL_TABLE = 0x1d_b000;
export const MEMORY_BYTES = 0x20_0000;
/** The same memory is seen this much further up. */
export const ALIAS = 0x2000_0000;

/** What programs keep in the page of slots, by distance from its beginning. */
export const SLOT = {
  depth: 0x00, iterations: 0x08, stack: 0x10, resume: 0x18, interrupts: 0x20, tables: 0x100,
} as const;

/** Addresses as a program uses them. */
export interface Addresses {
  /** RIP of the first byte of code. */
  readonly origin: number;
  readonly window: number;
  readonly slots: number;
  readonly stackTop: number;
}

/** A program's segments: linear addresses at which code, data and stack begin, and what follows from them. */
export interface Placement {
  readonly codeBase: number;
  readonly dataBase: number;
  readonly stackBase: number;
  readonly addresses: Addresses;
}

/** RIPs of the first byte of 16-bit code: in its page, at the beginning of its segment, and near the end of 64 KiB, beyond which some go on. */
const ORIGINS_16: readonly ((at: number) => number)[] = [(at) => at & 0xfff, (at) => at & 0xf, (at) => 0xf000 + (at & 0xfff)];
/** Where data begin in their segment: at its beginning, and so that it ends in the middle of the last page. */
const WINDOWS_16 = [0, 0x1_0800 - DATA_BYTES];
const CODE_BASES_32 = [0, 0, 0x40_0000];

/** `memory`: linear address of the memory; `at`: where in it the code lies. */
export function place(mode: Mode, memory: number, at: number, r: Random): Placement {
  const code = memory + CODE + at;
  // Data and stack have segments of their own.
  if (mode === 16) {
    const origin = r.pick(ORIGINS_16)(at);
    const window = r.pick(WINDOWS_16);
    const addresses = { origin, window, slots: window + SLOTS - WINDOW, stackTop: STACK_TOP - STACK_LOW };
    return { codeBase: code - origin, dataBase: memory + WINDOW - window, stackBase: memory + STACK_LOW, addresses };
  }
  const codeBase = mode === 32 ? r.pick(CODE_BASES_32) : 0;
  const stackBase = mode === 32 && r.oneIn(4) ? memory + STACK_LOW - 0x100 : 0;
  return { codeBase, dataBase: 0, stackBase, addresses: { origin: code - codeBase, window: memory + WINDOW, slots: memory + SLOTS, stackTop: memory + STACK_TOP - stackBase } };
}
