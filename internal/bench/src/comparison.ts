/** What several machines took for the same programs: medians, ratios, geometric means. */
import type { PeerName } from './peers/peers.ts';
import { figure, median } from './report.ts';
import type { Measurements } from './timing.ts';

/** Seconds, medians over the rounds; null where the machine did not run. */
export interface ComparedRow {
  readonly name: string;
  readonly ours_s: number;
  readonly v86_s: number | null;
  readonly qemu_s: number | null;
}

/** The rounds of each machine that ran. */
export type Rounds = ReadonlyMap<PeerName, readonly Measurements[]>;

/** A row a name. Throws when two machines, or two rounds, computed different results. */
export function compare(names: readonly string[], rounds: Rounds): ComparedRow[] {
  return names.map((name) => {
    checkResults(name, rounds);
    const seconds = (peer: PeerName): number | null => {
      const runs = rounds.get(peer);
      return runs === undefined ? null : median(runs.map((run) => run.get(name)!.seconds));
    };
    return { name, ours_s: seconds('ours') ?? Number.NaN, v86_s: seconds('v86'), qemu_s: seconds('qemu') };
  });
}

function checkResults(name: string, rounds: Rounds): void {
  const results = new Map<string, PeerName>();
  for (const [peer, runs] of rounds) for (const run of runs) results.set(run.get(name)!.checksum, peer);
  if (results.size > 1) throw new Error(`${name}: results differ: ${[...results].map(([checksum, peer]) => `${checksum} (${peer})`).join(', ')}`);
}

export function geometricMean(values: readonly number[]): number | null {
  return values.length === 0 ? null : Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

/** How many times as fast as the peer we are; null where it did not run. */
export function speedOver(row: ComparedRow, peer: 'v86' | 'qemu'): number | null {
  const theirs = row[`${peer}_s`];
  return theirs === null ? null : theirs / row.ours_s;
}

export function meanSpeedOver(rows: readonly ComparedRow[], peer: 'v86' | 'qemu'): number | null {
  return geometricMean(rows.map((row) => speedOver(row, peer)).filter((speed) => speed !== null));
}

const TITLES = { v86: 'v86', qemu: 'QEMU' } as const;

export function formatComparison(rows: readonly ComparedRow[]): string {
  const peers = (['v86', 'qemu'] as const).filter((peer) => meanSpeedOver(rows, peer) !== null);
  const cell = (value: number | null): string => (value === null ? '-' : figure(value)).padStart(9);
  const line = (name: string, cells: readonly string[]): string => name.padEnd(12) + cells.join('');
  const head = line('program', ['ours s', ...peers.flatMap((peer) => [`${TITLES[peer]} s`, 'speed'])].map((text) => text.padStart(9)));
  const body = rows.map((row) => line(row.name, [cell(row.ours_s), ...peers.flatMap((peer) => [cell(row[`${peer}_s`]), cell(speedOver(row, peer))])]));
  const means = peers.map((peer) => `geometric mean of our speed over ${TITLES[peer]}'s: ${figure(meanSpeedOver(rows, peer)!)}`);
  return [head, ...body, ...means].join('\n');
}
