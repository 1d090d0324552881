import type { HostMemory } from '@vm/kvm-run';
import { forms } from '../decode/forms.ts';
import type { Microcode } from '../microcode/instantiate.ts';
import { microcodeName } from '../semantics/complex.ts';
import { generateInterpreter, type GeneratedInterpreter } from './generate.ts';
import { type Handler, handlerFor } from './handlers.ts';

/** The handlers of all forms that semantics or microcode execute, each once. */
export function allHandlers(microcodeHas: (name: string) => boolean): Handler[] {
  const byKey = new Map<string, Handler>();
  const microcode = (name: string): string | null => microcodeName(name, microcodeHas);
  for (const form of forms()) {
    for (const mode of form.modes) {
      for (const addressSize of [2, 4, 8]) {
        for (const operandSize of form.operandSize === 0 ? [2, 4, 8] : [form.operandSize]) {
          const handler = handlerFor(form.mnemonic, form.operands, operandSize, addressSize, mode === 64, microcode);
          if (handler && !byKey.has(handler.key)) byKey.set(handler.key, handler);
        }
      }
    }
  }
  return [...byKey.values()];
}

interface Compiled {
  readonly module: WebAssembly.Module;
  readonly numbers: ReadonlyMap<string, number>;
}

let compiled: Compiled | undefined;

/** The interpreter's module: generated and compiled once a thread; it depends on no processor. */
function interpreterModule(microcode: Microcode): Compiled {
  if (!compiled) {
    const generated: GeneratedInterpreter = generateInterpreter(allHandlers((name) => name in microcode.exports));
    compiled = { module: new WebAssembly.Module(generated.bytes), numbers: generated.numbers };
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
