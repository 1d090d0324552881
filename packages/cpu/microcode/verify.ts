/** Looking at descriptors without loading them: LAR LSL VERR VERW, and ARPL (SDM vol. 2). */
import { ST_FAULT, ST_NEXT } from "../src/state/layout";
import { REC_P1, REC_P2 } from "../src/state/record";
import {
  descDpl, descHigh, descIsCode, descIsConforming, descIsSegment, descKind, descLimit, isNull, tryDescriptor, TYPE_CALL_GATE,
  TYPE_CALL_GATE16, TYPE_LDT, TYPE_TASK_GATE, TYPE_TSS16_AVAILABLE, TYPE_TSS16_BUSY, TYPE_TSS_AVAILABLE, TYPE_TSS_BUSY,
} from "./descriptor";
import { ud } from "./event";
import { FLAG_BIT_ZF, setRflags } from "./flags";
import { ea, writeN } from "./mmu";
import { currentPrivilege, inLongMode, inRealOrV86 } from "./mode";
import { operandFault, operandSize, pointer, readRm, writeRegister } from "./operand";

function setZero(on: bool): i32 {
  setRflags(on ? FLAG_BIT_ZF : 0, FLAG_BIT_ZF);
  return ST_NEXT;
}

/** One bit a type of system descriptor that LAR accepts: outside and in long mode. */
const LAR_TYPES =
  (1 << TYPE_TSS16_AVAILABLE) | (1 << TYPE_LDT) | (1 << TYPE_TSS16_BUSY) | (1 << TYPE_CALL_GATE16) | (1 << TYPE_TASK_GATE) |
  (1 << TYPE_TSS_AVAILABLE) | (1 << TYPE_TSS_BUSY) | (1 << TYPE_CALL_GATE);
const LAR_TYPES_LONG = (1 << TYPE_LDT) | (1 << TYPE_TSS_AVAILABLE) | (1 << TYPE_TSS_BUSY) | (1 << TYPE_CALL_GATE);
const GATE_TYPES = (1 << TYPE_CALL_GATE16) | (1 << TYPE_TASK_GATE) | (1 << TYPE_CALL_GATE);

/** Is the descriptor read last visible to LAR or LSL? */
function isVisible(selector: i32, systemTypes: i32): bool {
  if (!descIsSegment() && !((systemTypes >> descKind()) & 1)) return false;
  return descIsConforming() || descDpl() >= max<i32>(currentPrivilege(), selector & 3);
}

function lookUp(rec: usize, systemTypes: i32): i32 {
  const selector = <i32>readRm(rec, REC_P2, 2);
  if (operandFault) return -1;
  if (isNull(selector)) return 0;
  const found = tryDescriptor(selector);
  return found == 1 && !isVisible(selector, systemTypes) ? 0 : found;
}

/** LAR r, r/m16 */
export function op_lar(rec: usize): i32 {
  if (inRealOrV86()) return ud();
  const found = lookUp(rec, inLongMode() ? LAR_TYPES_LONG : LAR_TYPES);
  if (found < 0) return ST_FAULT;
  if (found) writeRegister(pointer(rec, REC_P1), operandSize(rec), <i64>(descHigh & 0x00f0ff00));
  return setZero(found != 0);
}

/** LSL r, r/m16 */
export function op_lsl(rec: usize): i32 {
  if (inRealOrV86()) return ud();
  const found = lookUp(rec, (inLongMode() ? LAR_TYPES_LONG : LAR_TYPES) & ~GATE_TYPES);
  if (found < 0) return ST_FAULT;
  if (found) writeRegister(pointer(rec, REC_P1), operandSize(rec), <i64>descLimit());
  return setZero(found != 0);
}

function verify(rec: usize, write: bool): i32 {
  if (inRealOrV86()) return ud();
  const selector = <i32>readRm(rec, REC_P1, 2);
  if (operandFault) return ST_FAULT;
  if (isNull(selector)) return setZero(false);
  const found = tryDescriptor(selector);
  if (found < 0) return ST_FAULT;
  if (!found || !isVisible(selector, 0)) return setZero(false);
  const kind = descKind();
  if (write) return setZero(!descIsCode() && (kind & 2) != 0);
  return setZero(!descIsCode() || (kind & 2) != 0);
}

/** VERR r/m16 */
export function op_verr(rec: usize): i32 {
  return verify(rec, false);
}

/** VERW r/m16 */
export function op_verw(rec: usize): i32 {
  return verify(rec, true);
}

/** ARPL r/m16, r16 */
export function op_arpl(rec: usize): i32 {
  if (inRealOrV86()) return ud();
  const selector = <i32>readRm(rec, REC_P1, 2);
  if (operandFault) return ST_FAULT;
  const rpl = load<i32>(pointer(rec, REC_P2)) & 3;
  if ((selector & 3) >= rpl) return setZero(false);
  const adjusted = (selector & ~3) | rpl;
  const register = pointer(rec, REC_P1);
  if (register != 0) store<u16>(register, <u16>adjusted);
  else if (!writeN<u16>(ea(rec), <u16>adjusted)) return ST_FAULT;
  return setZero(true);
}
