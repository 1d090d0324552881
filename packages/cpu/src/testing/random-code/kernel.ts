/**
 * A kernel below random programs at privilege level 3: its tables, and handlers that the processor enters by exceptions,
 * interrupts, INT n, SYSCALL and SYSENTER. System calls and interrupts do random things between saving and restoring registers;
 * a page fault on a page that was taken away and #NM are served; at other exceptions the handler halts, for the test to serve them.
 */
import { descriptor, gate } from '../microcode-bench.ts';
import { Assembler, type Label, le32 } from './assembler.ts';
import { RandomInstructions } from './instructions.ts';
import { KERNEL, KERNEL_STACK_TOP, KERNEL_TABLE, MEMORY_BYTES, type Mode, type Placement, WINDOW } from './modes.ts';
import { Random, seedOf } from './random.ts';

/** Long mode, or legacy protected mode with PAE paging. */
export type KernelKind = 'long' | 'legacy';

export interface Kernel {
  readonly kind: KernelKind;
  /** What lies at KERNEL: code, tables, and words. */
  readonly bytes: Uint8Array;
  /** Linear addresses: behind each HLT, with the vector; of the first instructions of handlers. */
  readonly halts: ReadonlyMap<number, number>;
  readonly entries: ReadonlySet<number>;
  /** Handlers' code, linear. */
  readonly code: readonly [from: number, to: number];
  readonly syscall: number;
  readonly sysenter: number;
}

export const SELECTOR = {
  kernelCode: 0x08, kernelData: 0x10, flatCode32: 0x1b, flatData: 0x23, flatCode64: 0x2b, flatData64: 0x33, code: 0x3b, data: 0x43, stack: 0x4b, codeAsData: 0x53, tss: 0x58,
} as const;
/** Vectors of INT n, and of external interrupts. */
export const CALL_VECTORS: readonly number[] = [0x80, 0x81, 0x82, 0x83];
export const EXTERNAL_VECTORS: readonly number[] = [0x40, 0x41, 0x52, 0xef];

const GDT = 0x4000;
export const GDT_LIMIT = 0x67;
const IDT = 0x5000;
export const IDT_LIMIT = 0xfff;
const TSS = 0x6000;
export const TSS_LIMIT = 0x67;
/** Counters of entries, the user's stack pointer during SYSCALL, and the kernel's. */
const WORDS = 0x7000;
const USER_STACK = 0x7800;
const STACK_WORD = 0x7808;
const BYTES = 0x8000;
export const KERNEL_BYTES: number = BYTES;
const EXCEPTIONS = 32;
const WITH_ERROR = new Set([8, 10, 11, 12, 13, 14, 17, 21]);
const VECTOR_NM = 7;
const VECTOR_PF = 14;
const INTERRUPT_GATE = 14;
const TRAP_GATE = 15;
const RSI = 6;
/** All but RSP. */
const SAVED = [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
const SS_PREFIX = 0x36;

export const kernelTables = (memory: number): { gdt: number; idt: number; tss: number } =>
  ({ gdt: memory + KERNEL + GDT, idt: memory + KERNEL + IDT, tss: memory + KERNEL + TSS });

/** `user`: the mode of the program, to which SYSEXIT returns; `memory`: linear address of the memory. */
export function makeKernel(kind: KernelKind, user: Mode, memory: number, placement: Placement, seed: number): Kernel {
  return new Builder(kind, user, memory, seed).build(placement);
}

class Builder {
  readonly #kind: KernelKind;
  readonly #user: Mode;
  readonly #memory: number;
  readonly #a: Assembler;
  readonly #instructions: RandomInstructions;
  readonly #seed: number;
  readonly #halts = new Map<number, number>();
  readonly #entries = new Set<number>();
  readonly #gates: (readonly [vector: number, offset: number, type: number, dpl: number])[] = [];
  readonly #long: boolean;

  constructor(kind: KernelKind, user: Mode, memory: number, seed: number) {
    this.#kind = kind;
    this.#user = user;
    this.#memory = memory;
    this.#seed = seed;
    this.#long = kind === 'long';
    const width = this.#long ? 64 : 32;
    this.#a = new Assembler(width);
    this.#instructions = new RandomInstructions(width);
  }

  build(placement: Placement): Kernel {
    const r = new Random(seedOf(this.#seed, 60));
    for (let vector = 0; vector < EXCEPTIONS; vector++) this.#exception(vector);
    for (const vector of CALL_VECTORS) this.#routine(vector, r.oneIn(3) ? TRAP_GATE : INTERRUPT_GATE, 3, r);
    for (const vector of EXTERNAL_VECTORS) this.#routine(vector, INTERRUPT_GATE, 0, r);
    const syscall = this.#long ? this.#syscall(r) : 0;
    const sysenter = this.#sysenter(r);
    const bytes = new Uint8Array(BYTES);
    const code = this.#a.finish(this.#at(0));
    if (code.length > GDT) throw new Error(`${code.length} bytes of handlers`);
    bytes.set(code);
    this.#tables(new DataView(bytes.buffer), placement);
    return { kind: this.#kind, bytes, halts: this.#halts, entries: this.#entries, code: [this.#at(0), this.#at(code.length)], syscall, sysenter };
  }

  /** Linear address of a place. */
  #at(distance: number): number {
    return this.#memory + KERNEL + distance;
  }

  #here(): number {
    return this.#at(this.#a.bytes.length);
  }

  #enter(): number {
    const at = this.#here();
    this.#entries.add(at);
    return at;
  }

  // ---- handlers

  #wide(...bytes: readonly number[]): void {
    if (this.#long) this.#a.emit(0x48);
    this.#a.emit(...bytes);
  }

  #halt(vector: number): void {
    this.#a.emit(0xf4);
    this.#halts.set(this.#here(), vector);
    this.#dropErrorCode();
    this.#wide(0xcf);
  }

  #dropErrorCode(): void {
    this.#wide(0x83, 0xc4, this.#a.width);
  }

  #exception(vector: number): void {
    this.#gates.push([vector, this.#enter(), INTERRUPT_GATE, vector === 3 || vector === 4 ? 3 : 0]);
    if (vector === VECTOR_PF) return this.#pageFault();
    if (vector === VECTOR_NM) {
      this.#a.emit(0x0f, 0x06);
      return this.#wide(0xcf);
    }
    if (!WITH_ERROR.has(vector)) this.#a.emit(0x6a, 0);
    this.#halt(vector);
  }

  /** Gives a page back that was taken away: its entry has a bit that says so. DS is the program's: SS is flat. */
  #pageFault(): void {
    const a = this.#a;
    const [slow, open]: Label[] = [{ at: -1 }, { at: -1 }];
    a.push(0);
    a.push(1);
    a.emit(0x0f, 0x20, 0xd0); // mov rax, cr2
    this.#wide(0x89, 0xc1);
    this.#wide(0x81, 0xe9, ...le32(this.#memory));
    this.#wide(0x81, 0xf9, ...le32(MEMORY_BYTES));
    a.jcc(3, slow!);
    this.#wide(0xc1, 0xe9, 12);
    this.#wide(0x8d, 0x0c, 0xcd, ...le32(this.#memory + KERNEL_TABLE));
    a.emit(SS_PREFIX, 0x66, 0xf7, 0x01, 0x00, 0x02);
    a.jcc(4, slow!);
    a.emit(SS_PREFIX, 0xf6, 0x01, 1);
    a.jcc(4, open!);
    a.emit(SS_PREFIX, 0xf6, 0x01, 2);
    a.jcc(5, slow!);
    a.place(open!);
    a.emit(SS_PREFIX, 0x83, 0x09, 3);
    a.emit(SS_PREFIX, 0x0f, 0x01, 0x38); // invlpg [rax]
    a.pop(1);
    a.pop(0);
    this.#dropErrorCode();
    this.#wide(0xcf);
    a.place(slow!);
    a.pop(1);
    a.pop(0);
    this.#halt(VECTOR_PF);
  }

  #routine(vector: number, type: number, dpl: number, r: Random): void {
    this.#gates.push([vector, this.#enter(), type, dpl]);
    this.#body(vector, r);
    this.#wide(0xcf);
  }

  #syscall(r: Random): number {
    const at = this.#enter();
    this.#wide(0x89, ...this.#a.absolute(4, this.#at(USER_STACK)));
    this.#wide(0x8b, ...this.#a.absolute(4, this.#at(STACK_WORD)));
    this.#body(0, r);
    this.#wide(0x8b, ...this.#a.absolute(4, this.#at(USER_STACK)));
    this.#wide(0x0f, 0x07);
    return at;
  }

  /** SYSENTER clears IF and SYSEXIT leaves it: STI in front of that one counts after it. */
  #sysenter(r: Random): number {
    const at = this.#enter();
    this.#body(1, r);
    this.#a.emit(0xfb);
    if (this.#user === 64) this.#wide(0x0f, 0x35);
    else this.#a.emit(0x0f, 0x35);
    return at;
  }

  /** Saves registers and segments, counts, does something and restores. */
  #body(number: number, r: Random): void {
    const a = this.#a;
    if (this.#long) for (const register of SAVED) a.push(register);
    else a.emit(0x60, 0x1e, 0x06, 0x0f, 0xa0, 0x0f, 0xa8, 0xb8, ...le32(SELECTOR.kernelData), 0x8e, 0xd8, 0x8e, 0xc0, ...(r.oneIn(2) ? [0x8e, 0xe0] : []));
    if (this.#long) a.emit(0x48, 0xc7, 0xc0 | RSI, ...le32(this.#memory + WINDOW));
    else a.emit(0xb8 | RSI, ...le32(this.#memory + WINDOW));
    a.emit(0xff, ...a.absolute(0, this.#at(WORDS + number * 4)));
    for (let i = r.below(7); i > 0; i--) a.emit(...this.#instructions.next(r));
    if (this.#long) for (const register of SAVED.toReversed()) a.pop(register);
    else a.emit(0x0f, 0xa9, 0x0f, 0xa1, 0x07, 0x1f, 0x61);
  }

  // ---- tables

  #tables(view: DataView, { codeBase, dataBase, stackBase }: Placement): void {
    const narrow = this.#user === 16;
    const flat = (attr: number): bigint => descriptor(0n, 0xf_ffff, attr);
    const own = (base: number, attr: number): bigint => descriptor(BigInt(base), narrow ? 0xffff : 0xf_ffff, narrow ? attr & 0xff : attr);
    const tss = this.#at(TSS);
    const kernelCode = this.#long ? 0xa09b : 0xc09b;
    [
      0n, flat(kernelCode), flat(0xc093), flat(0xc0fb), flat(0xc0f3), flat(0xa0fb), flat(0xc0f3), own(codeBase, 0xc0fb), own(dataBase, 0xc0f3), own(stackBase, 0xc0f3),
      own(codeBase, 0xc0f3), descriptor(BigInt(tss), TSS_LIMIT, 0x8b), 0n,
    ].forEach((entry, i) => view.setBigUint64(GDT + i * 8, entry, true));
    for (const [vector, offset, type, dpl] of this.#gates) view.setBigUint64(IDT + vector * (this.#long ? 16 : 8), gate(SELECTOR.kernelCode, BigInt(offset), type, dpl), true);
    view.setUint32(TSS + 4, this.#memory + KERNEL_STACK_TOP, true);
    if (!this.#long) view.setUint32(TSS + 8, SELECTOR.kernelData, true);
    view.setUint32(TSS + 100, (TSS_LIMIT + 1) << 16, true);
    view.setBigUint64(STACK_WORD, BigInt(this.#memory + KERNEL_STACK_TOP), true);
  }
}
