/**
 * Time from the start of the process to the shell's prompt: `vm run` beside qemu-system-x86_64 without KVM, with the same
 * kernel, initrd, memory and command line, in turns.
 * `pnpm bench:boot --help` lists the options.
 */
import { commandLine, numberOption, Option, readOptions } from '@vm/command-line';
import { fetchImages, type Images } from './guest-programs.ts';
import { hasQemu, QEMU_MACHINES, type QemuMachine } from './peers/peers.ts';
import { median, report } from './report.ts';
import { timeBoot } from './timing.ts';
import { VM } from './vm-process.ts';

const APPEND = 'console=ttyS0';

interface Options {
  readonly runs: number;
  readonly memory: number;
  readonly machine: QemuMachine;
  readonly kernel?: string;
  readonly initrd?: string;
  readonly json?: boolean;
}

const options = readOptions<Options>(commandLine('pnpm bench:boot', 'Time to the shell\'s prompt, of vm run and of QEMU without KVM.')
  .addOption(numberOption('--runs <n>', 'rounds in which both have their turn', 1, 3))
  .addOption(numberOption('--memory <MiB>', 'of the guest', 16, 512))
  .addOption(new Option('--machine <name>', 'QEMU\'s; a kernel may not start on microvm while the computer is busy').choices(QEMU_MACHINES).default('pc'))
  .option('--kernel <file>', 'with --initrd: another kernel than Debian\'s')
  .option('--initrd <file>')
  .option('--json', 'also print one JSON object, as the last line'));

function images(): Images {
  if (options.kernel !== undefined && options.initrd !== undefined) return { kernel: options.kernel, initrd: options.initrd };
  return fetchImages('amd64');
}

const { kernel, initrd } = images();
const qemuGuest = ['-kernel', kernel, '-initrd', initrd, '-append', APPEND];
const ourGuest = ['--kernel', kernel, '--initrd', initrd, '--append', APPEND];
const ours: number[] = [];
const qemu: number[] = [];
const withQemu = hasQemu();
if (!withQemu) console.error('qemu-system-x86_64 is not installed (Debian: qemu-system-x86): only our own time is measured');
for (let run = 0; run < options.runs; run++) {
  ours.push(await timeBoot({ program: process.execPath, args: [VM, 'run', ...ourGuest, '--memory', String(options.memory)] }, 'wall'));
  if (withQemu) qemu.push(await timeBoot({ program: 'qemu-system-x86_64', args: ['-M', options.machine, '-accel', 'tcg', '-m', String(options.memory), '-nographic', '-no-reboot', ...qemuGuest] }, 'wall'));
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
