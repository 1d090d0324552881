/** The options of `vm run` that describe a machine, shared by `vm stat` and `vm trace`. */
import { open, stat } from 'node:fs/promises';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { Failure } from './failure.ts';

/** Limits of the guest's memory in MiB: below, no kernel fits; above, host memory has no room for it (its index space is 4 GiB). */
export const MEMORY_MIN = 16;
export const MEMORY_MAX = 3072;
export const MEMORY_DEFAULT = 512;
export const THRESHOLD_MAX = 1_000_000_000;
export const APPEND_DEFAULT = 'console=ttyS0';
/**
 * Below this many MiB Debian's kernel runs out of memory while it starts, on any machine: the files of its tracefs alone
 * take 9 MB before the memory of its own start is freed. It boots in less without them.
 */
const ROOMY_MEMORY = 96;
const APPEND_SMALL = 'initcall_blacklist=tracer_init_tracefs';

/** The command line of the default boot in a machine with this many MiB. */
export function defaultAppend(memory: number): string {
  return memory < ROOMY_MEMORY ? `${APPEND_DEFAULT} ${APPEND_SMALL}` : APPEND_DEFAULT;
}

/** What commander hands over. */
export interface RunFlags {
  kernel?: string;
  initrd?: string;
  append?: string;
  memory: number;
  module?: string[];
  unpack: boolean;
  deterministic?: boolean;
  jit: boolean;
  jitThreshold?: number;
  isaDebugExit?: boolean;
  reboot: boolean;
  exitStats?: string;
}

/** A module of a multiboot kernel: the file, and the command line that follows its name. */
export interface ModuleFile {
  readonly path: string;
  readonly commandLine: string;
}

export function addRunOptions(command: Command): Command {
  return command
    .addOption(new Option('-k, --kernel <file>', 'bzImage, vmlinux, or multiboot ELF kernel (default: Debian\'s cloud kernel)'))
    .addOption(new Option('-i, --initrd <file>', 'initial RAM disk'))
    .addOption(new Option('-a, --append <text>', 'the kernel\'s command line').default(undefined, `${APPEND_DEFAULT}, with Linux; under ${ROOMY_MEMORY} MiB also ${APPEND_SMALL}`))
    .addOption(new Option('-m, --memory <MiB>', `memory of the guest, ${MEMORY_MIN} to ${MEMORY_MAX}`).argParser(parseMemory).default(MEMORY_DEFAULT))
    .addOption(new Option('--module <file...>', 'modules of a multiboot kernel; words after a file\'s name in the same argument are its command line'))
    .addOption(new Option('--no-unpack', 'let the guest unpack a compressed kernel itself'))
    .addOption(new Option('--no-reboot', 'end when the guest resets the machine'))
    .addOption(new Option('--deterministic', 'time counts instructions: equal inputs give equal runs'))
    .addOption(new Option('--no-jit', 'only interpret the guest\'s code'))
    .addOption(new Option('--jit-threshold <n>', 'instructions that a piece of code runs before it is compiled').argParser(parseThreshold))
    .addOption(new Option('--isa-debug-exit', 'a write to port 0x501 or 0xf4 ends the machine with status (value << 1) | 1; also kvm-unit-tests\' test device at 0xe0'))
    .addOption(new Option('--exit-stats <file>', 'also write the statistics of VM exits to this file, as JSON'));
}

export function parseMemory(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('It must be a whole number of MiB.');
  const value = Number(text);
  if (value < MEMORY_MIN) throw new InvalidArgumentError(`${text} MiB is too little: give ${MEMORY_MIN} or more.`);
  if (value > MEMORY_MAX) throw new InvalidArgumentError(`${text} MiB is too much: give ${MEMORY_MAX} or less.`);
  return value;
}

export function parseThreshold(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || value > THRESHOLD_MAX) throw new InvalidArgumentError(`It must be a whole number from 1 to ${THRESHOLD_MAX}.`);
  return value;
}

export function parseModule(text: string): ModuleFile {
  const [path = '', ...words] = text.split(' ');
  return { path, commandLine: words.join(' ') };
}

/** Reads a file that the user named, or fails with a sentence that says which file and why. */
export async function readInput(what: string, path: string, limit: number): Promise<Uint8Array<ArrayBuffer>> {
  const info = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw new Failure(`${what} ${path}: ${reason(error)}`, { cause: error });
  });
  if (info.isDirectory()) throw new Failure(`${what} ${path}: it is a directory`);
  if (info.size > limit) throw new Failure(`${what} ${path}: its ${mebibytes(info.size)} MiB do not fit in the guest's ${mebibytes(limit)} MiB of memory`);
  const file = await open(path).catch((error: NodeJS.ErrnoException) => {
    throw new Failure(`${what} ${path}: ${reason(error)}`, { cause: error });
  });
  try {
    const bytes = await file.readFile();
    if (bytes.length === 0) throw new Failure(`${what} ${path}: it is empty`);
    return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  } finally {
    await file.close();
  }
}

function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(bytes % 2 ** 20 === 0 ? 0 : 1);
}

function reason(error: NodeJS.ErrnoException): string {
  if (error.code === 'ENOENT') return 'no such file';
  if (error.code === 'EACCES') return 'permission denied';
  return error.message;
}
