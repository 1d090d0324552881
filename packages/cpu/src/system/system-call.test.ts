/** SYSCALL, SYSRET, SYSENTER and SYSEXIT: checks and loaded state (SDM vol. 2B, the pseudo-code of each). */
import { describe, expect, test } from 'vitest';
import * as L from '../state/layout.ts';
import { type Mode, type Outcome, SystemMachine } from '../testing/system-machine.ts';

const m = new SystemMachine();
const [CODE64, CODE32, DATA, DPL3] = [0xa09b, 0xc09b, 0xc093, 0x60];
const FLAT = 0xffff_ffff;
const WILD = 0x8000_0000_0000n;
const [CF, IF, DF, RF, VM, AC, ID] = [1n, 0x200n, 0x400n, 0x1_0000n, 0x2_0000n, 0x4_0000n, 0x20_0000n];

const code = (selector: number, attr: number) => ({ selector, attr, base: 0n, limit: FLAT });

describe('SYSCALL', () => {
  function enter(star: bigint, flags: bigint, mask: bigint): void {
    m.enter('long', 3);
    m.set(L.MSR_STAR, star);
    m.set(L.MSR_LSTAR, 0xffff_8000_1234_5678n);
    m.set(L.MSR_SFMASK, mask);
    m.setFlags(flags | 2n);
  }

  test.each<[string, bigint, number, number]>([
    ['selectors from STAR[47:32]', 0x0033_0010_0000_0000n, 0x10, 0x18],
    ['CS without its RPL, SS as it comes', 0x0033_0013_0000_0000n, 0x10, 0x1b],
    ['SS wraps at 16 bits', 0x0000_fffc_0000_0000n, 0xfffc, 4],
  ])('%s', (_, star, cs, ss) => {
    enter(star, IF | CF, 0n);
    expect(m.run('0f 05')).toBe('ok');
    expect(m.segment(L.CS)).toEqual(code(cs, CODE64));
    expect(m.segment(L.SS)).toEqual(code(ss, DATA));
    expect([m.get32(L.CPL), m.get32(L.CODE_MODE)]).toEqual([0, 2]);
    expect(m.get(L.RIP)).toBe(0xffff_8000_1234_5678n);
    expect(m.gpr('rcx')).toBe(BigInt(m.code + 2));
  });

  test.each<[string, bigint, bigint, bigint]>([
    ['no mask', IF | CF | DF | AC | ID, 0n, IF | CF | DF | AC | ID],
    ['mask of IF DF AC', IF | CF | DF | AC, IF | DF | AC, CF],
    ['everything masked', IF | CF | DF | AC | ID, 0xffff_ffffn, 0n],
  ])('RFLAGS: %s', (_, flags, mask, after) => {
    enter(0x0010_0000_0000n, flags, mask);
    expect(m.run('0f 05')).toBe('ok');
    expect(m.gpr('r11')).toBe(flags | 2n);
    expect(m.flags()).toBe(after | 2n);
  });

  test.each<[string, Mode, bigint]>([['without EFER.SCE', 'long', 0xd00n], ['in compatibility mode', 'compat', 0xd01n]])('%s it is undefined', (_, mode, efer) => {
    m.enter(mode, 3);
    m.set(L.MSR_EFER, efer);
    expect(m.run('0f 05')).toBe('#UD');
  });
});

describe('SYSRET', () => {
  function leave(bytes: string, rcx: bigint, r11: bigint, star = 0x0023_0010_0000_0000n, cpl = 0, efer = 0xd01n): Outcome {
    m.enter('long', cpl);
    m.set(L.MSR_STAR, star);
    m.set(L.MSR_EFER, efer);
    m.update();
    return m.run(bytes, { rcx, r11 });
  }
  const [WIDE, NARROW] = ['48 0f 07', '0f 07'];

  test.each<[string, string, bigint, { cs: number; ss: number; attr: number; rip: bigint; mode: number }]>([
    ['to 64-bit code', WIDE, 0x7fff_ffff_f000n, { cs: 0x33, ss: 0x2b, attr: CODE64 | DPL3, rip: 0x7fff_ffff_f000n, mode: 2 }],
    ['to compatibility mode', NARROW, 0xffff_0000_1234_5678n, { cs: 0x23, ss: 0x2b, attr: CODE32 | DPL3, rip: 0x1234_5678n, mode: 1 }],
  ])('%s', (_, bytes, rcx, { cs, ss, attr, rip, mode }) => {
    expect(leave(bytes, rcx, IF)).toBe('ok');
    expect(m.segment(L.CS)).toEqual(code(cs, attr));
    expect(m.segment(L.SS)).toEqual(code(ss, DATA | DPL3));
    expect([m.get(L.RIP), m.get32(L.CPL), m.get32(L.CODE_MODE)]).toEqual([rip, 3, mode]);
  });

  test('RFLAGS from R11: RF, VM and reserved bits stay clear', () => {
    expect(leave(WIDE, 0n, (1n << 64n) - 1n)).toBe('ok');
    expect(m.flags()).toBe(0x3c_7fd7n);
    expect(leave(WIDE, 0n, RF | VM)).toBe('ok');
    expect(m.flags()).toBe(2n);
  });

  test('selectors wrap at 16 bits', () => {
    expect(leave(WIDE, 0n, 0n, 0xfff0_0010_0000_0000n)).toBe('ok');
    expect([m.segment(L.CS).selector, m.segment(L.SS).selector]).toEqual([3, 0xfffb]);
  });

  test.each<[string, () => Outcome, Outcome]>([
    ['RCX not canonical', () => leave(WIDE, WILD, 0n), '#GP(0)'],
    ['RCX not canonical, to compatibility mode', () => leave(NARROW, WILD, 0n), 'ok'],
    ['above level 0', () => leave(WIDE, 0n, 0n, 0n, 3), '#GP(0)'],
    ['without EFER.SCE', () => leave(WIDE, 0n, 0n, 0n, 0, 0xd00n), '#UD'],
    ['without EFER.SCE, above level 0', () => leave(WIDE, 0n, 0n, 0n, 3, 0xd00n), '#UD'],
  ])('%s', (_, run, outcome) => expect(run()).toBe(outcome));
});

describe('SYSENTER', () => {
  function enter(mode: Mode, cs: bigint, flags = 0n): Outcome {
    m.enter(mode, 3);
    m.set(L.MSR_SYSENTER_CS, cs);
    m.set(L.MSR_SYSENTER_EIP, 0xffff_8000_1111_0000n);
    m.set(L.MSR_SYSENTER_ESP, 0xffff_8000_2222_0000n);
    m.setFlags(m.flags() | flags);
    return m.run('0f 34');
  }

  test.each<[Mode, number, bigint, bigint, number]>([
    ['long', CODE64, 0xffff_8000_1111_0000n, 0xffff_8000_2222_0000n, 2],
    ['compat', CODE64, 0xffff_8000_1111_0000n, 0xffff_8000_2222_0000n, 2],
    ['protected', CODE32, 0x1111_0000n, 0x2222_0000n, 1],
    ['v86', CODE32, 0x1111_0000n, 0x2222_0000n, 1],
  ])('from %s', (mode, attr, rip, rsp, codeMode) => {
    expect(enter(mode, 0x1_0013n, IF | CF)).toBe('ok');
    expect(m.segment(L.CS)).toEqual(code(0x10, attr));
    expect(m.segment(L.SS)).toEqual(code(0x18, DATA));
    expect([m.get(L.RIP), m.gpr('rsp'), m.get32(L.CPL), m.get32(L.CODE_MODE)]).toEqual([rip, rsp, 0, codeMode]);
    // IF and VM are clear now, the others as they were.
    expect(m.flags()).toBe(CF | 2n);
  });

  test.each<[string, Mode, bigint, Outcome]>([
    ['a null selector', 'long', 0n, '#GP(0)'], ['a null selector with RPL', 'protected', 3n, '#GP(0)'], ['bits above 15 do not count', 'protected', 0x1_0000n, '#GP(0)'],
    ['the last selector', 'protected', 0xfffcn, 'ok'],
  ])('%s', (_, mode, cs, outcome) => {
    expect(enter(mode, cs)).toBe(outcome);
    if (outcome === 'ok') expect(m.segment(L.SS).selector).toBe(4);
  });
});

describe('SYSEXIT', () => {
  function leave(mode: Mode, bytes: string, cs: bigint, rdx: bigint, rcx: bigint, cpl = 0): Outcome {
    m.enter(mode, cpl);
    m.set(L.MSR_SYSENTER_CS, cs);
    return m.run(bytes, { rdx, rcx });
  }
  const [WIDE, NARROW] = ['48 0f 35', '0f 35'];

  test.each<[string, Mode, string, { cs: number; ss: number; attr: number; rip: bigint; rsp: bigint; mode: number }]>([
    ['to 64-bit code', 'long', WIDE, { cs: 0x33, ss: 0x3b, attr: CODE64, rip: 0x7fff_1111_0000n, rsp: 0xffff_8000_2222_0000n, mode: 2 }],
    ['to compatibility mode', 'long', NARROW, { cs: 0x23, ss: 0x2b, attr: CODE32, rip: 0x1111_0000n, rsp: 0x2222_0000n, mode: 1 }],
    ['from compatibility mode', 'compat', NARROW, { cs: 0x23, ss: 0x2b, attr: CODE32, rip: 0x1111_0000n, rsp: 0x2222_0000n, mode: 1 }],
    ['in legacy mode', 'protected', NARROW, { cs: 0x23, ss: 0x2b, attr: CODE32, rip: 0x1111_0000n, rsp: 0x2222_0000n, mode: 1 }],
  ])('%s', (_, mode, bytes, { cs, ss, attr, rip, rsp, mode: after }) => {
    expect(leave(mode, bytes, 0x10n, 0x7fff_1111_0000n, 0xffff_8000_2222_0000n)).toBe('ok');
    expect(m.segment(L.CS)).toEqual(code(cs, attr | DPL3));
    expect(m.segment(L.SS)).toEqual(code(ss, DATA | DPL3));
    expect([m.get(L.RIP), m.gpr('rsp'), m.get32(L.CPL), m.get32(L.CODE_MODE)]).toEqual([rip, rsp, 3, after]);
  });

  test.each<[string, () => Outcome, Outcome]>([
    ['a null selector', () => leave('long', WIDE, 3n, 0n, 0n), '#GP(0)'],
    ['above level 0', () => leave('long', WIDE, 0x10n, 0n, 0n, 3), '#GP(0)'],
    ['in real-address mode', () => leave('real', NARROW, 0x10n, 0n, 0n), '#GP'],
    ['RDX not canonical', () => leave('long', WIDE, 0x10n, WILD, 0n), '#GP(0)'],
    ['RCX not canonical', () => leave('long', WIDE, 0x10n, 0n, WILD), '#GP(0)'],
    ['neither counts for compatibility mode', () => leave('long', NARROW, 0x10n, WILD, WILD), 'ok'],
    ['selectors wrap at 16 bits', () => leave('long', WIDE, 0xfff0n, 0n, 0n), 'ok'],
  ])('%s', (_, run, outcome) => {
    expect(run()).toBe(outcome);
    expect(m.segment(L.CS).selector).toBeLessThan(0x1_0000);
    expect(m.segment(L.SS).selector).toBeLessThan(0x1_0000);
  });
});
