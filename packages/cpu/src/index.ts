export { DEFAULT_JIT, type JitOptions, type JitStatistics } from './jit/jit.ts';
export type { CodeLine, ProfiledRegion } from './jit/profile.ts';
export { createProcessor, type ModelProcessor, type ProcessorOptions } from './processor/create-processor.ts';
export type { ProcessorProfile } from './processor/profile.ts';
export { HostFault } from './processor/vmx-processor.ts';
export { ENTRY_CHECKS, type EntryCheck, entryCheck } from './vmx/entry-checks.ts';
