import {
  EFAULT,
  EINTR,
  HostMemory,
  KVM_EXIT_DEBUG,
  KVM_EXIT_EXCEPTION,
  KVM_EXIT_FAIL_ENTRY,
  KVM_EXIT_HLT,
  KVM_EXIT_HYPERCALL,
  KVM_EXIT_INTERNAL_ERROR,
  KVM_EXIT_INTR,
  KVM_EXIT_IO,
  KVM_EXIT_IO_IN,
  KVM_EXIT_IRQ_WINDOW_OPEN,
  KVM_EXIT_MEMORY_FAULT,
  KVM_EXIT_NOTIFY,
  KVM_EXIT_SET_TPR,
  KVM_EXIT_SHUTDOWN,
  KVM_EXIT_SYSTEM_EVENT,
  KVM_EXIT_UNKNOWN,
  KVM_EXIT_X86_RDMSR,
  KVM_EXIT_X86_WRMSR,
  KVM_PIO_PAGE_OFFSET,
} from '@vm/kvm-run';
import { describe, expect, it } from 'vitest';
import { FakeKvm, exit, mmio, out, type Step } from '../../../test/fake-kvm.ts';
import { AddressSpace } from '../../system/address-space.ts';
import { IoPortSpace } from '../../system/io-port-space.ts';
import { MemoryRegion } from '../../system/memory-region.ts';
import { RunState } from '../../system/runstate.ts';
import { X86Env } from '../../target/i386/env.ts';
import { CpuState } from './cpu-state.ts';
import { kvmInit } from './kvm-all.ts';
import { EXCP_DEBUG, EXCP_HLT, EXCP_INTERRUPT, kvmCpuExec } from './kvm-cpu-exec.ts';
import { KvmError } from './kvm-error.ts';

const DATA = KVM_PIO_PAGE_OFFSET * 4096;

function make(options: { tripleFault?: 'reset' | 'stop' } = {}): { kvm: FakeKvm; cpu: CpuState; log: string[]; runState: RunState } {
  const log: string[] = [];
  const host = HostMemory.create(1 << 21);
  const kvm = new FakeKvm();
  const ioPorts = MemoryRegion.container('I/O', 0x10000);
  const root = MemoryRegion.container('system', 2 ** 40);
  let next = 0x10;
  const ops = {
    read: (offset: number, size: number) => (log.push(`r${offset}.${size}`), next++),
    write: (offset: number, size: number, value: number) => log.push(`w${offset}.${size}=${value.toString(16)}`),
  };
  ioPorts.addSubregion(0x3f8, MemoryRegion.io('device', 8, ops));
  root.addSubregion(0xd0000000, MemoryRegion.io('device', 0x1000, ops));
  const runState = new RunState({ reboot: 'reset', tripleFault: options.tripleFault ?? 'stop' }, () => cpu.cpuExit());
  const cpu: CpuState = new CpuState({
    index: 0,
    kvm: kvmInit({ system: kvm, memory: host, identityBase: 0xfeffc000 }),
    env: new X86Env(true),
    memory: new AddressSpace('memory', root, host),
    ioPorts: new IoPortSpace(ioPorts, host),
    runState,
  });
  return { kvm, cpu, log, runState };
}

describe('kvm_cpu_exec', () => {
  it('serves port output, strings of it too, and goes in again until it is interrupted', () => {
    const { kvm, cpu, log } = make();
    kvm.steps = [out(0x3f8, 1, 0x41), out(0x3f8, 1, 0x42, 0x43), out(0x3fa, 2, 0xbeef), out(0x3fc, 4, 0xdeadbeef)];
    expect(kvmCpuExec(cpu)).toBe(EXCP_INTERRUPT);
    expect(log).toEqual(['w0.1=41', 'w0.1=42', 'w0.1=43', 'w2.2=beef', 'w4.4=deadbeef']);
  });

  it.each([
    [1, 3, [0x10, 0x11, 0x12]],
    [2, 2, [0x10, 0, 0x11, 0]],
    [4, 1, [0x10, 0, 0, 0]],
  ] as const)('answers an input of %i bytes, %i times', (size, count, expected) => {
    const { kvm, cpu } = make();
    kvm.steps = [
      (run) => {
        run.exitReason = KVM_EXIT_IO;
        run.setIo(KVM_EXIT_IO_IN, size, 0x3f8, count);
        return 0;
      },
    ];
    kvmCpuExec(cpu);
    expect([...kvm.mapping.subarray(DATA, DATA + expected.length)]).toEqual(expected);
  });

  it('serves memory-mapped access, and answers all ones where nothing is', () => {
    const { kvm, cpu, log } = make();
    let answer: number[] = [];
    kvm.steps = [
      mmio(0xd0000010, true, [1, 2, 3, 4, 5, 6, 7, 8]),
      mmio(0x9_0000_0000, false, [0, 0]),
      (run) => {
        answer = [...run.bytes.subarray(run.mmioDataOffset, run.mmioDataOffset + 2)];
        return -EINTR;
      },
    ];
    kvmCpuExec(cpu);
    expect(log).toEqual(['w16.4=4030201', 'w20.4=8070605']);
    expect([answer, cpu.memory.unassigned.last]).toEqual([[0xff, 0xff], 0x9_0000_0000]);
  });

  it('carries out coalesced writes before the exit that follows them', () => {
    const { kvm, cpu, log } = make();
    const entry = (i: number, address: number, length: number, pio: number, value: number): void => {
      const base = (2 * 4096 + 8 + i * 24) / 4;
      kvm.run.u32.set([address, 0, length, pio, value, 0], base);
      kvm.run.u32[(2 * 4096) / 4 + 1] = i + 1;
    };
    kvm.steps = [
      (run) => {
        entry(0, 0x3f9, 1, 1, 0x55);
        entry(1, 0xd0000004, 4, 0, 0x1234);
        return out(0x3f8, 1, 0x41)(run);
      },
    ];
    kvmCpuExec(cpu);
    expect(log).toEqual(['w1.1=55', 'w4.4=1234', 'w0.1=41']);
    expect(kvm.run.u32[(2 * 4096) / 4]).toBe(2);
  });

  it('does not follow a ring that points outside of itself', () => {
    const { kvm, cpu, log } = make();
    kvm.run.u32[(2 * 4096) / 4] = 0xffff_fff0;
    kvm.run.u32[(2 * 4096) / 4 + 1] = 3;
    kvmCpuExec(cpu);
    expect(log).toEqual([]);
  });

  it.each<[name: string, step: Step, result: number]>([
    ['INTR', exit(KVM_EXIT_INTR), EXCP_INTERRUPT],
    ['IRQ_WINDOW_OPEN', exit(KVM_EXIT_IRQ_WINDOW_OPEN), EXCP_INTERRUPT],
    ['DEBUG', exit(KVM_EXIT_DEBUG), EXCP_DEBUG],
    ['HLT', exit(KVM_EXIT_HLT), EXCP_HLT],
    ['SET_TPR, which asks for nothing', exit(KVM_EXIT_SET_TPR), EXCP_INTERRUPT],
    ['NOTIFY with a good context', exit(KVM_EXIT_NOTIFY, 0), EXCP_INTERRUPT],
  ])('%s', (_name, step, result) => {
    const { kvm, cpu, runState } = make();
    kvm.steps = [step];
    expect([kvmCpuExec(cpu), runState.exitRequested]).toEqual([result, undefined]);
  });

  it.each<[name: string, step: Step, cause: string, code: number, message: RegExp]>([
    ['UNKNOWN', exit(KVM_EXIT_UNKNOWN, 55), 'internal-error', 70, /hardware reason 0x37/],
    ['EXCEPTION', exit(KVM_EXIT_EXCEPTION, 13, 2), 'internal-error', 70, /exception 13 exit \(error code 0x2\)/],
    ['FAIL_ENTRY', exit(KVM_EXIT_FAIL_ENTRY, 0x80000021), 'internal-error', 70, /hardware error 0x80000021: the guest state/],
    [
      'INTERNAL_ERROR',
      exit(KVM_EXIT_INTERNAL_ERROR, 1, 1, 0xab, 0),
      'internal-error',
      70,
      /Suberror: 1 \(emulation failure\)\nextra data\[0\]: 0xab/,
    ],
    ['MEMORY_FAULT', exit(KVM_EXIT_MEMORY_FAULT, 0, 0, 0x1000, 0, 4096), 'internal-error', 70, /memory fault at 0x1000/],
    ['NOTIFY with a bad context', exit(KVM_EXIT_NOTIFY, 1), 'internal-error', 70, /cannot be used/],
    ['a number that is none', exit(4711), 'internal-error', 70, /exit reason 4711/],
    ['SYSTEM_EVENT crash', exit(KVM_EXIT_SYSTEM_EVENT, 3, 1, 7, 0), 'panic', 72, /crash: 0x7/],
    ['SYSTEM_EVENT unknown', exit(KVM_EXIT_SYSTEM_EVENT, 99), 'internal-error', 70, /system event 99/],
    ['an error of KVM_RUN', () => -EFAULT, 'internal-error', 70, /KVM_RUN failed: EFAULT/],
  ])('%s ends the machine and shows the registers', (_name, step, cause, code, message) => {
    const { kvm, cpu, runState } = make();
    kvm.steps = [step];
    expect(kvmCpuExec(cpu)).toBe(-1);
    expect(runState.exitRequested).toMatchObject({ cause, code });
    expect(runState.exitRequested!.message).toMatch(message);
    expect(runState.exitRequested!.state).toMatch(/^RAX=.*\nRSI=[^]*CR0=/);
  });

  it('reports a triple fault with the registers that led to it', () => {
    const { kvm, cpu, runState } = make();
    cpu.env.regs.rip = 0x1234n;
    cpu.vcpuDirty = true;
    kvm.steps = [exit(KVM_EXIT_SHUTDOWN)];
    expect(kvmCpuExec(cpu)).toBe(EXCP_INTERRUPT);
    expect(runState.exitRequested).toMatchObject({ cause: 'triple-fault', code: 72 });
    expect(runState.exitRequested!.state).toContain('RIP=0000000000001234');
  });

  it('resets on a triple fault when asked to, and remembers it', () => {
    const { kvm, cpu, runState } = make({ tripleFault: 'reset' });
    kvm.steps = [exit(KVM_EXIT_SHUTDOWN)];
    kvmCpuExec(cpu);
    expect([runState.exitRequested, runState.takeReset(), runState.lastTripleFault?.cause]).toEqual([undefined, true, 'triple-fault']);
  });

  it.each([
    ['RDMSR', KVM_EXIT_X86_RDMSR],
    ['WRMSR', KVM_EXIT_X86_WRMSR],
  ])('answers %s with #GP', (_name, reason) => {
    const { kvm, cpu } = make();
    kvm.steps = [exit(reason, 0)];
    kvmCpuExec(cpu);
    expect(kvm.run.bytes[32]).toBe(1);
  });

  it('answers a hypercall with -ENOSYS', () => {
    const { kvm, cpu } = make();
    kvm.steps = [exit(KVM_EXIT_HYPERCALL)];
    kvmCpuExec(cpu);
    expect(kvm.run.view.getBigInt64(88, true)).toBe(-1000n);
  });

  it('lets KVM complete the instruction before it leaves on a request', () => {
    const { kvm, cpu, runState } = make();
    const immediate: number[] = [];
    kvm.steps = [
      (run) => {
        runState.qemuSystemShutdownRequest();
        return out(0x3f8, 1, 0)(run);
      },
    ];
    const ioctl = kvm.ioctl.bind(kvm);
    kvm.ioctl = (code, argument) => {
      if ((code & 0xff) === 0x80) immediate.push(kvm.run.immediateExit);
      return ioctl(code, argument);
    };
    expect(kvmCpuExec(cpu)).toBe(EXCP_INTERRUPT);
    expect(immediate).toEqual([0, 1]);
    expect([kvm.run.immediateExit, cpu.exitRequest]).toEqual([0, false]);
  });

  it('gives KVM the registers that were changed, once', () => {
    const { kvm, cpu } = make();
    cpu.env.regs.rax = 5n;
    cpu.vcpuDirty = true;
    kvm.steps = [out(0x3f8, 1, 0)];
    kvmCpuExec(cpu);
    const [set] = kvm.named('KVM_SET_REGS');
    expect([kvm.named('KVM_SET_REGS').length, (set!.argument as Uint8Array)[0]]).toEqual([1, 5]);
  });
});

describe('kvm_init', () => {
  const memory = HostMemory.create(1 << 21);
  const init = (prepare: (kvm: FakeKvm) => void): (() => unknown) => {
    const kvm = new FakeKvm();
    prepare(kvm);
    return () => kvmInit({ system: kvm, memory, identityBase: 0xfeffc000 });
  };

  it.each<[name: string, prepare: (kvm: FakeKvm) => void, message: RegExp]>([
    ['another version', (kvm) => kvm.results.set('KVM_GET_API_VERSION', 11), /version 11, not 12/],
    ['a capability that is not there', (kvm) => kvm.lacking.add(3), /KVM lacks KVM_CAP_USER_MEMORY/],
    ['no VM', (kvm) => kvm.results.set('KVM_CREATE_VM', -12), /KVM_CREATE_VM failed: ENOMEM/],
    ['no chips', (kvm) => kvm.results.set('KVM_CREATE_IRQCHIP', -17), /KVM_CREATE_IRQCHIP failed: EEXIST/],
    ['a mapping that is too small', (kvm) => kvm.results.set('KVM_GET_VCPU_MMAP_SIZE', 4096), /4096 bytes, not at least/],
  ])('refuses %s', (_name, prepare, message) => {
    expect(init(prepare)).toThrow(message);
    expect(init(prepare)).toThrow(KvmError);
  });
});
