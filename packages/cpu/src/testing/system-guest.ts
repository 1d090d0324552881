/**
 * A guest that runs single instructions in any mode and at any privilege level, outside VMX operation, for tests of what the
 * SDM's pseudo-code says. One object serves many tests: reset() gives it tables, registers and memory anew.
 */
import { HostMemory } from '@vm/kvm-run';
import { instantiateMicrocode } from '../microcode/instantiate.ts';
import { Driver, POLL_STEP } from '../processor/driver.ts';
import { resetProcessor } from '../processor/reset.ts';
import * as L from '../state/layout.ts';
import { NMI_UNBLOCKED, SHADOW_SERVED, STEP_ARMED } from '../state/vmx-layout.ts';
import * as T from './system-tables.ts';
import { TEST_JIT } from './test-jit.ts';

export type Mode = 'real' | 'v86' | 'protected16' | 'protected32' | 'compatibility' | 'long';

export interface Setup {
  readonly mode?: Mode;
  /** 0 unless said otherwise; 3 in virtual-8086 mode. */
  readonly cpl?: number;
  /** Bits of RFLAGS besides bit 1 and VM. */
  readonly flags?: number;
  readonly cr4?: number;
  readonly dr7?: number;
  /** Interruptibility: 1 by STI, 2 by MOV SS, 8 by NMI. */
  readonly blocking?: number;
  /** Legacy paging: linear page 0 is LOW_PAGE, all others are themselves. Long mode always pages. */
  readonly paging?: boolean;
  /** Where the code is; it follows the mode's code segment. */
  readonly rip?: number;
  readonly regs?: Readonly<Record<string, number | bigint>>;
  /** Descriptors by selector. */
  readonly gdt?: Readonly<Record<number, bigint>>;
  /** Limits of the tables, 0xfff unless said otherwise. */
  readonly gdtLimit?: number;
  readonly idtLimit?: number;
  readonly ldt?: Readonly<Record<number, bigint>>;
  /** Gates by vector: eight bytes, or the two halves of sixteen. */
  readonly idt?: Readonly<Record<number, bigint | readonly [bigint, bigint]>>;
  /** Segment registers loaded otherwise than the mode has them: descriptor and selector. */
  readonly segments?: Readonly<Record<string, readonly [descriptor: bigint, selector: number]>>;
  /** Memory, by address: sixteen-, thirty-two- or sixty-four-bit numbers. */
  readonly words?: Readonly<Record<number, number>>;
  readonly dwords?: Readonly<Record<number, number>>;
  readonly qwords?: Readonly<Record<number, bigint>>;
}

export const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs', 'ldtr', 'tr'] as const;
export const REGISTERS = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'] as const;
/** Names of exceptions by vector. */
export const VECTORS: Readonly<Record<number, string>> = {
  0: '#DE', 1: '#DB', 3: '#BP', 4: '#OF', 5: '#BR', 6: '#UD', 7: '#NM', 8: '#DF', 10: '#TS', 11: '#NP', 12: '#SS', 13: '#GP', 14: '#PF', 17: '#AC',
};
const UNUSABLE = 0x1_0000;
const CR0_PE = 0x11n;
const CR0_PG = 0x8000_0000n;
const CR4_PSE = 0x10n;
const CR4_PAE = 0x20n;
const EFER_LONG = 0xd01n;
const FLAG_VM = 0x2_0000;
const HARDWARE_EXCEPTION = 3;

/** Bytes of a space-separated hexadecimal listing. */
export function bytes(hex: string): Uint8Array {
  return Uint8Array.from(hex.split(' '), (byte) => parseInt(byte, 16));
}

export class SystemGuest {
  readonly memory: HostMemory = HostMemory.create(16 << 20);
  readonly area: number;
  readonly driver: Driver;
  readonly #exports: Readonly<Record<string, (...args: (number | bigint)[]) => number | bigint>>;

  constructor() {
    const { memory } = this;
    // The first pages that are free are the guest's: they lie below 1 MiB, where 16-bit code reaches.
    const first = memory.allocPages(1);
    if (first > T.IDT) throw new Error('the allocator\'s own pages reach into those of the guest');
    memory.allocPages((T.END - first) / 4096 - 1);
    this.area = memory.allocPages(Math.ceil(L.AREA_SIZE / 4096));
    resetProcessor(memory, this.area, { id: 0, tscKhz: 1000, deterministic: true, seed: [1, 1] });
    const microcode = instantiateMicrocode(memory, this.area, { readClock: () => 0, cpuTrace: () => undefined });
    this.#exports = microcode.exports;
    // An event ends step(); each slice is one instruction.
    const deliver = (): number => L.ST_SHUTDOWN;
    const pollEvents = (): number => Number(microcode.exports['pollEvents']!()) || POLL_STEP;
    this.driver = new Driver(memory, this.area, { ...microcode, exports: { ...microcode.exports, deliver, pollEvents } },
      { budget: (longest) => longest, halted: () => false }, 4 << 20, TEST_JIT);
    memory.onCodeWrite((address, length) => this.driver.codeWritten(address, length));
  }

  call(name: string, ...args: (number | bigint)[]): number {
    return Number(this.#exports[name]!(...args));
  }

  get(offset: number): bigint {
    return this.memory.view.getBigUint64(this.area + offset, true);
  }

  set(offset: number, value: number | bigint): void {
    this.memory.view.setBigUint64(this.area + offset, BigInt.asUintN(64, BigInt(value)), true);
  }

  get32(offset: number): number {
    return this.memory.view.getUint32(this.area + offset, true);
  }

  set32(offset: number, value: number): void {
    this.memory.view.setInt32(this.area + offset, value, true);
  }

  rflags(): bigint {
    return BigInt.asUintN(64, this.#exports['getRflags']!() as bigint);
  }

  /** Puts the processor and its memory into the state that `setup` describes. */
  reset(setup: Setup = {}): void {
    const mode = setup.mode ?? 'protected32';
    const cpl = mode === 'v86' ? 3 : (setup.cpl ?? 0);
    this.memory.fill(T.IDT, T.END - T.IDT, 0);
    for (const offset of [L.ACTIVITY, L.REQUESTS, SHADOW_SERVED, STEP_ARMED, NMI_UNBLOCKED, L.IDT_VECTORING_INFO, L.STI_SHADOW]) this.set32(offset, 0);
    for (const offset of [L.PENDING_DEBUG, L.EVENT_DR6, L.CR2]) this.set(offset, 0);
    this.set(L.DR6, 0xffff_0ff0n);
    this.set(L.DR7, setup.dr7 ?? 0x400);
    this.set32(L.INTERRUPTIBILITY, setup.blocking ?? 0);
    this.call('clearPending');
    this.#tables(setup, mode === 'compatibility' || mode === 'long');
    this.#control(setup, mode);
    this.#segments(mode, cpl);
    for (const [name, [value, selector]] of Object.entries(setup.segments ?? {})) this.#load(SEGMENTS.indexOf(name as never), value, selector);
    this.#exports['setRflags']!(BigInt(2 | (setup.flags ?? 0) | (mode === 'v86' ? FLAG_VM : 0)), -1n);
    REGISTERS.forEach((name, i) => this.set(L.GPR + i * 8, setup.regs?.[name] ?? 0));
    const flat = mode === 'protected32' || mode === 'compatibility' || mode === 'long';
    if (setup.regs?.['rsp'] === undefined) this.set(L.RSP, flat ? T.STACK : T.STACK - T.STACK_BASE);
    this.set(L.RIP, setup.rip ?? (flat ? T.CODE : 0));
    this.call('updateMode');
    this.call('flushTlb');
  }

  #tables(setup: Setup, longMode: boolean): void {
    const { view } = this.memory;
    for (const [selector, value] of Object.entries({ ...T.standardGdt(longMode), ...setup.gdt })) view.setBigUint64(T.GDT + Number(selector), value, true);
    for (const [selector, value] of Object.entries(setup.ldt ?? {})) view.setBigUint64(T.LDT + (Number(selector) & ~7), value, true);
    for (const [vector, gate] of Object.entries(setup.idt ?? {})) {
      const [low, high] = typeof gate === 'bigint' ? [gate, 0n] : gate;
      view.setBigUint64(T.IDT + Number(vector) * (longMode ? 16 : 8), low, true);
      if (longMode) view.setBigUint64(T.IDT + Number(vector) * 16 + 8, high, true);
    }
    if (longMode) view.setBigUint64(T.TSS + 0x1c + 7 * 8, BigInt(T.INNER_STACK + 0x7000), true);
    for (let level = 0; level < 3; level++) {
      if (longMode) view.setBigUint64(T.TSS + 4 + level * 8, BigInt(T.INNER_STACK + level * 0x1000), true);
      else {
        view.setUint32(T.TSS + 4 + level * 8, T.INNER_STACK + level * 0x1000, true);
        view.setUint16(T.TSS + 8 + level * 8, T.DATA_OF(level), true);
      }
    }
    for (const [at, value] of Object.entries(setup.words ?? {})) view.setUint16(Number(at), value, true);
    for (const [at, value] of Object.entries(setup.dwords ?? {})) view.setUint32(Number(at), value, true);
    for (const [at, value] of Object.entries(setup.qwords ?? {})) view.setBigUint64(Number(at), value, true);
    this.set(L.GDTR_BASE, T.GDT);
    this.set32(L.GDTR_LIMIT, setup.gdtLimit ?? 0xfff);
    this.set(L.IDTR_BASE, T.IDT);
    this.set32(L.IDTR_LIMIT, setup.idtLimit ?? 0xfff);
  }

  #control(setup: Setup, mode: Mode): void {
    const long = mode === 'compatibility' || mode === 'long';
    const paging = long || setup.paging === true;
    this.set(L.CR0, mode === 'real' ? 0x10n : CR0_PE | (paging ? CR0_PG : 0n));
    this.set(L.CR4, BigInt(setup.cr4 ?? 0) | (long ? CR4_PAE : paging ? CR4_PSE : 0n));
    this.set(L.MSR_EFER, long ? EFER_LONG : 0n);
    this.set(L.CR3, paging ? T.PAGE_TABLES : 0);
    const { view } = this.memory;
    if (long) {
      view.setBigUint64(T.PAGE_TABLES, BigInt(T.PAGE_TABLES + 0x1000) | 7n, true);
      view.setBigUint64(T.PAGE_TABLES + 0x1000, 0x87n, true);
    } else if (paging) {
      view.setUint32(T.PAGE_TABLES, (T.PAGE_TABLES + 0x1000) | 7, true);
      for (let page = 0; page < 1024; page++) view.setUint32(T.PAGE_TABLES + 0x1000 + page * 4, ((page === 0 ? T.LOW_PAGE : page << 12) | 7), true);
    }
  }

  #segments(mode: Mode, cpl: number): void {
    const { view } = this.memory;
    const fromGdt = (seg: number, selector: number): void => this.#load(seg, view.getBigUint64(T.GDT + (selector & ~7), true), selector);
    for (const seg of [L.ES, L.DS, L.FS, L.GS]) {
      if (mode === 'real' || mode === 'v86') this.#set(seg, T.DATA >> 4, T.DATA, 0xffff, mode === 'v86' ? 0xf3 : 0x93);
      else fromGdt(seg, T.DATA_OF(cpl));
    }
    if (mode === 'real' || mode === 'v86') {
      this.#set(L.CS, T.CODE >> 4, T.CODE, 0xffff, mode === 'v86' ? 0xf3 : 0x9b);
      this.#set(L.SS, T.STACK_BASE >> 4, T.STACK_BASE, 0xffff, mode === 'v86' ? 0xf3 : 0x93);
    } else if (mode === 'protected16') {
      fromGdt(L.CS, cpl === 0 ? T.CODE16_0 : T.CODE16_3);
      this.#load(L.SS, T.segment(T.READ_WRITE | T.DPL(cpl), T.STACK_BASE, 0xffff), T.STACK16_0 | cpl);
    } else {
      fromGdt(L.CS, mode !== 'long' ? T.CODE_OF(cpl) : cpl === 0 ? T.CODE64_0 : T.CODE64_3);
      fromGdt(L.SS, T.DATA_OF(cpl));
    }
    this.#set(L.LDTR, T.LDT_SELECTOR, T.LDT, 0xfff, 0x82);
    this.#set(L.TR, T.TSS_SELECTOR, T.TSS, mode === 'long' || mode === 'compatibility' ? 0xfff : 0x67, 0x8b);
  }

  #set(seg: number, selector: number, base: number, limit: number, attr: number): void {
    const at = L.SEG + seg * L.SEG_SIZE;
    this.set(at + L.SEG_BASE, base);
    this.set32(at + L.SEG_LIMIT, limit | 0);
    this.set32(at + L.SEG_ATTR, attr);
    this.set32(at + L.SEG_SELECTOR, selector);
  }

  /** Loads a segment register unchecked; a descriptor of zero makes it unusable. */
  #load(seg: number, value: bigint, selector: number): void {
    if (value === 0n) {
      this.#set(seg, selector, 0, 0, UNUSABLE);
      return;
    }
    const low = Number(value & 0xffff_ffffn);
    const high = Number(value >> 32n);
    const limit = (low & 0xffff) | (high & 0xf_0000);
    const base = ((low >>> 16) | ((high & 0xff) << 16) | (high & 0xff00_0000)) >>> 0;
    this.#set(seg, selector, base, high & 0x80_0000 ? (limit << 12) | 0xfff : limit, (high >> 8) & 0xf0ff);
  }

  /** Puts code where CS:RIP points and runs `count` instructions, or to the first event. */
  run(code: string, count = 1): void {
    const linear = Number((this.get(L.SEG + L.CS * L.SEG_SIZE + L.SEG_BASE) + this.get(L.RIP)) & 0xffff_ffffn);
    this.memory.write(linear, bytes(code));
    this.step(count);
  }

  /** Runs `count` instructions from where it stands; 0: only what happens at the boundary. */
  step(count = 1): void {
    for (let i = 0; i < Math.max(1, count) && this.event() === 'ok'; i++) if (this.driver.run(count && 1) === 'shutdown') return;
  }

  /** The event that waits: `#GP(18)`, `int-80`, or `ok`. */
  event(): string {
    const vector = this.get32(L.EVENT_VECTOR);
    if (vector === 0xffff_ffff) return 'ok';
    if (this.get32(L.EVENT_TYPE) !== HARDWARE_EXCEPTION) return `int-${vector.toString(16)}`;
    const name = VECTORS[vector] ?? `#${vector}`;
    return this.get32(L.EVENT_HAS_ERROR) ? `${name}(${this.get32(L.EVENT_ERROR).toString(16)})` : name;
  }

  /** Delivers the event that waits, and what comes up on the way. */
  deliver(): void {
    while (this.event() !== 'ok') if (this.call('deliver') !== L.ST_FAULT) return;
  }

  /** Delivers an event of a type (0 external, 2 NMI, 3 exception, 4 to 6 software) as if it had just come. */
  interrupt(vector: number, type: number, error?: number, length = 0): void {
    this.call('deliverEvent', vector, type, error === undefined ? 0 : 1, error ?? 0, length);
  }
}
