/** Where random programs lie and how their memory looks, in each mode. */
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

/** `memory`: linear address of the memory; `at`: where in it the code lies; `codeBase`: the base of CS in 32-bit code. */
export function addressesOf(mode: Mode, memory: number, at: number, codeBase: number): Addresses {
  // Segments begin at the code's page, the data, the stack.
  if (mode === 16) return { origin: at & 0xfff, window: 0, slots: SLOTS - WINDOW, stackTop: STACK_TOP - STACK_LOW };
  const base = mode === 32 ? codeBase : 0;
  return { origin: memory + CODE + at - base, window: memory + WINDOW, slots: memory + SLOTS, stackTop: memory + STACK_TOP };
}
