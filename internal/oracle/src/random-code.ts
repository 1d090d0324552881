/**
 * Random programs, interpreted and compiled, until they differ: `pnpm conformance:jit --help` lists the options. The first program that
 * differs is printed with its seed, without what does not matter for it. The last line is JSON.
 */
import { commandLine, InvalidArgumentError, numberOption, Option, readOptions } from '@vm/command-line';
import { type Mode, sweep } from '@vm/cpu/testing';

interface Options {
  readonly programs: number;
  readonly minutes?: number;
  readonly seed?: number;
  readonly mode: Mode[];
}

const MODES: readonly Mode[] = [64, 32, 16];

function modesOf(text: string): Mode[] {
  return text.split(',').map((word) => {
    const mode = MODES.find((one) => String(one) === word.trim());
    if (mode === undefined) throw new InvalidArgumentError('Give 64, 32 or 16, several with commas.');
    return mode;
  });
}

const options = readOptions<Options>(commandLine('pnpm conformance:jit', 'Random programs, interpreted and compiled, until one differs.')
  .addOption(numberOption('--programs <n>', 'how many', 1, 10_000))
  .addOption(numberOption('--minutes <m>', 'for so long, instead', 1))
  .addOption(numberOption('--seed <s>', 'of the first program; the next one has the next seed (default: another one each time)', 0))
  .addOption(new Option('--mode <m>', 'of the code').argParser(modesOf).default([...MODES], MODES.join(','))));

const EVERY_MS = 10_000;
const seed = options.seed ?? Math.floor(Math.random() * 1_000_000_000);
const most = options.minutes === undefined ? options.programs : Infinity;
const until = options.minutes === undefined ? Infinity : Date.now() + options.minutes * 60_000;
let next = Date.now() + EVERY_MS;
console.log(`seeds from ${seed} on`);
const { failure, ...result } = sweep({
  seed, modes: options.mode,
  goesOn: (programs) => {
    const now = Date.now();
    if (now >= next) {
      next = now + EVERY_MS;
      console.log(`${programs} programs`);
    }
    return programs < most && now < until;
  },
});
if (failure !== null) console.log(failure);
console.log(JSON.stringify({ seed, ...result, differences: failure === null ? 0 : 1 }));
process.exitCode = failure === null ? 0 : 2;
