/** Bytes with labels, for code of all modes. */
import type { Mode } from './modes.ts';

/** A place in the code, known when `at` is not negative. */
export interface Label {
  at: number;
}

interface Fixup {
  readonly at: number;
  readonly size: 1 | 2 | 4;
  readonly label: Label;
  readonly relative: boolean;
  readonly addend: number;
}

const ALU_EAX = { add: 0x05, sub: 0x2d } as const;
const CALL = 2;
const JMP = 4;

export class Assembler {
  readonly bytes: number[] = [];
  readonly mode: Mode;
  readonly #fixups: Fixup[] = [];

  constructor(mode: Mode) {
    this.mode = mode;
  }

  /** Bytes of an address on the stack. */
  get width(): 2 | 4 | 8 {
    return (this.mode / 8) as 2 | 4 | 8;
  }

  emit(...bytes: readonly number[]): void {
    for (const byte of bytes) this.bytes.push(byte & 0xff);
  }

  place(label: Label): void {
    label.at = this.bytes.length;
  }

  /** A label here. */
  here(): Label {
    return { at: this.bytes.length };
  }

  /** The bytes of code that lies at RIP `origin`. */
  finish(origin: number): Uint8Array {
    const bytes = Uint8Array.from(this.bytes);
    for (const { at, size, label, relative, addend } of this.#fixups) {
      if (label.at < 0) throw new Error('a label was never placed');
      const value = label.at + addend + (relative ? -(at + size) : origin);
      if (relative && size === 1 && value !== (value << 24) >> 24) throw new Error(`a short branch of ${value} bytes`);
      for (let i = 0; i < size; i++) bytes[at + i] = value >> (i * 8);
    }
    return bytes;
  }

  #fix(size: 1 | 2 | 4, label: Label, relative: boolean, addend = 0): void {
    this.#fixups.push({ at: this.bytes.length, size, label, relative, addend });
    for (let i = 0; i < size; i++) this.bytes.push(0);
  }

  // ---- branches

  #near(label: Label): void {
    this.#fix(this.mode === 16 ? 2 : 4, label, true);
  }

  jmp(label: Label): void {
    this.emit(0xe9);
    this.#near(label);
  }

  jcc(condition: number, label: Label): void {
    this.emit(0x0f, 0x80 | condition);
    this.#near(label);
  }

  /** A branch with an offset of one byte: Jcc, LOOP, JCXZ, JMP by opcode. */
  short(opcode: number, label: Label): void {
    this.emit(opcode);
    this.#fix(1, label, true);
  }

  call(label: Label): void {
    this.emit(0xe8);
    this.#near(label);
  }

  // ---- the stack

  push(register: number): void {
    if (register >= 8) this.emit(0x41);
    this.emit(0x50 | (register & 7));
  }

  pop(register: number): void {
    if (register >= 8) this.emit(0x41);
    this.emit(0x58 | (register & 7));
  }

  pushNumber(value: number): void {
    this.emit(0x6a, value);
  }

  pushLabel(label: Label): void {
    this.emit(0x68);
    this.#fix(this.mode === 16 ? 2 : 4, label, false);
  }

  // ---- registers of the address width

  #rexW(): void {
    if (this.mode === 64) this.emit(0x48);
  }

  /** ADD, SUB of RAX and a small number. */
  stepRax(operation: 'add' | 'sub', value: number): void {
    this.#rexW();
    this.emit(ALU_EAX[operation], ...this.number(value));
  }

  /** INC, DEC of a register. */
  count(register: number, down: boolean): void {
    this.#rexW();
    this.emit(0xff, (down ? 0xc8 : 0xc0) | register);
  }

  /** The address of a label into one of the first eight registers. */
  loadLabel(register: number, label: Label, relative: boolean): void {
    if (this.mode !== 64) {
      this.emit(0xb8 | register);
      this.#fix(this.mode === 16 ? 2 : 4, label, false);
    } else if (relative) {
      this.emit(0x48, 0x8d, 0x05 | (register << 3));
      this.#fix(4, label, true);
    } else {
      this.emit(0x48, 0xc7, 0xc0 | register);
      this.#fix(4, label, false);
    }
  }

  andImmediate(register: number, value: number): void {
    this.emit(0x83, 0xe0 | register, value);
  }

  move(to: number, from: number): void {
    this.#rexW();
    this.emit(0x89, 0xc0 | (from << 3) | to);
  }

  callRegister(register: number): void {
    this.emit(0xff, 0xd0 | register);
  }

  jmpRegister(register: number): void {
    this.emit(0xff, 0xe0 | register);
  }

  // ---- memory at fixed addresses

  /** An immediate of the default operand size. */
  number(value: number): number[] {
    return this.mode === 16 ? le16(value) : le32(value);
  }

  /** ModRM and displacement of [address]. */
  absolute(field: number, address: number): number[] {
    if (this.mode === 64) return [0x04 | (field << 3), 0x25, ...le32(address)];
    return this.mode === 32 ? [0x05 | (field << 3), ...le32(address)] : [0x06 | (field << 3), ...le16(address)];
  }

  /** Bytes of code at a label as a memory operand: the code's own segment is FS in 16-bit code; `alias` is added elsewhere. */
  codeOperand(opcode: readonly number[], field: number, label: Label, addend: number, alias: number): void {
    if (this.mode === 16) this.emit(0x64, ...opcode, 0x06 | (field << 3));
    else if (this.mode === 32) this.emit(...opcode, 0x05 | (field << 3));
    else this.emit(...opcode, 0x04 | (field << 3), 0x25);
    this.#fix(this.mode === 16 ? 2 : 4, label, false, this.mode === 16 ? addend : addend + alias);
  }

  /** CALL or JMP through a table of addresses at `table`, by the low bits of a register (RBX where addresses are narrow). */
  throughTable(call: boolean, register: number, table: number, entries: number): void {
    const field = (call ? CALL : JMP) << 3;
    if (this.mode === 16) {
      this.emit(0x89, 0xc3 | (register << 3));
      this.andImmediate(3, entries - 1);
      this.emit(0x01, 0xdb, 0xff, 0x87 | field, ...le16(table));
    } else {
      this.emit(0x89, 0xc0 | (register << 3));
      this.andImmediate(0, entries - 1);
      this.emit(0xff, 0x04 | field, this.mode === 64 ? 0xc5 : 0x85, ...le32(table));
    }
  }
}

export function le16(value: number): number[] {
  return [value & 0xff, (value >> 8) & 0xff];
}

export function le32(value: number): number[] {
  return [value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, (value >>> 24) & 0xff];
}
