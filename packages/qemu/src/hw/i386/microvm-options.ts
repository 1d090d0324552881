import { OutOfHostMemory, PAGE_SIZE, type HostMemory, type KvmSystem } from '@vm/kvm-run';
import type { CpuState } from '../../accel/kvm/cpu-state.ts';
import type { CharBackend } from '../../system/chardev.ts';
import { MachineError } from '../../system/exit-status.ts';
import type { TimerService } from '../../system/timer.ts';
import type { KernelOptions } from './boot/boot-image.ts';
import { MiB } from './layout.ts';

export interface MicrovmOptions extends KernelOptions {
  readonly kvm: KvmSystem;
  readonly hostMemory: HostMemory;
  readonly timers: TimerService;
  /**
   * Called whenever the vCPU is out of the guest with nothing to do at once: resolves when it should go in again
   * (another turn of the host's event loop, an interrupt, a timer).
   */
  readonly waitIoEvent: (cpu: CpuState) => Promise<void>;
  /** Interrupts the vCPU's thread, where that is another than the caller's. */
  readonly kick?: () => void;
  readonly memoryMiB: number;
  readonly cpus?: number;
  /** What the guest sends to COM1; `onSerialOutput` of the machine can be set later too. */
  readonly onSerialOutput?: (bytes: Uint8Array) => void;
  /** A second serial port. */
  readonly com2?: CharBackend;
  /** Bytes written to ports 0x402 and 0xe9. */
  readonly debugcon?: CharBackend;
  /** isa-debug-exit at ports 0x501 and 0xf4. */
  readonly isaDebugExit?: boolean;
  /** What kvm-unit-tests want: isa-debug-exit and pc-testdev. */
  readonly testDevices?: boolean;
  /** Tell the guest of its keyboard controller (which has no keys). */
  readonly keyboard?: boolean;
  /** Named files for the guest to read through fw_cfg. */
  readonly fwCfgFiles?: Readonly<Record<string, Uint8Array>>;
  /** Shows VMX to the guest. */
  readonly nested?: boolean;
  /** What a reset of the guest does. Default: the machine starts over. */
  readonly onReboot?: 'reset' | 'stop';
  /** What a triple fault does. Default: the machine ends and shows the registers. */
  readonly onTripleFault?: 'reset' | 'stop';
}

const MIN_MEMORY_MIB = 2;
/** Pages of 2 MiB keep the EPT small. */
const RAM_ALIGN_PAGES: number = (2 * MiB) / PAGE_SIZE;

/** RAM in host memory; its address. */
export function allocateRam(options: MicrovmOptions): number {
  const { memoryMiB, hostMemory } = options;
  if (!Number.isInteger(memoryMiB) || memoryMiB < MIN_MEMORY_MIB)
    throw new MachineError(`a machine with ${memoryMiB} MiB of memory: give a whole number, ${MIN_MEMORY_MIB} or more`);
  const free = Math.floor((hostMemory.freePages * PAGE_SIZE) / MiB);
  if (memoryMiB > free) throw new MachineError(`a machine with ${memoryMiB} MiB of memory: the host memory has ${free} MiB free`);
  try {
    return hostMemory.allocPages((memoryMiB * MiB) / PAGE_SIZE, RAM_ALIGN_PAGES);
  } catch (error) {
    if (error instanceof OutOfHostMemory)
      throw new MachineError(`a machine with ${memoryMiB} MiB of memory: the host memory has no such piece, of ${free} MiB free`);
    throw error;
  }
}
