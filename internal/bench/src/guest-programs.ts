/** The guest programs of ../programs: their names, how Linux is made to run them, and the lines between which they work. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { VM } from './vm-process.ts';

export type Arch = 'amd64' | 'i386';

export const PROGRAMS: readonly string[] = [
  'integers', 'sieve', 'hash', 'compress', 'chase', 'matrix', 'machine', 'nbody-sse2', 'nbody-x87', 'copy', 'strings', 'recursion',
  'indirect', 'syscalls', 'forks', 'faults', 'pipes',
];

/** The names in an option's value; throws on one that is no program. */
export function programNames(option: string, value: string): string[] {
  const names = value.split(',');
  for (const name of names) if (!PROGRAMS.includes(name)) throw new Error(`${option} ${name}: the programs are ${PROGRAMS.join(', ')}`);
  return names;
}

export function initrdOfPrograms(arch: Arch): string {
  return fileURLToPath(new URL(`../programs/programs-${arch}.img`, import.meta.url));
}

/** The kernel's command line with which it runs the programs one after the other. */
export function appendFor(names: readonly string[]): string {
  return `console=ttyS0 quiet panic=-1 rdinit=/programs -- ${names.join(' ')}`;
}

export function fetchKernel(arch: Arch): string {
  const printed = execFileSync(process.execPath, [VM, 'fetch', '--arch', arch, '--json'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  return (JSON.parse(printed) as { kernel: string }).kernel;
}

export interface Marks {
  begins(name: string): void;
  gives(name: string, checksum: string): void;
}

/** Watches what the guest prints for the programs' lines. */
export class ProgramLines {
  readonly #marks: Marks;
  #line = '';
  /** The end of what was printed, for people to read when something failed. */
  last = '';

  constructor(marks: Marks) {
    this.#marks = marks;
  }

  print(text: string): void {
    this.last = (this.last + text).slice(-1500);
    const lines = (this.#line + text.replaceAll('\r', '')).split('\n');
    this.#line = lines.pop()!;
    for (const line of lines) this.#look(line);
  }

  #look(line: string): void {
    const [, name = '', what, checksum = ''] = /([\w-]+) (begins|gives)(?: ([0-9a-f]{8}))?$/.exec(line) ?? [];
    if (what === 'begins') this.#marks.begins(name);
    if (what === 'gives') this.#marks.gives(name, checksum);
  }
}
