/** Drives the program as a user at a pipe would: types, waits for text, takes the exit status. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';

export const MAIN: string = resolve(import.meta.dirname, '../src/main.ts');
export const MONITOR: string = resolve(import.meta.dirname, '../guests/monitor.elf');
export const BENCH_GUESTS: string = resolve(import.meta.dirname, '../../../internal/bench/guests');

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class VmProcess {
  readonly child: ChildProcessWithoutNullStreams;
  stdout = '';
  stderr = '';
  readonly #waiting: Set<() => void> = new Set();
  readonly #closed: Promise<unknown>;
  #read = 0;

  constructor(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
    this.child = spawn(process.execPath, ['--conditions=@vm/source', '--no-warnings', MAIN, ...args], { env: { ...process.env, ...env } });
    this.#closed = once(this.child, 'close');
    this.child.stdout.setEncoding('utf8').on('data', (text: string) => this.#more(() => (this.stdout += text)));
    this.child.stderr.setEncoding('utf8').on('data', (text: string) => this.#more(() => (this.stderr += text)));
    this.child.stdin.on('error', () => undefined);
    this.child.on('close', () => this.#more(() => undefined));
  }

  type(text: string): void {
    this.child.stdin.write(text);
  }

  /** Waits until what was printed since the last match has this; returns what came before it and it. */
  async until(pattern: RegExp, timeout = 120_000): Promise<string> {
    const deadline = Date.now() + timeout;
    for (;;) {
      const text = this.stdout.slice(this.#read);
      const match = pattern.exec(text);
      if (match !== null) {
        this.#read += match.index + match[0].length;
        return text.slice(0, match.index + match[0].length);
      }
      if (this.child.exitCode !== null || this.child.signalCode !== null || Date.now() > deadline)
        throw new Error(`${String(pattern)} did not come (exit ${this.child.exitCode}); stderr: ${this.stderr}\nstdout ends: ${this.stdout.slice(-2000)}`);
      await this.#change(deadline - Date.now());
    }
  }

  /** Types a command at the shell's prompt and returns what it printed. */
  async shell(command: string, timeout?: number): Promise<string> {
    this.type(`${command}\n`);
    const text = await this.until(PROMPT, timeout);
    const lines = text.replaceAll('\r', '').split('\n');
    return lines.slice(1, -1).join('\n');
  }

  async end(timeout = 60_000): Promise<Outcome> {
    const timer = setTimeout(() => this.child.kill('SIGKILL'), timeout);
    await this.#closed;
    clearTimeout(timer);
    return { code: this.child.exitCode, stdout: this.stdout, stderr: this.stderr };
  }

  kill(): void {
    this.child.kill('SIGKILL');
  }

  #more(append: () => unknown): void {
    append();
    for (const wake of this.#waiting) wake();
  }

  #change(timeout: number): Promise<void> {
    return new Promise((done) => {
      const timer = setTimeout(() => wake(), timeout);
      const wake = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(wake);
        done();
      };
      this.#waiting.add(wake);
    });
  }
}

/** BusyBox's prompt. What it asks a terminal for, or a kernel message, may follow. */
export const PROMPT: RegExp = /(^|\n)[~/] # /;

export function vm(args: readonly string[], env?: NodeJS.ProcessEnv): Promise<Outcome> {
  const process = new VmProcess(args, env);
  process.child.stdin.end();
  return process.end();
}
