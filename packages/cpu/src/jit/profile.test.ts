import { expect, test } from 'vitest';
import { HostMemory } from '@vm/kvm-run';
import * as L from '../state/layout.ts';
import { assembleProcessor } from '../processor/create-processor.ts';
import { bareMachine, type BareMachine } from '../testing/bare-machine.ts';

const RAM = 2 << 20;
const ROUNDS = 5000;
/** mov ecx, 5000; head: inc eax; dec ecx; jnz head; ud2 */
const LOOP = [0xb9, 0x88, 0x13, 0, 0, 0xff, 0xc0, 0xff, 0xc9, 0x75, 0xfa, 0x0f, 0x0b];
const HEAD = 5;

function profiledMachine(profile: boolean): BareMachine {
  const machine = bareMachine(RAM, false, { threshold: 60, regions: 100, entries: 1000 }, profile);
  machine.memory.write(machine.ram, Uint8Array.from(LOOP));
  machine.setRflags(2n);
  return machine;
}

function run(machine: BareMachine): void {
  machine.set(L.RIP, BigInt(machine.ram));
  machine.set(L.INSN_COUNT, 0n);
  expect(machine.driver.run(1_000_000)).toBe('shutdown');
  expect(machine.get(L.INSN_COUNT)).toBe(BigInt(1 + 3 * ROUNDS));
}

test('regions tell their code, and count runs and instructions exactly', () => {
  const machine = profiledMachine(true);
  run(machine);
  const { profile, ram } = machine;
  const [region, ...others] = profile!.regions();
  expect(others).toEqual([]);
  expect(region).toMatchObject({ number: 0, entry: BigInt(ram + HEAD), mode: 64, runs: 1 });
  expect(region!.code.map(({ address, bytes }) => [Number(address) - ram, ...bytes])).toEqual([[5, 0xff, 0xc0], [7, 0xff, 0xc9], [9, 0x75, 0xfa], [11, 0x0f, 0x0b]]);
  expect(() => new WebAssembly.Module(region!.module)).not.toThrow();
  // Of the second run the first round alone is interpreted: there the loop is entered from above its head.
  run(machine);
  expect(profile!.regions()[0]).toMatchObject({ runs: 2, instructions: region!.instructions + 3 * (ROUNDS - 1) });
  machine.driver.dispose();
});

test('without a profile nothing counts', () => {
  const [plain, profiled] = [false, true].map((profile) => {
    const machine = profiledMachine(profile);
    run(machine);
    machine.driver.dispose();
    return machine.driver.jit!.statistics.bytes;
  });
  expect(plain).toBeLessThan(profiled!);
});

test('a processor has a profile when it is asked for one', () => {
  const memory = HostMemory.create(64 << 20);
  const plain = assembleProcessor({ memory }).processor;
  expect(plain.profile).toBeNull();
  plain.dispose();
  const { processor, area } = assembleProcessor({ memory, profile: true });
  expect(processor.profile!.regions()).toEqual([]);
  expect(processor.profile!.compiled()).toMatchObject({ regions: 0 });
  memory.view.setBigUint64(area + L.TLB_MISSES, 7n, true);
  expect(processor.profile!.tlbMisses()).toBe(7);
  processor.dispose();
});
