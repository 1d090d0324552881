import type { HostMemory } from '../memory/host-memory.ts';

/** What a VMX instruction tells through the flags (SDM vol. 3C, 31.2). */
export const VM_SUCCEED = 0;
/** CF set: there is no current VMCS (or the operand is not usable). */
export const VM_FAIL_INVALID = 1;
/** ZF set: the VM-instruction error field of the current VMCS says why. */
export const VM_FAIL_VALID = 2;
export type VmxResult = typeof VM_SUCCEED | typeof VM_FAIL_INVALID | typeof VM_FAIL_VALID;

/** One field that a failed VM-entry check looked at. */
export interface CheckedField {
  /** VMCS encoding. */
  readonly field: number;
  readonly name: string;
  readonly value: bigint;
}

/** Why the last VM entry failed. */
export interface EntryFailure {
  /** Stable name, e.g. `guest.cr0.fixed-bits`. */
  readonly check: string;
  /** The check in one sentence. */
  readonly rule: string;
  /** Section of the SDM, vol. 3C. */
  readonly section: string;
  readonly fields: readonly CheckedField[];
}

/** One thing saved, loaded or switched in a world switch, in order. */
export interface SwitchStep {
  /** `entry` or `exit` for what hardware does; software adds its own. */
  readonly phase: string;
  /** Kernel or SDM name of the step, e.g. `load guest state`, `vmx_save_host_state`. */
  readonly step: string;
  /** What moved: a VMCS field's or register's name. */
  readonly what: string;
  readonly from: string;
  readonly to: string;
  readonly value: bigint;
}

/** Selector registers that host software reads and loads by number. */
export type SegmentRegister = 'es' | 'cs' | 'ss' | 'ds' | 'fs' | 'gs' | 'ldtr' | 'tr';

/**
 * A physical CPU, as ring-0 host software written in TypeScript sees it: each method is an instruction or a pin.
 *
 * 64-bit operands travel as two 32-bit halves so that the paths that are hot allocate nothing; halves that are returned
 * are unsigned, and the high half of the last result is in `high`. One thread at a time owns a processor; only
 * `raiseInterrupt`, `raiseNmi` and `requestLook` may be called from elsewhere (they work on shared memory alone; see
 * interrupts.ts for the same on a bare SharedArrayBuffer).
 */
export interface Processor {
  readonly id: number;
  readonly memory: HostMemory;
  /** Host address of the general registers: sixteen u64 in encoding order. VM entry and exit do not touch them (but RSP). */
  readonly gprs: number;
  /** Host address of eight u32 of pending external vectors, followed by the u32 request word. */
  readonly pendingVectors: number;
  /** High half of the last 64-bit result. */
  readonly high: number;

  // ---- VMX instructions; addresses are host physical (offsets in the host memory)
  vmxon(address: number): VmxResult;
  vmxoff(): VmxResult;
  vmclear(address: number): VmxResult;
  vmptrld(address: number): VmxResult;
  /** Host address of the current VMCS, or -1. */
  vmptrst(): number;
  /** Low half of a field of the current VMCS, unsigned; the high half is in `high`. Throws VmxFailure on VMfail. */
  vmread(field: number): number;
  vmwrite(field: number, low: number, high?: number): VmxResult;
  /**
   * Enters the guest, and returns at the next VM exit (VM_SUCCEED: exit information is in the VMCS, host state is
   * loaded, interrupts are off) or at once on VMfail. A VM entry that fails on guest state or MSR loading is an exit.
   */
  vmlaunch(): VmxResult;
  vmresume(): VmxResult;
  invept(type: number, eptpLow: number, eptpHigh: number): VmxResult;
  invvpid(type: number, vpid: number, linearLow: number, linearHigh: number): VmxResult;
  /** The check at which the last VM entry failed, if it failed. */
  entryFailure(): EntryFailure | undefined;

  // ---- what ring 0 of the host reads and writes around a world switch
  rdmsr(index: number): number;
  /** False: #GP. */
  wrmsr(index: number, low: number, high: number): boolean;
  readCr(number: 0 | 2 | 3 | 4 | 8): number;
  writeCr(number: 0 | 2 | 3 | 4 | 8, low: number, high: number): boolean;
  readDr(number: 0 | 1 | 2 | 3 | 6 | 7): number;
  writeDr(number: 0 | 1 | 2 | 3 | 6 | 7, low: number, high: number): void;
  xgetbv(): number;
  rdpkru(): number;
  wrpkru(value: number): void;
  xsetbv(low: number, high: number): boolean;
  /** Selector of a segment register. */
  readSelector(segment: SegmentRegister): number;
  /** Loads a selector from the descriptor tables in memory; false: the fault that an instruction would have raised. */
  loadSelector(segment: SegmentRegister, selector: number): boolean;
  /** Base of a segment (low half; high in `high`). RDFSBASE, RDGSBASE. */
  readBase(segment: SegmentRegister): number;
  writeBase(segment: 'fs' | 'gs', low: number, high: number): void;
  sgdt(): { readonly base: number; readonly limit: number };
  lgdt(base: number, limit: number): void;
  sidt(): { readonly base: number; readonly limit: number };
  lidt(base: number, limit: number): void;
  /** XSAVE and XRSTOR of the standard form, 64-byte aligned host address, mask of components. */
  xsave(address: number, mask: number): void;
  xrstor(address: number, mask: number): boolean;
  /** CPUID: [eax, ebx, ecx, edx], unsigned, into `out`. */
  cpuid(leaf: number, subleaf: number, out: Uint32Array): void;

  // ---- time: the processor's own TSC, as a double (exact up to 2^53 ticks)
  rdtsc(): number;
  readonly tscKhz: number;
  /** True when time is the count of executed instructions. */
  readonly deterministic: boolean;
  /** Deterministic mode, while nothing runs: lets time pass up to `tsc`. Does nothing when time follows the host clock. */
  idleUntil(tsc: number): void;
  /** The local timer of the physical CPU: raises `vector` when the TSC reaches `tsc`; Infinity disarms. */
  setLocalTimer(tsc: number, vector: number): void;
  /** Instructions executed so far. */
  instructionCount(): number;

  // ---- interrupts of the physical CPU
  /** STI/CLI of the host software. */
  setInterruptFlag(on: boolean): void;
  readonly interruptFlag: boolean;
  /**
   * Takes the highest pending external interrupt if there is one, whatever the interrupt flag says: returns its vector,
   * or -1. Host software calls it where its interrupts are open (the counterpart of the hardware's INTA cycle).
   */
  acknowledgeInterrupt(): number;
  raiseInterrupt(vector: number): void;
  raiseNmi(): void;
  /** Makes the guest leave soon, without a vector: only makes the processor look at its pending interrupts. */
  requestLook(): void;

  // ---- seeing it
  /** While set, each VM entry and exit reports each step; null turns it off. Costs nothing when off. */
  switchObserver: ((step: SwitchStep) => void) | null;
}
