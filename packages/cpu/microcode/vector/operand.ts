/** The second operand of vector instructions in microcode, and what they check first. */
import { SSE_BLOCKED } from "../../src/state/layout";
import { REC_P2 } from "../../src/state/record";
import { get32 } from "../cpu";
import { gp0, raise } from "../event";
import { ea, readHost } from "../mmu";
import { currentSet } from "../tlb";

/** Where the sixteen bytes of the second operand are, register or memory; 0: a fault is pending. */
export function sourceOperand(rec: usize, aligned: bool): usize {
  const blocked = get32(SSE_BLOCKED);
  if (blocked) {
    raise(blocked);
    return 0;
  }
  const register = <usize>load<u32>(rec + REC_P2);
  if (register != 0) return register;
  const address = ea(rec);
  if (aligned && address & 15) {
    gp0();
    return 0;
  }
  return readHost(currentSet(), address, 16);
}
