import { beforeAll, describe, expect, test } from 'vitest';
import * as L from '../state/layout.ts';
import { bareMachine, type BareMachine } from '../testing/bare-machine.ts';
import { Random, RandomProgram } from './random-program.ts';

const RAM = 2 << 20;
const WINDOW = 0x10_0000;
const STACK = 0x18_0000;
const PROGRAMS = Number(process.env['PROGRAMS'] ?? 300);
const SEED = Number(process.env['SEED'] ?? 1);
const GPRS = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'];

let interpreter: BareMachine;
let compiler: BareMachine;
beforeAll(() => {
  interpreter = bareMachine(RAM, false, null);
  compiler = bareMachine(RAM, false, { threshold: 40, regions: 4000, entries: 20 });
  expect(compiler.ram).toBe(interpreter.ram);
});

/** Values at which flags change, and others. */
const EDGES = [0n, 1n, 0x7fn, 0x80n, 0xffn, 0x7fffn, 0x8000n, 0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn, 0x7fff_ffff_ffff_ffffn, 1n << 63n, -1n];
function value(random: Random): bigint {
  const other = BigInt(random.below(0x100_0000)) * BigInt(random.below(0x100_0000)) * 77_777n;
  return random.below(2) ? random.pick(EDGES) : other;
}

/** Runs code from `at` until it faults, in runs of `limit` instructions, from registers and memory that the seed gives. */
function run(m: BareMachine, code: readonly number[], at: number, seed: number): Record<string, unknown> {
  const random = new Random(seed);
  const { memory, ram } = m;
  memory.write(ram + at, Uint8Array.from(code));
  memory.write(ram + WINDOW, Uint8Array.from({ length: 0x2000 }, () => random.below(256)));
  for (let r = 0; r < 16; r++) m.set(L.GPR + r * 8, value(random));
  for (let r = 0; r < 16; r++) for (let i = 0; i < 4; i++) m.set32(L.XMM + r * L.XMM_SIZE + i * 4, random.below(0x100_0000) * 200);
  m.set(L.GPR + 6 * 8, BigInt(ram + WINDOW));
  m.set(L.RSP, BigInt(ram + STACK));
  m.set32(L.MXCSR, 0x1f80);
  m.setRflags(0x202n);
  m.set(L.RIP, BigInt(ram + at));
  m.set(L.INSN_COUNT, 0n);
  m.set32(L.EVENT_VECTOR, -1);
  m.driver.run(1_000_000);
  const state: Record<string, unknown> = { vector: m.event(), rip: m.get(L.RIP) - BigInt(ram), flags: m.rflags(), count: m.get(L.INSN_COUNT) };
  GPRS.forEach((name, r) => (state[name] = m.get(L.GPR + r * 8)));
  for (let r = 0; r < 8; r++) state[`xmm${r}`] = [m.get(L.XMM + r * L.XMM_SIZE), m.get(L.XMM + r * L.XMM_SIZE + 8)];
  state['mxcsr'] = m.get32(L.MXCSR);
  state['memory'] = memory.u8.slice(ram + WINDOW, ram + WINDOW + 0x2000).reduce((sum, byte) => (Math.imul(sum, 31) + byte) | 0, 0);
  return state;
}

describe('compiled regions do what the interpreter does', () => {
  test(`${PROGRAMS} random programs`, () => {
    for (let i = 0; i < PROGRAMS; i++) {
      const seed = SEED * 1_000_003 + i;
      const code = new RandomProgram(seed, 60).bytes();
      // Programs lie apart, and now and then across pages.
      const at = (i * 0x340) & 0xf_ffff & ~3;
      expect(run(compiler, code, at, seed), `seed ${seed}`).toEqual(run(interpreter, code, at, seed));
    }
    expect(compiler.driver.jit!.statistics.regions).toBeGreaterThan(PROGRAMS / 2);
  }, 600_000);
});
