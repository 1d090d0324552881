import {
  FCW, FLAG_A, FLAG_B, FLAG_CF, FLAG_MODE, FLAG_RES, FSW, GPR, SSE_BLOCKED, X87_BLOCKED, AVX_BLOCKED, EVENT_VECTOR, EVENT_TYPE,
  EVENT_HAS_ERROR, EVENT_ERROR, REAL_MODE, CODE_LIMIT, CS, SEG, SEG_ATTR, SEG_LIMIT, SEG_SIZE,
} from '../state/layout.ts';
import { FunctionBuilder, type Value } from '../wasm/function-builder.ts';
import * as op from '../wasm/opcodes.ts';
import type { X87Stack } from './x87/stack.ts';

/** One operand of a form, as far as staging knows it: the register's number, address and immediate come later. */
export interface OperandShape {
  readonly kind: 'reg' | 'mem' | 'imm' | 'rel' | 'far';
  /** Bytes. */
  readonly size: number;
  /** RC_* of decode/instruction.ts, for registers. */
  readonly regClass: number;
}

/** What the semantics of one instruction form can rely on. */
export interface FormShape {
  readonly mnemonic: string;
  readonly operands: readonly OperandShape[];
  /** Bytes: 2, 4 or 8. */
  readonly operandSize: number;
  /** True in 64-bit mode: stack and addresses are flat. */
  readonly long: boolean;
}

/** A subtraction, in FLAG_MODE. */
const MODE_SUB = 0x8000_0000 | 0;
/** Access rights as in the VMCS: unusable, S, code, expand-down, writable; and what they are for data that can be written. */
const SEGMENT_RIGHTS = 0x1_001e;
const WRITABLE_DATA = 0x12;
/** Masks of the x87 exceptions in the control word, and the summary of those pending in the status word. */
const X87_EXCEPTIONS = 0x3f;
const X87_SUMMARY = 0x80;

/**
 * What an instruction's semantics are written against. An operand is read and written by its position; where it comes
 * from (a decoded record, or a constant known when a region is compiled) is the implementation's.
 *
 * Values of one, two and four bytes are i32 (zero-extended), of eight i64, of sixteen v128.
 */
export abstract class Emitter extends FunctionBuilder {
  form: FormShape = { mnemonic: '', operands: [], operandSize: 4, long: true };

  /** Base of the processor's area. */
  abstract get cpu(): Value;
  /** Host address of a register operand. */
  abstract registerPointer(operand: number): Value;
  /** The immediate, as i64. */
  abstract immediate(): Value;
  /** Linear address of the memory operand, i64. */
  abstract address(): Value;
  /** RIP of the instruction that follows, i64. */
  abstract nextRip(): Value;
  /** Target RIP of a relative branch, i64. */
  abstract relativeTarget(): Value;
  /** The stack is all of the address space, as it always is in 64-bit mode; elsewhere it may be known to be. */
  get flatStack(): boolean {
    return this.form.long;
  }

  /** CS's limit in legacy modes, i64; null: all of 4 GiB, as is known. */
  codeLimit(): Value | null {
    return this.load(op.I64_LOAD32_U, this.cpu, SEG + CS * SEG_SIZE + SEG_LIMIT);
  }

  /** Operands are known when the code is made. */
  abstract readonly operandsConstant: boolean;
  /** Branches to the relative target, if the condition holds. */
  abstract jumpRelative(condition: Value | null): void;
  /** Branches to a computed RIP. */
  abstract jumpIndirect(rip: Value): void;
  /** Leaves the instruction with the pending event. */
  abstract leaveWithFault(condition: Value | null): void;
  /** Host address where `size` bytes at a linear address can be read. */
  abstract translateRead(linear: Value, size: number): Value;
  /** Host address to write to, and a value that is nonzero when `commit` must follow the store. */
  abstract translateWrite(linear: Value, size: number): { readonly host: Value; readonly slow: Value };
  /** Completes a store through a bounce buffer. */
  abstract commit(slow: Value): void;
  /** Stores at a linear address. */
  abstract storeLinear(linear: Value, size: number, value: Value): void;
  /** High half of the unsigned 128-bit product. */
  abstract mulHighU(x: Value, y: Value): Value;
  /** Leaves the instruction, of which nothing has happened, to its microcode, if the condition (i32) holds. */
  abstract leaveToMicrocode(condition: Value): void;
  abstract readonly x87: X87Stack;
  /** Number of an operand that is an x87 register, i32. */
  abstract stackRegister(operand: number): Value;
  /** RIP of the instruction, i64. */
  abstract currentRip(): Value;
  /** What the x87 data pointer holds of a memory operand at a linear address. */
  abstract dataPointer(linear: Value): Value;
  /** Calls a microcode function that takes values and returns a value or nothing. */
  abstract micro(name: string, result: op.ValueType | null, ...values: readonly Value[]): Value;

  // ---- vector registers

  /** Number of an operand that is a vector register, or -1 where that is not known when code is staged. */
  vectorNumber(_operand: number): number {
    return -1;
  }

  /** The local that has sixteen bytes of a vector register, part 0 or 1; null: the area has them. */
  vectorLocal(_register: number, _part: number, _write: boolean): Value | null {
    return null;
  }

  // ---- operands

  operand(n: number): OperandShape {
    const shape = this.form.operands[n];
    if (!shape) throw new Error(`${this.form.mnemonic} has no operand ${n}`);
    return shape;
  }

  size(n: number): number {
    return this.operand(n).size;
  }

  /** A constant of the width of a value of `size` bytes. */
  constant(size: number, value: number): Value {
    return size === 8 ? this.i64(value) : this.i32(value);
  }

  read(n: number): Value {
    const shape = this.operand(n);
    if (shape.kind === 'reg') return this.loadSized(this.registerPointer(n), 0, shape.size);
    if (shape.kind === 'mem') return this.loadLinear(this.address(), shape.size);
    return this.readImmediate(shape.size);
  }

  /** Reads an operand; an immediate takes the given width. */
  readAs(n: number, size: number): Value {
    const shape = this.operand(n);
    return shape.kind === 'imm' ? this.readImmediate(size) : this.read(n);
  }

  readImmediate(size: number): Value {
    const value = this.immediate();
    if (size === 8) return value;
    const low = this.wrap(value);
    return size === 4 ? low : this.and(low, this.i32(size === 1 ? 0xff : 0xffff));
  }

  /** Reads an operand that will be written: a memory operand is translated for writing. */
  modify(n: number): Modified {
    const shape = this.operand(n);
    if (shape.kind !== 'mem') {
      const pointer = this.registerPointer(n);
      return { value: this.loadSized(pointer, 0, shape.size), host: pointer, slow: null, size: shape.size };
    }
    const { host, slow } = this.translateWrite(this.address(), shape.size);
    return { value: this.loadSized(host, 0, shape.size), host, slow, size: shape.size };
  }

  /** Writes the result of a read-modify-write. */
  update(target: Modified, value: Value): void {
    if (target.slow === null) {
      this.writeRegister(target.host, target.size, value);
      return;
    }
    this.storeSized(target.host, 0, target.size, value);
    this.commit(target.slow);
  }

  write(n: number, value: Value): void {
    const shape = this.operand(n);
    if (shape.kind === 'reg') this.writeRegister(this.registerPointer(n), shape.size, value);
    else this.storeLinear(this.address(), shape.size, value);
  }

  /** Writes a general register through its pointer: 32-bit results clear the upper half. */
  writeRegister(pointer: Value, size: number, value: Value): void {
    if (size === 4) this.storeI64(pointer, 0, this.extendU(value));
    else this.storeSized(pointer, 0, size, value);
  }

  /** A general register that the instruction implies. */
  readGpr(register: number, size: number): Value {
    return this.loadSized(this.cpu, GPR + register * 8, size);
  }

  writeGpr(register: number, size: number, value: Value): void {
    if (size === 4) this.storeI64(this.cpu, GPR + register * 8, this.extendU(value));
    else this.storeSized(this.cpu, GPR + register * 8, size, value);
  }

  loadSized(base: Value, offset: number, size: number): Value {
    if (size === 1) return this.load(op.I32_LOAD8_U, base, offset);
    if (size === 2) return this.load(op.I32_LOAD16_U, base, offset);
    if (size === 4) return this.load(op.I32_LOAD, base, offset);
    if (size === 8) return this.load(op.I64_LOAD, base, offset);
    if (size === 16) return this.loadV128(base, offset);
    throw new Error(`${this.form.mnemonic}: no load of ${size} bytes`);
  }

  storeSized(base: Value, offset: number, size: number, value: Value): void {
    if (size === 16) {
      this.storeV128(base, offset, value);
      return;
    }
    const wide = value.type === op.I64;
    if (size === 1) this.store(wide ? op.I64_STORE8 : op.I32_STORE8, base, offset, value);
    else if (size === 2) this.store(wide ? op.I64_STORE16 : op.I32_STORE16, base, offset, value);
    else if (size === 4) this.store(wide ? op.I64_STORE32 : op.I32_STORE, base, offset, value);
    else this.store(op.I64_STORE, base, offset, value);
  }

  loadLinear(linear: Value, size: number): Value {
    return this.loadSized(this.translateRead(linear, size), 0, size);
  }

  /** Whether (i32) the segment register whose cache stands at `base + offset` is anything but writable data of 4 GiB (SDM vol. 3A, 3.4.5.1). */
  isLimited(base: Value, offset: number): Value {
    const limited = this.ne(this.loadI32(base, offset + SEG_LIMIT), this.i32(-1));
    return this.or(limited, this.isNotWritableData(base, offset));
  }

  /** Whether it is unusable, code, read-only, or expands down. */
  isNotWritableData(base: Value, offset: number): Value {
    const rights = this.and(this.loadI32(base, offset + SEG_ATTR), this.i32(SEGMENT_RIGHTS));
    return this.ne(rights, this.i32(WRITABLE_DATA));
  }

  // ---- widths

  /** Clears what is above the operand size. */
  mask(size: number, value: Value): Value {
    if (size >= 4) return value;
    return this.and(value, this.i32(size === 1 ? 0xff : 0xffff));
  }

  /** Sign-extends a value of `size` bytes within its own type. */
  signed(size: number, value: Value): Value {
    if (size === 1) return this.int('extend8S', value);
    if (size === 2) return this.int('extend16S', value);
    return value;
  }

  /** Sign-extends to i64. */
  wide(size: number, value: Value): Value {
    return this.extendS(this.signed(size, value));
  }

  /** The sign bit as 0 or 1 (i32). */
  sign(size: number, value: Value): Value {
    const bits = size * 8;
    const top = this.shrU(value, this.constant(size, bits - 1));
    return size === 8 ? this.wrap(top) : size === 4 ? top : this.and(top, this.i32(1));
  }

  // ---- flags (state/layout.ts says how each flag is derived from the stored words)

  #storeFlags(size: number, a: Value, b: Value, result: Value, mode: number): void {
    this.storeI64(this.cpu, FLAG_RES, this.wide(size, result));
    this.storeI64(this.cpu, FLAG_A, this.wide(size, a));
    this.storeI64(this.cpu, FLAG_B, this.wide(size, b));
    this.storeI32(this.cpu, FLAG_MODE, this.i32(mode));
  }

  flagsAdd(size: number, a: Value, b: Value, result: Value): void {
    this.#storeFlags(size, a, b, result, 0);
    this.storeI32(this.cpu, FLAG_CF, this.ltU(result, a));
  }

  flagsSub(size: number, a: Value, b: Value, result: Value): void {
    this.#storeFlags(size, a, b, result, MODE_SUB);
    this.storeI32(this.cpu, FLAG_CF, this.ltU(a, b));
  }

  /** ADC and SBB: the carry is computed by the caller. */
  flagsCarry(size: number, a: Value, b: Value, result: Value, carry: Value, subtract: boolean): void {
    this.#storeFlags(size, a, b, result, subtract ? MODE_SUB : 0);
    this.storeI32(this.cpu, FLAG_CF, carry);
  }

  /** INC and DEC keep CF. */
  flagsStep(size: number, a: Value, result: Value, subtract: boolean): void {
    this.#storeFlags(size, a, this.constant(size, 1), result, subtract ? MODE_SUB : 0);
  }

  /** AND OR XOR TEST: CF, OF and AF are clear (AF is undefined; processors clear it). */
  flagsLogic(size: number, result: Value): void {
    const r = this.wide(size, result);
    this.storeI64(this.cpu, FLAG_RES, r);
    this.storeI64(this.cpu, FLAG_A, r);
    this.storeI64(this.cpu, FLAG_B, this.i64(0));
    this.storeI32(this.cpu, FLAG_MODE, this.i32(0));
    this.storeI32(this.cpu, FLAG_CF, this.i32(0));
  }

  /** ZF, SF and PF from the result; CF and OF (i32, 0 or 1) given; AF clear. */
  flagsResult(size: number, result: Value, carry: Value, overflow: Value): void {
    const r = this.wide(size, result);
    const a = this.xor(r, this.shl(this.extendU(overflow), this.i64(63)));
    this.storeI64(this.cpu, FLAG_RES, r);
    this.storeI64(this.cpu, FLAG_A, a);
    this.storeI64(this.cpu, FLAG_B, this.xor(a, this.and(r, this.i64(16))));
    this.storeI32(this.cpu, FLAG_MODE, this.i32(0));
    this.storeI32(this.cpu, FLAG_CF, carry);
  }

  /** All six flags (i32, 0 or 1). */
  flagsAll(f: { cf: Value; pf: Value; af: Value; zf: Value; sf: Value; of: Value }): void {
    // Nonzero results: 1 or -2^63|1, of which the low byte 1 has odd parity; bit 0 of the mode then flips PF.
    const signed = this.or(this.shl(this.extendU(f.sf), this.i64(63)), this.i64(1));
    const r = this.select(f.zf, this.i64(0), signed);
    // PF of the result as it stands: 1 when it is zero. XOR with one bit flips it.
    const flip = this.xor(this.xor(f.pf, f.zf), this.i32(0));
    const mode = this.or(flip, this.shl(this.and(f.sf, f.zf), this.i32(30)));
    const a = this.xor(r, this.shl(this.extendU(f.of), this.i64(63)));
    this.storeI64(this.cpu, FLAG_RES, r);
    this.storeI64(this.cpu, FLAG_A, a);
    this.storeI64(this.cpu, FLAG_B, this.xor(a, this.shl(this.extendU(f.af), this.i64(4))));
    this.storeI32(this.cpu, FLAG_MODE, mode);
    this.storeI32(this.cpu, FLAG_CF, f.cf);
  }

  /** Sets CF and OF, and keeps the other four flags. */
  flagsCarryOverflow(cf: Value, of: Value): void {
    const pf = this.parity();
    const af = this.auxiliary();
    const zf = this.condition(4);
    const sf = this.condition(8);
    this.flagsAll({ cf, pf, af, zf, sf, of });
  }

  /** ROL and ROR. */
  flagsRotate(size: number, result: Value, left: boolean): void {
    const { carry, overflow } = this.rotationFlags(size, result, left);
    this.flagsCarryOverflow(carry, overflow);
  }

  /** CF and OF of a rotate from its result: of counts other than 1, for which OF is undefined, processors give the same. */
  rotationFlags(size: number, result: Value, left: boolean): { carry: Value; overflow: Value } {
    const bit = (n: number): Value => {
      const shifted = this.shrU(result, this.constant(size, n));
      return this.and(size === 8 ? this.wrap(shifted) : shifted, this.i32(1));
    };
    const top = bit(size * 8 - 1);
    if (left) {
      const low = bit(0);
      return { carry: low, overflow: this.xor(low, top) };
    }
    return { carry: top, overflow: this.xor(top, bit(size * 8 - 2)) };
  }

  carry(): Value {
    return this.loadI32(this.cpu, FLAG_CF);
  }

  setCarry(value: Value): void {
    this.storeI32(this.cpu, FLAG_CF, value);
  }

  #result(): Value {
    return this.loadI64(this.cpu, FLAG_RES);
  }

  /** i64 whose sign is SF. */
  #signFlag(): Value {
    const delta = this.shl(this.extendU(this.loadI32(this.cpu, FLAG_MODE)), this.i64(33));
    return this.xor(this.#result(), delta);
  }

  /** i64 whose sign is OF. */
  #overflowFlag(): Value {
    const r = this.#result();
    const a = this.loadI64(this.cpu, FLAG_A);
    const b = this.loadI64(this.cpu, FLAG_B);
    const subtract = this.ltS(this.loadI32(this.cpu, FLAG_MODE), this.i32(0));
    return this.and(this.xor(a, r), this.xor(this.select(subtract, a, r), b));
  }

  #negative(value: Value): Value {
    return this.ltS(value, this.i64(0));
  }

  parity(): Value {
    const bits = this.and(this.xor(this.wrap(this.#result()), this.loadI32(this.cpu, FLAG_MODE)), this.i32(0xff));
    return this.and(this.xor(this.int('popcnt', bits), this.i32(1)), this.i32(1));
  }

  auxiliary(): Value {
    const a = this.loadI64(this.cpu, FLAG_A);
    const b = this.loadI64(this.cpu, FLAG_B);
    return this.and(this.wrap(this.shrU(this.xor(this.xor(a, b), this.#result()), this.i64(4))), this.i32(1));
  }

  /** A condition code (0..15, as in Jcc opcodes), as i32 0 or 1. */
  condition(code: number): Value {
    const value = this.#positive(code >> 1);
    return (code & 1) === 0 ? value : this.eqz(value);
  }

  #positive(pair: number): Value {
    switch (pair) {
      case 0: return this.#negative(this.#overflowFlag());
      case 1: return this.carry();
      case 2: return this.eqz(this.#result());
      case 3: return this.or(this.carry(), this.eqz(this.#result()));
      case 4: return this.#negative(this.#signFlag());
      case 5: return this.parity();
      case 6: return this.#negative(this.xor(this.#signFlag(), this.#overflowFlag()));
      default:
        return this.or(this.eqz(this.#result()), this.#negative(this.xor(this.#signFlag(), this.#overflowFlag())));
    }
  }

  // ---- faults

  /** Raises a hardware exception, if the condition (i32) holds. */
  raise(vector: number, errorCode: number | null, condition: Value | null): void {
    const emit = (): void => {
      this.storeI32(this.cpu, EVENT_VECTOR, this.i32(vector));
      this.storeI32(this.cpu, EVENT_TYPE, this.i32(3));
      // Real-address mode has no error codes (SDM vol. 3A, 22.1.4).
      this.storeI32(this.cpu, EVENT_HAS_ERROR, errorCode === null ? this.i32(0) : this.ne(this.loadI32(this.cpu, REAL_MODE), this.i32(1)));
      this.storeI32(this.cpu, EVENT_ERROR, this.i32(errorCode ?? 0));
      this.leaveWithFault(null);
    };
    if (condition === null) emit();
    else this.if(condition, emit);
  }

  /** i32: the address does not have copies of bit 47 above (SDM vol. 1, 3.3.7.1). */
  isNotCanonical(address: Value): Value {
    return this.ne(this.shrS(this.shl(address, this.i64(16)), this.i64(16)), address);
  }

  /** i32: the target of a branch lies neither at a canonical address nor, in legacy modes, within the code segment. */
  isBeyondCode(target: Value): Value {
    return this.or(this.isNotCanonical(target), this.int('gtU', this.and(target, this.i64(-1, 0)), this.loadI64(this.cpu, CODE_LIMIT)));
  }

  /** #UD or #NM where CR0 and CR4 do not let SSE (AVX) instructions run. */
  requireSse(): void { this.#require(SSE_BLOCKED); }
  requireAvx(): void { this.#require(AVX_BLOCKED); }

  /** Lets an x87 instruction go on only where it may run, no exception is pending, and none can become so. */
  requireX87(): void { this.leaveToMicrocode(this.x87Special()); }

  /** Nonzero where it may not. */
  x87Special(): Value {
    const unmasked = this.and(this.xor(this.loadI32(this.cpu, FCW), this.i32(-1)), this.i32(X87_EXCEPTIONS));
    const pending = this.and(this.loadI32(this.cpu, FSW), this.i32(X87_SUMMARY));
    return this.or(this.or(unmasked, pending), this.loadI32(this.cpu, X87_BLOCKED));
  }

  #require(word: number): void {
    const vector = this.loadI32(this.cpu, word);
    this.if(vector, () => {
      this.storeI32(this.cpu, EVENT_VECTOR, vector);
      this.storeI32(this.cpu, EVENT_TYPE, this.i32(3));
      this.storeI32(this.cpu, EVENT_HAS_ERROR, this.i32(0));
      this.leaveWithFault(null);
    });
  }
}

/** An operand between its reading and its writing. */
export interface Modified {
  readonly value: Value;
  readonly host: Value;
  /** Null for a register. */
  readonly slow: Value | null;
  readonly size: number;
}

/** The meaning of a mnemonic. */
export type Semantics = (b: Emitter) => void;
