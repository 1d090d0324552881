/**
 * A processor for tests of system behaviour: in any mode and at any privilege level it executes one instruction from its
 * bytes, and tells the exception that this raised instead of delivering it.
 */
import type { HostMemory } from '@vm/kvm-run';
import { resetProcessor } from '../processor/reset.ts';
import * as L from '../state/layout.ts';
import { bareMachine, type BareMachine } from './bare-machine.ts';
import { CODE32, CODE64, DATA16, DATA32, UNUSABLE } from './microcode-bench.ts';
import { TEST_JIT } from './test-jit.ts';

/** 'protected' is without paging, 'pae' with PAE paging; 'compat' and 'long' are the modes of long mode. */
export type Mode = 'real' | 'v86' | 'protected' | 'pae' | 'compat' | 'long';

const NAMES: Readonly<Record<number, string>> = {
  0: 'DE', 1: 'DB', 3: 'BP', 4: 'OF', 5: 'BR', 6: 'UD', 7: 'NM', 8: 'DF', 10: 'TS', 11: 'NP', 12: 'SS', 13: 'GP', 14: 'PF', 16: 'MF', 17: 'AC', 19: 'XM',
};
const REGISTERS = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'] as const;
const CR0_BASE = 0x33n;
const CR0_PG = 0x8000_0000n;
const CR0_AM = 0x4_0000n;
const CR4_BASE = 0x600n;
const CR4_PAE = 0x20n;
const EFER_LONG = 0xd01n;
const FLAG_VM = 0x2_0000n;
const GIB = 1n << 30n;
/** Present, writable, user, large. */
const LARGE = 0x87n;

export type Registers = Partial<Record<(typeof REGISTERS)[number], bigint | number>>;

/** What became of an instruction: 'ok', or `#GP(0)`, `#UD`, `#PF(4)`. */
export type Outcome = string;

export class SystemMachine {
  readonly machine: BareMachine;
  readonly memory: HostMemory;
  readonly area: number;
  /** Pages for code, data and the stack, all mapped to themselves; the page after the code is mapped as well. */
  readonly code: number;
  readonly data: number;
  readonly stack: number;
  readonly #pml4: number;
  readonly #pdpt: number;
  /** The directory pointers of PAE paging. */
  readonly pdptes: number;

  /** With `delivers` events go through the IDT. */
  constructor(delivers = false) {
    this.machine = bareMachine(8 << 20, true, TEST_JIT, false, delivers);
    const { memory, area, ram } = this.machine;
    [this.memory, this.area] = [memory, area];
    [this.code, this.data, this.stack] = [ram, ram + 0x1_0000, ram + 0x2_0000];
    [this.#pml4, this.#pdpt, this.pdptes] = [ram + 0x3_0000, ram + 0x3_1000, ram + 0x3_2000];
    const { view } = memory;
    view.setBigUint64(this.#pml4, BigInt(this.#pdpt) | 7n, true);
    for (let i = 0; i < 4; i++) view.setBigUint64(this.#pdpt + i * 8, (BigInt(i) * GIB) | LARGE, true);
    for (let i = 0; i < 4; i++) {
      const directory = ram + 0x3_4000 + i * 0x1000;
      view.setBigUint64(this.pdptes + i * 8, BigInt(directory) | 1n, true);
      for (let j = 0; j < 512; j++) view.setBigUint64(directory + j * 8, (BigInt(i) * GIB) | (BigInt(j) << 21n) | LARGE, true);
    }
  }

  get(offset: number): bigint { return this.machine.get(offset); }
  set(offset: number, value: bigint): void { this.machine.set(offset, value); }
  get32(offset: number): number { return this.machine.get32(offset); }
  set32(offset: number, value: number): void { this.machine.set32(offset, value); }

  segment(segment: number): { selector: number; attr: number; base: bigint; limit: number } {
    const at = L.SEG + segment * L.SEG_SIZE;
    return {
      selector: this.get32(at + L.SEG_SELECTOR), attr: this.get32(at + L.SEG_ATTR), base: this.get(at + L.SEG_BASE), limit: this.get32(at + L.SEG_LIMIT) >>> 0,
    };
  }

  setSegment(segment: number, selector: number, attr: number, base = 0n, limit = 0xffff_ffff): void {
    const at = L.SEG + segment * L.SEG_SIZE;
    this.set(at + L.SEG_BASE, base);
    this.set32(at + L.SEG_LIMIT, limit | 0);
    this.set32(at + L.SEG_ATTR, attr);
    this.set32(at + L.SEG_SELECTOR, selector);
  }

  /** The reset state, and from there flat segments (64 KiB each in 'real' and 'v86') and the control registers of a mode. */
  enter(mode: Mode, cpl = 0): void {
    const { memory, area } = this;
    memory.u8.fill(0, area, area + L.EVENT_VECTOR);
    for (const word of [L.INTERRUPTIBILITY, L.ACTIVITY, L.FSW, L.FTOP]) this.set32(word, 0);
    resetProcessor(memory, area, { id: 0, tscKhz: 1_000_000, deterministic: true, seed: [1, 2] });
    const long = mode === 'long' || mode === 'compat';
    const paging = long || mode === 'pae';
    this.set(L.CR0, mode === 'real' ? CR0_BASE & ~1n : paging ? CR0_BASE | CR0_PG : CR0_BASE);
    this.set(L.CR4, paging ? CR4_BASE | CR4_PAE : CR4_BASE);
    this.set(L.CR3, BigInt(long ? this.#pml4 : mode === 'pae' ? this.pdptes : 0));
    this.set(L.MSR_EFER, long ? EFER_LONG : 0n);
    if (mode === 'pae') for (let i = 0; i < 4; i++) this.set(L.PDPTE0 + i * 8, memory.view.getBigUint64(this.pdptes + i * 8, true));
    this.set(L.RSP, mode === 'real' || mode === 'v86' ? 0x800n : BigInt(this.stack + 0x800));
    this.#segments(mode, mode === 'v86' ? 3 : cpl);
    this.setFlags(mode === 'v86' ? FLAG_VM | 2n : 2n);
    this.update();
  }

  #segments(mode: Mode, cpl: number): void {
    const dpl = cpl << 5;
    if (mode === 'real' || mode === 'v86') {
      for (let segment = 0; segment < 6; segment++) {
        const base = segment === L.CS ? this.code : segment === L.SS ? this.stack : this.data;
        this.setSegment(segment, base >>> 4 & 0xffff, (segment === L.CS && mode === 'real' ? 0x9b : DATA16) | dpl, BigInt(base), 0xffff);
      }
    } else {
      for (let segment = 0; segment < 6; segment++) this.setSegment(segment, (cpl ? 0x28 : 0x10) | cpl, DATA32 | dpl);
      this.setSegment(L.CS, (cpl ? 0x30 : 8) | cpl, (mode === 'long' ? CODE64 : CODE32) | dpl);
    }
    this.setSegment(L.LDTR, 0, UNUSABLE);
    this.setSegment(L.TR, 0x40, 0x8b, BigInt(this.stack + 0x1000), 0x67);
  }

  /** To be called after a change of registers that modes or translations depend on. */
  update(): void {
    this.machine.updateMode();
    this.machine.ex('flushTlb');
  }

  flags(): bigint { return this.machine.rflags(); }

  setFlags(value: bigint): void {
    this.machine.setRflags(value);
    this.machine.updateMode();
  }

  /** Data accesses are checked for alignment at privilege level 3 (CR0.AM, EFLAGS.AC). */
  checkAlignment(): void {
    this.set(L.CR0, this.get(L.CR0) | CR0_AM);
    this.setFlags(this.flags() | 0x4_0000n);
  }

  gpr(name: (typeof REGISTERS)[number]): bigint { return this.get(L.GPR + REGISTERS.indexOf(name) * 8); }

  /** RIP of the code that run() executes. */
  get start(): bigint {
    const { base } = this.segment(L.CS);
    return BigInt(this.code) - (this.get32(L.CODE_MODE) === 2 ? 0n : base);
  }

  /**
   * Executes the first instruction of `code` (hexadecimal bytes). Throws when an instruction that faults has changed a general register
   * or RIP.
   */
  run(code: string, registers: Registers = {}): Outcome {
    const { memory, area } = this;
    memory.write(this.code, Uint8Array.from(`${code} 90 90`.trim().split(/\s+/), (byte) => Number.parseInt(byte, 16)));
    for (const [name, value] of Object.entries(registers)) this.set(L.GPR + REGISTERS.indexOf(name as 'rax') * 8, BigInt(value));
    const start = this.start;
    this.set(L.RIP, start);
    const before = memory.u8.slice(area + L.GPR, area + L.GPR + 128);
    this.#clearPending();
    this.machine.driver.run(1);
    const outcome = this.pending();
    if (outcome === 'ok') return outcome;
    if (this.get(L.RIP) !== start) throw new Error(`${outcome} at RIP ${this.get(L.RIP).toString(16)} instead of ${start.toString(16)}`);
    const after = memory.u8.slice(area + L.GPR, area + L.GPR + 128);
    if (before.some((byte, i) => byte !== after[i])) throw new Error(`${outcome}, but a general register has changed`);
    return outcome;
  }

  #clearPending(): void {
    this.set32(L.EVENT_VECTOR, -1);
    this.set32(L.EXIT_REASON, -1);
  }

  /** The event that the last instruction left. */
  pending(): Outcome {
    const vector = this.get32(L.EVENT_VECTOR);
    if (vector === -1) return this.get32(L.EXIT_REASON) === -1 ? 'ok' : `exit ${this.get32(L.EXIT_REASON)}`;
    const error = this.get32(L.EVENT_HAS_ERROR) === 0 ? '' : `(${this.get32(L.EVENT_ERROR).toString(16)})`;
    return `#${NAMES[vector] ?? vector}${error}`;
  }
}
