/**
 * Time from the start of the process to the shell's prompt: `vm run` beside qemu-system-x86_64 without KVM, with the same
 * kernel, initrd, memory and command line, in turns.
 *
 *   pnpm bench:boot [--runs N] [--memory MiB] [--kernel F --initrd F] [--machine microvm|pc] [--json]
 */
import { execFileSync, spawn } from 'node:child_process';
import { parseArgs } from 'node:util';
import { median, report } from './report.ts';
import { PROMPT, TIMEOUT, VM } from './vm-process.ts';

const APPEND = 'console=ttyS0';

const { values: options } = parseArgs({
  options: {
    runs: { type: 'string', default: '3' }, memory: { type: 'string', default: '512' }, machine: { type: 'string', default: 'microvm' },
    kernel: { type: 'string' }, initrd: { type: 'string' }, json: { type: 'boolean', default: false },
  },
});

interface Images {
  readonly kernel: string;
  readonly initrd: string;
}

function images(): Images {
  if (options.kernel !== undefined && options.initrd !== undefined) return { kernel: options.kernel, initrd: options.initrd };
  return JSON.parse(execFileSync(process.execPath, [VM, 'fetch', '--json'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })) as Images;
}

/** Seconds until the prompt is on standard output. */
function secondsToPrompt(program: string, args: readonly string[]): Promise<number> {
  return new Promise((done, fail) => {
    const start = performance.now();
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    let output = '';
    const timer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT);
    let seconds: number | undefined;
    const look = (text: string): void => {
      output = (output + text).slice(-4096);
      if (seconds !== undefined || !PROMPT.test(output)) return;
      seconds = (performance.now() - start) / 1000;
      child.kill('SIGKILL');
    };
    child.stdout.setEncoding('utf8').on('data', look);
    child.stderr.setEncoding('utf8').on('data', (text: string) => (output = (output + text).slice(-4096)));
    child.on('error', fail);
    child.on('close', () => {
      clearTimeout(timer);
      if (seconds === undefined) fail(new Error(`${program} did not come to the prompt; its last words:\n${output.slice(-1500)}`));
      else done(seconds);
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

const { kernel, initrd } = images();
const guest = ['-kernel', kernel, '-initrd', initrd, '-append', APPEND];
const ours: number[] = [];
const qemu: number[] = [];
const withQemu = hasQemu();
if (!withQemu) console.error('qemu-system-x86_64 is not installed (Debian: qemu-system-x86): only our own time is measured');
for (let run = 0; run < Number(options.runs); run++) {
  ours.push(await secondsToPrompt(process.execPath, [VM, 'run', '--kernel', kernel, '--initrd', initrd, '--append', APPEND, '--memory', options.memory]));
  if (withQemu) qemu.push(await secondsToPrompt('qemu-system-x86_64', ['-M', options.machine, '-accel', 'tcg', '-m', options.memory, '-nographic', '-no-reboot', ...guest]));
}
const oursMedian = median(ours);
const qemuMedian = median(qemu);
const list = (values: readonly number[]): string => values.map((value) => value.toFixed(2)).join(' ');
report(
  [
    { name: 'vm run', value: oursMedian, unit: 's', note: list(ours) },
    { name: `qemu-system-x86_64 -M ${options.machine} -accel tcg`, value: qemuMedian, unit: 's', note: list(qemu) },
    { name: 'ratio', value: oursMedian / qemuMedian, unit: 'times' },
  ],
  { ours_s: oursMedian, qemu_s: withQemu ? qemuMedian : null, ratio: withQemu ? oursMedian / qemuMedian : null },
);
