/**
 * Random programs, interpreted and compiled, until they differ: `pnpm conformance:jit [--programs N | --minutes M] [--seed S] [--mode 64,32,16]`.
 *
 *     --programs N   how many (default 10000)
 *     --minutes M    for so long, instead
 *     --seed S       of the first program; the next one has the next seed (default: another one each time)
 *     --mode M       of the code, several with commas (default 64,32,16)
 *
 * The first program that differs is printed with its seed, without what does not matter for it. The last line is JSON.
 */
import { parseArgs } from 'node:util';
import { type Mode, sweep } from '@vm/cpu/testing';

const { values } = parseArgs({
  options: { programs: { type: 'string', default: '10000' }, minutes: { type: 'string' }, seed: { type: 'string' }, mode: { type: 'string', default: '64,32,16' } },
});

function whole(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new Error(`--${name} wants a whole number, not ${text}`);
  return value;
}

function modeOf(text: string): Mode {
  const mode = Number(text);
  if (mode !== 16 && mode !== 32 && mode !== 64) throw new Error(`--mode wants 64, 32 or 16, not ${text}`);
  return mode;
}

const EVERY_MS = 10_000;
const seed = values.seed === undefined ? Math.floor(Math.random() * 1_000_000_000) : whole('seed', values.seed);
const most = values.minutes === undefined ? whole('programs', values.programs) : Infinity;
const until = values.minutes === undefined ? Infinity : Date.now() + whole('minutes', values.minutes) * 60_000;
let next = Date.now() + EVERY_MS;
console.log(`seeds from ${seed} on`);
const { failure, ...result } = sweep({
  seed, modes: values.mode.split(',').map(modeOf),
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
