import type { HostMemory } from '@vm/kvm-run';
import { PAGE_SIZE } from '@vm/kvm-run';
import type { Processor } from '@vm/kvm-run/vmx';
import { DEFAULT_JIT, type JitOptions } from '../jit/jit.ts';
import { JitProfile } from '../jit/profile.ts';
import { instantiateMicrocode, type Microcode, microcodeModule, namedMicrocodeModule } from '../microcode/instantiate.ts';
import { AREA_SIZE, PENDING_VECTORS, REQUESTS } from '../state/layout.ts';
import { type Clock, hostClock, instructionClock } from './clock.ts';
import { Driver } from './driver.ts';
import { type ProcessorProfile, processorProfile } from './profile.ts';
import { hostMicrocode, type HostMicrocode } from './microcode-host.ts';
import { resetProcessor } from './reset.ts';
import { HostFault, VmxProcessor } from './vmx-processor.ts';

export interface ProcessorOptions {
  readonly memory: HostMemory;
  /** Number of the processor, and its initial APIC identifier; 0 is the boot processor. */
  readonly id?: number;
  readonly tscKhz?: number;
  /** Time is the count of executed instructions. */
  readonly deterministic?: boolean;
  /** Bytes for translated code. */
  readonly traceArenaBytes?: number;
  /** How hot code is compiled to WebAssembly, where it differs from the default; null: everything is interpreted. */
  readonly jit?: Partial<JitOptions> | null;
  /** Keeps account of compiled code and names WebAssembly for profilers, for ModelProcessor.profile. */
  readonly profile?: boolean;
}

/** The processor, and what a model has beyond hardware. */
export interface ModelProcessor extends Processor {
  /** Null unless it was asked for. */
  readonly profile: ProcessorProfile | null;
  /** Gives back what it holds; it can't run any more. */
  dispose(): void;
}

const DEFAULT_TSC_KHZ = 2_000_000;
const DEFAULT_ARENA_BYTES = 32 << 20;
/** Longest sleep of a halted guest, in milliseconds: the host clock is looked at again at least so often. */
const LONGEST_SLEEP = 100;

/** Makes a processor in its reset state (SDM vol. 3A, table 10-1). Throws OutOfHostMemory. */
export function createProcessor(options: ProcessorOptions): ModelProcessor {
  return assembleProcessor(options).processor;
}

/** A processor with what it is made of. */
export interface AssembledProcessor {
  readonly processor: ModelProcessor;
  readonly area: number;
  readonly driver: Driver;
}

export function assembleProcessor(options: ProcessorOptions): AssembledProcessor {
  const { memory, id = 0, tscKhz = DEFAULT_TSC_KHZ, deterministic = false, traceArenaBytes = DEFAULT_ARENA_BYTES, jit = {} } = options;
  const profile = options.profile === true ? new JitProfile(memory) : null;
  if (!(tscKhz > 0)) throw new RangeError(`tscKhz is ${tscKhz}: give a frequency above 0`);
  const pages = Math.ceil(AREA_SIZE / PAGE_SIZE);
  const area = memory.allocPages(pages);
  resetProcessor(memory, area, { id, tscKhz, deterministic, seed: seedOf(id, deterministic) });
  const clock = deterministic ? instructionClock(memory, area) : hostClock(tscKhz);
  const microcode = instantiateMicrocode(memory, area, { readClock: () => clock.now(), cpuTrace: () => {} }, profile ? namedMicrocodeModule() : microcodeModule());
  const host = hostMicrocode(microcode);
  host.updateMode();
  const driver = createDriver(memory, area, microcode, host, clock, tscKhz, traceArenaBytes, jit && { ...DEFAULT_JIT, ...jit }, profile);
  const unsubscribe = memory.onCodeWrite((address, length) => driver.codeWritten(address, length));
  const processor = new VmxProcessor({
    id, memory, area, microcode: host, clock, tscKhz,
    runner: { runGuest: () => runGuest(driver) },
    profile: profile && processorProfile(memory, area, driver, profile),
    dispose: () => {
      unsubscribe();
      driver.dispose();
      profile?.dispose();
      memory.free(area, pages);
    },
  });
  return { processor, area, driver };
}

function runGuest(driver: Driver): void {
  const end = driver.run();
  if (end !== 'vmexit') throw new HostFault('VM exit', `VMX abort: the processor shut down (${end})`);
}

function createDriver(
  memory: HostMemory, area: number, microcode: Microcode, host: HostMicrocode, clock: Clock, tscKhz: number, arenaBytes: number,
  jit: JitOptions | null, profile: JitProfile | null,
): Driver {
  return new Driver(memory, area, microcode, {
    budget: (longest) => Math.min(longest, host.budgetUntilTimer()),
    halted: () => {
      waitForEvent(memory, area, host, clock, tscKhz);
      return true;
    },
  }, arenaBytes, jit, profile);
}

/** A guest is halted and the halt did not exit: lets time pass until its timer, or until somebody raises a request. */
function waitForEvent(memory: HostMemory, area: number, host: HostMicrocode, clock: Clock, tscKhz: number): void {
  const ticks = host.nextDeadline() - host.rdtsc();
  if (clock.deterministic && ticks !== Infinity) return clock.advanceTo(clock.now() + Math.max(0, ticks));
  for (let word = 0; word < 8; word++) if (Atomics.load(memory.i32, (area + PENDING_VECTORS + word * 4) >>> 2) !== 0) return;
  const requests = (area + REQUESTS) >>> 2;
  const timeout = Math.min(LONGEST_SLEEP, Math.max(0, ticks / tscKhz));
  try {
    Atomics.wait(memory.i32, requests, 0, timeout);
  } catch {
    // A thread that may not block looks again at once.
  }
}

/** RDRAND's state: fixed in deterministic mode. */
function seedOf(id: number, deterministic: boolean): readonly [number, number] {
  if (deterministic) return [0x9e3779b9, id + 1];
  const word = (): number => Math.floor(Math.random() * 0x1_0000_0000) | 1;
  return [word(), word()];
}
