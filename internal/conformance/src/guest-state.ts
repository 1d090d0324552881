/**
 * The state in which the guests begin, for real, protected and 64-bit mode, and the tables that they stand on. The fixtures
 * load it into a VMCS or through KVM_SET_SREGS.
 */
import { bytesOfImage, faultStub, type GuestImage } from './guest-image.ts';
import { LAYOUT } from './layout.ts';

export type Mode = 'real' | 'protected' | 'long';
export const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs', 'ldt', 'tr'] as const;
export type SegmentName = (typeof SEGMENTS)[number];

export interface SegmentState {
  readonly selector: number;
  readonly base: number;
  readonly limit: number;
  /** Access rights in the format of the VMCS (SDM vol. 3C, 25.4.1). */
  readonly rights: number;
}

export interface GuestState {
  readonly segments: Readonly<Record<SegmentName, SegmentState>>;
  readonly gdt: { readonly base: number; readonly limit: number };
  readonly idt: { readonly base: number; readonly limit: number };
  readonly cr0: number;
  readonly cr3: number;
  readonly cr4: number;
  readonly efer: number;
}

/** Memory of a guest by guest-physical address. */
export interface GuestMemory {
  write(gpa: number, bytes: Uint8Array): void;
}

const FLAT = 0xffffffff;
const UNUSABLE = 0x10000;
const GDT_BYTES = 0x40;
const LARGE_USER_WRITABLE = 0x87;
const USER_WRITABLE = 0x7;

const CODE: Readonly<Record<Mode, SegmentState>> = {
  real: { selector: 0, base: 0, limit: 0xffff, rights: 0x9b },
  protected: { selector: LAYOUT.SEL_CODE, base: 0, limit: FLAT, rights: 0xc09b },
  long: { selector: LAYOUT.SEL_CODE, base: 0, limit: FLAT, rights: 0xa09b },
};
const dataSegment = (mode: Mode): SegmentState =>
  mode === 'real'
    ? { selector: 0, base: 0, limit: 0xffff, rights: 0x93 }
    : { selector: LAYOUT.SEL_DATA, base: 0, limit: FLAT, rights: 0xc093 };

export const guestState = (mode: Mode): GuestState => {
  const data = dataSegment(mode);
  return {
    segments: {
      es: data, cs: CODE[mode], ss: data, ds: data, fs: data, gs: data,
      ldt: { selector: 0, base: 0, limit: 0, rights: UNUSABLE },
      tr: { selector: mode === 'real' ? 0 : LAYOUT.SEL_TSS, base: LAYOUT.TSS, limit: 0x67, rights: 0x8b },
    },
    gdt: { base: LAYOUT.GDT, limit: GDT_BYTES - 1 },
    idt: mode === 'real' ? { base: 0, limit: 0x3ff } : { base: LAYOUT.IDT, limit: mode === 'long' ? 0xfff : 0x7ff },
    cr0: { real: 0x30, protected: 0x31, long: 0x80000031 }[mode],
    cr3: mode === 'long' ? LAYOUT.PML4 : 0,
    cr4: mode === 'long' ? 0x620 : 0,
    efer: mode === 'long' ? 0xd01 : 0,
  };
};

const words = (...values: readonly number[]): Uint8Array => new Uint8Array(Uint32Array.from(values).buffer);

/** A system descriptor of a TSS: type 9 available, 11 busy. */
const tss = (base: number, type: number): [number, number] =>
  [((base & 0xffff) << 16) | 0x67, (base & 0xff000000) | 0x8000 | (type << 8) | ((base >>> 16) & 0xff)];

const gdt = (mode: Mode): Uint8Array => {
  const code: [number, number] = mode === 'long' ? [0xffff, 0x00af9b00] : [0xffff, 0x00cf9b00];
  const second: [number, number] = mode === 'long' ? [0, 0] : tss(LAYOUT.TSS1, 9);
  const taskGate: [number, number] = mode === 'long' ? [0, 0] : [LAYOUT.SEL_TSS1 << 16, 0x8500];
  const ldt: [number, number] = [((LAYOUT.DATA & 0xffff) << 16) | 0x7, 0x8200];
  return words(0, 0, ...code, 0xffff, 0x00cf9300, ...tss(LAYOUT.TSS, 11), ...second, ...taskGate, ...ldt, 0, 0);
};

/** Points a vector at guest code: an interrupt gate, or an entry of the real-mode table. */
export const setGate = (memory: GuestMemory, mode: Mode, vector: number, target: number): void => {
  const low = (LAYOUT.SEL_CODE << 16) | (target & 0xffff);
  const high = (target & 0xffff0000) | 0x8e00;
  if (mode === 'real') memory.write(vector * 4, words(target));
  else if (mode === 'protected') memory.write(LAYOUT.IDT + vector * 8, words(low, high));
  else memory.write(LAYOUT.IDT + vector * 16, words(low, high, 0, 0));
};

/** A gate of the 32-bit IDT that switches tasks. */
export const setTaskGate = (memory: GuestMemory, vector: number): void =>
  memory.write(LAYOUT.IDT + vector * 8, words(LAYOUT.SEL_TSS1 << 16, 0x8500));

/** The second TSS (32 bits): a task that begins at `eip`. */
export const setTask = (memory: GuestMemory, eip: number): void => {
  const { SEL_DATA: data, SEL_CODE: code } = LAYOUT;
  const frame = Array.from({ length: 26 }, () => 0);
  frame.splice(8, 2, eip, 2);
  frame[14] = LAYOUT.STACK - 0x400;
  frame.splice(18, 6, data, code, data, data, data, data);
  memory.write(LAYOUT.TSS1, words(...frame));
};

/** Page tables that map the first 4 MiB to themselves, for all privilege levels. */
const writePageTables = (memory: GuestMemory): void => {
  memory.write(LAYOUT.PML4, words(LAYOUT.PDPT | USER_WRITABLE, 0));
  memory.write(LAYOUT.PDPT, words(LAYOUT.PD | USER_WRITABLE, 0));
  memory.write(LAYOUT.PD, words(LARGE_USER_WRITABLE, 0, 0x20_0000 | LARGE_USER_WRITABLE, 0));
};

/** The guest's code, and tables in which each exception leads to the stub that reports it. */
export const writeGuest = (memory: GuestMemory, mode: Mode, image: GuestImage): void => {
  memory.write(LAYOUT.CODE, bytesOfImage(image));
  memory.write(LAYOUT.GDT, gdt(mode));
  if (mode === 'long') writePageTables(memory);
  for (let vector = 0; vector < 32; vector++) setGate(memory, mode, vector, faultStub(image, vector));
};
