/** Far JMP, CALL and RET without a gate (SDM vol. 2A, JMP and CALL; vol. 2B, RET; vol. 3A, 6.8.1). */
import { describe, expect, it } from 'vitest';
import { outcome, type Row, runRow } from '../testing/outcome.ts';
import { type Mode, type Setup, SystemGuest } from '../testing/system-guest.ts';
import {
  BIG, CODE, CODE_OF, CODE_READ, CODE64_0, CODE64_3, code64, CODE16_0, CONFORMING, DATA, DATA_OF, DPL, LONG, OWN, READ_ONLY, READ_WRITE, segment, STACK, STACK_BASE,
} from '../testing/system-tables.ts';

const guest = new SystemGuest();
const TARGET = 0x1234;
const NON_CANONICAL = 1n << 47n;
const own = (descriptor: bigint): Setup => ({ gdt: { [OWN]: descriptor } });
const notPresent = (descriptor: bigint): bigint => descriptor & ~(1n << 47n);
const both = code64() | (1n << 54n);

// ---- what JMP and CALL check of the code segment: all but the last two rows, in legacy and long mode alike
type Case = readonly [what: string, cpl: number, selector: number, setup: Setup, expected: string];
const CODE_CASES: readonly Case[] = [
  ['code of the level', 0, OWN, own(segment(CODE_READ & ~1)), 'ok cs=100 cs.attr=c09b access[100]=9b cpl=0'],
  ['code of an outer level', 3, OWN | 3, own(segment(CODE_READ | DPL(3))), 'ok cs=103 cpl=3'],
  ['an inner RPL becomes the CPL', 3, OWN, own(segment(CODE_READ | DPL(3))), 'ok cs=103 cpl=3'],
  ['an outer RPL', 0, OWN | 1, own(segment(CODE_READ)), '#GP(100)'],
  ['an inner level', 3, OWN | 3, own(segment(CODE_READ)), '#GP(100)'],
  ['an outer level', 0, OWN, own(segment(CODE_READ | DPL(3))), '#GP(100)'],
  ['conforming code of an inner level keeps CPL', 3, OWN, own(segment(CONFORMING | DPL(1))), 'ok cs=103 cpl=3 cs.attr=c0bf'],
  ['conforming code does not look at RPL', 0, OWN | 3, own(segment(CONFORMING)), 'ok cs=100 cpl=0'],
  ['conforming code of an outer level', 0, OWN, own(segment(CONFORMING | DPL(1))), '#GP(100)'],
  ['data', 0, OWN, own(segment(READ_WRITE)), '#GP(100)'],
  ['null', 0, 3, {}, '#GP(0)'],
  ['a descriptor of zeros', 0, OWN, {}, '#GP(100)'],
  ['beyond the GDT', 0, 0x1000, {}, '#GP(1000)'],
  ['a selector of the LDT', 3, OWN | 7, { ldt: { [OWN]: segment(CODE_READ | DPL(3)) } }, 'ok cs=107'],
  ['not present', 0, OWN, own(notPresent(segment(CODE_READ))), '#NP(100)'],
  ['rights before presence', 3, OWN | 3, own(notPresent(segment(CODE_READ))), '#GP(100)'],
  ['an offset beyond the limit', 0, OWN, own(segment(CODE_READ, 0, TARGET - 1)), '#GP(0)'],
  ['an offset at the limit', 0, OWN, own(segment(CODE_READ, 0, TARGET)), 'ok cs=100'],
];

/** An instruction that goes to `selector`:TARGET, by an immediate in legacy code or through memory at RBX. */
function transfer(name: 'jmp' | 'call', mode: Mode, setup: Setup, cpl: number, selector: number): [Setup, string] {
  const through = mode === 'long';
  const state: Setup = { ...setup, mode, cpl, regs: { rbx: DATA }, dwords: { [DATA]: TARGET }, words: { [DATA + 4]: selector } };
  if (through) return [state, name === 'jmp' ? 'ff 2b' : 'ff 1b'];
  const hex = (value: number): string => (value & 0xff).toString(16).padStart(2, '0');
  return [state, `${name === 'jmp' ? 'ea' : '9a'} ${hex(TARGET)} ${hex(TARGET >> 8)} 00 00 ${hex(selector)} ${hex(selector >> 8)}`];
}

describe.each(['protected32', 'compatibility', 'long'] as const)('from %s mode', (mode) => {
  it.each(CODE_CASES)('JMP: %s', (what, cpl, selector, setup, expected) => {
    const [state, code] = transfer('jmp', mode, setup, cpl, selector);
    const rest = ` rip=${(expected.startsWith('ok') ? TARGET : CODE).toString(16)} rsp=${STACK.toString(16)}`;
    expect(runRow(guest, [what, state, code, expected + rest])).toBe(expected + rest);
  });

  it.each(CODE_CASES)('CALL: %s', (what, cpl, selector, setup, expected) => {
    const [state, code] = transfer('call', mode, setup, cpl, selector);
    const next = CODE + code.split(' ').length;
    const from = mode !== 'long' ? CODE_OF(cpl) : cpl === 0 ? CODE64_0 : CODE64_3;
    const rest = expected.startsWith('ok')
      ? ` rip=${TARGET.toString(16)} rsp=${(STACK - 8).toString(16)} stack32=${next.toString(16)},${from.toString(16)}`
      : ` rip=${CODE.toString(16)} rsp=${STACK.toString(16)}`;
    expect(runRow(guest, [what, state, code, expected + rest])).toBe(expected + rest);
  });
});

const TRANSFERS: readonly Row[] = [
  ['compatibility to 64-bit mode', { mode: 'compatibility' }, 'ea 00 00 04 00 48 00', 'ok cs=48 rip=40000 code=2'],
  ['64-bit to compatibility mode', { mode: 'long', regs: { rbx: DATA }, dwords: { [DATA]: TARGET }, words: { [DATA + 4]: 8 } }, 'ff 2b', 'ok cs=8 rip=1234 code=1'],
  ['64-bit to 16-bit compatibility mode', { mode: 'long', regs: { rbx: DATA }, dwords: { [DATA]: TARGET }, words: { [DATA + 4]: CODE16_0 } }, 'ff 2b', 'ok cs=58 code=0'],
  ['L and D in long mode', { mode: 'compatibility', ...own(both) }, 'ea 34 12 00 00 00 01', '#GP(100)'],
  ['L and D before presence', { mode: 'compatibility', ...own(notPresent(both)) }, 'ea 34 12 00 00 00 01', '#GP(100)'],
  ['L means nothing in legacy mode', own(both), 'ea 34 12 00 00 00 01', 'ok cs=100 code=1'],
  ['a limit means nothing to 64-bit code', { mode: 'compatibility', ...own(segment(CODE_READ | LONG, 0, 0)) }, 'ea 34 12 00 00 00 01', 'ok rip=1234 code=2'],
  ['REX.W has a 64-bit offset', { mode: 'long', regs: { rbx: DATA }, qwords: { [DATA]: 0xffff_8000_0000_1234n }, words: { [DATA + 8]: CODE64_0 } }, '48 ff 2b', 'ok rip=ffff800000001234'],
  ['an offset that is not canonical', { mode: 'long', regs: { rbx: DATA }, qwords: { [DATA]: NON_CANONICAL }, words: { [DATA + 8]: CODE64_0 } }, '48 ff 2b', '#GP(0)'],
  ['a 64-bit CALL pushes quadwords', { mode: 'long', regs: { rbx: DATA }, qwords: { [DATA]: 0x1234n }, words: { [DATA + 8]: CODE64_0 } }, '48 ff 1b', 'ok stack64=30003,48'],
  ['a 16-bit CALL pushes words', { mode: 'long', regs: { rbx: DATA }, dwords: { [DATA]: (CODE64_0 << 16) | TARGET } }, '66 ff 1b', 'ok rip=1234 stack16=3,48'],
  ['ptr16:32 is undefined in 64-bit mode', { mode: 'long' }, 'ea 34 12 00 00 48 00', '#UD'],
  ['CALL ptr16:32 as well', { mode: 'long' }, '9a 34 12 00 00 48 00', '#UD'],
  ['ptr16:16 in 32-bit code', {}, '66 ea 34 12 08 00', 'ok rip=1234'],
  ['ptr16:32 in 16-bit code', { mode: 'protected16' }, '66 ea 00 00 03 00 08 00', 'ok rip=30000 code=1'],
  ['real mode: any selector', { mode: 'real' }, 'ea 34 12 00 f0', 'ok cs=f000 cs.base=f0000 rip=1234 cs.attr=9b'],
  ['real mode: an offset beyond 64 KiB', { mode: 'real' }, '66 ea 00 00 01 00 00 f0', '#GP'],
  ['real mode: CALL pushes CS and IP', { mode: 'real' }, '9a 34 12 00 40', 'ok cs=4000 stack16=5,3000 rsp=effc'],
  ['real mode: 32-bit CALL', { mode: 'real' }, '66 9a 34 12 00 00 00 40', 'ok cs=4000 stack32=8,3000 rsp=eff8'],
  ['virtual-8086 mode', { mode: 'v86' }, 'ea 34 12 00 40', 'ok cs=4000 cs.base=40000 cpl=3'],
  ['virtual-8086 mode: an offset beyond 64 KiB', { mode: 'v86' }, '66 ea 00 00 01 00 00 f0', '#GP(0)'],
  ['no room on the stack', { regs: { rsp: 4 }, segments: { ss: [segment(READ_WRITE | BIG, 0, 0xffff), 0x10] } }, '9a 34 12 00 00 08 00', '#SS(0) rsp=4'],
  ['no room comes before the offset', { regs: { rsp: 4 }, segments: { ss: [segment(READ_WRITE | BIG, 0, 0xffff), 0x10] }, ...own(segment(CODE_READ, 0, 0)) }, '9a 34 12 00 00 00 01', '#SS(0)'],
];

describe('modes and sizes', () => {
  it.each(TRANSFERS)('%s', (...row) => expect(runRow(guest, row)).toBe(row[3]));
});

// ---- RET: the frame is on the stack
/** A frame of 32-bit elements. */
const frame = (...values: number[]): Setup => ({ dwords: Object.fromEntries(values.map((value, i) => [STACK + i * 4, value >>> 0])) });
const RETURNS: readonly Row[] = [
  ['to the same level', { ...frame(TARGET, OWN), ...own(segment(CODE_READ & ~1)) }, 'cb', 'ok cs=100 rip=1234 rsp=5f008 access[100]=9b'],
  ['an inner RPL', { cpl: 3, ...frame(TARGET, 8) }, 'cb', '#GP(8) rsp=5f000'],
  ['null', frame(TARGET, 3), 'cb', '#GP(0)'],
  ['beyond the GDT', frame(TARGET, 0x1000), 'cb', '#GP(1000)'],
  ['data', frame(TARGET, 0x10), 'cb', '#GP(10)'],
  ['code whose DPL is not the RPL', { ...frame(TARGET, OWN), ...own(segment(CODE_READ | DPL(3))) }, 'cb', '#GP(100)'],
  ['conforming code of an inner level', { cpl: 3, ...frame(TARGET, OWN | 3), ...own(segment(CONFORMING)) }, 'cb', 'ok cs=103 cpl=3'],
  ['conforming code with DPL above RPL', { ...frame(TARGET, OWN), ...own(segment(CONFORMING | DPL(1))) }, 'cb', '#GP(100)'],
  ['not present', { ...frame(TARGET, OWN), ...own(notPresent(segment(CODE_READ))) }, 'cb', '#NP(100)'],
  ['an offset beyond the limit', { ...frame(TARGET, OWN), ...own(segment(CODE_READ, 0, TARGET - 1)) }, 'cb', '#GP(0)'],
  ['with an immediate', { ...frame(TARGET, 8) }, 'ca 10 00', 'ok rip=1234 rsp=5f018'],
  ['of 16 bits', { words: { [STACK]: TARGET, [STACK + 2]: 8 } }, '66 cb', 'ok cs=8 rip=1234 rsp=5f004'],
  ['beyond the stack', { regs: { rsp: 0xfffe }, segments: { ss: [segment(READ_WRITE, STACK_BASE, 0xffff), 0x10] } }, 'cb', '#SS(0)'],
  ['the second element beyond the stack', { regs: { rsp: 0xfffc }, segments: { ss: [segment(READ_WRITE | BIG, STACK_BASE, 0xffff), 0x10] } }, 'cb', '#SS(0)'],
  ['to an outer level', { ...frame(TARGET, CODE_OF(3), DATA, DATA_OF(3)) }, 'cb', 'ok cs=3b rip=1234 ss=43 rsp=40000 cpl=3 ds=0 ds.attr=10000 es=0 fs=0 gs=0'],
  ['from level 1 to 2, immediate on both stacks', { cpl: 1, ...frame(TARGET, CODE_OF(2), 0, 0, DATA, DATA_OF(2)) }, 'ca 08 00', 'ok cs=2a ss=32 rsp=40008 cpl=2'],
  ['data of the outer level and conforming code stay', { ...frame(TARGET, CODE_OF(3), DATA, DATA_OF(3)), segments: { ds: [segment(READ_WRITE | DPL(3)), 0x43], es: [segment(CONFORMING), OWN], fs: [segment(READ_WRITE | DPL(2)), 0x30], gs: [segment(CODE_READ), OWN] } }, 'cb', 'ok ds=43 es=100 fs=0 gs=0'],
  ['outer: null SS', frame(TARGET, CODE_OF(3), DATA, 3), 'cb', '#GP(0) cpl=0 rsp=5f000'],
  ['outer: SS beyond the GDT', frame(TARGET, CODE_OF(3), DATA, 0x1003), 'cb', '#GP(1000)'],
  ['outer: SS with another RPL', frame(TARGET, CODE_OF(3), DATA, DATA_OF(3) & ~1), 'cb', '#GP(40)'],
  ['outer: SS with another DPL', frame(TARGET, CODE_OF(3), DATA, DATA_OF(2) | 3), 'cb', '#GP(30)'],
  ['outer: SS read-only', { ...frame(TARGET, CODE_OF(3), DATA, OWN | 3), ...own(segment(READ_ONLY | DPL(3))) }, 'cb', '#GP(100)'],
  ['outer: SS not present', { ...frame(TARGET, CODE_OF(3), DATA, OWN | 3), ...own(notPresent(segment(READ_WRITE | DPL(3)))) }, 'cb', '#SS(100)'],
  ['outer: SS accessed', { ...frame(TARGET, CODE_OF(3), DATA, OWN | 3), ...own(segment((READ_WRITE & ~1) | DPL(3))) }, 'cb', 'ok ss=103 access[100]=f3'],
  ['outer: SS is checked before the offset', { ...frame(TARGET, OWN | 3, DATA, 3), ...own(segment(CODE_READ | DPL(3), 0, 0)) }, 'cb', '#GP(0)'],
  ['outer: a bad SS before a bad offset', { ...frame(TARGET, OWN | 3, DATA, 0x13), ...own(segment(CODE_READ | DPL(3), 0, 0)) }, 'cb', '#GP(10)'],
  ['outer: the offset beyond the limit', { ...frame(TARGET, OWN | 3, DATA, DATA_OF(3)), ...own(segment(CODE_READ | DPL(3), 0, 0)) }, 'cb', '#GP(0) cpl=0'],
  ['outer: to a 16-bit stack takes SP alone', { ...frame(TARGET, CODE_OF(3), 0x9999_1230, OWN | 3), regs: { rsp: STACK }, ...own(segment(READ_WRITE | DPL(3), 0, 0xffff)) }, 'cb', 'ok rsp=51230'],
  ['outer: SS and ESP beyond the stack', { cpl: 0, regs: { rsp: 0xfff4 }, dwords: { [STACK_BASE + 0xfff4]: TARGET, [STACK_BASE + 0xfff8]: CODE_OF(3) }, segments: { ss: [segment(READ_WRITE | BIG, STACK_BASE, 0xfffb), 0x10] } }, 'cb', '#SS(0)'],
  ['real mode', { mode: 'real', words: { [STACK]: TARGET, [STACK + 2]: 0x4000 } }, 'cb', 'ok cs=4000 rip=1234 rsp=f004'],
  ['real mode, 32 bits with an offset beyond 64 KiB', { mode: 'real', dwords: { [STACK]: 0x1_0000, [STACK + 4]: 0x4000 } }, '66 cb', '#GP rsp=f000'],
  ['virtual-8086 mode', { mode: 'v86', words: { [STACK]: TARGET, [STACK + 2]: 0x4000 } }, 'ca 02 00', 'ok cs=4000 rip=1234 rsp=f006'],
  ['64-bit mode pops 32 bits without REX.W', { mode: 'long', ...frame(TARGET, CODE64_0) }, 'cb', 'ok cs=48 rip=1234 rsp=5f008'],
  ['64-bit mode pops 64 bits with REX.W', { mode: 'long', qwords: { [STACK]: 0xffff_8000_0000_0000n, [STACK + 8]: BigInt(CODE64_0) } }, '48 cb', 'ok rip=ffff800000000000 rsp=5f010'],
  ['64-bit mode: not canonical', { mode: 'long', qwords: { [STACK]: NON_CANONICAL, [STACK + 8]: BigInt(CODE64_0) } }, '48 cb', '#GP(0)'],
  ['64-bit mode to compatibility mode', { mode: 'long', ...frame(TARGET, 8) }, 'cb', 'ok cs=8 code=1 rip=1234 ss=10'],
  ['64-bit mode: L and D before presence', { mode: 'long', ...frame(TARGET, OWN), ...own(notPresent(both)) }, 'cb', '#GP(100)'],
  ['64-bit mode: to level 1 with a null SS of its RPL', { mode: 'long', ...frame(TARGET, OWN | 1, DATA, 1), ...own(code64(CODE_READ | DPL(1))) }, 'cb', 'ok cs=101 ss=1 cpl=1 rsp=40000'],
  ['64-bit mode: to level 3 with a null SS', { mode: 'long', ...frame(TARGET, CODE64_3, DATA, 3) }, 'cb', '#GP(0)'],
  ['64-bit mode: to compatibility mode with a null SS', { mode: 'long', ...frame(TARGET, CODE_OF(1), DATA, 1) }, 'cb', '#GP(0)'],
  ['64-bit mode: to level 3', { mode: 'long', ...frame(TARGET, CODE64_3, DATA, DATA_OF(3)) }, 'cb', 'ok cs=53 ss=43 cpl=3 rsp=40000'],
  ['64-bit mode: not canonical comes behind a bad SS', { mode: 'long', qwords: { [STACK]: NON_CANONICAL, [STACK + 8]: BigInt(CODE64_3), [STACK + 24]: 0x13n } }, '48 cb', '#GP(10)'],
];

describe('RET', () => {
  it.each(RETURNS)('%s', (...row) => expect(runRow(guest, row)).toBe(row[3]));

  it('leaves the stack of a call as it was', () => {
    guest.reset({ cpl: 3 });
    guest.run('9a 07 00 03 00 3b 00 cb', 2);
    expect(outcome(guest, 'ok rip=30007 rsp=5f000 cs=3b')).toBe('ok rip=30007 rsp=5f000 cs=3b');
  });
});
