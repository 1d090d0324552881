/** Many random programs, one after the other, on processors that keep what they compiled. */
import type { JitOptions } from '../../jit/jit.ts';
import { CodeMachine } from './code-machine.ts';
import { type Case, type Outcome, runCase } from './differential.ts';
import { failureOf } from './failure.ts';
import type { KernelKind } from './kernel.ts';
import type { Mode } from './modes.ts';

export interface SweepOptions {
  /** Seed of the first program; the others follow. */
  readonly seed: number;
  readonly modes: readonly Mode[];
  /** Asked before each program, with how many have run. */
  readonly goesOn: (programs: number) => boolean;
}

export interface Sweep {
  readonly programs: number;
  /** Guest instructions compared, faults taken, other events. */
  readonly instructions: number;
  readonly faults: number;
  readonly events: number;
  /** Regions that were compiled. */
  readonly regions: number;
  /** What to say about the first program that failed, or null. */
  readonly failure: string | null;
}

/** Code is compiled so early that little of it has been seen, and later; again at once, and never. */
const REGIONS = 1000;
const COMPILERS: readonly JitOptions[] = [
  { threshold: 1, entries: 3, regions: REGIONS }, { threshold: 40, entries: 20, regions: REGIONS }, { threshold: 400, entries: 1_000_000, regions: REGIONS },
];
const INSTRUCTIONS = 20_000;

export function sweep({ seed, modes, goesOn }: SweepOptions): Sweep {
  const processors = [false, true].map((delivers) => ({
    interpreter: new CodeMachine(null, delivers), compilers: COMPILERS.map((options) => new CodeMachine(options, delivers)),
  }));
  let [programs, instructions, faults, events] = [0, 0, 0, 0];
  let failure: string | null = null;
  while (failure === null && goesOn(programs)) {
    const at = programs % COMPILERS.length;
    const one = caseOf(seed + programs, modes[Math.floor(programs / COMPILERS.length) % modes.length]!);
    const { interpreter, compilers } = processors[one.kernel ? 1 : 0]!;
    const outcome = runCase(interpreter, compilers[at]!, one);
    if (outcome.difference !== null) failure = failureOf(one, outcome, (other) => runFresh(other, COMPILERS[at]!));
    programs++;
    instructions += outcome.instructions;
    faults += outcome.faults;
    events += outcome.events;
  }
  const regions = processors.flatMap(({ compilers }) => compilers).reduce((sum, machine) => sum + machine.inside.driver.jit!.statistics.regions, 0);
  return { programs, instructions, faults, events, regions, failure };
}

/** A fourth of the programs run undisturbed, and so get hotter; half of them above a kernel. */
function caseOf(seed: number, mode: Mode): Case {
  const kinds: readonly (KernelKind | null)[] = mode === 64 ? [null, 'long'] : [null, 'long', null, 'legacy'];
  const kernel = kinds[Math.floor(seed / 4) % kinds.length]!;
  return { mode, seed, instructions: INSTRUCTIONS, events: seed % 4 !== 0, ...(kernel ? { kernel } : {}) };
}

function runFresh(one: Case, options: JitOptions): Outcome {
  const delivers = one.kernel !== undefined;
  return runCase(new CodeMachine(null, delivers), new CodeMachine(options, delivers), one);
}
