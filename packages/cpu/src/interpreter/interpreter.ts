import type { HostMemory } from '@vm/kvm-run';
import type { Microcode } from '../microcode/instantiate.ts';
import { stageInterpreter } from './stage.ts';

interface Compiled {
  readonly module: WebAssembly.Module;
  readonly numbers: ReadonlyMap<string, number>;
}

let compiled: Compiled | undefined;

/** The interpreter's module, compiled once a thread; it depends on no processor. */
function interpreterModule(microcode: Microcode): Compiled {
  if (!compiled) {
    const { bytes, numbers } = stageInterpreter((name) => name in microcode.exports);
    compiled = { module: new WebAssembly.Module(bytes), numbers };
  }
  return compiled;
}

/** The interpreter of one processor. */
export interface Interpreter {
  /** Runs from RIP until something needs attention; returns a status (ST_*). */
  run(area: number): number;
  /** Handler number by key. */
  readonly numbers: ReadonlyMap<string, number>;
}

/** `regions`: the table of compiled regions. */
export function instantiateInterpreter(memory: HostMemory, area: number, microcode: Microcode, regions: WebAssembly.Table): Interpreter {
  const { module, numbers } = interpreterModule(microcode);
  const instance = new WebAssembly.Instance(module, { env: { memory: memory.memory, cpu: area, regions }, microcode: microcode.exports });
  return { run: instance.exports['run'] as (area: number) => number, numbers };
}
