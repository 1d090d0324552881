/** What becomes of an exception while another one is delivered (SDM vol. 3A, 7.15, tables 7-4 and 7-5). */
import { expect, it } from 'vitest';
import { gate } from '../testing/microcode-bench.ts';
import { EXCEPTION, EXTERNAL, faultHandlers, INT_N, interruptOutcome, NMI } from '../testing/handlers.ts';
import { outcome } from '../testing/outcome.ts';
import { SystemGuest } from '../testing/system-guest.ts';
import { CODE64_0 } from '../testing/system-tables.ts';

const guest = new SystemGuest();
const INTERRUPT_GATE = 14;
const UNMAPPED = 0x7f00_0000_1000n;

/** The first event, and what is delivered when #NP or a page fault comes up: the second, a double fault, or nothing. */
const FIRST: readonly (readonly [what: string, vector: number, type: number, error: number | undefined, np: string, pf: string])[] = [
  ['an interrupt', 0x80, EXTERNAL, undefined, '#NP(403)', '#PF(2)'],
  ['NMI', 2, NMI, undefined, '#NP(13)', '#PF(2)'],
  ['INT n', 13, INT_N, undefined, '#NP(6a)', '#PF(2)'],
  ['#DB', 1, EXCEPTION, undefined, '#NP(b)', '#PF(2)'],
  ['#BP', 3, 6, undefined, '#NP(1a)', '#PF(2)'],
  ['#OF', 4, 6, undefined, '#NP(22)', '#PF(2)'],
  ['#BR', 5, EXCEPTION, undefined, '#NP(2b)', '#PF(2)'],
  ['#UD', 6, EXCEPTION, undefined, '#NP(33)', '#PF(2)'],
  ['#NM', 7, EXCEPTION, undefined, '#NP(3b)', '#PF(2)'],
  ['#MF', 16, EXCEPTION, undefined, '#NP(83)', '#PF(2)'],
  ['#AC', 17, EXCEPTION, 0, '#NP(8b)', '#PF(2)'],
  ['#MC', 18, EXCEPTION, undefined, '#NP(93)', '#PF(2)'],
  ['#XM', 19, EXCEPTION, undefined, '#NP(9b)', '#PF(2)'],
  ['#DE', 0, EXCEPTION, undefined, '#DF(0)', '#PF(2)'],
  ['#TS', 10, EXCEPTION, 0x50, '#DF(0)', '#PF(2)'],
  ['#NP', 11, EXCEPTION, 0x50, '#DF(0)', '#PF(2)'],
  ['#SS', 12, EXCEPTION, 0, '#DF(0)', '#PF(2)'],
  ['#GP', 13, EXCEPTION, 0, '#DF(0)', '#PF(2)'],
  ['#PF', 14, EXCEPTION, 0, '#DF(0)', '#DF(0)'],
  ['#DF', 8, EXCEPTION, 0, 'shutdown', 'shutdown'],
];

/** Delivers an event whose gate is not present, or whose stack is not mapped; the handlers of faults have a stack of their own. */
function deliver(vector: number, type: number, error: number | undefined, present: boolean): string {
  const low = gate(CODE64_0, 0x1234n, INTERRUPT_GATE, 3) ^ (present ? 0n : 1n << 47n);
  guest.reset({ mode: 'long', regs: { rsp: UNMAPPED }, idt: { ...faultHandlers({ mode: 'long' }), [vector]: [low, 0n] } });
  guest.interrupt(vector, type, error, 2);
  return outcome(guest, 'activity=0') === 'activity=2' ? 'shutdown' : interruptOutcome(guest, 'ok', 'long');
}

it.each(FIRST)('%s', (_what, vector, type, error, np, pf) => {
  expect([deliver(vector, type, error, false), deliver(vector, type, error, true)]).toEqual([np, pf]);
});

it('shuts down when the double fault cannot be delivered', () => {
  guest.reset({ mode: 'long' });
  guest.interrupt(13, EXCEPTION, 0);
  expect(outcome(guest, 'activity=? rip=? rsp=?')).toBe('activity=2 rip=30000 rsp=5f000');
});

it('writes CR2 for a page fault that becomes a double fault', () => {
  deliver(14, EXCEPTION, 0, true);
  expect(outcome(guest, 'cr2=?')).toBe('cr2=7f0000000ff8');
});
