/**
 * The descriptor and page tables of the host kernel, in host memory: what a 64-bit kernel has ready before it can turn
 * VMX on. Selectors and layout follow Linux (arch/x86/include/asm/segment.h).
 */

import { PAGE_SIZE, type HostMemory } from '@vm/kvm-run';

export const HOST_KERNEL_CS = 0x10;
export const HOST_KERNEL_DS = 0x18;
export const HOST_USER_DS = 0x2b;
export const HOST_USER_CS = 0x33;
export const HOST_TSS = 0x40;
export const HOST_LDT = 0x50;
export const GDT_LIMIT = 0x7f;
export const IDT_LIMIT = 0xfff;
/** Bytes of the host's text that stand for one gate's handler. */
export const GATE_TEXT_SHIFT = 4;

export interface HostTables {
  readonly gdt: number;
  readonly idt: number;
  readonly tss: number;
  readonly text: number;
  /** Top-level page table. */
  readonly pgd: number;
}

/** Segment descriptors, low and high halves (SDM vol. 3A, 3.4.5). */
const SEGMENTS: readonly (readonly [selector: number, low: number, high: number])[] = [
  [HOST_KERNEL_CS, 0x0000ffff, 0x00af9b00],
  [HOST_KERNEL_DS, 0x0000ffff, 0x00cf9300],
  [HOST_USER_DS & ~3, 0x0000ffff, 0x00cff300],
  [HOST_USER_CS & ~3, 0x0000ffff, 0x00affb00],
];

const writeGdt = (memory: HostMemory, gdt: number, tss: number): void => {
  const { u32 } = memory;
  for (const [selector, low, high] of SEGMENTS) {
    u32[(gdt + selector) >>> 2] = low;
    u32[(gdt + selector + 4) >>> 2] = high;
  }
  // An available 64-bit TSS of 104 bytes; LTR makes it busy.
  const at = (gdt + HOST_TSS) >>> 2;
  u32[at] = ((tss & 0xffff) << 16) | 0x67;
  u32[at + 1] = (tss & 0xff000000) | 0x8900 | ((tss >>> 16) & 0xff);
  u32[at + 2] = 0;
  u32[at + 3] = 0;
};

/** Interrupt gates, present, DPL 0, to one address of the text a vector. */
const writeIdt = (memory: HostMemory, idt: number, text: number): void => {
  for (let vector = 0; vector < 256; vector++) {
    const offset = text + (vector << GATE_TEXT_SHIFT);
    const at = (idt + vector * 16) >>> 2;
    memory.u32[at] = (HOST_KERNEL_CS << 16) | (offset & 0xffff);
    memory.u32[at + 1] = (offset & 0xffff0000) | 0x8e00;
    memory.u32[at + 2] = 0;
    memory.u32[at + 3] = 0;
  }
};

/** Identity map of the first 4 GiB in pages of 2 MiB: all of host memory. */
const writePageTables = (memory: HostMemory): number => {
  const tables = memory.allocPages(6);
  const entry = (table: number, index: number, address: number, bits: number): void => {
    memory.u32[(table + index * 8) >>> 2] = address | bits;
    memory.u32[(table + index * 8 + 4) >>> 2] = 0;
  };
  const pdpt = tables + PAGE_SIZE;
  entry(tables, 0, pdpt, 3);
  for (let i = 0; i < 4; i++) {
    const directory = tables + (2 + i) * PAGE_SIZE;
    entry(pdpt, i, directory, 3);
    for (let j = 0; j < 512; j++) entry(directory, j, (i * 512 + j) << 21, 0x83);
  }
  return tables;
};

export const createHostTables = (memory: HostMemory): HostTables => {
  const gdt = memory.allocPages(1);
  const idt = memory.allocPages(1);
  const tss = memory.allocPages(1);
  const text = memory.allocPages(1);
  writeGdt(memory, gdt, tss);
  writeIdt(memory, idt, text);
  return { gdt, idt, tss, text, pgd: writePageTables(memory) };
};

/** The address in a gate of the IDT at `idt`, or -1 when the gate is not present. */
export const gateAddress = (memory: HostMemory, idt: number, vector: number): number => {
  const at = (idt + vector * 16) >>> 2;
  const high = memory.u32[at + 1]!;
  if ((high & 0x8000) === 0 || memory.u32[at + 2] !== 0) return -1;
  return ((high & 0xffff0000) | (memory.u32[at]! & 0xffff)) >>> 0;
};
