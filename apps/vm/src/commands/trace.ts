import { closeSync, openSync, writeSync } from 'node:fs';
import type { SwitchStep } from '@vm/kvm-run/vmx';
import type { Vm } from '@vm/stack';
import { Failure } from '../failure.ts';
import { formatTracepoint } from '../report/tracepoints.ts';
import { SwitchCounter, formatSwitch } from '../report/world-switch.ts';
import type { RunFlags } from '../run-options.ts';
import { runSession } from '../session.ts';

export interface TraceFlags extends RunFlags {
  output?: string;
  events: string;
  switch?: number;
}

const STDERR = 2;
const BUFFER = 1 << 16;

/** `vm trace`: tracepoints line by line, or one world switch in full. */
export async function traceCommand(flags: TraceFlags): Promise<number> {
  const lines = new LineWriter(flags.output);
  try {
    return flags.switch === undefined ? await traceEvents(flags, lines) : await traceSwitch(flags, flags.switch);
  } finally {
    lines.close();
  }
}

async function traceEvents(flags: TraceFlags, lines: LineWriter): Promise<number> {
  const wanted = flags.events === 'all' ? undefined : new Set(flags.events.split(',').map((name) => name.trim()));
  const observe = (vm: Vm): void => {
    vm.onTrace = (name, names, fields) => {
      if (wanted !== undefined && !wanted.has(name)) return;
      lines.write(formatTracepoint({ pid: process.pid, cpu: 0, time: vm.now() }, name, names, fields));
    };
  };
  return (await runSession(flags, { observe })).status;
}

async function traceSwitch(flags: TraceFlags, wanted: number): Promise<number> {
  const counter = new SwitchCounter(wanted);
  let found: readonly SwitchStep[] | undefined;
  const observe = (vm: Vm): void => {
    vm.onSwitch = (step) => {
      if (found !== undefined) return;
      found = counter.push(step);
      if (found !== undefined) vm.stop();
    };
  };
  const { status } = await runSession(flags, { observe, quiet: true });
  const steps = found ?? counter.last();
  if (steps === undefined) throw new Failure(`there were ${counter.count} world switches, not ${wanted}`);
  process.stdout.write(formatSwitch(wanted, steps));
  return found === undefined ? status : 0;
}

/** Lines to a file or standard error, in large pieces. */
class LineWriter {
  readonly #file: number;
  #text = '';

  constructor(path: string | undefined) {
    try {
      this.#file = path === undefined ? STDERR : openSync(path, 'w');
    } catch (error) {
      throw new Failure(`the trace can't be written to ${path}: ${(error as Error).message}`, { cause: error });
    }
  }

  write(line: string): void {
    this.#text += `${line}\n`;
    if (this.#text.length >= BUFFER) this.flush();
  }

  flush(): void {
    let bytes = Buffer.from(this.#text);
    this.#text = '';
    while (bytes.length > 0) bytes = bytes.subarray(this.#some(bytes));
  }

  close(): void {
    this.flush();
    if (this.#file !== STDERR) closeSync(this.#file);
  }

  // A pipe whose reader is slow takes nothing at times.
  #some(bytes: Uint8Array): number {
    try {
      return writeSync(this.#file, bytes);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
      return 0;
    }
  }
}
