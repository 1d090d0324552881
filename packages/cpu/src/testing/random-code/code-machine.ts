/** A processor for random programs: their memory behind page tables of 4-KiB pages, in each mode, and its whole state. */
import { raiseInterrupt } from '@vm/kvm-run/vmx';
import type { JitOptions } from '../../jit/jit.ts';
import { resetProcessor } from '../../processor/reset.ts';
import * as L from '../../state/layout.ts';
import { SHADOW_SERVED, STEP_ARMED } from '../../state/vmx-layout.ts';
import { bareMachine, type BareMachine } from '../bare-machine.ts';
import type { DriverEnd } from '../../processor/driver.ts';
import { GDT_LIMIT, IDT_LIMIT, type Kernel, kernelTables, SELECTOR, TSS_LIMIT } from './kernel.ts';
import {
  ALIAS, CODE, DATA_BYTES, KERNEL, KERNEL_STACK, KERNEL_STACK_TOP, KERNEL_TABLE, type Mode, MEMORY_BYTES, type Placement, SPARE, STACK_LOW, STACK_TOP, WINDOW,
} from './modes.ts';

const PAGE = 0x1000;
const PRESENT = 1n;
const WRITABLE = 2n;
/** Present, writable, for users; a bit that processors ignore says whose page it is. */
const OWN = 0x207n;
const OURS = 0x200n;
/** PE MP ET NE WP PG. */
const CR0 = 0x8001_0033n;
const CR0_TS = 8n;
/** PAE PGE OSFXSR OSXMMEXCPT OSXSAVE. */
const CR4 = 0x4_06a0n;
const XCR0 = 7n;
/** SMEP. */
const CR4_KERNEL = 0x10_0000n;
/** SCE LME LMA NXE. */
const EFER = 0xd01n;
const EFER_LEGACY = 0x801n;
const USER_RIGHTS = 0x60;
const FLAG_IF = 0x200n;
const HALTED = 1;
/** A stop by a shutdown: an event whose handler cannot be entered. */
export const SHUTDOWN = 256;
const FLAT = { base: 0, limit: -1 };
const LIMIT_16 = 0xffff;
const CODE_RIGHTS: Readonly<Record<Mode, number>> = { 16: 0x009b, 32: 0xc09b, 64: 0xa09b };
const DATA_RIGHTS: Readonly<Record<Mode, number>> = { 16: 0x0093, 32: 0xc093, 64: 0xc093 };
/** The area's parts that programs can see: registers, flags, vector and x87 registers. */
const STATE: readonly (readonly [name: string, from: number, bytes: number])[] = [
  ['gpr', L.GPR, 128], ['rip', L.RIP, 8], ['st', L.FPR, 128], ['x87', L.FCW, 32], ['fip', L.FIP, 16], ['vec', L.XMM, 16 * L.XMM_SIZE],
  ['seg', L.SEG, 8 * L.SEG_SIZE], ['cr', L.CR0, 0x30], ['count', L.INSN_COUNT, 8],
];
const EVENT: readonly (readonly [name: string, from: number, bytes: number])[] = [['event', L.EVENT_VECTOR, 16], ['address', L.EVENT_ADDRESS, 8]];

interface MemoryPart {
  readonly from: number;
  readonly bytes: number;
}

/** Why a run ended. */
export interface Stop {
  /** -1: the instructions are used up. */
  readonly vector: number;
  readonly count: number;
}

/** An instruction that is to be executed. */
export interface Position {
  readonly linear: number;
  readonly mode: Mode;
  /** First address and end of the code that it belongs to. */
  readonly code: readonly [from: number, to: number];
  readonly inKernel: boolean;
}

export class CodeMachine {
  readonly inside: BareMachine;
  /** Linear and host address of the memory. */
  readonly memory: number;
  /** The page table of the memory, and that of the place where it is seen again. */
  readonly #tables: readonly [number, number];
  #mode: Mode = 64;
  #codeBase = 0;
  #stackBase = 0;
  #code: readonly [from: number, to: number] = [0, 0];
  /** Page tables' roots in long mode and with PAE paging. */
  readonly #roots: readonly [long: number, pae: number];
  #kernel: Kernel | null = null;

  /** With `delivers` events go to a kernel's handlers instead of ending runs. */
  constructor(jit: JitOptions | null, delivers = false) {
    this.inside = bareMachine(MEMORY_BYTES, false, jit, false, delivers);
    if (delivers) resetProcessor(this.inside.memory, this.inside.area, { id: 0, tscKhz: 1_000_000, deterministic: true, seed: [1, 2] });
    this.memory = this.inside.ram;
    const { memory: host } = this.inside;
    const [top, upper, directory, table, alias, pae] = [0, 1, 2, 3, 4, 5].map(() => host.allocPages(1)) as [number, number, number, number, number, number];
    const link = (at: number, index: number, to: number): void => host.view.setBigUint64(at + index * 8, BigInt(to) | 7n, true);
    link(top, 0, upper);
    link(upper, 0, directory);
    link(directory, this.memory >>> 21, table);
    link(directory, (this.memory + ALIAS) >>> 21, alias);
    host.view.setBigUint64(pae, BigInt(directory) | 1n, true);
    this.#tables = [table, alias];
    this.#roots = [top, pae];
  }

  /** Maps the program's own parts of the memory, and nothing else: what other programs left there is not to be seen. */
  #map(parts: readonly MemoryPart[]): void {
    const { u8, view } = this.inside.memory;
    for (const table of this.#tables) {
      u8.fill(0, table, table + PAGE);
      for (const { from, bytes } of parts)
        for (let page = from >>> 12; page <= (from + bytes - 1) >>> 12; page++) view.setBigUint64(table + page * 8, BigInt(this.memory + page * PAGE) | OWN, true);
    }
    this.inside.ex('flushTlb');
  }

  /** The kernel's pages, which are not the program's; the page table of the memory is one of them. */
  #mapKernel(): void {
    const { view } = this.inside.memory;
    const [table] = this.#tables;
    for (let page = KERNEL >>> 12; page < KERNEL_STACK_TOP >>> 12; page++) view.setBigUint64(table + page * 8, BigInt(this.memory + page * PAGE) | PRESENT | WRITABLE, true);
    view.setBigUint64(table + (KERNEL_TABLE >>> 12) * 8, BigInt(table) | PRESENT | WRITABLE, true);
  }

  // ---- modes

  /** Code of so many bytes at a place of the memory; above a kernel, at privilege level 3. */
  enter(mode: Mode, at: number, codeBytes: number, { codeBase, dataBase, stackBase }: Placement, kernel: Kernel | null = null): void {
    const m = this.inside;
    this.#kernel = kernel;
    this.#code = [this.memory + CODE + at, this.memory + CODE + at + codeBytes];
    this.#mode = mode;
    this.#codeBase = codeBase;
    this.#stackBase = stackBase;
    m.set(L.CR0, CR0);
    m.set(L.CR2, 0n);
    m.set(L.CR4, kernel ? CR4 | CR4_KERNEL : CR4);
    m.set(L.CR3, BigInt(this.#roots[kernel?.kind === 'legacy' ? 1 : 0]));
    m.set(L.CR8, 0n);
    m.set(L.XCR0, XCR0);
    m.set(L.MSR_EFER, kernel?.kind === 'legacy' ? EFER_LEGACY : EFER);
    const narrow = mode === 16;
    const data = narrow ? { base: dataBase, limit: LIMIT_16 } : FLAT;
    for (const segment of [L.ES, L.DS, L.GS]) this.#segment(segment, data, DATA_RIGHTS[mode]);
    this.#segment(L.FS, narrow ? { base: this.#codeBase, limit: LIMIT_16 } : FLAT, DATA_RIGHTS[mode]);
    this.#segment(L.SS, { base: stackBase, limit: narrow ? LIMIT_16 : -1 }, DATA_RIGHTS[mode]);
    this.#segment(L.CS, { base: this.#codeBase, limit: narrow ? LIMIT_16 : -1 }, CODE_RIGHTS[mode]);
    if (kernel) this.#enterKernel(kernel, { codeBase, stackBase });
    m.updateMode();
    this.#map([{ from: CODE + at, bytes: codeBytes }, { from: WINDOW, bytes: DATA_BYTES }, { from: STACK_LOW, bytes: STACK_TOP - STACK_LOW }]);
    if (kernel) this.#mapKernel();
  }

  #segment(segment: number, { base, limit }: { base: number; limit: number }, rights: number, selector: number = segment === L.CS ? 8 : 16): void {
    const at = L.SEG + segment * L.SEG_SIZE;
    this.inside.set(at + L.SEG_BASE, BigInt(base));
    this.inside.set32(at + L.SEG_LIMIT, limit);
    this.inside.set32(at + L.SEG_ATTR, rights);
    this.inside.set32(at + L.SEG_SELECTOR, selector);
  }

  /** The kernel's tables and stack, and the program's segments as those have them. */
  #enterKernel(kernel: Kernel, { codeBase, stackBase }: Pick<Placement, 'codeBase' | 'stackBase'>): void {
    const m = this.inside;
    const tables = kernelTables(this.memory);
    m.memory.write(this.memory + KERNEL, kernel.bytes);
    m.memory.write(this.memory + KERNEL_STACK, new Uint8Array(KERNEL_STACK_TOP - KERNEL_STACK));
    const flatCode = this.#mode === 64 ? SELECTOR.flatCode64 : SELECTOR.flatCode32;
    const narrow = this.#mode === 16;
    const selectors: readonly (readonly [number, number])[] = [
      [L.CS, narrow || codeBase !== 0 ? SELECTOR.code : flatCode], [L.SS, narrow || stackBase !== 0 ? SELECTOR.stack : SELECTOR.flatData],
      ...[L.ES, L.DS, L.GS].map((segment) => [segment, narrow ? SELECTOR.data : SELECTOR.flatData] as const), [L.FS, narrow ? SELECTOR.codeAsData : SELECTOR.flatData],
    ];
    for (const [segment, selector] of selectors) {
      const at = L.SEG + segment * L.SEG_SIZE;
      m.set32(at + L.SEG_SELECTOR, selector);
      m.set32(at + L.SEG_ATTR, m.get32(at + L.SEG_ATTR) | USER_RIGHTS);
    }
    this.#segment(L.TR, { base: tables.tss, limit: TSS_LIMIT }, 0x8b, SELECTOR.tss);
    this.#segment(L.LDTR, { base: 0, limit: 0 }, 0x1_0000, 0);
    m.set(L.GDTR_BASE, BigInt(tables.gdt));
    m.set32(L.GDTR_LIMIT, GDT_LIMIT);
    m.set(L.IDTR_BASE, BigInt(tables.idt));
    m.set32(L.IDTR_LIMIT, IDT_LIMIT);
    m.set(L.PDPTE0, m.memory.view.getBigUint64(this.#roots[1], true));
    for (let entry = 1; entry < 4; entry++) m.set(L.PDPTE0 + entry * 8, 0n);
    m.set(L.MSR_STAR, (BigInt(SELECTOR.flatCode32) << 48n) | (BigInt(SELECTOR.kernelCode) << 32n));
    m.set(L.MSR_LSTAR, BigInt(kernel.syscall));
    // IF TF DF
    m.set(L.MSR_SFMASK, 0x700n);
    m.set(L.MSR_SYSENTER_CS, BigInt(SELECTOR.kernelCode));
    m.set(L.MSR_SYSENTER_ESP, BigInt(this.memory + KERNEL_STACK_TOP));
    m.set(L.MSR_SYSENTER_EIP, BigInt(kernel.sysenter));
    for (const word of [L.PENDING_DEBUG, L.PENDING_DEBUG + 4, L.REQUESTS, L.STI_SHADOW, STEP_ARMED, SHADOW_SERVED, L.ACTIVITY]) m.set32(word, 0);
    for (let word = 0; word < 8; word++) m.set32(L.PENDING_VECTORS + word * 4, 0);
  }

  get mode(): Mode {
    return this.#mode;
  }

  /** Linear address of a RIP. */
  linear(rip: bigint): bigint {
    return this.#mode === 64 ? rip : BigInt.asUintN(32, rip + BigInt(this.#codeBase));
  }

  /** Of the instruction to go on with: where a handler has halted, that which it returns to. */
  get rip(): bigint {
    const { view } = this.inside.memory;
    if (!this.#halted()) return this.inside.get(L.RIP);
    return this.#kernel!.kind === 'long' ? view.getBigUint64(this.#frame(), true) : BigInt(view.getUint32(this.#frame(), true));
  }

  set rip(value: bigint) {
    const { view } = this.inside.memory;
    if (!this.#halted()) this.inside.set(L.RIP, value);
    else if (this.#kernel!.kind === 'long') view.setBigUint64(this.#frame(), BigInt.asUintN(64, value), true);
    else view.setUint32(this.#frame(), Number(BigInt.asUintN(32, value)), true);
  }

  #halted(): boolean {
    return this.#kernel !== null && this.inside.get32(L.ACTIVITY) === HALTED;
  }

  /** Where the RIP of the frame lies that a handler has halted with: behind the error code. */
  #frame(): number {
    return Number(this.inside.get(L.RSP)) + (this.#kernel!.kind === 'long' ? 8 : 4);
  }

  /** The instruction to go on with. */
  position(): Position {
    const kernel = this.#kernel;
    const words = kernel?.kind === 'long' ? 8 : 4;
    if (kernel && this.#halted() && (this.inside.memory.view.getUint16(this.#frame() + words, true) & 3) === 0)
      return { linear: Number(this.rip), mode: words === 8 ? 64 : 32, code: kernel.code, inKernel: true };
    return { linear: Number(BigInt.asUintN(53, this.linear(this.rip))), mode: this.#mode, code: this.#code, inKernel: false };
  }

  /** Lets the handler that has halted return. */
  resume(): void {
    if (this.#halted()) this.inside.set32(L.ACTIVITY, 0);
  }

  /** An external interrupt, where it would be taken at once. */
  interrupt(vector: number): void {
    if ((this.inside.rflags() & FLAG_IF) === 0n || this.inside.get32(L.INTERRUPTIBILITY) !== 0) return;
    raiseInterrupt(this.inside.memory.i32, this.inside.area + L.PENDING_VECTORS, vector);
  }

  /** Host address of the top of the stack. */
  get stack(): number {
    const rsp = this.inside.get(L.RSP);
    return this.#mode === 16 ? this.#stackBase + Number(rsp & 0xffffn) : Number(this.#mode === 32 ? BigInt.asUintN(32, rsp + BigInt(this.#stackBase)) : rsp);
  }

  /** Pushes a word of the width of addresses; false: there is no stack. */
  push(value: bigint): boolean {
    const width = this.#mode / 8;
    const at = this.stack - width;
    if (at < this.memory + STACK_LOW || at >= this.memory + STACK_TOP) return false;
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, value), true);
    this.inside.memory.write(at, bytes.subarray(0, width));
    this.inside.set(L.RSP, this.inside.get(L.RSP) - BigInt(width));
    return true;
  }

  // ---- pages

  /** Rights of a page of the memory, by its number; the TLB is another matter. */
  setPage(page: number, present: boolean, writable: boolean): void {
    const { view } = this.inside.memory;
    const at = this.#tables[0] + page * 8;
    const entry = view.getBigUint64(at, true) & ~(PRESENT | WRITABLE);
    view.setBigUint64(at, entry | (present ? PRESENT : 0n) | (writable ? WRITABLE : 0n), true);
  }

  /** Moves a page to a spare frame, with what it holds. */
  movePage(page: number): void {
    const { memory } = this.inside;
    const [from, to] = [this.memory + page * PAGE, this.memory + SPARE + (page & 15) * PAGE];
    if (this.isMoved(page)) return;
    memory.write(to, memory.u8.slice(from, from + PAGE));
    memory.view.setBigUint64(this.#tables[0] + page * 8, BigInt(to) | OWN, true);
    this.flushPage(page);
  }

  isMoved(page: number): boolean {
    return ((this.inside.memory.view.getBigUint64(this.#tables[0] + page * 8, true) >> 12n) & 0xf_ffffn) !== BigInt(this.memory >>> 12) + BigInt(page);
  }

  /** Page of the memory that a linear address lies in, or -1. */
  pageOf(linear: bigint): number {
    const distance = Number(linear - BigInt(this.memory));
    return distance >= 0 && distance < MEMORY_BYTES ? Math.floor(distance / PAGE) : -1;
  }

  /** Whether the page is one of the program's that was taken away. */
  isClosed(page: number): boolean {
    const entry = this.inside.memory.view.getBigUint64(this.#tables[0] + page * 8, true);
    return (entry & OURS) !== 0n && (entry & (PRESENT | WRITABLE)) !== (PRESENT | WRITABLE);
  }

  flushPage(page: number): void {
    this.inside.ex('flushTlbPage', BigInt(this.memory + page * PAGE));
  }

  switchTask(on: boolean): void {
    this.inside.set(L.CR0, on ? CR0 | CR0_TS : CR0);
    this.inside.updateMode();
  }

  // ---- running

  #stopped(end: DriverEnd): Stop {
    const halt = this.#halted() ? this.#kernel!.halts.get(Number(this.inside.get(L.RIP))) : undefined;
    return { vector: end === 'shutdown' && this.#kernel ? SHUTDOWN : halt ?? this.inside.event(), count: Number(this.inside.get(L.INSN_COUNT)) };
  }

  /** In front of a handler's first instruction: how far an event has been delivered there is not to be told from the count. */
  get isEntering(): boolean {
    return this.#kernel?.entries.has(Number(this.inside.get(L.RIP))) ?? false;
  }

  #forgetEvent(): void {
    for (const word of [L.EVENT_TYPE, L.EVENT_HAS_ERROR, L.EVENT_ERROR]) this.inside.set32(word, 0);
    this.inside.set(L.EVENT_ADDRESS, 0n);
    this.inside.set32(L.EVENT_VECTOR, -1);
  }

  run(limit: number): Stop {
    this.#forgetEvent();
    return this.#stopped(this.inside.driver.run(limit));
  }

  step(count: number): Stop {
    this.#forgetEvent();
    return this.#stopped(this.inside.step(count));
  }

  /** Names of the parts of the state in which two processors differ, with values. */
  differences(other: CodeMachine, event: boolean): string[] {
    const found: string[] = [];
    for (const [name, from, bytes] of event ? [...STATE, ...EVENT] : STATE) this.#compare(other, name, from, bytes, found);
    const [mine, theirs] = [this.inside.rflags(), other.inside.rflags()];
    if (mine !== theirs) found.push(`rflags ${mine.toString(16)} ${theirs.toString(16)}`);
    if (this.inside.get32(L.MXCSR) !== other.inside.get32(L.MXCSR)) found.push('mxcsr');
    return found;
  }

  #compare(other: CodeMachine, name: string, from: number, bytes: number, found: string[]): void {
    for (let at = from; at < from + bytes; at += 8) {
      const [mine, theirs] = [this.inside.get(at), other.inside.get(at)];
      if (mine !== theirs) found.push(`${name}[${(at - from) / 8}] ${mine.toString(16)} ${theirs.toString(16)}`);
    }
  }

  /** The first place in a part of the memory where two processors differ, or -1. */
  memoryDiffers(other: CodeMachine, from: number, bytes: number): number {
    const [mine, theirs] = [this.inside.memory.u32, other.inside.memory.u32];
    const [a, b] = [(this.memory + from) >>> 2, (other.memory + from) >>> 2];
    for (let word = 0; word < bytes >>> 2; word++) if (mine[a + word] !== theirs[b + word]) return from + word * 4;
    return -1;
  }
}
