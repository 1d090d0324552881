/** Virtual-8086 mode, its extensions and protected-mode virtual interrupts (SDM vol. 3B, 22.2 to 22.4; vol. 2, by instruction). */
import { describe, expect, it } from 'vitest';
import { gate } from '../testing/microcode-bench.ts';
import { EXCEPTION, EXTERNAL, faultHandlers, INT_N, interruptOutcome } from '../testing/handlers.ts';
import { type Row, runRow } from '../testing/outcome.ts';
import { type Setup, SystemGuest } from '../testing/system-guest.ts';
import { CODE_OF, CODE_READ, CONFORMING, DATA, DPL, LOW_PAGE, OWN, segment, STACK, TSS } from '../testing/system-tables.ts';

const guest = new SystemGuest();
const VME = 1;
const PVI = 2;
const TF = 0x100;
const IF = 0x200;
const IOPL3 = 0x3000;
const VIF = 0x8_0000;
const VIP = 0x10_0000;
const v86 = (flags = 0, more: Setup = {}): Setup => ({ mode: 'v86', flags, ...more });
const vme = (flags = 0, more: Setup = {}): Setup => v86(flags, { cr4: VME, ...more });
const pushed = (...words: number[]): Setup => ({ words: Object.fromEntries(words.map((value, i) => [STACK + i * 2, value])) });
const pushed32 = (...values: number[]): Setup => ({ dwords: Object.fromEntries(values.map((value, i) => [STACK + i * 4, value])) });

const SENSITIVE: readonly Row[] = [
  ['CLI', v86(IF), 'fa', '#GP(0) flags=20202'],
  ['CLI at IOPL 3', v86(IF | IOPL3), 'fa', 'ok flags=23002'],
  ['STI', v86(), 'fb', '#GP(0)'],
  ['STI at IOPL 3', v86(IOPL3), 'fb', 'ok flags=23202'],
  ['PUSHF', v86(), '9c', '#GP(0)'],
  ['PUSHF at IOPL 3', v86(IOPL3 | IF), '9c', 'ok stack16=3202'],
  ['PUSHFD at IOPL 3 shows neither VM nor RF', v86(IOPL3 | 0x1_0000), '66 9c', 'ok stack32=3002'],
  ['POPF', v86(0, pushed(2)), '9d', '#GP(0) rsp=f000'],
  ['POPF at IOPL 3 leaves IOPL', v86(IOPL3, pushed(0x4fd7 & ~TF)), '9d', 'ok flags=27ed7 rsp=f002'],
  ['POPFD at IOPL 3 leaves VM IOPL VIF VIP', v86(IOPL3, pushed32(0x3f_4ed7)), '66 9d', 'ok flags=267ed7'],
  ['INT n', v86(), 'cd 20', '#GP(0)'],
  ['INT n at IOPL 3', v86(IOPL3), 'cd 20', 'int-20'],
  ['INT3 is not sensitive', v86(), 'cc', 'int-3'],
  ['INTO is not sensitive', v86(0x800), 'ce', 'int-4'],
  ['IRET', v86(0, pushed(0x1234, 0x4000, 2)), 'cf', '#GP(0) rsp=f000'],
  ['IRET at IOPL 3 leaves IOPL', v86(IOPL3, pushed(0x1234, 0x4000, 0x0202)), 'cf', 'ok cs=4000 cs.base=40000 rip=1234 flags=23202 rsp=f006'],
  ['IRETD at IOPL 3 leaves VM IOPL VIF VIP', v86(IOPL3, { dr7: 0x401, ...pushed32(0x1234, 0x4000, 0x3f_4ed7) }), '66 cf', 'ok rip=1234 flags=277ed7'],
  ['IRETD beyond 64 KiB', v86(IOPL3, pushed32(0x1_0000, 0x4000, 2)), '66 cf', '#GP(0)'],
  ['HLT', v86(IOPL3), 'f4', '#GP(0)'],
  ['MOV from CR0', v86(IOPL3), '0f 20 c0', '#GP(0)'],
  ['LMSW', v86(IOPL3), '0f 01 f0', '#GP(0)'],
  ['CLTS', v86(IOPL3), '0f 06', '#GP(0)'],
  ['LLDT', v86(IOPL3), '0f 00 d0', '#UD'],
];

const EXTENSIONS: readonly Row[] = [
  ['CLI clears VIF', vme(IF | VIF), 'fa', 'ok flags=20202'],
  ['CLI at IOPL 3 clears IF', vme(IF | VIF | IOPL3), 'fa', 'ok flags=a3002'],
  ['STI sets VIF', vme(), 'fb', 'ok flags=a0002 blocking=0'],
  ['STI with VIP', vme(VIP), 'fb', '#GP(0) flags=120002'],
  ['STI at IOPL 3 with VIP sets IF', vme(VIP | IOPL3), 'fb', 'ok flags=123202'],
  ['PUSHF shows VIF as IF, and IOPL 3', vme(VIF), '9c', 'ok stack16=3202'],
  ['PUSHF hides IF', vme(IF), '9c', 'ok stack16=3002'],
  ['PUSHFD', vme(), '66 9c', '#GP(0)'],
  ['POPF sets VIF', vme(0, pushed(0x3202)), '9d', 'ok flags=a0002'],
  ['POPF clears VIF, and leaves IF and IOPL', vme(VIF | IF, pushed(0x3002)), '9d', 'ok flags=20202'],
  ['POPF with TF', vme(0, pushed(TF)), '9d', '#GP(0) rsp=f000'],
  ['POPF of IF with VIP', vme(VIP, pushed(IF)), '9d', '#GP(0) rsp=f000'],
  ['POPF without IF with VIP', vme(VIP, pushed(2)), '9d', 'ok flags=120002'],
  ['POPFD', vme(0, pushed32(2)), '66 9d', '#GP(0)'],
  ['IRET sets VIF', vme(0, pushed(0x1234, 0x4000, 0x3202)), 'cf', 'ok flags=a0002 rip=1234 cs=4000'],
  ['IRET with TF', vme(0, pushed(0x1234, 0x4000, TF)), 'cf', '#GP(0) rsp=f000'],
  ['IRET of IF with VIP', vme(VIP, pushed(0x1234, 0x4000, IF)), 'cf', '#GP(0)'],
  ['IRETD', vme(0, pushed32(0x1234, 0x4000, 2)), '66 cf', '#GP(0)'],
];

/** I/O map base 0x100: the redirection bitmap is at 0xe0 of the TSS, its byte for vectors 0x20 to 0x27 at 0xe4. */
const redirection = (flags: number, byte: number, more: Setup = {}): Setup => vme(flags, {
  paging: true, segments: { tr: [segment(0x8b, TSS, 0x200), 0x70] }, ...more,
  words: { [TSS + 0x66]: 0x100, [TSS + 0xe4]: byte, ...more.words }, dwords: { [LOW_PAGE + 0x21 * 4]: 0x4000_1234, ...more.dwords },
});
const REDIRECTION: readonly Row[] = [
  ['method 5: IOPL 3, bit clear', redirection(IOPL3 | IF | 0x4000, 0), 'cd 21', 'ok cs=4000 cs.base=40000 rip=1234 rsp=effa stack16=2,3000,7202 flags=27002 cpl=3'],
  ['method 6: IOPL 0, bit clear', redirection(VIF | IF, 0), 'cd 21', 'ok cs=4000 rip=1234 stack16=2,3000,3202 flags=20202'],
  ['method 6 without VIF', redirection(IF, 0), 'cd 21', 'ok stack16=2,3000,3002 flags=20202'],
  ['method 3: IOPL 0, bit set', redirection(0, 2), 'cd 21', '#GP(0)'],
  ['method 4: IOPL 3, bit set', redirection(IOPL3, 2), 'cd 21', 'int-21'],
  ['other bits do not count', redirection(0, 0xfd), 'cd 21', 'ok rip=1234'],
  ['INT3 is not redirected', redirection(0, 0), 'cc', 'int-3'],
  ['INT 3 of two bytes is', redirection(0, 0, { dwords: { [LOW_PAGE + 12]: 0x4000_0300 } }), 'cd 03', 'ok rip=300'],
];

const PROTECTED: readonly Row[] = [
  ['CLI at level 3', { cpl: 3, cr4: PVI, flags: VIF | IF }, 'fa', 'ok flags=202'],
  ['STI at level 3', { cpl: 3, cr4: PVI }, 'fb', 'ok flags=80002'],
  ['STI with VIP', { cpl: 3, cr4: PVI, flags: VIP }, 'fb', '#GP(0)'],
  ['CLI within IOPL clears IF', { cpl: 3, cr4: PVI, flags: VIF | IF | IOPL3 }, 'fa', 'ok flags=83002'],
  ['not at level 2', { cpl: 2, cr4: PVI, flags: IF }, 'fa', '#GP(0)'],
  ['VME alone does not help', { cpl: 3, cr4: VME, flags: IF }, 'fa', '#GP(0)'],
  ['PVI does not help virtual-8086 mode', v86(IF, { cr4: PVI }), 'fa', '#GP(0)'],
  ['PUSHF shows IF as it is', { cpl: 3, cr4: PVI, flags: VIF }, '9c', 'ok stack32=80002'],
  ['POPF leaves VIF and IF', { cpl: 3, cr4: PVI, flags: VIF | IF, ...pushed32(2) }, '9d', 'ok flags=80202'],
  ['in 64-bit mode', { mode: 'long', cpl: 3, cr4: PVI }, 'fb', 'ok flags=80002'],
];

// ---- into and out of virtual-8086 mode
const VECTOR = 0x80;
const handler = (selector: number, more: Setup = {}, type = 14, dpl = 0): Setup =>
  v86(IOPL3, { ...more, idt: { ...faultHandlers({ cpl: 0 }), [VECTOR]: gate(selector, 0x1234n, type, dpl) } });
const INTERRUPTS: readonly (readonly [what: string, setup: Setup, type: number, error: number | undefined, expected: string])[] = [
  ['GS FS DS ES SS ESP EFLAGS CS EIP', handler(8), EXTERNAL, undefined, 'ok cpl=0 real=0 cs=8 rip=1234 ss=10 rsp=50fdc stack32=0,3000,23002,f000,5000,4000,4000,4000,4000 ds=0 ds.attr=10000 es=0 fs=0 gs=0 flags=3002'],
  ['and an error code', handler(8), EXCEPTION, 0x77, 'ok rsp=50fd8 stack32=77,0,3000,33002,f000,5000,4000,4000,4000,4000'],
  ['of 16 bits', handler(8, {}, 6), EXTERNAL, undefined, 'ok rsp=50fee stack16=0,3000,3002,f000,5000,4000'],
  ['INT n within the gate\'s DPL', handler(8, {}, 14, 3), INT_N, undefined, 'ok stack32=2,3000,23002'],
  ['INT n outside it', handler(8, {}, 14, 0), INT_N, undefined, '#GP(402)'],
  ['to a handler of level 1', handler(CODE_OF(1)), EXTERNAL, undefined, '#GP(19)'],
  ['to a conforming handler', handler(OWN, { gdt: { [OWN]: segment(CONFORMING) } }), EXTERNAL, undefined, '#GP(101)'],
  ['to a handler of level 3', handler(OWN, { gdt: { [OWN]: segment(CODE_READ | DPL(3)) } }), EXTERNAL, undefined, '#GP(101)'],
];
const frame = (eip: number, flags: number): Setup => pushed32(eip, 0x3000, flags, 0x1_2222, 0x5000, 0x1111, 0x2222, 0x3333, 0x4444);
const RETURNS: readonly Row[] = [
  ['all segments', frame(0x1234, 0x2_3202), 'cf', 'ok real=2 cpl=3 rip=1234 cs=3000 cs.base=30000 cs.limit=ffff cs.attr=f3 ss=5000 ss.base=50000 ss.attr=f3 rsp=12222 es=1111 ds=2222 fs=3333 gs=4444 gs.base=44440 gs.limit=ffff flags=23202 code=0'],
  ['beyond 64 KiB', frame(0x1_0000, 0x2_0002), 'cf', '#GP(0) real=0 rsp=5f000'],
  ['of 16 bits there is no VM', { ...pushed(0x1234, 8, 2) }, '66 cf', 'ok real=0'],
  ['not from level 1', { cpl: 1, ...pushed32(0x1234, CODE_OF(1), 0x2_0002) }, 'cf', 'ok real=0 cpl=1 flags=2'],
  ['not in compatibility mode', { mode: 'compatibility', ...pushed32(0x1234, 8, 0x2_0002) }, 'cf', 'ok real=0 flags=2'],
  ['a short stack', { ...frame(0x1234, 0x2_0002), segments: { ss: [segment(0x4093, 0, STACK + 35 - 1), 0x10] } }, 'cf', '#SS(0) real=0'],
];

describe('virtual-8086 mode', () => {
  it.each(SENSITIVE)('sensitive to IOPL: %s', (...row) => expect(runRow(guest, row)).toBe(row[3]));
  it.each(EXTENSIONS)('extensions: %s', (...row) => expect(runRow(guest, row)).toBe(row[3]));
  it.each(REDIRECTION)('redirection: %s', (...row) => expect(runRow(guest, row)).toBe(row[3]));
  it.each(INTERRUPTS)('interrupts: %s', (_what, setup, type, error, expected) => {
    guest.reset(setup);
    guest.interrupt(VECTOR, type, error, 2);
    expect(interruptOutcome(guest, expected)).toBe(expected);
  });
  it.each(RETURNS)('IRET to it: %s', (...row) => expect(runRow(guest, row)).toBe(row[3]));
});

it.each(PROTECTED)('protected-mode virtual interrupts: %s', (...row) => expect(runRow(guest, row)).toBe(row[3]));

describe('VIF and VIP together at the start of an instruction (vol. 3B, 22.3.2)', () => {
  it.each<readonly [what: string, setup: Setup, expected: string]>([
    ['with VME', { cr4: VME, ...frame(0x1234, 0x2_0002 | VIF | VIP) }, '#GP(0)'],
    ['without VME', frame(0x1234, 0x2_0002 | VIF | VIP), 'ok'],
    ['at IOPL 3', { cr4: VME, ...frame(0x1234, 0x2_3002 | VIF | VIP) }, '#GP(0)'],
    ['with PVI at level 3', { cr4: PVI, ...pushed32(0x1234, CODE_OF(3), 2 | VIF | VIP, DATA, 0x43) }, '#GP(0)'],
    ['with PVI at level 0', { cr4: PVI, ...pushed32(0x1234, 8, 2 | VIF | VIP) }, 'ok'],
  ])('%s', (_what, setup, expected) => {
    guest.reset({ ...setup, idt: faultHandlers({ cpl: 0 }) });
    guest.run('cf');
    expect(interruptOutcome(guest, 'ok')).toBe(expected);
  });
});
