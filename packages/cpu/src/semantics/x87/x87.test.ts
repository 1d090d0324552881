import { expect, test } from 'vitest';
import * as L from '../../state/layout.ts';
import { bareMachine } from '../../testing/bare-machine.ts';
import { extended, Random } from '../../testing/x87.ts';

const CASES = Number(process.env['X87_CASES'] ?? 2000);
const CODE = 0x1000;
const DATA = 0x3000;
const SPECIAL = 0xff;
const UE = 0x10;

/** ST(0) with ST(1), or with memory at RSI. */
const INSTRUCTIONS: Readonly<Record<string, readonly number[]>> = {
  fadd: [0xd8, 0xc1], fsub: [0xd8, 0xe1], fsubr: [0xd8, 0xe9], fmul: [0xd8, 0xc9], fdiv: [0xd8, 0xf1], fdivr: [0xd8, 0xf9], faddp: [0xde, 0xc1],
  fsqrt: [0xd9, 0xfa], frndint: [0xd9, 0xfc], fcom: [0xd8, 0xd1], fucomi: [0xdb, 0xe9], ftst: [0xd9, 0xe4], fcmovb: [0xda, 0xc1], fxch: [0xd9, 0xc9],
  'fadd m64': [0xdc, 0x06], 'fsubr m32': [0xd8, 0x2e], 'fidiv m16': [0xde, 0x36], 'fimul m32': [0xda, 0x0e], 'fcomp m64': [0xdc, 0x1e], 'ficom m32': [0xda, 0x16],
  'fld m64': [0xdd, 0x06], 'fld m32': [0xd9, 0x06], 'fild m64': [0xdf, 0x2e], 'fild m16': [0xdf, 0x06],
  'fst m64': [0xdd, 0x16], 'fst m32': [0xd9, 0x16], 'fstp m80': [0xdb, 0x3e], 'fist m32': [0xdb, 0x16], 'fistp m64': [0xdf, 0x3e], 'fisttp m16': [0xdf, 0x0e],
};

const machine = bareMachine(1 << 20, false, null);

/** A number whose exponent is often close to that of one. */
function near(random: Random): { signExponent: number; significand: bigint } {
  const value = extended(random);
  if (random.below(4) === 0) return value;
  const sign = random.below(2) << 15;
  return { signExponent: sign | (0x3fff + random.pick([0, 0, 1, random.below(5) - 2, random.below(130) - 65])), significand: value.significand | (1n << 63n) };
}

interface Case {
  readonly registers: readonly { signExponent: number; significand: bigint }[];
  readonly memory: bigint;
  readonly control: number;
}

function run(code: readonly number[], { registers, memory, control }: Case, unmasked: number): Record<string, unknown> {
  const { ram } = machine;
  machine.memory.write(ram + CODE, Uint8Array.from([...code, 0x0f, 0x0b]));
  machine.memory.write(ram + DATA, new Uint8Array(16));
  machine.memory.view.setBigUint64(ram + DATA, memory, true);
  registers.forEach(({ signExponent, significand }, i) => {
    machine.set(L.FPR + i * 16, significand);
    machine.set(L.FPR + i * 16 + 8, BigInt(signExponent));
  });
  machine.set32(L.FCW, control & ~unmasked);
  machine.set32(L.FSW, 0x200);
  machine.set32(L.FTOP, 0);
  machine.set32(L.FTAG, 3);
  machine.set(L.FIP, 0n);
  machine.set(L.FDP, 0n);
  machine.setRflags(2n);
  machine.set(L.GPR + 6 * 8, BigInt(ram + DATA));
  machine.set(L.RIP, BigInt(ram + CODE));
  machine.set32(L.EVENT_VECTOR, -1);
  machine.driver.run(100);
  return {
    registers: Array.from({ length: 16 }, (_, i) => machine.get(L.FPR + i * 8)), status: machine.get32(L.FSW), top: machine.get32(L.FTOP), tags: machine.get32(L.FTAG),
    fip: machine.get(L.FIP), fdp: machine.get(L.FDP), flags: machine.rflags(),
    memory: [machine.memory.view.getBigUint64(ram + DATA, true), machine.memory.view.getBigUint64(ram + DATA + 8, true)],
  };
}

/** With an exception unmasked that does not occur the microcode executes the instruction, otherwise its semantics. */
test.for(Object.entries(INSTRUCTIONS))('%s does what its microcode does', ([name, code]) => {
  const random = new Random(name.length * 77 + code[1]!);
  let compared = 0;
  for (let i = 0; i < CASES; i++) {
    const memory = random.below(3) === 0 ? random.u64() : BigInt.asUintN(64, BigInt(random.below(SPECIAL) - 100) * (i & 1 ? 1n : 0x0010_0000_0000_0000n));
    const given = { registers: [near(random), near(random)], memory, control: random.below(3) === 0 ? 0x7f | (random.below(16) << 8) : 0x37f };
    const mine = run(code, given, 0);
    const theirs = run(code, given, UE);
    if ((theirs['status'] as number) & UE) continue;
    compared++;
    expect(mine, `${name} of ${JSON.stringify(given, (_, v: unknown) => (typeof v === 'bigint' ? v.toString(16) : v))}`).toEqual(theirs);
  }
  expect(compared).toBeGreaterThan(CASES / 2);
});
