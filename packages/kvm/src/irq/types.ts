import type { HostMemory } from '@vm/kvm-run';
import type { KvmTracer } from '../trace.ts';
import type { KvmIoBus } from '../io-bus.ts';
import type { HrTimerQueue } from './hrtimer.ts';
import type { KvmLapic } from './lapic.ts';
import type { KvmIrqState } from './irq-state.ts';

/** What the interrupt chips know of a vCPU. @vm/kvm's KvmVcpu satisfies it. */
export interface ApicVcpu {
  readonly vcpuId: number;
  readonly kvm: IrqKvm;
  apic: KvmLapic | null;
  /** KVM_MP_STATE_*. */
  mpState: number;
  /** Guest TSC minus host TSC, in ticks. */
  readonly tscOffset: number;
  /** True when the guest's CPUID shows x2APIC. */
  readonly hasX2apic: boolean;
  /** Width of a guest-physical address, from the guest's CPUID. */
  readonly maxPhyAddr: number;
  /** Timers of the thread that runs the vCPU. */
  readonly hrtimers: HrTimerQueue;
  /** kvm_make_request. */
  makeRequest(request: number): void;
  /** kvm_vcpu_kick: out of the guest, or out of the wait. */
  kick(): void;
  /** kvm_inject_nmi. */
  injectNmi(): void;
  /** kvm_inject_smi; false when there is no SMM. */
  injectSmi(): boolean;
  /** kvm_vcpu_reset. */
  reset(initEvent: boolean): void;
  /** kvm_vcpu_deliver_sipi_vector: CS:IP of the start-up page. */
  deliverSipiVector(vector: number): void;
  /**
   * set_hv_timer: asks the VMX-preemption timer to exit at a host TSC. Negative: it cannot; 0: armed; 1: the deadline
   * is already over.
   */
  setHvTimer(hostTsc: number): number;
  cancelHvTimer(): void;
}

/** What the interrupt chips know of a VM. */
export interface IrqKvm {
  /** KVM_SET_BOOT_CPU_ID: the vCPU that is the bootstrap processor after reset. */
  readonly bspVcpuId: number;
  /** KVM_X86_QUIRK_*. */
  readonly disabledQuirks: number;
  /** Where tracepoints go; null: nowhere. */
  readonly global: { readonly tracer: KvmTracer | null };
  readonly memory: HostMemory;
  readonly vcpus: readonly ApicVcpu[];
  readonly irq: KvmIrqState;
  readonly pioBus: KvmIoBus;
  readonly mmioBus: KvmIoBus;
  /** Timers of the VM itself (the PIT, the IOAPIC's delayed EOI). */
  readonly hrtimers: HrTimerQueue;
}
