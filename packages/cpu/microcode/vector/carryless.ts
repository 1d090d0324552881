/** PCLMULQDQ (SDM vol. 1, 12.13.4). */
import { ST_FAULT, ST_NEXT } from "../../src/state/layout";
import { REC_IMM } from "../../src/state/record";
import { AVX3_OPERANDS, firstOperand, sourceOperand, SSE, writeResult } from "./operand";

/** Immediate bits 0 and 4 choose the quadwords. */
function multiply(rec: usize, encoding: i32): i32 {
  const host = sourceOperand(rec, true, encoding);
  if (host == 0) return ST_FAULT;
  const choice = <usize>load<u8>(rec + REC_IMM);
  const a = load<u64>(firstOperand(rec, encoding) + ((choice & 1) << 3));
  let b = load<u64>(host + ((choice & 16) >> 1));
  let low: u64 = 0;
  let high: u64 = 0;
  for (; b != 0; b &= b - 1) {
    const shift = ctz<u64>(b);
    low ^= a << shift;
    // In two steps, for a shift of zero.
    high ^= (a >> 1) >> (63 - shift);
  }
  writeResult(rec, i64x2.replace_lane(i64x2.splat(low), 1, high), encoding);
  return ST_NEXT;
}

export function op_pclmulqdq(rec: usize): i32 { return multiply(rec, SSE); }
export function op_vpclmulqdq(rec: usize): i32 { return multiply(rec, AVX3_OPERANDS); }
