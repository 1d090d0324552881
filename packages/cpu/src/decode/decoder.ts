/**
 * The decoder. What most code consists of is decoded here: an optional REX prefix, an opcode of the one-byte or the 0F map,
 * ModRM, a displacement and a plain immediate. All else is left to decodeGeneral (general.ts), which knows these as well.
 *
 * Speed comes from doing little: three look-ups give form and length, a few words are stored, and what they mean is
 * computed when it is asked for (packed.ts). Only 0F and a SIB byte without base are branched on, for what differs from one
 * instruction to the next is mispredicted. Some things look odd and are measured: tables are named again here (V8 folds
 * constants of a module's own scope, but not imported ones), sums end in `| 0` (or they are checked for overflow), and
 * both functions are short enough to be inlined where they are called (460 bytes of bytecode, for which names cost more than
 * numbers: the shifts and masks are those of addressing.ts and packed.ts).
 */
import * as addressing from './addressing.ts';
import * as dispatch from './dispatch.ts';
import { decodeGeneral } from './general.ts';
import type { Instruction } from './instruction.ts';

const { LEGACY, SLOTS } = dispatch;
const { MODRM } = addressing;

/** Bytes as the decoder takes them. */
export function codeView(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * Decodes one instruction.
 *
 * @param code the code (`codeView(bytes)`)
 * @param offset of the instruction in `code`
 * @param end end of the code that may be looked at, at most `code.byteLength`
 * @param mode 16, 32 or 64: CS.D and CS.L
 * @param out filled; undefined content if the result is negative
 * @returns the length, or DECODE_INVALID, DECODE_TOO_LONG or DECODE_TRUNCATED
 */
export function decode(code: DataView, offset: number, end: number, mode: 16 | 32 | 64, out: Instruction): number {
  const length = end - offset < 16 ? 0 : decodePlain(code, offset, mode, out);
  return length > 0 ? length : decodeGeneral(code, offset, end, mode, out);
}

/** The length, or 0 where the instruction is none of these; sixteen bytes must be there. */
function decodePlain(code: DataView, offset: number, mode: 16 | 32 | 64, out: Instruction): number {
  let head = code.getInt32(offset, true);
  // 8 if the byte is a REX prefix, else 0: 0x80 >> 4 has bit 3 set, other shifts have not.
  const rexBits = (((mode & 64) << 1) >> ((head & 0xff) >> 4)) & 8;
  const rex = head & ((rexBits << 28) >> 31) & 0x4f;
  head >>= rexBits;
  let at = 1 + (rexBits >> 3);
  let index = (((mode >> 5) << 12) + ((rex & 8) << 9) + (head & 0xff)) | 0;
  if ((head & 0xff) === 0x0f) {
    head = code.getInt32((offset + at) >>> 0, true);
    at = (at + 1) | 0;
    index = (index + 0xf1 + (head & 0xff)) | 0; // 0x100 for the map, less the 0F that is in it
  }
  const word = (MODRM[((mode & 16) << 4) | ((head >> 8) & 0xff)] as number) & (LEGACY[index] as number);
  const form = SLOTS[(word >> 16) + (word & 0xff)] as number;
  if (form < 0) return 0;
  out.head = head;
  out.rex = rex;
  out.tail = code.getInt32((offset + at + 2) >>> 0, true);
  at = (at + ((word >> 12) & 15)) | 0;
  if ((word & 0x800) !== 0 && ((head >> 16) & 7) === 5) at = (at + 4) | 0;
  out.immediate = code.getInt32((offset + at) >>> 0, true);
  at = (at + ((word >> 8) & 7)) | 0;
  out.bits = form | (at << 13) | (mode << 20);
  return at;
}
