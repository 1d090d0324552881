/** A processor for random programs: their memory behind page tables of 4-KiB pages, in each mode, and its whole state. */
import type { JitOptions } from '../../jit/jit.ts';
import * as L from '../../state/layout.ts';
import { bareMachine, type BareMachine } from '../bare-machine.ts';
import { ALIAS, CODE, DATA_BYTES, type Mode, MEMORY_BYTES, type Placement, SPARE, STACK_LOW, STACK_TOP, WINDOW } from './modes.ts';

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
/** SCE LME LMA NXE. */
const EFER = 0xd01n;
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

export class CodeMachine {
  readonly inside: BareMachine;
  /** Linear and host address of the memory. */
  readonly memory: number;
  /** The page table of the memory, and that of the place where it is seen again. */
  readonly #tables: readonly [number, number];
  #mode: Mode = 64;
  #codeBase = 0;
  #stackBase = 0;

  constructor(jit: JitOptions | null) {
    this.inside = bareMachine(MEMORY_BYTES, false, jit);
    this.memory = this.inside.ram;
    const { memory: host } = this.inside;
    const [top, upper, directory, table, alias] = [0, 1, 2, 3, 4].map(() => host.allocPages(1)) as [number, number, number, number, number];
    const link = (at: number, index: number, to: number): void => host.view.setBigUint64(at + index * 8, BigInt(to) | 7n, true);
    link(top, 0, upper);
    link(upper, 0, directory);
    link(directory, this.memory >>> 21, table);
    link(directory, (this.memory + ALIAS) >>> 21, alias);
    this.#tables = [table, alias];
    this.inside.set(L.CR3, BigInt(top));
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

  // ---- modes

  /** Code of so many bytes at a place of the memory. */
  enter(mode: Mode, at: number, codeBytes: number, { codeBase, dataBase, stackBase }: Placement): void {
    const m = this.inside;
    this.#mode = mode;
    this.#codeBase = codeBase;
    this.#stackBase = stackBase;
    m.set(L.CR0, CR0);
    m.set(L.CR2, 0n);
    m.set(L.CR4, CR4);
    m.set(L.CR8, 0n);
    m.set(L.XCR0, XCR0);
    m.set(L.MSR_EFER, EFER);
    const narrow = mode === 16;
    const data = narrow ? { base: dataBase, limit: LIMIT_16 } : FLAT;
    for (const segment of [L.ES, L.DS, L.GS]) this.#segment(segment, data, DATA_RIGHTS[mode]);
    this.#segment(L.FS, narrow ? { base: this.#codeBase, limit: LIMIT_16 } : FLAT, DATA_RIGHTS[mode]);
    this.#segment(L.SS, { base: stackBase, limit: narrow ? LIMIT_16 : -1 }, DATA_RIGHTS[mode]);
    this.#segment(L.CS, { base: this.#codeBase, limit: narrow ? LIMIT_16 : -1 }, CODE_RIGHTS[mode]);
    m.updateMode();
    this.#map([{ from: CODE + at, bytes: codeBytes }, { from: WINDOW, bytes: DATA_BYTES }, { from: STACK_LOW, bytes: STACK_TOP - STACK_LOW }]);
  }

  #segment(segment: number, { base, limit }: { base: number; limit: number }, rights: number): void {
    const at = L.SEG + segment * L.SEG_SIZE;
    this.inside.set(at + L.SEG_BASE, BigInt(base));
    this.inside.set32(at + L.SEG_LIMIT, limit);
    this.inside.set32(at + L.SEG_ATTR, rights);
    this.inside.set32(at + L.SEG_SELECTOR, segment === L.CS ? 8 : 16);
  }

  get mode(): Mode {
    return this.#mode;
  }

  /** Linear address of a RIP. */
  linear(rip: bigint): bigint {
    return this.#mode === 64 ? rip : BigInt.asUintN(32, rip + BigInt(this.#codeBase));
  }

  get rip(): bigint {
    return this.inside.get(L.RIP);
  }

  set rip(value: bigint) {
    this.inside.set(L.RIP, value);
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

  #stopped(): Stop {
    return { vector: this.inside.event(), count: Number(this.inside.get(L.INSN_COUNT)) };
  }

  #forgetEvent(): void {
    for (const word of [L.EVENT_TYPE, L.EVENT_HAS_ERROR, L.EVENT_ERROR]) this.inside.set32(word, 0);
    this.inside.set(L.EVENT_ADDRESS, 0n);
    this.inside.set32(L.EVENT_VECTOR, -1);
  }

  run(limit: number): Stop {
    this.#forgetEvent();
    this.inside.driver.run(limit);
    return this.#stopped();
  }

  step(count: number): Stop {
    this.#forgetEvent();
    this.inside.step(count);
    return this.#stopped();
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
