/**
 * How processors execute guest code in tests. The suites that run any run twice (vitest.shared.ts): interpreted, and with
 * whatever runs compiled before it runs for the first time.
 */
import type { JitOptions } from '../jit/jit.ts';

/** Regions are compiled a second time when they are entered for the third time. */
const FORCED: JitOptions = { threshold: 0, entries: 2, regions: 1000, steps: true };

/** Null: interpreted. */
export const TEST_JIT: JitOptions | null = process.env['VM_TEST_JIT'] === 'forced' ? FORCED : null;
