/**
 * The guest programs of ../programs in Linux, and the boot to the prompt: here, in v86 (i386) and in qemu-system-x86_64 without
 * KVM, in turns, with the same kernel, initial RAM disk, memory and command line. Medians, ratios, geometric means; or,
 * with --against, this working tree beside another revision of it.
 */
import { writeFileSync } from 'node:fs';
import { commandLine, namesOf, numberOption, Option, readOptions, USAGE } from '@vm/command-line';
import { buildRevision, formatRegressions, regressions } from './against.ts';
import { compare, formatComparison, meanSpeedOver } from './comparison.ts';
import { type Arch, appendFor, fetchImages, initrdOfPrograms, PROGRAMS, repeated } from './guest-programs.ts';
import { ours, type Peer, peersFor, QEMU_MACHINES, type QemuMachine } from './peers/peers.ts';
import { plotComparison } from './plot.ts';
import { CLOCKS, type ClockName, type Measured, type Measurements, timeBoot, timePrograms } from './timing.ts';

const BOOT = 'boot';
const BOOT_APPEND = 'console=ttyS0';
const ROWS = [...PROGRAMS, BOOT];

interface Options {
  readonly arch: Arch;
  readonly runs?: number;
  readonly quick?: boolean;
  readonly only: string[];
  readonly machine: QemuMachine;
  readonly clock: ClockName;
  readonly plot?: string;
  readonly against?: string;
  readonly slowdown: number;
  readonly json?: boolean;
}

const RUNS = 3;
const options = readOptions<Options>(commandLine('pnpm bench', 'Guest programs in Linux, and the boot: here and on other machines, in turns.')
  .addOption(new Option('--arch <name>', 'the guest\'s architecture; v86 runs i386 alone').choices(['amd64', 'i386']).default('amd64'))
  .addOption(numberOption('--runs <n>', `rounds in which each machine has its turn (default: ${RUNS})`, 1))
  .option('--quick', 'one round, each program once: a look, no measurement')
  .addOption(new Option('--only <names>', `of ${ROWS.join(', ')}`).argParser(namesOf(ROWS)).default(ROWS, 'all'))
  .addOption(new Option('--machine <name>', 'QEMU\'s; a kernel may not start on microvm while the computer is busy').choices(QEMU_MACHINES).default('pc'))
  .addOption(new Option('--clock <name>', 'time that passes, or time that the machine\'s process computes').choices(CLOCKS).default('wall'))
  .option('--plot <file>', 'also draw the ratios, as SVG')
  .option('--against <revision>', 'compare with that revision of this repository instead of with other machines')
  .addOption(numberOption('--slowdown <percent>', 'with --against: end with status 1 when a program is slower by more', 0, 10))
  .option('--json', 'also print one JSON object, as the last line'));

await main().catch(giveUp);

/** A status of 1 says that something got slower. */
function giveUp(error: Error): never {
  say(`bench: ${error.message}`);
  process.exit(USAGE);
}

async function main(): Promise<void> {
  const { arch, clock, machine, only: names, slowdown } = options;
  if (clock === 'cpu' && process.platform !== 'linux') throw new Error('--clock cpu: the time of processes is taken from /proc, which this system has not');
  const runs = options.runs ?? (options.quick ? 1 : RUNS);
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

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
