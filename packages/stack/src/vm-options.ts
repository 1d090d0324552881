/** What a ready composition takes and gives, without the layers behind it. */
import type { ProcessorProfile } from '@vm/cpu';
import type { SwitchStep } from '@vm/kvm-run/vmx';

/** A module of a multiboot kernel. */
export interface VmModule {
  readonly bytes: Uint8Array;
  readonly commandLine?: string;
}

export interface VmOptions {
  /** A bzImage, a vmlinux (64-bit or PVH entry), or a multiboot ELF kernel. */
  readonly kernel: Uint8Array;
  /** The kernel's file, the first word of a multiboot kernel's command line; `kernel` by default. */
  readonly kernelName?: string;
  readonly initrd?: Uint8Array;
  /** The kernel's command line. */
  readonly append?: string;
  /** Modules of a multiboot kernel. */
  readonly modules?: readonly VmModule[];
  /** Guest memory in MiB; 128 by default. */
  readonly memory?: number;
  /** Unpack a compressed bzImage on the host; true by default. */
  readonly unpack?: boolean;
  /** Time counts instructions, so that equal inputs give equal runs. */
  readonly deterministic?: boolean;
  /** False: guest code is only interpreted. Otherwise `threshold` says how many instructions a piece of it runs before it is compiled. */
  readonly jit?: false | { readonly threshold?: number };
  /** Keeps account of compiled code and names WebAssembly for profilers, for Vm.profile. */
  readonly profile?: boolean;
  /** Ports 0x501 and 0xf4 end the machine with the status (value << 1) | 1; pc-testdev is there too. */
  readonly isaDebugExit?: boolean;
  /** A reset ends the machine. */
  readonly noReboot?: boolean;
  /** Takes what the guest writes to its serial port; called while the guest runs. The bytes are good until it returns. */
  readonly console?: (bytes: Uint8Array) => void;
}

/** Why a machine ended. */
export interface VmEnd {
  /** 0 after power-off, the status of isa-debug-exit, or the code of an error. */
  readonly code: number;
  readonly cause: 'poweroff' | 'reset' | 'debug-exit' | 'triple-fault' | 'panic' | 'internal-error' | 'debug' | 'stopped';
  readonly message: string;
  /** Registers of the processor when it could not go on. */
  readonly state?: string;
}

/** VM exits of one reason; times from the exit to the next entry, in nanoseconds. */
export interface ExitCount {
  /** Basic exit reason (SDM vol. 3D, appendix C). */
  readonly reason: number;
  /** The kernel's name of it. */
  readonly name: string;
  readonly count: number;
  readonly totalNs: number;
  readonly minNs: number;
  readonly maxNs: number;
  /** Sum of the squares. */
  readonly squaresNs: number;
}

/** A field of a tracepoint. */
export type TraceField = number | bigint | string;

/** Receives a tracepoint of KVM's: its name, the names of its fields, their values. It must not call into the VM. */
export type TraceListener = (name: string, names: readonly string[], fields: readonly TraceField[]) => void;

/** A machine made of the three layers, on the caller's thread. */
export interface Vm {
  /** Runs until the guest ends the machine, or `stop`. The event loop turns every few milliseconds meanwhile. */
  run(): Promise<VmEnd>;
  /** Makes `run` come back. */
  stop(): void;
  /** Types on the serial port. Bytes wait until the guest takes them. */
  input(bytes: Uint8Array): void;
  /** Presses the power button: the guest decides what that means. */
  powerButton(): void;
  /** Gives back what the machine holds; it can't run any more. */
  close(): void;
  /** VM exits so far, by reason, without those that never came. */
  exits(): ExitCount[];
  /** Instructions that the guest executed. */
  instructions(): number;
  /** What the processor tells of where its work went; null unless it was asked for. */
  readonly profile: ProcessorProfile | null;
  /** Nanoseconds since the machine was made, on the clock that it goes by. */
  now(): number;
  /** Tracepoints; null turns them off. */
  onTrace: TraceListener | null;
  /** Each thing saved, loaded and switched in each world switch; null turns it off. */
  onSwitch: ((step: SwitchStep) => void) | null;
}
