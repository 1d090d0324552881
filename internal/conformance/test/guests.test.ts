import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { GUESTS, assemble, guestNames, hasNasm } from '../tools/assemble.ts';

describe('assembled guests', () => {
  test.skipIf(!hasNasm()).for(guestNames())('%s is what its source says', (name) => {
    expect(readFileSync(`${GUESTS}/${name}.bin.ts`, 'utf8')).toBe(assemble(name));
  });
});
