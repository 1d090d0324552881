/**
 * Stages the interpreter's module from the semantics. That takes a tenth of a second, so what the build puts in the place of this
 * file has the module in it (tools/stage-interpreter.mjs).
 */
import { allHandlers } from './all-handlers.ts';
import { type GeneratedInterpreter, generateInterpreter } from './generate.ts';

export function stageInterpreter(microcodeHas: (name: string) => boolean): GeneratedInterpreter {
  return generateInterpreter(allHandlers(microcodeHas));
}
