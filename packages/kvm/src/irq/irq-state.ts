import type { IrqAckNotifier, IrqMaskNotifier } from './irq-notifier.ts';
import type { KvmIoapic } from './ioapic.ts';
import type { KvmLapic } from './lapic.ts';
import type { KvmPic } from './i8259.ts';
import type { KvmPit } from './i8254.ts';
import type { KvmRoute } from './irq-routing.ts';

/** Where interrupts come from, for the wired-or of a line (include/linux/kvm_host.h). */
export const KVM_USERSPACE_IRQ_SOURCE_ID = 0;
export const KVM_IRQFD_RESAMPLE_IRQ_SOURCE_ID = 1;
export const KVM_PIT_IRQ_SOURCE_ID = 2;

/** In tracepoints of a VM: of no vCPU. */
export const NO_VCPU = -1;

/** The interrupt part of struct kvm_arch. */
export interface KvmIrqState {
  vpic: KvmPic | null;
  vioapic: KvmIoapic | null;
  vpit: KvmPit | null;
  /** Chips in userspace, local APICs here (KVM_CAP_SPLIT_IRQCHIP). */
  split: boolean;
  /** Number of GSIs whose EOI userspace wants to see when split. */
  nrReservedIoapicPins: number;
  /** KVM_CAP_X2APIC_API: 32-bit identifiers in KVM_GET_LAPIC and MSI routes. */
  x2apicFormat: boolean;
  x2apicBroadcastQuirkDisabled: boolean;
  /** Routes by GSI. */
  routes: (readonly KvmRoute[])[];
  /** [chip][pin] to GSI, -1 for none. */
  chipToGsi: Int32Array;
  /** KVM_CREATE_IRQCHIP has been called and completed. */
  routingReady: boolean;
  ackNotifiers: IrqAckNotifier[];
  maskNotifiers: IrqMaskNotifier[];
  /** Local APICs by physical identifier, rebuilt when `apicMapDirty`. */
  physMap: (KvmLapic | undefined)[];
  apicMapDirty: boolean;
  /** Local APICs whose LVT0 is in NMI mode (virtual wire NMI watchdog). */
  vapicsInNmiMode: number;
}

export function createKvmIrqState(): KvmIrqState {
  return {
    vpic: null,
    vioapic: null,
    vpit: null,
    split: false,
    nrReservedIoapicPins: 0,
    x2apicFormat: false,
    x2apicBroadcastQuirkDisabled: false,
    routes: [],
    chipToGsi: new Int32Array(3 * 24).fill(-1),
    routingReady: false,
    ackNotifiers: [],
    maskNotifiers: [],
    physMap: [],
    apicMapDirty: true,
    vapicsInNmiMode: 0,
  };
}

/** __kvm_irq_line_state: the wired-or of a line's sources. `states` has one word of source bits a line. */
export function kvmIrqLineState(states: Uint32Array, line: number, source: number, level: number): number {
  if (level !== 0) states[line] = states[line]! | (1 << source);
  else states[line] = states[line]! & ~(1 << source);
  return states[line] !== 0 ? 1 : 0;
}
