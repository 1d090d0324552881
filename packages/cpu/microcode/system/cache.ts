/** INVD, WBINVD, INVLPG, INVPCID: there are no caches but the TLB. */
import { CR3, CR4, NEXT_RIP, RIP, ST_DISPATCH, ST_FAULT, ST_NEXT } from "../../src/state/layout";
import { REC_P1 } from "../../src/state/record";
import {
  CPU_BASED_INVLPG_EXITING, SECONDARY_EXEC_ENABLE_INVPCID, SECONDARY_EXEC_WBINVD_EXITING,
} from "../../../kvm-run/src/vmx/controls";
import {
  EXIT_REASON_INVD, EXIT_REASON_INVLPG, EXIT_REASON_INVPCID, EXIT_REASON_WBINVD,
} from "../../../kvm-run/src/vmx/exit-reasons";
import { get32, get64, set64 } from "../cpu";
import { gp0, ud } from "../event";
import { ea, fault, flushTlb, flushTlbNonGlobal, flushTlbPage, readN } from "../mmu";
import { CR4_PCIDE, currentPrivilege, in64BitMode, isCanonical } from "../mode";
import { pointer, readRegister } from "../operand";
import { inGuest, procControl, secondaryControl } from "../vmx/controls";
import { displacement, exitInstruction, exitWithInformation, twoOperandInformation } from "../vmx/intercept";

const INDIVIDUAL_ADDRESS: u64 = 0;
const SINGLE_CONTEXT: u64 = 1;
const ALL_CONTEXTS: u64 = 2;
const ALL_BUT_GLOBAL: u64 = 3;
const PCID_BITS: i64 = 0xfff;

export function op_invd(rec: usize): i32 {
  if (currentPrivilege() != 0) return gp0();
  return inGuest() ? exitInstruction(EXIT_REASON_INVD, 0) : ST_NEXT;
}

export function op_wbinvd(rec: usize): i32 {
  if (currentPrivilege() != 0) return gp0();
  return secondaryControl(SECONDARY_EXEC_WBINVD_EXITING) ? exitInstruction(EXIT_REASON_WBINVD, 0) : ST_NEXT;
}

/** Looks the next instruction up again: its own mapping may be the one that went. */
function flushed(): i32 {
  set64(RIP, get64(NEXT_RIP));
  return ST_DISPATCH;
}

export function op_invlpg(rec: usize): i32 {
  if (currentPrivilege() != 0) return gp0();
  const linear = ea(rec);
  if (procControl(CPU_BASED_INVLPG_EXITING)) return exitInstruction(EXIT_REASON_INVLPG, linear);
  flushTlbPage(linear);
  return flushed();
}

/** The current PCID: 0 without CR4.PCIDE (SDM vol. 3A, 5.10.1). */
function currentPcid(): i64 {
  return get32(CR4) & CR4_PCIDE ? get64(CR3) & PCID_BITS : 0;
}

/**
 * SDM vol. 2A, INVPCID. The TLB holds translations of the current PCID alone (writeCr3), so that each type forgets at
 * least what it must. In non-root operation without its control #UD has priority over all other faults (vol. 3C, 26.3).
 */
export function op_invpcid(rec: usize): i32 {
  if (inGuest() && !secondaryControl(SECONDARY_EXEC_ENABLE_INVPCID)) return ud();
  if (currentPrivilege() != 0) return gp0();
  const register = pointer(rec, REC_P1);
  if (procControl(CPU_BASED_INVLPG_EXITING))
    return exitWithInformation(EXIT_REASON_INVPCID, displacement(rec), twoOperandInformation(rec, 0, register));
  const type = <u64>readRegister(register, in64BitMode() ? 8 : 4);
  if (type > ALL_BUT_GLOBAL) return gp0();
  const address = ea(rec);
  const pcid = readN<i64>(address);
  if (fault) return ST_FAULT;
  const linear = readN<i64>(address + 8);
  if (fault) return ST_FAULT;
  if (pcid & ~PCID_BITS || (pcid != 0 && type <= SINGLE_CONTEXT && !(get32(CR4) & CR4_PCIDE))) return gp0();
  if (type != INDIVIDUAL_ADDRESS) {
    if (type == ALL_CONTEXTS) flushTlb();
    else if (type == ALL_BUT_GLOBAL || pcid == currentPcid()) flushTlbNonGlobal();
    return flushed();
  }
  if (!isCanonical(linear)) return gp0();
  if (pcid == currentPcid()) flushTlbPage(linear);
  return flushed();
}
