/** MOV to control registers, LMSW, XSETBV and MOV to debug registers: what they refuse (SDM vol. 2B; vol. 3A, 2.5, 2.6, 5.4.1 and 10.8.5). */
import { describe, expect, test } from 'vitest';
import * as L from '../state/layout.ts';
import { CR4_SUPPORTED } from './cpuid.ts';
import { type Mode, type Outcome, SystemMachine } from '../testing/system-machine.ts';

const m = new SystemMachine();
const [PE, MP, EM, TS, ET, NE, WP, AM, NW, CD, PG] = [1n, 2n, 4n, 8n, 16n, 32n, 1n << 16n, 1n << 18n, 1n << 29n, 1n << 30n, 1n << 31n];
const [PAE, VME, LA57, VMXE, SMXE, FSGSBASE, PCIDE, OSXSAVE, SMEP, SMAP, CET] =
  [1n << 5n, 1n, 1n << 12n, 1n << 13n, 1n << 14n, 1n << 16n, 1n << 17n, 1n << 18n, 1n << 20n, 1n << 21n, 1n << 23n];
const LME = 0x100n;
const LMA = 0x400n;
/** MOV CR0, CR3, CR4, CR8 from RAX. */
const MOV = { cr0: '0f 22 c0', cr3: '0f 22 d8', cr4: '0f 22 e0', cr8: '44 0f 22 c0' } as const;

type Change = (value: bigint) => bigint;

/** Writes a changed value of the register with MOV, at privilege level 0. */
function move(mode: Mode, register: keyof typeof MOV, change: Change, prepare?: () => void): Outcome {
  m.enter(mode);
  prepare?.();
  m.update();
  const old = m.get({ cr0: L.CR0, cr3: L.CR3, cr4: L.CR4, cr8: L.CR8 }[register]);
  return m.run(MOV[register], { rax: change(old) });
}

const set = (bits: bigint): Change => (value) => value | bits;
const clear = (bits: bigint): Change => (value) => value & ~bits;
const bit = (n: number): bigint => 1n << BigInt(n);

describe('CR0', () => {
  test.each<[string, Mode, Change, Outcome]>([
    ['MP EM TS NE WP AM', 'long', set(MP | EM | TS | NE | WP | AM), 'ok'],
    ['CD', 'protected', set(CD), 'ok'],
    ['CD and NW', 'protected', set(CD | NW), 'ok'],
    ['NW without CD', 'protected', set(NW), '#GP(0)'],
    ['NW without CD, real mode', 'real', set(NW), '#GP'],
    ['PG without PE', 'real', set(PG), '#GP'],
    ['PE with PG', 'real', set(PE | PG), 'ok'],
    ['PE cleared with PG set', 'pae', clear(PE), '#GP(0)'],
    ['PG cleared in 64-bit mode', 'long', clear(PG), '#GP(0)'],
    ['PG and PE cleared in 64-bit mode', 'long', clear(PG | PE), '#GP(0)'],
    ['PG cleared in compatibility mode', 'compat', clear(PG), 'ok'],
    ['PG cleared in legacy paging', 'pae', clear(PG), 'ok'],
    ['PE set', 'real', set(PE), 'ok'],
    ['PE cleared', 'protected', clear(PE), 'ok'],
  ])('%s', (_, mode, change, outcome) => expect(move(mode, 'cr0', change)).toBe(outcome));

  test.each([...Array(32).keys()].map((n) => n + 32))('bit %i is reserved in 64-bit mode', (n) => expect(move('long', 'cr0', set(bit(n)))).toBe('#GP(0)'));

  test('reserved bits below are ignored, and ET reads as one (vol. 3A, 2.5)', () => {
    expect(move('protected', 'cr0', () => 0x1ffa_ffc0n | PE)).toBe('ok');
    expect(m.get(L.CR0)).toBe(PE | ET);
  });

  test('PG cleared with CR4.PCIDE set', () => expect(move('compat', 'cr0', clear(PG), () => m.set(L.CR4, m.get(L.CR4) | PCIDE))).toBe('#GP(0)'));

  /** Vol. 3A, 10.8.5 (initializing IA-32e mode): the consistency checks. */
  test.each<[string, () => void, Outcome]>([
    ['enters compatibility mode', () => {}, 'ok'],
    ['without PAE', () => m.set(L.CR4, 0n), '#GP(0)'],
    ['with CS.L', () => m.setSegment(L.CS, 8, 0xa09b), '#GP(0)'],
    ['with a 16-bit TSS, available', () => m.setSegment(L.TR, 0x40, 0x81, 0n, 0x67), '#GP(0)'],
    ['with a 16-bit TSS, busy', () => m.setSegment(L.TR, 0x40, 0x83, 0n, 0x67), '#GP(0)'],
  ])('PG set with EFER.LME: %s', (_, prepare, outcome) => {
    const set32bit = (): void => {
      m.set(L.CR4, PAE);
      m.set(L.CR3, BigInt(m.pdptes - 0x2000));
      m.set(L.MSR_EFER, LME);
      prepare();
    };
    expect(move('protected', 'cr0', set(PG), set32bit)).toBe(outcome);
    expect(m.get(L.MSR_EFER)).toBe(outcome === 'ok' ? LME | LMA : LME);
    expect(m.get32(L.LONG_MODE)).toBe(outcome === 'ok' ? 1 : 0);
  });

  test('clearing PG in compatibility mode leaves long mode: LMA clear, LME stays', () => {
    move('compat', 'cr0', clear(PG));
    expect(m.get(L.MSR_EFER) & (LME | LMA)).toBe(LME);
  });

  test.each<[string, string, bigint, Outcome, bigint]>([
    ['sets PE', '0f 01 f0', 1n, 'ok', 1n], ['cannot clear PE', '0f 01 f0', 0n, 'ok', 1n], ['sets MP EM TS', '0f 01 f0', 14n, 'ok', 15n], ['ignores ET and above', '0f 01 f0', 0xfff0n, 'ok', 1n],
  ])('LMSW %s', (_, code, value, outcome, low) => {
    m.enter(value === 1n ? 'real' : 'protected');
    expect(m.run(code, { rax: value })).toBe(outcome);
    expect(m.get(L.CR0) & 15n).toBe(low);
    expect(m.get(L.CR0) & NE).toBe(NE);
  });
});

describe('CR4', () => {
  const all = [...Array(64).keys()];
  const supported = all.filter((n) => n < 32 && (CR4_SUPPORTED >>> n) & 1);
  const others = all.filter((n) => !supported.includes(n));
  test.each(supported)('bit %i can be set', (n) => expect(move('long', 'cr4', set(bit(n)))).toBe('ok'));
  test.each(others)('bit %i is not supported', (n) => expect(move('long', 'cr4', set(bit(n)))).toBe('#GP(0)'));

  test.each<[string, Mode, Change, Outcome]>([
    ['PAE cleared in 64-bit mode', 'long', clear(PAE), '#GP(0)'],
    ['PAE cleared in compatibility mode', 'compat', clear(PAE), '#GP(0)'],
    ['PAE cleared with legacy paging', 'pae', clear(PAE), 'ok'],
    ['PAE set without paging', 'protected', set(PAE), 'ok'],
    ['LA57', 'protected', set(LA57), '#GP(0)'],
    ['VMXE outside VMX operation', 'protected', set(VMXE), 'ok'],
    ['SMXE', 'real', set(SMXE), '#GP'],
    ['CET', 'compat', set(CET), '#GP(0)'],
    ['FSGSBASE, OSXSAVE, SMEP and SMAP in legacy mode', 'protected', set(FSGSBASE | OSXSAVE | SMEP | SMAP), 'ok'],
    ['VME in real mode', 'real', set(VME), 'ok'],
  ])('%s', (_, mode, change, outcome) => expect(move(mode, 'cr4', change)).toBe(outcome));
});

describe('CR3 and CR8', () => {
  test.each([...Array(64).keys()].filter((n) => n >= L.PHYSICAL_BITS))('CR3 bit %i is beyond the physical addresses', (n) =>
    expect(move('long', 'cr3', set(bit(n)))).toBe('#GP(0)'));
  test.each([0, 1, 2, 3, 4, 5, 11])('CR3 bit %i is ignored or PWT, PCD', (n) => expect(move('long', 'cr3', set(bit(n)))).toBe('ok'));
  test.each<[bigint, Outcome]>([[0n, 'ok'], [15n, 'ok'], [16n, '#GP(0)'], [1n << 32n, '#GP(0)'], [1n << 63n, '#GP(0)']])('CR8 := %i', (value, outcome) =>
    expect(move('long', 'cr8', () => value)).toBe(outcome));
});

/** Vol. 3A, 5.4.1: loads of the four directory pointers; a present one with reserved bits makes the instruction fault, with nothing changed. */
describe('directory pointers of PAE paging', () => {
  const good = m.pdptes;
  const bad = m.pdptes + 0x80;
  const put = (index: number, value: bigint): void => {
    for (let i = 0; i < 4; i++) m.memory.view.setBigUint64(bad + i * 8, m.memory.view.getBigUint64(good + i * 8, true), true);
    m.memory.view.setBigUint64(bad + index * 8, value, true);
  };
  const reserved = [1, 2, 5, 6, 7, 8, L.PHYSICAL_BITS, 51, 52, 62, 63];

  test.each(reserved)('CR3 with a present one that has bit %i', (n) => {
    for (let index = 0; index < 4; index++) {
      put(index, 1n | bit(n));
      expect(move('pae', 'cr3', () => BigInt(bad))).toBe('#GP(0)');
      expect(m.get(L.CR3)).toBe(BigInt(good));
      expect(m.get(L.PDPTE0 + index * 8)).toBe(m.memory.view.getBigUint64(good + index * 8, true));
    }
  });
  test.each([3, 4, 9, 10, 11, 12])('bit %i is not reserved', (n) => {
    put(2, 1n | bit(n));
    expect(move('pae', 'cr3', () => BigInt(bad))).toBe('ok');
  });
  test('one that is not present may have any', () => {
    put(3, ~1n);
    expect(move('pae', 'cr3', () => BigInt(bad))).toBe('ok');
    expect(m.get(L.CR3)).toBe(BigInt(bad));
  });
  test.each<[string, Mode, keyof typeof MOV, Change]>([
    ['CR0.PG set', 'protected', 'cr0', set(PG)], ['CR0.CD changed', 'pae', 'cr0', set(CD)], ['CR4.PAE set with paging', 'pae', 'cr4', set(PAE)],
    ['CR4.PGE changed', 'pae', 'cr4', set(bit(7))], ['CR4.PSE changed', 'pae', 'cr4', set(bit(4))], ['CR4.SMEP changed', 'pae', 'cr4', set(SMEP)],
  ])('%s loads them', (name, mode, register, change) => {
    put(1, 1n | bit(1));
    const prepare = (): void => {
      m.set(L.CR3, BigInt(bad));
      m.set(L.CR4, name.startsWith('CR4.PAE') ? bit(4) : PAE);
      // As a page directory of 32-bit paging it maps the code.
      m.memory.view.setUint32((bad & ~0xfff) + (m.code >>> 22) * 4, (m.code & ~0x3f_ffff) | 0x83, true);
    };
    expect(move(mode, register, change, prepare)).toBe('#GP(0)');
  });
  test.each<[string, keyof typeof MOV, Change]>([
    ['CR0.TS changed', 'cr0', set(TS)], ['CR0.WP changed', 'cr0', set(WP)], ['CR4.TSD changed', 'cr4', set(bit(2))], ['CR4.SMAP changed', 'cr4', set(SMAP)],
  ])('%s does not', (_, register, change) => {
    put(1, 1n | bit(1));
    expect(move('pae', register, change, () => m.set(L.CR3, BigInt(bad)))).toBe('ok');
  });
});

/** XSETBV (vol. 2D; vol. 1, 13.3). */
describe('XCR0', () => {
  const xsetbv = (value: bigint, index = 0, cpl = 0, cr4 = OSXSAVE): Outcome => {
    m.enter('long', cpl);
    m.set(L.CR4, m.get(L.CR4) | cr4);
    m.update();
    return m.run('0f 01 d1', { rcx: index, rax: value & 0xffff_ffffn, rdx: value >> 32n });
  };
  test.each<[bigint, Outcome]>([
    [0n, '#GP(0)'], [1n, 'ok'], [2n, '#GP(0)'], [3n, 'ok'], [4n, '#GP(0)'], [5n, '#GP(0)'], [6n, '#GP(0)'], [7n, 'ok'],
    // PKRU is the only other component that there is.
    ...[...Array(61).keys()].map((n): [bigint, Outcome] => [7n | bit(n + 3), n + 3 === 9 ? 'ok' : '#GP(0)']),
  ])('XCR0 := %i', (value, outcome) => {
    expect(xsetbv(value)).toBe(outcome);
    expect(m.get(L.XCR0)).toBe(outcome === 'ok' ? value : 1n);
  });
  test('what else it refuses', () => {
    expect([xsetbv(7n, 1), xsetbv(7n, 0, 3), xsetbv(7n, 0, 0, 0n), xsetbv(7n, 0, 3, 0n)]).toEqual(['#GP(0)', '#GP(0)', '#UD', '#UD']);
  });
});

/** MOV DR (vol. 2B; vol. 3B, 19.2.2): DR4 and DR5, general detect, the upper halves of DR6 and DR7. */
describe('debug registers', () => {
  const DE = 8n;
  const GD = 0x2000n;
  test.each<[string, Mode, number, string, { rax?: bigint; cr4?: bigint; dr7?: bigint }, Outcome]>([
    ['DR0 takes all bits', 'long', 0, '0f 23 c0', { rax: ~0n & 0xffff_ffff_ffff_ffffn }, 'ok'],
    ['DR6, upper half', 'long', 0, '0f 23 f0', { rax: 1n << 32n }, '#GP(0)'],
    ['DR7, upper half', 'long', 0, '0f 23 f8', { rax: 1n << 63n }, '#GP(0)'],
    ['DR7, lower half', 'long', 0, '0f 23 f8', { rax: 0xffff_dfffn }, 'ok'],
    ['DR4 is DR6', 'long', 0, '0f 21 e0', {}, 'ok'],
    ['DR4 with CR4.DE', 'long', 0, '0f 21 e0', { cr4: DE }, '#UD'],
    ['DR5 with CR4.DE', 'protected', 0, '0f 23 e8', { cr4: DE }, '#UD'],
    ['DR4 with CR4.DE, above level 0: the invalid opcode comes first', 'long', 3, '0f 21 e0', { cr4: DE }, '#UD'],
    ['DR8', 'long', 0, '44 0f 21 c0', {}, '#UD'],
    ['general detect, reading', 'long', 0, '0f 21 c0', { dr7: GD }, '#DB'],
    ['general detect, writing', 'real', 0, '0f 23 c0', { dr7: GD }, '#DB'],
    ['general detect, above level 0', 'long', 3, '0f 23 c0', { dr7: GD }, '#GP(0)'],
    ['general detect, DR4 with CR4.DE', 'long', 0, '0f 21 e0', { dr7: GD, cr4: DE }, '#UD'],
  ])('%s', (_, mode, cpl, code, { rax = 0n, cr4 = 0n, dr7 = 0n }, outcome) => {
    m.enter(mode, cpl);
    m.set(L.CR4, m.get(L.CR4) | cr4);
    m.set(L.DR7, 0x400n | dr7);
    expect(m.run(code, { rax })).toBe(outcome);
    if (outcome === '#DB') expect(m.get(L.EVENT_DR6)).toBe(0x2000n);
  });

  test('fixed bits', () => {
    m.enter('long');
    m.run('0f 23 f0', { rax: 0 });
    expect(m.get(L.DR6)).toBe(0xffff_0ff0n);
    m.run('0f 23 f0', { rax: 0xffff_ffff });
    expect(m.get(L.DR6)).toBe(0xffff_efffn);
    m.run('0f 23 f8', { rax: 0 });
    expect(m.get(L.DR7)).toBe(0x400n);
    m.run('0f 23 f8', { rax: 0xffff_ffff });
    expect(m.get(L.DR7)).toBe(0xffff_2fffn);
  });
});
