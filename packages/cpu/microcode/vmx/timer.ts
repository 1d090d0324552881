/** The VMX-preemption timer (SDM vol. 3C, 26.5.1) and the physical CPU's local timer. */
import { LOCAL_TIMER_DEADLINE, LOCAL_TIMER_VECTOR, PREEMPTION_TIMER_RATE, VMX_TIMER_DEADLINE, DETERMINISTIC } from "../../src/state/vmx-layout";
import { PENDING_VECTORS } from "../../src/state/layout";
import { cpu, get32 } from "../cpu";
import { physicalTsc } from "../system/clock";

/** Instructions that the model executes in a tick of the host clock, at most: bounds slices in front of a deadline. */
const INSTRUCTIONS_A_TICK: f64 = 0.25;
const LEAST_BUDGET: f64 = 200;
const MOST_BUDGET: f64 = 0x7fffffff;

/** Starts the preemption timer: it counts down whenever bit PREEMPTION_TIMER_RATE of the TSC changes. */
export function startTimer(value: u32): void {
  const deadline = ((physicalTsc() >> PREEMPTION_TIMER_RATE) + (<i64>value & 0xffffffff)) << PREEMPTION_TIMER_RATE;
  store<f64>(cpu + VMX_TIMER_DEADLINE, <f64>deadline);
}

/** What is left on the timer, in its own units. */
export function timerValue(): i32 {
  const left = (<i64>load<f64>(cpu + VMX_TIMER_DEADLINE) >> PREEMPTION_TIMER_RATE) - (physicalTsc() >> PREEMPTION_TIMER_RATE);
  return left <= 0 ? 0 : <i32>left;
}

export function timerActive(): bool {
  return load<f64>(cpu + VMX_TIMER_DEADLINE) != Infinity;
}

export function timerExpired(): bool {
  const deadline = load<f64>(cpu + VMX_TIMER_DEADLINE);
  return deadline != Infinity && <f64>physicalTsc() >= deadline;
}

/** Raises the local timer's vector if its time has come. */
export function pollLocalTimer(): void {
  const deadline = load<f64>(cpu + LOCAL_TIMER_DEADLINE);
  if (deadline == Infinity || <f64>physicalTsc() < deadline) return;
  store<f64>(cpu + LOCAL_TIMER_DEADLINE, Infinity);
  const vector = get32(LOCAL_TIMER_VECTOR);
  atomic.or<i32>(cpu + PENDING_VECTORS + <usize>((vector >> 5) << 2), 1 << (vector & 31));
}

/** TSC of the next timer event, or Infinity: until when a halted guest may sleep. */
export function nextDeadline(): f64 {
  return min<f64>(load<f64>(cpu + VMX_TIMER_DEADLINE), load<f64>(cpu + LOCAL_TIMER_DEADLINE));
}

/**
 * Instructions that may run before pollEvents must look at the timers again: exact in deterministic mode, where a tick is
 * an instruction, else from the most that the model executes in that time.
 */
export function budgetUntilTimer(): i32 {
  const deadline = nextDeadline();
  if (deadline == Infinity) return <i32>MOST_BUDGET;
  const ticks = max<f64>(deadline - <f64>physicalTsc(), 1);
  if (get32(DETERMINISTIC)) return <i32>min<f64>(ticks, MOST_BUDGET);
  return <i32>min<f64>(max<f64>(ticks * INSTRUCTIONS_A_TICK, LEAST_BUDGET), MOST_BUDGET);
}
