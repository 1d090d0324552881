/**
 * The guest programs of ../programs in Linux, and the boot to the prompt: here, in v86 (i386) and in qemu-system-x86_64 without
 * KVM, in turns, with the same kernel, initial RAM disk, memory and command line. Medians, ratios, geometric means; or,
 * with --against, this working tree beside another revision of it.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { buildRevision, formatRegressions, regressions } from './against.ts';
import { compare, formatComparison, meanSpeedOver } from './comparison.ts';
import { type Arch, appendFor, fetchImages, initrdOfPrograms, programNames, PROGRAMS, repeated } from './guest-programs.ts';
import { ours, type Peer, peersFor, type QemuMachine } from './peers/peers.ts';
import { plotComparison } from './plot.ts';
import { CLOCKS, type ClockName, type Measured, type Measurements, timeBoot, timePrograms } from './timing.ts';

const BOOT = 'boot';
const BOOT_APPEND = 'console=ttyS0';
const ROWS = [...PROGRAMS, BOOT];
const HELP = `pnpm bench [options]
  --arch amd64|i386   the guest's architecture (amd64); v86 runs i386 alone
  --runs N            rounds in which each machine has its turn (3)
  --quick             one round, each program once: a look, no measurement
  --only NAME,...     of ${ROWS.join(', ')}
  --machine pc|microvm  QEMU's machine (pc); a kernel may not start on microvm while the computer is busy
  --clock wall|cpu    time that passes, or time that the machine's process computes (wall)
  --plot FILE         also draw the ratios, as SVG
  --against REV       compare with that revision of this repository instead of with other machines
  --slowdown PERCENT  with --against: end with status 1 when a program is slower by more (10)
  --json              also print one JSON object, as the last line`;

const options = readOptions();

if (options.help) console.log(HELP);
else await main().catch(giveUp);

function readOptions() {
  try {
    return parseArgs({
      options: {
        arch: { type: 'string', default: 'amd64' }, runs: { type: 'string' }, quick: { type: 'boolean', default: false },
        only: { type: 'string', default: ROWS.join(',') }, clock: { type: 'string', default: 'wall' },
        machine: { type: 'string', default: 'pc' }, plot: { type: 'string' },
        against: { type: 'string' }, slowdown: { type: 'string', default: '10' }, json: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values;
  } catch (error) {
    return giveUp(error as Error);
  }
}

/** Ends with 2: a status of 1 says that something got slower. */
function giveUp(error: Error): never {
  say(`bench: ${error.message}`);
  process.exit(2);
}

async function main(): Promise<void> {
  const arch = oneOf<Arch>('--arch', options.arch, ['amd64', 'i386']);
  const clock = oneOf<ClockName>('--clock', options.clock, CLOCKS);
  if (clock === 'cpu' && process.platform !== 'linux') throw new Error('--clock cpu: the time of processes is taken from /proc, which this system has not');
  const machine = oneOf<QemuMachine>('--machine', options.machine, ['pc', 'microvm']);
  const names = programNames('--only', options.only, ROWS);
  const runs = above('--runs', options.runs ?? (options.quick ? '1' : '3'), 1);
  if (!Number.isInteger(runs)) throw new Error(`--runs ${runs}: give a whole number`);
  const slowdown = above('--slowdown', options.slowdown, 0);
  const measure = measurer(arch, clock, names);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
  if (options.against !== undefined) {
    const base = ours(buildRevision(options.against, say));
    const rounds = await inTurns(runs, [{ ...base, title: options.against }, ours()], measure);
    const rows = regressions(names, rounds[0]!, rounds[1]!, slowdown);
    console.log(formatRegressions(options.against, rows, slowdown));
    if (options.json) console.log(JSON.stringify({ against: options.against, arch, clock, slowdown, rows }));
    process.exitCode = rows.some(({ slower }) => slower) ? 1 : 0;
    return;
  }
  const peers = peersFor(arch, machine, say);
  const rounds = await inTurns(runs, peers, measure);
  const rows = compare(names, new Map(peers.map(({ name }, i) => [name, rounds[i]!])));
  console.log(formatComparison(rows));
  if (options.plot !== undefined) writeFileSync(options.plot, plotComparison(`Guest programs, ${arch}`, rows));
  if (options.json)
    console.log(JSON.stringify({ arch, clock, runs, geomean_v86: meanSpeedOver(rows, 'v86'), geomean_qemu: meanSpeedOver(rows, 'qemu'), rows }));
}

type Measure = (peer: Peer) => Promise<Measurements>;

/** Runs all programs on a machine, and boots it. */
function measurer(arch: Arch, clock: ClockName, names: readonly string[]): Measure {
  const images = fetchImages(arch);
  const programs = names.filter((name) => name !== BOOT);
  const append = appendFor(options.quick ? programs : programs.map((name) => repeated(name, arch)));
  return async (peer) => {
    const measured = new Map<string, Measured>();
    if (programs.length > 0) {
      const command = peer.command({ kernel: images.kernel, initrd: initrdOfPrograms(arch), append });
      for (const [name, result] of await timePrograms(command, programs, clock)) measured.set(name, result);
    }
    if (names.includes(BOOT))
      measured.set(BOOT, { seconds: await timeBoot(peer.command({ ...images, append: BOOT_APPEND }), clock), checksum: '' });
    return measured;
  };
}

/** The rounds of each machine; all have their turn in each round, so that what else the computer does meets all alike. */
async function inTurns(runs: number, peers: readonly Peer[], measure: Measure): Promise<Measurements[][]> {
  const rounds = peers.map((): Measurements[] => []);
  for (let run = 0; run < runs; run++)
    for (const [i, peer] of peers.entries()) {
      say(`round ${run + 1} of ${runs}: ${peer.title}`);
      rounds[i]!.push(await measure(peer));
    }
  return rounds;
}

function oneOf<T extends string>(option: string, value: string, known: readonly string[]): T {
  if (!known.includes(value)) throw new Error(`${option} ${value}: give ${known.join(' or ')}`);
  return value as T;
}

function above(option: string, value: string, least: number): number {
  const number = Number(value);
  if (!(number >= least) || value.trim() === '' || number === Infinity) throw new Error(`${option} ${value}: give a number from ${least}`);
  return number;
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
