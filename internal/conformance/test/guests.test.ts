import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { TEST_JIT } from '@vm/cpu/testing';
import { GUESTS, assemble, guestNames, hasNasm } from '../tools/assemble.ts';
import { machine } from './machines.ts';

describe('assembled guests', () => {
  test.skipIf(!hasNasm()).for(guestNames())('%s is what its source says', (name) => {
    expect(readFileSync(`${GUESTS}/${name}.bin.ts`, 'utf8')).toBe(assemble(name));
  });
});

test('the test project decides whether guests are compiled', () => {
  const m = machine('spin', { tick: () => true });
  m.vcpu.tryEnter();
  expect(m.regions > 0).toBe(TEST_JIT !== null);
});
