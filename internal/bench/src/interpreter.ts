/**
 * The interpreter's speed on plain instructions: ALU, load, store and branch, in long mode with paging on.
 *
 *   pnpm bench:interpreter [--runs N] [--json]
 */
import { parseArgs } from 'node:util';
import { secondsBetweenMarks } from './marked-guest.ts';
import { median, report } from './report.ts';

/** Instructions between the marks of ../guests/interpreter.asm: nine a round, and a handful around them. */
const INSTRUCTIONS = 9 * 20_000_000;

const { values: options } = parseArgs({ options: { runs: { type: 'string', default: '5' }, json: { type: 'boolean', default: false } } });

const runs: number[] = [];
for (let run = 0; run < Number(options.runs); run++) runs.push(INSTRUCTIONS / (await secondsBetweenMarks('interpreter')) / 1e6);
const mips = median(runs);
report([{ name: 'interpreter', value: mips, unit: 'MIPS', note: runs.map((value) => value.toFixed(0)).join(' ') }], { mips });
