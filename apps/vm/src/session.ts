/** One run of a machine on the user's terminal, from the options to the exit status. */
import { type Vm, type VmEnd, type VmOptions, createVm } from '@vm/stack';
import { Failure } from './failure.ts';
import { prepareMachine } from './machine.ts';
import { type ExitReport, formatKvmStat } from './report/kvm-stat.ts';
import { exitReport, saveReport } from './report/last-run.ts';
import type { RunFlags } from './run-options.ts';
import { ESCAPE_HELP } from './terminal/escape.ts';
import { Terminal } from './terminal/terminal.ts';

/** Statuses of the program for machines that end by themselves; isa-debug-exit brings its own. */
const STATUS_LEFT = 0;
const STATUS_ERROR = 1;

export interface Session {
  readonly status: number;
  readonly report: ExitReport;
}

export interface SessionOptions {
  /** Called with the machine before it runs. */
  readonly observe?: (vm: Vm) => void;
  /** Keep what the guest writes from standard output. */
  readonly quiet?: boolean;
  /** Also takes what the guest writes. */
  readonly output?: (bytes: Uint8Array) => void;
  /** What the machine gets beside what the user's options say. */
  readonly machine?: Partial<VmOptions>;
}

export async function runSession(flags: RunFlags, options: SessionOptions = {}): Promise<Session> {
  const say = (line: string): void => void process.stderr.write(`vm: ${line}\n`);
  const { options: machine, title } = await prepareMachine(flags, say);
  let terminal: Terminal | undefined;
  const quiet = options.quiet === true;
  const console = (bytes: Uint8Array): void => {
    if (!quiet) terminal?.write(bytes);
    options.output?.(bytes);
  };
  const vm = await createVm({ ...machine, ...options.machine, console });
  const started = performance.now();
  let left: number | undefined;
  const leave = (status: number): void => {
    // A second request does not wait for the machine.
    if (left !== undefined) process.exit(status);
    left = status;
    vm.stop();
  };
  const report = (): ExitReport => exitReport(vm, flags, performance.now() - started);
  terminal = new Terminal({
    input: (bytes) => vm.input(bytes),
    command: (command) => {
      if (command === 'leave') leave(STATUS_LEFT);
      else if (command === 'help') terminal?.say(ESCAPE_HELP.join('\n'));
      else terminal?.say(formatKvmStat(report()));
    },
    terminate: leave,
  });
  if (terminal.interactive && !quiet) say(`${title}, ${flags.memory} MiB; Ctrl-A X leaves, Ctrl-A H helps`);
  options.observe?.(vm);
  let end: VmEnd;
  terminal.open();
  try {
    end = await vm.run();
  } finally {
    terminal.close();
  }
  const result = report();
  await saveReport(result, flags.exitStats, say);
  return { status: left ?? statusOf(end, terminal.interactive), report: result };
}

/** The status for the way the machine ended; says why on standard error unless the guest meant it. */
function statusOf(end: VmEnd, interactive: boolean): number {
  switch (end.cause) {
    case 'poweroff':
    case 'reset':
    case 'stopped':
      return STATUS_LEFT;
    case 'debug-exit':
      return end.code;
    default:
      process.stderr.write(`${interactive ? '\n' : ''}vm: ${end.message}\n${end.state === undefined ? '' : `${end.state}\n`}`);
      return STATUS_ERROR;
  }
}

/** The report of the last run, or a failure that says how to get one. */
export function requireReport(report: ExitReport | undefined): ExitReport {
  if (report === undefined) throw new Failure('there was no run yet: `vm run` leaves its statistics behind, and `vm stat -- <options of a run>` runs and prints them');
  return report;
}
