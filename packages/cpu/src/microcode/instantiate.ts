import type { HostMemory } from '@vm/kvm-run';
import { withNames } from '../wasm/name-section.ts';
import { decodeBase64 } from './base64.ts';
import { MICROCODE } from './microcode.gen.ts';

/** What the microcode calls in the host. */
export interface MicrocodeHost {
  /** The clock that the TSC counts, in ticks. */
  readonly readClock: () => number;
  /** Called at points that a trace names; only when tracing. */
  readonly cpuTrace: (code: number) => void;
}

/** A microcode handler: executes the instruction of the record, returns a status (ST_*, layout.ts). */
export type MicrocodeHandler = (record: number) => number;

/** Functions of the microcode by name; handlers (`op_*`) take a record, the others what microcode/index.ts shows. */
export type MicrocodeExports = Readonly<Record<string, (...args: (number | bigint)[]) => number | bigint>>;

/** One instance of the microcode, bound to one processor's area. */
export interface Microcode {
  readonly exports: MicrocodeExports;
  /** The handlers, by name without `op_`. */
  readonly handler: (name: string) => MicrocodeHandler | undefined;
}

let compiled: WebAssembly.Module | undefined;

/** The microcode's module, compiled once a thread. */
export function microcodeModule(): WebAssembly.Module {
  compiled ??= new WebAssembly.Module(decodeBase64(MICROCODE));
  return compiled;
}

/** The same with names of its functions, for profiles. */
export function namedMicrocodeModule(): WebAssembly.Module {
  return new WebAssembly.Module(withNames(decodeBase64(MICROCODE), 'microcode'));
}

/** Makes an instance of the microcode for the processor whose area is at `area`, with an empty TLB. */
export function instantiateMicrocode(
  memory: HostMemory,
  area: number,
  host: MicrocodeHost,
  module: WebAssembly.Module = microcodeModule(),
): Microcode {
  const instance = new WebAssembly.Instance(module, {
    env: {
      memory: memory.memory,
      abort: () => {
        throw new Error('the microcode aborted');
      },
    },
    host: { readClock: host.readClock, cpuTrace: host.cpuTrace },
  });
  const exports = instance.exports as unknown as MicrocodeExports;
  exports['init']!(area);
  exports['flushTlb']!();
  return { exports, handler: (name) => exports[`op_${name}`] as MicrocodeHandler | undefined };
}
