/** RDTSC, RDTSCP, RDPMC, RDPID. */
import { CR4, MSR_TSC_AUX, RAX, RCX, RDX, ST_NEXT } from "../../src/state/layout";
import { REC_P1 } from "../../src/state/record";
import {
  CPU_BASED_RDPMC_EXITING, CPU_BASED_RDTSC_EXITING, SECONDARY_EXEC_ENABLE_RDTSCP,
} from "../../../kvm-run/src/vmx/controls";
import { EXIT_REASON_RDPMC, EXIT_REASON_RDTSC, EXIT_REASON_RDTSCP } from "../../../kvm-run/src/vmx/exit-reasons";
import { get32, get64, set64 } from "../cpu";
import { gp0, ud } from "../event";
import { CR4_TSD, currentPrivilege, in64BitMode, inRealOrV86, inV86 } from "../mode";
import { pointer, writeRegister } from "../operand";
import { inGuest, procControl, secondaryControl } from "../vmx/controls";
import { exitInstruction } from "../vmx/intercept";
import { visibleTsc } from "./clock";

const LOW_HALF: i64 = 0xffffffff;
const CR4_PCE = 0x100;

function storeTsc(): void {
  const tsc = visibleTsc();
  set64(RAX, tsc & LOW_HALF);
  set64(RDX, (tsc >> 32) & LOW_HALF);
}

/** CR4.TSD reserves the counter for CPL 0. */
function reserved(): bool {
  return (get32(CR4) & CR4_TSD) != 0 && currentPrivilege() != 0;
}

export function op_rdtsc(rec: usize): i32 {
  if (reserved()) return gp0();
  if (procControl(CPU_BASED_RDTSC_EXITING)) return exitInstruction(EXIT_REASON_RDTSC, 0);
  storeTsc();
  return ST_NEXT;
}

/** In a guest, RDTSCP and RDPID are undefined unless "enable RDTSCP" is 1. */
function undefinedHere(): bool {
  return inGuest() && !secondaryControl(SECONDARY_EXEC_ENABLE_RDTSCP);
}

export function op_rdtscp(rec: usize): i32 {
  if (undefinedHere()) return ud();
  if (reserved()) return gp0();
  if (procControl(CPU_BASED_RDTSC_EXITING)) return exitInstruction(EXIT_REASON_RDTSCP, 0);
  storeTsc();
  set64(RCX, get64(MSR_TSC_AUX) & LOW_HALF);
  return ST_NEXT;
}

export function op_rdpid(rec: usize): i32 {
  if (undefinedHere()) return ud();
  writeRegister(pointer(rec, REC_P1), in64BitMode() ? 8 : 4, get64(MSR_TSC_AUX) & LOW_HALF);
  return ST_NEXT;
}

/** The processor has no performance counters: every counter number is invalid. */
export function op_rdpmc(rec: usize): i32 {
  const allowed = (get32(CR4) & CR4_PCE) != 0 || currentPrivilege() == 0 || (inRealOrV86() && !inV86());
  if (!allowed) return gp0();
  if (procControl(CPU_BASED_RDPMC_EXITING)) return exitInstruction(EXIT_REASON_RDPMC, 0);
  return gp0();
}
