/**
 * Loading segment registers for host software in TypeScript: its linear addresses are host addresses, and it runs in
 * 64-bit mode at CPL 0 (SDM vol. 2A, MOV; vol. 3A, 3.4, 7.2).
 */
import type { HostMemory } from '@vm/kvm-run';
import type { SegmentRegister } from '@vm/kvm-run/vmx';
import {
  GDTR_BASE, GDTR_LIMIT, LDTR, LONG_MODE, MSR_EFER, SEG, SEG_ATTR, SEG_BASE, SEG_LIMIT, SEG_SELECTOR, SEG_SIZE,
} from '../state/layout.ts';

/** Numbers of the segment registers, in VMX order. */
export const SEGMENT_NUMBER: Readonly<Record<SegmentRegister, number>> = {
  es: 0, cs: 1, ss: 2, ds: 3, fs: 4, gs: 5, ldtr: 6, tr: 7,
};

const UNUSABLE = 0x10000;
const S = 0x10;
const CODE = 8;
const READABLE = 2;
const WRITABLE = 2;
const PRESENT = 0x80;
const GRANULAR = 0x8000;
const TYPE_LDT = 2;
const TYPE_TSS_AVAILABLE = 9;
const BUSY = 2;
const ACCESSED = 1;
const TI = 4;
const EFER_LMA = 0x400;

/** Address of a segment register in the area. */
export function segmentAddress(area: number, segment: number): number {
  return area + SEG + segment * SEG_SIZE;
}

function isLong(memory: HostMemory, area: number): boolean {
  return (memory.u32[(area + MSR_EFER) >>> 2]! & EFER_LMA) !== 0 || memory.u32[(area + LONG_MODE) >>> 2] !== 0;
}

/** Host address of a descriptor of `bytes` bytes, or -1 beyond its table's limit. */
function descriptorAddress(memory: HostMemory, area: number, selector: number, bytes: number): number {
  const local = (selector & TI) !== 0;
  const table = local ? segmentAddress(area, LDTR) + SEG_BASE : area + GDTR_BASE;
  const limit = memory.u32[(local ? segmentAddress(area, LDTR) + SEG_LIMIT : area + GDTR_LIMIT) >>> 2]!;
  if (local && (memory.u32[(segmentAddress(area, LDTR) + SEG_ATTR) >>> 2]! & UNUSABLE) !== 0) return -1;
  const offset = selector & 0xfff8;
  const address = memory.u32[table >>> 2]! + offset;
  const beyond = memory.u32[(table + 4) >>> 2] !== 0 || address + bytes > memory.buffer.byteLength;
  return offset + bytes - 1 > limit || beyond ? -1 : address;
}

function write(memory: HostMemory, area: number, segment: number, selector: number, base: readonly [number, number], limit: number, rights: number): void {
  const at = segmentAddress(area, segment);
  memory.u32[(at + SEG_BASE) >>> 2] = base[0];
  memory.u32[(at + SEG_BASE + 4) >>> 2] = base[1];
  memory.u32[(at + SEG_LIMIT) >>> 2] = limit;
  memory.u32[(at + SEG_ATTR) >>> 2] = rights;
  memory.u32[(at + SEG_SELECTOR) >>> 2] = selector;
}

/** The rights that a load of the register asks of a descriptor of type and S `rights`. */
function accepts(segment: number, rights: number): boolean {
  const type = rights & 0xf;
  const system = (rights & S) === 0;
  switch (segment) {
    case SEGMENT_NUMBER.ldtr: return system && type === TYPE_LDT;
    case SEGMENT_NUMBER.tr: return system && type === TYPE_TSS_AVAILABLE;
    case SEGMENT_NUMBER.cs: return !system && (type & CODE) !== 0;
    case SEGMENT_NUMBER.ss: return !system && (type & (CODE | WRITABLE)) === WRITABLE;
    default: return !system && (type & (CODE | READABLE)) !== CODE;
  }
}

/** False where the instruction would have faulted. */
export function loadSelector(memory: HostMemory, area: number, register: SegmentRegister, value: number): boolean {
  const segment = SEGMENT_NUMBER[register];
  const selector = value & 0xffff;
  if ((selector & ~3) === 0) return loadNull(memory, area, register, selector);
  const system = register === 'ldtr' || register === 'tr';
  if (system && (selector & TI) !== 0) return false;
  const wide = system && isLong(memory, area);
  const address = descriptorAddress(memory, area, selector, wide ? 16 : 8);
  if (address < 0) return false;
  const { view } = memory;
  const low = view.getUint32(address, true);
  const high = view.getUint32(address + 4, true);
  const rights = (high >>> 8) & 0xf0ff;
  if (!accepts(segment, rights) || (rights & PRESENT) === 0) return false;
  const base = ((low >>> 16) | ((high & 0xff) << 16) | (high & 0xff000000)) >>> 0;
  const units = (low & 0xffff) | (high & 0xf0000);
  const limit = (rights & GRANULAR) !== 0 ? ((units << 12) | 0xfff) >>> 0 : units;
  const mark = register === 'tr' ? BUSY : system ? 0 : ACCESSED;
  if (mark !== 0) view.setUint32(address + 4, high | (mark << 8), true);
  write(memory, area, segment, selector, [base, wide ? view.getUint32(address + 8, true) : 0], limit, rights | mark);
  return true;
}

/** A null selector makes the register unusable; CS and TR do not take one. */
function loadNull(memory: HostMemory, area: number, register: SegmentRegister, selector: number): boolean {
  if (register === 'cs' || register === 'tr') return false;
  write(memory, area, SEGMENT_NUMBER[register], selector, [0, 0], 0, UNUSABLE);
  return true;
}
