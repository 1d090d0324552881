/** The command line: what commands there are, and how they end. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { Failure } from './failure.ts';
import { PackagesUnavailable } from './linux/apt.ts';
import { ARCHITECTURES } from './linux/images.ts';
import { addPerfOptions } from './perf-options.ts';
import { type RunFlags, addRunOptions } from './run-options.ts';
import { type FetchFlags, fetchCommand } from './commands/fetch.ts';
import { type PerfFlags, perfCommand } from './commands/perf.ts';
import { runCommand } from './commands/run.ts';
import { statCommand } from './commands/stat.ts';
import { type TraceFlags, traceCommand } from './commands/trace.ts';

/** Exit status of a command line that makes no sense. */
const USAGE = 2;
const ERROR = 1;

/** Runs the program; resolves to its exit status. */
export async function main(argv: readonly string[]): Promise<number> {
  let status = 0;
  const program = buildProgram((code) => (status = code));
  try {
    const single = argv.find((word) => longOptions(program).includes(`-${word}`));
    if (single !== undefined) program.error(`unknown option '${single}': write -${single}`);
    await program.parseAsync(withoutSeparator(argv), { from: 'user' });
    return status;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE;
    process.stderr.write(`vm: ${describe(error)}\n`);
    return ERROR;
  }
}

/** Of all commands. One dash, as QEMU has it, would be read as a short option and its value. */
function longOptions(program: Command): (string | undefined)[] {
  return program.commands.flatMap(({ options }) => options).map(({ long }) => long);
}

/** `vm stat -- --kernel F` is `vm stat --kernel F`: what follows the separator are options of the run. */
function withoutSeparator(argv: readonly string[]): string[] {
  const at = argv.indexOf('--');
  return at < 0 ? [...argv] : [...argv.slice(0, at), ...argv.slice(at + 1)];
}

function describe(error: unknown): string {
  if (error instanceof Failure || error instanceof PackagesUnavailable) return error.message;
  if (error instanceof Error && ['MachineError', 'LoaderError', 'KvmError', 'OutOfHostMemory'].includes(error.name)) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

function buildProgram(done: (status: number) => void): Command {
  const program = new Command('vm')
    .description('A virtual machine monitor: x86-64 with VMX, KVM and QEMU\'s machines, in TypeScript. Without arguments it boots Linux.')
    .version(version())
    .showHelpAfterError('(--help lists the options)')
    .exitOverride();
  addRunOptions(command(program, 'run', true))
    .description('run a kernel; without --kernel, Debian\'s cloud kernel with BusyBox')
    .action(async (flags: RunFlags) => done(await runCommand(flags)));
  addRunOptions(command(program, 'stat'))
    .description('VM exits by reason, count and time: of the last run, or with options of a run, of that run')
    .action(async (flags: RunFlags, self: Command) => done(await statCommand(flags, givesRun(self))));
  addRunOptions(command(program, 'trace'))
    .description('run, and write one line an exit in the kernel\'s tracepoint format')
    .addOption(new Option('-o, --output <file>', 'where the lines go (default: standard error)'))
    .addOption(new Option('-e, --events <names>', 'tracepoints, separated by commas, or "all"').default('kvm_exit'))
    .addOption(new Option('-s, --switch <n>', 'print all that is saved, loaded and restored in the n-th world switch, and end').argParser(parseSwitch))
    .action(async (flags: TraceFlags) => done(await traceCommand(flags)));
  addPerfOptions(addRunOptions(command(program, 'perf')))
    .description('run, and say where guest time went: interpreter, compiled code, compiling, TLB misses, exits; and the hottest regions')
    .action(async (flags: PerfFlags) => done(await perfCommand(flags)));
  command(program, 'fetch')
    .description('fetch Linux into the cache and say where it is')
    .option('--refresh', 'fetch it again')
    .option('--json', 'print one JSON object')
    .addOption(new Option('--arch <name>', 'the architecture of kernel and programs').choices(ARCHITECTURES).default('amd64'))
    .action(async (flags: FetchFlags) => done(await fetchCommand(flags)));
  return program;
}

function command(program: Command, name: string, isDefault = false): Command {
  return program.command(name, { isDefault }).exitOverride().showHelpAfterError('(--help lists the options)');
}

/** Whether any option was on the command line. */
function givesRun(command: Command): boolean {
  return command.options.some((option) => command.getOptionValueSource(option.attributeName()) === 'cli');
}

function parseSwitch(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('World switches are counted from 1.');
  return value;
}

function version(): string {
  const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };
  return manifest.version;
}
