/**
 * ModRM as tables: what each byte says about the memory operand, for the three kinds of addressing, so that the
 * decoder computes with it rather than branches on it (SDM vol. 2A, tables 2-1 to 2-3, 2.2.1.6).
 *
 * A word of ADDRESSING: base register in bits 5:0, signed (-1 none, 16 RIP); in bit 6 whether REX.B extends the base; index register of
 * 16-bit addressing in bits 11:8, signed; in bit 12 whether a SIB byte follows; bytes of displacement in bits 15:13; the
 * shift that sign-extends it in bits 20:16.
 */
const ADDRESSING_EXTEND = 0x40;
export const ADDRESSING_SIB = 0x1000;

const SI = 6;
const DI = 7;
const BX = 3;
const BP = 5;
const RIP = 16;
const BASE_16: readonly number[] = [BX, BX, BP, BP, SI, DI, BP, BX];
const INDEX_16: readonly number[] = [SI, DI, SI, DI, -1, -1, -1, -1];

function pack(base: number, index: number, bytes: number, flags: number): number {
  const extend = bytes === 0 ? 0 : 32 - 8 * bytes;
  return (base & 0x3f) | ((index & 15) << 8) | (bytes << 13) | (extend << 16) | flags;
}

function word16(mod: number, rm: number): number {
  if (mod === 0 && rm === 6) return pack(-1, -1, 2, 0);
  return pack(BASE_16[rm] as number, INDEX_16[rm] as number, mod, 0);
}

function word32(mod: number, rm: number, mode64: boolean): number {
  const bytes = mod === 2 ? 4 : mod;
  if (rm === 4) return pack(-1, -1, bytes, ADDRESSING_SIB);
  if (mod === 0 && rm === 5) return pack(mode64 ? RIP : -1, -1, 4, 0);
  return pack(rm, -1, bytes, ADDRESSING_EXTEND);
}

function addressingTable(): Int32Array {
  const table = new Int32Array(3 * 256);
  for (let modrm = 0; modrm < 256; modrm++) {
    const mod = modrm >> 6;
    const rm = modrm & 7;
    const memory = mod !== 3;
    table[modrm] = memory ? word16(mod, rm) : pack(-1, -1, 0, 0);
    table[256 + modrm] = memory ? word32(mod, rm, false) : pack(-1, -1, 0, 0);
    table[512 + modrm] = memory ? word32(mod, rm, true) : pack(-1, -1, 0, 0);
  }
  return table;
}

/** By kind << 8 | ModRM; kinds: 16-bit, 32-bit outside 64-bit mode, 64-bit mode. */
export const ADDRESSING: Int32Array = addressingTable();

/** Default segment of a base register, by base + 1: SS with SP and BP (SDM vol. 1, 3.7.4), else DS. */
export const SEGMENT_OF_BASE: Uint8Array = Uint8Array.from({ length: 18 }, (_, i) => (i === 5 || i === 6 ? 2 : 3));

/** Masks of MODRM and of the dispatch tables' entries, which are combined by AND: what both say is what an instruction has. */
export const SELECT_MASK = 0xff;
export const IMMEDIATE_SHIFT = 8;
const IMMEDIATE_MASK = 7;
/** A SIB byte with ModRM.mod 0, which has a displacement if its base is 5. */
export const SIB_WITHOUT_DISPLACEMENT = 0x800;
export const LENGTH_SHIFT = 12;
export const LENGTH_MASK = 15;
export const SLOT_SHIFT = 16;
const EVERY_SLOT = -1 << SLOT_SHIFT;

/**
 * By 16-bit addressing << 8 | ModRM. In bit 0 whether it names a register, in bits 7:1 the number of the slot where a table
 * has one for each opcode in ModRM (0 to 7 by ModRM.reg for memory, from 8 by the low six bits for registers); bytes from
 * ModRM to the end of the displacement; all ones in the fields that are the opcode's alone.
 */
export const MODRM: Int32Array = Int32Array.from({ length: 512 }, (_, i) => {
  const modrm = i & 0xff;
  const word = ADDRESSING[i < 256 ? 256 + modrm : modrm] as number;
  const sib = (word & ADDRESSING_SIB) === 0 ? 0 : 1;
  const select = modrm < 0xc0 ? ((modrm >> 3) & 7) << 1 : ((8 + (modrm & 0x3f)) << 1) | 1;
  const alone = sib === 1 && modrm < 0x40 ? SIB_WITHOUT_DISPLACEMENT : 0;
  const length = 1 + sib + ((word >> 13) & 7);
  return EVERY_SLOT | (IMMEDIATE_MASK << IMMEDIATE_SHIFT) | select | alone | (length << LENGTH_SHIFT);
});
