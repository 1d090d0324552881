/**
 * The guest programs of ../programs in Linux, here and in qemu-system-x86_64 without KVM, in turns: seconds of each between the
 * lines that it prints when it begins and ends, medians, ratios and their geometric mean.
 *
 *   pnpm bench [--runs N] [--arch amd64|i386] [--only NAME,...] [--json]
 */
import { execFileSync, spawn } from 'node:child_process';
import { parseArgs } from 'node:util';
import { appendFor, fetchKernel, initrdOfPrograms, ProgramLines, programNames, PROGRAMS } from './guest-programs.ts';
import { VM } from './vm-process.ts';
import { figure, median } from './report.ts';

const TIMEOUT = 600_000;

const { values: options } = parseArgs({
  options: {
    runs: { type: 'string', default: '3' }, arch: { type: 'string', default: 'amd64' }, only: { type: 'string', default: PROGRAMS.join(',') },
    json: { type: 'boolean', default: false },
  },
});
const arch = options.arch;
if (arch !== 'amd64' && arch !== 'i386') throw new Error(`--arch ${arch}: give amd64 or i386`);
const names = programNames('--only', options.only);

interface Measured {
  readonly seconds: number;
  readonly checksum: string;
}

/** Boots a machine in which the programs run one after the other; times by name. */
function measure(program: string, args: readonly string[]): Promise<Map<string, Measured>> {
  return new Promise((done, fail) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const began = new Map<string, number>();
    const measured = new Map<string, Measured>();
    const timer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT);
    const lines = new ProgramLines({
      begins: (name) => void began.set(name, performance.now()),
      gives: (name, checksum) => {
        measured.set(name, { seconds: (performance.now() - began.get(name)!) / 1000, checksum });
        if (measured.size === names.length) child.kill('SIGKILL');
      },
    });
    let complaints = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => lines.print(text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (complaints = (complaints + text).slice(-1500)));
    child.on('error', fail);
    child.on('close', () => {
      clearTimeout(timer);
      if (measured.size === names.length) done(measured);
      else fail(new Error(`${program} ended before its programs; its last words:\n${lines.last}${complaints}`));
    });
  });
}

function hasQemu(): boolean {
  try {
    execFileSync('qemu-system-x86_64', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

const initrd = initrdOfPrograms(arch);
const append = appendFor(names);
const image = fetchKernel(arch);
const ours: Map<string, Measured>[] = [];
const qemu: Map<string, Measured>[] = [];
const peer = hasQemu();
if (!peer) console.error('qemu-system-x86_64 is not installed: no ratios (apt-get install qemu-system-x86)');
for (let run = 0; run < Number(options.runs); run++) {
  ours.push(await measure(process.execPath, [VM, 'run', '--no-reboot', '--memory', '512', '--kernel', image, '--initrd', initrd, '--append', append]));
  if (peer) qemu.push(await measure('qemu-system-x86_64', ['-nographic', '-no-reboot', '-m', '512', '-kernel', image, '-initrd', initrd, '-append', append]));
}
report(ours, qemu);

function report(ours: readonly Map<string, Measured>[], qemu: readonly Map<string, Measured>[]): void {
  const rows = names.map((name) => {
    const checksums = new Set([...ours, ...qemu].map((run) => run.get(name)!.checksum));
    if (checksums.size > 1) throw new Error(`${name}: results differ: ${[...checksums].join(', ')}`);
    const seconds = (runs: readonly Map<string, Measured>[]): number => median(runs.map((run) => run.get(name)!.seconds));
    return { name, ours_s: seconds(ours), qemu_s: qemu.length > 0 ? seconds(qemu) : null };
  });
  const ratios = rows.flatMap(({ ours_s: mine, qemu_s: theirs }) => (theirs === null ? [] : [theirs / mine]));
  const mean = ratios.length > 0 ? Math.exp(ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0) / ratios.length) : null;
  console.log(`${'program'.padEnd(12)}${'ours s'.padStart(10)}${'QEMU s'.padStart(10)}${'speed'.padStart(8)}`);
  for (const { name, ours_s: mine, qemu_s: theirs } of rows)
    console.log(`${name.padEnd(12)}${figure(mine).padStart(10)}${(theirs === null ? '-' : figure(theirs)).padStart(10)}${(theirs === null ? '-' : (theirs / mine).toFixed(2)).padStart(8)}`);
  console.log(`geometric mean of our speed over QEMU's: ${mean === null ? '-' : mean.toFixed(2)}`);
  if (options.json) console.log(JSON.stringify({ geomean_qemu: mean, rows }));
}
