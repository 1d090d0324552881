/** INT n, INT3, INTO, INT1, BOUND (SDM vol. 2), with the interrupt redirection of virtual-8086 mode (vol. 3B, 22.3). */
import { CR4, NEXT_RIP, ST_DISPATCH, ST_FAULT, ST_NEXT, TR } from "../src/state/layout";
import { REC_IMM, REC_P1 } from "../src/state/record";
import { get32, get64, segBase, segLimit } from "./cpu";
import {
  gp0, raise, raiseSoftware, TYPE_PRIVILEGED_SOFTWARE, TYPE_SOFTWARE_EXCEPTION, TYPE_SOFTWARE_INTERRUPT, ud, VECTOR_BP, VECTOR_BR, VECTOR_DB,
  VECTOR_OF,
} from "./event";
import {
  FLAG_BIT_IF, FLAG_BIT_IOPL, FLAG_BIT_OF, FLAG_BIT_TF, FLAG_BIT_VIF, getArithmeticFlags, getRflags, iopl, setRflags,
} from "./flags";
import { enterVector } from "./gate";
import { ea, fault, readSystem } from "./mmu";
import { CR4_VME, in64BitMode, inV86 } from "./mode";
import { operandSize, pointer, readSized } from "./operand";

/** INT imm8 */
export function op_int(rec: usize): i32 {
  const vector = load<i32>(rec + REC_IMM) & 0xff;
  if (inV86()) {
    const redirected = get32(CR4) & CR4_VME ? isRedirected(vector) : 0;
    if (redirected < 0) return ST_FAULT;
    if (redirected) return redirect(vector);
    if (iopl() < 3) return gp0();
  }
  return raiseSoftware(vector, TYPE_SOFTWARE_INTERRUPT);
}

/** Does the TSS's redirection bitmap (the 32 bytes below the I/O map) leave the vector to the 8086 program? -1: pending. */
function isRedirected(vector: i32): i32 {
  if (segLimit(TR) < 0x67) return 0;
  const map = <i32>readSystem<u16>(segBase(TR) + 0x66);
  if (fault) return -1;
  const at = map - 32 + (vector >> 3);
  if (at < 0 || <u32>at > segLimit(TR)) return 0;
  const bits = <i32>readSystem<u8>(segBase(TR) + at);
  if (fault) return -1;
  return (bits >> (vector & 7)) & 1 ? 0 : 1;
}

function redirect(vector: i32): i32 {
  const entry = <i32>readSystem<u32>(vector * 4);
  if (fault) return ST_FAULT;
  let image = <i32>getRflags();
  const virtual = iopl() < 3;
  if (virtual) image = (image & ~FLAG_BIT_IF) | FLAG_BIT_IOPL | (image & FLAG_BIT_VIF ? FLAG_BIT_IF : 0);
  const status = enterVector(<i64>(entry & 0xffff), entry >>> 16, image, get64(NEXT_RIP));
  if (status == ST_DISPATCH) setRflags(0, FLAG_BIT_TF | (virtual ? FLAG_BIT_VIF : FLAG_BIT_IF));
  return status;
}

/** INT3 */
export function op_int3(rec: usize): i32 {
  return raiseSoftware(VECTOR_BP, TYPE_SOFTWARE_EXCEPTION);
}

/** INTO */
export function op_into(rec: usize): i32 {
  if (in64BitMode()) return ud();
  return getArithmeticFlags() & FLAG_BIT_OF ? raiseSoftware(VECTOR_OF, TYPE_SOFTWARE_EXCEPTION) : ST_NEXT;
}

/** BOUND r, m: two signed bounds in memory */
export function op_bound(rec: usize): i32 {
  const size = operandSize(rec);
  const address = ea(rec);
  const lower = signed(readSized(address, size), size);
  if (fault) return ST_FAULT;
  const upper = signed(readSized(address + size, size), size);
  if (fault) return ST_FAULT;
  const value = signed(load<i64>(pointer(rec, REC_P1)), size);
  return value < lower || value > upper ? raise(VECTOR_BR) : ST_NEXT;
}

function signed(value: i64, size: i32): i64 {
  return size == 2 ? <i64>(<i16>value) : <i64>(<i32>value);
}

/** INT1 (ICEBP) */
export function op_int1(rec: usize): i32 {
  return raiseSoftware(VECTOR_DB, TYPE_PRIVILEGED_SOFTWARE);
}
