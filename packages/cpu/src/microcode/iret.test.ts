/** IRET (SDM vol. 2A, IRET/IRETD/IRETQ; vol. 3A, 7.7.1 for NMI). Virtual-8086 mode and nested tasks have tests of their own. */
import { describe, expect, it } from 'vitest';
import { type Row, runRow } from '../testing/outcome.ts';
import { type Setup, SystemGuest } from '../testing/system-guest.ts';
import {
  BIG, CODE_OF, CODE_READ, CODE64_0, CODE64_3, code64, CODE16_3, CONFORMING, DATA, DATA_OF, DPL, OWN, READ_ONLY, READ_WRITE, segment, STACK, STACK_BASE,
} from '../testing/system-tables.ts';

const guest = new SystemGuest();
const TARGET = 0x1234;
const NON_CANONICAL = 1n << 47n;
/** Every flag but VM. */
const ALL = 0x3d_7fd7;
/** A breakpoint is on: only then does the model keep RF. */
const BREAKPOINT = { dr7: 0x401 } as const;
const own = (descriptor: bigint, more: Setup = {}): Setup => ({ ...more, gdt: { [OWN]: descriptor } });
const notPresent = (descriptor: bigint): bigint => descriptor & ~(1n << 47n);
/** EIP CS EFLAGS, then ESP SS where the level changes. */
const frame = (eip: number, cs: number, flags = 2, ...rest: number[]): Setup =>
  ({ dwords: Object.fromEntries([eip, cs, flags, ...rest].map((value, i) => [STACK + i * 4, value >>> 0])) });
const frame16 = (ip: number, cs: number, flags = 2, ...rest: number[]): Setup =>
  ({ words: Object.fromEntries([ip, cs, flags, ...rest].map((value, i) => [STACK + i * 2, value])) });
const frame64 = (...values: (number | bigint)[]): Setup =>
  ({ mode: 'long', qwords: Object.fromEntries(values.map((value, i) => [STACK + i * 8, BigInt(value)])) });

const FLAGS: readonly Row[] = [
  ['level 0 takes all', { ...BREAKPOINT, ...frame(TARGET, 8, ALL) }, 'cf', 'ok flags=3d7fd7 rip=1234 rsp=5f00c'],
  ['16 bits leave the upper half', { ...frame16(TARGET, 8, 0x7fd7), flags: 0x24_0000 }, '66 cf', 'ok flags=247fd7 rip=1234 rsp=5f006'],
  ['level 3, IOPL 0: not IF IOPL VIF VIP', { ...BREAKPOINT, cpl: 3, ...frame(TARGET, CODE_OF(3), ALL) }, 'cf', 'ok flags=254dd7'],
  ['level 3, IOPL 3: IF as well', { ...BREAKPOINT, cpl: 3, flags: 0x3000, ...frame(TARGET, CODE_OF(3), ALL) }, 'cf', 'ok flags=257fd7'],
  ['level 3, IOPL 3 stays where the frame has 0', { cpl: 3, flags: 0x3200, ...frame(TARGET, CODE_OF(3), 2) }, 'cf', 'ok flags=3002'],
  ['level 3, IOPL 2: IF stays', { cpl: 3, flags: 0x2200, ...frame(TARGET, CODE_OF(3), 2) }, 'cf', 'ok flags=2202'],
  ['level 1, IOPL 1', { cpl: 1, flags: 0x1000, ...frame(TARGET, CODE_OF(1), 0x18_3202) }, 'cf', 'ok flags=1202'],
  ['the level before the return counts', { ...BREAKPOINT, ...frame(TARGET, CODE_OF(3), ALL, DATA, DATA_OF(3)) }, 'cf', 'ok flags=3d7fd7 cpl=3'],
  ['VM is ignored above level 0', { cpl: 3, ...frame(TARGET, CODE_OF(3), 0x2_0002) }, 'cf', 'ok flags=2 cpl=3'],
  ['VM is ignored in 64-bit mode', frame64(TARGET, CODE64_0, 0x2_0002, STACK, 0x10), '48 cf', 'ok flags=2'],
  ['level 0 in 64-bit mode takes all', { ...BREAKPOINT, ...frame64(TARGET, CODE64_0, ALL, STACK, 0x10) }, '48 cf', 'ok flags=3d7fd7'],
  ['level 3 in 64-bit mode', { ...BREAKPOINT, cpl: 3, ...frame64(TARGET, CODE64_3, ALL, STACK, DATA_OF(3)) }, '48 cf', 'ok flags=254dd7'],
  ['reserved bits are ignored', frame(TARGET, 8, 0xffc0_802a), 'cf', 'ok flags=2'],
  ['real mode: not VM VIF VIP', { ...BREAKPOINT, mode: 'real', ...frame(TARGET, 0x4000, 0x3f_7fd7) }, '66 cf', 'ok flags=257fd7 cs=4000 rip=1234 rsp=f00c'],
  ['real mode of 16 bits', { mode: 'real', flags: 0x24_0000, ...frame16(TARGET, 0x4000, 0x7fd7) }, 'cf', 'ok flags=247fd7 rsp=f006'],
];

const CODE_CHECKS: readonly Row[] = [
  ['null', frame(TARGET, 0), 'cf', '#GP(0) rsp=5f000 flags=2'],
  ['beyond the GDT', frame(TARGET, 0x1000), 'cf', '#GP(1000)'],
  ['data', frame(TARGET, 0x10), 'cf', '#GP(10)'],
  ['an inner RPL', { cpl: 3, ...frame(TARGET, 8) }, 'cf', '#GP(8)'],
  ['DPL is not RPL', own(segment(CODE_READ | DPL(3)), frame(TARGET, OWN)), 'cf', '#GP(100)'],
  ['conforming code of an inner level', own(segment(CONFORMING), { cpl: 3, ...frame(TARGET, OWN | 3) }), 'cf', 'ok cs=103 cpl=3'],
  ['conforming code with DPL above RPL', own(segment(CONFORMING | DPL(1)), frame(TARGET, OWN)), 'cf', '#GP(100)'],
  ['not present', own(notPresent(segment(CODE_READ)), frame(TARGET, OWN)), 'cf', '#NP(100)'],
  ['rights before presence', own(notPresent(segment(CODE_READ)), { cpl: 3, ...frame(TARGET, OWN) }), 'cf', '#GP(100)'],
  ['an offset beyond the limit', own(segment(CODE_READ, 0, TARGET - 1), frame(TARGET, OWN)), 'cf', '#GP(0) flags=2'],
  ['accessed', own(segment(CODE_READ & ~1), frame(TARGET, OWN)), 'cf', 'ok access[100]=9b'],
  ['beyond the stack', { regs: { rsp: 0xfff8 }, segments: { ss: [segment(READ_WRITE | BIG, STACK_BASE, 0xffff), 0x10] } }, 'cf', '#SS(0)'],
  ['real mode: an offset beyond 64 KiB', { mode: 'real', ...frame(0x1_0000, 0x4000) }, '66 cf', '#GP rsp=f000'],
  ['NT in long mode', { flags: 0x4000, ...frame64(TARGET, CODE64_0, 2, STACK, 0x10) }, '48 cf', '#GP(0)'],
];

const outer = (ss: number, more: Setup = {}): Setup => ({ ...frame(TARGET, CODE_OF(3), 2, DATA, ss), ...more });
const LEVELS: readonly Row[] = [
  ['to level 3', outer(DATA_OF(3)), 'cf', 'ok cs=3b ss=43 cpl=3 rip=1234 rsp=40000 ds=0 es=0 fs=0 gs=0'],
  ['to level 3 in 16 bits', frame16(TARGET, CODE_OF(3), 2, 0x5678, DATA_OF(3)), '66 cf', 'ok cpl=3 rsp=5678'],
  ['to level 2 from 1', { cpl: 1, ...frame(TARGET, CODE_OF(2), 2, DATA, DATA_OF(2)) }, 'cf', 'ok cs=2a ss=32 cpl=2'],
  ['to a 16-bit stack: the upper half of ESP stays', own(segment(READ_WRITE | DPL(3), 0, 0xffff), { ...frame(TARGET, CODE_OF(3), 2, 0x9999_1230, OWN | 3), regs: { rsp: STACK } }), 'cf', 'ok rsp=51230'],
  ['to 16-bit code', frame(TARGET, CODE16_3, 2, DATA, DATA_OF(3)), 'cf', 'ok cs=63 code=0'],
  ['null SS', outer(3), 'cf', '#GP(0) cpl=0 rsp=5f000'],
  ['SS beyond the GDT', outer(0x1003), 'cf', '#GP(1000)'],
  ['SS with another RPL', outer(0x40), 'cf', '#GP(40)'],
  ['SS with another DPL', outer(0x33), 'cf', '#GP(30)'],
  ['SS read-only', own(segment(READ_ONLY | DPL(3)), outer(OWN | 3)), 'cf', '#GP(100)'],
  ['SS not present', own(notPresent(segment(READ_WRITE | DPL(3))), outer(OWN | 3)), 'cf', '#SS(100)'],
  ['SS accessed', own(segment((READ_WRITE & ~1) | DPL(3)), outer(OWN | 3)), 'cf', 'ok access[100]=f3'],
  ['a bad SS before a bad offset', { ...own(segment(CODE_READ | DPL(3), 0, 0)), ...frame(TARGET, OWN | 3, 2, DATA, 0x13) }, 'cf', '#GP(10)'],
  ['a bad offset', { ...own(segment(CODE_READ | DPL(3), 0, 0)), ...frame(TARGET, OWN | 3, 2, DATA, DATA_OF(3)) }, 'cf', '#GP(0)'],
  ['SS beyond the stack', { regs: { rsp: 0xfff0 }, dwords: { [STACK_BASE + 0xfff4]: CODE_OF(3) }, segments: { ss: [segment(READ_WRITE | BIG, STACK_BASE, 0xffff), 0x10] } }, 'cf', '#SS(0)'],
  ['data of the outer level stays', outer(DATA_OF(3), { segments: { ds: [segment(READ_WRITE | DPL(3)), 0x43], es: [segment(CONFORMING), OWN], fs: [segment(READ_WRITE | DPL(2)), 0x30] } }), 'cf', 'ok ds=43 es=100 fs=0 gs=0'],
];

const LONG_MODE: readonly Row[] = [
  ['the same level pops SS:RSP', frame64(TARGET, CODE64_0, 2, DATA, 0x10), '48 cf', 'ok cs=48 rip=1234 rsp=40000 ss=10'],
  ['32 bits without REX.W do as well', { mode: 'long', ...frame(TARGET, CODE64_0, 2, DATA, 0x10) }, 'cf', 'ok rsp=40000 ss=10'],
  ['the same level with a null SS', frame64(TARGET, CODE64_0, 2, DATA, 0), '48 cf', 'ok ss=0 ss.attr=10000'],
  ['a null SS with another RPL', frame64(TARGET, CODE64_0, 2, DATA, 1), '48 cf', '#GP(0)'],
  ['level 1 with a null SS', { ...frame64(TARGET, OWN | 1, 2, DATA, 1), ...own(code64(CODE_READ | DPL(1))) }, '48 cf', 'ok cpl=1 ss=1'],
  ['level 3 with a null SS', frame64(TARGET, CODE64_3, 2, DATA, 3), '48 cf', '#GP(0)'],
  ['level 3 at level 3 with a null SS', { cpl: 3, ...frame64(TARGET, CODE64_3, 2, DATA, 3) }, '48 cf', '#GP(0)'],
  ['compatibility mode with a null SS', frame64(TARGET, 8, 2, DATA, 0), '48 cf', '#GP(0)'],
  ['to compatibility mode', frame64(TARGET, CODE_OF(3), 2, DATA, DATA_OF(3)), '48 cf', 'ok code=1 cpl=3 rsp=40000'],
  ['to compatibility mode of the same level', frame64(TARGET, 8, 2, DATA, 0x10), '48 cf', 'ok code=1 cpl=0 rsp=40000'],
  ['to level 3', frame64(0x7fff_ffff_f000n, CODE64_3, 2, 0x7fff_0000_0000n, DATA_OF(3)), '48 cf', 'ok cs=53 ss=43 cpl=3 rip=7ffffffff000 rsp=7fff00000000'],
  ['an address that is not canonical', frame64(NON_CANONICAL, CODE64_0, 2, DATA, 0x10), '48 cf', '#GP(0)'],
  ['an address that is not canonical comes first', frame64(NON_CANONICAL, 0x13, 2, DATA, 0x10), '48 cf', '#GP(0)'],
  ['the same level: the offset comes before SS', { ...frame64(TARGET, OWN, 2, DATA, 0x43), ...own(segment(CODE_READ, 0, 0)) }, '48 cf', '#GP(0)'],
  ['a null SS comes before the code segment', frame64(TARGET, 0x1003, 2, DATA, 3), '48 cf', '#GP(0)'],
  ['compatibility mode pops three elements at the same level', { mode: 'compatibility', ...frame(TARGET, 8, 2) }, 'cf', 'ok rsp=5f00c'],
  ['from compatibility to 64-bit mode', { mode: 'compatibility', ...frame(TARGET, CODE64_0, 2) }, 'cf', 'ok code=2 cs=48 rsp=5f00c'],
  ['L and D', { ...frame64(TARGET, OWN, 2, DATA, 0x10), ...own(code64() | (1n << 54n)) }, '48 cf', '#GP(100)'],
];

const NMI: readonly Row[] = [
  ['ends blocking', { ...frame(TARGET, 8), blocking: 8 }, 'cf', 'ok blocking=0'],
  ['ends blocking even when it faults', { ...frame(TARGET, 0), blocking: 8 }, 'cf', '#GP(0) blocking=0'],
];

describe('IRET', () => {
  it.each(FLAGS)('flags: %s', (...row) => expect(runRow(guest, row)).toBe(row[3]));
  it.each(CODE_CHECKS)('checks the code segment: %s', (...row) => expect(runRow(guest, row)).toBe(row[3]));
  it.each(LEVELS)('to an outer level: %s', (...row) => expect(runRow(guest, row)).toBe(row[3]));
  it.each(LONG_MODE)('in long mode: %s', (...row) => expect(runRow(guest, row)).toBe(row[3]));
  it.each(NMI)('and NMI: %s', (...row) => expect(runRow(guest, row)).toBe(row[3]));
});
