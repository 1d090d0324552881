/**
 * The interpreter's speed on plain instructions: ALU, load, store and branch, in long mode with paging on; and the same
 * loop compiled.
 *
 *   pnpm bench:interpreter [--runs N] [--json]
 */
import { parseArgs } from 'node:util';
import { secondsBetweenMarks } from './marked-guest.ts';
import { median, report } from './report.ts';

/** Instructions between the marks of ../guests/interpreter.asm: nine a round, and a handful around them. */
const INSTRUCTIONS = 9 * 20_000_000;

const { values: options } = parseArgs({ options: { runs: { type: 'string', default: '5' }, json: { type: 'boolean', default: false } } });

/** Million guest instructions a second, each run. */
async function speeds(jit: false | undefined): Promise<number[]> {
  const runs: number[] = [];
  for (let run = 0; run < Number(options.runs); run++) {
    const seconds = await secondsBetweenMarks('interpreter', jit === undefined ? {} : { jit });
    runs.push(INSTRUCTIONS / seconds / 1e6);
  }
  return runs;
}

const each = (runs: readonly number[]): string => runs.map((value) => value.toFixed(0)).join(' ');
const interpreted = await speeds(false);
const compiled = await speeds(undefined);
const [mips, compiledMips] = [median(interpreted), median(compiled)];
report([
  { name: 'interpreter', value: mips, unit: 'MIPS', note: each(interpreted) },
  { name: 'compiled', value: compiledMips, unit: 'MIPS', note: each(compiled) },
], { mips, compiled_mips: compiledMips });
