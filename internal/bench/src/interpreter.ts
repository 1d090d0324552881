/**
 * The interpreter's speed: on plain instructions (ALU, load, store and branch, in long mode with paging on), on the same loop
 * compiled, and on the programs of ../programs in Linux. Time is the thread's processor time.
 * `pnpm bench:interpreter --help` lists the options.
 */
import { commandLine, namesOf, numberOption, Option, readOptions } from '@vm/command-line';
import { PROGRAMS } from './guest-programs.ts';
import { secondsBetweenMarks } from './marked-guest.ts';
import { type ProgramSpeed, programSpeeds } from './program-speeds.ts';
import { median, report } from './report.ts';
import { threadSeconds } from './thread-clock.ts';

/** Instructions between the marks of ../guests/interpreter.asm: nine a round, and a handful around them. */
const INSTRUCTIONS = 9 * 20_000_000;

const options = readOptions<{ runs: number; programs: string[] }>(commandLine('pnpm bench:interpreter', 'Instructions a second that the interpreter executes.')
  .addOption(numberOption('--runs <n>', 'rounds of the loop, of which the median counts', 1, 5))
  .addOption(new Option('--programs <names>', 'those of Linux; none for the loop alone').argParser((text) => (text === '' ? [] : namesOf(PROGRAMS)(text))).default([...PROGRAMS], 'all'))
  .option('--json', 'also print one JSON object, as the last line'));
const names = options.programs;

/** Million guest instructions a second, each run. */
async function speeds(jit: false | undefined): Promise<number[]> {
  const runs: number[] = [];
  for (let run = 0; run < options.runs; run++) {
    const seconds = await secondsBetweenMarks('interpreter', jit === undefined ? {} : { jit }, threadSeconds);
    runs.push(INSTRUCTIONS / seconds / 1e6);
  }
  return runs;
}

const each = (runs: readonly number[]): string => runs.map((value) => value.toFixed(0)).join(' ');
const interpreted = await speeds(false);
const compiled = await speeds(undefined);
const [mips, compiledMips] = [median(interpreted), median(compiled)];
const speedOf = ({ millions, seconds }: ProgramSpeed): number => millions / seconds;
const programs = names.length > 0 ? await programSpeeds(names, { jit: false }) : [];
report([
  { name: 'interpreter', value: mips, unit: 'MIPS', note: each(interpreted) },
  { name: 'compiled', value: compiledMips, unit: 'MIPS', note: each(compiled) },
  ...programs.map((program) => ({
    name: program.name, value: speedOf(program), unit: 'MIPS', note: `${program.millions.toFixed(0)} million interpreted in ${program.seconds.toFixed(2)} s`,
  })),
], { mips, compiled_mips: compiledMips, programs: programs.map((program) => ({ name: program.name, mips: speedOf(program) })) });
