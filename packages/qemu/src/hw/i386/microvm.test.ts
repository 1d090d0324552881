import { HostMemory, KVM_EXIT_SHUTDOWN, kvmRegs, kvmUserspaceMemoryRegion, view } from '@vm/kvm-run';
import { describe, expect, it } from 'vitest';
import { FakeKvm, exit, input, mmio, out, type Step } from '../../../test/fake-kvm.ts';
import { FakeTimers } from '../../../test/fake-timers.ts';
import { elf } from '../../../test/images.ts';
import { LoaderError } from './boot/loader-error.ts';
import { EBDA_START, MiB, ZERO_PAGE } from './layout.ts';
import type { MicrovmOptions } from './microvm-options.ts';
import { createMicrovm, type Microvm } from './microvm.ts';

const host = HostMemory.create(256 * MiB);
const kernel = elf({ entry: 0x1000000, segments: [{ address: 0x1000000, bytes: Uint8Array.of(0xf4), size: 0x2000 }] });

interface Made {
  readonly machine: Microvm;
  readonly kvm: FakeKvm;
  readonly output: () => string;
}

function make(steps: Step[] = [], options: Partial<MicrovmOptions> = {}): Made {
  const kvm = new FakeKvm();
  kvm.steps = steps;
  let output = '';
  const machine = createMicrovm({
    kvm,
    hostMemory: host,
    timers: new FakeTimers(),
    waitIoEvent: async () => {
      if (kvm.steps.length === 0) machine.quit({ code: 99, cause: 'stopped', message: 'the script ended' });
    },
    memoryMiB: 64,
    kernel,
    onSerialOutput: (bytes) => (output += new TextDecoder().decode(bytes)),
    ...options,
  });
  return { machine, kvm, output: () => output };
}

const S5 = out(0x604, 2, 0x2000 | (5 << 10));

describe('microvm', () => {
  it('prints what the guest sends, and ends with 0 when it powers off', async () => {
    const { machine, output, kvm } = make([out(0x3f8, 1, ...new TextEncoder().encode('hello\n')), S5, () => -4]);
    expect(await machine.run()).toEqual({ code: 0, cause: 'poweroff', message: 'the guest powered off' });
    expect([output(), kvm.steps.length]).toEqual(['hello\n', 1]);
    machine.close();
  });

  it('gives KVM its memory as slots of host pages', async () => {
    const { machine, kvm } = make();
    const slots = kvm.named('KVM_SET_USER_MEMORY_REGION').map((call) => view(kvmUserspaceMemoryRegion, call.argument as Uint8Array));
    expect(slots.map((slot) => [slot.slot, slot.guest_phys_addr, slot.memory_size])).toEqual([[0, 0n, BigInt(64 * MiB)]]);
    expect(slots[0]!.userspace_addr % BigInt(2 * MiB)).toBe(0n);
    machine.close();
  });

  it('starts the kernel with what it needs in memory', async () => {
    const { machine, kvm } = make([S5]);
    await machine.run();
    const regs = view(kvmRegs, kvm.named('KVM_SET_REGS')[0]!.argument as Uint8Array);
    expect([regs.rip, regs.rsi]).toEqual([0x1000000n, BigInt(ZERO_PAGE)]);
    const at = (address: number, length: number): string => {
      const bytes = new Uint8Array(length);
      machine.memory.read(address, bytes);
      return new TextDecoder().decode(bytes);
    };
    expect([at(0xe0000, 8), at(EBDA_START, 4), at(ZERO_PAGE + 0x202, 4), at(0x1000000, 1)]).toEqual([
      'RSD PTR ',
      '_MP_',
      'HdrS',
      String.fromCharCode(0xfffd),
    ]);
    machine.close();
  });

  it.each([
    ['the keyboard controller', out(0x64, 1, 0xfe)],
    ['the reset register', out(0xcf9, 1, 0x06)],
    ['port 92', out(0x92, 1, 0x01)],
  ])('starts over by %s', async (_name, step) => {
    const { machine, kvm } = make([mmio(0xf0000000, true, [1]), step, S5]);
    machine.memory.write(0x1000000, Uint8Array.of(1));
    expect(await machine.run()).toMatchObject({ code: 0, cause: 'poweroff' });
    for (const name of ['KVM_SET_LAPIC', 'KVM_SET_PIT2', 'KVM_SET_MSRS']) expect(kvm.named(name)).toHaveLength(1);
    expect(kvm.named('KVM_SET_IRQCHIP')).toHaveLength(3);
    expect(kvm.named('KVM_SET_REGS')).toHaveLength(2);
    expect(machine.memory.memory.u8[machine.memory.hostAddress(0x1000000, 1)]).toBe(0xf4);
    machine.close();
  });

  it('ends instead of starting over when it was told so', async () => {
    const { machine } = make([out(0xcf9, 1, 0x06)], { onReboot: 'stop' });
    expect(await machine.run()).toMatchObject({ code: 0, cause: 'reset' });
    machine.close();
  });

  it('is not reset by a dword to the PCI configuration port, and reads all ones there', async () => {
    let value = 0;
    const { machine } = make([out(0xcf8, 4, 0x80000600), ...input(0xcf8, 4, (read) => (value = read))]);
    expect(await machine.run()).toMatchObject({ code: 99 });
    expect(value).toBe(0xffffffff);
    machine.close();
  });

  it('reports a triple fault', async () => {
    const { machine } = make([exit(KVM_EXIT_SHUTDOWN)]);
    const status = await machine.run();
    expect(status).toMatchObject({ code: 72, cause: 'triple-fault' });
    expect(status.state).toContain('CR3=');
    machine.close();
  });

  it.each([0xf4, 0x501])('ends with the status written to isa-debug-exit at 0x%s', async (port) => {
    const { machine } = make([out(port, 1, 0x10)], { isaDebugExit: true });
    expect(await machine.run()).toMatchObject({ code: 0x21, cause: 'debug-exit' });
    machine.close();
  });

  it('passes input to the serial port with an interrupt', async () => {
    const { machine, kvm } = make([out(0x3f9, 1, 1), () => -4, ...input(0x3f8, 1, (value) => expect(value).toBe(0x78))]);
    const done = machine.run();
    machine.serial.input(Uint8Array.of(0x78));
    await done;
    expect(kvm.named('KVM_IRQ_LINE').map((call) => [...new Uint32Array((call.argument as Uint8Array).slice().buffer)])).toContainEqual([
      4, 1,
    ]);
    expect(kvm.lines.get(4)).toBe(0);
    machine.close();
  });

  it('can be stopped while it waits, and run again', async () => {
    const { machine, kvm } = make([], { waitIoEvent: () => new Promise(() => {}) });
    const done = machine.run();
    await new Promise((resolve) => setTimeout(resolve, 5));
    machine.quit();
    expect(await done).toMatchObject({ code: 0, cause: 'stopped' });
    kvm.steps = [S5];
    expect(await machine.run()).toMatchObject({ cause: 'poweroff' });
    machine.close();
    await expect(machine.run()).rejects.toThrow(/closed/);
  });

  it('shows the guest CPUID of a hypervisor without VMX, unless nested', () => {
    const ecx = (nested: boolean): number => {
      const { machine, kvm } = make([], { nested });
      machine.close();
      return new DataView((kvm.named('KVM_SET_CPUID2')[0]!.argument as Uint8Array).buffer).getUint32(8 + 40 + 20, true);
    };
    expect([ecx(false), ecx(true)]).toEqual([0x81000000, 0x81000020]);
  });

  it('coalesces writes to the delay port', () => {
    const { machine, kvm } = make();
    expect(kvm.named('KVM_REGISTER_COALESCED_MMIO')).toHaveLength(1);
    machine.close();
  });

  it.each([
    [{ memoryMiB: 0 }, /0 MiB of memory: give a whole number, 2 or more/],
    [{ memoryMiB: 12.5 }, /whole number/],
    [{ memoryMiB: 4096 }, /the host memory has \d+ MiB free/],
    [{ cpus: 0 }, /0 processors: KVM has 1 to 8/],
    [{ cpus: 9 }, /9 processors/],
  ] as const)('refuses %j', (options, message) => {
    expect(() => make([], options)).toThrow(message);
  });

  it('rejects a bad kernel, and gives its memory back whatever happens', async () => {
    const free = host.freePages;
    const { machine } = make([], { kernel: new TextEncoder().encode('not a kernel') });
    await expect(machine.load()).rejects.toBeInstanceOf(LoaderError);
    await expect(machine.run()).rejects.toBeInstanceOf(LoaderError);
    machine.close();
    const refusing = new FakeKvm();
    refusing.results.set('KVM_CREATE_VCPU', -12);
    expect(() => make([], { kvm: refusing })).toThrow(/KVM_CREATE_VCPU failed: ENOMEM/);
    expect(host.freePages).toBe(free);
  });
});
