/** Processor states at a kernel's first instruction, and the tables in low memory that they need. */

import { CR0_ET, CR0_PE, CR0_PG, CR4_PAE, EFER_LMA, EFER_LME, RFLAGS_FIXED } from '../../../target/i386/bits.ts';
import { setSegment, type SegmentAttributes, type X86Env } from '../../../target/i386/env.ts';
import { BOOT_STACK_TOP, GDT_ADDRESS, GiB, IDENTITY_MAPPED, MiB, PAGE_DIRECTORIES, PDPT_ADDRESS, PML4_ADDRESS } from '../layout.ts';
import type { RomBlob } from './boot-image.ts';

/** Selectors of the boot protocol (Documentation/x86/boot.rst): __BOOT_CS and __BOOT_DS. */
const BOOT_CS = 0x10;
const BOOT_DS = 0x18;
const BOOT_TSS = 0x20;

/** IDTR as firmware leaves it: a kernel that goes to real mode finds its 256 vectors at 0 (SDM vol. 3B, 21.1.4). */
const REAL_MODE_VECTORS = 0x400;

const CODE64: SegmentAttributes = { type: 11, s: 1, l: 1, g: 1 };
const CODE32: SegmentAttributes = { type: 11, s: 1, db: 1, g: 1 };
const DATA32: SegmentAttributes = { type: 3, s: 1, db: 1, g: 1 };
const BUSY_TSS: SegmentAttributes = { type: 11, s: 0 };

const DESCRIPTOR_CODE64 = 0x00af_9b00_0000_ffffn;
const DESCRIPTOR_CODE32 = 0x00cf_9b00_0000_ffffn;
const DESCRIPTOR_DATA = 0x00cf_9300_0000_ffffn;
const DESCRIPTOR_TSS = 0x0000_8b00_0000_0067n;

const PTE_PRESENT_WRITABLE = 3n;
const PDE_LARGE = 0x80n;

function gdt(code: bigint): RomBlob {
  const entries = BigUint64Array.of(0n, 0n, code, DESCRIPTOR_DATA, DESCRIPTOR_TSS, 0n);
  return { name: 'GDT', address: GDT_ADDRESS, bytes: new Uint8Array(entries.buffer) };
}

/** Page tables that map the first 4 GiB to themselves with 2 MiB pages. */
function identityPageTables(): RomBlob {
  const gibs = IDENTITY_MAPPED / GiB;
  const bytes = new Uint8Array(PAGE_DIRECTORIES - PML4_ADDRESS + gibs * 4096);
  const entries = new BigUint64Array(bytes.buffer);
  entries[0] = BigInt(PDPT_ADDRESS) | PTE_PRESENT_WRITABLE;
  for (let i = 0; i < gibs; i++)
    entries[(PDPT_ADDRESS - PML4_ADDRESS) / 8 + i] = BigInt(PAGE_DIRECTORIES + i * 4096) | PTE_PRESENT_WRITABLE;
  const directory = (PAGE_DIRECTORIES - PML4_ADDRESS) / 8;
  for (let i = 0; i < gibs * 512; i++) entries[directory + i] = BigInt(i * 2 * MiB) | PTE_PRESENT_WRITABLE | PDE_LARGE;
  return { name: 'identity page tables', address: PML4_ADDRESS, bytes };
}

export const longModeTables = (): RomBlob[] => [gdt(DESCRIPTOR_CODE64), identityPageTables()];
export const protectedModeTables = (): RomBlob[] => [gdt(DESCRIPTOR_CODE32)];

export interface EntryRegisters {
  readonly rip: number;
  readonly rax?: number;
  readonly rbx?: number;
  readonly rsi?: number;
}

/** 64-bit mode, paging on with the identity tables, interrupts off (boot.rst, "64-bit Boot Protocol"). */
export function enterLongMode(env: X86Env, registers: EntryRegisters): void {
  setRegisters(env, registers);
  flatSegments(env, CODE64);
  env.sregs.cr0 = CR0_PE | CR0_ET | CR0_PG;
  env.sregs.cr3 = BigInt(PML4_ADDRESS);
  env.sregs.cr4 = CR4_PAE;
  env.sregs.efer = EFER_LME | EFER_LMA;
}

/** Protected mode with flat segments, paging and interrupts off. */
export function enterProtectedMode(env: X86Env, registers: EntryRegisters): void {
  setRegisters(env, registers);
  flatSegments(env, CODE32);
  env.sregs.cr0 = CR0_PE | CR0_ET;
  env.sregs.cr4 = 0n;
}

function setRegisters(env: X86Env, registers: EntryRegisters): void {
  env.regs.rip = BigInt(registers.rip);
  env.regs.rflags = RFLAGS_FIXED;
  env.regs.rax = BigInt(registers.rax ?? 0);
  env.regs.rbx = BigInt(registers.rbx ?? 0);
  env.regs.rdx = 0n;
  env.regs.rsi = BigInt(registers.rsi ?? 0);
  env.regs.rsp = BigInt(BOOT_STACK_TOP);
}

function flatSegments(env: X86Env, code: SegmentAttributes): void {
  const { sregs } = env;
  setSegment(sregs.cs, BOOT_CS, 0n, 0xffff_ffff, code);
  for (const name of ['ds', 'es', 'fs', 'gs', 'ss'] as const) setSegment(sregs[name], BOOT_DS, 0n, 0xffff_ffff, DATA32);
  setSegment(sregs.tr, BOOT_TSS, 0n, 0x67, BUSY_TSS);
  sregs.gdt.base = BigInt(GDT_ADDRESS);
  sregs.gdt.limit = 6 * 8 - 1;
  sregs.idt.base = 0n;
  sregs.idt.limit = REAL_MODE_VECTORS - 1;
}
