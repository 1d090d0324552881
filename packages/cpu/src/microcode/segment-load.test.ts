/** Loading segment registers (SDM vol. 2B, MOV and POP; vol. 2A, LDS/LES/LFS/LGS/LSS; vol. 3A, 6.5 to 6.7). */
import { describe, expect, it } from 'vitest';
import { outcome, type Row, runRow } from '../testing/outcome.ts';
import { type Mode, type Setup, SystemGuest } from '../testing/system-guest.ts';
import {
  BIG, CODE_READ, CODE64_0, CONFORMING, DATA, DATA_OF, DPL, EXECUTE_ONLY, LDT, LDT_SELECTOR, OWN, PAGES, READ_ONLY, READ_WRITE, segment, STACK, system, TSS,
} from '../testing/system-tables.ts';

const guest = new SystemGuest();
const POINTER = 0x1122_3344;

/** How a selector comes to the instruction: in EAX, on the stack, behind an offset at EBX. */
type Source = 'ax' | 'stack' | 'pointer';
const LOADS: readonly (readonly [name: string, seg: string, code: string, source: Source, in64: boolean])[] = [
  ['mov ds, eax', 'ds', '8e d8', 'ax', true],
  ['mov es, eax', 'es', '8e c0', 'ax', true],
  ['mov gs, eax', 'gs', '8e e8', 'ax', true],
  ['pop ds', 'ds', '1f', 'stack', false],
  ['pop es', 'es', '07', 'stack', false],
  ['pop fs', 'fs', '0f a1', 'stack', true],
  ['lds ecx, [ebx]', 'ds', 'c5 0b', 'pointer', false],
  ['les ecx, [ebx]', 'es', 'c4 0b', 'pointer', false],
  ['lfs ecx, [ebx]', 'fs', '0f b4 0b', 'pointer', true],
  ['lgs ecx, [ebx]', 'gs', '0f b5 0b', 'pointer', true],
];
const STACK_LOADS: typeof LOADS = [
  ['mov ss, eax', 'ss', '8e d0', 'ax', true],
  ['pop ss', 'ss', '17', 'stack', false],
  ['lss ecx, [ebx]', 'ss', '0f b2 0b', 'pointer', true],
];

type Case = readonly [what: string, cpl: number, selector: number, setup: Setup, expected: string];
const own = (descriptor: bigint): Setup => ({ gdt: { [OWN]: descriptor } });
const notPresent = (descriptor: bigint): bigint => descriptor & ~(1n << 47n);
const data = (level: number): bigint => segment((READ_WRITE & ~1) | DPL(level), 0x1234_5000, 0x777);

const DATA_CASES: readonly Case[] = [
  ['writable data', 3, OWN | 3, own(data(3)), 'ok SEG=103 SEG.base=12345000 SEG.limit=777 SEG.attr=f3 access[100]=f3'],
  ['read-only data', 0, OWN, own(segment(READ_ONLY & ~1)), 'ok SEG=100 SEG.base=0 SEG.limit=ffffffff SEG.attr=c091 access[100]=91'],
  ['readable code', 0, OWN, own(segment(CODE_READ & ~1)), 'ok SEG=100 SEG.attr=c09b access[100]=9b'],
  ['data of an outer level', 0, OWN, own(data(3)), 'ok SEG=100 SEG.attr=f3'],
  ['data of the RPL', 1, OWN | 2, own(data(2)), 'ok SEG=102'],
  ['data of an inner level than CPL', 3, OWN, own(data(2)), '#GP(100) access[100]=d2'],
  ['data of an inner level than RPL', 0, OWN | 3, own(data(2)), '#GP(100) access[100]=d2'],
  ['code of an inner level', 3, OWN | 3, own(segment(CODE_READ | DPL(2))), '#GP(100)'],
  ['conforming code of an inner level', 3, OWN | 3, own(segment(CONFORMING)), 'ok SEG=103 SEG.attr=c09f'],
  ['conforming code with an outer RPL', 0, OWN | 3, own(segment(CONFORMING)), 'ok SEG=103'],
  ['execute-only code', 0, OWN, own(segment(EXECUTE_ONLY)), '#GP(100)'],
  ['conforming execute-only code', 0, OWN, own(segment(CONFORMING & ~2)), '#GP(100)'],
  ['an LDT', 0, LDT_SELECTOR, {}, '#GP(80)'],
  ['a TSS', 0, OWN, own(system(9, TSS, 0x67)), '#GP(100)'],
  ['a descriptor of zeros', 0, OWN, {}, '#GP(100)'],
  ['a segment that is not present', 0, OWN, own(notPresent(data(0))), '#NP(100) access[100]=12'],
  ['rights before presence', 3, OWN | 3, own(notPresent(data(0))), '#GP(100)'],
  ['the last bytes within the GDT', 0, OWN, { ...own(data(0)), gdtLimit: OWN + 7 }, 'ok SEG=100'],
  ['the last byte beyond the GDT', 0, OWN, { ...own(data(0)), gdtLimit: OWN + 6 }, '#GP(100)'],
  ['far beyond the GDT', 3, 0xfffb, {}, '#GP(fff8)'],
  ['a selector of the LDT', 3, OWN | 7, { ldt: { [OWN]: data(3) } }, 'ok SEG=107 SEG.base=12345000'],
  ['a selector beyond the LDT', 0, 0x1004, {}, '#GP(1004)'],
  ['a selector of no LDT', 0, OWN | 4, { segments: { ldtr: [0n, 0] } }, '#GP(104)'],
  ['the first entry of the LDT is not null', 0, 4, { qwords: { [LDT]: data(0) } }, 'ok SEG=4 SEG.base=12345000'],
  ['null', 0, 0, {}, 'ok SEG=0 SEG.attr=10000'],
  ['null with an RPL', 3, 2, {}, 'ok SEG=2 SEG.attr=10000'],
];

const STACK_CASES: readonly Case[] = [
  ['data of the level', 3, OWN | 3, own(data(3)), 'ok SEG=103 SEG.base=12345000 SEG.attr=f3 access[100]=f3'],
  ['a big stack', 0, OWN, own(segment(READ_WRITE & ~1, 0x1000, 0xfff) | (1n << 54n)), `ok SEG=100 SEG.attr=${(BIG | READ_WRITE).toString(16)} access[100]=93`],
  ['another RPL', 0, OWN | 1, own(data(0)), '#GP(100)'],
  ['another DPL', 0, OWN, own(data(1)), '#GP(100)'],
  ['RPL and DPL alike, but not CPL', 0, OWN | 3, own(data(3)), '#GP(100)'],
  ['read-only data', 0, OWN, own(segment(READ_ONLY)), '#GP(100)'],
  ['code', 0, OWN, own(segment(CODE_READ)), '#GP(100)'],
  ['not present', 0, OWN, own(notPresent(data(0))), '#SS(100) access[100]=12'],
  ['rights before presence', 0, OWN | 1, own(notPresent(data(0))), '#GP(100)'],
  ['beyond the GDT', 0, 0x1000, {}, '#GP(1000)'],
  ['a selector of the LDT', 3, OWN | 7, { ldt: { [OWN]: data(3) } }, 'ok SEG=107 SEG.base=12345000'],
  ['a selector of no LDT', 0, OWN | 4, { segments: { ldtr: [0n, 0] } }, '#GP(104)'],
];
const NULL_STACK: readonly (readonly [mode: Mode, cpl: number, selector: number, expected: string])[] = [
  ['protected32', 0, 0, '#GP(0)'],
  ['protected32', 3, 3, '#GP(0)'],
  ['compatibility', 0, 0, '#GP(0)'],
  ['long', 0, 0, 'ok SEG=0 SEG.attr=10000 cpl=0'],
  ['long', 0, 1, '#GP(0)'],
  ['long', 3, 3, '#GP(0)'],
];

/** The state in which the instruction finds the selector. */
function withSelector(setup: Setup, source: Source, selector: number): Setup {
  return {
    ...setup,
    regs: { rax: source === 'ax' ? selector : 0x55, rbx: DATA, rcx: 0xaaaa_bbbb },
    dwords: { [source === 'stack' ? STACK : DATA]: source === 'stack' ? selector : POINTER },
    words: source === 'pointer' ? { [DATA + 4]: selector } : {},
  };
}

/** Runs the load, and adds to the outcome what must hold besides: a fault changes nothing. */
function load([, seg, code, source]: (typeof LOADS)[number], setup: Setup, selector: number, expected: string): void {
  const popped = source === 'stack' ? (setup.mode === 'long' ? 8 : 4) : 0;
  const ok = expected.startsWith('ok');
  const rip = ok ? 0x3_0000 + code.split(' ').length : 0x3_0000;
  const rest = ` rip=${rip.toString(16)} rcx=${ok && source === 'pointer' ? '11223344' : 'aaaabbbb'}` +
    (seg === 'ss' && !ok ? ' ss=SS' : '') + (ok && seg !== 'ss' || !ok ? ` rsp=${(STACK + (ok ? popped : 0)).toString(16)}` : '');
  guest.reset(withSelector(setup, source, selector));
  const full = (expected + rest).replaceAll('SEG', seg).replace('ss=SS', outcome(guest, 'ss=old'));
  guest.run(code);
  expect(outcome(guest, full)).toBe(full);
}

describe.each(['protected32', 'compatibility', 'long'] as const)('%s mode', (mode) => {
  const valid = (loads: typeof LOADS): typeof LOADS => loads.filter(([, , , , in64]) => in64 || mode !== 'long');
  for (const row of valid(LOADS)) {
    it.each(DATA_CASES)(`${row[0]}: %s`, (_what, cpl, selector, setup, expected) => load(row, { ...setup, mode, cpl }, selector, expected));
  }
  for (const row of valid(STACK_LOADS)) {
    it.each(STACK_CASES)(`${row[0]}: %s`, (_what, cpl, selector, setup, expected) => load(row, { ...setup, mode, cpl }, selector, expected));
    it.each(NULL_STACK.filter(([at]) => at === mode))(`${row[0]}: null, %s level %i, %i`, (_mode, cpl, selector, expected) => load(row, { mode, cpl }, selector, expected));
  }
});

const ROWS: readonly Row[] = [
  ['MOV SS blocks interrupts for one instruction (vol. 3A, 7.8.3)', { regs: { rax: DATA_OF(0) } }, '8e d0', 'ok blocking=2'],
  ['POP SS does as well', { dwords: { [STACK]: DATA_OF(0) } }, '17', 'ok blocking=2'],
  ['LSS does not', { regs: { rbx: DATA }, words: { [DATA + 4]: DATA_OF(0) } }, '0f b2 0b', 'ok blocking=0'],
  ['MOV CS is undefined', {}, '8e c8', '#UD'],
  ['there is no segment register 6', {}, '8e f0', '#UD'],
  ['LDS of a register is undefined', {}, 'c5 c0', '#UD'],
  ['PUSH DS is undefined in 64-bit mode', { mode: 'long' }, '1e', '#UD'],
  ['POP SS is undefined in 64-bit mode', { mode: 'long' }, '17', '#UD'],
  ['LSS takes a 64-bit offset with REX.W', { mode: 'long', regs: { rbx: DATA }, qwords: { [DATA]: 0x1234_5678_9abc_def0n }, words: { [DATA + 8]: DATA_OF(0) } }, '48 0f b2 0b', 'ok ss=10 rcx=123456789abcdef0'],
  ['MOV from a memory word', { regs: { rbx: DATA }, words: { [DATA]: DATA_OF(3) } }, '8e 1b', 'ok ds=43'],
  ['a store to memory has 16 bits', { regs: { rbx: DATA }, dwords: { [DATA]: 0xffff_ffff } }, '8c 1b', `ok d[${DATA.toString(16)}]=ffff0010`],
  ['a store to a register clears its upper half', { regs: { rbx: -1n } }, '8c db', 'ok rbx=10'],
  ['a 16-bit one does not', { regs: { rbx: -1n } }, '66 8c db', 'ok rbx=ffffffffffff0010'],
  ['PUSH writes two bytes of a doubleword', { dwords: { [STACK - 4]: 0xffff_ffff } }, '1e', 'ok stack32=ffff0010'],
  ['PUSH of 64 bits is zero-extended', { mode: 'long', qwords: { [STACK - 8]: -1n } }, '0f a0', 'ok stack64=10'],
  ['real mode: base alone', { mode: 'real', regs: { rax: 0xf123 } }, '8e d8', 'ok ds=f123 ds.base=f1230 ds.limit=ffff ds.attr=93'],
  ['real mode: a limit of protected mode stays', { mode: 'real', regs: { rax: 1 }, segments: { ds: [segment(READ_WRITE), 0x10] } }, '8e d8', 'ok ds.base=10 ds.limit=ffffffff'],
  ['virtual-8086 mode fixes limit and rights', { mode: 'v86', regs: { rax: 3 } }, '8e d8', 'ok ds=3 ds.base=30 ds.limit=ffff ds.attr=f3'],
  ['virtual-8086 mode: SS too, and zero is no null', { mode: 'v86', regs: { rax: 0 } }, '8e d0', 'ok ss=0 ss.base=0 ss.attr=f3 blocking=2'],
  ['real mode: LDS', { mode: 'real', regs: { rbx: 0x10 }, words: { [DATA + 0x10]: 0x1234, [DATA + 0x12]: 0x4321 } }, 'c5 07', 'ok rax=1234 ds=4321 ds.base=43210'],
  ['real mode: LSS takes any selector', { mode: 'real', regs: { rbx: 0x10 }, words: { [DATA + 0x12]: 3 } }, '0f b2 27', 'ok ss=3 ss.base=30 rsp=0 blocking=0'],
  ['real mode: a far pointer around 64 KiB', { mode: 'real', regs: { rbx: 0xfffe } }, 'c4 07', '#GP'],
  ['virtual-8086 mode: LES', { mode: 'v86', regs: { rbx: 0x10 }, words: { [DATA + 0x12]: 3 } }, 'c4 07', 'ok es=3 es.base=30 es.attr=f3'],
  ['virtual-8086 mode: POP FS', { mode: 'v86', words: { [STACK]: 0xffff } }, '0f a1', 'ok fs=ffff fs.base=ffff0 fs.attr=f3 rsp=f002'],
  ['LFS in 16 bits', { mode: 'protected16', regs: { rbx: DATA }, words: { [DATA]: 0x1234, [DATA + 2]: DATA_OF(0) } }, '67 0f b4 03', 'ok fs=10 rax=1234'],
  ['a null segment has no bytes', { segments: { ds: [0n, 0] } }, '8a 03', '#GP(0)'],
  ['a null ES in a string store', { segments: { es: [0n, 0] } }, 'aa', '#GP(0)'],
  ['64-bit mode does not look at DS', { mode: 'long', segments: { ds: [0n, 0] }, regs: { rbx: DATA } }, '8a 03', 'ok'],
  ['64-bit mode: a null FS has base 0', { mode: 'long', segments: { fs: [segment(READ_WRITE, 0x1000), 0x10] }, regs: { rax: 0 } }, '8e e0', 'ok fs=0 fs.base=0'],
  ['64-bit mode: CS64 is no data, but readable code', { mode: 'long', regs: { rax: CODE64_0 } }, '8e d8', `ok ds=48 ds.attr=${(PAGES | 0x2000 | CODE_READ).toString(16)}`],
];

describe('around segment loads', () => {
  it.each(ROWS)('%s', (...row) => expect(runRow(guest, row)).toBe(row[3]));
});
