/** Task switches (SDM vol. 3A, 9.3, tables 9-1 and 9-2; 9.4 for nested tasks; vol. 2A, CALL, JMP, INT and IRET for the checks before). */
import { describe, expect, it } from 'vitest';
import { gate } from '../testing/microcode-bench.ts';
import { EXCEPTION, EXTERNAL, faultHandlers, INT_N, interruptOutcome } from '../testing/handlers.ts';
import { outcome, type Row, runRow } from '../testing/outcome.ts';
import { type Setup, SystemGuest, VECTORS } from '../testing/system-guest.ts';
import { task16, task32, TASK_STACK } from '../testing/tasks.ts';
import {
  BIG, CODE_OF, CODE_READ, CONFORMING, DATA_OF, DPL, EXECUTE_ONLY, LDT_SELECTOR, OWN, PAGE_TABLES, READ_ONLY, READ_WRITE, segment, system,
  TSS, TSS_B, TSS_C, TSS_SELECTOR,
} from '../testing/system-tables.ts';

const guest = new SystemGuest();
const TASK_GATE = 5;
/** TSS descriptors of tasks B (32-bit) and C (16-bit), and a task gate to B; a segment of a test's own behind them. */
const B = OWN;
const C = OWN + 8;
const GATE = OWN + 0x10;
const OWN_SEGMENT = OWN + 0x18;
const notPresent = (descriptor: bigint): bigint => descriptor & ~(1n << 47n);
const far = (opcode: string, selector: number): string => `${opcode} 00 00 00 00 ${(selector & 0xff).toString(16).padStart(2, '0')} ${(selector >> 8).toString(16).padStart(2, '0')}`;
const JMP_B = far('ea', B);
const CALL_B = far('9a', B);
const CALL_C = far('9a', C);

/** The three tasks: what differs from task32() for B and task16() for C. */
function tasks(b: Parameters<typeof task32>[1] = {}, more: Setup = {}, c: Parameters<typeof task16>[1] = {}): Setup {
  return {
    regs: { rax: 0xa1, rbx: 0xa2, rcx: 0xa3, rdx: 0xa4, rsi: 0xa5, rdi: 0xa6, rbp: 0xa7 },
    ...more,
    gdt: {
      [B]: system(9, TSS_B, 0x67), [C]: system(1, TSS_C, 0x2b), [GATE]: gate(B, 0n, TASK_GATE, 3), ...more.gdt,
    },
    dwords: { ...task32(TSS_B, b), ...more.dwords },
    words: { ...task16(TSS_C, c), ...more.words },
  };
}

const SWITCHES: readonly Row[] = [
  ['JMP: the new task is busy, the old one is not', tasks(), JMP_B, 'ok tr=100 tr.base=26000 tr.attr=8b access[100]=8b access[70]=89 w[26000]=0 flags=2 cr0=19'],
  ['CALL: both are busy, back link and NT', tasks(), CALL_B, 'ok tr=100 access[100]=8b access[70]=8b w[26000]=70 flags=4002 cr0=19'],
  ['all registers come from the TSS', tasks({ cr3: 0x1234_5000 }), JMP_B, 'ok rip=1234 rax=b0 rcx=b1 rdx=b2 rbx=b3 rsp=5a000 rbp=b5 rsi=b6 rdi=b7 cs=8 ss=10 ds=10 es=10 fs=0 gs=0 ldtr=0 cr3=0'],
  ['the old registers go to the old TSS', tasks({}, { flags: 0x4202 }), CALL_B, 'ok d[23020]=30007 d[23024]=4202 d[23028]=a1 d[2302c]=a3 d[23030]=a4 d[23034]=a2 d[23038]=5f000 d[2303c]=a7 d[23040]=a5 d[23044]=a6 w[23048]=10 w[2304c]=8 w[23050]=10 w[23054]=10 w[23058]=10 w[2305c]=10'],
  ['LDT and segments of the LDT', tasks({ ldt: LDT_SELECTOR, ds: OWN | 4 }, { ldt: { [OWN]: segment(READ_WRITE, 0x5000) }, segments: { ldtr: [0n, 0] } }), JMP_B, 'ok ldtr=80 ldtr.base=22000 ds=104 ds.base=5000'],
  ['to level 3', tasks({ cs: CODE_OF(3), ss: DATA_OF(3), ds: DATA_OF(3), es: 0 }), JMP_B, 'ok cpl=3 cs=3b ss=43 ds=43 es=0 es.attr=10000'],
  ['accessed bits', tasks({ cs: OWN_SEGMENT }, { gdt: { [OWN_SEGMENT]: segment(CODE_READ & ~1) } }), JMP_B, 'ok cs=118 access[118]=9b'],
  ['conforming code of an inner level', tasks({ cs: OWN_SEGMENT | 3, ss: DATA_OF(3), ds: 0, es: 0 }, { gdt: { [OWN_SEGMENT]: segment(CONFORMING) } }), JMP_B, 'ok cpl=3 cs=11b'],
  ['flags come from the TSS', tasks({ flags: 0x24_3ed7 }), JMP_B, 'ok flags=243ed7'],
  ['to a 16-bit task: the upper halves of EFLAGS go', tasks({}, { flags: 0x24_0000 }), CALL_C, 'ok rip=1234 rax=c0 rcx=c1 rsp=5a000 cs=58 ss=68 ds=10 fs=0 ldtr=0 tr=108 tr.attr=83 flags=4002 access[108]=83 w[27000]=70 d[23024]=240002'],
  ['from a 16-bit task', tasks({}, { segments: { tr: [system(3, TSS_C, 0x2b), C] }, gdt: { [C]: system(3, TSS_C, 0x2b) } }), JMP_B, 'ok tr=100 w[2700e]=7 w[27010]=2 w[27012]=a1 w[27014]=a3 w[2701a]=f000 w[27022]=10 w[27024]=8 access[108]=81'],
  ['to virtual-8086 mode', tasks({ flags: 0x2_0002, cs: 0x3000, ss: 0x5000, ds: 0x1111, es: 0x2222, fs: 0x3333, gs: 0x4444 }), JMP_B, 'ok real=2 cpl=3 cs=3000 cs.base=30000 cs.limit=ffff ss.attr=f3 ds.base=11110 gs=4444 flags=20002'],
  ['CALL to virtual-8086 mode nests', tasks({ flags: 0x2_0002, cs: 0x3000, ss: 0x5000 }), CALL_B, 'ok flags=24002 w[26000]=70'],
  ['CR3 is loaded where paging is on', tasks({ cr3: PAGE_TABLES }, { paging: true }), JMP_B, `ok cr3=${PAGE_TABLES.toString(16)}`],
  ['local breakpoints go off', tasks({}, { dr7: 0x7ff }), JMP_B, 'ok dr7=6aa'],
  ['through a task gate', tasks({}, { cpl: 3 }), far('9a', GATE | 3), 'ok tr=100 cpl=0 w[26000]=70'],
  ['through a task gate by JMP', tasks({}, { cpl: 3 }), far('ea', GATE | 3), 'ok tr=100 access[70]=89'],
  ['to data of conforming code', tasks({ cs: CODE_OF(3), ss: DATA_OF(3), ds: OWN_SEGMENT | 3, es: 0 }, { gdt: { [OWN_SEGMENT]: segment(CONFORMING) } }), JMP_B, 'ok ds=11b'],
  ['the gate, not the TSS, is checked for privilege', tasks({}, { cpl: 3 }), far('9a', B | 3), '#GP(100)'],
];

const CHECKS: readonly Row[] = [
  ['DPL of the TSS below RPL', tasks(), far('ea', B | 1), '#GP(100)'],
  ['DPL of the gate below CPL', tasks({}, { cpl: 3, gdt: { [GATE]: gate(B, 0n, TASK_GATE, 2) } }), far('9a', GATE | 3), '#GP(110)'],
  ['gate not present', tasks({}, { gdt: { [GATE]: notPresent(gate(B, 0n, TASK_GATE, 3)) } }), far('9a', GATE), '#NP(110)'],
  ['gate to a selector of the LDT', tasks({}, { gdt: { [GATE]: gate(B | 4, 0n, TASK_GATE, 3) } }), far('9a', GATE), '#GP(104)'],
  ['gate to null', tasks({}, { gdt: { [GATE]: gate(0, 0n, TASK_GATE, 3) } }), far('9a', GATE), '#GP(0)'],
  ['gate to a TSS beyond the GDT', tasks({}, { gdt: { [GATE]: gate(0x1000, 0n, TASK_GATE, 3) } }), far('9a', GATE), '#GP(1000)'],
  ['gate to code', tasks({}, { gdt: { [GATE]: gate(8, 0n, TASK_GATE, 3) } }), far('9a', GATE), '#GP(8)'],
  ['a TSS in the LDT', tasks({}, { ldt: { [B]: system(9, TSS_B, 0x67) } }), far('ea', B | 4), '#GP(104)'],
  ['a TSS in the LDT that is not present', tasks({}, { ldt: { [B]: notPresent(system(9, TSS_B, 0x67)) } }), far('ea', B | 4), '#GP(104)'],
  ['busy', tasks({}, { gdt: { [B]: system(11, TSS_B, 0x67) } }), JMP_B, '#GP(100)'],
  ['oneself is busy', tasks(), far('9a', TSS_SELECTOR), '#GP(70)'],
  ['busy through a gate', tasks({}, { gdt: { [B]: system(11, TSS_B, 0x67) } }), far('9a', GATE), '#GP(100)'],
  ['TSS not present', tasks({}, { gdt: { [B]: notPresent(system(9, TSS_B, 0x67)) } }), JMP_B, '#NP(100)'],
  ['TSS too short', tasks({}, { gdt: { [B]: system(9, TSS_B, 0x66) } }), JMP_B, '#TS(100) tr=70 access[70]=8b'],
  ['16-bit TSS too short', tasks({}, { gdt: { [C]: system(1, TSS_C, 0x2a) } }), CALL_C, '#TS(108) tr=70'],
];

// ---- faults in the new task: its selectors and registers are there already. The fault goes to task C by a task gate.
type Task = Parameters<typeof task32>[1];
const NEW_TASK: readonly (readonly [what: string, b: Task, descriptor: bigint | undefined, fault: string])[] = [
  ['LDT in the LDT', { ldt: LDT_SELECTOR | 4 }, undefined, '#TS(84)'],
  ['LDT beyond the GDT', { ldt: 0x1000 }, undefined, '#TS(1000)'],
  ['LDT of another type', { ldt: 0x10 }, undefined, '#TS(10)'],
  ['LDT not present', { ldt: OWN_SEGMENT }, notPresent(system(2, 0, 0xff)), '#TS(118)'],
  ['CS null', { cs: 0 }, undefined, '#TS(0)'],
  ['CS beyond the GDT', { cs: 0x1000 }, undefined, '#TS(1000)'],
  ['CS is data', { cs: 0x10 }, undefined, '#TS(10)'],
  ['CS with DPL below RPL', { cs: 0x0b, ss: DATA_OF(3) }, undefined, '#TS(8)'],
  ['CS conforming with DPL above RPL', { cs: OWN_SEGMENT }, segment(CONFORMING | DPL(1)), '#TS(118)'],
  ['CS not present', { cs: OWN_SEGMENT }, notPresent(segment(CODE_READ)), '#NP(118)'],
  ['SS null', { ss: 0 }, undefined, '#TS(0)'],
  ['SS beyond the GDT', { ss: 0x1000 }, undefined, '#TS(1000)'],
  ['SS with another RPL', { ss: 0x11 }, undefined, '#TS(10)'],
  ['SS with another DPL', { ss: 0x40 }, undefined, '#TS(40)'],
  ['SS read-only', { ss: OWN_SEGMENT }, segment(READ_ONLY), '#TS(118)'],
  ['SS not present', { ss: OWN_SEGMENT }, notPresent(segment(READ_WRITE)), '#SS(118)'],
  ['DS beyond the GDT', { ds: 0x1000 }, undefined, '#TS(1000)'],
  ['DS execute-only', { ds: OWN_SEGMENT }, segment(EXECUTE_ONLY), '#TS(118)'],
  ['DS of an inner level', { cs: CODE_OF(3), ss: DATA_OF(3), ds: 0x10, es: 0 }, undefined, '#TS(10)'],
  ['DS with an outer RPL than DPL', { ds: 0x13 }, undefined, '#TS(10)'],
  ['DS not present', { ds: OWN_SEGMENT }, notPresent(segment(READ_WRITE)), '#NP(118)'],
  ['GS is a system segment', { gs: LDT_SELECTOR }, undefined, '#TS(80)'],
  ['EIP beyond the limit comes last', { cs: OWN_SEGMENT, ds: 0x1000 }, segment(CODE_READ, 0, 0x1233), '#TS(1000)'],
  ['EIP beyond the limit', { cs: OWN_SEGMENT }, segment(CODE_READ, 0, 0x1233), '#GP(0)'],
  ['EIP beyond 64 KiB in virtual-8086 mode', { cs: 0xfff, flags: 0x2_0002, eip: 0x1_0000 }, undefined, '#GP(0)'],
];

/** Runs `code`, which switches to B; what C finds: the fault, and B's state in its TSS. */
function faultInTask(code: string, b: Task, descriptor: bigint | undefined, fault: string, more: Setup = {}): void {
  const [, name, error] = /^(.*)\((.*)\)$/.exec(fault)!;
  const vector = Object.values(VECTORS).indexOf(name!);
  const setup = tasks(b, { ...more, ...(descriptor === undefined ? {} : { gdt: { ...more.gdt, [OWN_SEGMENT]: descriptor } }) });
  guest.reset({ ...setup, idt: { [Object.keys(VECTORS)[vector]!]: gate(C, 0n, TASK_GATE) } });
  guest.run(code);
  const { cs = 8, ss = 0x10, ds = 0x10, es = 0x10, gs = 0, eip = 0x1234 } = b;
  const expected = `ok tr=108 stack16=${error} w[27000]=100 d[26020]=${eip.toString(16)} w[26048]=${es.toString(16)} w[2604c]=${cs.toString(16)} ` +
    `w[26050]=${ss.toString(16)} w[26054]=${ds.toString(16)} w[2605c]=${gs.toString(16)} d[26028]=b0 cr0=19`;
  expect(outcome(guest, expected)).toBe(expected);
}

describe('task switches', () => {
  it.each(SWITCHES)('%s', (...row) => expect(runRow(guest, row)).toBe(row[3]));
  it.each(CHECKS)('check the TSS: %s', (...row) => expect(runRow(guest, row)).toBe(row[3]));
  it.each(NEW_TASK)('fault in the new task: %s', (_what, b, descriptor, fault) => faultInTask(JMP_B, b, descriptor, fault));
  it('of IRET fault in the new task as well', () =>
    faultInTask('cf', { ds: 0x1000 }, undefined, '#TS(1000)', { flags: 0x4000, gdt: { [B]: system(11, TSS_B, 0x67) }, words: { [TSS]: B } }));

  it('raise #DB for the T flag before the first instruction', () => {
    guest.reset(tasks({ trap: 1 }, { idt: { 1: gate(8, 0x2000n, 14) } }));
    guest.run(JMP_B);
    const expected = 'ok rip=2000 dr6=ffff8ff0 stack32=1234,8,2 cr0=19';
    expect(outcome(guest, expected)).toBe(expected);
  });
});

describe('IRET with NT', () => {
  const nested = (more: Setup, link = B): Setup =>
    ({ ...more, flags: 0x4000 | (more.flags ?? 0), words: { ...more.words, [TSS]: link } });
  const busyB = { gdt: { [B]: system(11, TSS_B, 0x67) } };
  const busy = tasks({}, busyB);
  it.each<Row>([
    ['returns to the task of the link', nested(busy), 'cf', 'ok tr=100 rip=1234 access[70]=89 access[100]=8b flags=2 d[23024]=2 d[23020]=30001'],
    ['clears NT in the image that it saves', nested({ ...busy, flags: 0x200 }), 'cf', 'ok d[23024]=202'],
    ['keeps NT of the other task', nested(tasks({ flags: 0x4002 }, busyB)), 'cf', 'ok flags=4002'],
    ['to a 16-bit task', nested(tasks({}, { gdt: { [C]: system(3, TSS_C, 0x2b) } }), C), 'cf', 'ok tr=108 rip=1234'],
    ['link null', nested(busy, 0), 'cf', '#TS(0)'],
    ['link into the LDT', nested(busy, B | 4), 'cf', '#TS(104)'],
    ['link beyond the GDT', nested(busy, 0x1000), 'cf', '#TS(1000)'],
    ['link to code', nested(busy, 8), 'cf', '#TS(8)'],
    ['link to a task that is not busy', nested(tasks({}, { gdt: { [B]: system(9, TSS_B, 0x67) } })), 'cf', '#TS(100) tr=70'],
    ['link to a task that is not present', nested(tasks({}, { gdt: { [B]: notPresent(system(11, TSS_B, 0x67)) } })), 'cf', '#NP(100)'],
    ['link to a short TSS', nested(tasks({}, { gdt: { [B]: system(11, TSS_B, 0x66) } })), 'cf', '#TS(100)'],
    ['at level 3', nested(tasks({}, { ...busyB, cpl: 3 })), 'cf', 'ok tr=100 cpl=0'],
  ])('%s', (...row) => expect(runRow(guest, row)).toBe(row[3]));
});

describe('interrupts through task gates', () => {
  const VECTOR = 0x80;
  const through = (b: Parameters<typeof task32>[1] = {}, more: Setup = {}): Setup => {
    const state = tasks(b, more);
    return { ...state, idt: { ...faultHandlers(state), [VECTOR]: gate(B, 0n, TASK_GATE), ...more.idt } };
  };
  it.each<readonly [what: string, setup: Setup, type: number, error: number | undefined, expected: string]>([
    ['nest', through(), EXTERNAL, undefined, 'ok tr=100 rip=1234 flags=4002 w[26000]=70 d[23020]=30000 access[70]=8b rsp=5a000'],
    ['from level 3, without stack switch', through({}, { cpl: 3 }), EXTERNAL, undefined, 'ok tr=100 cpl=0 rsp=5a000'],
    ['push the error code on the new stack', through(), EXCEPTION, 0x77, 'ok rsp=59ffc stack32=77 d[23024]=10002'],
    ['push 16 bits on a 16-bit task\'s', through({}, { idt: { [VECTOR]: gate(C, 0n, TASK_GATE) } }), EXCEPTION, 0x77, 'ok tr=108 rsp=59ffe stack16=77'],
    ['INT n saves the next address', through({}, { idt: { [VECTOR]: gate(B, 0n, TASK_GATE, 3) } }), INT_N, undefined, 'ok d[23020]=30002'],
    ['INT n outside DPL', through({}, { cpl: 3 }), INT_N, undefined, '#GP(402)'],
    ['gate not present', through({}, { idt: { [VECTOR]: notPresent(gate(B, 0n, TASK_GATE)) } }), EXTERNAL, undefined, '#NP(403)'],
    ['busy task', through({}, { gdt: { [B]: system(11, TSS_B, 0x67) } }), EXTERNAL, undefined, '#GP(101)'],
    ['a TSS in the LDT', through({}, { idt: { [VECTOR]: gate(B | 4, 0n, TASK_GATE) } }), EXTERNAL, undefined, '#GP(105)'],
    ['TSS not present', through({}, { gdt: { [B]: notPresent(system(9, TSS_B, 0x67)) } }), EXTERNAL, undefined, '#NP(101)'],
    ['TSS too short', through({}, { gdt: { [B]: system(9, TSS_B, 0x66) } }), EXTERNAL, undefined, '#TS(101)'],
    ['DS of the new task, external', through({ ds: 0x1000 }), EXTERNAL, undefined, '#TS(1001) tr=100'],
    ['DS of the new task, INT n', through({ ds: 0x1000 }, { idt: { [VECTOR]: gate(B, 0n, TASK_GATE, 3) } }), INT_N, undefined, '#TS(1000)'],
    ['EIP beyond the limit, external', through({ cs: OWN_SEGMENT }, { gdt: { [OWN_SEGMENT]: segment(CODE_READ, 0, 0x1233) } }), EXTERNAL, undefined, '#GP(1) tr=100'],
    ['no room for the error code', through({ ss: OWN_SEGMENT, esp: 2 }, { gdt: { [OWN_SEGMENT]: segment(READ_WRITE | BIG, TASK_STACK, 0xfff) }, idt: { 12: gate(C, 0n, TASK_GATE) } }), EXCEPTION, 0x77, 'ok tr=108 stack16=1 w[27000]=100'],
  ])('%s', (_what, setup, type, error, expected) => {
    guest.reset(setup);
    guest.interrupt(VECTOR, type, error, 2);
    expect(interruptOutcome(guest, expected)).toBe(expected);
  });

  it('deliver a double fault on a stack of its own', () => {
    guest.reset({ ...through(), regs: { rsp: 0 }, segments: { ss: [segment(READ_WRITE | BIG, 0, 0), 0x10] }, idt: { 8: gate(B, 0n, TASK_GATE) } });
    guest.interrupt(13, EXCEPTION, 0x50);
    const expected = 'ok tr=100 rip=1234 stack32=0 d[23038]=0 d[23020]=30000';
    expect(outcome(guest, expected)).toBe(expected);
  });
});
