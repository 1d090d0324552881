/** The guest programs of ../programs: their names, how Linux is made to run them, and the lines between which they work. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { VM } from './vm-process.ts';

export type Arch = 'amd64' | 'i386';

interface Repeats {
  readonly amd64: number;
  readonly i386: number;
}
const same = (times: number): Repeats => ({ amd64: times, i386: times });

/** How often each does its work so that QEMU's translator takes two to five seconds; i386 code does its floating point on x87. */
const REPEATS: ReadonlyMap<string, Repeats> = new Map([
  ['integers', same(30)], ['sieve', same(25)], ['hash', same(8)], ['compress', same(30)], ['chase', { amd64: 6, i386: 9 }],
  ['matrix', { amd64: 7, i386: 2 }], ['machine', same(6)], ['nbody-sse2', same(7)], ['nbody-x87', { amd64: 3, i386: 1 }], ['copy', same(3)],
  ['copy-sse2', same(7)], ['strings', same(60)], ['recursion', same(28)], ['indirect', same(9)], ['syscalls', { amd64: 18, i386: 9 }],
  ['forks', same(7)], ['faults', same(36)], ['pipes', same(5)],
]);

export const PROGRAMS: readonly string[] = [...REPEATS.keys()];

export function initrdOfPrograms(arch: Arch): string {
  return fileURLToPath(new URL(`../programs/programs-${arch}.img`, import.meta.url));
}

/** The program with the number of times that it does its work in a full measurement. */
export function repeated(name: string, arch: Arch): string {
  return `${name}:${REPEATS.get(name)![arch]}`;
}

/** The kernel's command line with which it runs the programs one after the other. */
export function appendFor(programs: readonly string[]): string {
  return `console=ttyS0 quiet panic=-1 rdinit=/programs -- ${programs.join(' ')}`;
}

export interface Images {
  readonly kernel: string;
  /** BusyBox with a shell. */
  readonly initrd: string;
}

export function fetchImages(arch: Arch): Images {
  const printed = execFileSync(process.execPath, [VM, 'fetch', '--arch', arch, '--json'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  return JSON.parse(printed) as Images;
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
