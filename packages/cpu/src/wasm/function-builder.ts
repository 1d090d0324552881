import { ByteWriter } from './byte-writer.ts';
import * as op from './opcodes.ts';
import type { IntegerOp, ValueType } from './opcodes.ts';

/** A value at staging time: a constant, or what a WebAssembly local holds when the code runs. */
export interface Value {
  readonly type: ValueType;
  /** Local, or -1 for a constant. */
  readonly local: number;
  /** The constant's two halves. */
  readonly lo: number;
  readonly hi: number;
}

/** A place that branches can name: the depth at which its block was opened. */
export type Label = number;

/**
 * Writes one WebAssembly function. Operators take values and return values: each result goes to a local of its own,
 * taken from a pool that `resetLocals` gives back, so that code reads as straight-line arithmetic; the engine's own
 * compiler turns locals into registers.
 */
export class FunctionBuilder {
  readonly code: ByteWriter = new ByteWriter(4096);
  readonly #locals: ValueType[] = [];
  readonly #params: number;
  readonly #free = new Map<ValueType, number[]>();
  #taken: number[] = [];
  #depth = 0;

  constructor(params: readonly ValueType[]) {
    this.#params = params.length;
    this.#locals.push(...params);
  }

  // ---- locals

  /** A local that stays the caller's. */
  permanentLocal(type: ValueType): Value {
    return { type, local: this.#locals.push(type) - 1, lo: 0, hi: 0 };
  }

  param(index: number): Value {
    return { type: this.#locals[index]!, local: index, lo: 0, hi: 0 };
  }

  /** A local from the pool. */
  temp(type: ValueType): Value {
    const local = this.#free.get(type)?.pop() ?? this.#locals.push(type) - 1;
    this.#taken.push(local);
    return { type, local, lo: 0, hi: 0 };
  }

  /** Gives all locals from the pool back; values made before must not be used again. */
  resetLocals(): void {
    for (const local of this.#taken) {
      const type = this.#locals[local]!;
      const list = this.#free.get(type);
      if (list) list.push(local);
      else this.#free.set(type, [local]);
    }
    this.#taken = [];
  }

  /** Temporaries from here on are locals that no code so far uses. */
  retireLocals(): void {
    this.#free.clear();
    this.#taken = [];
  }

  i32(value: number): Value {
    return { type: op.I32, local: -1, lo: value | 0, hi: 0 };
  }

  /** A 64-bit constant from a safe integer, or from two halves. */
  i64(low: number, high?: number): Value {
    return { type: op.I64, local: -1, lo: low | 0, hi: high ?? (low < 0 ? -1 : Math.floor(low / 0x1_0000_0000) | 0) };
  }

  // ---- emission

  /** Pushes a value on WebAssembly's stack. */
  push(value: Value): void {
    if (value.local >= 0) {
      this.code.byte(op.LOCAL_GET);
      this.code.u32(value.local);
    } else if (value.type === op.I32) {
      this.code.byte(op.I32_CONST);
      this.code.s32(value.lo);
    } else {
      this.code.byte(op.I64_CONST);
      this.code.s64(value.lo, value.hi);
    }
  }

  /** Pops the stack into a new temporary. */
  pop(type: ValueType): Value {
    const value = this.temp(type);
    this.code.byte(op.LOCAL_SET);
    this.code.u32(value.local);
    return value;
  }

  set(target: Value, value: Value): void {
    this.push(value);
    this.code.byte(op.LOCAL_SET);
    this.code.u32(target.local);
  }

  /** A new temporary with the same value. */
  copy(value: Value): Value {
    this.push(value);
    return this.pop(value.type);
  }

  /** An integer operator on one or two values; comparisons give i32. */
  int(name: IntegerOp, x: Value, y?: Value): Value {
    this.push(x);
    if (y) this.push(y);
    const wide = x.type === op.I64;
    const opcode = op.INTEGER_OPS[name][wide ? 1 : 0];
    this.code.byte(opcode);
    const compares = opcode >= 0x45 && opcode <= 0x5a;
    return this.pop(compares ? op.I32 : x.type);
  }

  add(x: Value, y: Value): Value { return this.int('add', x, y); }
  sub(x: Value, y: Value): Value { return this.int('sub', x, y); }
  and(x: Value, y: Value): Value { return this.int('and', x, y); }
  or(x: Value, y: Value): Value { return this.int('or', x, y); }
  xor(x: Value, y: Value): Value { return this.int('xor', x, y); }
  shl(x: Value, y: Value): Value { return this.int('shl', x, y); }
  shrU(x: Value, y: Value): Value { return this.int('shrU', x, y); }
  shrS(x: Value, y: Value): Value { return this.int('shrS', x, y); }
  mul(x: Value, y: Value): Value { return this.int('mul', x, y); }
  eqz(x: Value): Value { return this.int('eqz', x); }
  eq(x: Value, y: Value): Value { return this.int('eq', x, y); }
  ne(x: Value, y: Value): Value { return this.int('ne', x, y); }
  ltU(x: Value, y: Value): Value { return this.int('ltU', x, y); }
  ltS(x: Value, y: Value): Value { return this.int('ltS', x, y); }

  /** Any operator by its opcode bytes, from values to one result. */
  raw(opcode: readonly number[], result: ValueType, ...values: readonly Value[]): Value {
    for (const value of values) this.push(value);
    this.code.bytes(opcode);
    return this.pop(result);
  }

  /** A SIMD operator (its number after the prefix byte), with immediate bytes. */
  simd(opcode: number, result: ValueType, values: readonly Value[], immediates: readonly number[] = []): Value {
    for (const value of values) this.push(value);
    this.code.byte(op.PREFIX_SIMD);
    this.code.u32(opcode);
    this.code.bytes(immediates);
    return this.pop(result);
  }

  select(condition: Value, whenTrue: Value, whenFalse: Value): Value {
    this.push(whenTrue);
    this.push(whenFalse);
    this.push(condition);
    this.code.byte(op.SELECT);
    return this.pop(whenTrue.type);
  }

  wrap(x: Value): Value {
    return x.type === op.I32 ? x : this.raw([op.I32_WRAP_I64], op.I32, x);
  }

  extendU(x: Value): Value {
    return x.type === op.I64 ? x : this.raw([op.I64_EXTEND_I32_U], op.I64, x);
  }

  extendS(x: Value): Value {
    return x.type === op.I64 ? x : this.raw([op.I64_EXTEND_I32_S], op.I64, x);
  }

  /** A load by opcode, at address + offset. */
  load(opcode: number, address: Value, offset: number): Value {
    this.push(address);
    this.memarg(opcode, offset);
    const type = opcode === op.F64_LOAD ? op.F64 : opcode === op.F32_LOAD ? op.F32
      : opcode === op.I64_LOAD || (opcode >= op.I64_LOAD8_S && opcode <= op.I64_LOAD32_U) ? op.I64 : op.I32;
    return this.pop(type);
  }

  loadI32(address: Value, offset: number): Value { return this.load(op.I32_LOAD, address, offset); }
  loadI64(address: Value, offset: number): Value { return this.load(op.I64_LOAD, address, offset); }

  store(opcode: number, address: Value, offset: number, value: Value): void {
    this.push(address);
    this.push(value);
    this.memarg(opcode, offset);
  }

  storeI32(address: Value, offset: number, value: Value): void { this.store(op.I32_STORE, address, offset, value); }
  storeI64(address: Value, offset: number, value: Value): void { this.store(op.I64_STORE, address, offset, value); }

  loadV128(address: Value, offset: number): Value {
    this.push(address);
    this.simdMemarg(0, offset);
    return this.pop(op.V128);
  }

  storeV128(address: Value, offset: number, value: Value): void {
    this.push(address);
    this.push(value);
    this.simdMemarg(11, offset);
  }

  /** Opcode of a load or store with natural immediates: alignment hint 0 (any) and the offset. */
  memarg(opcode: number, offset: number): void {
    this.code.byte(opcode);
    this.code.byte(0);
    this.code.u32(offset);
  }

  simdMemarg(opcode: number, offset: number): void {
    this.code.byte(op.PREFIX_SIMD);
    this.code.u32(opcode);
    this.code.byte(0);
    this.code.u32(offset);
  }

  call(functionIndex: number, result: ValueType | null, ...values: readonly Value[]): Value {
    for (const value of values) this.push(value);
    this.code.byte(op.CALL);
    this.code.u32(functionIndex);
    return result === null ? this.i32(0) : this.pop(result);
  }

  callIndirect(table: number, type: number, result: ValueType, index: Value, ...values: readonly Value[]): Value {
    for (const value of values) this.push(value);
    this.push(index);
    this.code.byte(op.CALL_INDIRECT);
    this.code.u32(type);
    this.code.u32(table);
    return this.pop(result);
  }

  /** A tail call through a table of functions: the callee returns to this function's caller. */
  returnCallIndirect(table: number, type: number, index: Value, ...values: readonly Value[]): void {
    for (const value of values) this.push(value);
    this.push(index);
    this.code.byte(op.RETURN_CALL_INDIRECT);
    this.code.u32(type);
    this.code.u32(table);
  }

  // ---- control

  block(): Label { return this.#open(op.BLOCK); }
  loop(): Label { return this.#open(op.LOOP); }

  end(): void {
    this.code.byte(op.END);
    this.#depth--;
  }

  br(label: Label): void {
    this.code.byte(op.BR);
    this.code.u32(this.#depth - label);
  }

  brIf(label: Label, condition: Value): void {
    this.push(condition);
    this.code.byte(op.BR_IF);
    this.code.u32(this.#depth - label);
  }

  brTable(labels: readonly Label[], otherwise: Label, index: Value): void {
    this.push(index);
    this.code.byte(op.BR_TABLE);
    this.code.u32(labels.length);
    for (const label of labels) this.code.u32(this.#depth - label);
    this.code.u32(this.#depth - otherwise);
  }

  if(condition: Value, then: () => void, otherwise?: () => void): void {
    this.push(condition);
    this.#open(op.IF);
    then();
    if (otherwise) {
      this.code.byte(op.ELSE);
      otherwise();
    }
    this.end();
  }

  return(value: Value): void {
    this.push(value);
    this.code.byte(op.RETURN);
  }

  unreachable(): void {
    this.code.byte(op.UNREACHABLE);
  }

  /** The function's body: runs of locals, then the code. */
  finish(): Uint8Array {
    const out = new ByteWriter(this.code.length + 64);
    const runs: [number, ValueType][] = [];
    for (const type of this.#locals.slice(this.#params)) {
      const last = runs.at(-1);
      if (last && last[1] === type) last[0]++;
      else runs.push([1, type]);
    }
    out.u32(runs.length);
    for (const [count, type] of runs) {
      out.u32(count);
      out.byte(type);
    }
    out.append(this.code);
    out.byte(op.END);
    return out.finish();
  }

  #open(opcode: number): Label {
    this.code.byte(opcode);
    this.code.byte(op.VOID);
    return ++this.#depth;
  }
}
