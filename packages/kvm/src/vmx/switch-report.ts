import type { Processor } from '@vm/kvm-run/vmx';
import { u64 } from '../trace.ts';

/**
 * Tells the observer of world switches what software moved. `step` is the kernel's function. Call it only when
 * `processor.switchObserver` is not null.
 */
export const reportSwitch = (
  processor: Processor,
  phase: 'entry' | 'exit',
  step: string,
  what: string,
  from: string,
  to: string,
  low: number,
  high: number,
): void => {
  const observer = processor.switchObserver;
  if (observer !== null) observer({ phase, step, what, from, to, value: u64(low, high) });
};
