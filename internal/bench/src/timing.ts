/** How long guests take: each program between the lines that it prints, and the boot from the start of the process to the prompt. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { ProgramLines } from './guest-programs.ts';
import { PROMPT, watchMachine, type Command } from './vm-process.ts';

/** Time that passes, or time of the machine's process on all processors, which other work on the machine disturbs less. */
export type ClockName = 'wall' | 'cpu';
export const CLOCKS: readonly string[] = ['wall', 'cpu'];

export interface Measured {
  readonly seconds: number;
  /** What the program computed; empty for the boot. */
  readonly checksum: string;
}

/** Seconds by name. */
export type Measurements = ReadonlyMap<string, Measured>;

const PROMPT_LENGTH = 4096;
let ticksPerSecond = 0;

/** Seconds that a process has run, its threads and what it did in the kernel with it (proc(5), /proc/pid/stat, fields 14 and 15). */
function cpuSeconds(pid: number): number {
  ticksPerSecond ||= Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

function secondsOf(clock: ClockName, pid: number): number {
  return clock === 'cpu' ? cpuSeconds(pid) : performance.now() / 1000;
}

/** Runs a machine whose guest does the programs one after the other. */
export async function timePrograms(command: Command, names: readonly string[], clock: ClockName): Promise<Measurements> {
  const began = new Map<string, number>();
  const measured = new Map<string, Measured>();
  let machine = 0;
  const lines = new ProgramLines({
    begins: (name) => void began.set(name, secondsOf(clock, machine)),
    gives: (name, checksum) => void measured.set(name, { seconds: secondsOf(clock, machine) - began.get(name)!, checksum }),
  });
  await watchMachine(command, (text, pid) => {
    machine = pid;
    lines.print(text);
    return measured.size === names.length;
  });
  return measured;
}

/** Seconds from the start of the process until BusyBox's prompt is on its standard output. */
export async function timeBoot(command: Command, clock: ClockName): Promise<number> {
  const start = performance.now() / 1000;
  let output = '';
  let seconds = 0;
  await watchMachine(command, (text, pid) => {
    output = (output + text).slice(-PROMPT_LENGTH);
    if (!PROMPT.test(output)) return false;
    seconds = clock === 'cpu' ? cpuSeconds(pid) : performance.now() / 1000 - start;
    return true;
  });
  return seconds;
}
