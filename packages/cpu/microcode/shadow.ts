/**
 * Blocking by STI for one instruction, and whether IF's rise needs a look at events at all. Where nothing waits, STI lets
 * the processor run on and leaves the blocking to be judged later, by RIP: it is in force as long as the instruction
 * behind STI is the next to run. So kernels that toggle IF all the time pay nothing for it.
 */
import { INTERRUPTIBILITY, NEXT_RIP, RIP, STI_SHADOW, STI_SHADOW_RIP } from "../src/state/layout";
import { CPU_BASED_INTR_WINDOW_EXITING, PIN_BASED_EXT_INTR_MASK } from "../../kvm-run/src/vmx/controls";
import { get32, get64, set32, set64 } from "./cpu";
import { FLAG_BIT_IF, testFlag } from "./flags";
import { pinControl, procControl } from "./vmx/controls";
import { interruptPending } from "./vmx/exit";

const BLOCKED_BY_STI = 1;

/** Would something happen as soon as IF is set: an interrupt-window exit, an external interrupt? */
export function interruptWaits(): bool {
  if (procControl(CPU_BASED_INTR_WINDOW_EXITING)) return true;
  return !pinControl(PIN_BASED_EXT_INTR_MASK) && interruptPending();
}

/** STI: blocks until the instruction at NEXT_RIP has run. */
export function blockBySti(): void {
  set32(INTERRUPTIBILITY, get32(INTERRUPTIBILITY) | BLOCKED_BY_STI);
  set32(STI_SHADOW, 1);
  set64(STI_SHADOW_RIP, get64(NEXT_RIP));
}

/** Makes INTERRUPTIBILITY exact: to be called before it is looked at, at an instruction boundary or in a VM exit. */
export function settleStiShadow(): void {
  if (!get32(STI_SHADOW)) return;
  set32(STI_SHADOW, 0);
  // Blocking by STI with IF clear is a state that VM entry refuses (SDM vol. 3C, 27.3.1.5).
  if (get64(RIP) != get64(STI_SHADOW_RIP) || !testFlag(FLAG_BIT_IF)) set32(INTERRUPTIBILITY, get32(INTERRUPTIBILITY) & ~BLOCKED_BY_STI);
}
