import { expect, test } from 'vitest';
import * as L from '../state/layout.ts';
import { bareMachine, type BareMachine } from './bare-machine.ts';
import { TEST_JIT } from './test-jit.ts';
import { GUEST_CODE, VmxGuest } from './vmx-guest.ts';

/** mov ecx, 1000; head: dec ecx; jnz head */
const LOOP = [0xb9, 0xe8, 3, 0, 0, 0xff, 0xc9, 0x75, 0xfc];

function loop(m: BareMachine): void {
  m.memory.write(m.ram, Uint8Array.from([...LOOP, 0x0f, 0x0b]));
  m.set(L.RIP, BigInt(m.ram));
  m.driver.run();
}

if (TEST_JIT === null) {
  test('guest code is interpreted', () => {
    expect(bareMachine(1 << 20).driver.jit).toBeNull();
    expect(new VmxGuest().parts.driver.jit).toBeNull();
  });
} else {
  test('guest code is compiled, and what was compiled is what runs', () => {
    const m = bareMachine(1 << 20);
    loop(m);
    const { table, statistics } = m.driver.jit!;
    expect(statistics.regions).toBeGreaterThan(0);
    for (let i = 0; i < table.length; i++) table.set(i, null);
    m.set(L.RIP, BigInt(m.ram));
    expect(() => m.driver.run()).toThrow(WebAssembly.RuntimeError);
  });

  test('single instructions are compiled too', () => {
    const m = bareMachine(1 << 20, true);
    loop(m);
    expect(m.get(L.INSN_COUNT)).toBe(2001n);
    expect(m.driver.jit!.statistics.regions).toBeGreaterThanOrEqual(3);
  });

  test('a guest of VMX is compiled', () => {
    const guest = new VmxGuest();
    guest.code([...LOOP, 0xf4], GUEST_CODE);
    guest.run();
    expect(guest.parts.driver.jit!.statistics.regions).toBeGreaterThan(0);
  });
}
