/** The descriptors of address-space.ts and Linux's own as the processor has them: in tables, and in segment registers. */
import { CONTENTS_CODE, CPUNODE, LDT, type LocalDescriptor, USER32_CS, USER_CS, USER_DS } from './address-space.ts';

/** A segment register's hidden part: base, limit in bytes, access rights in the VMCS's format. */
export interface Segment {
  readonly base: number;
  readonly limit: number;
  readonly attributes: number;
}

const PRESENT = 0x80;
const NOT_SYSTEM = 0x10;
const AVL = 0x1000;
const WIDE = 0x4000;
const PAGES = 0x8000;
const DPL3 = 0x60;
const UNUSABLE: Segment = { base: 0, limit: 0, attributes: 0x1_0000 };

/** As fill_ldt() of arch/x86/include/asm/desc.h makes it: accessed, DPL 3. */
function fromLocal(d: LocalDescriptor): Segment {
  const type = 1 | (d.readExecuteOnly ? 0 : 2) | (d.contents << 2);
  const attributes = type | NOT_SYSTEM | DPL3 | (d.notPresent ? 0 : PRESENT) | AVL | (d.wide ? WIDE : 0) | (d.pages ? PAGES : 0);
  return { base: d.base, limit: d.pages ? ((d.limit << 12) | 0xfff) >>> 0 : d.limit, attributes };
}

/** Linux's user segments by selector (gdt_page of arch/x86/kernel/cpu/common.c). */
const GLOBAL: ReadonlyMap<number, Segment> = new Map([
  [USER32_CS, { base: 0, limit: 0xffff_ffff, attributes: 0xc0fb }],
  [USER_DS, { base: 0, limit: 0xffff_ffff, attributes: 0xc0f3 }],
  [USER_CS, { base: 0, limit: 0xffff_ffff, attributes: 0xa0fb }],
  [CPUNODE, { base: 0, limit: 0, attributes: 0x40f5 }],
]);

/** Bytes of the tables. */
export const GDT_LIMIT = 0x7f;
export const LDT_LIMIT: number = (LDT.length + 1) * 8 - 1;

/** The segment that a selector names; unusable for a null one. */
export function segmentOf(selector: number): Segment {
  if (selector < 4) return UNUSABLE;
  if ((selector & 4) === 0) return GLOBAL.get(selector | 3) ?? UNUSABLE;
  const local = LDT[(selector >> 3) - 1];
  return local ? fromLocal(local) : UNUSABLE;
}

export function isCode(d: LocalDescriptor): boolean {
  return d.contents >= CONTENTS_CODE;
}

/** The eight bytes of a descriptor. */
function descriptorBytes({ base, limit, attributes }: Segment): bigint {
  const field = BigInt(attributes & PAGES ? limit >>> 12 : limit);
  return (field & 0xffffn) | (BigInt(base & 0xff_ffff) << 16n) | (BigInt(attributes & 0xf0ff) << 40n) | ((field >> 16n) << 48n)
    | (BigInt(base >>> 24) << 56n);
}

function table(limit: number, entries: readonly (readonly [number, Segment])[]): Uint8Array {
  const bytes = new Uint8Array(limit + 1);
  const view = new DataView(bytes.buffer);
  for (const [selector, segment] of entries) view.setBigUint64(selector & ~7, descriptorBytes(segment), true);
  return bytes;
}

/** The global table: what user code can see of Linux's. Kernel segments are there with DPL 0. */
export function globalTable(): Uint8Array {
  const kernel: [number, Segment][] = [
    [0x08, { base: 0, limit: 0xffff_ffff, attributes: 0xc09b }],
    [0x10, { base: 0, limit: 0xffff_ffff, attributes: 0xa09b }],
    [0x18, { base: 0, limit: 0xffff_ffff, attributes: 0xc093 }],
  ];
  return table(GDT_LIMIT, [...kernel, ...GLOBAL]);
}

export function localTable(): Uint8Array {
  return table(LDT_LIMIT, LDT.map((d, i) => [(i + 1) * 8, fromLocal(d)]));
}

