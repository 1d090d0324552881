import { describe, expect, test } from 'vitest';
import * as L from '../../state/layout.ts';
import { bareMachine, type BareMachine } from '../../testing/bare-machine.ts';

const [UD, NM, GP, PF, MF] = [6, 7, 13, 14, 16];
const CR0 = 0x8000_0033n;
const CR4 = 0x620n;

/** Runs one instruction with RDI = `rdi`; returns the vector of its exception, or -1. */
function run(m: BareMachine, code: readonly number[], rdi: number): number {
  m.memory.write(m.ram, Uint8Array.from([...code, 0x90]));
  m.set(L.RDI, BigInt(rdi));
  m.set(L.RIP, BigInt(m.ram));
  m.set32(L.EVENT_VECTOR, -1);
  m.driver.run(1);
  return m.event();
}

interface State {
  readonly cr0?: bigint;
  readonly cr4?: bigint;
  readonly fsw?: number;
}

function set(m: BareMachine, { cr0 = CR0, cr4 = CR4, fsw = 0 }: State): void {
  m.set(L.CR0, cr0);
  m.set(L.CR4, cr4);
  m.set32(L.FCW, 0x37f);
  m.set32(L.FSW, fsw);
  m.updateMode();
}

describe('exceptions of vector and x87 instructions', () => {
  const machine = bareMachine(16 << 20, true);
  const data = machine.ram + 0x1000;
  const nowhere = 0x8_0000_0000;

  const cases: readonly [string, number[], number, State, number][] = [
    ['movaps, aligned', [0x0f, 0x28, 0x07], data, {}, -1],
    ['movaps, unaligned', [0x0f, 0x28, 0x07], data + 8, {}, GP],
    ['movaps store, unaligned', [0x0f, 0x29, 0x07], data + 1, {}, GP],
    ['movups, unaligned', [0x0f, 0x10, 0x07], data + 1, {}, -1],
    ['addps, unaligned', [0x0f, 0x58, 0x07], data + 4, {}, GP],
    ['addss, unaligned', [0xf3, 0x0f, 0x58, 0x07], data + 1, {}, -1],
    ['psrlw with an unaligned count', [0x66, 0x0f, 0xd1, 0x07], data + 8, {}, GP],
    ['aesenc, unaligned', [0x66, 0x0f, 0x38, 0xdc, 0x07], data + 8, {}, GP],
    ['pcmpistri, unaligned', [0x66, 0x0f, 0x3a, 0x63, 0x07, 0], data + 8, {}, -1],
    ['fxsave, unaligned', [0x0f, 0xae, 0x07], data + 8, {}, GP],
    ['movdqu across the end of memory', [0xf3, 0x0f, 0x6f, 0x07], nowhere, {}, PF],
    ['addsd from an unmapped page', [0xf2, 0x0f, 0x58, 0x07], nowhere, {}, PF],
    ['fld from an unmapped page', [0xdd, 0x07], nowhere, {}, PF],
    ['SSE with CR0.TS', [0x0f, 0x58, 0xc1], 0, { cr0: CR0 | 8n }, NM],
    ['SSE with CR0.EM', [0x0f, 0x58, 0xc1], 0, { cr0: CR0 | 4n }, UD],
    ['SSE without CR4.OSFXSR', [0x0f, 0x58, 0xc1], 0, { cr4: 0x20n }, UD],
    ['MMX with CR0.TS', [0x0f, 0xfc, 0xc1], 0, { cr0: CR0 | 8n }, NM],
    ['MMX with CR0.EM', [0x0f, 0xfc, 0xc1], 0, { cr0: CR0 | 4n }, UD],
    ['MMX without CR4.OSFXSR', [0x0f, 0xfc, 0xc1], 0, { cr4: 0x20n }, -1],
    ['MMX with an x87 error pending', [0x0f, 0xfc, 0xc1], 0, { fsw: 0x81 }, MF],
    ['emms with CR0.EM', [0x0f, 0x77], 0, { cr0: CR0 | 4n }, UD],
    ['x87 with CR0.TS', [0xd9, 0xe8], 0, { cr0: CR0 | 8n }, NM],
    ['x87 with CR0.EM', [0xd9, 0xe8], 0, { cr0: CR0 | 4n }, NM],
    ['x87 with an error pending', [0xd9, 0xe8], 0, { fsw: 0x81 }, MF],
    ['x87 with an error pending and CR0.NE clear', [0xd9, 0xe8], 0, { cr0: CR0 & ~0x20n, fsw: 0x81 }, -1],
    ['fnstsw with an error pending', [0xdf, 0xe0], 0, { fsw: 0x81 }, -1],
    ['fnclex with an error pending', [0xdb, 0xe2], 0, { fsw: 0x81 }, -1],
    ['fwait with an error pending', [0x9b], 0, { fsw: 0x81 }, MF],
    ['fwait with CR0.MP and TS', [0x9b], 0, { cr0: CR0 | 8n | 2n }, NM],
    ['fwait with CR0.TS alone', [0x9b], 0, { cr0: (CR0 | 8n) & ~2n }, -1],
    ['fxsave with CR0.TS', [0x0f, 0xae, 0x07], data, { cr0: CR0 | 8n }, NM],
    ['xsave without CR4.OSXSAVE', [0x0f, 0xae, 0x27], data, {}, UD],
    ['ldmxcsr of reserved bits', [0x0f, 0xae, 0x17], data + 0x100, {}, GP],
  ];

  test.for(cases)('%s', ([, code, rdi, state, vector]) => {
    machine.memory.view.setUint32(data + 0x100, 0x10000, true);
    set(machine, state);
    expect(run(machine, code, rdi)).toBe(vector);
  });
});

describe('FXSAVE and XSAVE', () => {
  const XSTATE_BV = 512;
  const XCOMP_BV = 520;
  const AVX_STATE = 576;

  function prepared(): BareMachine {
    const m = bareMachine(16 << 20, true);
    set(m, { cr4: CR4 | 0x40000n });
    m.set(L.XCR0, 7n);
    m.set(L.RAX, 0xffff_ffffn);
    m.set(L.RDX, 0xffff_ffffn);
    m.set32(L.FCW, 0x27f);
    m.set32(L.FSW, 0x4700);
    m.set32(L.FTOP, 6);
    m.set32(L.FTAG, 0xc0);
    m.set32(L.MXCSR, 0x1fa0);
    for (let i = 0; i < 8; i++) {
      m.set(L.FPR + i * 16, 0x8000_0000_0000_0000n + BigInt(i));
      m.set(L.FPR + i * 16 + 8, BigInt(0x3fff + i));
    }
    for (let i = 0; i < 64; i++) m.set(L.XMM + i * 8, 0x0101_0101_0101_0101n * BigInt(i + 1));
    return m;
  }

  const state = (m: BareMachine): string => Buffer.from(m.memory.u8.slice(m.area + L.FPR, m.area + L.VZERO)).toString('hex');

  function clobber(m: BareMachine): void {
    m.memory.u8.fill(0x5a, m.area + L.XMM, m.area + L.XMM + 512);
    for (let i = 0; i < 8; i++) m.set(L.FPR + i * 16, 0x1234n);
    m.set32(L.FCW, 0x37f);
    m.set32(L.FTOP, 1);
    m.set32(L.MXCSR, 0x1f80);
  }

  test('FXSAVE lays the state out as SDM vol. 1, table 10-2 says', () => {
    const m = prepared();
    const at = m.ram + 0x10ff0;
    expect(run(m, [0x48, 0x0f, 0xae, 0x07], at)).toBe(-1);
    const { view } = m.memory;
    expect([view.getUint16(at, true), view.getUint16(at + 2, true), view.getUint8(at + 4)]).toEqual([0x27f, 0x7700, 0xc0]);
    expect([view.getUint32(at + 24, true), view.getUint32(at + 28, true)]).toEqual([0x1fa0, 0xffff]);
    expect([view.getBigUint64(at + 32, true), view.getUint16(at + 40, true)]).toEqual([0x8000_0000_0000_0006n, 0x4005]);
    expect([view.getBigUint64(at + 160, true), view.getBigUint64(at + 400 + 8, true)]).toEqual([m.get(L.XMM), m.get(L.XMM + 15 * 32 + 8)]);
  });

  const saves: readonly [string, number[], number[]][] = [
    ['xsave', [0x48, 0x0f, 0xae, 0x27], [0x48, 0x0f, 0xae, 0x2f]],
    ['xsaveopt', [0x48, 0x0f, 0xae, 0x37], [0x48, 0x0f, 0xae, 0x2f]],
    ['xsavec', [0x48, 0x0f, 0xc7, 0x27], [0x48, 0x0f, 0xae, 0x2f]],
    ['xsaves', [0x48, 0x0f, 0xc7, 0x2f], [0x48, 0x0f, 0xc7, 0x1f]],
  ];

  test.for(saves)('%s and its restore give the state back', ([name, save, restore]) => {
    const m = prepared();
    const at = m.ram + 0x10fc0;
    expect(run(m, save, at)).toBe(-1);
    const before = state(m);
    const { view } = m.memory;
    expect(view.getBigUint64(at + XSTATE_BV, true)).toBe(7n);
    expect(view.getBigUint64(at + XCOMP_BV, true)).toBe(name === 'xsavec' || name === 'xsaves' ? 0x8000_0000_0000_0007n : 0n);
    expect(view.getBigUint64(at + AVX_STATE, true)).toBe(m.get(L.XMM + 16));
    clobber(m);
    expect(run(m, restore, at)).toBe(-1);
    expect(state(m)).toBe(before);
  });

  test('components that are not present become initial', () => {
    const m = prepared();
    const at = m.ram + 0x10000;
    expect(run(m, [0x48, 0x0f, 0xae, 0x2f], at)).toBe(-1);
    expect([m.get32(L.FCW), m.get32(L.FTAG), m.get(L.XMM), m.get(L.XMM + 16)]).toEqual([0x37f, 0, 0n, 0n]);
    // The standard format loads MXCSR whatever XSTATE_BV says.
    expect(m.get32(L.MXCSR)).toBe(0);
  });

  test('a bad header is refused', () => {
    const m = prepared();
    const at = m.ram + 0x10000;
    m.memory.view.setBigUint64(at + XSTATE_BV, 8n, true);
    expect(run(m, [0x48, 0x0f, 0xae, 0x2f], at)).toBe(GP);
    m.memory.view.setBigUint64(at + XSTATE_BV, 1n, true);
    m.memory.view.setBigUint64(at + XCOMP_BV, 0x8000_0000_0000_0002n, true);
    expect(run(m, [0x48, 0x0f, 0xae, 0x2f], at)).toBe(GP);
    expect(run(m, [0x48, 0x0f, 0xc7, 0x1f], at + 8)).toBe(GP);
  });
});
