/** PCLMULQDQ (SDM vol. 1, 12.13.4). */
import { ST_FAULT, ST_NEXT } from "../../src/state/layout";
import { REC_IMM, REC_P1 } from "../../src/state/record";
import { sourceOperand } from "./operand";

/** Immediate bits 0 and 4 choose the quadwords. */
export function op_pclmulqdq(rec: usize): i32 {
  const host = sourceOperand(rec, true);
  if (host == 0) return ST_FAULT;
  const choice = <usize>load<u8>(rec + REC_IMM);
  const target = <usize>load<u32>(rec + REC_P1);
  const a = load<u64>(target + ((choice & 1) << 3));
  let b = load<u64>(host + ((choice & 16) >> 1));
  let low: u64 = 0;
  let high: u64 = 0;
  for (; b != 0; b &= b - 1) {
    const shift = ctz<u64>(b);
    low ^= a << shift;
    // In two steps, for a shift of zero.
    high ^= (a >> 1) >> (63 - shift);
  }
  store<u64>(target, low);
  store<u64>(target, high, 8);
  return ST_NEXT;
}
