import { beforeEach, describe, expect, it } from 'vitest';
import * as L from '../state/layout.ts';
import { MicrocodeBench, PTE_P, PTE_W } from '../testing/microcode-bench.ts';

const OSXSAVE = 0x4_0000n;
const AREA = 0x40_0000_0000n;
const COMPACTED = 1n << 63n;
const XSTATE_BV = 512n;
const XCOMP_BV = 520n;
const X87 = 1n;
const SSE = 2n;
const AVX = 4n;
const PKU = 0x200n;
const ALL = X87 | SSE | AVX | PKU;
const GP0 = '#13(0)';

let bench: MicrocodeBench;
/** Host address of the area. */
let area: number;

beforeEach(() => {
  bench = new MicrocodeBench();
  bench.enter('long');
  bench.set(L.CR4, 0x620n | OSXSAVE);
  bench.set(L.XCR0, ALL);
  bench.set32(L.FCW, 0x37f);
  bench.set32(L.MXCSR, 0x1f80);
  bench.set32(L.PKRU, 0);
  area = bench.page();
  bench.map(AREA, BigInt(area), PTE_P | PTE_W);
  bench.call('updateMode');
});

function op(name: string, mask: bigint, offset = 0n, size = 8): string | null {
  bench.set(L.RAX, mask & 0xffff_ffffn);
  bench.set(L.RDX, mask >> 32n);
  bench.op(name, { disp: AREA + offset, size });
  return bench.pending();
}

const at = (offset: bigint): bigint => bench.read64(area + Number(offset));
const put = (offset: bigint, value: bigint): void => bench.write64(area + Number(offset), value);

function inUse(): bigint {
  bench.set(L.RCX, 1n);
  bench.op('xgetbv');
  expect(bench.pending()).toBe(null);
  return bench.get(L.RAX) | (bench.get(L.RDX) << 32n);
}

describe('XGETBV (SDM vol. 2D)', () => {
  it('index 1: the components of XCR0 that are not initial', () => {
    expect(inUse()).toBe(0n);
    bench.set32(L.MXCSR, 0x1fa0);
    expect(inUse()).toBe(0n);
    bench.set(L.XMM + 15 * L.XMM_SIZE, 1n);
    expect(inUse()).toBe(SSE);
    bench.set(L.XMM + 15 * L.XMM_SIZE + 24, 1n);
    bench.set32(L.PKRU, 1);
    bench.set32(L.FTAG, 0x80);
    expect(inUse()).toBe(ALL);
    bench.set(L.XCR0, X87 | SSE);
    expect(inUse()).toBe(X87 | SSE);
  });

  it('outside 64-bit mode the upper eight vector registers do not count (SDM vol. 1, 13.6)', () => {
    bench.set(L.XMM + 8 * L.XMM_SIZE, 1n);
    bench.set(L.XMM + 8 * L.XMM_SIZE + 16, 1n);
    expect(inUse()).toBe(SSE | AVX);
    bench.segment(L.CS, 8, 0xc09b);
    bench.call('updateMode');
    expect(inUse()).toBe(0n);
    bench.set(L.XMM + 7 * L.XMM_SIZE, 1n);
    expect(inUse()).toBe(SSE);
  });

  it.each([[2n, OSXSAVE, GP0], [1n << 31n, OSXSAVE, GP0], [0n, 0n, '#6'], [2n, 0n, '#6'], [1n << 32n, OSXSAVE, null]])('index %i, CR4 %i: %s', (index, cr4, fault) => {
    bench.set(L.CR4, 0x620n | cr4);
    bench.set(L.RCX, index);
    bench.op('xgetbv');
    expect(bench.pending()).toBe(fault);
  });
});

describe('formats (SDM vol. 1, 13.4)', () => {
  beforeEach(() => {
    bench.set32(L.PKRU, 0x1234);
    for (let i = 0; i < 16; i++) bench.set(L.XMM + i * L.XMM_SIZE + 16, BigInt(i + 1));
  });

  it.each([
    ['xsave', ALL, 2688n, 576n],
    ['xsaveopt', PKU, 2688n, null],
    ['xsavec', ALL, 832n, 576n],
    ['xsavec', PKU | X87, 576n, null],
    ['xsaves', PKU | AVX, 832n, 576n],
  ] as const)('%s of 0x%s: where PKRU and AVX stand', (name, mask, pkru, avx) => {
    bench.map(AREA + 0x1000n, BigInt(bench.page()), PTE_P | PTE_W);
    expect(op(name, mask)).toBe(null);
    expect(at(pkru)).toBe(0x1234n);
    if (avx !== null) expect(at(avx + 0x70n)).toBe(8n);
    expect(at(XCOMP_BV)).toBe(name === 'xsavec' || name === 'xsaves' ? COMPACTED | mask : 0n);
    bench.set32(L.PKRU, 7);
    expect(op(name === 'xsaves' ? 'xrstors' : 'xrstor', mask)).toBe(null);
    expect(bench.get32(L.PKRU)).toBe(0x1234);
  });

  it('XSAVE keeps the bits of XSTATE_BV that it is not asked for', () => {
    put(XSTATE_BV, SSE | X87);
    expect(op('xsave', AVX | X87)).toBe(null);
    expect(at(XSTATE_BV)).toBe(SSE | AVX);
  });

  it('XSAVEC leaves out what is initial, but SSE while MXCSR is not', () => {
    expect(op('xsavec', ALL)).toBe(null);
    expect(at(XSTATE_BV)).toBe(AVX | PKU);
    bench.set32(L.MXCSR, 0x1fa0);
    expect(op('xsavec', ALL)).toBe(null);
    expect(at(XSTATE_BV)).toBe(SSE | AVX | PKU);
    expect(at(24n) & 0xffff_ffffn).toBe(0x1fa0n);
  });

  it('XRSTOR gives initial values to what the compacted area has no room for', () => {
    put(XCOMP_BV, COMPACTED | AVX);
    put(XSTATE_BV, 0n);
    bench.set32(L.MXCSR, 0x1fa0);
    expect(op('xrstor', ALL)).toBe(null);
    expect([bench.get(L.XMM + 16), bench.get32(L.PKRU), bench.get32(L.MXCSR)]).toEqual([0n, 0, 0x1f80]);
  });

  it('with AVX alone the compacted format leaves MXCSR as it is', () => {
    put(XCOMP_BV, COMPACTED | AVX);
    bench.set32(L.MXCSR, 0x1fa0);
    expect(op('xrstor', AVX)).toBe(null);
    expect(bench.get32(L.MXCSR)).toBe(0x1fa0);
  });

  it('touches no page between components, and none of those that it does not move', () => {
    // The area ends its page behind the AVX component; PKRU's is two pages on.
    const start = 0x1000n - 832n;
    const [second, third] = [bench.page(), bench.page()];
    expect(op('xsave', X87 | SSE | AVX, start)).toBe(null);
    expect(op('xsave', ALL, start)).toBe('#14(2)');
    expect(op('xsaveopt', PKU, start)).toBe('#14(2)');
    bench.map(AREA + 0x1000n, BigInt(second), PTE_P | PTE_W);
    expect(op('xsave', ALL, start)).toBe(null);
    expect(bench.read64(second + 2688 - 832)).toBe(0x1234n);
    bench.map(AREA + 0x2000n, BigInt(third), PTE_P);
    // Nothing of a compacted area is in the second page while AVX is initial.
    for (let i = 0; i < 16; i++) bench.set(L.XMM + i * L.XMM_SIZE + 16, 0n);
    bench.map(AREA + 0x1000n, BigInt(second), PTE_P);
    expect(op('xsavec', X87 | SSE | AVX, 0x1000n - 576n)).toBe(null);
  });
});

describe('headers and faults (SDM vol. 1, 13.8; vol. 2)', () => {
  interface Header {
    readonly name: string;
    readonly instruction?: 'xrstor' | 'xrstors';
    readonly bv?: bigint;
    readonly comp?: bigint;
    readonly more?: readonly [bigint, bigint];
    readonly mask?: bigint;
    readonly xcr0?: bigint;
    readonly fault: string | null;
  }

  const HEADERS: readonly Header[] = [
    { name: 'standard, empty', fault: null },
    { name: 'standard, a component that XCR0 has not', bv: AVX, xcr0: X87 | SSE, fault: GP0 },
    { name: 'standard, a component that XCR0 has not, not asked for', bv: AVX, xcr0: X87 | SSE, mask: X87, fault: GP0 },
    { name: 'standard, XCOMP_BV not zero', comp: X87, fault: GP0 },
    { name: 'standard, bytes 23:16 not zero', more: [528n, 1n], fault: GP0 },
    { name: 'standard, byte 24 not zero', more: [536n, 1n], fault: null },
    { name: 'compacted', bv: X87, comp: COMPACTED | X87 | SSE, fault: null },
    { name: 'compacted, a component without room', bv: AVX, comp: COMPACTED | X87, fault: GP0 },
    { name: 'compacted, room for what XCR0 has not', comp: COMPACTED | AVX, xcr0: X87 | SSE, fault: GP0 },
    { name: 'compacted, room for bit 62', comp: COMPACTED | (1n << 62n), fault: GP0 },
    { name: 'compacted, bytes 63:16 not zero', comp: COMPACTED, more: [568n, 1n], fault: GP0 },
    { name: 'reserved bits of MXCSR', more: [24n, 0x1_0000n], fault: GP0 },
    { name: 'reserved bits of MXCSR, not loaded', more: [24n, 0x1_0000n], mask: X87 | PKU, fault: null },
    { name: 'reserved bits of MXCSR, not loaded from a compacted area', more: [24n, 0x1_0000n], comp: COMPACTED | SSE, fault: null },
    { name: 'XRSTORS, standard', instruction: 'xrstors', fault: GP0 },
    { name: 'XRSTORS, compacted', instruction: 'xrstors', bv: X87, comp: COMPACTED | X87, fault: null },
  ];

  it.each(HEADERS)('$name: $fault', ({ instruction = 'xrstor', bv = 0n, comp = 0n, more, mask = ALL, xcr0 = ALL, fault }) => {
    bench.set(L.XCR0, xcr0);
    put(0n, 0x37fn);
    put(24n, 0x1f80n);
    put(XSTATE_BV, bv);
    put(XCOMP_BV, comp);
    if (more) put(more[0], more[1]);
    bench.set(L.XMM, 0x77n);
    expect(op(instruction, mask)).toBe(fault);
    if (fault !== null) expect(bench.get(L.XMM)).toBe(0x77n);
  });

  const FAMILY = ['xsave', 'xsaveopt', 'xsavec', 'xsaves', 'xrstor', 'xrstors'];

  it.each(FAMILY)('%s: #UD, #NM, alignment, privilege', (name) => {
    put(XCOMP_BV, name === 'xrstors' ? COMPACTED : 0n);
    expect(op(name, ALL, 8n)).toBe(GP0);
    bench.set(L.CR0, bench.get(L.CR0) | 8n);
    bench.call('updateMode');
    expect(op(name, ALL)).toBe('#7');
    bench.set(L.CR4, 0x620n);
    expect(op(name, ALL)).toBe('#6');
    bench.set(L.CR4, 0x620n | OSXSAVE);
    bench.set(L.CR0, bench.get(L.CR0) & ~8n);
    bench.set32(L.CPL, 3);
    bench.call('flushTlb');
    expect(op(name, ALL)).toBe(name.endsWith('s') ? GP0 : null);
  });
});
