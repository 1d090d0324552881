/**
 * The memory and the descriptors that cases see, the same on both sides. All lies below 2 GiB, so that each address can
 * be a sign-extended displacement and an address of 32 bits; data lie in one 64-KiB block, so that 16-bit addresses
 * reach them through a segment with that base.
 */

export interface Region {
  readonly address: number;
  readonly length: number;
  readonly writable: boolean;
  readonly executable: boolean;
}

/** Base of the data block. Pages that no region covers are not present. */
export const DATA = 0x1000_0000;
/** Two pages to read and write; not present before and behind. */
export const DATA_RW: number = DATA + 0x1000;
export const DATA_RW_LENGTH = 0x2000;
/** One page to read; not present behind. */
export const DATA_RO: number = DATA + 0x4000;
/** Two pages for stacks. */
export const STACK: number = DATA + 0x8000;
export const STACK_LENGTH = 0x2000;
/** Base of the code block. */
export const CODE = 0x2000_0000;
/** Two pages of code; not present before and behind. */
export const CODE_RX: number = CODE + 0x1000;
export const CODE_LENGTH = 0x2000;
/** Where an instruction usually begins. */
export const CODE_START: number = CODE_RX + 0x800;
/** Behind the last byte that can be executed. */
export const CODE_END: number = CODE_RX + CODE_LENGTH;
/** INT3: what surrounds the instruction. */
export const FILLER = 0xcc;

export const REGIONS: readonly Region[] = [
  { address: DATA_RW, length: DATA_RW_LENGTH, writable: true, executable: false },
  { address: DATA_RO, length: 0x1000, writable: false, executable: false },
  { address: STACK, length: STACK_LENGTH, writable: true, executable: false },
  { address: CODE_RX, length: CODE_LENGTH, writable: true, executable: true },
];

/** What a region holds before a case's own bytes: code is all INT3, data are some fixed bytes that differ everywhere. */
export function pristine(region: Region): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(region.length);
  if (region.executable) return bytes.fill(FILLER);
  const words = new Uint32Array(bytes.buffer);
  for (let i = 0; i < words.length; i++) {
    let x = Math.imul(region.address + i * 4, 0x9e3779b1);
    x ^= x >>> 15;
    words[i] = Math.imul(x, 0x85ebca77);
  }
  return bytes;
}

/** Kinds of descriptors, in modify_ldt's terms. */
export const CONTENTS_DATA = 0;
export const CONTENTS_STACK = 1;
export const CONTENTS_CODE = 2;
export const CONTENTS_CONFORMING = 3;

export interface LocalDescriptor {
  readonly name: string;
  readonly base: number;
  /** In the unit that `pages` says. */
  readonly limit: number;
  readonly contents: number;
  /** D or B. */
  readonly wide?: boolean;
  readonly readExecuteOnly?: boolean;
  readonly pages?: boolean;
  readonly notPresent?: boolean;
}

/** The local descriptor table from entry 1 on. */
export const LDT: readonly LocalDescriptor[] = [
  { name: 'code32', base: 0, limit: 0xfffff, pages: true, contents: CONTENTS_CODE, wide: true },
  { name: 'code16', base: CODE, limit: 0xffff, contents: CONTENTS_CODE },
  { name: 'data16', base: DATA, limit: 0xffff, contents: CONTENTS_DATA },
  { name: 'data32', base: 0, limit: 0xfffff, pages: true, contents: CONTENTS_DATA, wide: true },
  { name: 'small', base: DATA, limit: 0x17ff, contents: CONTENTS_DATA, wide: true },
  { name: 'down32', base: DATA, limit: 0x17ff, contents: CONTENTS_STACK, wide: true },
  { name: 'down16', base: DATA, limit: 0x17ff, contents: CONTENTS_STACK },
  { name: 'readOnly', base: 0, limit: 0xfffff, pages: true, contents: CONTENTS_DATA, wide: true, readExecuteOnly: true },
  { name: 'executeOnly', base: CODE, limit: 0xffff, contents: CONTENTS_CODE, wide: true, readExecuteOnly: true },
  { name: 'absentData', base: 0, limit: 0xfffff, pages: true, contents: CONTENTS_DATA, wide: true, notPresent: true },
  { name: 'absentCode', base: 0, limit: 0xfffff, pages: true, contents: CONTENTS_CODE, wide: true, notPresent: true },
  { name: 'absentConforming', base: 0, limit: 0xfffff, pages: true, contents: CONTENTS_CONFORMING, wide: true, notPresent: true },
  { name: 'smallCode', base: CODE, limit: 0x2fff, contents: CONTENTS_CODE, wide: true },
  { name: 'odd', base: DATA + 3, limit: 0xffff, contents: CONTENTS_DATA, wide: true },
  { name: 'high', base: 0xffff_f000, limit: 0xfffff, pages: true, contents: CONTENTS_DATA, wide: true },
  { name: 'wide16', base: DATA, limit: 0xffff, contents: CONTENTS_DATA, wide: true },
  { name: 'downPages', base: 0, limit: 1, pages: true, contents: CONTENTS_STACK, wide: true },
];

/** A selector of the local table, with privilege 3. */
export function local(name: string): number {
  const index = LDT.findIndex((d) => d.name === name);
  if (index < 0) throw new Error(`no descriptor ${name}`);
  return (index + 1) * 8 + 7;
}

/** Linux's selectors of user segments (arch/x86/include/asm/segment.h). */
export const USER32_CS = 0x23;
export const USER_DS = 0x2b;
export const USER_CS = 0x33;
/** Linux's segment whose limit tells the processor's number, for LSL. */
export const CPUNODE = 0x7b;
