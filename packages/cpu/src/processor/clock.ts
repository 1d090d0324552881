/** The clock that the TSC counts: the host's clock, or executed instructions and the time that was let pass while idle. */
import type { HostMemory } from '@vm/kvm-run';
import { BUDGET, INSN_COUNT, SLICE } from '../state/layout.ts';

const WORD = 0x1_0000_0000;

/** Instructions executed so far, those of the running slice included. */
export function instructionCount(memory: HostMemory, area: number): number {
  const at = (area + INSN_COUNT) >>> 2;
  const { u32, i32 } = memory;
  return u32[at + 1]! * WORD + u32[at]! + i32[(area + SLICE) >>> 2]! - i32[(area + BUDGET) >>> 2]!;
}

export interface Clock {
  readonly deterministic: boolean;
  /** Ticks since power-up, as a double. */
  now(): number;
  /** Lets time pass up to `ticks`; nothing where time passes by itself. */
  advanceTo(ticks: number): void;
}

/** Follows the host: `tscKhz` ticks a millisecond. */
export function hostClock(tscKhz: number): Clock {
  const start = performance.now();
  return {
    deterministic: false,
    now: () => (performance.now() - start) * tscKhz,
    advanceTo: () => {},
  };
}

/** A tick an instruction: two runs with the same inputs see the same times. */
export function instructionClock(memory: HostMemory, area: number): Clock {
  let idle = 0;
  const now = (): number => instructionCount(memory, area) + idle;
  return {
    deterministic: true,
    now,
    advanceTo: (ticks) => {
      idle += Math.max(0, ticks - now());
    },
  };
}
