import { describe, expect, test } from 'vitest';
import { formatRegressions, regressions } from '../src/against.ts';
import { compare, formatComparison, geometricMean, meanSpeedOver } from '../src/comparison.ts';
import type { PeerName } from '../src/peers/peers.ts';
import { plotComparison } from '../src/plot.ts';
import type { Measurements } from '../src/timing.ts';

const NAMES = ['hash', 'copy'];
const run = (hash: number, copy: number, checksum = 'c0ffee00'): Measurements => new Map([['hash', { seconds: hash, checksum }], ['copy', { seconds: copy, checksum }]]);
const rounds = (all: Partial<Record<PeerName, Measurements[]>>): Map<PeerName, Measurements[]> => new Map(Object.entries(all) as [PeerName, Measurements[]][]);

describe('compare', () => {
  const rows = compare(NAMES, rounds({ ours: [run(1, 4), run(9, 4), run(1, 4)], v86: [run(8, 4)], qemu: [run(2, 1)] }));

  test('takes medians', () => expect(rows).toEqual([{ name: 'hash', ours_s: 1, v86_s: 8, qemu_s: 2 }, { name: 'copy', ours_s: 4, v86_s: 4, qemu_s: 1 }]));
  test('means are geometric', () => {
    expect(meanSpeedOver(rows, 'v86')).toBeCloseTo(Math.sqrt(8));
    expect(meanSpeedOver(rows, 'qemu')).toBeCloseTo(Math.sqrt(0.5));
    expect(geometricMean([])).toBeNull();
  });
  test('prints a table with the peers that ran', () => {
    expect(formatComparison(rows).split('\n')).toEqual([
      'program        ours s    v86 s    speed   QEMU s    speed',
      'hash             1.00     8.00     8.00     2.00     2.00',
      'copy             4.00     4.00     1.00     1.00    0.250',
      "geometric mean of our speed over v86's: 2.83",
      "geometric mean of our speed over QEMU's: 0.707",
    ]);
    expect(formatComparison(compare(NAMES, rounds({ ours: [run(1, 4)] })))).toBe('program        ours s\nhash             1.00\ncopy             4.00');
  });
  test('refuses results that differ', () =>
    expect(() => compare(NAMES, rounds({ ours: [run(1, 1)], v86: [run(1, 1, 'bad00000')] }))).toThrow('hash: results differ: c0ffee00 (ours), bad00000 (v86)'));
  test('is drawn with a bar a peer and program', () => {
    const svg = plotComparison('Title of it', rows);
    expect(svg).toMatch(/^<svg [\s\S]*<\/svg>\s*$/);
    for (const text of ['Title of it', 'hash', 'copy', 'geom. mean', 'over v86', 'over QEMU without KVM', '8.00', '0.250']) expect(svg).toContain(`>${text}<`);
    expect(plotComparison('', compare(NAMES, rounds({ ours: [run(1, 4)], qemu: [run(1, 1)] })))).not.toContain('over v86');
  });
});

describe('regressions', () => {
  test.each<[string, Measurements[], Measurements[], boolean[]]>([
    ['as fast', [run(1, 1)], [run(1.05, 1)], [false, false]],
    ['slower', [run(1, 1), run(1.1, 1)], [run(1.3, 1), run(1.25, 1)], [true, false]],
    ['disturbed once', [run(1, 1), run(1, 1)], [run(1, 1), run(5, 1)], [false, false]],
  ])('%s', (_what, base, now, slower) => expect(regressions(NAMES, base, now, 10).map((row) => row.slower)).toEqual(slower));

  test('are named below the table', () => {
    const rows = regressions(NAMES, [run(1, 1)], [run(2, 1)], 10);
    expect(formatRegressions('main', rows, 10)).toBe([
      'program         base s     now s     speed', 'hash              1.00      2.00     0.500  slower', 'copy              1.00      1.00      1.00',
      "geometric mean of the speed over main's: 0.707", 'slower by more than 10 %: hash',
    ].join('\n'));
  });
  test('refuses results that differ', () => expect(() => regressions(NAMES, [run(1, 1)], [run(1, 1, 'bad00000')], 10)).toThrow('hash: results differ'));
});
