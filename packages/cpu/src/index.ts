export { DEFAULT_JIT, type JitOptions } from './jit/jit.ts';
export { createProcessor, type ProcessorOptions } from './processor/create-processor.ts';
export { HostFault } from './processor/vmx-processor.ts';
export { ENTRY_CHECKS, type EntryCheck, entryCheck } from './vmx/entry-checks.ts';
