/**
 * The decoder: prefixes, one look-up in the flattened encoding table, then addressing, immediate and operands as the
 * form found there says. SDM vol. 2A, chapter 2.
 *
 * What differs from one instruction to the next is computed from packed words (packing.ts, addressing.ts), since branches
 * on it would be mispredicted. Bytes are read without bounds checks, and the length is compared with what was available
 * afterwards; near the end of the array they are first copied to a padded window. Two things look odd and are measured:
 * decodeAt is one long function (cut in two it takes a sixth longer), and tables and constants are named again here
 * (V8 folds constants of a module's own scope, but not imported ones; a quarter of the time).
 */
import * as addressing from './addressing.ts';
import * as dispatch from './dispatch.ts';
import * as instruction from './instruction.ts';
import type { Instruction, Operand } from './instruction.ts';
import * as kinds from './operand.ts';
import * as packing from './packing.ts';

/** Undefined opcode: #UD. */
export const DECODE_INVALID = -1;
/** More than 15 bytes: #GP(0). */
export const DECODE_TOO_LONG = -2;
/** The instruction goes on beyond `end`. */
export const DECODE_TRUNCATED = -3;

const { LEGACY, VEX, SLOTS, SELECT, FORM_DATA } = dispatch;
const { ADDRESSING, SEGMENT_OF_BASE, ADDRESSING_SIB } = addressing;
const { PFX_LOCK, PFX_REP, PFX_REPNE, PFX_OPSIZE, PFX_ADDRSIZE, PFX_REX, PFX_VEX } = instruction;
const { OP_NONE, OP_REG, RC_GPR, RC_GPR_HIGH, RC_SEG, RC_CR, RC_DR } = instruction;
const { FORM_WORDS, FORM_MODRM, FORM_LOCK, FORM_REP_IN_OPCODE, FORM_VVVV, FORM_VSIB, FORM_MOD3 } = packing;
const { FORM_BY_ADDRESS_SIZE, FORM_BY_REX_B, FORM_IRREGULAR_IMMEDIATE, FORM_BYTE_REGISTER } = packing;
const { FORM_SYSTEM_REGISTER, FORM_IS4 } = packing;
const { IMM_64, IMM_U16_U8, IMM_FAR16, IMM_FAR32, IMM_MOFFS } = kinds;
const SEGMENT_DS = 3;
const FORM_CHOICE = FORM_BY_ADDRESS_SIZE | FORM_BY_REX_B | FORM_MOD3;
const FORM_RARE = FORM_IRREGULAR_IMMEDIATE | FORM_BYTE_REGISTER | FORM_SYSTEM_REGISTER | FORM_IS4;

const MAX_LENGTH = 15;
/** Bytes that may be looked at from the start: 15 of prefixes and opcode, then at most 3 + 2 + 4 + 8. */
const WINDOW = 32;
const paddedWindow = new Uint8Array(WINDOW);

/** Kinds of prefix bytes. */
const P_SEGMENT = 1; // P_SEGMENT + segment number
const P_OPSIZE = 7;
const P_ADDRSIZE = 8;
const P_LOCK = 9;
const P_REPNE = 10;
const P_REP = 11;

function prefixTable(): Uint8Array {
  const table = new Uint8Array(256);
  [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65].forEach((byte, segment) => (table[byte] = P_SEGMENT + segment));
  table[0x66] = P_OPSIZE;
  table[0x67] = P_ADDRSIZE;
  table[0xf0] = P_LOCK;
  table[0xf2] = P_REPNE;
  table[0xf3] = P_REP;
  return table;
}

/** Legacy prefixes. */
const PREFIX: Uint8Array = prefixTable();

/**
 * Decodes one instruction.
 *
 * @param bytes the code
 * @param offset of the instruction in `bytes`
 * @param end end of the code that may be looked at
 * @param mode 16, 32 or 64: CS.D and CS.L
 * @param out filled; undefined content if the result is negative
 * @returns the length, or DECODE_INVALID, DECODE_TOO_LONG or DECODE_TRUNCATED
 */
export function decode(bytes: Uint8Array, offset: number, end: number, mode: 16 | 32 | 64, out: Instruction): number {
  const size = bytes.length;
  const result = offset + WINDOW <= size ? decodeAt(bytes, offset, mode, out) : decodeNearEnd(bytes, offset, mode, out);
  const used = result < 0 ? -result : result;
  const available = (end < size ? end : size) - offset;
  if (used > MAX_LENGTH || used > available) return available < MAX_LENGTH ? DECODE_TRUNCATED : DECODE_TOO_LONG;
  return result < 0 ? DECODE_INVALID : result;
}

function decodeNearEnd(bytes: Uint8Array, offset: number, mode: 16 | 32 | 64, out: Instruction): number {
  for (let i = 0; i < WINDOW; i++) {
    paddedWindow[i] = offset + i < bytes.length ? (bytes[offset + i] as number) : 0;
  }
  return decodeAt(paddedWindow, 0, mode, out);
}

/** As decode, without an end: the length, or minus the number of bytes that showed the instruction to be invalid. */
function decodeAt(bytes: Uint8Array, start: number, mode: 16 | 32 | 64, out: Instruction): number {
  const mode64 = mode === 64 ? 1 : 0;
  let p = start + 1;
  let byte = bytes[start] as number;
  let prefixes = 0;
  let mandatory = 0;
  let segment = -1;
  let kind = PREFIX[byte] as number;
  let rex = 0;
  for (;;) {
    while (kind !== 0) {
      if (kind >= P_REPNE) {
        prefixes = (prefixes & ~(PFX_REP | PFX_REPNE)) | (kind === P_REP ? PFX_REP : PFX_REPNE);
        mandatory = kind === P_REP ? 2 : 3;
      } else if (kind >= P_OPSIZE) {
        prefixes |= kind === P_OPSIZE ? PFX_OPSIZE : kind === P_ADDRSIZE ? PFX_ADDRSIZE : PFX_LOCK;
      } else if (mode64 === 0 || kind >= P_SEGMENT + 4) {
        // In 64-bit mode only FS and GS are overrides (SDM vol. 1, 3.4.2.1).
        segment = kind - P_SEGMENT;
      }
      if (p - start >= MAX_LENGTH) return -(MAX_LENGTH + 1);
      byte = bytes[p++] as number;
      kind = PREFIX[byte] as number;
    }
    if (mode64 === 0 || (byte & 0xf0) !== 0x40) break;
    rex = byte;
    if (p - start >= MAX_LENGTH) return -(MAX_LENGTH + 1);
    byte = bytes[p++] as number;
    kind = PREFIX[byte] as number;
    if (kind === 0 && (byte & 0xf0) !== 0x40) break;
    rex = 0; // a REX that is not right before the opcode is ignored
  }
  let operandSize = 4;
  let context = 3;
  if (mode64 === 1) {
    const wide = (rex >> 3) & 1;
    const small = (prefixes >> 3) & 1 & ~wide; // PFX_OPSIZE
    context = 3 + wide - small;
    operandSize = (4 << wide) >> small;
  } else {
    context = ((prefixes & PFX_OPSIZE) === 0) === (mode === 32) ? 1 : 0;
    operandSize = 2 << context;
  }
  const addressSize = (prefixes & PFX_ADDRSIZE) === 0 ? mode >> 3 : mode === 32 ? 2 : 4;
  let opcode = byte;
  let vvvv = 0;
  let entry = 0;
  let vectorLength = 0;
  if ((byte & 0xfe) === 0xc4 && (mode64 === 1 || (bytes[p] as number) >= 0xc0)) {
    if ((prefixes & (PFX_OPSIZE | PFX_LOCK | PFX_REP | PFX_REPNE)) !== 0 || rex !== 0) return start - p;
    prefixes |= PFX_VEX;
    const high = bytes[p++] as number;
    let low = high;
    let map = 1;
    rex = (high & 0x80) === 0 ? 0x44 : 0x40;
    if (byte === 0xc4) {
      low = bytes[p++] as number;
      map = high & 31;
      rex |= ((~high >> 5) & 3) | ((low >> 4) & 8);
      if (map === 0 || map > 3) return start - p;
    }
    const wide = (rex >> 3) & 1;
    if (mode64 === 0) rex = 0x40; // eight registers: B is ignored
    opcode = bytes[p++] as number;
    vectorLength = (low >> 2) & 1;
    vvvv = (~low >> 3) & 15;
    operandSize = 4 << (mode64 & wide);
    context = (mode64 << 2) | (wide << 1) | vectorLength;
    entry = VEX[(context << 12) | ((low & 3) << 10) | (map << 8) | opcode] as number;
  } else {
    if (byte === 0x0f) {
      byte = bytes[p++] as number;
      opcode = 0x100 | byte;
      if ((byte & 0xfd) === 0x38) opcode = ((byte << 7) & 0x100) | 0x200 | (bytes[p++] as number);
    }
    if (mandatory === 0) mandatory = (prefixes >> 3) & 1; // PFX_OPSIZE
    entry = LEGACY[(context << 12) | (mandatory << 10) | opcode] as number;
    if (rex !== 0) prefixes |= PFX_REX;
  }
  let modrm = bytes[p] as number;
  let form = SLOTS[(entry >> 2) + (SELECT[((entry & 3) << 8) | modrm] as number)] as number;
  if (form < 0) return start - p - ((entry & 3) === 0 ? 0 : 1);
  let at = form * FORM_WORDS;
  let flags = FORM_DATA[at] as number;
  if ((flags & FORM_CHOICE) !== 0) {
    if ((flags & FORM_MOD3) !== 0) modrm |= 0xc0;
    else form = SLOTS[(entry >> 2) + ((flags & FORM_BY_REX_B) === 0 ? addressSize >> 2 : rex & 1)] as number;
    at = form * FORM_WORDS;
    flags = FORM_DATA[at] as number;
  }
  p += flags & FORM_MODRM;
  modrm |= ((flags & FORM_MODRM) - 1) & 0xc0; // without the byte as if for a register
  const names = FORM_DATA[at + 1] as number;
  const settledSize = (flags >> 16) & 15;
  if ((flags & FORM_REP_IN_OPCODE) !== 0) prefixes &= ~(PFX_REP | PFX_REPNE);
  out.mode = mode;
  out.prefixes = prefixes;
  out.segmentOverride = segment;
  out.addressSize = addressSize;
  out.vectorLength = vectorLength;
  out.form = form;
  out.row = names & 0xffff;
  out.mnemonic = names >> 16;
  out.operandSize = settledSize === 0 ? operandSize : settledSize;
  out.operandCount = flags >> 20;
  if (modrm < 0xc0) {
    p = memoryOperand(bytes, p, modrm, rex, out);
  } else {
    out.memBase = -1;
    out.memIndex = -1;
  }
  const immediate = FORM_DATA[at + 2] as number;
  let value = 0;
  if (immediate !== 0) {
    const extend = immediate >> 4;
    value = ((read32(bytes, p) & (FORM_DATA[at + 3] as number)) << extend) >> extend;
    out.immLo = value;
    out.immHi = value >> 31;
    p += immediate & 15;
  }
  const operands = out.operands;
  const fields =
    (modrm & 7) | ((rex & 1) << 3) | ((modrm & 0x38) << 1) | ((rex & 4) << 5) |
    ((opcode & 7) << 8) | ((rex & 1) << 11) | ((mode64 === 1 ? vvvv : vvvv & 7) << 12);
  fillOperand(operands[0], FORM_DATA[at + 4] as number, fields);
  fillOperand(operands[1], FORM_DATA[at + 5] as number, fields);
  if (flags >> 20 > 2) {
    fillOperand(operands[2], FORM_DATA[at + 6] as number, fields);
    fillOperand(operands[3], FORM_DATA[at + 7] as number, fields);
  } else {
    operands[2].kind = OP_NONE;
    operands[3].kind = OP_NONE;
  }
  if ((flags & FORM_RARE) !== 0) {
    if ((flags & FORM_BYTE_REGISTER) !== 0 && rex === 0) highByteRegisters(out);
    if ((flags & FORM_IRREGULAR_IMMEDIATE) !== 0) p = irregularImmediate(bytes, p - (immediate & 15), immediate, out);
    if ((flags & FORM_IS4) !== 0) operands[3].reg = (value >> 4) & (mode64 === 1 ? 15 : 7);
    if ((flags & FORM_SYSTEM_REGISTER) !== 0 && !systemRegistersExist(out)) return start - p;
  }
  out.length = p - start;
  if ((prefixes & (PFX_LOCK | PFX_VEX)) !== 0 && !prefixesLegal(flags, modrm, vvvv, out)) return start - p;
  return p - start;
}

function read32(bytes: Uint8Array, p: number): number {
  const low = (bytes[p] as number) | ((bytes[p + 1] as number) << 8);
  return low | ((bytes[p + 2] as number) << 16) | ((bytes[p + 3] as number) << 24);
}

/** Memory operand; returns the position behind it. */
function memoryOperand(bytes: Uint8Array, p: number, modrm: number, rex: number, out: Instruction): number {
  const kind = out.addressSize === 2 ? 0 : out.mode === 64 ? 512 : 256;
  const word = ADDRESSING[kind | modrm] as number;
  let base = ((word << 26) >> 26) | ((rex << 3) & (word >> 3) & 8);
  let index = (word << 20) >> 28;
  let scale = 0;
  let size = (word >> 13) & 7;
  if ((word & ADDRESSING_SIB) !== 0) {
    const sib = bytes[p++] as number;
    base = (sib & 7) | ((rex & 1) << 3);
    index = ((sib >> 3) & 7) | ((rex & 2) << 2);
    if (index === 4) index = -1;
    scale = sib >> 6;
    if ((sib & 7) === 5 && modrm < 0x40) {
      base = -1;
      size = 4;
    }
  }
  const extend = (word >> 16) & 31;
  let disp = 0;
  if (size !== 0) disp = ((size === 1 ? (bytes[p] as number) : read32(bytes, p)) << extend) >> extend;
  out.memBase = base;
  out.memIndex = index;
  out.memScale = scale;
  out.memIndexSize = 0;
  out.dispLo = disp;
  out.dispHi = disp >> 31;
  out.memSegment = out.segmentOverride >= 0 ? out.segmentOverride : (SEGMENT_OF_BASE[base + 1] as number);
  return p + size;
}

function fillOperand(operand: Operand, word: number, fields: number): void {
  operand.kind = word & 7;
  operand.regClass = (word >> 3) & 7;
  operand.size = (word >> 6) & 0x3ff;
  operand.reg = ((fields >> ((word >> 16) & 31)) & (word >> 21) & 15) + (word >> 25);
}

/** Without REX the byte registers 4 to 7 are AH, CH, DH, BH. */
function highByteRegisters(out: Instruction): void {
  for (let i = 0; i < 2; i++) {
    const operand = out.operands[i as 0 | 1];
    if (operand.kind === OP_REG && operand.regClass === RC_GPR && operand.size === 1 && operand.reg >= 4) {
      operand.regClass = RC_GPR_HIGH;
      operand.reg -= 4;
    }
  }
}

/** Control registers that exist: 0, 2, 3, 4, 8. */
const CONTROL_REGISTERS = 0x11d;

/** Segment registers 6 and 7, CS as a destination, control registers such as 1 and debug registers above 7 do not exist. */
function systemRegistersExist(out: Instruction): boolean {
  for (let i = 0; i < 2; i++) {
    const { kind, regClass, reg } = out.operands[i as 0 | 1];
    if (kind !== OP_REG) continue;
    if (regClass === RC_SEG && (reg > 5 || (reg === 1 && i === 0))) return false;
    if (regClass === RC_CR && ((CONTROL_REGISTERS >> reg) & 1) === 0) return false;
    if (regClass === RC_DR && reg > 7) return false;
  }
  return true;
}

/** Immediates other than one sign-extended or zero-extended integer of at most 32 bits. */
function irregularImmediate(bytes: Uint8Array, p: number, kind: number, out: Instruction): number {
  const value = read32(bytes, p);
  switch (kind) {
    case IMM_64:
      out.immLo = value;
      out.immHi = read32(bytes, p + 4);
      return p + 8;
    case IMM_U16_U8:
      out.immLo = value & 0xffff;
      out.immHi = 0;
      out.imm2 = (value >> 16) & 0xff;
      return p + 3;
    case IMM_FAR16:
      out.immLo = value & 0xffff;
      out.immHi = 0;
      out.imm2 = value >>> 16;
      return p + 4;
    case IMM_FAR32:
      out.immLo = value;
      out.immHi = 0;
      out.imm2 = (bytes[p + 4] as number) | ((bytes[p + 5] as number) << 8);
      return p + 6;
    case IMM_MOFFS:
      out.memScale = 0;
      out.memIndexSize = 0;
      out.memSegment = out.segmentOverride >= 0 ? out.segmentOverride : SEGMENT_DS;
      out.dispLo = out.addressSize === 2 ? value & 0xffff : value;
      out.dispHi = out.addressSize === 8 ? read32(bytes, p + 4) : 0;
      return p + out.addressSize;
    default: // IMM_ONE
      out.immLo = 1;
      out.immHi = 0;
      return p;
  }
}

/** LOCK only on a memory destination; VEX.vvvv 1111 where it is no operand; gathers with three different registers. */
function prefixesLegal(flags: number, modrm: number, vvvv: number, out: Instruction): boolean {
  if ((out.prefixes & PFX_LOCK) !== 0) return (flags & FORM_LOCK) !== 0;
  if ((flags & FORM_VVVV) === 0 && vvvv !== 0) return false;
  if ((flags & FORM_VSIB) === 0) return true;
  // The rm field 4 is the SIB byte, without which there is no vector index (SDM vol. 2A, 2.3.12).
  return (modrm & 7) === 4 && out.addressSize !== 2 && vectorIndex(out);
}

/** Turns the general index register that was decoded into the vector one of the same number. */
function vectorIndex(out: Instruction): boolean {
  const destination = out.operands[0].reg;
  const mask = out.operands[2].reg;
  const index = out.memIndex < 0 ? 4 : out.memIndex;
  out.memIndex = index;
  out.memIndexSize = FORM_DATA[out.form * FORM_WORDS + 3] as number;
  return destination !== mask && destination !== index && mask !== index;
}
