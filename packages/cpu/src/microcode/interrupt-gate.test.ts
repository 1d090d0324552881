/** Interrupts and exceptions through the IDT (SDM vol. 2A, INT n; vol. 3A, 7.10 to 7.14 and 22.1.4). */
import { describe, expect, it } from 'vitest';
import { gate } from '../testing/microcode-bench.ts';
import { outcome } from '../testing/outcome.ts';
import { EXCEPTION, EXTERNAL, faultHandlers, INT_N, interruptOutcome, NMI } from '../testing/handlers.ts';
import { type Mode, type Setup, SystemGuest } from '../testing/system-guest.ts';
import {
  BIG, CODE_OF, CODE_READ, CODE64_0, code64, CODE16_0, CONFORMING, DPL, EXECUTE_ONLY, INNER_STACK, LDT_SELECTOR, LONG, OWN, PAGES, READ_ONLY,
  READ_WRITE, segment, STACK, STACK_BASE, TSS,
} from '../testing/system-tables.ts';

const guest = new SystemGuest();
const INTERRUPT16 = 6;
const TRAP16 = 7;
const INTERRUPT32 = 14;
const TRAP32 = 15;
const VECTOR = 0x80;
const TARGET = 0x1234n;
const NON_CANONICAL = 1n << 47n;
const OWN_STACK = OWN + 8;
const notPresent = (descriptor: bigint): bigint => descriptor & ~(1n << 47n);

/** A row: the event's type and error code, and the outcome; `#GP(402)` is a fault on the way. */
type Delivery = readonly [what: string, setup: Setup, type: number, error: number | undefined, expected: string];

/** Gate VECTOR, and handlers of faults at the level that is interrupted. */
function to(selector: number, more: Setup = {}, type = INTERRUPT32, dpl = 0, offset = TARGET): Setup {
  return { ...more, idt: { ...faultHandlers(more), [VECTOR]: gate(selector, offset, type, dpl), ...more.idt } };
}
const own = (descriptor: bigint): Setup => ({ gdt: { [OWN]: descriptor } });
const FLAGS = 0x4702;

const DELIVERIES: readonly Delivery[] = [
  ['interrupt gate, same level', to(8, { flags: FLAGS }), EXTERNAL, undefined, 'ok cs=8 rip=1234 rsp=5eff4 stack32=30000,8,4702 flags=402'],
  ['trap gate leaves IF', to(8, { flags: FLAGS }, TRAP32), EXTERNAL, undefined, 'ok rip=1234 flags=602'],
  ['an exception pushes its error code, and RF in the image', to(8, { flags: FLAGS }), EXCEPTION, 0x77, 'ok rsp=5eff0 stack32=77,30000,8,14702'],
  ['16-bit gate, same level', to(8, { flags: FLAGS }, INTERRUPT16, 0, 0x5678_1234n), EXCEPTION, 0x77, 'ok rip=1234 rsp=5eff8 stack16=77,0,8,4702'],
  ['16-bit trap gate', to(8, { flags: FLAGS }, TRAP16), EXTERNAL, undefined, 'ok rsp=5effa flags=602'],
  ['to an inner level', to(8, { cpl: 3 }), EXTERNAL, undefined, 'ok cs=8 ss=10 cpl=0 rsp=50fec stack32=30000,3b,2,5f000,43 ds=43'],
  ['to an inner level with error code', to(8, { cpl: 3 }), EXCEPTION, 0x77, 'ok rsp=50fe8 stack32=77,30000,3b,10002,5f000,43'],
  ['from level 3 to 2', to(CODE_OF(2), { cpl: 3 }), EXTERNAL, undefined, 'ok cs=2a ss=32 cpl=2 rsp=52fec'],
  ['16-bit gate to an inner level', to(8, { cpl: 3 }, INTERRUPT16), EXTERNAL, undefined, 'ok rsp=50ff6 stack16=0,3b,2,f000,43'],
  ['conforming handler: no change of level', to(OWN, { cpl: 3, ...own(segment(CONFORMING)) }), EXTERNAL, undefined, 'ok cs=103 cpl=3 ss=43 rsp=5eff4'],
  ['16-bit code as handler', to(CODE16_0, { cpl: 3 }), EXTERNAL, undefined, 'ok cs=58 code=0'],
  ['accessed bits', { ...to(OWN, { cpl: 3, gdt: { [OWN]: segment(CODE_READ & ~1), [OWN_STACK]: segment(READ_WRITE & ~1) } }), words: { [TSS + 8]: OWN_STACK } }, EXTERNAL, undefined, 'ok access[100]=9b access[108]=93'],
  ['the gate\'s DPL is not looked at by hardware', to(8, { cpl: 3 }), EXTERNAL, undefined, 'ok cpl=0'],
  ['nor by NMI, which then is blocked', to(8, { cpl: 3 }), NMI, undefined, 'ok cpl=0 blocking=8'],
  ['INT n within the gate\'s DPL', to(8, { cpl: 3 }, INTERRUPT32, 3), INT_N, undefined, 'ok cpl=0 stack32=30002,3b,2,5f000,43'],
  ['INT n outside it', to(8, { cpl: 3 }, INTERRUPT32, 2), INT_N, undefined, '#GP(402)'],
  ['a handler in the LDT', to(OWN | 4, { cpl: 3, ldt: { [OWN]: segment(CODE_READ) } }), EXTERNAL, undefined, 'ok cs=104 cpl=0'],
];

const GATE_FAULTS: readonly Delivery[] = [
  ['the gate\'s last byte beyond the IDT', to(8, { idtLimit: VECTOR * 8 + 6 }), EXTERNAL, undefined, '#GP(403)'],
  ['the gate\'s last byte within', to(8, { idtLimit: VECTOR * 8 + 7 }), EXTERNAL, undefined, 'ok rip=1234'],
  ['INT n beyond the IDT', to(8, { idtLimit: 0x1ff }), INT_N, undefined, '#GP(402)'],
  ['a call gate', to(8, {}, 12), EXTERNAL, undefined, '#GP(403)'],
  ['a code descriptor', to(8, { idt: { [VECTOR]: segment(CODE_READ) } }), EXTERNAL, undefined, '#GP(403)'],
  ['zeros', to(8, { idt: { [VECTOR]: 0n } }), EXTERNAL, undefined, '#GP(403)'],
  ['not present', to(8, { idt: { [VECTOR]: notPresent(gate(8, TARGET, INTERRUPT32)) } }), EXTERNAL, undefined, '#NP(403)'],
  ['not present, INT n', to(8, { idt: { [VECTOR]: notPresent(gate(8, TARGET, INTERRUPT32)) } }), INT_N, undefined, '#NP(402)'],
  ['rights before presence', to(8, { cpl: 3, idt: { [VECTOR]: notPresent(gate(8, TARGET, INTERRUPT32)) } }), INT_N, undefined, '#GP(402)'],
  ['null selector', to(0), EXTERNAL, undefined, '#GP(1)'],
  ['null selector, INT n', to(3), INT_N, undefined, '#GP(0)'],
  ['code beyond the GDT', to(0x1000), EXTERNAL, undefined, '#GP(1001)'],
  ['data', to(0x10), EXTERNAL, undefined, '#GP(11)'],
  ['a system segment', to(LDT_SELECTOR), INT_N, undefined, '#GP(80)'],
  ['code of an outer level', to(CODE_OF(3)), EXTERNAL, undefined, '#GP(39)'],
  ['conforming code of an outer level', to(OWN, own(segment(CONFORMING | DPL(1)))), EXTERNAL, undefined, '#GP(101)'],
  ['execute-only code will do', to(OWN, own(segment(EXECUTE_ONLY))), EXTERNAL, undefined, 'ok cs=100'],
  ['code not present', to(OWN, own(notPresent(segment(CODE_READ)))), EXTERNAL, undefined, '#NP(101)'],
  ['same level: offset beyond the limit', to(OWN, own(segment(CODE_READ, 0, 0x1233))), EXTERNAL, undefined, '#GP(1)'],
  ['same level: offset beyond the limit, INT n', to(OWN, own(segment(CODE_READ, 0, 0x1233))), INT_N, undefined, '#GP(0)'],
  ['inner level: offset beyond the limit', to(OWN, { cpl: 3, ...own(segment(CODE_READ, 0, 0x1233)) }), EXTERNAL, undefined, '#GP(1)'],
];

const tr = (limit: number): Setup => ({ segments: { tr: [segment(0x8b, TSS, limit), 0x70] } });
const withStack = (selector: number, descriptor: bigint): Setup => ({ ...to(8, { cpl: 3, gdt: { [OWN_STACK]: descriptor } }), words: { [TSS + 8]: selector } });
const STACK_FAULTS: readonly Delivery[] = [
  ['TSS ends within SS0', to(8, { cpl: 3, ...tr(8) }), EXTERNAL, undefined, '#TS(71)'],
  ['TSS ends within SS0, INT n', to(8, { cpl: 3, ...tr(8) }, INTERRUPT32, 3), INT_N, undefined, '#TS(70)'],
  ['null', withStack(0, 0n), EXTERNAL, undefined, '#TS(1)'],
  ['beyond the GDT', withStack(0x1000, 0n), EXTERNAL, undefined, '#TS(1001)'],
  ['another RPL', withStack(OWN_STACK | 3, segment(READ_WRITE)), EXTERNAL, undefined, '#TS(109)'],
  ['another DPL', withStack(OWN_STACK, segment(READ_WRITE | DPL(1))), EXTERNAL, undefined, '#TS(109)'],
  ['read-only', withStack(OWN_STACK, segment(READ_ONLY)), EXTERNAL, undefined, '#TS(109)'],
  ['not present', withStack(OWN_STACK, notPresent(segment(READ_WRITE))), EXTERNAL, undefined, '#SS(109)'],
  ['no room', withStack(OWN_STACK, segment(READ_WRITE | BIG, 0, INNER_STACK - 2)), EXTERNAL, undefined, '#SS(109)'],
  ['room for the frame, but not for the error code', { ...withStack(OWN_STACK, segment(0x97 | BIG, 0, INNER_STACK - 21)) }, EXCEPTION, 5, '#SS(109)'],
  ['room for the frame alone', { ...withStack(OWN_STACK, segment(0x97 | BIG, 0, INNER_STACK - 21)) }, EXTERNAL, undefined, 'ok rsp=50fec'],
  ['no room comes before the offset', { ...to(OWN, { cpl: 3, gdt: { [OWN]: segment(CODE_READ, 0, 0), [OWN_STACK]: segment(READ_WRITE | BIG, 0, 7) } }), words: { [TSS + 8]: OWN_STACK } }, EXTERNAL, undefined, '#SS(109)'],
];

/** Handlers of faults go to a stack of their own: IST 7. */
function to64(selector: number, more: Setup = {}, low5 = 0, offset = 0xffff_8000_0000_1234n, type = INTERRUPT32, dpl = 0): Setup {
  return { mode: 'long', ...more, idt: { ...faultHandlers({ mode: 'long', ...more }), [VECTOR]: [gate(selector, offset, type, dpl, low5), offset >> 32n], ...more.idt } };
}
const LONG_MODE: readonly Delivery[] = [
  ['same level: SS:RSP always, the stack aligned', to64(CODE64_0, { regs: { rsp: STACK - 4 }, flags: 0x202 }), EXTERNAL, undefined, 'ok cs=48 rip=ffff800000001234 rsp=5efc8 stack64=30000,48,202,5effc,10 ss=10 flags=2'],
  ['an error code', to64(CODE64_0), EXCEPTION, 0x77, 'ok rsp=5efd0 stack64=77,30000,48,10002,5f000,10'],
  ['to an inner level: SS null', to64(CODE64_0, { cpl: 3 }), EXTERNAL, undefined, 'ok cpl=0 ss=0 ss.attr=10000 rsp=50fd8 stack64=30000,53,2,5f000,43'],
  ['to level 1: SS null with its RPL', to64(OWN, { cpl: 3, ...own(code64(CODE_READ | DPL(1))) }), EXTERNAL, undefined, 'ok cpl=1 cs=101 ss=1 rsp=51fd8'],
  ['from compatibility mode', to64(CODE64_0, { mode: 'compatibility', cpl: 3 }), EXTERNAL, undefined, 'ok cpl=0 code=2 stack64=30000,3b,2,5f000,43'],
  ['conforming handler', to64(OWN, { cpl: 3, ...own(code64(CONFORMING)) }), EXTERNAL, undefined, 'ok cs=103 cpl=3 ss=43 rsp=5efd8'],
  ['IST, from the same level', to64(CODE64_0, { qwords: { [TSS + 0x24]: 0x5_4008n } }, 1), EXTERNAL, undefined, 'ok rsp=53fd8 ss=10 stack64=30000,48,2,5f000,10'],
  ['IST, from an outer level', to64(CODE64_0, { cpl: 3, qwords: { [TSS + 0x24 + 8]: 0x5_5000n } }, 2), EXTERNAL, undefined, 'ok rsp=54fd8 ss=0 cpl=0'],
  ['trap gate', to64(CODE64_0, { flags: 0x202 }, 0, TARGET, TRAP32), EXTERNAL, undefined, 'ok flags=202 rip=1234'],
  ['INT n within DPL', to64(CODE64_0, { cpl: 3 }, 0, TARGET, INTERRUPT32, 3), INT_N, undefined, 'ok stack64=30002,53,2,5f000,43'],
  ['INT n outside DPL', to64(CODE64_0, { cpl: 3 }), INT_N, undefined, '#GP(402)'],
  ['the gate\'s upper half beyond the IDT', to64(CODE64_0, { idtLimit: VECTOR * 16 + 14 }), EXTERNAL, undefined, '#GP(403)'],
  ['no 16-bit gates', to64(CODE64_0, {}, 0, TARGET, INTERRUPT16), EXTERNAL, undefined, '#GP(403)'],
  ['no task gates', to64(CODE64_0, {}, 0, TARGET, 5), EXTERNAL, undefined, '#GP(403)'],
  ['32-bit code', to64(8), EXTERNAL, undefined, '#GP(9)'],
  ['code with L and D', to64(OWN, own(segment(CODE_READ | LONG | BIG | PAGES, 0, 0xf_ffff))), EXTERNAL, undefined, '#GP(101)'],
  ['code not present', to64(OWN, own(notPresent(code64()))), EXTERNAL, undefined, '#NP(101)'],
  ['offset not canonical', to64(CODE64_0, {}, 0, NON_CANONICAL), EXTERNAL, undefined, '#GP(1)'],
  ['RSP0 not canonical', to64(CODE64_0, { cpl: 3, qwords: { [TSS + 4]: NON_CANONICAL } }), EXTERNAL, undefined, '#SS(1)'],
  ['RSP not canonical at the same level', to64(CODE64_0, { regs: { rsp: NON_CANONICAL + 0x1000n } }), EXTERNAL, undefined, '#SS(1)'],
  ['a bad stack comes before a bad offset', to64(CODE64_0, { regs: { rsp: NON_CANONICAL + 0x1000n } }, 0, NON_CANONICAL), EXTERNAL, undefined, '#SS(1)'],
  ['IST beyond the TSS', to64(CODE64_0, { ...tr(0x2a), idt: { 10: [gate(CODE64_0, 0xf00an, INTERRUPT32), 0n] } }, 1), EXTERNAL, undefined, '#TS(71)'],
];

function deliver(mode: Mode | undefined, [, setup, type, error, expected]: Delivery): void {
  guest.reset(setup);
  guest.interrupt(VECTOR, type, error, 2);
  expect(interruptOutcome(guest, expected, mode)).toBe(expected);
}

describe('gates of legacy modes', () => {
  it.each(DELIVERIES)('%s', (...row) => deliver(undefined, row));
  it.each(GATE_FAULTS)('check the gate and the code: %s', (...row) => deliver(undefined, row));
  it.each(STACK_FAULTS)('check the inner stack: %s', (...row) => deliver(undefined, row));
});

describe('gates of long mode', () => {
  it.each(LONG_MODE)('%s', (...row) => deliver('long', row));
});

type Instruction = readonly [what: string, setup: Setup, code: string, expected: string];
const ALL = { ...faultHandlers({ cpl: 3 }), 1: gate(8, 0x100n, INTERRUPT32, 0), 3: gate(8, 0x300n, INTERRUPT32, 3), 4: gate(8, 0x400n, INTERRUPT32, 3) };
const NONE = { ...ALL, 1: gate(8, 0x100n, INTERRUPT32), 3: gate(8, 0x300n, INTERRUPT32), 4: gate(8, 0x400n, INTERRUPT32) };
const INSTRUCTIONS: readonly Instruction[] = [
  ['INT3', { cpl: 3, idt: ALL }, 'cc', 'ok rip=300 stack32=30001,3b,2,5f000,43'],
  ['INT3 outside DPL', { cpl: 3, idt: NONE }, 'cc', '#GP(1a)'],
  ['INT 3 of two bytes', { cpl: 3, idt: NONE }, 'cd 03', '#GP(1a)'],
  ['INTO with OF', { cpl: 3, flags: 0x800, idt: ALL }, 'ce', 'ok rip=400 stack32=30001,3b,802,5f000,43'],
  ['INTO outside DPL', { cpl: 3, flags: 0x800, idt: NONE }, 'ce', '#GP(22)'],
  ['INTO without OF', { cpl: 3, idt: NONE }, 'ce', 'ok rip=30001 rsp=5f000'],
  ['INT1 does not look at DPL', { cpl: 3, idt: NONE }, 'f1', 'ok rip=100 stack32=30001,3b,2,5f000,43'],
  ['INT1 is external in error codes', { cpl: 3, idt: { ...NONE, 1: 0n } }, 'f1', '#GP(b)'],
  ['INTO in 64-bit mode', { mode: 'long', flags: 0x800, idt: { ...faultHandlers({ mode: 'long' }), 6: [gate(CODE64_0, 0x600n, INTERRUPT32), 0n] } }, 'ce', 'ok rip=600'],
  ['real mode: FLAGS CS IP, IF and TF off', { mode: 'real', flags: 0x202, idtLimit: 0x3ff, dwords: { [0x2_0000 + VECTOR * 4]: 0x4000_1234 } }, 'cd 80', 'ok cs=4000 rip=1234 stack16=2,3000,202 flags=2'],
  ['real mode: beyond the table', { mode: 'real', idtLimit: 0x201, dwords: { [0x2_0000 + 13 * 4]: 0x4000_1300 } }, 'cd 80', 'ok cs=4000 rip=1300 stack16=0,3000,2'],
  ['real mode: no room', { mode: 'real', regs: { rsp: 5 }, segments: { ss: [segment(READ_WRITE, STACK_BASE, 0xf), 0x5000] }, idtLimit: 0x3ff, dwords: { [0x2_0000 + VECTOR * 4]: 0x4000_1234, [0x2_0000 + 12 * 4]: 0x4000_1200 } }, 'cd 80', 'ok activity=2'],
];

describe('instructions that interrupt', () => {
  it.each(INSTRUCTIONS)('%s', (_what, setup, code, expected) => {
    guest.reset(setup);
    guest.run(code);
    guest.deliver();
    expect(interruptOutcome(guest, expected)).toBe(expected);
  });

  it('are named before delivery', () => {
    guest.reset();
    guest.run('cd 21');
    expect(outcome(guest, 'int-21 rip=30000')).toBe('int-21 rip=30000');
  });
});
