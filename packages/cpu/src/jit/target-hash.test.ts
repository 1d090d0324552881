import fc from 'fast-check';
import { expect, test } from 'vitest';
import { targetHash } from './target-hash.ts';

test('each target has a place of its own', () => {
  const offsets = fc.uniqueArray(fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff }), { minLength: 2, maxLength: 32 });
  fc.assert(fc.property(offsets, (targets) => {
    const { multiplier, shift, places } = targetHash(targets);
    for (const [number, offset] of targets.entries()) expect(places[Math.imul(offset, multiplier) >>> shift]).toBe(number);
    expect(places.length).toBeLessThanOrEqual(1024);
  }));
});
