/** The inside of the processor, for test suites in other packages; not in the published package. */
export { bareMachine, type BareMachine } from './bare-machine.ts';
export { descriptor } from './microcode-bench.ts';
export * as layout from '../state/layout.ts';
