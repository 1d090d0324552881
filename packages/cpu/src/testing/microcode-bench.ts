/** One instance of the microcode with memory and registers, for tests that call its functions and handlers directly. */
import { HostMemory } from '@vm/kvm-run';
import { instantiateMicrocode, type Microcode } from '../microcode/instantiate.ts';
import * as L from '../state/layout.ts';
import * as R from '../state/record.ts';
import { LOCAL_TIMER_DEADLINE, VMX_TIMER_DEADLINE } from '../state/vmx-layout.ts';

export const PTE_P = 1n;
export const PTE_W = 2n;
export const PTE_U = 4n;
export const PTE_A = 0x20n;
export const PTE_D = 0x40n;
export const PTE_PS = 0x80n;
export const PTE_G = 0x100n;
export const PTE_XD: bigint = 1n << 63n;

export const CODE64 = 0xa09b;
export const CODE32 = 0xc09b;
export const CODE16 = 0x009b;
export const DATA32 = 0xc093;
export const DATA16 = 0x0093;
export const UNUSABLE = 0x10000;

export interface RecordFields {
  readonly p1?: number;
  readonly p2?: number;
  readonly p3?: number;
  readonly base?: number;
  readonly index?: number;
  readonly segment?: number;
  readonly scale?: number;
  readonly disp?: bigint;
  readonly imm?: bigint;
  /** Bytes: 1, 2, 4, 8. */
  readonly size?: number;
  readonly addressSize?: number;
  readonly rep?: boolean;
  readonly repne?: boolean;
  readonly length?: number;
}

const SIZE_BITS: Readonly<Record<number, number>> = { 1: 0, 2: 1, 4: 2, 8: 3 };

export class MicrocodeBench {
  readonly memory: HostMemory;
  readonly area: number;
  readonly microcode: Microcode;
  readonly #record: number;
  /** Root of the page tables that map() fills. */
  readonly root: number;

  constructor(bytes: number = 16 << 20) {
    this.memory = HostMemory.create(bytes);
    this.area = this.memory.allocPages(Math.ceil(L.AREA_SIZE / 4096));
    this.#record = this.memory.allocPages(1);
    this.root = this.memory.allocPages(1);
    this.microcode = instantiateMicrocode(this.memory, this.area, { readClock: () => 0, cpuTrace: () => undefined });
    this.set32(L.PAGE_FLAGS, this.memory.pageFlags);
    this.set32(L.HOST_PAGES, this.memory.pages);
    this.set32(L.PAGE_TRACES, this.memory.allocPages(Math.ceil((this.memory.pages * 4) / 4096)));
    this.set32(L.RFLAGS_REST, 2);
    this.set32(L.CURRENT_VMCS, -1);
    for (const deadline of [LOCAL_TIMER_DEADLINE, VMX_TIMER_DEADLINE])
      this.memory.view.setFloat64(this.area + deadline, Infinity, true);
    this.call('clearPending');
    this.call('flushTlb');
  }

  call(name: string, ...args: (number | bigint)[]): number {
    return Number(this.microcode.exports[name]!(...args));
  }

  get(offset: number): bigint {
    return this.memory.view.getBigUint64(this.area + offset, true);
  }

  set(offset: number, value: bigint): void {
    this.memory.view.setBigUint64(this.area + offset, BigInt.asUintN(64, value), true);
  }

  get32(offset: number): number {
    return this.memory.view.getInt32(this.area + offset, true);
  }

  set32(offset: number, value: number): void {
    this.memory.view.setInt32(this.area + offset, value, true);
  }

  read64(address: number): bigint {
    return this.memory.view.getBigUint64(address, true);
  }

  write64(address: number, value: bigint): void {
    this.memory.view.setBigUint64(address, BigInt.asUintN(64, value), true);
  }

  page(count = 1, align = 1): number {
    return this.memory.allocPages(count, align);
  }

  segment(seg: number, selector: number, attr: number, base = 0n, limit = 0xffff_ffff): void {
    const at = L.SEG + seg * L.SEG_SIZE;
    this.set(at + L.SEG_BASE, base);
    this.set32(at + L.SEG_LIMIT, limit | 0);
    this.set32(at + L.SEG_ATTR, attr);
    this.set32(at + L.SEG_SELECTOR, selector);
  }

  selector(seg: number): number {
    return this.get32(L.SEG + seg * L.SEG_SIZE + L.SEG_SELECTOR);
  }

  attr(seg: number): number {
    return this.get32(L.SEG + seg * L.SEG_SIZE + L.SEG_ATTR);
  }

  base(seg: number): bigint {
    return this.get(L.SEG + seg * L.SEG_SIZE + L.SEG_BASE);
  }

  limit(seg: number): number {
    return this.get32(L.SEG + seg * L.SEG_SIZE + L.SEG_LIMIT) >>> 0;
  }

  /** Flat segments of a mode at a privilege level, and the control registers that make it. */
  enter(mode: 'real' | 'protected' | 'long', cpl = 0): void {
    const long = mode === 'long';
    this.set(L.CR0, mode === 'real' ? 0x10n : long ? 0x8001_0011n : 0x11n);
    this.set(L.CR4, long ? 0x20n : 0n);
    this.set(L.MSR_EFER, long ? 0xd01n : 0n);
    this.set(L.CR3, BigInt(this.root));
    const dpl = cpl << 5;
    for (let seg = 0; seg < 6; seg++) {
      if (mode === 'real') this.segment(seg, 0, seg === L.CS ? 0x9b : 0x93, 0n, 0xffff);
      else if (seg === L.CS) this.segment(seg, (cpl ? 0x30 : 0x08) | cpl, (long ? CODE64 : CODE32) | dpl);
      else this.segment(seg, (cpl ? 0x28 : 0x10) | cpl, DATA32 | dpl);
    }
    this.segment(L.LDTR, 0, UNUSABLE);
    this.segment(L.TR, 0x40, long ? 0x8b : 0x8b);
    this.call('updateMode');
    this.call('flushTlb');
  }

  /** Maps a page in 4-level tables; `flags` goes into the leaf, `upper` into the entries above. */
  map(linear: bigint, physical: bigint, flags: bigint, upper: bigint = PTE_P | PTE_W | PTE_U, shift = 12n): number {
    let table = this.root;
    for (let level = 39n; level > shift; level -= 9n) {
      const slot = table + Number((linear >> level) & 511n) * 8;
      if (!(this.read64(slot) & PTE_P)) this.write64(slot, BigInt(this.page()) | upper);
      table = Number(this.read64(slot) & 0xf_ffff_ffff_f000n);
    }
    const slot = table + Number((linear >> shift) & 511n) * 8;
    this.write64(slot, physical | flags);
    return slot;
  }

  /** Maps the first `bytes` of memory one to one with 2-MiB pages. */
  mapAll(flags: bigint = PTE_P | PTE_W | PTE_U): void {
    for (let at = 0n; at < BigInt(this.memory.pages) << 12n; at += 0x20_0000n) this.map(at, at, flags | PTE_PS, undefined, 21n);
  }

  /** Runs a handler on a record; RIP and NEXT_RIP as the interpreter sets them. */
  op(name: string, fields: RecordFields = {}): number {
    const { view, u8 } = this.memory;
    const rec = this.#record;
    const zero = this.area + L.ZERO;
    u8.fill(0, rec, rec + R.REC_SIZE);
    const length = fields.length ?? 2;
    u8[rec + R.REC_LENGTH] = length;
    view.setUint32(rec + R.REC_P1, fields.p1 ?? 0, true);
    view.setUint32(rec + R.REC_P2, fields.p2 ?? 0, true);
    view.setUint32(rec + R.REC_P3, fields.p3 ?? 0, true);
    view.setUint32(rec + R.REC_BASE, fields.base ?? zero, true);
    view.setUint32(rec + R.REC_INDEX_REG, fields.index ?? zero, true);
    view.setUint32(rec + R.REC_SEG, fields.segment ?? zero, true);
    u8[rec + R.REC_SCALE] = fields.scale ?? 0;
    u8[rec + R.REC_PREFIX] =
      (SIZE_BITS[fields.size ?? 4]! << R.PREFIX_OPSIZE_SHIFT) | (SIZE_BITS[fields.addressSize ?? 8]! << R.PREFIX_ADDRSIZE_SHIFT) |
      (fields.rep ? R.PREFIX_REP : 0) | (fields.repne ? R.PREFIX_REPNE : 0);
    view.setBigInt64(rec + R.REC_DISP, fields.disp ?? 0n, true);
    view.setBigInt64(rec + R.REC_IMM, fields.imm ?? 0n, true);
    this.set32(L.CURRENT_RECORD, rec);
    this.set(L.NEXT_RIP, this.get(L.RIP) + BigInt(length));
    return this.call(`op_${name}`, rec);
  }

  gpr(index: number): number {
    return this.area + L.GPR + index * 8;
  }

  /** What is pending: `#vector(error)`, `exit reason`, or null; forgets it. */
  pending(): string | null {
    const reason = this.get32(L.EXIT_REASON);
    const vector = this.get32(L.EVENT_VECTOR);
    const text = reason !== -1 ? `exit ${reason}`
      : vector === -1 ? null
      : `#${vector}${this.get32(L.EVENT_HAS_ERROR) ? `(${this.get32(L.EVENT_ERROR).toString(16)})` : ''}`;
    this.call('clearPending');
    return text;
  }

  rflags(): bigint {
    return BigInt.asUintN(64, this.microcode.exports['getRflags']!() as bigint);
  }

  setRflags(value: bigint): void {
    this.microcode.exports['setRflags']!(value, -1n);
    this.call('updateMode');
  }

  /** A GDT of the usual selectors: 8/10 kernel, 18 16-bit code, 28/30/38 user data, code64, code32; more with `more`. */
  gdt(long: boolean, more: Readonly<Record<number, bigint>> = {}): number {
    const at = this.page();
    const entries: Record<number, bigint> = {
      0x08: descriptor(0n, 0xfffff, long ? CODE64 : CODE32),
      0x10: descriptor(0n, 0xfffff, DATA32),
      0x18: descriptor(0n, 0xffff, CODE16),
      0x28: descriptor(0n, 0xfffff, DATA32 | 0x60),
      0x30: descriptor(0n, 0xfffff, (long ? CODE64 : CODE32) | 0x60),
      0x38: descriptor(0n, 0xfffff, CODE32 | 0x60),
      ...more,
    };
    for (const [selector, value] of Object.entries(entries)) this.write64(at + Number(selector), value);
    this.set(L.GDTR_BASE, BigInt(at));
    this.set32(L.GDTR_LIMIT, 0xfff);
    return at;
  }
}

/** A segment descriptor; `limit` in the unit that the G bit of `attr` says. */
export function descriptor(base: bigint, limit: number, attr: number): bigint {
  const low = BigInt(limit & 0xffff) | ((base & 0xff_ffffn) << 16n);
  return low | (BigInt(attr & 0xf0ff) << 40n) | (BigInt((limit >>> 16) & 0xf) << 48n) | ((base >> 24n) << 56n);
}

/** The first eight bytes of a gate. */
export function gate(selector: number, offset: bigint, type: number, dpl = 0, low5 = 0): bigint {
  return (offset & 0xffffn) | (BigInt(selector) << 16n) | (BigInt(low5) << 32n) | (BigInt(0x80 | (dpl << 5) | type) << 40n) |
    (((offset >> 16n) & 0xffffn) << 48n);
}
