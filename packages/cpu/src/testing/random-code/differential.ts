/**
 * A random program on two processors, one of which only interprets: they must agree on the whole state wherever the other
 * stops, which it does at faults and after random numbers of instructions. There, things happen to both: pages vanish, move
 * or become read-only, interrupts arrive, code is changed from outside, the TLB is flushed, instructions are stepped singly, the
 * x87 and SSE state is taken away.
 */
import { decode } from '../../decode/decoder.ts';
import { Instruction } from '../../decode/instruction.ts';
import * as L from '../../state/layout.ts';
import { type CodeMachine, SHUTDOWN, type Stop } from './code-machine.ts';
import { EXTERNAL_VECTORS, type Kernel, type KernelKind, makeKernel } from './kernel.ts';
import { CODE, DATA_BYTES, KERNEL, KERNEL_STACK_TOP, type Mode, place, type Placement, SLOT, SLOTS, STACK_LOW, STACK_TOP, WINDOW } from './modes.ts';
import { type Program, randomProgram, type SystemCall } from './program.ts';
import { Random, seedOf } from './random.ts';

export interface Case {
  readonly mode: Mode;
  readonly seed: number;
  /** Instructions in all. */
  readonly instructions: number;
  readonly without?: ReadonlySet<number>;
  /** False: the program runs undisturbed. */
  readonly events: boolean;
  /** The program runs at privilege level 3, above a kernel of that kind; on processors that deliver events. */
  readonly kernel?: KernelKind;
}

export interface Outcome {
  readonly program: Program;
  /** Null: they agreed. */
  readonly difference: string | null;
  readonly instructions: number;
  readonly faults: number;
  readonly events: number;
}

const PAGE = 0x1000;
const END_OF_CODE = 0xf_0000;
const MOST_STOPS = 400;
/** The interpreter looks at its budget between traces; before the last so many instructions it goes step by step. */
const LONGEST_TRACE = 64;
/** Instructions that the compiler may run beyond its budget: the longest way through a region without a loop. */
const LONGEST_OVERRUN = 2500;
const LIMITS = [1, 3, 20, 150, 800, 2500, 5000];
const VECTOR_UD = 6;
const VECTOR_NM = 7;
const VECTOR_PF = 14;
const VECTOR_MF = 16;

/** The program of a case on two processors; its memory is at the same place on both. */
export class Differential {
  readonly #interpreter: CodeMachine;
  readonly #compiler: CodeMachine;
  readonly program: Program;
  readonly #case: Case;
  readonly #at: number;
  readonly #kernel: Kernel | null;
  readonly #r: Random;
  readonly #scratch = new Instruction();
  #faults = 0;
  #events = 0;

  constructor(interpreter: CodeMachine, compiler: CodeMachine, one: Case) {
    this.#interpreter = interpreter;
    this.#compiler = compiler;
    this.#case = one;
    const r = new Random(seedOf(one.seed, 50));
    // Anywhere, often in front of the end of a page.
    this.#at = (r.below(END_OF_CODE / PAGE) * PAGE + (r.oneIn(2) ? PAGE - r.below(0x600) : r.below(PAGE))) & ~3;
    const placement = place(one.mode, compiler.memory, this.#at, r);
    const { addresses } = placement;
    this.program = randomProgram({
      mode: one.mode, seed: one.seed, addresses, ...(one.without ? { without: one.without } : {}), ...(one.kernel ? { calls: callsOf(one.mode, placement) } : {}),
    });
    this.#kernel = one.kernel ? makeKernel(one.kernel, one.mode, compiler.memory, placement, one.seed) : null;
    for (const machine of [interpreter, compiler]) this.#load(machine, placement);
    this.#r = new Random(seedOf(one.seed, 51));
  }

  run(): Outcome {
    let difference: string | null = null;
    for (let stops = 0; stops < MOST_STOPS && difference === null; stops++) {
      const done = Number(this.#compiler.inside.get(L.INSN_COUNT));
      if (done >= this.#case.instructions) break;
      const limit = this.#case.events ? this.#r.pick(LIMITS) : this.#case.instructions - done;
      let stop = this.#case.events && this.#r.oneIn(10) ? this.#compiler.step(1 + this.#r.below(5)) : this.#compiler.run(limit);
      while (stop.vector < 0 && this.#compiler.isEntering) stop = this.#compiler.step(1);
      difference = stop.count - done > limit + LONGEST_OVERRUN ? `${stop.count - done} instructions where ${limit} were allowed` : this.#follow(done, stop);
      if (difference !== null) break;
      if (stop.vector >= 0) {
        if (!this.#serve(stop.vector)) break;
      } else if (this.#case.events) this.#disturb();
    }
    const instructions = Number(this.#compiler.inside.get(L.INSN_COUNT));
    return { program: this.program, difference, instructions, faults: this.#faults, events: this.#events };
  }

  // ---- the beginning

  #load(machine: CodeMachine, placement: Placement): void {
    const { mode, seed } = this.#case;
    const { program } = this;
    const { memory } = machine.inside;
    const r = new Random(seedOf(seed, 52));
    machine.enter(mode, this.#at, program.bytes.length, placement, this.#kernel);
    // What other programs left around it may be executed.
    const [first, end] = [CODE + this.#at, CODE + this.#at + program.bytes.length];
    memory.write(machine.memory + (first & ~0xfff), new Uint8Array(((end + 0xfff) & ~0xfff) - (first & ~0xfff)));
    memory.write(machine.memory + first, program.bytes);
    memory.write(machine.memory + WINDOW, Uint8Array.from({ length: DATA_BYTES }, () => r.below(256)));
    memory.write(machine.memory + STACK_LOW, new Uint8Array(STACK_TOP - STACK_LOW + PAGE));
    this.#word(machine, SLOT.stack, program.addresses.stackTop);
    this.#word(machine, SLOT.iterations, 1 + r.below(60));
    for (const { slot, value } of program.words) this.#word(machine, slot, value);
    this.#registers(machine, r);
    machine.inside.set(L.INSN_COUNT, 0n);
    machine.rip = BigInt(program.entry);
  }

  #word(machine: CodeMachine, slot: number, value: number): void {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
    machine.inside.memory.write(machine.memory + SLOTS + slot, bytes.subarray(0, this.#case.mode / 8));
  }

  #registers(machine: CodeMachine, r: Random): void {
    const m = machine.inside;
    for (let i = 0; i < 16; i++) m.set(L.GPR + i * 8, BigInt(r.word()) * (r.oneIn(2) ? 0x1_0000_0001n : 1n));
    m.set(L.RSP, BigInt(this.program.addresses.stackTop));
    for (let i = 0; i < 16 * L.XMM_SIZE; i += 4) m.set32(L.XMM + i, r.oneIn(3) ? 0x3f80_0000 + (r.below(256) << 16) : r.word());
    for (let i = 0; i < 128; i += 8) m.set(L.FPR + i, i % 16 === 0 ? BigInt(r.word()) | (1n << 63n) : BigInt(0x3ff0 + r.below(32)));
    m.set32(L.FCW, 0x37f);
    m.set32(L.FTAG, 0xff);
    for (const word of [L.FSW, L.FTOP, L.FOP, L.FCS, L.FDS, L.INTERRUPTIBILITY, L.ACTIVITY]) m.set32(word, 0);
    m.set(L.FIP, 0n);
    m.set(L.FDP, 0n);
    m.set32(L.MXCSR, 0x1f80);
    m.setRflags(0x202n);
    m.set32(L.EXIT_REASON, -1);
  }

  // ---- the comparison

  /** Brings the interpreter where the compiler stopped. */
  #follow(done: number, stop: Stop): string | null {
    const machine = this.#interpreter;
    let now: Stop = { vector: -1, count: done };
    if (stop.count - done > LONGEST_TRACE) now = machine.run(stop.count - done - LONGEST_TRACE);
    if (now.vector < 0 && now.count < stop.count) now = machine.step(stop.count - now.count);
    if (now.vector < 0 && stop.vector >= 0) now = machine.step(1);
    const found = this.#compiler.differences(machine, stop.vector >= 0 && this.#kernel === null);
    if (now.vector !== stop.vector || now.count !== stop.count)
      found.unshift(`stops with ${stop.vector} after ${stop.count}, interpreted with ${now.vector} after ${now.count}`);
    const parts: (readonly [name: string, from: number, bytes: number])[] = [
      ['data', WINDOW, DATA_BYTES], ['stack', STACK_LOW, STACK_TOP - STACK_LOW], ['code', CODE + this.#at, this.program.bytes.length & ~3],
    ];
    if (this.#kernel) parts.push(['kernel', KERNEL, KERNEL_STACK_TOP - KERNEL]);
    for (const [name, from, bytes] of parts) {
      const at = this.#compiler.memoryDiffers(machine, from, bytes);
      if (at >= 0) found.push(`${name} at ${at.toString(16)}`);
    }
    return found.length === 0 ? null : `at ${machine.rip.toString(16)}: ${found.join(', ')}`;
  }

  // ---- what happens to both

  get #both(): readonly CodeMachine[] {
    return [this.#interpreter, this.#compiler];
  }

  /** After a fault: false where the program ends. */
  #serve(vector: number): boolean {
    const rip = Number(BigInt.asUintN(53, this.#compiler.rip));
    if (vector === SHUTDOWN || (vector === VECTOR_UD && rip === this.program.end)) return false;
    this.#faults++;
    const address = this.#compiler.inside.get(this.#kernel ? L.CR2 : L.EVENT_ADDRESS);
    let goesOn = true;
    for (const machine of this.#both) {
      if (vector === VECTOR_PF) goesOn = this.#pageFault(machine, address);
      else if (vector === VECTOR_NM) machine.switchTask(false);
      else goesOn = this.#skip(machine);
      if (vector === VECTOR_MF) machine.inside.set32(L.FSW, 0);
      machine.resume();
    }
    return goesOn;
  }

  /** A page that was taken away comes back; other accesses are left out. */
  #pageFault(machine: CodeMachine, address: bigint): boolean {
    const page = machine.pageOf(address);
    if (page < 0 || !machine.isClosed(page)) return this.#skip(machine);
    machine.setPage(page, true, true);
    machine.flushPage(page);
    return true;
  }

  /** Over the instruction, or to the beginning where there is none of the program's; false: there is none of the kernel's. */
  #skip(machine: CodeMachine): boolean {
    const { linear, mode, code: [from, to], inKernel } = machine.position();
    const { view } = machine.inside.memory;
    const length = linear >= from && linear < to ? decode(view, linear, linear + 16, mode, this.#scratch) : 0;
    if (length <= 0 && inKernel) return false;
    machine.rip = length > 0 ? machine.rip + BigInt(length) : BigInt(this.program.entry);
    return true;
  }

  #disturb(): void {
    const r = this.#r;
    const kind = r.below(14);
    if (kind < 3) return;
    this.#events++;
    const page = (r.oneIn(2) ? WINDOW + r.below(DATA_BYTES) : r.oneIn(2) ? STACK_TOP - 1 - r.below(0x1800) : CODE + this.#at + r.below(this.program.bytes.length)) >>> 12;
    const code = CODE + this.#at + r.below(this.program.bytes.length);
    const patch = this.program.patches.length > 0 ? r.pick(this.program.patches) : -1;
    const value = r.below(256);
    const vector = this.#kernel ? r.pick(EXTERNAL_VECTORS) : 0;
    for (const machine of this.#both) {
      if (kind < 5) {
        if (this.#kernel) machine.interrupt(vector);
        else this.#interrupt(machine);
      } else if (kind < 7) {
        machine.setPage(page, false, false);
        machine.flushPage(page);
      } else if (kind < 8) {
        machine.setPage(page, true, false);
        machine.flushPage(page);
      } else if (kind < 9) machine.inside.ex('flushTlb');
      else if (kind < 10) machine.switchTask(true);
      else if (kind < 11) machine.movePage(code >>> 12);
      else if (kind < 13 && patch >= 0) machine.inside.memory.write(Number(machine.linear(BigInt(patch))), Uint8Array.of(value));
      else machine.inside.set(L.GPR, machine.inside.get(L.GPR) ^ BigInt(value));
    }
  }

  /** Pushes where to go on and the flags, and goes to the handler. */
  #interrupt(machine: CodeMachine): void {
    const flags = machine.inside.rflags();
    const back = machine.rip;
    if (!machine.push(back)) return;
    if (machine.push(flags)) machine.rip = BigInt.asUintN(this.#case.mode, BigInt(this.program.interrupt));
    else machine.inside.set(L.RSP, machine.inside.get(L.RSP) + BigInt(this.#case.mode / 8));
  }
}

/** What can call the kernel: SYSEXIT returns to flat segments. */
function callsOf(mode: Mode, { codeBase, stackBase }: Placement): SystemCall[] {
  if (mode === 64) return ['int', 'syscall', 'sysenter'];
  return mode === 32 && codeBase === 0 && stackBase === 0 ? ['int', 'sysenter'] : ['int'];
}

/** One case on two processors. */
export function runCase(interpreter: CodeMachine, compiler: CodeMachine, one: Case): Outcome {
  return new Differential(interpreter, compiler, one).run();
}

