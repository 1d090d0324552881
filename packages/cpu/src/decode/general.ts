/**
 * The decoder's general path: every instruction, with prefixes and VEX, in the order of its bytes. SDM vol. 2A, chapter 2.
 *
 * Bytes are read without checks against the end, and the length is compared with what was available afterwards; near the
 * end of the view they are first copied to a padded window. What is known goes to the instruction as it is found.
 */
import { LENGTH_MASK, LENGTH_SHIFT, MODRM, SELECT_MASK, SIB_WITHOUT_DISPLACEMENT, SLOT_SHIFT } from './addressing.ts';
import { FORM_DATA, LEGACY, SLOTS, SPECIAL, UNDEFINED, VEX } from './dispatch.ts';
import * as instruction from './instruction.ts';
import type { Instruction } from './instruction.ts';
import { IMM_64, IMM_FAR16, IMM_FAR32, IMM_MOFFS, IMM_U16_U8 } from './operand.ts';
import { addressSizeOf, BITS_LENGTH_SHIFT, BITS_MODE_SHIFT, BITS_PREFIXES_SHIFT, BITS_SEGMENT_SHIFT, REX, REX_B, REX_W, WIDE_VECTOR_LENGTH_SHIFT } from './packed.ts';
import * as packing from './packing.ts';

/** Undefined opcode: #UD. */
export const DECODE_INVALID = -1;
/** More than 15 bytes: #GP(0). */
export const DECODE_TOO_LONG = -2;
/** The instruction goes on beyond `end`. */
export const DECODE_TRUNCATED = -3;

const { PFX_LOCK, PFX_REP, PFX_REPNE, PFX_OPSIZE, PFX_ADDRSIZE, PFX_VEX, OP_REG, RC_SEG, RC_CR, RC_DR } = instruction;
const { FORM_WORDS, FORM_LOCK, FORM_VVVV, FORM_VSIB, FORM_MOD3, FORM_BY_ADDRESS_SIZE, FORM_BY_REX_B } = packing;
const { FORM_SYSTEM_REGISTER, FORM_IRREGULAR_IMMEDIATE } = packing;

const MAX_LENGTH = 15;
/** Bytes that may be looked at from the start: 15 of prefixes and opcode, then at most 3 + 2 + 4 + 8. */
const WINDOW = 32;
const paddedWindow = new DataView(new ArrayBuffer(WINDOW));

/** As decode (decoder.ts), which has the more common instructions done faster. */
export function decodeGeneral(code: DataView, offset: number, end: number, mode: 16 | 32 | 64, out: Instruction): number {
  const size = code.byteLength;
  const result = offset + WINDOW <= size ? decodeAt(code, offset, mode, out) : decodeNearEnd(code, offset, mode, out);
  const used = result < 0 ? -result : result;
  const available = (end < size ? end : size) - offset;
  if (used > MAX_LENGTH || used > available) return available < MAX_LENGTH ? DECODE_TRUNCATED : DECODE_TOO_LONG;
  return result < 0 ? DECODE_INVALID : result;
}

function decodeNearEnd(code: DataView, offset: number, mode: 16 | 32 | 64, out: Instruction): number {
  for (let i = 0; i < WINDOW; i++) {
    paddedWindow.setUint8(i, offset + i < code.byteLength ? code.getUint8(offset + i) : 0);
  }
  return decodeAt(paddedWindow, 0, mode, out);
}

/** As decodeGeneral, without an end: the length, or minus the number of bytes that showed the instruction to be invalid. */
function decodeAt(code: DataView, start: number, mode: 16 | 32 | 64, out: Instruction): number {
  const p = readPrefixes(code, start, mode, out);
  if (p - start > MAX_LENGTH) return start - p;
  const byte = code.getUint8(p - 1);
  const vex = (byte & 0xfe) === 0xc4 && (mode === 64 || code.getUint8(p) >= 0xc0);
  return vex ? decodeVex(code, start, p, mode, out) : decodeLegacy(code, start, p, mode, out);
}

/** Prefix bytes: PFX_*, or SEGMENT_PREFIX + segment number, or 0 of others. */
const SEGMENT_PREFIX = 0x80;
const PREFIX: Uint8Array = new Uint8Array(256);
[0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65].forEach((byte, segment) => (PREFIX[byte] = SEGMENT_PREFIX + segment));
[[0x66, PFX_OPSIZE], [0x67, PFX_ADDRSIZE], [0xf0, PFX_LOCK], [0xf2, PFX_REPNE], [0xf3, PFX_REP]]
  .forEach(([byte = 0, prefix = 0]) => (PREFIX[byte] = prefix));

/** Legacy prefixes and REX; returns the position behind the first opcode byte, or one too far away. */
function readPrefixes(code: DataView, start: number, mode: 16 | 32 | 64, out: Instruction): number {
  let prefixes = 0;
  let segment = 0;
  let rex = 0;
  let p = start;
  for (; p - start < MAX_LENGTH; p++) {
    const byte = code.getUint8(p);
    const prefix = PREFIX[byte] as number;
    if (prefix === 0) {
      if (mode !== 64 || (byte & 0xf0) !== 0x40) break;
      rex = byte;
      continue;
    }
    rex = 0; // a REX that is not right before the opcode is ignored
    if ((prefix & SEGMENT_PREFIX) === 0) {
      if ((prefix & (PFX_REP | PFX_REPNE)) !== 0) prefixes &= ~(PFX_REP | PFX_REPNE);
      prefixes |= prefix;
    } else if (mode !== 64 || prefix >= SEGMENT_PREFIX + 4) {
      // In 64-bit mode only FS and GS are overrides (SDM vol. 1, 3.4.2.1).
      segment = prefix - SEGMENT_PREFIX + 1;
    }
  }
  out.rex = rex;
  out.bits = (prefixes << BITS_PREFIXES_SHIFT) | (mode << BITS_MODE_SHIFT) | (segment << BITS_SEGMENT_SHIFT);
  return p + 1;
}

/** `p` is behind the first opcode byte. */
function decodeLegacy(code: DataView, start: number, p: number, mode: 16 | 32 | 64, out: Instruction): number {
  const prefixes = out.bits >> BITS_PREFIXES_SHIFT;
  const mandatory = (prefixes & PFX_REP) !== 0 ? 2 : (prefixes & PFX_REPNE) !== 0 ? 3 : (prefixes & PFX_OPSIZE) !== 0 ? 1 : 0;
  let at = p;
  let opcode = code.getUint8(at - 1);
  if (opcode === 0x0f) {
    opcode = 0x100 | code.getUint8(at++);
    if ((opcode & 0xfd) === 0x38) opcode = ((opcode << 7) & 0x100) | 0x200 | code.getUint8(at++);
  }
  const entry = LEGACY[(legacyContext(mode, prefixes, out.rex) << 12) | (mandatory << 10) | opcode] as number;
  return decodeForm(code, start, at, entry, out);
}

/** Index of the context in the legacy table (LEGACY_CONTEXTS in dispatch.ts). */
function legacyContext(mode: 16 | 32 | 64, prefixes: number, rex: number): number {
  const small = (prefixes & PFX_OPSIZE) !== 0;
  if (mode !== 64) return (mode === 32) === small ? 0 : 1;
  if ((rex & REX_W) !== 0) return 3;
  return small ? 4 : 2;
}

/** `p` is behind C4 or C5. */
function decodeVex(code: DataView, start: number, p: number, mode: 16 | 32 | 64, out: Instruction): number {
  const prefixes = out.bits >> BITS_PREFIXES_SHIFT;
  if ((prefixes & (PFX_OPSIZE | PFX_LOCK | PFX_REP | PFX_REPNE)) !== 0 || out.rex !== 0) return start - p;
  const mode64 = mode === 64 ? 1 : 0;
  const high = code.getUint8(p);
  const short = code.getUint8(p - 1) === 0xc5;
  const low = short ? high : code.getUint8(p + 1);
  const map = short ? 1 : high & 31;
  let at = p + (short ? 1 : 2);
  if (map === 0 || map > 3) return start - at;
  const wide = short ? 0 : low >> 7;
  const vectorLength = (low >> 2) & 1;
  const opcode = code.getUint8(at++);
  const rxb = short ? (~high >> 5) & 4 : (~high >> 5) & 7;
  // Outside 64-bit mode there are eight registers: B is ignored.
  out.rex = REX | (mode64 === 1 ? (wide << 3) | rxb : 0);
  out.wide = ((~low >> 3) & (mode64 === 1 ? 15 : 7)) | (vectorLength << WIDE_VECTOR_LENGTH_SHIFT);
  out.bits |= PFX_VEX << BITS_PREFIXES_SHIFT;
  const context = (mode64 << 2) | (wide << 1) | vectorLength;
  const length = decodeForm(code, start, at, VEX[(context << 12) | ((low & 3) << 10) | (map << 8) | opcode] as number, out);
  return length < 0 || vexLegal(out, (~low >> 3) & 15) ? length : -length;
}

/** From ModRM on, `p` being behind the opcode. */
function decodeForm(code: DataView, start: number, p: number, entry: number, out: Instruction): number {
  out.head = code.getInt32(p - 1, true);
  const small = addressSizeOf(out.bits) === 2 ? 256 : 0;
  const modrm = (out.head >> 8) & 0xff;
  const form = formOf(entry, (MODRM[small | modrm] as number) & entry, out);
  if (form === UNDEFINED) return start - p - ((entry & SELECT_MASK) === 0 ? 0 : 1);
  out.bits |= form;
  const flags = FORM_DATA[form * FORM_WORDS] as number;
  const word = (MODRM[small | ((flags & FORM_MOD3) === 0 ? modrm : modrm | 0xc0)] as number) & entry;
  let at = p + ((word >> LENGTH_SHIFT) & LENGTH_MASK);
  if ((word & SIB_WITHOUT_DISPLACEMENT) !== 0 && (out.head & 0x70000) === 0x50000) at += 4;
  out.tail = code.getInt32(p + 2, true);
  out.immediate = code.getInt32(at, true);
  if ((flags & FORM_IRREGULAR_IMMEDIATE) === 0) at += (FORM_DATA[form * FORM_WORDS + 2] as number) & 15;
  else {
    out.wide = code.getInt32(at + 4, true);
    at += irregularBytes(FORM_DATA[form * FORM_WORDS + 2] as number, out);
  }
  out.bits |= (at - start) << BITS_LENGTH_SHIFT;
  const locked = ((out.bits >> BITS_PREFIXES_SHIFT) & PFX_LOCK) !== 0;
  if (locked && (flags & FORM_LOCK) === 0) return start - at;
  if ((flags & FORM_SYSTEM_REGISTER) !== 0 && !systemRegistersExist(out)) return start - at;
  return at - start;
}

/** The form in the slot that `word` selects, or UNDEFINED. */
function formOf(entry: number, word: number, out: Instruction): number {
  const slot = SLOTS[(word >> SLOT_SHIFT) + (word & SELECT_MASK)] as number;
  if (slot >= UNDEFINED) return slot;
  const flags = FORM_DATA[(SPECIAL - slot) * FORM_WORDS] as number;
  if ((flags & (FORM_BY_ADDRESS_SIZE | FORM_BY_REX_B)) === 0) return SPECIAL - slot;
  const choice = (flags & FORM_BY_REX_B) === 0 ? addressSizeOf(out.bits) >> 2 : out.rex & REX_B;
  const chosen = SLOTS[(entry >> SLOT_SHIFT) + choice] as number;
  return chosen >= UNDEFINED ? chosen : SPECIAL - chosen;
}

/** Bytes of an immediate that is not one sign-extended or zero-extended integer of at most 32 bits. */
function irregularBytes(kind: number, out: Instruction): number {
  switch (kind) {
    case IMM_64:
      return 8;
    case IMM_U16_U8:
      return 3;
    case IMM_FAR16:
      return 4;
    case IMM_FAR32:
      return 6;
    case IMM_MOFFS:
      return addressSizeOf(out.bits);
    default: // IMM_ONE
      return 0;
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

/** VEX.vvvv is 1111 where it is no operand; gathers have three different registers. */
function vexLegal(out: Instruction, vvvv: number): boolean {
  const flags = FORM_DATA[out.form * FORM_WORDS] as number;
  if ((flags & FORM_VVVV) === 0 && vvvv !== 0) return false;
  if ((flags & FORM_VSIB) === 0) return true;
  // The rm field 4 is the SIB byte, without which there is no vector index (SDM vol. 2A, 2.3.12).
  if (((out.head >> 8) & 7) !== 4 || out.addressSize === 2) return false;
  const [first, , third] = out.operands;
  return first.reg !== third.reg && first.reg !== out.memIndex && third.reg !== out.memIndex;
}
