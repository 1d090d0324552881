/** Instructions on RFLAGS that need privilege checks: CLI STI PUSHF POPF STAC CLAC (SDM vol. 2). */
import { CR4, NEXT_RIP, RIP, ST_FAULT, ST_NEXT, ST_POLL } from "../src/state/layout";
import { get32, get64, set64 } from "./cpu";
import { gp0, ud } from "./event";
import {
  FLAG_BIT_AC, FLAG_BIT_DF, FLAG_BIT_ID, FLAG_BIT_IF, FLAG_BIT_IOPL, FLAG_BIT_NT, FLAG_BIT_RF, FLAG_BIT_TF, FLAG_BIT_VIF, FLAG_BIT_VIP,
  FLAG_BIT_VM, FLAGS_ARITHMETIC, getRflags, iopl, setRflags, testFlag,
} from "./flags";
import { CR4_VME, currentPrivilege, inV86, updateTlbSet, virtualInterrupts } from "./mode";
import { operandSize } from "./operand";
import { blockBySti, interruptWaits } from "./shadow";
import { commitStack, openStack, pop, push, stackFault } from "./stack";

/** Goes on behind the instruction, looking at events first. */
function poll(): i32 {
  set64(RIP, get64(NEXT_RIP));
  return ST_POLL;
}

/** CLI */
export function op_cli(rec: usize): i32 {
  if (currentPrivilege() <= iopl()) {
    setRflags(0, FLAG_BIT_IF);
    return ST_NEXT;
  }
  if (!virtualInterrupts()) return gp0();
  setRflags(0, FLAG_BIT_VIF);
  return ST_NEXT;
}

/** STI; interrupts stay off for one more instruction when they were off */
export function op_sti(rec: usize): i32 {
  if (currentPrivilege() > iopl()) {
    if (!virtualInterrupts() || testFlag(FLAG_BIT_VIP)) return gp0();
    setRflags(FLAG_BIT_VIF, FLAG_BIT_VIF);
    return ST_NEXT;
  }
  if (testFlag(FLAG_BIT_IF)) return ST_NEXT;
  setRflags(FLAG_BIT_IF, FLAG_BIT_IF);
  blockBySti();
  return interruptWaits() || testFlag(FLAG_BIT_TF) ? poll() : ST_NEXT;
}

/** PUSHF, PUSHFD, PUSHFQ */
export function op_pushf(rec: usize): i32 {
  const size = operandSize(rec);
  let image = <i32>getRflags() & ~(FLAG_BIT_VM | FLAG_BIT_RF);
  if (inV86() && iopl() < 3) {
    if (!(get32(CR4) & CR4_VME) || size != 2) return gp0();
    image = (image & ~FLAG_BIT_IF) | FLAG_BIT_IOPL | (image & FLAG_BIT_VIF ? FLAG_BIT_IF : 0);
  }
  openStack();
  if (!push(size, <i64>image)) return ST_FAULT;
  commitStack();
  return ST_NEXT;
}

/** POPF, POPFD, POPFQ */
export function op_popf(rec: usize): i32 {
  const size = operandSize(rec);
  const v86 = inV86();
  const virtual = v86 && iopl() < 3;
  if (virtual && (!(get32(CR4) & CR4_VME) || size != 2)) return gp0();
  openStack();
  const image = <i32>pop(size);
  if (stackFault) return ST_FAULT;
  if (virtual && (image & FLAG_BIT_TF || (image & FLAG_BIT_IF && testFlag(FLAG_BIT_VIP)))) return gp0();
  commitStack();
  const hadIf = testFlag(FLAG_BIT_IF);
  setRflags(image, popfMask(size, virtual));
  if (virtual) setRflags(image & FLAG_BIT_IF ? FLAG_BIT_VIF : 0, FLAG_BIT_VIF);
  // POPF leaves RF clear (SDM vol. 2, table 4-15).
  setRflags(0, FLAG_BIT_RF);
  if (size != 2) updateTlbSet();
  return testFlag(FLAG_BIT_TF) || (!hadIf && testFlag(FLAG_BIT_IF) && interruptWaits()) ? poll() : ST_NEXT;
}

function popfMask(size: i32, virtual: bool): i32 {
  let mask = FLAGS_ARITHMETIC | FLAG_BIT_TF | FLAG_BIT_DF | FLAG_BIT_NT;
  if (size != 2) mask |= FLAG_BIT_AC | FLAG_BIT_ID;
  if (virtual) return mask;
  if (inV86()) return mask | FLAG_BIT_IF;
  const cpl = currentPrivilege();
  if (cpl <= iopl()) mask |= FLAG_BIT_IF;
  if (cpl == 0) mask |= FLAG_BIT_IOPL;
  return mask;
}

/** Whether CR4.SMAP is set makes no difference: only the processor must know SMAP (SDM vol. 2, CLAC and STAC). */
function setAlignmentCheck(value: i32): i32 {
  if (currentPrivilege() != 0) return ud();
  setRflags(value, FLAG_BIT_AC);
  updateTlbSet();
  return ST_NEXT;
}

/** CLAC */
export function op_clac(rec: usize): i32 {
  return setAlignmentCheck(0);
}

/** STAC */
export function op_stac(rec: usize): i32 {
  return setAlignmentCheck(FLAG_BIT_AC);
}
