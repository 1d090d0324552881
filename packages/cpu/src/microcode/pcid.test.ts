import { describe, expect, it } from 'vitest';
import * as V from '@vm/kvm-run/vmx';
import * as L from '../state/layout.ts';
import { VMX_CAPABILITIES } from '../state/vmx-layout.ts';
import { CR4_SUPPORTED } from '../system/cpuid.ts';
import { MicrocodeBench, PTE_P, PTE_W } from '../testing/microcode-bench.ts';

const PCIDE = 0x2_0000n;
const PGE = 0x80n;
const PAE = 0x20n;
const NO_FLUSH = 1n << 63n;
const LINEAR = 0x40_0000_1000n;
const DESCRIPTOR = 0x40_0000_3000n;
const GP0 = '#13(0)';

function longMode(cr4: bigint = PAE | PCIDE): MicrocodeBench {
  const bench = new MicrocodeBench();
  bench.enter('long');
  bench.set(L.CR4, cr4);
  bench.set(VMX_CAPABILITIES + (V.MSR_IA32_VMX_CR4_FIXED1 - V.MSR_IA32_VMX_BASIC) * 8, BigInt(CR4_SUPPORTED));
  bench.call('updateMode');
  bench.map(LINEAR, BigInt(bench.page()), PTE_P | PTE_W);
  bench.map(DESCRIPTOR, BigInt(bench.page()), PTE_P | PTE_W);
  return bench;
}

function movToCr(bench: MicrocodeBench, number: number, value: bigint): string | null {
  bench.set(L.RAX, value);
  bench.op('mov_cr_load', { p1: number, p2: bench.gpr(0), size: 8 });
  return bench.pending();
}

/** The TLB's read table has the page. */
function cached(bench: MicrocodeBench, linear = LINEAR): boolean {
  return bench.get(L.TLB + L.TLB_READ + Number((linear >> 8n) & BigInt((L.TLB_ENTRIES - 1) << 4))) === linear;
}

function touch(bench: MicrocodeBench): void {
  bench.call('readMiss', LINEAR, 8);
  expect(cached(bench)).toBe(true);
}

describe('CR4.PCIDE (SDM vol. 3A, 5.10.1)', () => {
  it.each([
    ['in long mode with PCID 0', {}, null],
    ['with bits 11:0 of CR3 not zero', { cr3: 8n }, GP0],
    ['outside long mode', { efer: 0n }, GP0],
  ] as const)('can be set %s', (_name, { cr3 = 0n, efer = 0xd01n }: { cr3?: bigint; efer?: bigint }, fault) => {
    const bench = longMode(PAE);
    bench.set(L.CR3, BigInt(bench.root) | cr3);
    bench.set(L.MSR_EFER, efer);
    if (efer === 0n) bench.set(L.CR0, 0x11n);
    expect(movToCr(bench, 4, PAE | PCIDE)).toBe(fault);
    expect(bench.get(L.CR4)).toBe(fault === null ? PAE | PCIDE : PAE);
  });

  it('keeps CR0.PG from being cleared', () => {
    const bench = longMode();
    bench.segment(L.CS, 8, 0xc09b);
    bench.call('updateMode');
    expect(movToCr(bench, 0, 0x11n)).toBe(GP0);
    bench.set(L.CR4, PAE);
    expect(movToCr(bench, 0, 0x11n)).toBe(null);
  });

  it('stays settable while set, whatever the PCID', () => {
    const bench = longMode();
    bench.set(L.CR3, BigInt(bench.root) | 5n);
    expect(movToCr(bench, 4, PAE | PCIDE | PGE)).toBe(null);
  });

  it.each([['PCIDE cleared', PAE], ['PGE changed', PAE | PCIDE | PGE]])('%s forgets translations', (_name, cr4) => {
    const bench = longMode();
    touch(bench);
    expect(movToCr(bench, 4, cr4)).toBe(null);
    expect(cached(bench)).toBe(false);
  });
});

describe('MOV to CR3 (SDM vol. 3A, 5.10.4.1)', () => {
  it('bit 63 says "do not flush" and is not stored', () => {
    const bench = longMode();
    touch(bench);
    expect(movToCr(bench, 3, BigInt(bench.root) | NO_FLUSH)).toBe(null);
    expect(bench.get(L.CR3)).toBe(BigInt(bench.root));
    expect(cached(bench)).toBe(true);
    expect(movToCr(bench, 3, BigInt(bench.root))).toBe(null);
    expect(cached(bench)).toBe(false);
  });

  it('translations of one PCID do not serve another', () => {
    const bench = longMode();
    touch(bench);
    const other = bench.page();
    expect(movToCr(bench, 3, BigInt(other) | 7n | NO_FLUSH)).toBe(null);
    expect(bench.get(L.CR3)).toBe(BigInt(other) | 7n);
    expect(bench.call('readMiss', LINEAR, 8)).toBe(0);
    expect(bench.pending()).toBe('#14(0)');
  });

  it.each([
    ['bit 63 without PCIDE', PAE, NO_FLUSH],
    ['an address beyond MAXPHYADDR', PAE | PCIDE, 1n << 45n],
    ['bit 62', PAE | PCIDE, 1n << 62n],
  ])('%s: #GP(0)', (_name, cr4, bits) => {
    const bench = longMode(cr4);
    expect(movToCr(bench, 3, BigInt(bench.root) | bits)).toBe(GP0);
    expect(bench.get(L.CR3)).toBe(BigInt(bench.root));
  });
});

describe('INVPCID (SDM vol. 2A)', () => {
  interface Case {
    readonly name: string;
    readonly type: bigint;
    readonly pcid?: bigint;
    readonly linear?: bigint;
    readonly cr4?: bigint;
    readonly current?: bigint;
    readonly cpl?: number;
    /** #GP(0), or whether the current PCID's translation of LINEAR must be gone; undefined: either is allowed. */
    readonly expect: typeof GP0 | boolean;
  }

  const CASES: readonly Case[] = [
    { name: 'an address of the current PCID', type: 0n, pcid: 3n, current: 3n, linear: LINEAR, expect: true },
    { name: 'another address', type: 0n, linear: LINEAR + 0x5000n, expect: false },
    { name: 'an address of another PCID', type: 0n, pcid: 4n, linear: LINEAR, expect: false },
    { name: 'an address that is not canonical', type: 0n, linear: 1n << 47n, expect: GP0 },
    { name: 'the current PCID', type: 1n, pcid: 3n, current: 3n, expect: true },
    { name: 'another PCID', type: 1n, pcid: 4n, expect: false },
    { name: 'a PCID: its address is not looked at', type: 1n, linear: 1n << 47n, expect: true },
    { name: 'all, with globals', type: 2n, pcid: 9n, expect: true },
    { name: 'all but globals', type: 3n, expect: true },
    { name: 'type 4', type: 4n, expect: GP0 },
    { name: 'a type above 32 bits', type: 1n << 32n, expect: GP0 },
    ...[0n, 1n, 2n, 3n].map((type) => ({ name: `reserved bits of the descriptor, type ${type}`, type, pcid: 0x1000n, expect: GP0 as typeof GP0 })),
    ...[0n, 1n].map((type) => ({ name: `a PCID without CR4.PCIDE, type ${type}`, type, pcid: 1n, cr4: PAE, expect: GP0 as typeof GP0 })),
    { name: 'PCID 0 without CR4.PCIDE, CR3.PWT set', type: 1n, cr4: PAE, current: 8n, expect: true },
    { name: 'all without CR4.PCIDE', type: 2n, pcid: 1n, cr4: PAE, expect: true },
    { name: 'privilege level 3', type: 2n, cpl: 3, expect: GP0 },
  ];

  it.each(CASES)('$name', ({ type, pcid = 0n, linear = 0n, cr4, current = 0n, cpl = 0, expect: expected }) => {
    const bench = longMode(cr4);
    bench.set(L.CR3, BigInt(bench.root) | current);
    const host = bench.call('writeMiss', DESCRIPTOR, 16);
    bench.write64(host, pcid);
    bench.write64(host + 8, linear);
    touch(bench);
    bench.set32(L.CPL, cpl);
    bench.set(L.RCX, type);
    const status = bench.op('invpcid', { p1: bench.gpr(1), disp: DESCRIPTOR });
    expect(bench.pending()).toBe(expected === GP0 ? GP0 : null);
    expect(status).toBe(expected === GP0 ? L.ST_FAULT : L.ST_DISPATCH);
    expect(cached(bench)).toBe(expected !== true);
  });

  it('faults on its operand', () => {
    const bench = longMode();
    bench.set(L.RCX, 2n);
    expect(bench.op('invpcid', { p1: bench.gpr(1), disp: 0x50_0000_0000n })).toBe(L.ST_FAULT);
    expect(bench.pending()).toBe('#14(0)');
  });
});
