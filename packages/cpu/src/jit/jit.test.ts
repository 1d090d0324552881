import { expect, test } from 'vitest';
import { sweep } from '../testing/random-code/sweep.ts';

/** Other programs, or more of them: `pnpm conformance:jit`. */
const PROGRAMS = 300;

test(`compiled regions do what the interpreter does, in ${PROGRAMS} random programs`, { timeout: 300_000 }, () => {
  const { failure, regions, faults, events } = sweep({ seed: 1, modes: [64, 32, 16], goesOn: (programs) => programs < PROGRAMS });
  expect(failure).toBeNull();
  // Programs that nothing compiles, or that nothing disturbs, prove little.
  expect(regions).toBeGreaterThan(PROGRAMS * 5);
  expect(faults).toBeGreaterThan(PROGRAMS * 5);
  expect(events).toBeGreaterThan(PROGRAMS * 5);
});
