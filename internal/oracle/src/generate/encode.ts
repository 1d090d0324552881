/** Bytes of a form: prefixes, opcode, ModRM and what follows, by what the form needs and chance; the decoder confirms. */
import { codeView, decode, type Form, Instruction } from '@vm/cpu/decode';
import type { Random } from '../random.ts';

export type Mode = 16 | 32 | 64;

export interface Encoded {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly ins: Instruction;
  /** Position of the displacement or moffs, -1 if there is none. */
  readonly dispAt: number;
  readonly dispSize: number;
  /** Position of what follows the displacement: immediates. */
  readonly immAt: number;
}

const ATTEMPTS = 120;
const STRING = /^(movs|stos|lods|scas|cmps)[bwdq](_string)?$/;
const SEGMENT_PREFIXES = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65] as const;

/** A form in a mode as bytes, or null if chance does not find it. */
export function encode(form: Form, mode: Mode, random: Random): Encoded | null {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const encoded = attempt1(form, mode, random);
    if (encoded) return encoded;
  }
  return null;
}

function attempt1(form: Form, mode: Mode, random: Random): Encoded | null {
  const bytes: number[] = legacyPrefixes(form, mode, random);
  if (form.row.vex) vexPrefix(form, mode, random, bytes);
  else opcodeBytes(form, mode, random, bytes);
  bytes.push(form.row.opcode | (form.row.plusRegister ? random.below(8) : 0));
  const addressSize = addressSizeOf(mode, bytes);
  const memory = form.operands.some(({ kind }) => kind === 'mem');
  const moffs = form.row.notation.includes('O');
  let dispAt = -1;
  let dispSize = 0;
  if (moffs && memory) {
    dispAt = bytes.length;
    dispSize = addressSize;
  } else if (form.row.modrm >= 0) bytes.push(form.row.modrm);
  else if (hasModrm(form)) {
    [dispAt, dispSize] = modrm(form, mode, addressSize, memory, random, bytes);
  }
  for (let i = 0; i < dispSize; i++) bytes.push(displacementByte(random, i, dispSize));
  const immAt = bytes.length;
  const small = random.oneIn(3);
  while (bytes.length < 15) bytes.push(bytes.length > immAt && small ? 0 : random.below(256));
  const ins = new Instruction();
  const length = decode(codeView(Uint8Array.from(bytes)), 0, 15, mode, ins);
  if (length <= 0 || ins.form !== form.index) return null;
  return { bytes: Uint8Array.from(bytes.slice(0, length)), ins, dispAt, dispSize, immAt };
}

function displacementByte(random: Random, i: number, size: number): number {
  if (size === 1 || i === 0) return random.below(256);
  return i < 2 ? random.below(16) : 0;
}

function legacyPrefixes(form: Form, mode: Mode, random: Random): number[] {
  const { row } = form;
  const bytes: number[] = [];
  if (random.oneIn(8)) bytes.push(random.pick(SEGMENT_PREFIXES));
  if (row.addressSize !== 0) {
    if (row.addressSize !== mode / 8) bytes.push(0x67);
  } else if (random.oneIn(8)) bytes.push(0x67);
  if (row.vex) return bytes;
  const size = form.operandSize;
  const natural = mode === 16 ? 2 : 4;
  // Rows without mandatory prefix have another meaning with 66.
  if (row.prefix !== 0 && (size === 2 ? natural === 4 : size === 4 && natural === 2)) bytes.push(0x66);
  else if (size === 0 && row.prefix < 0 && !isBranch(form) && random.oneIn(10)) bytes.push(0x66);
  if (row.prefix > 0) bytes.push([0, 0x66, 0xf3, 0xf2][row.prefix]!);
  else if (STRING.test(form.mnemonic) && random.oneIn(2)) bytes.push(random.oneIn(2) ? 0xf3 : 0xf2);
  if (row.attributes.has('lock') && form.operands[0]?.kind === 'mem' && random.oneIn(4)) bytes.push(0xf0);
  return bytes;
}

export function isBranch(form: Form): boolean {
  return /^(j.*|loop.*|call|ret)$/.test(form.mnemonic);
}

function opcodeBytes(form: Form, mode: Mode, random: Random, bytes: number[]): void {
  const { row } = form;
  if (mode === 64) {
    const wide = form.operandSize === 8 && !row.attributes.has('f64') && !row.attributes.has('d64');
    if (wide || random.oneIn(2)) bytes.push(0x40 | (wide ? 8 : 0) | random.below(8));
  }
  if (row.map > 0) bytes.push(0x0f);
  if (row.map === 2) bytes.push(0x38);
  if (row.map === 3) bytes.push(0x3a);
}

function vexPrefix(form: Form, mode: Mode, random: Random, bytes: number[]): void {
  const { row } = form;
  const long = row.vectorLength >= 0 ? row.vectorLength : form.operands.some(({ size, kind }) => size === 32 && kind !== 'imm') ? 1 : 0;
  const wide = row.w >= 0 ? row.w : form.operandSize === 8 ? 1 : random.oneIn(4) ? 1 : 0;
  const uses = /\b[HB]/.test(row.notation);
  const vvvv = uses ? random.below(16) : 0;
  const low = (wide << 7) | ((~vvvv & 15) << 3) | ((random.oneIn(8) && row.vectorLength < 0 ? random.below(2) : long) << 2) | Math.max(row.prefix, 0);
  const rxb = mode === 64 ? random.below(8) : 7;
  if (row.map === 1 && wide === 0 && random.oneIn(2)) bytes.push(0xc5, ((rxb & 4) << 5) | (low & 0x7f));
  else bytes.push(0xc4, (rxb << 5) | row.map, low);
}

function addressSizeOf(mode: Mode, bytes: readonly number[]): number {
  const prefixed = bytes.slice(0, 6).includes(0x67);
  return mode === 64 ? (prefixed ? 4 : 8) : (mode === 32) === prefixed ? 2 : 4;
}

function hasModrm(form: Form): boolean {
  const { row } = form;
  return row.digit >= 0 || row.attributes.has('reg') || row.attributes.has('mod3') || row.operands.some(({ letter }) => 'ERMWUQNXGVPSCD'.includes(letter) || letter === 'STi');
}

/** Writes ModRM and SIB; position and size of the displacement. */
function modrm(form: Form, mode: Mode, addressSize: number, memory: boolean, random: Random, bytes: number[]): [number, number] {
  const { row } = form;
  const reg = row.digit >= 0 ? row.digit : random.below(8);
  if (!memory) {
    bytes.push(0xc0 | (reg << 3) | random.below(8));
    return [-1, 0];
  }
  const mod = random.below(3);
  const rm = row.attributes.has('vsib') ? 4 : random.below(8);
  bytes.push((mod << 6) | (reg << 3) | rm);
  if (addressSize === 2) {
    const size = mod === 1 ? 1 : mod === 2 || rm === 6 ? 2 : 0;
    return [size === 0 ? -1 : bytes.length, size];
  }
  let size = mod === 1 ? 1 : mod === 2 || rm === 5 ? 4 : 0;
  if (rm === 4) {
    const sib = random.below(256);
    bytes.push(sib);
    if (mod === 0 && (sib & 7) === 5) size = 4;
  }
  return [size === 0 ? -1 : bytes.length, size];
}
