/** Operands of vector instructions in microcode, and what they check first. */
import { AVX_BLOCKED, SSE_BLOCKED } from "../../src/state/layout";
import { REC_P1, REC_P2, REC_P3 } from "../../src/state/record";
import { get32 } from "../cpu";
import { gp0, raise } from "../event";
import { ea, readHost } from "../mmu";
import { currentSet } from "../tlb";

/** Not AVX: two operands, memory aligned where the instruction wants it; AVX: no alignment. */
export const SSE = 0;
/** Two operands. */
export const AVX2_OPERANDS = 1;
/** Three operands. */
export const AVX3_OPERANDS = 2;

/** Where the sixteen bytes of the last vector operand are, register or memory; 0: a fault is pending. */
export function sourceOperand(rec: usize, aligned: bool, encoding: i32 = SSE): usize {
  const blocked = get32(encoding == SSE ? SSE_BLOCKED : AVX_BLOCKED);
  if (blocked) {
    raise(blocked);
    return 0;
  }
  const register = <usize>load<u32>(rec + (encoding == AVX3_OPERANDS ? REC_P3 : REC_P2));
  if (register != 0) return register;
  const address = ea(rec);
  if (aligned && encoding == SSE && address & 15) {
    gp0();
    return 0;
  }
  return readHost(currentSet(), address, 16);
}

/** The first source: the destination, or the operand after it. */
export function firstOperand(rec: usize, encoding: i32): usize {
  return <usize>load<u32>(rec + (encoding == AVX3_OPERANDS ? REC_P2 : REC_P1));
}

/** Writes the destination; AVX clears what is above. */
export function writeResult(rec: usize, value: v128, encoding: i32): void {
  const target = <usize>load<u32>(rec + REC_P1);
  v128.store(target, value);
  if (encoding != SSE) v128.store(target, i64x2.splat(0), 16);
}
