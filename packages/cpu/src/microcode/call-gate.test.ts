/** Call gates (SDM vol. 2A, CALL and JMP; vol. 3A, 6.8.2 to 6.8.5). */
import { describe, expect, it } from 'vitest';
import { outcome, type Row, runRow } from '../testing/outcome.ts';
import { gate } from '../testing/microcode-bench.ts';
import { type Setup, SystemGuest } from '../testing/system-guest.ts';
import {
  BIG, CODE, CODE_OF, CODE_READ, CODE64_0, CODE64_3, code64, CONFORMING, DATA, DATA_OF, DPL, INNER_STACK, LONG, OWN, PAGES, READ_ONLY, READ_WRITE, segment, STACK,
  STACK_BASE, TSS,
} from '../testing/system-tables.ts';

const guest = new SystemGuest();
const GATE16 = 4;
const GATE32 = 12;
const TARGET = 0x1234n;
const NON_CANONICAL = 1n << 47n;
/** The gate is at OWN, code and stack segments of a test's own behind it. */
const OWN_CODE = OWN + 0x10;
const OWN_STACK = OWN + 0x18;
const CALL = '9a 00 00 00 00 03 01';
const CALL_0 = '9a 00 00 00 00 00 01';
const JMP = 'ea 00 00 00 00 03 01';
const JMP_0 = 'ea 00 00 00 00 00 01';
const notPresent = (descriptor: bigint): bigint => descriptor & ~(1n << 47n);

/** A gate at OWN for level 3, to a code segment. */
function to(selector: number, more: Record<number, bigint> = {}, type = GATE32, parameters = 0, dpl = 3, offset = TARGET): Setup {
  return { gdt: { [OWN]: gate(selector, offset, type, dpl, parameters), ...more } };
}
/** A gate to code of level 0 whose descriptor is given. */
const toCode = (descriptor: bigint, dpl = 3): Setup => to(OWN_CODE, { [OWN_CODE]: descriptor }, GATE32, 0, dpl);
/** A gate to level 0 whose stack segment is given. */
const withStack = (selector: number, descriptor: bigint, more: Setup = {}): Setup =>
  ({ ...more, ...to(8, { [OWN_STACK]: descriptor }), cpl: 3, words: { [TSS + 8]: selector } });
const parameters = { [STACK]: 0x1111_1111, [STACK + 4]: 0x2222_2222, [STACK + 8]: 0x3333_3333 };
const level3 = CODE_OF(3).toString(16);

const CALLS: readonly Row[] = [
  ['to an inner level: SS ESP CS EIP', { cpl: 3, ...to(8) }, CALL, `ok cs=8 rip=1234 cpl=0 ss=10 rsp=50ff0 stack32=30007,${level3},5f000,43 ds=43`],
  ['parameters keep their order', { cpl: 3, ...to(8, {}, GATE32, 3), dwords: parameters }, CALL, 'ok rsp=50fe4 stack32=30007,3b,11111111,22222222,33333333,5f000,43'],
  ['31 parameters', { cpl: 3, ...to(8, {}, GATE32, 31) }, CALL, 'ok rsp=50f74'],
  ['a 16-bit gate pushes words', { cpl: 3, ...to(8, {}, GATE16, 2), dwords: parameters }, CALL, 'ok rip=1234 rsp=50ff4 stack16=7,3b,1111,1111,f000,43'],
  ['a 16-bit gate has a 16-bit offset', { cpl: 3, ...to(8, {}, GATE16, 0, 3, 0x5678_1234n) }, CALL, 'ok rip=1234'],
  ['the offset in the instruction is ignored', { cpl: 3, ...to(8) }, '9a ff ff ff ff 03 01', 'ok rip=1234'],
  ['from level 2 to 1', { cpl: 2, ...to(CODE_OF(1)) }, CALL.replace('03', '02'), 'ok cs=19 ss=21 rsp=51ff0 cpl=1'],
  ['the code RPL of the gate is ignored', { cpl: 3, ...to(OWN_CODE | 3, { [OWN_CODE]: segment(CODE_READ) }) }, CALL, 'ok cs=110 cpl=0'],
  ['to the same level: the current stack, no parameters', { cpl: 0, ...to(8, {}, GATE32, 3) }, CALL_0, 'ok cs=8 rsp=5eff8 stack32=30007,8'],
  ['to conforming code: the current stack', { cpl: 3, ...toCode(segment(CONFORMING)) }, CALL, 'ok cs=113 cpl=3 ss=43 rsp=5eff8'],
  ['accessed bits', { cpl: 3, ...to(OWN_CODE, { [OWN_CODE]: segment(CODE_READ & ~1), [OWN_STACK]: segment(READ_WRITE & ~1) }), words: { [TSS + 8]: OWN_STACK } }, CALL, 'ok access[110]=9b access[118]=93'],
  ['from virtual-8086 mode there are no gates', { mode: 'v86', ...to(8) }, '9a 00 00 00 01', 'ok cs=100 cpl=3'],
];

const GATE_FAULTS: readonly Row[] = [
  ['DPL of the gate below CPL', { cpl: 3, ...to(8, {}, GATE32, 0, 2) }, CALL, '#GP(100) rsp=5f000'],
  ['DPL of the gate below RPL', { cpl: 0, ...to(8, {}, GATE32, 0, 2) }, CALL, '#GP(100)'],
  ['gate not present', { cpl: 3, gdt: { [OWN]: notPresent(gate(8, TARGET, GATE32, 3)) } }, CALL, '#NP(100)'],
  ['rights before presence', { cpl: 3, gdt: { [OWN]: notPresent(gate(8, TARGET, GATE32, 2)) } }, CALL, '#GP(100)'],
  ['an interrupt gate', { cpl: 3, ...to(8, {}, 14) }, CALL, '#GP(100)'],
  ['a trap gate', { cpl: 3, ...to(8, {}, 7) }, CALL, '#GP(100)'],
  ['a reserved type', { cpl: 3, ...to(8, {}, 8) }, CALL, '#GP(100)'],
  ['null code selector', { cpl: 3, ...to(2) }, CALL, '#GP(0)'],
  ['code beyond the GDT', { cpl: 3, ...to(0x1008) }, CALL, '#GP(1008)'],
  ['data instead of code', { cpl: 3, ...to(0x10) }, CALL, '#GP(10)'],
  ['code of an outer level', { cpl: 0, ...toCode(segment(CODE_READ | DPL(3))) }, CALL_0, '#GP(110)'],
  ['conforming code of an outer level', { cpl: 0, ...toCode(segment(CONFORMING | DPL(1))) }, CALL_0, '#GP(110)'],
  ['code not present', { cpl: 3, ...toCode(notPresent(segment(CODE_READ))) }, CALL, '#NP(110)'],
  ['same level: offset beyond the limit', { cpl: 0, ...toCode(segment(CODE_READ, 0, 0x1233)) }, CALL_0, '#GP(0)'],
  ['inner level: offset beyond the limit', { cpl: 3, ...toCode(segment(CODE_READ, 0, 0x1233)) }, CALL, '#GP(0) cpl=3'],
  ['JMP to an inner level', { cpl: 3, ...to(8) }, JMP, '#GP(8)'],
  ['JMP to an inner level, not present', { cpl: 3, ...toCode(notPresent(segment(CODE_READ))) }, JMP, '#GP(110)'],
  ['JMP to the same level', { cpl: 0, ...to(8) }, JMP_0, 'ok cs=8 rip=1234 rsp=5f000'],
  ['JMP to conforming code', { cpl: 3, ...toCode(segment(CONFORMING)) }, JMP, 'ok cs=113 cpl=3 rip=1234'],
  ['JMP: DPL of the gate below CPL', { cpl: 3, ...to(8, {}, GATE32, 0, 2) }, JMP, '#GP(100)'],
  ['JMP: gate not present', { cpl: 0, gdt: { [OWN]: notPresent(gate(8, TARGET, GATE32, 3)) } }, JMP_0, '#NP(100)'],
  ['JMP: offset beyond the limit', { cpl: 0, ...toCode(segment(CODE_READ, 0, 0x1233)) }, JMP_0, '#GP(0)'],
];

const tr = (attr: number, limit: number): Setup => ({ segments: { tr: [segment(attr, TSS, limit), 0x70] } });
const STACK_FAULTS: readonly Row[] = [
  ['TSS ends within SS0', { cpl: 3, ...to(8), ...tr(0x8b, 8) }, CALL, '#TS(70) cpl=3 rsp=5f000'],
  ['TSS ends behind SS0', { cpl: 3, ...to(8), ...tr(0x8b, 9) }, CALL, 'ok'],
  ['TSS ends within SS2', { cpl: 3, ...to(CODE_OF(2)), ...tr(0x8b, 0x18) }, CALL, '#TS(70)'],
  ['a 16-bit TSS', { cpl: 3, ...to(8), ...tr(0x83, 5), words: { [TSS + 2]: 0x1000, [TSS + 4]: 0x10 } }, CALL, 'ok ss=10 rsp=ff0'],
  ['a 16-bit TSS ends within SS0', { cpl: 3, ...to(8), ...tr(0x83, 4) }, CALL, '#TS(70)'],
  ['null', withStack(0, 0n), CALL, '#TS(0)'],
  ['beyond the GDT', withStack(0x1000, 0n), CALL, '#TS(1000)'],
  ['another RPL', withStack(OWN_STACK | 1, segment(READ_WRITE)), CALL, '#TS(118)'],
  ['another DPL', withStack(OWN_STACK, segment(READ_WRITE | DPL(1))), CALL, '#TS(118)'],
  ['read-only', withStack(OWN_STACK, segment(READ_ONLY)), CALL, '#TS(118)'],
  ['code', withStack(OWN_STACK, segment(CODE_READ)), CALL, '#TS(118)'],
  ['not present', withStack(OWN_STACK, notPresent(segment(READ_WRITE))), CALL, '#SS(118)'],
  ['rights before presence', withStack(OWN_STACK, notPresent(segment(READ_ONLY))), CALL, '#TS(118)'],
  ['no room', withStack(OWN_STACK, segment(READ_WRITE | BIG, 0, INNER_STACK - 2)), CALL, '#SS(118) cpl=3 rsp=5f000'],
  ['room for all', withStack(OWN_STACK, segment(READ_WRITE | BIG, 0, INNER_STACK - 1)), CALL, 'ok'],
  ['room only for some', { ...withStack(OWN_STACK, segment(READ_WRITE | BIG, 0, 0xffff)), dwords: { [TSS + 4]: 12 } }, CALL, '#SS(118)'],
  ['no room comes before the offset', { cpl: 3, ...to(OWN_CODE, { [OWN_CODE]: segment(CODE_READ, 0, 0), [OWN_STACK]: segment(READ_WRITE | BIG, 0, 0xfff) }), words: { [TSS + 8]: OWN_STACK } }, CALL, '#SS(118)'],
  ['a 16-bit stack', withStack(OWN_STACK, segment(READ_WRITE, STACK_BASE, 0xffff)), CALL, 'ok ss=118 rsp=50ff0 stack32=30007,3b,5f000,43'],
  ['an expand-down stack', { ...withStack(OWN_STACK, segment(0x97 | BIG, 0, 0x5_0fef)) }, CALL, 'ok ss=118 rsp=50ff0'],
  ['an expand-down stack that ends too early', { ...withStack(OWN_STACK, segment(0x97 | BIG, 0, 0x5_0ff0)) }, CALL, '#SS(118)'],
  ['parameters beyond the old stack', { cpl: 3, ...to(8, {}, GATE32, 2), segments: { ss: [segment(READ_WRITE | BIG | DPL(3), 0, STACK + 4), 0x43] } }, CALL, '#SS(0)'],
];

/** A 64-bit gate: sixteen bytes at OWN. */
function to64(selector: number, more: Setup = {}, offset = 0xffff_8000_0000_1234n, upper?: bigint): Setup {
  return { mode: 'long', cpl: 3, regs: { rbx: DATA }, words: { [DATA + 4]: OWN | 3 }, ...more, gdt: { [OWN]: gate(selector, offset, GATE32, 3), [OWN + 8]: upper ?? offset >> 32n, ...more.gdt } };
}
const CALL64 = 'ff 1b';
const LONG_MODE: readonly Row[] = [
  ['to level 0: a null SS, quadwords, no alignment', to64(CODE64_0, { qwords: { [TSS + 4]: 0x5_1004n } }), CALL64, `ok cs=48 rip=ffff800000001234 cpl=0 ss=0 ss.attr=10000 rsp=50fe4 stack64=30002,${CODE64_3.toString(16)},5f000,43`],
  ['to level 1: SS is null with its RPL', to64(OWN_STACK, { gdt: { [OWN_STACK]: code64(CODE_READ | DPL(1)) } }), CALL64, 'ok cs=119 ss=1 cpl=1 rsp=51fe0'],
  ['from compatibility mode', { ...to64(CODE64_0), mode: 'compatibility' }, CALL, 'ok cs=48 rip=ffff800000001234 cpl=0 ss=0 stack64=30007,3b,5f000,43'],
  ['parameter counts do not exist', to64(CODE64_0, { gdt: { [OWN]: gate(CODE64_0, TARGET, GATE32, 3, 5) } }), CALL64, 'ok rsp=50fe0'],
  ['to the same level', to64(CODE64_0, { cpl: 0, words: { [DATA + 4]: OWN } }), CALL64, 'ok cs=48 rsp=5eff0 stack64=30002,48 ss=10'],
  ['to conforming code', to64(OWN_STACK, { gdt: { [OWN_STACK]: code64(CONFORMING) } }), CALL64, 'ok cs=11b cpl=3 rsp=5eff0 ss=43'],
  ['to 32-bit code', to64(8), CALL64, '#GP(8)'],
  ['to code with L and D', to64(OWN_STACK, { gdt: { [OWN_STACK]: segment(CODE_READ | LONG | BIG | PAGES, 0, 0xf_ffff) } }), CALL64, '#GP(118)'],
  ['code not present', to64(OWN_STACK, { gdt: { [OWN_STACK]: notPresent(code64()) } }), CALL64, '#NP(118)'],
  ['code neither present nor 64-bit', to64(OWN_STACK, { gdt: { [OWN_STACK]: notPresent(segment(CODE_READ)) } }), CALL64, '#GP(118)'],
  ['an offset that is not canonical', to64(CODE64_0, {}, NON_CANONICAL), CALL64, '#GP(0) cpl=3'],
  ['a type in the upper half', to64(CODE64_0, {}, TARGET, 0x100_0000_0000n), CALL64, '#GP(100)'],
  ['the upper half beyond the GDT', to64(CODE64_0, { gdtLimit: OWN + 14 }), CALL64, '#GP(100)'],
  ['a stack pointer that is not canonical', to64(CODE64_0, { qwords: { [TSS + 4]: NON_CANONICAL } }), CALL64, '#SS(0)'],
  ['a bad stack pointer comes before a bad offset', to64(CODE64_0, { qwords: { [TSS + 4]: NON_CANONICAL } }, NON_CANONICAL), CALL64, '#SS(0)'],
  ['TSS ends within RSP0', to64(CODE64_0, tr(0x8b, 10)), CALL64, '#TS(70)'],
  ['JMP to an inner level', to64(CODE64_0), 'ff 2b', '#GP(48)'],
  ['JMP to the same level', to64(CODE64_3 & ~3), 'ff 2b', 'ok cs=53 rip=ffff800000001234'],
  ['no 16-bit gates', to64(CODE64_0, { gdt: { [OWN]: gate(CODE64_0, TARGET, GATE16, 3) } }), CALL64, '#GP(100)'],
  ['no task gates', to64(CODE64_0, { gdt: { [OWN]: gate(0x70, 0n, 5, 3) } }), CALL64, '#GP(100)'],
  ['no calls of a TSS', to64(CODE64_0, { gdt: { [OWN]: gate(0x70, 0n, 9, 3) } }), CALL64, '#GP(100)'],
];

describe('call gates', () => {
  it.each(CALLS)('CALL %s', (...row) => expect(runRow(guest, row)).toBe(row[3]));
  it.each(GATE_FAULTS)('check the gate: %s', (...row) => expect(runRow(guest, row)).toBe(row[3]));
  it.each(STACK_FAULTS)('check the inner stack: %s', (...row) => expect(runRow(guest, row)).toBe(row[3]));
  it.each(LONG_MODE)('in long mode: %s', (...row) => expect(runRow(guest, row)).toBe(row[3]));

  it('and RET with an immediate undo each other', () => {
    guest.reset({ cpl: 3, ...to(8, {}, GATE32, 2, 3, BigInt(CODE + 0x100)), dwords: parameters });
    guest.memory.write(CODE + 0x100, Uint8Array.of(0xca, 8, 0));
    guest.run(CALL, 2);
    const expected = 'ok cs=3b rip=30007 ss=43 rsp=5f008 cpl=3';
    expect(outcome(guest, expected)).toBe(expected);
  });

  it('of level 2 stay on the stack of their level', () => {
    const expected = `ok ss=${DATA_OF(2).toString(16)} rsp=52ff0`;
    expect(runRow(guest, ['', { cpl: 3, ...to(CODE_OF(2)) }, CALL, expected])).toBe(expected);
  });
});
