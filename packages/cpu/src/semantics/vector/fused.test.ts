import { expect, test } from 'vitest';
import * as L from '../../state/layout.ts';
import { bareMachine } from '../../testing/bare-machine.ts';
import { Random } from '../../testing/x87.ts';

const CASES = Number(process.env['FMA_CASES'] ?? 3000);
const INEXACT = 0x20;
const ALL_MASKED = 0x1f80;

/** With operands XMM0, XMM1 and XMM2. */
const INSTRUCTIONS: readonly (readonly [name: string, width: 4 | 8, elements: number, code: readonly number[]])[] = [
  ['vfmadd231sd', 8, 1, [0xc4, 0xe2, 0xf1, 0xb9, 0xc2]], ['vfmadd231ss', 4, 1, [0xc4, 0xe2, 0x71, 0xb9, 0xc2]],
  ['vfmsub213sd', 8, 1, [0xc4, 0xe2, 0xf1, 0xab, 0xc2]], ['vfnmadd132ss', 4, 1, [0xc4, 0xe2, 0x71, 0x9d, 0xc2]],
  ['vfnmsub231pd', 8, 4, [0xc4, 0xe2, 0xf5, 0xbe, 0xc2]], ['vfmadd231ps', 4, 8, [0xc4, 0xe2, 0x75, 0xb8, 0xc2]],
  ['vfmaddsub231pd', 8, 2, [0xc4, 0xe2, 0xf1, 0xb6, 0xc2]], ['vfmsubadd231ps', 4, 4, [0xc4, 0xe2, 0x71, 0xb7, 0xc2]],
];

/** Numbers with few or many bits, of sizes that meet; now and then something special. */
function pick(random: Random, width: 4 | 8): number {
  if (random.below(60) === 0) return random.pick([0, -0, Infinity, Number.NaN, 5e-324, 1e-40, 1e300, 1e-320]);
  const bits = width === 8 ? 53 : 24;
  const many = Number(random.u64() >> BigInt(64 - bits)) + 1;
  const value = random.below(3) === 0 ? 1 + random.below(16) : many;
  return (random.below(2) ? value : -value) * 2 ** (random.below(12) - 6 - (value === many ? bits : 0));
}

const machine = bareMachine(1 << 20, false, { threshold: 0, entries: 2, regions: 100, steps: true });

test.for(INSTRUCTIONS)('%s compiled gives what the microcode gives', ([name, width, elements, code]) => {
  const { memory, ram, area } = machine;
  const { view } = memory;
  memory.write(ram + 0x1000, Uint8Array.from([...code, 0x0f, 0x0b]));
  machine.set(L.CR4, 0x40620n);
  machine.set(L.XCR0, 7n);
  machine.updateMode();
  const put = (register: number, i: number, value: number): void => {
    const at = area + L.XMM + register * L.XMM_SIZE + i * width;
    if (width === 8) view.setFloat64(at, value, true);
    else view.setFloat32(at, value, true);
  };
  const registers = (): bigint[] => Array.from({ length: 12 }, (_, i) => machine.get(L.XMM + i * 8));
  const run = (given: readonly bigint[], mxcsr: number): { registers: bigint[]; mxcsr: number } => {
    given.forEach((value, i) => machine.set(L.XMM + i * 8, value));
    machine.set32(L.MXCSR, mxcsr);
    machine.set(L.RIP, BigInt(ram + 0x1000));
    machine.set32(L.EVENT_VECTOR, -1);
    machine.driver.run(10);
    expect(machine.event()).toBe(6);
    return { registers: registers(), mxcsr: machine.get32(L.MXCSR) | INEXACT };
  };
  const random = new Random(name.length * 131 + width);
  for (let n = 0; n < CASES; n++) {
    for (let i = 0; i < 32 / width; i++) {
      const [x, y, z] = [pick(random, width), pick(random, width), pick(random, width)];
      // Often what is added all but cancels the product, or lies where rounding is close.
      const third = random.below(2) ? -x * y * random.pick([1, 1 + 2 ** -20, 2 ** 52, 2 ** 24, 2 ** -52, 2 ** -24, 0.5]) : z;
      [i < elements ? third : z, x, y].forEach((value, register) => put(register, i, value));
    }
    const given = registers();
    expect(run(given, ALL_MASKED | INEXACT), `${name} of ${given.map((v) => v.toString(16)).join(' ')}`).toEqual(run(given, ALL_MASKED));
  }
  expect(machine.driver.jit!.statistics.regions).toBeGreaterThan(0);
});
