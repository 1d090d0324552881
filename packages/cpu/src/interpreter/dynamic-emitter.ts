/**
 * Semantics staged with dynamic operands: where an operand is, is read from the decoded record when the handler runs.
 *
 * A handler is staged either into the interpreter's one big function, between the blocks of its `br_table`, or as a
 * function of its own that the big one calls through a table; the differences are in `Surroundings`.
 */
import { Emitter } from '../semantics/emitter.ts';
import { MemoryStack } from '../semantics/x87/stack.ts';
import { missesTag, tlbOffset } from '../semantics/tlb-entry.ts';
import { CURRENT_RECORD, TLB_READ, TLB_SET, TLB_WRITE } from '../state/layout.ts';
import {
  REC_BASE, REC_DISP, REC_IMM, REC_INDEX_REG, REC_LENGTH, REC_OFFSET, REC_P1, REC_P2, REC_P3, REC_SCALE, REC_SEG,
} from '../state/record.ts';
import type { Label, Value } from '../wasm/function-builder.ts';
import * as op from '../wasm/opcodes.ts';

/** Function indices of what handlers call. */
export interface MicrocodeImports {
  readonly readMiss: number;
  readonly writeMiss: number;
  readonly writeCommit: number;
  /** Others by name. */
  readonly named: ReadonlyMap<string, number>;
  /** Those that execute a record, by name. */
  readonly handlers: ReadonlyMap<string, number>;
}

/** What depends on where the handler's code stands. */
export interface Surroundings {
  /** Leaves with the pending event when branched to. */
  fault: Label;
  /** RIP minus page offset, as a value. */
  pageRip(): Value;
  /** RIP of the instruction. */
  rip(): Value;
  /** Leaves the instruction to the microcode function `name`, if the condition holds. */
  microcode(condition: Value, name: string): void;
  jumpRelative(condition: Value | null): void;
  jumpIndirect(rip: Value): void;
}

/** Where the pointer of the n-th operand stands; the fourth register of VEX instructions shares the immediate's place. */
const POINTERS = [REC_P1, REC_P2, REC_P3, REC_IMM] as const;

export class DynamicEmitter extends Emitter {
  readonly record: Value;
  readonly #cpu: Value;
  readonly #imports: MicrocodeImports;
  readonly operandsConstant = false;
  surroundings: Surroundings | undefined;
  readonly x87: MemoryStack = new MemoryStack(this);

  constructor(params: readonly op.ValueType[], cpu: (f: DynamicEmitter) => Value, record: (f: DynamicEmitter) => Value, imports: MicrocodeImports) {
    super(params);
    this.#cpu = cpu(this);
    this.record = record(this);
    this.#imports = imports;
  }

  get cpu(): Value {
    return this.#cpu;
  }

  get place(): Surroundings {
    if (!this.surroundings) throw new Error('a handler is staged outside its surroundings');
    return this.surroundings;
  }

  registerPointer(operand: number): Value {
    return this.loadI32(this.record, POINTERS[operand]!);
  }

  immediate(): Value {
    return this.loadI64(this.record, REC_IMM);
  }

  address(): Value {
    return this.add(this.addressSum(), this.loadI64(this.loadI32(this.record, REC_SEG), 0));
  }

  /** What the record's memory operand adds up to in its segment. */
  addressSum(): Value {
    const base = this.loadI64(this.loadI32(this.record, REC_BASE), 0);
    const index = this.loadI64(this.loadI32(this.record, REC_INDEX_REG), 0);
    const scaled = this.shl(index, this.load(op.I64_LOAD8_U, this.record, REC_SCALE));
    return this.add(this.add(base, scaled), this.loadI64(this.record, REC_DISP));
  }

  nextRip(): Value {
    const offset = this.load(op.I64_LOAD16_U, this.record, REC_OFFSET);
    const length = this.load(op.I64_LOAD8_U, this.record, REC_LENGTH);
    return this.add(this.add(this.place.pageRip(), offset), length);
  }

  relativeTarget(): Value {
    const target = this.add(this.place.pageRip(), this.immediate());
    return this.form.operandSize === 2 ? this.and(target, this.i64(0xffff)) : target;
  }

  jumpRelative(condition: Value | null): void {
    this.place.jumpRelative(condition);
  }

  jumpIndirect(rip: Value): void {
    this.place.jumpIndirect(rip);
  }

  leaveWithFault(condition: Value | null): void {
    if (condition) this.brIf(this.place.fault, condition);
    else this.br(this.place.fault);
  }

  translateRead(linear: Value, size: number): Value {
    const host = this.temp(op.I32);
    const entry = this.#tlbEntry(linear);
    this.if(this.#misses(linear, size, entry, TLB_READ), () => {
      this.storeI32(this.cpu, CURRENT_RECORD, this.record);
      this.set(host, this.call(this.#imports.readMiss, op.I32, linear, this.i32(size)));
      this.brIf(this.place.fault, this.eqz(host));
    }, () => {
      this.set(host, this.#hit(linear, entry, TLB_READ));
    });
    return host;
  }

  translateWrite(linear: Value, size: number): { host: Value; slow: Value } {
    const host = this.temp(op.I32);
    const slow = this.temp(op.I32);
    const entry = this.#tlbEntry(linear);
    this.set(slow, this.#misses(linear, size, entry, TLB_WRITE));
    this.if(slow, () => {
      this.storeI32(this.cpu, CURRENT_RECORD, this.record);
      this.set(host, this.call(this.#imports.writeMiss, op.I32, linear, this.i32(size)));
      this.brIf(this.place.fault, this.eqz(host));
    }, () => {
      this.set(host, this.#hit(linear, entry, TLB_WRITE));
    });
    return { host, slow };
  }

  commit(slow: Value): void {
    this.if(slow, () => {
      this.call(this.#imports.writeCommit, null);
    });
  }

  storeLinear(linear: Value, size: number, value: Value): void {
    const { host, slow } = this.translateWrite(linear, size);
    this.storeSized(host, 0, size, value);
    this.commit(slow);
  }

  leaveToMicrocode(condition: Value): void {
    this.place.microcode(condition, `op_${this.form.mnemonic}`);
  }

  override requireX87(): void {
    super.requireX87();
    this.x87.begin();
  }

  stackRegister(operand: number): Value {
    return this.registerPointer(operand);
  }

  currentRip(): Value {
    return this.place.rip();
  }

  dataPointer(linear: Value): Value {
    return this.sub(linear, this.loadI64(this.loadI32(this.record, REC_SEG), 0));
  }

  mulHighU(x: Value, y: Value): Value {
    return this.micro('mulHighU', op.I64, x, y);
  }

  micro(name: string, result: op.ValueType | null, ...values: readonly Value[]): Value {
    const index = this.#imports.named.get(name);
    if (index === undefined) throw new Error(`the microcode has no ${name}`);
    return this.call(index, result, ...values);
  }

  /** Entry of the current set: its tables follow one another at fixed distances. */
  #tlbEntry(linear: Value): Value {
    const index = tlbOffset(this, linear);
    return this.add(this.loadI32(this.cpu, TLB_SET), index);
  }

  #misses(linear: Value, size: number, entry: Value, table: number): Value {
    return missesTag(this, linear, this.loadI64(entry, table), size);
  }

  #hit(linear: Value, entry: Value, table: number): Value {
    return this.add(this.wrap(linear), this.loadI32(entry, table + 8));
  }
}
