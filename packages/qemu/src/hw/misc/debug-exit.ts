import type { MemoryRegionOps } from '../../system/memory-region.ts';

/** isa-debug-exit (hw/misc/debugexit.c): a write of v ends the machine with status (v << 1) | 1. */
export function isaDebugExitOps(exit: (status: number) => void): MemoryRegionOps {
  return {
    read: () => 0,
    write: (_offset, _size, value) => exit(((value << 1) | 1) >>> 0),
  };
}
