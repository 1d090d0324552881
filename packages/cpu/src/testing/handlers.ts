/** Handlers that a SystemGuest's faults go to, and how a test reads from the frame which fault it was. */
import { gate } from './microcode-bench.ts';
import { outcome } from './outcome.ts';
import * as L from '../state/layout.ts';
import { type Mode, type Setup, type SystemGuest, VECTORS } from './system-guest.ts';
import { CODE_OF, CODE64_0 } from './system-tables.ts';

/** Event types of SystemGuest.interrupt() (SDM vol. 3C, table 26-17). */
export const EXTERNAL = 0;
export const NMI = 2;
export const EXCEPTION = 3;
export const INT_N = 4;

const WITH_ERROR = [8, 10, 11, 12, 13, 14];
const HANDLERS = 0xf000;
const INTERRUPT_GATE = 14;
const FAULT_IST = 7;

/**
 * Gates for the faults with error code. In legacy modes they stay at the level of `setup`, so that they work when inner stacks do
 * not; in long mode they use IST 7.
 */
export function faultHandlers({ mode = 'protected32', cpl = 0 }: Setup): Record<number, bigint | readonly [bigint, bigint]> {
  const long = mode === 'long' || mode === 'compatibility';
  return Object.fromEntries(WITH_ERROR.map((vector) => {
    const offset = BigInt(HANDLERS + vector);
    return [vector, long ? [gate(CODE64_0, offset, INTERRUPT_GATE, 0, FAULT_IST), 0n] as const : gate(CODE_OF(cpl), offset, INTERRUPT_GATE)];
  }));
}

/** The outcome, with a fault that went to its handler as an event that waits. */
export function interruptOutcome(guest: SystemGuest, expected: string, mode?: Mode): string {
  const rip = guest.get(L.RIP);
  if (rip < HANDLERS || rip > HANDLERS + 0xff) return outcome(guest, expected);
  const error = outcome(guest, mode === 'long' ? 'stack64=0' : 'stack32=0').split('=')[1]!;
  return outcome(guest, expected).replace('ok', `${VECTORS[Number(rip) - HANDLERS]}(${error})`);
}
