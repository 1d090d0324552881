/** The time-stamp counter: a clock of the host software, or in deterministic mode the count of instructions. */
import { TSC_BASE } from "../../src/state/layout";
import { CPU_BASED_USE_TSC_OFFSETTING } from "../../../kvm-run/src/vmx/controls";
import { TSC_OFFSET } from "../../../kvm-run/src/vmx/fields";
import { get64 } from "../cpu";
import { procControl } from "../vmx/controls";
import { field64 } from "../vmx/vmcs";

/** Ticks of the clock behind the TSC. */
// @ts-ignore: decorator
@external("host", "readClock")
declare function readClock(): f64;

/** The processor's own TSC. */
export function physicalTsc(): i64 {
  return <i64>readClock() + get64(TSC_BASE);
}

/** The same as a double: exact up to 2^53 ticks. */
export function rdtsc(): f64 {
  return <f64>physicalTsc();
}

/** The TSC as RDTSC reads it now: in a guest with the offset added (SDM vol. 3C, 26.3). */
export function visibleTsc(): i64 {
  const tsc = physicalTsc();
  return procControl(CPU_BASED_USE_TSC_OFFSETTING) ? tsc + field64(TSC_OFFSET) : tsc;
}
