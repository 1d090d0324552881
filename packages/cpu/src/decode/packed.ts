/**
 * The packed form of a decoded instruction, and what is computed from it and the form's tables when it is asked for. So
 * decoding costs no more than finding the form and the length.
 */
import * as addressing from './addressing.ts';
import * as dispatch from './dispatch.ts';
import * as kinds from './kinds.ts';
import { IMM_64, IMM_FAR16, IMM_FAR32, IMM_MOFFS, IMM_ONE, IMM_U16_U8 } from './operand.ts';
import * as packing from './packing.ts';

// Named again for speed: see decoder.ts.
const { ADDRESSING, ADDRESSING_SIB, SEGMENT_OF_BASE } = addressing;
const { FORM_DATA } = dispatch;
const { OP_NONE, OP_REG, PFX_ADDRSIZE, PFX_OPSIZE, PFX_VEX, RC_GPR, RC_GPR_HIGH } = kinds;
const { FORM_WORDS, FORM_MODRM, FORM_MOD3, FORM_VSIB, FORM_IRREGULAR_IMMEDIATE, FORM_BYTE_REGISTER, FORM_IS4 } = packing;

/** Fields of `bits`: the form; length; PFX_* but REX; mode; segment override + 1. The sign: the parts are there. */
export const BITS_FORM = 0x1fff;
export const BITS_LENGTH_SHIFT = 13;
export const BITS_PREFIXES_SHIFT = 17;
export const BITS_MODE_SHIFT = 20;
export const BITS_SEGMENT_SHIFT = 27;
export const BITS_DERIVED: number = -1 << 30;
/** VEX.L in `wide`. */
export const WIDE_VECTOR_LENGTH_SHIFT = 4;
/** Bits of `rex`. */
export const REX = 0x40;
export const REX_W = 8;
const REX_R = 4;
const REX_X = 2;
export const REX_B = 1;

/** What the decoder fills. */
export interface PackedInstruction {
  /** Form, length, prefixes, mode, segment override: see BITS_*. */
  bits: number;
  /** Opcode, ModRM and SIB byte, or what stands in their places. */
  head: number;
  /** The REX prefix, or the same bits of VEX, or 0. */
  rex: number;
  /** Four bytes from behind the place of the SIB byte. */
  tail: number;
  /** Four bytes from where the immediate begins. */
  immediate: number;
  /** Of irregular immediates the next four bytes; of VEX instructions VEX.vvvv, then VEX.L. */
  wide: number;
}

export class Operand {
  /** OP_*. */
  kind: number = OP_NONE;
  /** Bytes: of the register or of the memory operand (0 where it has none, as LEA's). */
  size = 0;
  /** RC_* of a register. */
  regClass: number = RC_GPR;
  reg = 0;
}

/** What is computed; Instruction tells what each means. */
export class Parts {
  operandSize = 0;
  addressSize = 0;
  memBase = 0;
  memIndex = 0;
  memScale = 0;
  memIndexSize = 0;
  memSegment = 0;
  dispLo = 0;
  dispHi = 0;
  immLo = 0;
  immHi = 0;
  imm2 = 0;
  readonly operands: readonly [Operand, Operand, Operand, Operand] = [
    new Operand(), new Operand(), new Operand(), new Operand(),
  ];
}

/** Bytes: 2, 4 or 8. */
export function addressSizeOf(bits: number): number {
  const mode = (bits >> BITS_MODE_SHIFT) & 0x70;
  if (((bits >> BITS_PREFIXES_SHIFT) & PFX_ADDRSIZE) === 0) return mode >> 3;
  return mode === 32 ? 2 : 4;
}

/** Computes the parts of an instruction. */
export function derive(packed: PackedInstruction, parts: Parts): void {
  const at = (packed.bits & BITS_FORM) * FORM_WORDS;
  const flags = FORM_DATA[at] as number;
  parts.addressSize = addressSizeOf(packed.bits);
  parts.operandSize = (flags >> 16) & 15 || operandSizeByPrefixes(packed);
  if (flags >> 23 === 0) {
    parts.memBase = -1;
    parts.memIndex = -1;
  } else deriveMemory(packed, flags, parts);
  parts.memIndexSize = (flags & FORM_VSIB) === 0 ? 0 : (FORM_DATA[at + 3] as number);
  if ((flags & FORM_IRREGULAR_IMMEDIATE) === 0) {
    const extend = (FORM_DATA[at + 2] as number) >> 4;
    parts.immLo = ((packed.immediate & (FORM_DATA[at + 3] as number)) << extend) >> extend;
    parts.immHi = parts.immLo >> 31;
  } else {
    deriveIrregular(packed, FORM_DATA[at + 2] as number, parts);
  }
  const fields = registerFields(packed, flags);
  const high = (flags & FORM_BYTE_REGISTER) !== 0 && packed.rex === 0;
  const { operands } = parts;
  deriveOperand(operands[0], FORM_DATA[at + 4] as number, fields, high);
  deriveOperand(operands[1], FORM_DATA[at + 5] as number, fields, high);
  if (((flags >> 20) & 7) > 2) {
    deriveOperand(operands[2], FORM_DATA[at + 6] as number, fields, false);
    deriveOperand(operands[3], FORM_DATA[at + 7] as number, fields, false);
  } else {
    operands[2].kind = OP_NONE;
    operands[3].kind = OP_NONE;
  }
}

function operandSizeByPrefixes({ bits, rex }: PackedInstruction): number {
  const prefixes = bits >> BITS_PREFIXES_SHIFT;
  if ((rex & REX_W) !== 0) return 8;
  if ((prefixes & PFX_VEX) !== 0) return 4;
  const word = ((bits >> BITS_MODE_SHIFT) & 0x70) === 16;
  return word === ((prefixes & PFX_OPSIZE) === 0) ? 2 : 4;
}

function deriveMemory({ bits, head, rex, tail }: PackedInstruction, flags: number, parts: Parts): void {
  const modrm = (flags & (FORM_MODRM | FORM_MOD3)) === FORM_MODRM ? (head >> 8) & 0xff : 0xc0;
  const kind = parts.addressSize === 2 ? 0 : ((bits >> BITS_MODE_SHIFT) & 0x40) === 0 ? 256 : 512;
  const word = ADDRESSING[kind | modrm] as number;
  let base = ((word << 26) >> 26) | ((rex << 3) & (word >> 3) & 8); // ADDRESSING_EXTEND
  let index = (word << 20) >> 28;
  let scale = 0;
  let size = (word >> 13) & 7;
  let disp = ((head >> 16) & 0xff) | (tail << 8);
  if ((word & ADDRESSING_SIB) !== 0) {
    base = ((head >> 16) & 7) | ((rex & REX_B) << 3);
    index = ((head >> 19) & 7) | ((rex & REX_X) << 2);
    if (index === 4 && (flags & FORM_VSIB) === 0) index = -1;
    scale = (head >> 22) & 3;
    disp = tail;
    if ((base & 7) === 5 && modrm < 0x40) {
      base = -1;
      size = 4;
    }
  }
  const extend = (word >> 16) & 31;
  disp = ((disp & (-size >> 31)) << extend) >> extend;
  const override = ((bits >> BITS_SEGMENT_SHIFT) & 7) - 1;
  parts.memBase = base;
  parts.memIndex = index;
  parts.memScale = scale;
  parts.dispLo = disp;
  parts.dispHi = disp >> 31;
  parts.memSegment = override >= 0 ? override : (SEGMENT_OF_BASE[base + 1] as number);
}

/** Immediates other than one sign-extended or zero-extended integer of at most 32 bits. */
function deriveIrregular({ immediate, wide }: PackedInstruction, kind: number, parts: Parts): void {
  parts.immLo = immediate;
  parts.immHi = 0;
  switch (kind) {
    case IMM_64:
      parts.immHi = wide;
      break;
    case IMM_U16_U8:
      parts.immLo = immediate & 0xffff;
      parts.imm2 = (immediate >> 16) & 0xff;
      break;
    case IMM_FAR16:
      parts.immLo = immediate & 0xffff;
      parts.imm2 = immediate >>> 16;
      break;
    case IMM_FAR32:
      parts.imm2 = wide & 0xffff;
      break;
    case IMM_ONE:
      parts.immLo = 1;
      break;
    case IMM_MOFFS:
      parts.dispLo = parts.addressSize === 2 ? immediate & 0xffff : immediate;
      parts.dispHi = parts.addressSize === 8 ? wide : 0;
      break;
  }
}

/** Four bits each: ModRM.rm with REX.B, ModRM.reg with REX.R, the opcode's low bits with REX.B, VEX.vvvv, imm8[7:4]. */
function registerFields({ bits, head, rex, wide, immediate }: PackedInstruction, flags: number): number {
  const high = (rex & REX_B) << 3;
  const rm = ((head >> 8) & 7) | high;
  const reg = ((head >> 11) & 7) | ((rex & REX_R) << 1);
  const fields = rm | (reg << 4) | (((head & 7) | high) << 8) | ((wide & 15) << 12);
  if ((flags & FORM_IS4) === 0) return fields;
  return fields | (((immediate >> 4) & (((bits >> BITS_MODE_SHIFT) & 0x40) === 0 ? 7 : 15)) << 16);
}

/** `high`: the byte registers 4 to 7 are AH, CH, DH, BH, for there is no REX. */
function deriveOperand(operand: Operand, word: number, fields: number, high: boolean): void {
  operand.kind = word & 7;
  operand.regClass = (word >> 3) & 7;
  operand.size = (word >> 6) & 0x3ff;
  operand.reg = ((fields >> ((word >> 16) & 31)) & (word >> 21) & 15) + (word >> 25);
  if (high && (word & 0xffff) === BYTE_REGISTER && operand.reg >= 4) {
    operand.regClass = RC_GPR_HIGH;
    operand.reg -= 4;
  }
}

const BYTE_REGISTER = OP_REG | (RC_GPR << 3) | (1 << 6);
