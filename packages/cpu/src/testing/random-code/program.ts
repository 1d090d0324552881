/**
 * Random programs: functions that call one another directly, through registers and through tables, loops in loops,
 * recursion, returns that do not go back, jump tables, and code that changes code. A part of a program depends on its
 * own number alone, so that parts can be left out (to find the few that matter) and the others stay as they are.
 */
import { type Label, le16, le32 } from './assembler.ts';
import { RandomInstructions } from './instructions.ts';
import { CALL_VECTORS } from './kernel.ts';
import { type Addresses, ALIAS, type Mode, SLOT } from './modes.ts';
import { ProgramCode } from './program-code.ts';
import { Random, seedOf } from './random.ts';

export interface ProgramOptions {
  readonly mode: Mode;
  readonly seed: number;
  readonly addresses: Addresses;
  /** Instructions that call the kernel; none: there is none. */
  readonly calls?: readonly SystemCall[];
  /** Numbers of parts to leave out. */
  readonly without?: ReadonlySet<number>;
}

export type SystemCall = 'int' | 'syscall' | 'sysenter';

/** A word that the program expects in memory, of the width of addresses. */
export interface ProgramWord {
  /** From the beginning of the page of slots. */
  readonly slot: number;
  readonly value: number;
}

export interface Program {
  readonly mode: Mode;
  readonly bytes: Uint8Array;
  readonly addresses: Addresses;
  /** RIPs: where it begins, and may begin anew at any time; of the interrupt handler; of the end (an undefined opcode). */
  readonly entry: number;
  readonly interrupt: number;
  readonly end: number;
  readonly words: readonly ProgramWord[];
  /** RIPs of immediates (of four bytes, two in 16-bit code) that anyone may change. */
  readonly patches: readonly number[];
  /** Numbers of its parts. */
  readonly parts: readonly number[];
}

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RSP = 4;
const RSI = 6;
const TABLE = 4;
/** 05 ADD and 2D SUB differ by these bits. */
const ADD_TO_SUB = 0x28;

interface Function {
  readonly label: Label;
  /** Words of arguments that it takes off the stack. */
  readonly arguments: number;
  /** A place in it that can be entered as it can, with nothing on the stack. */
  readonly middle: Label;
}

/** Where a statement stands. */
interface Place {
  readonly seed: number;
  /** Statements in statements. */
  readonly nesting: number;
  /** The stack holds nothing of the function's own; its number, -1 outside. */
  readonly bare: boolean;
  readonly function: number;
}

class Generator {
  readonly #a: ProgramCode;
  readonly #options: ProgramOptions;
  readonly #instructions: RandomInstructions;
  readonly #functions: Function[];
  readonly #depth: number;
  readonly #patches: Label[] = [];
  readonly #calls: readonly SystemCall[];
  readonly #parts: number[] = [];
  readonly #tables: number[] = [];
  readonly #skipper: Label = { at: -1 };
  readonly #escaper: Label = { at: -1 };

  constructor(options: ProgramOptions) {
    this.#options = options;
    this.#calls = options.calls ?? [];
    this.#a = new ProgramCode(options.mode, options.addresses.slots);
    this.#instructions = new RandomInstructions(options.mode);
    const r = new Random(options.seed);
    this.#functions = Array.from({ length: 2 + r.below(5) }, (_, i) => ({ label: { at: -1 }, arguments: i > 1 && r.oneIn(3) ? 1 + r.below(2) : 0, middle: { at: -1 } }));
    this.#depth = r.pick([2, 3, 5, 20, 60]);
  }

  program(): Program {
    const a = this.#a;
    const { seed, addresses, mode } = this.#options;
    const r = new Random(seedOf(seed, 1));
    const entry = a.here();
    this.#a.words.push({ slot: SLOT.resume, label: entry });
    for (let i = 0; i < 2; i++) this.#tables.push(this.#a.table([0, 1, 2, 3].map(() => this.#target(r))));
    this.#main(r);
    const end = a.here();
    a.emit(0x0f, 0x0b);
    this.#functions.forEach((f, i) => this.#function(f, i));
    this.#specials(r);
    const interrupt = this.#interruptHandler();
    const bytes = a.finish(addresses.origin);
    const rip = (label: Label): number => addresses.origin + label.at;
    return {
      mode, bytes, addresses, entry: rip(entry), interrupt: rip(interrupt), end: rip(end), parts: this.#parts, patches: this.#patches.map(rip),
      words: this.#a.words.map(({ slot, label }) => ({ slot, value: rip(label) })),
    };
  }

  // ---- the frame of the program

  /** A function that takes no arguments. */
  #target(r: Random): Label {
    return r.pick(this.#functions.filter((f) => f.arguments === 0)).label;
  }

  /** Resets what may have gone astray, runs the statements, and does so again. */
  #main(r: Random): void {
    const a = this.#a;
    if (this.#options.mode === 64) a.emit(0x48, 0xc7, 0xc0 | RSI, ...le32(this.#options.addresses.window));
    else a.emit(0xb8 | RSI, ...a.number(this.#options.addresses.window));
    this.#a.wide();
    this.#a.onSlot(0x8b, RSP, SLOT.stack);
    this.#a.onSlot(0xc7, 0, SLOT.depth, ...a.number(0));
    this.#block({ seed: seedOf(this.#options.seed, 2), nesting: 0, bare: true, function: -1 }, 4 + r.below(8));
    const out: Label = { at: -1 };
    this.#a.onSlot(0xff, 1, SLOT.iterations);
    a.jcc(4, out);
    a.jmp({ at: 0 });
    a.place(out);
  }

  #function(f: Function, number: number): void {
    const a = this.#a;
    const out: Label = { at: -1 };
    const r = new Random(seedOf(this.#options.seed, 100 + number));
    for (let i = r.below(4); i > 0; i--) a.emit(0x90);
    a.place(f.label);
    this.#a.onSlot(0xff, 0, SLOT.depth);
    this.#a.onSlot(0x83, 7, SLOT.depth, this.#depth);
    a.jcc(15, out);
    this.#block({ seed: seedOf(this.#options.seed, 200 + number), nesting: 0, bare: true, function: number }, 2 + r.below(6));
    a.place(out);
    this.#a.onSlot(0xff, 1, SLOT.depth);
    if (f.arguments > 0) a.emit(0xc2, ...le16(f.arguments * a.width));
    else if (r.oneIn(6)) a.emit(0xc2, 0, 0);
    else a.emit(0xc3);
  }

  /** Returns two bytes further on; returns to the caller's caller. */
  #specials(r: Random): void {
    const a = this.#a;
    a.place(this.#skipper);
    switch (r.below(this.#options.mode === 16 ? 2 : 4)) {
      case 0:
        a.pop(RAX);
        a.stepRax('add', 2);
        a.jmpRegister(RAX);
        break;
      case 1:
        a.pop(RAX);
        a.stepRax('add', 2);
        a.push(RAX);
        a.emit(0xc3);
        break;
      default:
        this.#a.wide();
        a.emit(0x83, 0x04, 0x24, 2, 0xc3);
    }
    a.place(this.#escaper);
    this.#a.onSlot(0xff, 1, SLOT.depth);
    a.pop(RCX);
    a.emit(0xc3);
  }

  /** The flags are on the stack, under them where to go on. */
  #interruptHandler(): Label {
    const a = this.#a;
    const at = a.here();
    a.push(RAX);
    this.#a.onSlot(0xff, 0, SLOT.interrupts);
    this.#a.onSlot(0x8b, RAX, SLOT.interrupts);
    a.pop(RAX);
    a.emit(0x9d, 0xc3);
    return at;
  }

  // ---- statements

  #block(place: Place, count: number): void {
    for (let i = 0; i < count; i++) {
      const seed = seedOf(place.seed, i);
      if (place.nesting === 0 && place.function >= 0 && i === 1) this.#a.place(this.#functions[place.function]!.middle);
      this.#parts.push(seed);
      if (!this.#options.without?.has(seed)) this.#statement({ ...place, seed });
    }
  }

  #inner(place: Place, part: number, count: number, bare: boolean): void {
    this.#block({ ...place, seed: seedOf(place.seed, part), nesting: place.nesting + 1, bare }, count);
  }

  #statement(place: Place): void {
    const r = new Random(place.seed);
    const kind = r.below(32);
    if (this.#calls.length > 0 && r.oneIn(5)) this.#systemCall(r);
    if (place.nesting < 3 && kind >= 14) {
      if (kind < 17) return this.#loop(place, r);
      if (kind < 21) return this.#branch(place, r);
      if (kind < 26) return this.#call(place, r);
      if (kind < 27) return this.#jumpTable(place, r);
      if (kind < 30) return this.#unusualReturn(place, r);
      if (kind < 31) return this.#changeCode(r);
      return this.#patchable(r);
    }
    for (let i = 1 + r.below(6); i > 0; i--) this.#a.emit(...this.#instructions.next(r));
  }

  #systemCall(r: Random): void {
    const a = this.#a;
    const after: Label = { at: -1 };
    switch (r.pick(this.#calls)) {
      case 'int': return a.emit(0xcd, r.pick(CALL_VECTORS));
      case 'syscall': return a.emit(0x0f, 0x05);
      default: // SYSEXIT takes the stack pointer from RCX and RIP from RDX
        a.move(RCX, RSP);
        a.loadLabel(RDX, after, r.oneIn(2));
        a.emit(0x0f, 0x34);
        a.place(after);
    }
  }

  #branch(place: Place, r: Random): void {
    const a = this.#a;
    const otherwise: Label = { at: -1 };
    const after: Label = { at: -1 };
    if (r.oneIn(2)) a.emit(...this.#instructions.next(r));
    a.jcc(r.below(16), otherwise);
    this.#inner(place, 0, 1 + r.below(2), place.bare);
    if (r.oneIn(2)) {
      a.jmp(after);
      a.place(otherwise);
      this.#inner(place, 1, 1 + r.below(2), place.bare);
      a.place(after);
    } else a.place(otherwise);
  }

  /** The counter is on the stack while the body runs; DEC and JNZ, or LOOP. */
  #loop(place: Place, r: Random): void {
    const a = this.#a;
    a.pushNumber(r.pick([1, 2, 3, 7, 15, 60]));
    const head = a.here();
    this.#inner(place, 0, 1 + r.below(3), false);
    if (r.oneIn(4)) {
      const [more, out]: Label[] = [{ at: -1 }, { at: -1 }];
      a.pop(RCX);
      a.short(0xe2, more!);
      a.short(0xeb, out!);
      a.place(more!);
      a.push(RCX);
      a.jmp(head);
      a.place(out!);
      return;
    }
    a.pop(RAX);
    a.count(RAX, true);
    a.push(RAX);
    a.jcc(r.pick([5, 15]), head);
    a.pop(RAX);
  }

  #call(place: Place, r: Random): void {
    const a = this.#a;
    switch (r.below(7)) {
      case 0:
        a.loadLabel(RAX, this.#target(r), r.oneIn(2));
        a.callRegister(RAX);
        return;
      case 1: case 2:
        a.throughTable(true, r.pick([0, 1, 2, 3, 5, 7]), r.pick(this.#tables), TABLE);
        return;
      case 3: return this.#callMiddle(r);
      default: {
        const f = r.pick(this.#functions);
        for (let i = 0; i < f.arguments; i++) a.push(r.pick([0, 1, 2, 3]));
        a.call(f.label);
      }
    }
  }

  /** Enters a function behind its beginning. */
  #callMiddle(r: Random): void {
    const a = this.#a;
    const { middle } = r.pick(this.#functions.filter((f) => f.arguments === 0));
    this.#a.onSlot(0xff, 0, SLOT.depth);
    if (r.oneIn(2)) a.call(middle);
    else {
      const after: Label = { at: -1 };
      a.pushLabel(after);
      a.pushLabel(middle);
      a.emit(0xc3);
      a.place(after);
    }
  }

  #jumpTable(place: Place, r: Random): void {
    if (!this.#a.hasRoom()) return;
    const a = this.#a;
    const labels: Label[] = Array.from({ length: TABLE }, () => ({ at: -1 }));
    const after: Label = { at: -1 };
    a.throughTable(false, r.pick([0, 1, 2, 3, 5, 7]), this.#a.table(labels), TABLE);
    labels.forEach((label, i) => {
      a.place(label);
      this.#inner(place, i, 1, place.bare);
      if (i < TABLE - 1) a.jmp(after);
    });
    a.place(after);
  }

  /** Returns that are no returns, and calls that do not come back as they went. */
  #unusualReturn(place: Place, r: Random): void {
    const a = this.#a;
    const after: Label = { at: -1 };
    switch (r.below(9)) {
      case 0: // push; ret
        a.pushLabel(after);
        a.emit(0xc3);
        a.emit(...this.#instructions.next(r));
        break;
      case 1: // comes back behind the next instruction
        a.call(this.#skipper);
        a.emit(0xff, r.pick([0xc0, 0xc1, 0xcb]));
        break;
      case 2: // call to the next instruction
        a.call(after);
        a.place(after);
        a.pop(r.pick([0, 2, 3]));
        return;
      case 3: { // a return used as an indirect jump
        const [inner, spin]: Label[] = [{ at: -1 }, { at: -1 }];
        a.loadLabel(RAX, after, false);
        a.call(inner!);
        a.place(spin!);
        a.jmp(spin!);
        a.place(inner!);
        a.pop(RCX);
        a.push(RAX);
        a.emit(0xc3);
        break;
      }
      case 4: // out of everything
        a.emit(0xa8, r.pick([1, 3, 7, 15]));
        a.jcc(r.pick([4, 5]), after);
        this.#a.wide();
        this.#a.onSlot(0x8b, RSP, SLOT.stack);
        this.#a.onSlot(0xff, 4, SLOT.resume);
        break;
      case 5: // to the caller's caller
        if (!place.bare || place.function < 0 || this.#functions[place.function]!.arguments > 0) return;
        a.emit(0xa8, r.pick([1, 3, 7, 15]));
        a.jcc(r.pick([4, 5]), after);
        a.call(this.#escaper);
        break;
      case 6: // a jump in the place of a call and a return
        if (!place.bare || place.function < 0 || this.#functions[place.function]!.arguments > 0) return;
        a.emit(0xa8, r.pick([1, 3, 7]));
        a.jcc(r.pick([4, 5]), after);
        this.#a.onSlot(0xff, 1, SLOT.depth);
        a.jmp(this.#target(r));
        break;
      case 7: // to another function than the one that was called from, which goes on for it
        a.pushLabel(after);
        a.jmp(this.#target(r));
        break;
      default: // JCXZ over something
        a.short(0xe3, after);
        a.emit(...this.#instructions.next(r));
    }
    a.place(after);
  }

  // ---- code that changes

  /** ADD or SUB of an immediate to RAX, which others may change. */
  #patchable(r: Random): void {
    const a = this.#a;
    a.emit(r.pick([0x05, 0x2d]));
    this.#patches.push(a.here());
    a.emit(...a.number(r.word()));
  }

  /** Changes an immediate, or the operation. */
  #changeCode(r: Random): void {
    if (this.#patches.length === 0) return this.#patchable(r);
    const target = r.pick(this.#patches);
    const alias = r.oneIn(2) ? ALIAS : 0;
    // Seldom: code that changes all the time is not compiled.
    const after: Label = { at: -1 };
    this.#a.emit(0xa8, r.pick([1, 3, 7, 15]));
    this.#a.jcc(r.pick([4, 5, 5]), after);
    switch (r.below(4)) {
      case 0: this.#a.codeOperand([0x00], 1, target, r.below(2), alias); break;
      case 1: this.#a.codeOperand([0x88], 2, target, 0, alias); break;
      case 2: this.#a.codeOperand([0x01], 3, target, 0, alias); break;
      default:
        this.#a.codeOperand([0x80], 6, target, -1, alias);
        this.#a.emit(ADD_TO_SUB);
    }
    this.#a.place(after);
  }
}

export function randomProgram(options: ProgramOptions): Program {
  return new Generator(options).program();
}
