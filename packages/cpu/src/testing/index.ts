/** The inside of the processor, for test suites in other packages; not in the published package. */
export { bareMachine, type BareMachine } from './bare-machine.ts';
export { descriptor } from './microcode-bench.ts';
export type { Mode } from './random-code/modes.ts';
export { sweep, type Sweep, type SweepOptions } from './random-code/sweep.ts';
export { assembleProcessor } from '../processor/create-processor.ts';
export { TEST_JIT } from './test-jit.ts';
export * as layout from '../state/layout.ts';
