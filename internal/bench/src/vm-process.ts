/** Machines as processes: how they are started, watched and ended. */
import { spawn } from 'node:child_process';
import { resolve } from 'node:path';

/** The command line, built. */
export const VM: string = resolve(import.meta.dirname, '../../../apps/vm/dist/main.js');

/** BusyBox's prompt at the end of what the guest printed. */
export const PROMPT: RegExp = /(^|\n)[~/] # /;

/** A machine that prints nothing for so many milliseconds is given up. */
export const TIMEOUT = 300_000;

const LAST_WORDS = 1500;

export interface Command {
  readonly program: string;
  readonly args: readonly string[];
}

/** Looks at what a machine prints; `pid` is the machine's process. Returns true when it has seen enough. */
export type Watcher = (text: string, pid: number) => boolean;

/** Runs a machine until its watcher has seen enough; fails with its last words when it ends before. */
export function watchMachine({ program, args }: Command, watch: Watcher): Promise<void> {
  return new Promise((done, fail) => {
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    const end = (): void => void child.kill('SIGKILL');
    const timer = setTimeout(end, TIMEOUT);
    let last = '';
    let enough = false;
    const remember = (text: string): void => void (last = (last + text).slice(-LAST_WORDS));
    process.once('exit', end);
    child.stdin.on('error', () => undefined);
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      timer.refresh();
      remember(text);
      if (enough || !watch(text, child.pid!)) return;
      enough = true;
      end();
    });
    child.stderr.setEncoding('utf8').on('data', remember);
    child.on('error', fail);
    child.on('close', () => {
      clearTimeout(timer);
      process.off('exit', end);
      if (enough) done();
      else fail(new Error(`${program} ended before its work was done; its last words:\n${last}`));
    });
  });
}
