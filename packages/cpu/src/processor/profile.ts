import type { HostMemory } from '@vm/kvm-run';
import type { JitStatistics } from '../jit/jit.ts';
import type { JitProfile, ProfiledRegion } from '../jit/profile.ts';
import { TLB_MISSES } from '../state/layout.ts';
import type { Driver } from './driver.ts';

/**
 * What the processor itself can tell of where its work went, while it stands still. Where time goes is for a profiler of the host
 * to say: to it, WebAssembly modules are named `interpreter`, `microcode` (its functions: `readMiss`, `op_cpuid`, ...) and
 * `region-<number>`.
 */
export interface ProcessorProfile {
  /** Page walks for accesses that the TLB did not serve. */
  tlbMisses(): number;
  /** What compiling has done; null: nothing is compiled. */
  compiled(): Readonly<JitStatistics> | null;
  /** Regions that were compiled, also those that are forgotten by now, in order. */
  regions(): ProfiledRegion[];
}

export function processorProfile(memory: HostMemory, area: number, driver: Driver, profile: JitProfile): ProcessorProfile {
  return {
    tlbMisses: () => Number(memory.view.getBigUint64(area + TLB_MISSES, true)),
    compiled: () => driver.jit && { ...driver.jit.statistics },
    regions: () => profile.regions(),
  };
}
