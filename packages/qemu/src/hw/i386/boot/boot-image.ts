/** What a loader makes of a kernel: bytes at places, and the processor's state at the first instruction. */

import type { X86Env } from '../../../target/i386/env.ts';
import type { CompressionFormat, Decompressor } from './decompress/index.ts';
import type { E820Entry } from '../e820.ts';
import type { MemoryPlan } from './memory-plan.ts';

/** Bytes that are written to RAM at every reset (rom_add_blob). */
export interface RomBlob {
  readonly name: string;
  readonly address: number;
  readonly bytes: Uint8Array;
  /** Room that it takes; what the bytes do not fill is zero. Default: their length. */
  readonly size?: number;
}

export interface BootImage {
  /** For messages: `Linux bzImage 6.1.0, unpacked (lz4), 64-bit entry`. */
  readonly description: string;
  readonly blobs: readonly RomBlob[];
  /** Changes the registers from their reset state to what the kernel's entry expects. */
  readonly enter: (env: X86Env) => void;
}

export type KernelEntry = 'auto' | 'linux64' | 'linux32' | 'pvh' | 'multiboot';

export interface BootModule {
  readonly bytes: Uint8Array;
  readonly commandLine: string;
}

/** What the user gives to boot. */
export interface KernelOptions {
  readonly kernel: Uint8Array;
  /** The kernel's file, with which a multiboot kernel's command line begins. Default: `kernel`. */
  readonly kernelName?: string;
  readonly initrd?: Uint8Array;
  /** Further modules of a multiboot kernel, after the initrd. */
  readonly modules?: readonly BootModule[];
  readonly append?: string;
  /** Unpack the kernel of a bzImage here, which is quicker than to let it do so itself. Default: true. */
  readonly unpack?: boolean;
  readonly entry?: KernelEntry;
  /** Bytes that the kernel may use to seed its random numbers. */
  readonly rngSeed?: Uint8Array;
  /** Replaces the decompressors that are built in. */
  readonly decompressors?: Partial<Readonly<Record<CompressionFormat, Decompressor>>>;
}

/** What the machine tells a loader. */
export interface LoaderContext {
  readonly options: KernelOptions;
  readonly e820: readonly E820Entry[];
  readonly plan: MemoryPlan;
  readonly rsdp: number;
}
