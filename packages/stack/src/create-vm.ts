/** The one-thread composition: a physical processor, KVM on it, and a microvm above KVM, all on the caller's thread. */
import { createProcessor, type ModelProcessor, type ProcessorProfile } from '@vm/cpu';
import { type KvmDevice, openKvm, tracepoints } from '@vm/kvm';
import { HostMemory } from '@vm/kvm-run';
import { type SwitchStep, exitReasonName } from '@vm/kvm-run/vmx';
import { type Microvm, createMicrovm } from '@vm/qemu';
import { EventLoop } from './event-loop.ts';
import type { ExitCount, TraceListener, Vm, VmEnd, VmOptions } from './vm-options.ts';

const MIB = 2 ** 20;
const DEFAULT_MEMORY = 128;
/** Beside the guest's memory: translated code, EPT, VMCS and APIC pages, the processor's own area. */
const HOST_OVERHEAD_MIB = 128;
/** How often the guest is left for input and device timers, in Hz. */
const TICK_HZ = 100;
/** In deterministic mode an instruction is a tick of the TSC: a frequency near the interpreter's speed. */
const DETERMINISTIC_TSC_KHZ = 250_000;
const SEED_BYTES = 32;

/** Makes a machine that is ready to run. Throws LoaderError, MachineError or OutOfHostMemory, each with a message for the user. */
export async function createVm(options: VmOptions): Promise<Vm> {
  const memoryMiB = options.memory ?? DEFAULT_MEMORY;
  const deterministic = options.deterministic === true;
  const memory = HostMemory.create((memoryMiB + HOST_OVERHEAD_MIB) * MIB);
  const jit = options.jit === false ? null : options.jit ?? {};
  const processor = createProcessor({ memory, deterministic, jit, profile: options.profile === true, ...(deterministic ? { tscKhz: DETERMINISTIC_TSC_KHZ } : {}) });
  const loop = new EventLoop(processor);
  const kvm = openKvm({
    memory, processors: [processor], statistics: true, realtime: loop.wallClock(), tickHz: TICK_HZ,
    tick: () => true, block: (_processor, wakeAtTsc) => loop.block(wakeAtTsc),
  });
  const machine = createMicrovm({
    kvm, hostMemory: memory, timers: loop, waitIoEvent: () => loop.waitIoEvent(),
    memoryMiB, kernel: options.kernel, append: options.append ?? '', unpack: options.unpack ?? true,
    testDevices: options.isaDebugExit === true, onReboot: options.noReboot === true ? 'stop' : 'reset',
    modules: (options.modules ?? []).map(({ bytes, commandLine = '' }) => ({ bytes, commandLine })),
    ...(options.kernelName === undefined ? {} : { kernelName: options.kernelName }),
    ...(options.initrd === undefined ? {} : { initrd: options.initrd }),
    ...(options.console === undefined ? {} : { onSerialOutput: options.console }),
    ...(deterministic ? {} : { rngSeed: crypto.getRandomValues(new Uint8Array(SEED_BYTES)) }),
  });
  await machine.load();
  return new OneThreadVm(processor, kvm, machine, loop);
}

class OneThreadVm implements Vm {
  readonly #processor: ModelProcessor;
  readonly #kvm: KvmDevice;
  readonly #machine: Microvm;
  readonly #loop: EventLoop;
  #onTrace: TraceListener | null = null;

  constructor(processor: ModelProcessor, kvm: KvmDevice, machine: Microvm, loop: EventLoop) {
    this.#processor = processor;
    this.#kvm = kvm;
    this.#machine = machine;
    this.#loop = loop;
  }

  async run(): Promise<VmEnd> {
    return this.#machine.run();
  }

  stop(): void {
    this.#machine.quit();
    this.#loop.wake();
  }

  input(bytes: Uint8Array): void {
    this.#machine.serial.input(bytes);
    this.#loop.wake();
  }

  powerButton(): void {
    this.#machine.powerdown();
    this.#loop.wake();
  }

  close(): void {
    this.#machine.close();
    this.#kvm.close();
    this.#processor.dispose();
  }

  exits(): ExitCount[] {
    const { statistics } = this.#kvm;
    if (statistics === null) return [];
    const { count, totalNs, minNs, maxNs, squaresNs } = statistics;
    const exits: ExitCount[] = [];
    count.forEach((samples, reason) => {
      if (samples === 0) return;
      const timed = minNs[reason] === Infinity ? 0 : minNs[reason]!;
      exits.push({
        reason, name: exitReasonName(reason), count: samples, totalNs: totalNs[reason]!, minNs: timed, maxNs: maxNs[reason]!, squaresNs: squaresNs[reason]!,
      });
    });
    return exits;
  }

  instructions(): number {
    return this.#processor.instructionCount();
  }

  get profile(): ProcessorProfile | null {
    return this.#processor.profile;
  }

  now(): number {
    return this.#loop.now();
  }

  get onTrace(): TraceListener | null {
    return this.#onTrace;
  }
  set onTrace(listener: TraceListener | null) {
    this.#onTrace = listener;
    this.#kvm.tracer = listener === null ? null : { event: (name, ...fields) => listener(name, tracepoints[name], fields) };
  }

  get onSwitch(): ((step: SwitchStep) => void) | null {
    return this.#processor.switchObserver;
  }
  set onSwitch(listener: ((step: SwitchStep) => void) | null) {
    this.#processor.switchObserver = listener;
  }
}
