import { expect, test } from 'vitest';
import * as L from '../state/layout.ts';
import { bareMachine, type BareMachine } from '../testing/bare-machine.ts';
import { le32 } from '../testing/random-code/assembler.ts';
import { Random } from '../testing/random-code/random.ts';
import { CONTROL_WORDS, RandomX87Program } from '../testing/random-code/x87-program.ts';
import { extended, Random as Values } from '../testing/x87.ts';
import { stackEffect } from './x87-depth.ts';

const RAM = 2 << 20;
const WINDOW = 0x10_0000;
const PROGRAMS = Number(process.env['PROGRAMS'] ?? 300);
const SEED = Number(process.env['SEED'] ?? 1);
const WORDS = { fcw: L.FCW, fsw: L.FSW, ftop: L.FTOP, ftag: L.FTAG, fop: L.FOP };

/** Runs code from `at` until it faults, with registers and memory that the seed gives. */
function run(m: BareMachine, code: readonly number[], at: number, seed: number): Record<string, unknown> {
  const { memory, ram } = m;
  const values = new Values(seed);
  memory.write(ram + at, Uint8Array.from(code));
  memory.write(ram + WINDOW, window(values));
  for (let r = 0; r < 16; r++) m.set(L.GPR + r * 8, BigInt(values.below(1000)));
  m.set(L.GPR + 6 * 8, BigInt(ram + WINDOW));
  m.set32(L.FCW, 0x37f);
  for (const word of [L.FSW, L.FTOP, L.FTAG, L.FOP]) m.set32(word, 0);
  m.set(L.FIP, 0n);
  m.set(L.FDP, 0n);
  for (let i = 0; i < 16; i++) m.set(L.FPR + i * 8, 0n);
  m.setRflags(0x202n);
  m.set(L.RIP, BigInt(ram + at));
  m.set(L.INSN_COUNT, 0n);
  m.set32(L.EVENT_VECTOR, -1);
  m.driver.run(1_000_000);
  const state: Record<string, unknown> = { vector: m.event(), rip: m.get(L.RIP) - BigInt(ram), flags: m.rflags(), count: m.get(L.INSN_COUNT) };
  for (const [name, word] of Object.entries(WORDS)) state[name] = m.get32(word);
  for (let i = 0; i < 8; i++) state[`fpr${i}`] = [m.get(L.FPR + i * 16), m.get(L.FPR + i * 16 + 8)];
  state['fip'] = m.get(L.FIP) && m.get(L.FIP) - BigInt(ram);
  state['fdp'] = m.get(L.FDP) && m.get(L.FDP) - BigInt(ram);
  state['rax'] = m.get(L.RAX);
  state['memory'] = memory.u8.slice(ram + WINDOW, ram + WINDOW + 0x2000).reduce((sum, byte) => (Math.imul(sum, 31) + byte) | 0, 0);
  return state;
}

/** Reals of all formats every sixteen bytes, and control words, most of which mask everything. */
function window(values: Values): Uint8Array {
  const bytes = new Uint8Array(0x2000);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < CONTROL_WORDS - 32; at += 16) {
    const kind = values.below(4);
    if (kind === 0) {
      const { signExponent, significand } = extended(values);
      view.setBigUint64(at, significand, true);
      view.setUint16(at + 8, signExponent, true);
    } else if (kind === 1) view.setFloat64(at, (values.below(20_000) - 10_000) / 64, true);
    else if (kind === 2) view.setFloat32(at, (values.below(20_000) - 10_000) * values.pick([1, 1e-3, 1e30, 1e-42]), true);
    else view.setInt32(at, values.next(), true);
  }
  for (let i = 0; i < 32; i++) view.setUint16(CONTROL_WORDS + i * 2, 0x40 | (i === 0 ? 0x1f : 0x3f) | (values.pick([3, 3, 0, 2]) << 8) | (values.pick([0, 0, 1, 2, 3]) << 10), true);
  return bytes;
}

test(`compiled regions do what the interpreter does: ${PROGRAMS} random x87 programs`, () => {
  const interpreter = bareMachine(RAM, false, null);
  const compiler = bareMachine(RAM, false, { threshold: 40, regions: 4000, entries: 30 });
  expect(compiler.ram).toBe(interpreter.ram);
  for (let i = 0; i < PROGRAMS; i++) {
    const seed = SEED * 1_000_003 + i;
    const code = new RandomX87Program(new Random(seed), 60).bytes();
    const at = (i * 0x340) & 0xf_ffff & ~3;
    expect(run(compiler, code, at, seed), `seed ${seed}`).toEqual(run(interpreter, code, at, seed));
  }
  expect(compiler.driver.jit!.statistics.regions).toBeGreaterThan(PROGRAMS / 2);
}, 600_000);

test('an exception that becomes unmasked in a region is raised', () => {
  const m = bareMachine(RAM, false, { threshold: 40, regions: 100, entries: 30 });
  const environment = 0x100;
  const code = [
    0x41, 0xbf, ...le32(200),
    // fldenv [rsi + 0x100]; fld1; fldz; fdivp; fstp st(0)
    0xd9, 0xa6, ...le32(environment), 0xd9, 0xe8, 0xd9, 0xee, 0xde, 0xf9, 0xdd, 0xd8,
    // dec r15d; cmp r15d, 5; jne +7; mov byte [rsi + 0x100], 0x40; test r15d, r15d; jnz loop; ud2
    0x41, 0xff, 0xcf, 0x41, 0x83, 0xff, 5, 0x75, 7, 0xc6, 0x86, ...le32(environment), 0x40, 0x45, 0x85, 0xff, 0x75, 256 - 35, 0x0f, 0x0b,
  ];
  m.memory.write(m.ram, Uint8Array.from(code));
  const words = [0x37f, 0, 0xffff];
  words.forEach((word, i) => m.memory.view.setUint32(m.ram + WINDOW + environment + i * 4, word, true));
  m.set(L.GPR + 6 * 8, BigInt(m.ram + WINDOW));
  m.set(L.RIP, BigInt(m.ram));
  m.driver.run(100_000);
  expect(m.driver.jit!.statistics.regions).toBeGreaterThan(0);
  expect({ vector: m.event(), left: m.get(L.GPR + 15 * 8), status: m.get32(L.FSW) & 0xff }).toEqual({ vector: 16, left: 5n, status: 0x84 });
});

test.for([
  ['fld', 1], ['fild', 1], ['fldpi', 1], ['fld1', 1], ['fldz', 1], ['fbld', 1], ['fptan', 1], ['fsincos', 1], ['fxtract', 1], ['fdecstp', 1],
  ['fstp', -1], ['fistp', -1], ['fisttp', -1], ['fbstp', -1], ['faddp', -1], ['fsubrp', -1], ['fdivp', -1], ['fcomp', -1], ['ficomp', -1],
  ['fucomip', -1], ['fyl2x', -1], ['fpatan', -1], ['fincstp', -1], ['ffreep', -1], ['fcompp', -2], ['fucompp', -2],
  ['fldcw', 0], ['fldenv', 0], ['fnop', 0], ['fst', 0], ['fadd', 0], ['fsqrt', 0], ['fprem', 0], ['fcomi', 0],
] as const)('%s moves the stack by %i', ([name, effect]) => {
  expect(stackEffect(name)).toBe(effect);
});
