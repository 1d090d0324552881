/** Decimal adjustment (SDM vol. 2A, AAA to AAS; DAA, DAS). None of it exists in 64-bit mode. */
import { RAX, ST_NEXT } from "../src/state/layout";
import { REC_IMM } from "../src/state/record";
import { cpu } from "./cpu";
import { raise, VECTOR_DE } from "./event";
import { FLAG_BIT_AF, FLAG_BIT_CF, FLAG_BIT_PF, FLAG_BIT_SF, FLAG_BIT_ZF, getArithmeticFlags, setFlags } from "./flags";

/** ZF, SF and PF of a byte. */
function byteFlags(value: i32): i32 {
  const byte = value & 0xff;
  let flags = byte & FLAG_BIT_SF;
  if (byte == 0) flags |= FLAG_BIT_ZF;
  if ((popcnt<i32>(byte) & 1) == 0) flags |= FLAG_BIT_PF;
  return flags;
}

function adjustDecimal(subtract: bool): i32 {
  const old = <i32>load<u8>(cpu + RAX);
  const flags = getArithmeticFlags();
  let al = old;
  let out = 0;
  if ((old & 15) > 9 || flags & FLAG_BIT_AF) {
    al += subtract ? -6 : 6;
    out = FLAG_BIT_AF;
    // The borrow (or carry) of the first step counts only together with the old carry.
    if (flags & FLAG_BIT_CF || (subtract ? al < 0 : al > 0xff)) out |= FLAG_BIT_CF;
  }
  if (old > 0x99 || flags & FLAG_BIT_CF) {
    al += subtract ? -0x60 : 0x60;
    out |= FLAG_BIT_CF;
  }
  store<u8>(cpu + RAX, <u8>al);
  setFlags(out | byteFlags(al));
  return ST_NEXT;
}

export function op_daa(_rec: usize): i32 {
  return adjustDecimal(false);
}

export function op_das(_rec: usize): i32 {
  return adjustDecimal(true);
}

function adjustAscii(subtract: bool): i32 {
  const flags = getArithmeticFlags();
  const adjust = (<i32>load<u8>(cpu + RAX) & 15) > 9 || (flags & FLAG_BIT_AF) != 0;
  if (adjust) {
    const ax = <i32>load<u16>(cpu + RAX);
    store<u16>(cpu + RAX, <u16>(subtract ? ax - 0x106 : ax + 0x106));
  }
  const al = load<u8>(cpu + RAX) & 15;
  store<u8>(cpu + RAX, al);
  setFlags(byteFlags(al) | (adjust ? FLAG_BIT_AF | FLAG_BIT_CF : 0));
  return ST_NEXT;
}

export function op_aaa(_rec: usize): i32 {
  return adjustAscii(false);
}

export function op_aas(_rec: usize): i32 {
  return adjustAscii(true);
}

export function op_aam(rec: usize): i32 {
  const base = load<i32>(rec + REC_IMM) & 0xff;
  if (base == 0) return raise(VECTOR_DE);
  const al = <i32>load<u8>(cpu + RAX);
  store<u16>(cpu + RAX, <u16>(((al / base) << 8) | (al % base)));
  setFlags(byteFlags(al % base));
  return ST_NEXT;
}

export function op_aad(rec: usize): i32 {
  const base = load<i32>(rec + REC_IMM) & 0xff;
  const al = (<i32>load<u8>(cpu + RAX) + <i32>load<u8>(cpu + RAX + 1) * base) & 0xff;
  store<u16>(cpu + RAX, <u16>al);
  setFlags(byteFlags(al));
  return ST_NEXT;
}
