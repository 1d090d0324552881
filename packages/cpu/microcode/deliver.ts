/**
 * Delivering events: exceptions that the instruction raised, software interrupts, injected events, and what becomes of
 * exceptions in the middle of that (SDM vol. 3A, 7.15, table 7-5: double and triple faults).
 */
import {
  ACTIVITY, CODE_MODE, CR2, DR6, DR7, EVENT_ADDRESS, EVENT_DR6, EVENT_ERROR, EVENT_HAS_ERROR, EVENT_TYPE, EVENT_VECTOR,
  EXIT_QUALIFICATION, EXIT_REASON, IDT_VECTORING_ERROR, IDT_VECTORING_INFO, INTERRUPTIBILITY, MSR_DEBUGCTL, NEXT_RIP, PENDING_DEBUG, RIP,
  ST_DISPATCH, ST_FAULT, ST_POLL, ST_SHUTDOWN,
} from "../src/state/layout";
import { BREAKPOINT_HITS, NMI_UNBLOCKED, STEP_ARMED, STEP_WANTED } from "../src/state/vmx-layout";
import { get32, get64, set32, set64 } from "./cpu";
import {
  clearPending, TYPE_EXCEPTION, TYPE_NMI, TYPE_PRIVILEGED_SOFTWARE, TYPE_SOFTWARE_EXCEPTION, TYPE_SOFTWARE_INTERRUPT, VECTOR_DB,
  VECTOR_DE, VECTOR_DF, VECTOR_GP, VECTOR_PF, VECTOR_TS,
} from "./event";
import { FLAG_BIT_RF, getRflags } from "./flags";
import { enterHandler } from "./gate";
import { switched } from "./task";
import { setDelivering } from "./tlb";
import { inGuest } from "./vmx/controls";
import { vmexit } from "./vmx/exit";
import { interceptException } from "./vmx/intercept";

const EXIT_TRIPLE_FAULT = 2;
const ACTIVITY_SHUTDOWN = 2;
const INTERRUPTIBILITY_SHADOWS = 3;
const INTERRUPTIBILITY_NMI = 8;
const VALID = 0x80000000;
const HAS_ERROR = 0x800;
const DR6_BREAKPOINTS: i64 = 0xf;
const DR6_REASONS: i64 = 0xe00f;
const DR7_GD: i64 = 0x2000;
const DEBUGCTL_LBR_BTF: i64 = 3;

/** Takes the VM exit or delivers the event that is pending when ST_FAULT came back. */
export function deliver(): i32 {
  const reason = get32(EXIT_REASON);
  if (reason != -1) {
    clearPending();
    return vmexit(reason, get64(EXIT_QUALIFICATION));
  }
  const vector = get32(EVENT_VECTOR);
  if (vector == -1 && get32(STEP_WANTED)) return beginAnew();
  const type = get32(EVENT_TYPE);
  const hasError = get32(EVENT_HAS_ERROR);
  const error = get32(EVENT_ERROR);
  const status = interceptPending();
  if (status != 0) return status;
  const length = isSoftware(type) ? <i32>(get64(NEXT_RIP) - get64(RIP)) : 0;
  return deliverEvent(vector, type, hasError, error, length);
}

/**
 * What an instruction returns that switched tasks. A fault of the new task is delivered here: whoever gets ST_FAULT takes RIP
 * for that of the instruction.
 */
export function settleTask(status: i32): i32 {
  let now = status;
  while (now == ST_FAULT && switched) now = deliver();
  return now;
}

/** The instruction at RIP has done nothing: it is to be executed by itself, at the next look at events. */
function beginAnew(): i32 {
  if (get32(NMI_UNBLOCKED)) {
    set32(NMI_UNBLOCKED, 0);
    set32(INTERRUPTIBILITY, get32(INTERRUPTIBILITY) | INTERRUPTIBILITY_NMI);
  }
  return ST_POLL;
}

/** Asks the hypervisor's exception bitmap about the pending exception; else its payload reaches CR2 or DR6. */
function interceptPending(): i32 {
  const vector = get32(EVENT_VECTOR);
  const type = get32(EVENT_TYPE);
  if (inGuest() && type != TYPE_SOFTWARE_INTERRUPT) {
    const status = interceptException(vector, type, get32(EVENT_HAS_ERROR), get32(EVENT_ERROR));
    if (status != 0) return status;
  }
  if (type == TYPE_EXCEPTION && vector == VECTOR_PF) set64(CR2, get64(EVENT_ADDRESS));
  if (type == TYPE_EXCEPTION && vector == VECTOR_DB) takeDebugPayload();
  return 0;
}

/** SDM vol. 3B, 19.2.3: DR6 tells the reasons; DR7.GD and branch recording go off. */
function takeDebugPayload(): void {
  set64(DR6, (get64(DR6) & ~DR6_BREAKPOINTS) | (get64(EVENT_DR6) & DR6_REASONS));
  set64(DR7, get64(DR7) & ~DR7_GD);
  set64(MSR_DEBUGCTL, get64(MSR_DEBUGCTL) & ~DEBUGCTL_LBR_BTF);
  set64(EVENT_DR6, 0);
}

// @ts-ignore: decorator
@inline
function isSoftware(type: i32): bool {
  return type == TYPE_SOFTWARE_INTERRUPT || type == TYPE_PRIVILEGED_SOFTWARE || type == TYPE_SOFTWARE_EXCEPTION;
}

/**
 * Delivers an event through the IDT. `insnLen` is the length of the instruction for software interrupts and
 * exceptions. ST_DISPATCH; ST_POLL where a debug trap waits; or what a VM exit returns; or ST_SHUTDOWN.
 */
export function deliverEvent(vector: i32, type: i32, hasError: i32, error: i32, insnLen: i32): i32 {
  setDelivering(true);
  while (true) {
    announce(vector, type, hasError, error);
    // Matches of an instruction that faults, or of a delivery that failed, are lost.
    set32(BREAKPOINT_HITS, 0);
    clearPending();
    const status = enterHandler(vector, type, hasError != 0, error, returnRip(type, insnLen), imageFlags(vector, type));
    if (status != ST_FAULT) return delivered(vector, type);
    const exit = interrupted();
    if (exit != 0) return exit;
    // Another exception: it alone, or a double fault, or shutdown.
    const second = get32(EVENT_VECTOR);
    if (type == TYPE_EXCEPTION && vector == VECTOR_DF && !isBenign(second)) return shutdown();
    if (type == TYPE_EXCEPTION && makesDoubleFault(vector, second)) {
      if (!raiseDoubleFault()) return doubleFaultExit;
    }
    vector = get32(EVENT_VECTOR);
    type = get32(EVENT_TYPE);
    hasError = get32(EVENT_HAS_ERROR);
    error = get32(EVENT_ERROR);
  }
}

/** Says which event is being delivered, for exits in the middle (SDM vol. 3C, 28.2.4). */
function announce(vector: i32, type: i32, hasError: i32, error: i32): void {
  set32(IDT_VECTORING_INFO, <i32>VALID | (hasError ? HAS_ERROR : 0) | (type << 8) | vector);
  set32(IDT_VECTORING_ERROR, error);
}

function returnRip(type: i32, insnLen: i32): i64 {
  const rip = isSoftware(type) ? get64(RIP) + insnLen : get64(RIP);
  return get32(CODE_MODE) == 2 ? rip : rip & 0xffffffff;
}

/** Faults push RF set, so that a breakpoint on the instruction does not fire again (SDM vol. 3B, 19.3.1.1). */
function imageFlags(vector: i32, type: i32): i64 {
  return type == TYPE_EXCEPTION && vector != VECTOR_DB ? getRflags() | FLAG_BIT_RF : getRflags();
}

/**
 * A data breakpoint that the frame or the tables matched traps at the handler's first instruction. The delivery of #DB itself
 * matches none: it might go on for ever.
 */
function delivered(vector: i32, type: i32): i32 {
  settle();
  if (vector == VECTOR_DB) set32(BREAKPOINT_HITS, 0);
  const blocked = get32(INTERRUPTIBILITY) & ~INTERRUPTIBILITY_SHADOWS;
  set32(INTERRUPTIBILITY, type == TYPE_NMI ? blocked | INTERRUPTIBILITY_NMI : blocked);
  set32(ACTIVITY, 0);
  set32(STEP_ARMED, 0);
  return get32(BREAKPOINT_HITS) || get64(PENDING_DEBUG) != 0 ? ST_POLL : ST_DISPATCH;
}

function settle(): void {
  clearPending();
  setDelivering(false);
  set32(IDT_VECTORING_INFO, 0);
  set32(NMI_UNBLOCKED, 0);
}

/** A VM exit that delivery ran into, or 0. */
function interrupted(): i32 {
  const reason = get32(EXIT_REASON);
  if (reason == -1) return interceptPending();
  clearPending();
  return vmexit(reason, get64(EXIT_QUALIFICATION));
}

function isContributory(vector: i32): bool {
  return vector == VECTOR_DE || (vector >= VECTOR_TS && vector <= VECTOR_GP);
}

function isBenign(vector: i32): bool {
  return vector != VECTOR_PF && !isContributory(vector);
}

function makesDoubleFault(first: i32, second: i32): bool {
  if (first == VECTOR_PF) return !isBenign(second);
  return isContributory(first) && isContributory(second);
}

/** What the VM exit for a double fault returned. */
let doubleFaultExit: i32 = 0;

/** Makes a double fault pending; false: the hypervisor took it, in doubleFaultExit. */
function raiseDoubleFault(): bool {
  set32(EVENT_VECTOR, VECTOR_DF);
  set32(EVENT_TYPE, TYPE_EXCEPTION);
  set32(EVENT_HAS_ERROR, 1);
  set32(EVENT_ERROR, 0);
  // An exit for the double fault itself does not count as one during delivery (SDM vol. 3C, 28.2.4).
  set32(IDT_VECTORING_INFO, 0);
  doubleFaultExit = interceptPending();
  return doubleFaultExit == 0;
}

function shutdown(): i32 {
  settle();
  if (inGuest()) return vmexit(EXIT_TRIPLE_FAULT, 0);
  set32(ACTIVITY, ACTIVITY_SHUTDOWN);
  return ST_SHUTDOWN;
}
