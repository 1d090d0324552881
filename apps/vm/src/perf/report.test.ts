import { expect, test } from 'vitest';
import { difference, type Reading } from './account.ts';
import { buildReport, formatReport } from './report.ts';

const CODE = [{ address: 0x1000n, bytes: Uint8Array.of(0xff, 0xc0) }];
const region = (number: number, entry: bigint, runs: number, instructions: number): Reading['regions'][number] =>
  ({ number, entry, mode: 64, code: CODE, module: new Uint8Array(100), runs, instructions });
const exit = (name: string, reason: number, count: number, totalNs: number): Reading['exits'][number] =>
  ({ reason, name, count, totalNs, minNs: 0, maxNs: 0, squaresNs: 0 });
const before: Reading = { instructions: 1000, tlbMisses: 5, exits: [exit('HLT', 12, 1, 1e9), exit('CPUID', 10, 3, 1e6)], regions: [region(0, 0x1000n, 10, 400)] };
const after: Reading = {
  instructions: 2_001_000, tlbMisses: 25, exits: [exit('HLT', 12, 4, 3e9), exit('CPUID', 10, 3, 1e6)],
  regions: [region(0, 0x1000n, 20, 500_400), region(1, 0x1000n, 5, 1_000_000), region(2, 0x2000n, 0, 0)],
};
const times = { samples: 4000, seconds: 4, parts: new Map([['compiled code', 3], ['idle', 1]] as const), regions: new Map([[0, 1], [1, 2]]), microcode: new Map([['op_cpuid', 0.001], ['op_scas', 0.5]]) };
const report = buildReport(difference(before, after), times, { nameOf: () => 'loop' });

test('counts what came between the readings; regions with one entry are one', () => {
  expect(report).toMatchObject({
    seconds: 4, samples: 4000, instructions: 2_000_000, compiled_instructions: 1_500_000, interpreted_instructions: 500_000, tlb_misses: 20,
    exits: [{ reason: 'HLT', count: 3, seconds: 2 }],
    regions: [{ address: '0x1000', symbol: 'loop', mode: 64, seconds: 3, share: 0.75, runs: 15, instructions: 1_500_000, size: 1, bytes: 100 }],
  });
});

test('prints a table, longest first', () => {
  expect(formatReport(report, 20).split('\n')).toEqual([
    '', '# 4.000 s, 4000 samples', '# 2 000 000 guest instructions, 75.0% of them in compiled code; 20 TLB misses', '',
    '   Share   Seconds  Part', '  75.00%     3.000  compiled code', '  25.00%     1.000  idle', '',
    '     Count   Seconds  VM exit', '         3     2.000  HLT', '',
    '   Share   Seconds  Microcode', '  12.50%     0.500  op_scas', '',
    '   Share   Seconds         Runs    Instructions  Size  Compiled region',
    '  75.00%     3.000           15         1500000     1  0x1000  loop', '',
  ]);
  expect(formatReport(report, 0)).toContain('... and 1 more (--top)');
});
