/** RFLAGS as a value: composed from, and split into, the lazy arithmetic flags and the rest (layout.ts, FLAG_*). */
import { FLAG_A, FLAG_B, FLAG_CF, FLAG_MODE, FLAG_RES, RFLAGS_REST } from "../src/state/layout";
import { cpu, get32, get64, set32, set64 } from "./cpu";

export const FLAG_BIT_CF = 0x1;
export const FLAG_BIT_PF = 0x4;
export const FLAG_BIT_AF = 0x10;
export const FLAG_BIT_ZF = 0x40;
export const FLAG_BIT_SF = 0x80;
export const FLAG_BIT_TF = 0x100;
export const FLAG_BIT_IF = 0x200;
export const FLAG_BIT_DF = 0x400;
export const FLAG_BIT_OF = 0x800;
export const FLAG_BIT_IOPL = 0x3000;
export const FLAG_BIT_NT = 0x4000;
export const FLAG_BIT_RF = 0x10000;
export const FLAG_BIT_VM = 0x20000;
export const FLAG_BIT_AC = 0x40000;
export const FLAG_BIT_VIF = 0x80000;
export const FLAG_BIT_VIP = 0x100000;
export const FLAG_BIT_ID = 0x200000;
/** CF PF AF ZF SF OF. */
export const FLAGS_ARITHMETIC = 0x8d5;
/** All bits that exist, but bit 1. */
export const FLAGS_ALL = 0x3f7fd5;

/** CF PF AF ZF SF OF at their places in RFLAGS. */
export function getArithmeticFlags(): i32 {
  const res = get64(FLAG_RES);
  const a = get64(FLAG_A);
  const b = get64(FLAG_B);
  const mode = get32(FLAG_MODE);
  const overflow = (a ^ res) & ((mode < 0 ? a : res) ^ b);
  const parity = popcnt<i32>((<i32>res ^ mode) & 0xff) & 1;
  let bits = get32(FLAG_CF) & 1;
  bits |= (parity ^ 1) << 2;
  bits |= <i32>(a ^ b ^ res) & FLAG_BIT_AF;
  bits |= i32(res == 0) << 6;
  bits |= (<i32>(<u64>res >> 63) ^ ((mode >> 30) & 1)) << 7;
  bits |= <i32>(<u64>overflow >> 63) << 11;
  return bits;
}

/** Sets CF PF AF ZF SF OF, all six, from their places in `bits`. */
export function setFlags(bits: i32): void {
  const zero = bits & FLAG_BIT_ZF;
  const res: i64 = zero ? 0 : 1;
  const sign: i64 = bits & FLAG_BIT_OF ? 0x8000000080000000 : 0;
  set64(FLAG_RES, res);
  set64(FLAG_A, sign);
  set64(FLAG_B, sign ^ <i64>(bits & FLAG_BIT_AF));
  set32(FLAG_CF, bits & 1);
  set32(FLAG_MODE, ((bits & FLAG_BIT_SF) << 23) | (<i32>res ^ (bits & FLAG_BIT_PF ? 0 : 1)));
}

/** RFLAGS as PUSHF or a VM exit would store it, RF and VM included. */
export function getRflags(): i64 {
  return <i64>(get32(RFLAGS_REST) | 2 | getArithmeticFlags());
}

/** Takes the bits of `mask` from `value`. The caller calls updateMode() when VM or AC may have changed. */
export function setRflags(value: i64, mask: i64): void {
  const bits = <i32>value;
  const take = <i32>mask & FLAGS_ALL;
  const arithmetic = take & FLAGS_ARITHMETIC;
  if (arithmetic == FLAGS_ARITHMETIC) setFlags(bits);
  else if (arithmetic != 0) setFlags((getArithmeticFlags() & ~arithmetic) | (bits & arithmetic));
  const rest = take & ~FLAGS_ARITHMETIC;
  set32(RFLAGS_REST, (get32(RFLAGS_REST) & ~rest) | (bits & rest) | 2);
}

/** Bits of RFLAGS_REST (not the arithmetic ones). */
// @ts-ignore: decorator
@inline
export function testFlag(bit: i32): bool {
  return (load<i32>(cpu + RFLAGS_REST) & bit) != 0;
}

/** IOPL. */
// @ts-ignore: decorator
@inline
export function iopl(): i32 {
  return (load<i32>(cpu + RFLAGS_REST) >> 12) & 3;
}
