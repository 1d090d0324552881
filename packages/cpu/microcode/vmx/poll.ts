/**
 * What happens at an instruction boundary, in the order of the SDM (vol. 3A, table "Priority Among Concurrent Events";
 * vol. 3C, 26.5 and 27.7 for the events of VMX).
 */
import {
  ACTIVITY, INTERRUPTIBILITY, MSR_DEBUGCTL, PENDING_DEBUG, REQUESTS, RFLAGS_REST, ST_FAULT, ST_NEXT,
} from "../../src/state/layout";
import { BREAKPOINT_HITS, MTF_PENDING, REPEATING, SHADOW_SERVED, STEP_ARMED, STEP_WANTED } from "../../src/state/vmx-layout";
import {
  CPU_BASED_INTR_WINDOW_EXITING, CPU_BASED_MONITOR_TRAP_FLAG, CPU_BASED_NMI_WINDOW_EXITING, CPU_BASED_TPR_SHADOW,
  PIN_BASED_EXT_INTR_MASK, PIN_BASED_NMI_EXITING, SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES,
} from "../../../kvm-run/src/vmx/controls";
import {
  EXIT_REASON_INIT_SIGNAL, EXIT_REASON_INTERRUPT_WINDOW, EXIT_REASON_MONITOR_TRAP_FLAG, EXIT_REASON_NMI_WINDOW,
  EXIT_REASON_PREEMPTION_TIMER, EXIT_REASON_SIPI_SIGNAL,
} from "../../../kvm-run/src/vmx/exit-reasons";
import { beginBranchStep, hasBranched } from "../branch-step";
import { instructionBreakpoints, linearRip, watchesCode, watchesInstructions } from "../breakpoint";
import { cpu, get32, get64, set32, set64 } from "../cpu";
import { deliver, deliverEvent } from "../deliver";
import { debugFault, gp0, TYPE_EXTERNAL, TYPE_NMI } from "../event";
import { FLAG_BIT_IF, FLAG_BIT_RF, FLAG_BIT_TF } from "../flags";
import { forgetWatched } from "../mmu";
import { virtualInterruptWaits } from "../mode";
import { settleStiShadow } from "../shadow";
import { inGuest, pinControl, procControl, secondaryControl } from "./controls";
import { interruptPending, takeVector, vmexit, vmexitEvent, vmexitExternalInterrupt } from "./exit";
import { pollLocalTimer, timerExpired } from "./timer";
import { exitIfTprBelowThreshold } from "./tpr";

/** pollEvents(): run exactly one instruction and poll again; the processor is halted. */
export const POLL_STEP = 16;
export const POLL_HALTED = 17;

const BLOCKED_BY_STI = 1;
const BLOCKED_BY_MOV_SS = 2;
const BLOCKED_BY_NMI = 8;
const SHUTDOWN = 2;
const WAIT_FOR_SIPI = 3;
const DR6_BS: i64 = 0x4000;
/** A task switch to a TSS with the T flag. */
const DR6_BT: i64 = 0x8000;
const DR6_BREAKPOINTS: i64 = 0xf;
/** Pending-debug bit 12: an enabled breakpoint matched. */
const PENDING_ENABLED: i64 = 0x1000;
const DEBUGCTL_BTF = 2;
/** STEP_ARMED: the instruction began with TF, with RF, with BTF beside TF. */
const ARMED_TF = 1;
const ARMED_RF = 2;
const ARMED_BRANCH = 4;
const REQUEST_NMI = 1;
const REQUEST_INIT = 2;
const REQUEST_LOOK = 4;
const REQUEST_SIPI = 0x10000;
const VECTOR_NMI = 2;

/**
 * At an instruction boundary: ST_NEXT go on, ST_VMEXIT, ST_DISPATCH an event was delivered, ST_POLL and a debug trap has come
 * of that, ST_SHUTDOWN, POLL_STEP run one instruction and poll again, POLL_HALTED.
 */
export function pollEvents(): i32 {
  pollLocalTimer();
  settleStiShadow();
  endShadow();
  endStep();
  const signal = pollSignals();
  if (signal != ST_NEXT) return signal;
  const trap = pollTraps();
  if (trap != ST_NEXT) return trap;
  if (inGuest()) {
    const window = pollGuest();
    if (window != ST_NEXT) return window;
  }
  const interrupt = pollInterrupts();
  if (interrupt != ST_NEXT) return interrupt;
  if (get32(ACTIVITY) != 0) return POLL_HALTED;
  if (virtualInterruptWaits()) {
    gp0();
    return settle(deliver());
  }
  return beginInstruction();
}

/** Blocking by STI and MOV SS ends with the instruction that was let through. */
function endShadow(): void {
  const served = get32(SHADOW_SERVED);
  if (served == 0) return;
  set32(INTERRUPTIBILITY, get32(INTERRUPTIBILITY) & ~served);
  set32(SHADOW_SERVED, 0);
}

/** An instruction that began with TF set has completed (event delivery would have cleared STEP_ARMED). */
function endStep(): void {
  const hits = get32(BREAKPOINT_HITS);
  if (hits) {
    set32(BREAKPOINT_HITS, 0);
    set64(PENDING_DEBUG, get64(PENDING_DEBUG) | PENDING_ENABLED | <i64>hits);
  }
  const armed = get32(STEP_ARMED);
  if (!armed) return;
  set32(STEP_ARMED, 0);
  // RF lasts for one instruction (vol. 3B, 19.3.1.1), all elements of a repeated one.
  if (armed & ARMED_RF && !get32(REPEATING)) set32(RFLAGS_REST, get32(RFLAGS_REST) & ~FLAG_BIT_RF);
  if (!(armed & ARMED_TF) || (armed & ARMED_BRANCH && !hasBranched())) return;
  set64(PENDING_DEBUG, get64(PENDING_DEBUG) | DR6_BS);
}

/** INIT and SIPI: in non-root operation they exit (26.2); in root operation INIT is blocked and stays pending. */
function pollSignals(): i32 {
  const requests = atomic.load<i32>(cpu + REQUESTS);
  if (requests & REQUEST_LOOK) atomic.and<i32>(cpu + REQUESTS, ~REQUEST_LOOK);
  if (!inGuest() || !(requests & (REQUEST_INIT | REQUEST_SIPI))) return ST_NEXT;
  if (requests & REQUEST_SIPI && get32(ACTIVITY) == WAIT_FOR_SIPI) {
    atomic.and<i32>(cpu + REQUESTS, ~(REQUEST_SIPI | 0xff00));
    return vmexit(EXIT_REASON_SIPI_SIGNAL, (requests >> 8) & 0xff);
  }
  if (!(requests & REQUEST_INIT) || get32(ACTIVITY) == WAIT_FOR_SIPI) return ST_NEXT;
  atomic.and<i32>(cpu + REQUESTS, ~REQUEST_INIT);
  return vmexit(EXIT_REASON_INIT_SIGNAL, 0);
}

/** MTF exits, then debug traps. */
function pollTraps(): i32 {
  if (get32(MTF_PENDING)) {
    set32(MTF_PENDING, 0);
    if (procControl(CPU_BASED_MONITOR_TRAP_FLAG)) return vmexit(EXIT_REASON_MONITOR_TRAP_FLAG, 0);
  }
  const pending = get64(PENDING_DEBUG);
  // MOV SS holds debug traps back with the interrupts (vol. 3A, 7.8.3).
  if (pending == 0 || get32(INTERRUPTIBILITY) & BLOCKED_BY_MOV_SS) return ST_NEXT;
  set64(PENDING_DEBUG, 0);
  if (!(pending & (DR6_BS | DR6_BT | PENDING_ENABLED))) return ST_NEXT;
  set32(ACTIVITY, 0);
  debugFault(pending & (DR6_BS | DR6_BT | DR6_BREAKPOINTS));
  return settle(deliver());
}

/** Faults while an event is delivered are delivered in turn. */
function settle(first: i32): i32 {
  let status = first;
  while (status == ST_FAULT) status = deliver();
  return status;
}

/** What only a guest has: TPR threshold, preemption timer, NMI window. */
function pollGuest(): i32 {
  if (procControl(CPU_BASED_TPR_SHADOW) && secondaryControl(SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES)) {
    const below = exitIfTprBelowThreshold();
    if (below != ST_NEXT) return below;
  }
  if (get32(ACTIVITY) == WAIT_FOR_SIPI) return ST_NEXT;
  if (timerExpired()) return vmexit(EXIT_REASON_PREEMPTION_TIMER, 0);
  if (!procControl(CPU_BASED_NMI_WINDOW_EXITING)) return ST_NEXT;
  // 26.2: open when there is no virtual-NMI blocking and no blocking by MOV SS; STI need not be waited for.
  if (get32(INTERRUPTIBILITY) & (BLOCKED_BY_NMI | BLOCKED_BY_MOV_SS)) return ST_NEXT;
  return vmexit(EXIT_REASON_NMI_WINDOW, 0);
}

function pollInterrupts(): i32 {
  const activity = get32(ACTIVITY);
  if (activity == WAIT_FOR_SIPI) return ST_NEXT;
  const blocking = get32(INTERRUPTIBILITY);
  if (atomic.load<i32>(cpu + REQUESTS) & REQUEST_NMI) {
    const nmi = pollNmi(blocking);
    if (nmi != ST_NEXT) return nmi;
  }
  if (activity == SHUTDOWN || blocking & (BLOCKED_BY_STI | BLOCKED_BY_MOV_SS)) return ST_NEXT;
  const enabled = (get32(RFLAGS_REST) & FLAG_BIT_IF) != 0;
  if (enabled && procControl(CPU_BASED_INTR_WINDOW_EXITING)) return vmexit(EXIT_REASON_INTERRUPT_WINDOW, 0);
  if (!interruptPending()) return ST_NEXT;
  if (pinControl(PIN_BASED_EXT_INTR_MASK)) return vmexitExternalInterrupt();
  if (!enabled) return ST_NEXT;
  set32(ACTIVITY, 0);
  return settle(deliverEvent(takeVector(), TYPE_EXTERNAL, 0, 0, 0));
}

/** Blocking by NMI concerns physical NMIs only without "virtual NMIs", and then only where they do not exit. */
function pollNmi(blocking: i32): i32 {
  if (blocking & BLOCKED_BY_MOV_SS) return ST_NEXT;
  if (pinControl(PIN_BASED_NMI_EXITING)) {
    atomic.and<i32>(cpu + REQUESTS, ~REQUEST_NMI);
    return vmexitEvent(VECTOR_NMI | (TYPE_NMI << 8), 0, 0);
  }
  if (blocking & BLOCKED_BY_NMI) return ST_NEXT;
  atomic.and<i32>(cpu + REQUESTS, ~REQUEST_NMI);
  set32(ACTIVITY, 0);
  set32(INTERRUPTIBILITY, get32(INTERRUPTIBILITY) | BLOCKED_BY_NMI);
  return settle(deliverEvent(VECTOR_NMI, TYPE_NMI, 0, 0, 0));
}

/** Arms what must be looked at after the next instruction. */
function beginInstruction(): i32 {
  let step = false;
  let armed = 0;
  const repeating = get32(REPEATING) != 0;
  set32(REPEATING, 0);
  if (get32(STEP_WANTED)) {
    set32(STEP_WANTED, 0);
    step = true;
  }
  const watches = watchesInstructions();
  const near = watches && watchesCode(linearRip());
  if (watches && get32(RFLAGS_REST) & FLAG_BIT_RF) {
    // A repeated instruction that goes on clears RF by itself.
    if (near || !repeating) {
      armed = ARMED_RF;
      step = true;
    }
  } else if (near) {
    step = true;
    const hit = instructionBreakpoints();
    if (hit != 0) {
      debugFault(<i64>hit);
      return settle(deliver());
    }
  }
  const shadow = get32(INTERRUPTIBILITY) & (BLOCKED_BY_STI | BLOCKED_BY_MOV_SS);
  if (shadow) {
    set32(SHADOW_SERVED, shadow);
    step = true;
  }
  if (get32(RFLAGS_REST) & FLAG_BIT_TF) {
    armed |= armStep();
    step = true;
  }
  if (armed) set32(STEP_ARMED, armed);
  if (procControl(CPU_BASED_MONITOR_TRAP_FLAG)) {
    set32(MTF_PENDING, 1);
    step = true;
  }
  // Code goes on at full speed while instruction breakpoints are elsewhere.
  if (watches && !step) forgetWatched();
  return step ? POLL_STEP : ST_NEXT;
}

/** With BTF the trap comes only after a branch that is taken (vol. 3B, 19.4.3). */
function armStep(): i32 {
  if (!(get32(MSR_DEBUGCTL) & DEBUGCTL_BTF)) return ARMED_TF;
  beginBranchStep();
  return ARMED_TF | ARMED_BRANCH;
}
