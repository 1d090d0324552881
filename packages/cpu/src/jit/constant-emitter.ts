/**
 * The emitter of compiled regions: operands are constants of the decoded instruction, general registers are locals, flags
 * are computed where they are asked for, and whatever goes wrong leaves the region at the instruction, for the interpreter
 * to execute it.
 */
import { type Instruction, OP_REG, type Operand, RC_GPR, RC_GPR_HIGH, RC_MMX, RC_VEC } from '../decode/instruction.ts';
import { wantsSumOnly } from '../interpreter/mnemonic-traits.ts';
import type { FormShape, Modified } from '../semantics/emitter.ts';
import { isVex } from '../semantics/vector/operand.ts';
import { MemoryStack, type X87Stack } from '../semantics/x87/stack.ts';
import { missesTag, tlbOffset } from '../semantics/tlb-entry.ts';
import {
  AVX_BLOCKED, FPR, GPR, SEG, SEG_BASE, SEG_SIZE, SSE_BLOCKED, TLB_READ, TLB_WRITE, X87_BLOCKED, XMM, XMM_SIZE,
} from '../state/layout.ts';
import type { Value } from '../wasm/function-builder.ts';
import * as op from '../wasm/opcodes.ts';
import { foldInteger, isZero } from './constant-folding.ts';
import { FlagEmitter } from './flag-emitter.ts';
import { SamePages } from './same-page.ts';
import { type Sum, Symbols } from './symbols.ts';
import { VectorLocals } from './vector-locals.ts';
import { X87Locals } from './x87-locals.ts';

const FS = 4;
const RIP_BASE = 16;
const GPRS = 16;
const LIMIT_16 = 0xffff;

/** What the emitter asks of the region that it works for. */
export interface RegionContext {
  /** Leaves at the current instruction; `flags` says how its flags stand. */
  leave(): void;
  /** Index of a microcode function, imported into the region's module. */
  microcode(name: string, params: readonly op.ValueType[], result: op.ValueType | null): number;
}

/** Words that keep instructions from running; the region is entered only while they are zero. */
export type BlockedWord = typeof SSE_BLOCKED | typeof X87_BLOCKED | typeof AVX_BLOCKED;

/** Of values and pages, at a point of the code. */
interface Knowledge {
  readonly sums: readonly (Sum | null)[];
  readonly pages: unknown;
}

/** Where control goes after the instruction. */
export type Branch =
  | { readonly kind: 'relative'; readonly condition: Value | null }
  | { readonly kind: 'indirect'; readonly rip: Value };

export class ConstantEmitter extends FlagEmitter {
  readonly operandsConstant = true;
  readonly #cpu: Value;
  readonly #area: number;
  readonly #tlbSet: number;
  readonly #context: RegionContext;
  readonly #gprs: readonly Value[];
  /** RIP of the entry's page: RIP minus offset. */
  readonly pageRip: Value;
  /** Registers that the region reads or writes, and those that it writes, one bit each. */
  used = 0;
  written = 0;
  readonly blocked: Set<BlockedWord> = new Set();
  /** Segments through which legacy code addresses memory; taken for flat, FS and GS but for their base. */
  readonly segments: Set<number> = new Set();
  readonly #vectors: VectorLocals;
  /** The x87 stack in locals, in regions that want it so. */
  readonly x87Locals: X87Locals | null;
  readonly x87: X87Stack;
  /** The current instruction may be executed many times before the region is left. */
  inLoop = true;
  /** In legacy modes: the stack is taken to be flat, if that was so when the region was made. */
  readonly #stackIsFlat: boolean;
  /** Something relied on it. */
  needsFlatStack = false;
  /** What a branch instruction asked for. */
  branch: Branch | null = null;
  readonly #symbols = new Symbols();
  readonly #pages = new SamePages(this);
  #ins!: Instruction;
  #next = 0;
  /** Registers whose homes in the area an instruction works on, one bit each. */
  #homes = 0;

  /** `tlbSet`: host address of the TLB set that is in force when the region runs. */
  constructor(area: number, tlbSet: number, stackIsFlat: boolean, x87InLocals: boolean, context: RegionContext) {
    super();
    this.#stackIsFlat = stackIsFlat;
    this.#area = area;
    this.#tlbSet = tlbSet;
    this.#context = context;
    this.#cpu = this.i32(area);
    this.#vectors = new VectorLocals(this, this.#cpu);
    this.#gprs = Array.from({ length: GPRS }, () => this.permanentLocal(op.I64));
    this.pageRip = this.permanentLocal(op.I64);
    this.x87Locals = x87InLocals ? new X87Locals(this) : null;
    this.x87 = this.x87Locals ?? new MemoryStack(this);
  }

  // ---- instructions

  begin(ins: Instruction, shape: FormShape, offset: number): void {
    this.#ins = ins;
    this.form = shape;
    this.#next = offset + ins.length;
    this.#homes = 0;
    this.branch = null;
    this.resetLocals();
  }

  /** Takes back the registers that the instruction may have changed in the area. */
  finishInstruction(): void {
    for (let register = 0; register < GPRS; register++) {
      if ((this.#homes >> register) & 1) this.set(this.gpr(register, true), this.loadI64(this.cpu, GPR + register * 8));
    }
    this.#vectors.finishInstruction();
  }

  /** The local of a general register. */
  gpr(register: number, write: boolean): Value {
    this.used |= 1 << register;
    if (write) this.written |= 1 << register;
    return this.#gprs[register]!;
  }

  /** Loads or stores the general registers of a set, and all vector registers that matter, from or to the area. */
  loadRegisters(set: number): void {
    for (let r = 0; r < GPRS; r++) if ((set >> r) & 1) this.set(this.#gprs[r]!, this.loadI64(this.cpu, GPR + r * 8));
    this.#vectors.loadAll();
  }

  storeRegisters(set: number): void {
    for (let r = 0; r < GPRS; r++) if ((set >> r) & 1) this.storeI64(this.cpu, GPR + r * 8, this.#gprs[r]!);
    this.#vectors.storeAll();
  }

  rip(offset: number): Value {
    return this.ripAt(this.i64(offset));
  }

  /** RIP at an offset that is a value. */
  ripAt(offset: Value): Value {
    const sum = this.add(this.pageRip, offset);
    return this.#ins.mode === 64 ? sum : this.and(sum, this.i64(-1, 0));
  }

  /** i32: a RIP is that of an offset; below 4 GiB in legacy modes, so that the lower halves tell. */
  isAt(rip: Value, offset: number): Value {
    const distance = this.sub(rip, this.pageRip);
    return this.#ins.mode === 64 ? this.eq(distance, this.i64(offset)) : this.eq(this.wrap(distance), this.i32(offset));
  }

  // ---- operands

  get cpu(): Value {
    return this.#cpu;
  }

  #operand(n: number): Operand {
    return this.#ins.operands[n]!;
  }

  #isGpr(n: number): boolean {
    const operand = this.#operand(n);
    return operand.kind === OP_REG && (operand.regClass === RC_GPR || operand.regClass === RC_GPR_HIGH);
  }

  registerPointer(n: number): Value {
    const { regClass, reg } = this.#operand(n);
    switch (regClass) {
      case RC_GPR: case RC_GPR_HIGH: return this.#home(reg, regClass === RC_GPR_HIGH ? 1 : 0);
      case RC_VEC:
        this.#vectors.home(reg, isVex(this));
        return this.i32(this.#area + XMM + reg * XMM_SIZE);
      case RC_MMX: return this.i32(this.#area + FPR + reg * 16);
      default: throw new Error(`${this.form.mnemonic}: no pointer to a register of class ${regClass}`);
    }
  }

  override vectorLocal(register: number, part: number, write: boolean): Value | null {
    return this.#vectors.of(register, part, write);
  }

  override vectorNumber(n: number): number {
    return this.#operand(n).reg;
  }

  /** Semantics that want a general register in memory get it in the area, and may change it there. */
  #home(register: number, byte: number): Value {
    if (!((this.#homes >> register) & 1)) this.storeI64(this.cpu, GPR + register * 8, this.gpr(register, true));
    this.#homes |= 1 << register;
    return this.i32(this.#area + GPR + register * 8 + byte);
  }

  immediate(): Value {
    return this.i64(this.#ins.immLo, this.#ins.immHi);
  }

  override read(n: number): Value {
    const operand = this.#operand(n);
    if (!this.#isGpr(n)) return super.read(n);
    return this.#readRegister(operand.reg, operand.size, operand.regClass === RC_GPR_HIGH);
  }

  override modify(n: number): Modified {
    if (!this.#isGpr(n)) return super.modify(n);
    return { value: this.read(n), host: this.i32(n), slow: null, size: this.size(n) };
  }

  override update(target: Modified, value: Value): void {
    // The "host" of a general register is the operand's number: see modify().
    if (target.slow === null) this.write(target.host.lo, value);
    else super.update(target, value);
  }

  override write(n: number, value: Value): void {
    const operand = this.#operand(n);
    if (!this.#isGpr(n)) super.write(n, value);
    else this.#writeRegister(operand.reg, operand.size, operand.regClass === RC_GPR_HIGH, value);
  }

  override readGpr(register: number, size: number): Value {
    return this.#readRegister(register, size, false);
  }

  override writeGpr(register: number, size: number, value: Value): void {
    this.#writeRegister(register, size, false, value);
  }

  #readRegister(register: number, size: number, high: boolean): Value {
    const local = this.gpr(register, false);
    if (size === 8) return this.copy(local);
    const low = this.wrap(local);
    if (high) return this.and(this.shrU(low, this.i32(8)), this.i32(0xff));
    return this.mask(size, low);
  }

  #writeRegister(register: number, size: number, high: boolean, value: Value): void {
    const local = this.gpr(register, true);
    if (size === 8) this.set(local, value);
    else if (size === 4) this.set(local, this.extendU(this.wrap(value)));
    else this.#insert(local, size, high, this.extendU(value));
  }

  #insert(local: Value, size: number, high: boolean, value: Value): void {
    const field = size === 1 ? 0xff : 0xffff;
    const at = high ? 8 : 0;
    const kept = this.and(local, this.i64(~(field << at)));
    const placed = this.and(value, this.i64(field));
    this.set(local, this.or(kept, high ? this.shl(placed, this.i64(8)) : placed));
  }

  // ---- addresses

  stackRegister(n: number): Value {
    return this.i32(this.#operand(n).reg);
  }

  /** As the interpreter: without FS and GS where the address is computed with the instruction. */
  dataPointer(linear: Value): Value {
    const { mode, addressSize, memSegment } = this.#ins;
    if (mode !== 64 || addressSize !== 8 || memSegment < FS) return linear;
    return this.sub(linear, this.segmentBase(memSegment));
  }

  address(): Value {
    const ins = this.#ins;
    const sumOnly = wantsSumOnly(ins);
    const sum = ins.addressSize === 8 ? this.#sum64() : this.extendU(this.#sum32());
    if (sumOnly) return sum;
    if (ins.mode !== 64) this.segments.add(ins.memSegment);
    if (ins.mode === 16) this.#requireOffset(sum);
    else if (ins.memSegment < FS) return sum;
    const linear = this.add(sum, this.segmentBase(ins.memSegment));
    return ins.mode === 64 ? linear : this.and(linear, this.i64(-1, 0));
  }

  /** The limit of segments of 16-bit code is taken to be 64 KiB, which the operand may cross. */
  #requireOffset(offset: Value): void {
    const { memory, addressSize } = this.#ins;
    const size = memory?.size ?? 1;
    if (size === 1 && addressSize === 2) return;
    this.if(this.int('gtU', offset, this.i64(LIMIT_16 + 1 - size)), () => this.#context.leave());
  }

  override get flatStack(): boolean {
    if (this.form.long) return true;
    this.needsFlatStack ||= this.#stackIsFlat;
    return this.#stackIsFlat;
  }

  /** Regions are entered only while it is all of 4 GiB, or of 64 KiB in 16-bit code. */
  override codeLimit(): Value | null {
    return this.#ins.mode === 16 && this.form.operandSize !== 2 ? super.codeLimit() : null;
  }

  segmentBase(segment: number): Value {
    return this.loadI64(this.cpu, SEG + segment * SEG_SIZE + SEG_BASE);
  }

  #sum64(): Value {
    const ins = this.#ins;
    let sum = this.i64(ins.dispLo, ins.dispHi);
    if (ins.memBase === RIP_BASE) {
      sum = this.add(this.add(this.pageRip, this.i64(this.#next)), sum);
    } else if (ins.memBase >= 0) {
      const base = this.gpr(ins.memBase, false);
      sum = isZero(sum) ? this.copy(base) : this.add(base, sum);
    }
    if (ins.memIndex < 0) return sum;
    const scaled = this.shl(this.gpr(ins.memIndex, false), this.i64(ins.memScale));
    return this.add(sum, scaled);
  }

  /** Of 32- and 16-bit addresses, as i32. */
  #sum32(): Value {
    const ins = this.#ins;
    let sum = this.i32(ins.dispLo);
    if (ins.memBase === RIP_BASE) sum = this.add(this.wrap(this.add(this.pageRip, this.i64(this.#next))), sum);
    else if (ins.memBase >= 0) sum = this.add(this.wrap(this.gpr(ins.memBase, false)), sum);
    if (ins.memIndex >= 0) sum = this.add(sum, this.shl(this.wrap(this.gpr(ins.memIndex, false)), this.i32(ins.memScale)));
    return ins.addressSize === 2 ? this.and(sum, this.i32(0xffff)) : sum;
  }

  // ---- control

  nextRip(): Value {
    return this.rip(this.#next);
  }

  currentRip(): Value {
    return this.rip(this.#next - this.#ins.length);
  }

  relativeTarget(): Value {
    return this.rip(this.#next + this.#ins.immLo);
  }

  jumpRelative(condition: Value | null): void {
    this.branch = { kind: 'relative', condition };
  }

  jumpIndirect(rip: Value): void {
    this.branch = { kind: 'indirect', rip };
  }

  leaveWithFault(condition: Value | null): void {
    if (condition) this.if(condition, () => this.#context.leave());
    else this.#context.leave();
  }

  override raise(_vector: number, _errorCode: number | null, condition: Value | null): void {
    this.leaveWithFault(condition);
  }

  leaveToMicrocode(condition: Value): void {
    this.leaveWithFault(condition);
  }

  override requireSse(): void { this.blocked.add(SSE_BLOCKED); }
  /** Stands for all of x87Special(). */
  override requireX87(): void { this.blocked.add(X87_BLOCKED); }
  override requireAvx(): void { this.blocked.add(AVX_BLOCKED); }

  // ---- memory

  translateRead(linear: Value, size: number): Value {
    return this.#translate(linear, size, TLB_READ);
  }

  translateWrite(linear: Value, size: number): { host: Value; slow: Value } {
    return { host: this.#translate(linear, size, TLB_WRITE), slow: this.i32(0) };
  }

  commit(): void {
    // A store that needs it misses the write table, and leaves the region.
  }

  storeLinear(linear: Value, size: number, value: Value): void {
    this.storeSized(this.#translate(linear, size, TLB_WRITE), 0, size, value);
  }

  /**
   * Accesses that cross pages miss. A miss leaves the region where it is inside a loop: a call there costs the loop a third of
   * its speed even if it is never made, as it keeps registers from staying in place. Elsewhere it is served by a call.
   */
  #translate(linear: Value, size: number, table: number): Value {
    const writes = table === TLB_WRITE;
    const sum = linear.local >= 0 ? this.#symbols.name(linear) : this.#symbols.of(linear);
    const near = sum && this.#pages.find(sum, size, writes);
    if (near) {
      const host = this.temp(op.I32);
      this.if(near.condition, () => this.set(host, near.host()), () => this.set(host, this.#lookUp(linear, size, table)));
      return host;
    }
    const host = this.#lookUp(linear, size, table);
    if (sum && !this.conditional) this.#pages.add(sum, writes, linear, host);
    return host;
  }

  #lookUp(linear: Value, size: number, table: number): Value {
    const entry = tlbOffset(this, linear);
    const misses = missesTag(this, linear, this.loadI64(entry, this.#tlbSet + table), size);
    const hit = (): Value => this.add(this.wrap(linear), this.loadI32(entry, this.#tlbSet + table + 8));
    if (this.inLoop) {
      this.if(misses, () => this.#context.leave());
      return hit();
    }
    const host = this.temp(op.I32);
    this.if(misses, () => {
      const fill = this.#context.microcode(table === TLB_READ ? 'fillRead' : 'fillWrite', [op.I64, op.I32], op.I32);
      this.set(host, this.call(fill, op.I32, linear, this.i32(size)));
      this.if(this.eqz(host), () => this.#context.leave());
    }, () => this.set(host, hit()));
    return host;
  }

  // ---- microcode

  /** Schoolbook multiplication on halves: no call. */
  mulHighU(x: Value, y: Value): Value {
    const shift = this.i64(32);
    const low = (v: Value): Value => this.and(v, this.i64(-1, 0));
    const high = (v: Value): Value => this.shrU(v, shift);
    const [x0, x1, y0, y1] = [low(x), high(x), low(y), high(y)];
    const middle = this.add(this.mul(x1, y0), high(this.mul(x0, y0)));
    const cross = this.add(this.mul(x0, y1), low(middle));
    return this.add(this.add(this.mul(x1, y1), high(middle)), high(cross));
  }

  micro(name: string, result: op.ValueType | null, ...values: readonly Value[]): Value {
    if (name.startsWith('divide128')) {
      // Works on RAX and RDX in the area; rare enough for the interpreter.
      this.#context.leave();
      return this.i32(1);
    }
    return this.call(this.#context.microcode(name, values.map((v) => v.type), result), result, ...values);
  }

  // ---- constants and sums

  override pop(type: op.ValueType): Value {
    const value = super.pop(type);
    this.#symbols.set(value.local, null);
    return value;
  }

  #named(value: Value, sum: Sum | null): Value {
    if (value.local >= 0) this.#symbols.set(value.local, sum);
    return value;
  }

  override set(target: Value, value: Value): void {
    super.set(target, value);
    // Where code comes from several places a local may have either value.
    const kept = this.#isGprLocal(target) && !this.conditional;
    this.#symbols.set(target.local, kept ? this.#symbols.of(value) : null);
  }

  #isGprLocal({ local }: Value): boolean {
    const first = this.#gprs[0]!.local;
    return local >= first && local < first + GPRS;
  }

  override copy(value: Value): Value {
    return this.#named(super.copy(value), this.#sumOf(value));
  }

  /** General registers have a name whenever they are used. */
  #sumOf(value: Value): Sum | null {
    return value.local >= 0 && (this.#isGprLocal(value) || value === this.pageRip) ? this.#symbols.name(value) : this.#symbols.of(value);
  }

  override int(name: op.IntegerOp, x: Value, y?: Value): Value {
    const folded = foldInteger(name, x, y);
    if (folded) return folded;
    const value = super.int(name, x, y);
    return y && (name === 'add' || name === 'sub' || name === 'shl') ? this.#named(value, this.#sum(name, x, y)) : value;
  }

  #sum(name: 'add' | 'sub' | 'shl', x: Value, y: Value): Sum | null {
    const left = this.#sumOf(x);
    const right = left && this.#sumOf(y);
    if (!left || !right) return null;
    if (name === 'add') return this.#symbols.add(left, right, x.type);
    if (right.unknown !== 0) return null;
    if (name === 'shl') return right.constant < 4 ? this.#symbols.shiftLeft(left, right.constant, x.type) : null;
    return this.#symbols.add(left, { unknown: 0, constant: -right.constant }, x.type);
  }

  override wrap(x: Value): Value {
    if (x.local < 0) return x.type === op.I64 ? this.i32(x.lo) : x;
    const sum = this.#sumOf(x);
    const value = super.wrap(x);
    return value === x || !sum ? value : this.#named(value, this.#symbols.wrap(sum));
  }

  override extendU(x: Value): Value {
    if (x.local < 0) return x.type === op.I32 ? this.i64(x.lo, 0) : x;
    const sum = this.#symbols.of(x);
    const value = super.extendU(x);
    return value === x || !sum ? value : this.#named(value, sum);
  }

  // ---- what is known along the way

  /** For a point of the code to which others come, or where microcode has run: what is known of values and pages is not so any more. */
  forget(): void {
    for (const { local } of this.#gprs) this.#symbols.set(local, null);
    this.#pages.forget();
  }

  get knowledge(): Knowledge {
    return { sums: this.#gprs.map((value) => this.#symbols.of(value)), pages: this.#pages.state };
  }

  set knowledge({ sums, pages }: Knowledge) {
    for (const [register, sum] of sums.entries()) this.#symbols.set(this.#gprs[register]!.local, sum);
    this.#pages.state = pages;
  }

  override ifPlain(condition: Value, then: () => void): void {
    const before = this.knowledge;
    super.ifPlain(condition, then);
    this.knowledge = before;
  }

  override extendS(x: Value): Value {
    return x.local < 0 && x.type === op.I32 ? this.i64(x.lo, x.lo >> 31) : super.extendS(x);
  }

  override select(condition: Value, whenTrue: Value, whenFalse: Value): Value {
    if (condition.local < 0) return condition.lo !== 0 || condition.hi !== 0 ? whenTrue : whenFalse;
    return super.select(condition, whenTrue, whenFalse);
  }
}
