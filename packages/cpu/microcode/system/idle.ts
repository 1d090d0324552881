/** HLT, PAUSE, MONITOR, MWAIT. */
import { ACTIVITY, MSR_MISC_ENABLE, NEXT_RIP, RAX, RCX, RIP, ST_FAULT, ST_NEXT, ST_POLL } from "../../src/state/layout";
import { PLE_FIRST, PLE_LAST } from "../../src/state/vmx-layout";
import { PREFIX_ADDRSIZE_SHIFT, REC_PREFIX } from "../../src/state/record";
import {
  CPU_BASED_HLT_EXITING, CPU_BASED_MONITOR_EXITING, CPU_BASED_MWAIT_EXITING, CPU_BASED_PAUSE_EXITING,
  SECONDARY_EXEC_PAUSE_LOOP_EXITING,
} from "../../../kvm-run/src/vmx/controls";
import {
  EXIT_REASON_HLT, EXIT_REASON_MONITOR_INSTRUCTION, EXIT_REASON_MWAIT_INSTRUCTION, EXIT_REASON_PAUSE_INSTRUCTION,
} from "../../../kvm-run/src/vmx/exit-reasons";
import { PLE_GAP, PLE_WINDOW } from "../../../kvm-run/src/vmx/fields";
import { cpu, get32, get64, set32, set64 } from "../cpu";
import { gp0, ud } from "../event";
import { fault, readN } from "../mmu";
import { currentPrivilege } from "../mode";
import { linear, segmentFault } from "../segmented";
import { procControl, secondaryControl } from "../vmx/controls";
import { exitInstruction, segmentNumber } from "../vmx/intercept";
import { field32 } from "../vmx/vmcs";
import { physicalTsc } from "./clock";
import { MISC_ENABLE_MONITOR } from "./cpuid";

const HALTED = 1;

export function op_hlt(rec: usize): i32 {
  if (currentPrivilege() != 0) return gp0();
  if (procControl(CPU_BASED_HLT_EXITING)) return exitInstruction(EXIT_REASON_HLT, 0);
  set64(RIP, get64(NEXT_RIP));
  set32(ACTIVITY, HALTED);
  return ST_POLL;
}

export function op_pause(rec: usize): i32 {
  if (procControl(CPU_BASED_PAUSE_EXITING)) return exitInstruction(EXIT_REASON_PAUSE_INSTRUCTION, 0);
  if (secondaryControl(SECONDARY_EXEC_PAUSE_LOOP_EXITING) && currentPrivilege() == 0 && loopsTooLong())
    return exitInstruction(EXIT_REASON_PAUSE_INSTRUCTION, 0);
  return ST_NEXT;
}

/** PAUSE-loop exiting (SDM vol. 3C, 26.1.3): executions no more than PLE_Gap apart make a loop; PLE_Window bounds it. */
function loopsTooLong(): bool {
  const now = <f64>physicalTsc();
  const last = load<f64>(cpu + PLE_LAST);
  store<f64>(cpu + PLE_LAST, now);
  if (now - last > <f64><u32>field32(PLE_GAP)) {
    store<f64>(cpu + PLE_FIRST, now);
    return false;
  }
  return now - load<f64>(cpu + PLE_FIRST) > <f64><u32>field32(PLE_WINDOW);
}

function hasMonitor(): bool {
  return (get32(MSR_MISC_ENABLE) & MISC_ENABLE_MONITOR) != 0;
}

/** The memory operand is DS:rAX (or the overriding segment), one byte read. No hint in ECX is supported. */
export function op_monitor(rec: usize): i32 {
  if (!hasMonitor() || currentPrivilege() != 0) return ud();
  if (procControl(CPU_BASED_MONITOR_EXITING)) return exitInstruction(EXIT_REASON_MONITOR_INSTRUCTION, 0);
  if (<u32>get64(RCX) != 0) return gp0();
  const size = (<i32>load<u8>(rec + REC_PREFIX) >> PREFIX_ADDRSIZE_SHIFT) & 3;
  const offset = size == 3 ? get64(RAX) : size == 2 ? get64(RAX) & 0xffffffff : get64(RAX) & 0xffff;
  const address = linear(segmentNumber(rec), offset, 1, false);
  if (segmentFault) return ST_FAULT;
  readN<u8>(address);
  return fault ? ST_FAULT : ST_NEXT;
}

/** Waking at once is always allowed: MWAIT is a hint. Qualification 0: the address range is not armed. */
export function op_mwait(rec: usize): i32 {
  if (!hasMonitor() || currentPrivilege() != 0) return ud();
  if (procControl(CPU_BASED_MWAIT_EXITING)) return exitInstruction(EXIT_REASON_MWAIT_INSTRUCTION, 0);
  return (<u32>get64(RCX) & ~1) != 0 ? gp0() : ST_NEXT;
}
