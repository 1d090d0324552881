/** Which of concurrent events comes first, and what holds events back (SDM vol. 3A, 7.9, "Priority Among Concurrent Events"; 7.8). */
import { describe, expect, test } from 'vitest';
import * as L from '../state/layout.ts';
import { EventMachine } from '../testing/event-machine.ts';

const m = new EventMachine();
const [TF, IF] = [0x100n, 0x200n];
const NOWHERE = 0x7000_0000_0000n;

/** An instruction breakpoint in DR0. */
function breakpoint(offset: number): void {
  m.set(L.DR0, BigInt(m.code + offset));
  m.set(L.DR7, 0x402n);
}

interface Case {
  readonly code: string;
  readonly flags?: bigint;
  readonly nmi?: boolean;
  readonly interrupts?: readonly number[];
  readonly breakpoint?: number;
  readonly events: readonly string[];
}

describe('events, as vector@return address', () => {
  test.each<[name: string, Case]>([
    ['an external interrupt, at the next boundary', { code: '90 90', flags: IF, interrupts: [0x40], events: ['64@0'] }],
    ['IF clear holds it back until it is set, and STI for one instruction more', { code: '90 fb 90 90', interrupts: [0x40], events: ['64@3'] }],
    ['STI with IF set blocks nothing', { code: 'fb 90', flags: IF, interrupts: [0x40], events: ['64@0'] }],
    ['STI, then CLI: no window', { code: 'fb fa 90 fb 90 90', interrupts: [0x40], events: ['64@5'] }],
    ['POPF that sets IF blocks nothing', { code: '68 02 02 00 00 9d 90', interrupts: [0x40], events: ['64@6'] }],
    ['MOV SS in the shadow of STI holds it back for one instruction more', { code: 'fb 8e d0 90 90', interrupts: [0x40], events: ['64@4'] }],
    ['the highest vector first', { code: '90', flags: IF, interrupts: [0x40, 0x81, 0x55], events: ['129@0', '85@0', '64@0'] }],
    ['an NMI before an interrupt, and whatever IF is', { code: '90', flags: IF, interrupts: [0x40], nmi: true, events: ['2@0', '64@0'] }],
    ['an NMI with IF clear', { code: '90', nmi: true, events: ['2@0'] }],
    ['MOV SS holds an NMI back', { code: '8e d0 90 90', nmi: true, events: ['2@0'] }],
    ['a single-step trap before an NMI', { code: '90 90', flags: TF, events: ['1@1', '1@2'] }],
    ['an instruction breakpoint, before the instruction', { code: '90 90 90', breakpoint: 1, events: ['1@1'] }],
    ['an interrupt before a breakpoint on the next instruction', { code: '90', flags: IF, interrupts: [0x40], breakpoint: 0, events: ['64@0', '1@0'] }],
    ['a breakpoint before an undefined opcode', { code: '0f 0b', breakpoint: 0, events: ['1@0'] }],
    ['an interrupt before the fault of the next instruction', { code: '0f 0b', flags: IF, interrupts: [0x40], events: ['64@0', '6@0'] }],
    ['HLT ends with an interrupt', { code: 'fb f4 90', interrupts: [0x40], events: ['64@2'] }],
    ['HLT with a pending interrupt, let in by its STI', { code: 'fb f4', interrupts: [0x40], events: ['64@2'] }],
    ['the fault of an instruction, not its trap', { code: '0f 0b', flags: TF, events: ['6@0'] }],
  ])('%s', (_, { code, flags = 0n, nmi = false, interrupts = [], breakpoint: at, events }) => {
    m.begin('long', 0, code, flags);
    m.set(L.RAX, 0x10n);
    if (at !== undefined) breakpoint(at);
    for (const vector of interrupts) m.interrupt(vector);
    if (nmi) m.nmi();
    expect(m.events(events.length)).toEqual(events);
  });

  test('a trap of the instruction before, the NMI in its handler, then the interrupt', () => {
    m.begin('long', 0, '90 90', IF);
    m.set(L.PENDING_DEBUG, 0x4000n);
    m.nmi();
    m.interrupt(0x40);
    expect(m.next()).toMatchObject({ vector: 2 });
    m.resume(2);
    expect(m.next()).toMatchObject({ vector: 1, rip: 0 });
    m.resume(1);
    expect(m.next()).toMatchObject({ vector: 64, rip: 0 });
  });
});

describe('faults of one instruction', () => {
  test.each<[name: string, code: string, vector: number, prepare: () => void]>([
    ['the fetch before the opcode: #PF', '90', 14, () => m.set(L.RIP, NOWHERE)],
    ['the opcode before the privilege: #UD', '0f 20 c8', 6, () => {}],
    ['the opcode before the coprocessor: #UD', 'f0 d9 c0', 6, () => m.set(L.CR0, m.get(L.CR0) | 8n)],
    ['the coprocessor before the operand: #NM', 'dd 07', 7, () => m.set(L.CR0, m.get(L.CR0) | 8n)],
    ['the pending x87 error before the operand: #MF', 'dd 07', 16, () => m.set32(L.FSW, 0x81)],
    ['the operand before the division: #PF', '48 f7 37', 14, () => {}],
    ['the division: #DE', '48 f7 f1', 0, () => m.set(L.RCX, 0n)],
  ])('%s', (_, code, vector, prepare) => {
    m.begin('long', 0, code, 0n);
    m.set(L.RDI, NOWHERE);
    m.set32(L.FCW, 0x37e);
    prepare();
    m.update();
    expect(m.next()?.vector).toBe(vector);
  });
});
