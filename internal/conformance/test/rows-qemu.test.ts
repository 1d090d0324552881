/** Rows of the world switch that are QEMU's: 1, 2 and 14. A multiboot kernel under the whole stack. */
import { afterEach, describe, expect, test } from 'vitest';
import { createVm, type Vm, type VmEnd } from '@vm/stack';
import { multibootConsole } from '../guests/multiboot-console.bin.ts';
import { bytesOfImage } from '../src/guest-image.ts';

let vm: Vm;
let output = '';
let ended: Promise<VmEnd>;

const start = async (): Promise<void> => {
  output = '';
  vm = await createVm({
    kernel: bytesOfImage(multibootConsole), memory: 16, isaDebugExit: true,
    console: (bytes) => { output += String.fromCharCode(...bytes); },
  });
  ended = vm.run();
};
const type = (text: string): void => vm.input(new TextEncoder().encode(text));
const shows = (text: string): Promise<void> => expect.poll(() => output, { timeout: 30_000, interval: 2 }).toBe(text);
const exits = (name: string): number => vm.exits().find((exit) => exit.name === name)?.count ?? 0;

afterEach(async () => {
  vm.stop();
  await ended;
  vm.close();
});

describe('row 1: qemu_kvm_cpu_thread_fn', () => {
  test('an idle vCPU waits for I/O events, and an event wakes it, for the whole life of the vCPU', async () => {
    await start();
    await shows('>');
    for (const [typed, answer] of [['a', '>b'], ['m', '>bn'], ['0', '>bn1']] as const) {
      // Once the guest has halted nothing runs until there is input: the thread does not spin.
      await expect.poll(nothingRuns, { timeout: 30_000 }).toBe(true);
      type(typed);
      await shows(answer);
    }
  });

  test('a vCPU that was stopped does not run (cpu_can_run)', async () => {
    await start();
    await shows('>');
    type('s');
    await expect.poll(() => vm.instructions() > 100_000, { timeout: 30_000, interval: 2 }).toBe(true);
    vm.stop();
    expect((await ended).cause).toBe('stopped');
    const before = vm.instructions();
    await new Promise((resolve) => setTimeout(resolve, 15));
    expect(vm.instructions()).toBe(before);
  });
});

/** Whether no instruction is executed for a while. */
async function nothingRuns(): Promise<boolean> {
  const before = vm.instructions();
  await new Promise((resolve) => setTimeout(resolve, 15));
  return vm.instructions() === before;
}

describe('row 2: kvm_cpu_exec', () => {
  test('goes round KVM_RUN while exits can be served, and leaves with the reason when one ends the machine', async () => {
    await start();
    await shows('>');
    type('q');
    expect(await ended).toMatchObject({ cause: 'debug-exit', code: 3 });
    expect(exits('IO_INSTRUCTION')).toBeGreaterThan(10);
  });

  test('a triple fault leaves with the registers as they were', async () => {
    await start();
    await shows('>');
    type('t');
    const end = await ended;
    expect(end).toMatchObject({ cause: 'triple-fault' });
    expect(end.state).toMatch(/EIP=0010|RIP=0*10[0-9a-f]{4}/i);
  });
});

describe('row 14: kvm_cpu_exec serves the device', () => {
  test('what a device answers is what the guest reads', async () => {
    // The guest goes on only when the scratch register of the UART gives back 0x5a.
    await start();
    await shows('>');
  });

  test('what the guest writes reaches the device', async () => {
    await start();
    await shows('>');
    type('xyz');
    await shows('>yz{');
  });
});
