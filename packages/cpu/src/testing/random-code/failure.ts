/** What there is to say about a program on which two processors disagree: the few parts of it that matter, as one reads them. */
import { codeView, decode } from '../../decode/decoder.ts';
import { format } from '../../decode/format.ts';
import { Instruction } from '../../decode/instruction.ts';
import type { Case, Outcome } from './differential.ts';
import type { Program } from './program.ts';

/** Runs a case on processors that have run nothing yet. */
export type RunFresh = (one: Case) => Outcome;

/** The failure as text; what processors did before may matter, so a case need not fail on fresh ones. */
export function failureOf(one: Case, outcome: Outcome, run: RunFresh): string {
  const head = `${one.mode}-bit program of seed ${one.seed}: ${outcome.difference}`;
  if (run(one).difference === null) return `${head}\n(only after the programs before it)\n${disassemble(outcome.program)}`;
  const smallest = shrink(one, outcome.program, (smaller) => run(smaller).difference !== null);
  const last = run(smallest);
  const how = smallest.events ? 'with what happened between' : 'undisturbed';
  return `${head}\nleaving out parts of it, ${how}: ${last.difference}\n${disassemble(last.program)}`;
}

/** Leaves out as many parts of the program as can be while it fails. */
function shrink(one: Case, program: Program, fails: (smaller: Case) => boolean): Case {
  const calm = { ...one, events: false };
  let best = fails(calm) ? calm : one;
  const without = (): ReadonlySet<number> => best.without ?? new Set();
  for (let size = program.parts.length; size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    const parts = program.parts.filter((part) => !without().has(part));
    for (let at = 0; at < parts.length; at += size) {
      const smaller = { ...best, without: new Set([...without(), ...parts.slice(at, at + size)]) };
      if (fails(smaller)) best = smaller;
    }
  }
  return best;
}

/** The program as one reads it. */
function disassemble({ bytes, mode, addresses: { origin }, entry, interrupt, end }: Program): string {
  const code = codeView(bytes);
  const ins = new Instruction();
  const lines = [`entry ${entry.toString(16)}, interrupt ${interrupt.toString(16)}, end ${end.toString(16)}`];
  for (let at = 0; at < bytes.length;) {
    const length = decode(code, at, bytes.length, mode, ins);
    const step = length > 0 ? length : 1;
    const hex = Array.from(bytes.subarray(at, at + step), (byte) => byte.toString(16).padStart(2, '0')).join(' ');
    lines.push(`${(origin + at).toString(16)}: ${hex.padEnd(36)} ${length > 0 ? format(ins, BigInt(origin + at)) : '?'}`);
    at += step;
  }
  return lines.join('\n');
}
