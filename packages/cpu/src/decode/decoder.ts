/**
 * The decoder: prefixes, then one look-up in the flattened encoding table, then ModRM, displacement, immediate and
 * operands as the leaf says. SDM vol. 2A, chapter 2. It allocates nothing.
 *
 * Bytes are read without bounds checks and the length is compared with what was available afterwards; so near the end of
 * the array the bytes are first copied to a padded window.
 */
import {
  dispatchIndex,
  GROUPS,
  GROUP_SLOTS,
  LEAF_FLAGS,
  LEAF_IMMEDIATE,
  LEAF_MEMORY_FORM,
  LEAF_OPERAND_COUNT,
  LEAF_OPERAND_SIZE,
  LEAF_OPERANDS,
  LEAF_REGISTER_FORM,
  LEAF_ROW,
  LEGACY,
  OPERAND_CLASS,
  OPERAND_FIXED,
  OPERAND_MEMORY_SIZE,
  OPERAND_SIZE,
  OPERAND_SOURCE,
  ROW_MNEMONIC,
  VEX,
} from './dispatch.ts';
import {
  OP_FAR,
  OP_IMM,
  OP_MEM,
  OP_NONE,
  OP_REG,
  OP_REL,
  PFX_ADDRSIZE,
  PFX_LOCK,
  PFX_OPSIZE,
  PFX_REP,
  PFX_REPNE,
  PFX_REX,
  PFX_VEX,
  RC_GPR,
  RC_GPR_HIGH,
  type Instruction,
} from './instruction.ts';
import {
  LEAF_BY_ADDRESS_SIZE,
  LEAF_BY_REX_B,
  LEAF_LOCK,
  LEAF_MOD3,
  LEAF_MODRM,
  LEAF_REP_IN_OPCODE,
  LEAF_VSIB,
  LEAF_VVVV,
} from './leaf.ts';
import * as source from './operand.ts';

/** Undefined opcode: #UD. */
export const DECODE_INVALID = -1;
/** More than 15 bytes: #GP(0). */
export const DECODE_TOO_LONG = -2;
/** The instruction goes on beyond `end`. */
export const DECODE_TRUNCATED = -3;

const MAX_LENGTH = 15;
/** Bytes that may be looked at from the start: 15 of prefixes and opcode, then at most 3 + 2 + 4 + 8. */
const WINDOW = 32;
const paddedWindow = new Uint8Array(2 * WINDOW);

/** Kinds of prefix bytes. */
const P_REX = 1;
const P_SEG = 2; // P_SEG + segment number
const P_OPSIZE = 8;
const P_ADDRSIZE = 9;
const P_LOCK = 10;
const P_REPNE = 11;
const P_REP = 12;

function prefixTable(mode64: boolean): Uint8Array {
  const table = new Uint8Array(256);
  [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65].forEach((byte, segment) => (table[byte] = P_SEG + segment));
  table[0x66] = P_OPSIZE;
  table[0x67] = P_ADDRSIZE;
  table[0xf0] = P_LOCK;
  table[0xf2] = P_REPNE;
  table[0xf3] = P_REP;
  if (mode64) table.fill(P_REX, 0x40, 0x50);
  return table;
}

const PREFIXES_LEGACY: Uint8Array = prefixTable(false);
const PREFIXES_64: Uint8Array = prefixTable(true);

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
  let result = 0;
  if (offset + WINDOW <= bytes.length) {
    result = decodeUnbounded(bytes, offset, mode, out);
  } else {
    for (let i = 0; i < WINDOW; i++) {
      paddedWindow[i] = offset + i < bytes.length ? (bytes[offset + i] as number) : 0;
    }
    result = decodeUnbounded(paddedWindow, 0, mode, out);
  }
  const used = result < 0 ? -result : result;
  const available = (end < bytes.length ? end : bytes.length) - offset;
  if (used > MAX_LENGTH || used > available) return available < MAX_LENGTH ? DECODE_TRUNCATED : DECODE_TOO_LONG;
  return result < 0 ? DECODE_INVALID : result;
}

/** As decode, without an end: the length, or minus the number of bytes that showed the instruction to be invalid. */
function decodeUnbounded(bytes: Uint8Array, start: number, mode: 16 | 32 | 64, out: Instruction): number {
  const mode64 = mode === 64;
  const kinds = mode64 ? PREFIXES_64 : PREFIXES_LEGACY;
  let p = start;
  let byte = bytes[p++] as number;
  let rex = 0;
  let prefixes = 0;
  let mandatory = 0;
  let segment = -1;
  let kind = kinds[byte] as number;
  while (kind !== 0) {
    if (kind === P_REX) {
      rex = byte;
    } else {
      rex = 0; // a REX that is not right before the opcode is ignored
      switch (kind) {
        case P_OPSIZE:
          prefixes |= PFX_OPSIZE;
          break;
        case P_ADDRSIZE:
          prefixes |= PFX_ADDRSIZE;
          break;
        case P_LOCK:
          prefixes |= PFX_LOCK;
          break;
        case P_REPNE:
          prefixes = (prefixes & ~PFX_REP) | PFX_REPNE;
          mandatory = 3;
          break;
        case P_REP:
          prefixes = (prefixes & ~PFX_REPNE) | PFX_REP;
          mandatory = 2;
          break;
        default:
          // In 64-bit mode only FS and GS are overrides (SDM vol. 1, 3.4.2.1).
          if (!mode64 || kind >= P_SEG + 4) segment = kind - P_SEG;
      }
    }
    if (p - start >= MAX_LENGTH) return -(MAX_LENGTH + 1);
    byte = bytes[p++] as number;
    kind = kinds[byte] as number;
  }
  const small = (prefixes & PFX_OPSIZE) !== 0;
  const addressSize = (prefixes & PFX_ADDRSIZE) === 0 ? mode >> 3 : mode === 32 ? 2 : 4;
  out.mode = mode;
  out.segmentOverride = segment;
  out.addressSize = addressSize;
  let operandSize = small === (mode === 16) ? 4 : 2;
  let context = operandSize >> 2;
  if (mode64) {
    if ((rex & 8) !== 0) operandSize = 8;
    context = operandSize === 8 ? 4 : 2 + context;
  }
  let map = 0;
  if (byte === 0x0f) {
    byte = bytes[p++] as number;
    map = 1;
    if (byte === 0x38 || byte === 0x3a) {
      map = byte === 0x38 ? 2 : 3;
      byte = bytes[p++] as number;
    }
  } else if ((byte & 0xfe) === 0xc4 && (mode64 || (bytes[p] as number) >= 0xc0)) {
    if ((prefixes & (PFX_OPSIZE | PFX_LOCK | PFX_REP | PFX_REPNE)) !== 0 || rex !== 0) return start - p;
    out.prefixes = prefixes | PFX_VEX;
    return decodeVex(bytes, start, p, byte, mode64, out);
  }
  if (mandatory === 0 && small) mandatory = 1;
  out.prefixes = rex === 0 ? prefixes : prefixes | PFX_REX;
  out.vectorLength = 0;
  const entry = LEGACY[dispatchIndex(context, mandatory, map, byte)] as number;
  return finish(bytes, start, p, entry, byte, rex, operandSize, 0, out);
}

/** VEX prefixes (SDM vol. 2A, 2.3.5); `p` is after the C4 or C5. */
function decodeVex(bytes: Uint8Array, start: number, p: number, escape: number, mode64: boolean, out: Instruction): number {
  // Bits of the two payload bytes: R X B m-mmmm, W vvvv L pp; R X B and vvvv inverted.
  const high = bytes[p++] as number;
  let low = high;
  let map = 1;
  let rex = (high & 0x80) === 0 ? 0x44 : 0x40;
  if (escape === 0xc4) {
    low = bytes[p++] as number;
    map = high & 31;
    rex |= ((~high >> 5) & 3) | ((low >> 4) & 8);
    if (map === 0 || map > 3) return start - p;
  }
  const vectorLength = (low >> 2) & 1;
  const wide = (rex >> 3) & 1;
  const vvvv = (~low >> 3) & 15;
  if (!mode64) rex = 0x40; // eight registers: B is ignored
  const pp = low & 3;
  const opcode = bytes[p++] as number;
  out.vectorLength = vectorLength;
  const context = (mode64 ? 4 : 0) | (wide << 1) | vectorLength;
  const entry = VEX[dispatchIndex(context, pp, map, opcode)] as number;
  const operandSize = mode64 && wide === 1 ? 8 : 4;
  return finish(bytes, start, p, entry, opcode, rex, operandSize, vvvv, out);
}

/** Chooses the leaf of an entry and fills the instruction; `p` is after the opcode. */
function finish(
  bytes: Uint8Array,
  start: number,
  p: number,
  entry: number,
  opcode: number,
  rex: number,
  operandSize: number,
  vvvv: number,
  out: Instruction,
): number {
  let leaf = entry;
  let modrm = 0;
  if (entry < 0) {
    if (entry === -1) return start - p;
    modrm = bytes[p] as number;
    const slot = modrm < 0xc0 ? (modrm >> 3) & 7 : modrm - 0xb8;
    leaf = GROUPS[(-2 - entry) * GROUP_SLOTS + slot] as number;
    if (leaf < 0) return start - p - 1;
  }
  let flags = LEAF_FLAGS[leaf] as number;
  if ((flags & (LEAF_BY_ADDRESS_SIZE | LEAF_BY_REX_B)) !== 0) {
    if ((flags & LEAF_BY_REX_B) !== 0) leaf += rex & 1;
    else leaf += out.addressSize >> 2;
    flags = LEAF_FLAGS[leaf] as number;
  }
  let form = LEAF_REGISTER_FORM[leaf] as number;
  if ((flags & LEAF_MODRM) !== 0) {
    modrm = bytes[p++] as number;
    if ((flags & LEAF_MOD3) !== 0) modrm |= 0xc0;
    if (modrm < 0xc0) {
      form = LEAF_MEMORY_FORM[leaf] as number;
      p = out.addressSize === 2 ? memory16(bytes, p, modrm, out) : memory(bytes, p, modrm, rex, out);
    }
  } else {
    modrm = 0xc0;
  }
  const row = LEAF_ROW[leaf] as number;
  out.row = row;
  out.form = form;
  out.mnemonic = ROW_MNEMONIC[row] as number;
  const settled = LEAF_OPERAND_SIZE[leaf] as number;
  out.operandSize = settled === 0 ? operandSize : settled;
  if ((flags & LEAF_REP_IN_OPCODE) !== 0) out.prefixes &= ~(PFX_REP | PFX_REPNE);
  const immediateKind = LEAF_IMMEDIATE[leaf] as number;
  if (immediateKind !== source.IMM_NONE) p = immediate(bytes, p, immediateKind, out);
  out.length = p - start;
  if (!operands(leaf, opcode, modrm, rex, vvvv, out)) return start - p;
  if ((out.prefixes & (PFX_LOCK | PFX_VEX)) !== 0 && !prefixesLegal(leaf, modrm, vvvv, out)) return start - p;
  return p - start;
}

/** LOCK only on a memory destination; VEX.vvvv 1111 where it is no operand; gathers with three different registers. */
function prefixesLegal(leaf: number, modrm: number, vvvv: number, out: Instruction): boolean {
  const flags = LEAF_FLAGS[leaf] as number;
  if ((out.prefixes & PFX_LOCK) !== 0) return (flags & LEAF_LOCK) !== 0 && modrm < 0xc0;
  if ((flags & LEAF_VVVV) === 0 && vvvv !== 0) return false;
  if ((flags & LEAF_VSIB) === 0) return true;
  // The rm field 4 is the SIB byte, without which there is no vector index (SDM vol. 2A, 2.3.12).
  if ((modrm & 7) !== 4 || out.addressSize === 2) return false;
  return vectorIndex(leaf, out);
}

/** Turns the general index register that was decoded into the vector one of the same number. */
function vectorIndex(leaf: number, out: Instruction): boolean {
  const destination = out.operands[0].reg;
  const mask = out.operands[2].reg;
  const index = out.memIndex < 0 ? 4 : out.memIndex;
  out.memIndex = index;
  out.memIndexSize = OPERAND_SIZE[leaf * LEAF_OPERANDS + 1] as number;
  return destination !== mask && destination !== index && mask !== index;
}

function read16(bytes: Uint8Array, p: number): number {
  return (bytes[p] as number) | ((bytes[p + 1] as number) << 8);
}

function read32(bytes: Uint8Array, p: number): number {
  return read16(bytes, p) | (read16(bytes, p + 2) << 16);
}

const BP = 5;
const SS = 2;
const DS = 3;
/** Base and index of 16-bit addressing (SDM vol. 2A, table 2-1). */
const BASE_16: Int8Array = Int8Array.of(3, 3, BP, BP, 6, 7, BP, 3);
const INDEX_16: Int8Array = Int8Array.of(6, 7, 6, 7, -1, -1, -1, -1);

/** Memory operand of 16-bit addressing; returns the position behind it. */
function memory16(bytes: Uint8Array, p: number, modrm: number, out: Instruction): number {
  const rm = modrm & 7;
  const mod = modrm >> 6;
  let base = BASE_16[rm] as number;
  let disp = 0;
  if (mod === 1) {
    disp = ((bytes[p++] as number) << 24) >> 24;
  } else if (mod === 2 || rm === 6) {
    disp = (read16(bytes, p) << 16) >> 16;
    p += 2;
    if (mod === 0) base = -1;
  }
  out.memBase = base;
  out.memIndex = INDEX_16[rm] as number;
  out.memScale = 0;
  out.memIndexSize = 0;
  out.dispLo = disp;
  out.dispHi = disp >> 31;
  out.memSegment = out.segmentOverride >= 0 ? out.segmentOverride : base === BP ? SS : DS;
  return p;
}

/** Memory operand of 32-bit and 64-bit addressing (SDM vol. 2A, tables 2-2 and 2-3, 2.2.1.6). */
function memory(bytes: Uint8Array, p: number, modrm: number, rex: number, out: Instruction): number {
  const mod = modrm >> 6;
  let low = modrm & 7;
  let base = low | ((rex & 1) << 3);
  let index = -1;
  let scale = 0;
  if (low === 4) {
    const sib = bytes[p++] as number;
    low = sib & 7;
    base = low | ((rex & 1) << 3);
    index = ((sib >> 3) & 7) | ((rex & 2) << 2);
    if (index === 4) index = -1;
    scale = sib >> 6;
    if (mod === 0 && low === 5) base = -1;
  } else if (mod === 0 && low === 5) {
    base = out.mode === 64 ? 16 : -1;
  }
  let disp = 0;
  if (mod === 1) {
    disp = ((bytes[p++] as number) << 24) >> 24;
  } else if (mod === 2 || (mod === 0 && low === 5)) {
    disp = read32(bytes, p);
    p += 4;
  }
  out.memBase = base;
  out.memIndex = index;
  out.memScale = scale;
  out.memIndexSize = 0;
  out.dispLo = disp;
  out.dispHi = disp >> 31;
  out.memSegment = out.segmentOverride >= 0 ? out.segmentOverride : base === 4 || base === BP ? SS : DS;
  return p;
}

function setImmediate(out: Instruction, value: number): void {
  out.immLo = value;
  out.immHi = value >> 31;
}

/** Reads the immediate; returns the position behind it. */
function immediate(bytes: Uint8Array, p: number, kind: number, out: Instruction): number {
  switch (kind) {
    case source.IMM_U8:
      setImmediate(out, bytes[p] as number);
      return p + 1;
    case source.IMM_S8:
      setImmediate(out, ((bytes[p] as number) << 24) >> 24);
      return p + 1;
    case source.IMM_U16:
      setImmediate(out, read16(bytes, p));
      return p + 2;
    case source.IMM_S16:
      setImmediate(out, (read16(bytes, p) << 16) >> 16);
      return p + 2;
    case source.IMM_S32:
      setImmediate(out, read32(bytes, p));
      return p + 4;
    case source.IMM_64:
      out.immLo = read32(bytes, p);
      out.immHi = read32(bytes, p + 4);
      return p + 8;
    case source.IMM_U16_U8:
      setImmediate(out, read16(bytes, p));
      out.imm2 = bytes[p + 2] as number;
      return p + 3;
    case source.IMM_FAR16:
      setImmediate(out, read16(bytes, p));
      out.imm2 = read16(bytes, p + 2);
      return p + 4;
    case source.IMM_FAR32:
      out.immLo = read32(bytes, p);
      out.immHi = 0;
      out.imm2 = read16(bytes, p + 4);
      return p + 6;
    case source.IMM_MOFFS:
      return memoryOffset(bytes, p, out);
    default:
      setImmediate(out, 1); // IMM_ONE
      return p;
  }
}

/** MOV's memory offset, as wide as an address. */
function memoryOffset(bytes: Uint8Array, p: number, out: Instruction): number {
  const size = out.addressSize;
  out.memBase = -1;
  out.memIndex = -1;
  out.memScale = 0;
  out.memIndexSize = 0;
  out.dispLo = size === 2 ? read16(bytes, p) : read32(bytes, p);
  out.dispHi = size === 8 ? read32(bytes, p + 4) : 0;
  out.memSegment = out.segmentOverride >= 0 ? out.segmentOverride : DS;
  return p + size;
}

/** Control registers that exist: 0, 2, 3, 4, 8. */
const CONTROL_REGISTERS = 0x11d;

/** Fills the operands; false if a register does not exist. */
function operands(leaf: number, opcode: number, modrm: number, rex: number, vvvv: number, out: Instruction): boolean {
  const count = LEAF_OPERAND_COUNT[leaf] as number;
  const first = leaf * LEAF_OPERANDS;
  out.operandCount = count;
  for (let i = 0; i < LEAF_OPERANDS; i++) {
    const operand = out.operands[i as 0 | 1 | 2 | 3];
    if (i >= count) {
      operand.kind = OP_NONE;
      continue;
    }
    const spec = first + i;
    let reg = 0;
    let regClass = OPERAND_CLASS[spec] as number;
    let kind = OP_REG;
    let size = OPERAND_SIZE[spec] as number;
    switch (OPERAND_SOURCE[spec]) {
      case source.SRC_RM:
        reg = (modrm & 7) | ((rex & 1) << 3);
        if (modrm < 0xc0) kind = OP_MEM;
        break;
      case source.SRC_RM8:
        reg = (modrm & 7) | ((rex & 1) << 3);
        if (modrm < 0xc0) kind = OP_MEM;
        else if (rex === 0 && reg >= 4) {
          reg -= 4;
          regClass = RC_GPR_HIGH;
        }
        break;
      case source.SRC_RM_PLAIN:
        reg = modrm & 7;
        if (modrm < 0xc0) kind = OP_MEM;
        break;
      case source.SRC_REG:
        reg = ((modrm >> 3) & 7) | ((rex & 4) << 1);
        break;
      case source.SRC_REG8:
        reg = ((modrm >> 3) & 7) | ((rex & 4) << 1);
        if (rex === 0 && reg >= 4) {
          reg -= 4;
          regClass = RC_GPR_HIGH;
        }
        break;
      case source.SRC_REG_PLAIN:
        reg = (modrm >> 3) & 7;
        break;
      case source.SRC_OPCODE:
        reg = (opcode & 7) | ((rex & 1) << 3);
        break;
      case source.SRC_OPCODE8:
        reg = (opcode & 7) | ((rex & 1) << 3);
        if (rex === 0 && reg >= 4) {
          reg -= 4;
          regClass = RC_GPR_HIGH;
        }
        break;
      case source.SRC_VVVV:
        reg = out.mode === 64 ? vvvv : vvvv & 7;
        break;
      case source.SRC_IS4:
        reg = (out.immLo >> 4) & (out.mode === 64 ? 15 : 7);
        break;
      case source.SRC_FIXED:
        reg = OPERAND_FIXED[spec] as number;
        break;
      case source.SRC_IMM:
      case source.SRC_IMM2:
        kind = OP_IMM;
        break;
      case source.SRC_REL:
        kind = OP_REL;
        break;
      case source.SRC_FAR:
        kind = OP_FAR;
        break;
      case source.SRC_MOFFS:
        kind = OP_MEM;
        break;
      default:
        reg = systemRegister(OPERAND_SOURCE[spec] as number, modrm, rex);
        if (reg < 0) return false;
    }
    if (kind !== OP_REG) {
      regClass = RC_GPR;
      reg = 0;
      if (kind === OP_MEM) size = OPERAND_MEMORY_SIZE[spec] as number;
    }
    operand.kind = kind;
    operand.size = size;
    operand.regClass = regClass;
    operand.reg = reg;
  }
  return true;
}

/** Segment, control or debug register in ModRM.reg, or -1 if it does not exist. */
function systemRegister(from: number, modrm: number, rex: number): number {
  const reg = (modrm >> 3) & 7;
  const extended = reg | ((rex & 4) << 1);
  switch (from) {
    case source.SRC_SEG:
      return reg <= 5 ? reg : -1;
    case source.SRC_SEG_LOAD:
      return reg <= 5 && reg !== 1 ? reg : -1;
    case source.SRC_CR:
      return ((CONTROL_REGISTERS >> extended) & 1) === 1 ? extended : -1;
    default:
      return extended <= 7 ? extended : -1;
  }
}
