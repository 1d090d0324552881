import { expect, test } from 'vitest';
import { formatKvmStat } from './kvm-stat.ts';

const report = {
  ended: '2026-01-01T00:00:00.000Z', command: 'vm run', vcpus: 1, elapsed: 1e9, instructions: 1e6,
  exits: [
    { reason: 'HLT', samples: 1, time: 3_000_000, min: 3_000_000, max: 3_000_000, squares: 0 },
    { reason: 'IO_INSTRUCTION', samples: 3, time: 6000, min: 1000, max: 3000, squares: 2_000_000 },
  ],
};

test('prints the columns of perf kvm stat, most frequent first', () => {
  expect(formatKvmStat(report).split('\n')).toEqual([
    '', '', 'Analyze events for all VMs, all VCPUs:', '',
    '             VM-EXIT    Samples  Samples%     Time%    Min Time    Max Time         Avg time ', '',
    '      IO_INSTRUCTION          3    75.00%     0.20%      1.00us      3.00us      2.00us ( +-  28.87% )',
    '                 HLT          1    25.00%    99.80%   3000.00us   3000.00us   3000.00us ( +-   0.00% )',
    '', 'Total Samples:4, Total events handled time:3006.00us.', '', '',
  ]);
});

test('an empty run gives an empty table', () => {
  expect(formatKvmStat({ ...report, exits: [] })).toContain('Total Samples:0, Total events handled time:0.00us.');
});
