/** LLDT LTR SLDT STR LGDT LIDT SGDT SIDT, LAR LSL VERR VERW ARPL (SDM vol. 2A to 2C, by name; vol. 3A, 2.4 and 6.10). */
import { describe, expect, it } from 'vitest';
import { gate } from '../testing/microcode-bench.ts';
import { outcome, type Row, runRow } from '../testing/outcome.ts';
import { type Setup, SystemGuest } from '../testing/system-guest.ts';
import {
  CODE_READ, CONFORMING, DATA, DPL, EXECUTE_ONLY, EXPAND_DOWN, GDT, LDT, OWN, PAGES, READ_ONLY, READ_WRITE, segment, system, TSS_SELECTOR,
} from '../testing/system-tables.ts';

const guest = new SystemGuest();
const NON_CANONICAL = 1n << 47n;
const UMIP = 0x800;
const notPresent = (descriptor: bigint): bigint => descriptor & ~(1n << 47n);
/** EAX names the descriptor at OWN. */
const own = (descriptor: bigint, more: Setup = {}): Setup => ({ regs: { rax: OWN }, ...more, gdt: { [OWN]: descriptor, ...more.gdt } });
const ax = (selector: number, more: Setup = {}): Setup => ({ ...more, regs: { rax: selector } });
const LLDT = '0f 00 d0';
const LTR = '0f 00 d8';
const long = { mode: 'long' } as const;

const LOADS: readonly Row[] = [
  ['LLDT', own(system(2, 0x1_2345, 0x77)), LLDT, 'ok ldtr=100 ldtr.base=12345 ldtr.limit=77 ldtr.attr=82'],
  ['LLDT from memory', { ...own(system(2, 0x1_2345, 0x77)), regs: { rbx: DATA }, words: { [DATA]: OWN } }, '0f 00 13', 'ok ldtr=100'],
  ['LLDT null', ax(3), LLDT, 'ok ldtr=3 ldtr.attr=10000'],
  ['LLDT of a selector of the LDT', ax(OWN | 4), LLDT, '#GP(104)'],
  ['LLDT beyond the GDT', ax(0x1000), LLDT, '#GP(1000)'],
  ['LLDT of data', ax(0x10), LLDT, '#GP(10)'],
  ['LLDT of a TSS', own(system(9, 0, 0x67)), LLDT, '#GP(100)'],
  ['LLDT not present', own(notPresent(system(2, 0, 0x77))), LLDT, '#NP(100) ldtr=80'],
  ['LLDT at level 1', ax(0, { cpl: 1 }), LLDT, '#GP(0)'],
  ['LLDT in real mode', ax(0, { mode: 'real' }), LLDT, '#UD'],
  ['LLDT in virtual-8086 mode', ax(0, { mode: 'v86' }), LLDT, '#UD'],
  ['LLDT of sixteen bytes', own(system(2, 0x1_2345, 0x77), { ...long, gdt: { [OWN + 8]: 0xffff_8000n } }), LLDT, 'ok ldtr.base=ffff800000012345'],
  ['LLDT in compatibility mode as well', own(system(2, 0x1_2345, 0x77), { mode: 'compatibility', gdt: { [OWN + 8]: 0xffff_8000n } }), LLDT, 'ok ldtr.base=ffff800000012345'],
  ['LLDT: the upper half beyond the GDT', own(system(2, 0, 0x77), { ...long, gdtLimit: OWN + 14 }), LLDT, '#GP(100)'],
  ['LLDT: a type in the upper half', own(system(2, 0, 0x77), { ...long, gdt: { [OWN + 8]: 0x100_0000_0000n } }), LLDT, '#GP(100)'],
  ['LLDT: a base that is not canonical', own(system(2, 0, 0x77), { ...long, gdt: { [OWN + 8]: 0x8000n } }), LLDT, '#GP(100)'],
  ['LTR', own(system(9, 0x1_2345, 0x77)), LTR, 'ok tr=100 tr.base=12345 tr.limit=77 tr.attr=8b access[100]=8b'],
  ['LTR 16-bit', own(system(1, 0x1_2345, 0x77)), LTR, 'ok tr.attr=83 access[100]=83'],
  ['LTR busy', own(system(11, 0, 0x67)), LTR, '#GP(100)'],
  ['LTR busy 16-bit', own(system(3, 0, 0x67)), LTR, '#GP(100)'],
  ['LTR null', ax(0), LTR, '#GP(0)'],
  ['LTR of a selector of the LDT', ax(OWN | 4), LTR, '#GP(104)'],
  ['LTR beyond the GDT', ax(0x1000), LTR, '#GP(1000)'],
  ['LTR of an LDT', own(system(2, 0, 0x67)), LTR, '#GP(100)'],
  ['LTR not present', own(notPresent(system(9, 0, 0x67))), LTR, '#NP(100) access[100]=9 tr=70'],
  ['LTR at level 3', ax(OWN, { cpl: 3 }), LTR, '#GP(0)'],
  ['LTR in real mode', ax(0, { mode: 'real' }), LTR, '#UD'],
  ['LTR of sixteen bytes', own(system(9, 0x1_2345, 0x77), { ...long, gdt: { [OWN + 8]: 0xffff_8000n } }), LTR, 'ok tr.base=ffff800000012345 access[100]=8b'],
  ['LTR 16-bit in long mode', own(system(1, 0, 0x67), long), LTR, '#GP(100)'],
  ['LTR: a base that is not canonical', own(system(9, 0, 0x67), { ...long, gdt: { [OWN + 8]: 0x8000n } }), LTR, '#GP(100) access[100]=89'],
  ['LTR: the upper half beyond the GDT', own(system(9, 0, 0x67), { ...long, gdtLimit: OWN + 14 }), LTR, '#GP(100)'],
];

const STORES: readonly Row[] = [
  ['SLDT r32', { regs: { rbx: -1n } }, '0f 00 c3', 'ok rbx=80'],
  ['SLDT r16', { regs: { rbx: -1n } }, '66 0f 00 c3', 'ok rbx=ffffffffffff0080'],
  ['SLDT r64', { ...long, regs: { rbx: -1n } }, '48 0f 00 c3', 'ok rbx=80'],
  ['SLDT m16', { regs: { rbx: DATA }, dwords: { [DATA]: 0xffff_ffff } }, '0f 00 03', 'ok d[40000]=ffff0080'],
  ['STR r32', { regs: { rbx: -1n } }, '0f 00 cb', 'ok rbx=70'],
  ['STR m16', { cpl: 3, regs: { rbx: DATA }, dwords: { [DATA]: 0xffff_ffff } }, '0f 00 0b', 'ok d[40000]=ffff0070'],
  ['SLDT in real mode', { mode: 'real' }, '0f 00 c3', '#UD'],
  ['STR in virtual-8086 mode', { mode: 'v86' }, '0f 00 cb', '#UD'],
  ['SLDT under UMIP', { cpl: 3, cr4: UMIP }, '0f 00 c3', '#GP(0)'],
  ['STR under UMIP at level 0', { cr4: UMIP }, '0f 00 cb', 'ok rbx=70'],
  ['SGDT under UMIP', { cpl: 1, cr4: UMIP, regs: { rbx: DATA } }, '0f 01 03', '#GP(0)'],
  ['SGDT', { cpl: 3, regs: { rbx: DATA } }, '0f 01 03', 'ok w[40000]=fff d[40002]=21000 w[40006]=0'],
  ['SGDT of 16 bits stores all of the base', { mode: 'protected16', regs: { rbx: 0x100 } }, '66 0f 01 07', 'ok'],
  ['SIDT', { regs: { rbx: DATA } }, '0f 01 0b', 'ok w[40000]=fff d[40002]=20000'],
  ['SGDT in 64-bit mode', { ...long, regs: { rbx: DATA } }, '0f 01 03', 'ok w[40000]=fff q[40002]=21000'],
  ['SGDT in real mode', { mode: 'real', regs: { rbx: 0x10 } }, '0f 01 07', 'ok w[40010]=fff d[40012]=21000'],
  ['SGDT in virtual-8086 mode', { mode: 'v86', regs: { rbx: 0x10 } }, '0f 01 07', 'ok w[40010]=fff'],
  ['SGDT beyond a limit', { regs: { rbx: 0xffa }, segments: { ds: [segment(READ_WRITE, DATA, 0xffe), 0x10] }, words: { [DATA + 0xffa]: 0x5555 } }, '0f 01 03', '#GP(0) w[40ffa]=5555'],
  ['LGDT', { regs: { rbx: DATA }, words: { [DATA]: 0x1234 }, dwords: { [DATA + 2]: 0x8765_4321 } }, '0f 01 13', 'ok gdtr.limit=1234 gdtr.base=87654321'],
  ['LGDT of 16 bits takes 24 bits of the base', { regs: { rbx: DATA }, words: { [DATA]: 0x1234 }, dwords: { [DATA + 2]: 0x8765_4321 } }, '66 0f 01 13', 'ok gdtr.base=654321'],
  ['LIDT', { regs: { rbx: DATA }, words: { [DATA]: 0x1234 }, dwords: { [DATA + 2]: 0x8765_4321 } }, '0f 01 1b', 'ok idtr.limit=1234 idtr.base=87654321'],
  ['LIDT in real mode', { mode: 'real', regs: { rbx: 0 }, words: { [DATA]: 0x1234 }, dwords: { [DATA + 2]: 0x8765_4321 } }, '0f 01 1f', 'ok idtr.base=654321'],
  ['LIDT in real mode of 32 bits', { mode: 'real', regs: { rbx: 0 }, words: { [DATA]: 0x1234 }, dwords: { [DATA + 2]: 0x8765_4321 } }, '66 0f 01 1f', 'ok idtr.base=87654321'],
  ['LGDT in 64-bit mode', { ...long, regs: { rbx: DATA }, words: { [DATA]: 0x1234 }, qwords: { [DATA + 2]: 0xffff_8000_1234_5678n } }, '66 0f 01 13', 'ok gdtr.base=ffff800012345678'],
  ['LIDT of a base that is not canonical', { ...long, regs: { rbx: DATA }, qwords: { [DATA + 2]: NON_CANONICAL } }, '0f 01 1b', '#GP(0) idtr.base=20000'],
  ['LGDT at level 3', { cpl: 3, regs: { rbx: DATA } }, '0f 01 13', '#GP(0)'],
  ['LGDT in virtual-8086 mode', { mode: 'v86', regs: { rbx: 0 } }, '0f 01 17', '#GP(0)'],
  ['LGDT of a register', {}, '0f 01 d3', '#UD'],
  ['SIDT of a register', {}, '0f 01 cc', '#UD'],
];

// ---- LAR and LSL: ZF says whether the descriptor may be seen (SDM vol. 2A, tables 3-53 and 3-56)
const LAR = '0f 02 c8';
const LSL = '0f 03 c8';
const ZF = 0x40;
const seen = (value: string): string => `ok rcx=${value} flags=42`;
const unseen = 'ok rcx=77 flags=2';
const look = (setup: Setup, selector = OWN): Setup => ({ ...setup, flags: setup.flags ?? 0, regs: { rax: selector, rcx: 0x77 } });

/** Types of system descriptors, with what LAR and LSL see outside and in long mode. */
const SYSTEM_TYPES: readonly (readonly [type: number, lar: boolean, lsl: boolean, larLong: boolean, lslLong: boolean])[] = [
  [0, false, false, false, false], [1, true, true, false, false], [2, true, true, true, true], [3, true, true, false, false],
  [4, true, false, false, false], [5, true, false, false, false], [6, false, false, false, false], [7, false, false, false, false],
  [8, false, false, false, false], [9, true, true, true, true], [10, false, false, false, false], [11, true, true, true, true],
  [12, true, false, true, false], [13, false, false, false, false], [14, false, false, false, false], [15, false, false, false, false],
];

const LOOKS: readonly Row[] = [
  ['LAR of data', look(own(segment(READ_WRITE | DPL(3)))), LAR, seen('c0f300')],
  ['LAR of what is not present', look(own(notPresent(segment(READ_WRITE | DPL(3))))), LAR, seen('c07300')],
  ['LAR of 16 bits', { ...look(own(segment(READ_WRITE))), regs: { rax: OWN, rcx: -1n } }, '66 0f 02 c8', 'ok rcx=ffffffffffff9300'],
  ['LAR of 64 bits', { ...look(own(segment(READ_WRITE), long)), ...long }, '48 0f 02 c8', seen('c09300')],
  ['LAR at an outer level than DPL', look(own(segment(READ_WRITE | DPL(2)), { cpl: 3 })), LAR, unseen],
  ['LAR with an outer RPL than DPL', look(own(segment(READ_WRITE | DPL(2))), OWN | 3), LAR, unseen],
  ['LAR of conforming code', look(own(segment(CONFORMING), { cpl: 3 }), OWN | 3), LAR, seen('c09f00')],
  ['LAR of a gate below CPL', look(own(gate(8, 0n, 12, 2), { cpl: 3 })), LAR, unseen],
  ['LAR null', look({}, 3), LAR, unseen],
  ['LAR beyond the GDT', look({}, 0x1000), LAR, unseen],
  ['LAR of the LDT', look({ ldt: { [OWN]: segment(READ_WRITE) } }, OWN | 4), LAR, seen('c09300')],
  ['LAR clears ZF', { ...look({}, 3), flags: ZF }, LAR, unseen],
  ['LAR leaves other flags', { ...look({}, 3), flags: 0x8d5 }, LAR, 'ok flags=897'],
  ['LAR does not look at the accessed bit, nor set it', look(own(segment(READ_ONLY & ~1))), LAR, 'ok rcx=c09000 access[100]=90'],
  ['LSL in bytes', look(own(segment(READ_WRITE, 0, 0x1_2345))), LSL, seen('12345')],
  ['LSL in pages', look(own(segment(READ_WRITE | PAGES, 0, 0x1_2345))), LSL, seen('12345fff')],
  ['LSL of 16 bits', { ...look(own(segment(READ_WRITE | PAGES, 0, 0x1_2345))), regs: { rax: OWN, rcx: -1n } }, '66 0f 03 c8', 'ok rcx=ffffffffffff5fff'],
  ['LSL of a TSS', look({}, TSS_SELECTOR), LSL, seen('67')],
  ['LSL at an outer level', look({ cpl: 3 }, TSS_SELECTOR), LSL, unseen],
  ['LSL of conforming code', look(own(segment(CONFORMING, 0, 5), { cpl: 3 })), LSL, seen('5')],
  ['LAR in real mode', { mode: 'real' }, LAR, '#UD'],
  ['LSL in virtual-8086 mode', { mode: 'v86' }, LSL, '#UD'],
];

describe('descriptor-table and task registers', () => {
  it.each(LOADS)('%s', (...row) => expect(runRow(guest, row)).toBe(row[3]));
  it.each(STORES)('%s', (...row) => expect(runRow(guest, row)).toBe(row[3]));

  it('SGDT of 16 bits stores 32 bits of the base', () => {
    guest.reset({ mode: 'protected16', regs: { rbx: DATA } });
    guest.set(0x200, 0x8765_4321n);
    guest.run('67 0f 01 03');
    expect(outcome(guest, 'ok d[40002]=87654321')).toBe('ok d[40002]=87654321');
  });
});

describe('LAR and LSL', () => {
  it.each(LOOKS)('%s', (...row) => expect(runRow(guest, row)).toBe(row[3]));

  it.each(SYSTEM_TYPES)('system type %i', (type, lar, lsl, larLong, lslLong) => {
    const descriptor = system(type, GDT, 0x67);
    const access = `${(0x80 | type).toString(16)}00`;
    for (const [mode, code, visible, value] of [['protected32', LAR, lar, access], ['protected32', LSL, lsl, '67'], ['compatibility', LAR, larLong, access], ['long', LSL, lslLong, '67']] as const) {
      const expected = visible ? seen(value) : unseen;
      expect([mode, code, runRow(guest, ['', look({ ...own(descriptor), mode }), code, expected])]).toEqual([mode, code, expected]);
    }
  });
});

// ---- VERR and VERW
const VERIFIED: readonly (readonly [what: string, cpl: number, selector: number, setup: Setup, read: boolean, write: boolean])[] = [
  ['writable data', 3, OWN | 3, own(segment(READ_WRITE | DPL(3))), true, true],
  ['read-only data', 0, OWN, own(segment(READ_ONLY)), true, false],
  ['expand-down data', 0, OWN, own(segment(EXPAND_DOWN)), true, true],
  ['readable code', 0, OWN, own(segment(CODE_READ)), true, false],
  ['execute-only code', 0, OWN, own(segment(EXECUTE_ONLY)), false, false],
  ['conforming code of an inner level', 3, OWN | 3, own(segment(CONFORMING)), true, false],
  ['conforming execute-only code', 0, OWN, own(segment(CONFORMING & ~2)), false, false],
  ['data of an inner level', 3, OWN, own(segment(READ_WRITE | DPL(2))), false, false],
  ['data with an outer RPL', 0, OWN | 1, own(segment(READ_WRITE)), false, false],
  ['what is not present', 0, OWN, own(notPresent(segment(READ_WRITE))), true, true],
  ['a system segment', 0, OWN, own(system(2, LDT, 0)), false, false],
  ['null', 0, 1, {}, false, false],
  ['beyond the GDT', 0, 0x1000, {}, false, false],
];

describe('VERR, VERW and ARPL', () => {
  it.each(VERIFIED)('%s', (_what, cpl, selector, setup, read, write) => {
    for (const [code, good] of [['0f 00 e0', read], ['0f 00 e8', write]] as const) {
      guest.reset({ ...setup, cpl, flags: good ? 0 : ZF, regs: { rax: selector } });
      guest.run(code);
      expect([code, outcome(guest, 'ok flags=?')]).toEqual([code, `ok flags=${good ? '42' : '2'}`]);
    }
  });

  it.each<Row>([
    ['ARPL raises RPL', { cpl: 3, regs: { rax: 0x8, rbx: 3 } }, '63 d8', 'ok rax=b flags=42'],
    ['ARPL keeps a greater one', { flags: ZF, regs: { rax: 0xb, rbx: 2 } }, '63 d8', 'ok rax=b flags=2'],
    ['ARPL keeps an equal one', { flags: ZF, regs: { rax: 0xa, rbx: 2 } }, '63 d8', 'ok rax=a flags=2'],
    ['ARPL leaves the upper half', { regs: { rax: 0x1234_0000, rbx: 1 } }, '63 d8', 'ok rax=12340001'],
    ['ARPL in memory', { regs: { rax: DATA, rbx: 1 }, dwords: { [DATA]: 0x5555_0010 } }, '63 18', 'ok d[40000]=55550011'],
    ['ARPL in real mode', { mode: 'real' }, '63 d8', '#UD'],
    ['ARPL in virtual-8086 mode', { mode: 'v86' }, '63 d8', '#UD'],
    ['63 is MOVSXD in 64-bit mode', { ...long, regs: { rbx: 3, rax: 8 } }, '63 c3', 'ok rax=3'],
    ['VERR in real mode', { mode: 'real' }, '0f 00 e0', '#UD'],
    ['VERW in virtual-8086 mode', { mode: 'v86' }, '0f 00 e8', '#UD'],
  ])('%s', (...row) => expect(runRow(guest, row)).toBe(row[3]));
});

