import { describe, expect, test } from 'vitest';
import { HostMemory } from '@vm/kvm-run';
import { forms } from '../decode/forms.ts';
import { ROWS } from '../decode/table/index.ts';
import { handlerFor } from '../interpreter/handlers.ts';
import { instantiateMicrocode } from '../microcode/instantiate.ts';
import { microcodeName } from '../semantics/complex.ts';
import { CPUID_FEATURES, cpuidTable } from './cpuid.ts';

const { exports } = instantiateMicrocode(HostMemory.create(1 << 22), 0, { readClock: () => 0, cpuTrace: () => {} });
const microcode = (name: string): string | null => microcodeName(name, (candidate) => candidate in exports);

/** Mnemonics of a feature's legacy encodings that nothing executes. */
function missing(feature: string): string[] {
  const without = forms().filter(({ row, mnemonic, operands, operandSize, modes }) => {
    if (row.feature !== feature || row.vex) return false;
    const sizes = operandSize === 0 ? [2, 4, 8] : [operandSize];
    return !modes.some((mode) => sizes.some((size) => handlerFor(mnemonic, operands, size, 8, mode === 64, microcode)));
  });
  return [...new Set(without.map(({ mnemonic }) => mnemonic))];
}

describe('CPUID', () => {
  const instructionFeatures = CPUID_FEATURES.map(([name]) => name).filter((name) => ROWS.some((row) => row.feature === name));

  test.each(instructionFeatures)('%s is reported because all its instructions are there', (feature) => {
    expect(missing(feature)).toEqual([]);
  });

  test('the table is as wide as its leaves say and fits the area', () => {
    const table = cpuidTable({ apicId: 3, tscKhz: 2_000_000 });
    const basic = table.filter((entry) => entry.leaf < 0x80000000).map((entry) => entry.leaf);
    expect(Math.max(...basic)).toBe(table.find((entry) => entry.leaf === 0)!.eax);
    expect(table.length * 32).toBeLessThan(0xffc);
    expect(table.find((entry) => entry.leaf === 1)!.ebx >>> 24).toBe(3);
  });
});
