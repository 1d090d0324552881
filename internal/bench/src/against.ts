/** This working tree beside another revision: the other one built in a folder of its own, and what is slower than there. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { geometricMean } from './comparison.ts';
import { figure, median } from './report.ts';
import type { Measurements } from './timing.ts';

const ROOT = resolve(import.meta.dirname, '../../..');

export interface RegressionRow {
  readonly name: string;
  /** Medians of the rounds. */
  readonly base_s: number;
  readonly ours_s: number;
  /** Slower than the limit allows, in the median and in the best round: one disturbed round is no regression. */
  readonly slower: boolean;
}

/** Rows by name; `slowdown` is in percent. Throws when the two computed different results. */
export function regressions(names: readonly string[], base: readonly Measurements[], ours: readonly Measurements[], slowdown: number): RegressionRow[] {
  const limit = 1 + slowdown / 100;
  return names.map((name) => {
    const checksums = new Set([...base, ...ours].map((run) => run.get(name)!.checksum));
    if (checksums.size > 1) throw new Error(`${name}: results differ: ${[...checksums].join(', ')}`);
    const [before, now] = [base, ours].map((runs) => runs.map((run) => run.get(name)!.seconds)) as [number[], number[]];
    const slower = median(now) > median(before) * limit && Math.min(...now) > Math.min(...before) * limit;
    return { name, base_s: median(before), ours_s: median(now), slower };
  });
}

export function formatRegressions(revision: string, rows: readonly RegressionRow[], slowdown: number): string {
  const line = (name: string, ...cells: readonly string[]): string => name.padEnd(12) + cells.map((cell) => cell.padStart(10)).join('');
  const mean = geometricMean(rows.map(({ base_s: base, ours_s: now }) => base / now));
  const slower = rows.filter((row) => row.slower).map(({ name }) => name);
  return [
    line('program', 'base s', 'now s', 'speed'),
    ...rows.map(({ name, base_s: base, ours_s: now, slower: slow }) => line(name, figure(base), figure(now), figure(base / now)) + (slow ? '  slower' : '')),
    `geometric mean of the speed over ${revision}'s: ${mean === null ? '-' : figure(mean)}`,
    slower.length === 0 ? `none is slower by more than ${slowdown} %` : `slower by more than ${slowdown} %: ${slower.join(', ')}`,
  ].join('\n');
}

/** Builds the revision and returns the path of its command line; the folder goes when this process ends. */
export function buildRevision(revision: string, say: (line: string) => void): string {
  const commit = spawnSync('git', ['rev-parse', '--verify', '--quiet', `${revision}^{commit}`], { cwd: ROOT, encoding: 'utf8' }).stdout.trim();
  if (commit === '') throw new Error(`--against ${revision}: git knows no such commit`);
  const scratch = mkdtempSync(join(tmpdir(), 'bench-against-'));
  const folder = join(scratch, 'tree');
  process.once('exit', () => {
    spawnSync('git', ['worktree', 'remove', '--force', folder], { cwd: ROOT });
    rmSync(scratch, { recursive: true, force: true });
  });
  say(`building ${revision} (${commit.slice(0, 12)})`);
  execFileSync('git', ['worktree', 'add', '--quiet', '--detach', folder, commit], { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] });
  pnpm(folder, 'install', '--frozen-lockfile', '--silent');
  pnpm(folder, 'exec', 'turbo', 'run', 'build', '--output-logs=errors-only');
  return join(folder, 'apps/vm/dist/main.js');
}

/** The pnpm that runs this script, in another folder. */
function pnpm(cwd: string, ...args: string[]): void {
  const path = process.env['npm_execpath'];
  const [program, ...before] = path === undefined ? ['pnpm'] : /\.[cm]?js$/.test(path) ? [process.execPath, path] : [path];
  execFileSync(program!, [...before, ...args], { cwd, stdio: ['ignore', 'ignore', 'inherit'] });
}
