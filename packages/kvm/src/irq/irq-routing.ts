import {
  EINVAL,
  ENXIO,
  KVM_IRQ_ROUTING_IRQCHIP,
  KVM_IRQ_ROUTING_MSI,
  KVM_IRQCHIP_IOAPIC,
  KVM_IRQCHIP_PIC_MASTER,
  KVM_IRQCHIP_PIC_SLAVE,
} from '@vm/kvm-run';
import type { ApicVcpu, IrqKvm } from './types.ts';
import type { KvmLapicIrq } from './lapic-irq.ts';
import { APIC_DEST_LOGICAL, APIC_DEST_NOSHORT, APIC_DEST_PHYSICAL, APIC_MODE_MASK } from './apicdef.ts';
import { IOAPIC_NUM_PINS, kvmIoapicSetIrq } from './ioapic.ts';
import { kvmApicMatchDest, kvmIrqDeliveryToApic } from './irq-delivery.ts';
import {
  kvmMakeScanIoapicRequest,
} from './irq-notifier.ts';
import { NO_VCPU } from './irq-state.ts';
import { kvmPicSetIrq } from './i8259.ts';
import { u64 } from '../trace.ts';
import { newLapicIrq } from './lapic-irq.ts';
import { kvmApicPendingEoi } from './lapic.ts';

/**
 * From a GSI to pins of chips or to messages (virt/kvm/irqchip.c, arch/x86/kvm/irq_comm.c): the table that
 * KVM_SET_GSI_ROUTING gives, and the default one.
 */

export const KVM_MAX_IRQ_ROUTES = 4096;
const ROUTING_ENTRY_SIZE = 48;
const PIC_PINS = 8;
const PINS = 24;

/** One route of a GSI: a pin, or a message with its own KvmLapicIrq to send. */
export type KvmRoute =
  | { readonly type: typeof KVM_IRQ_ROUTING_IRQCHIP; readonly chip: number; readonly pin: number }
  | { readonly type: typeof KVM_IRQ_ROUTING_MSI; readonly msi: KvmMsi; readonly irq: KvmLapicIrq };

export interface KvmMsi {
  readonly addressLow: number;
  readonly addressHigh: number;
  readonly data: number;
}

/** kvm_set_msi_irq: from address and data to an interrupt message (SDM vol. 3A, 12.11). */
export function kvmSetMsiIrq(kvm: IrqKvm, msi: KvmMsi, irq: KvmLapicIrq): KvmLapicIrq {
  irq.destId = (msi.addressLow >>> 12) & 0xff;
  if (kvm.irq.x2apicFormat) irq.destId = (irq.destId | (msi.addressHigh & 0xffffff00)) >>> 0;
  irq.vector = msi.data & 0xff;
  irq.destMode = (msi.addressLow & 4) !== 0 ? APIC_DEST_LOGICAL : APIC_DEST_PHYSICAL;
  irq.trigMode = (msi.data & 0x8000) !== 0;
  irq.deliveryMode = msi.data & APIC_MODE_MASK;
  irq.msiRedirHint = (msi.addressLow & 8) !== 0;
  irq.level = true;
  irq.shorthand = APIC_DEST_NOSHORT;
  return irq;
}

/** kvm_set_msi: -1 for the falling edge of a line that stands for a message. */
export function kvmSetMsi(kvm: IrqKvm, msi: KvmMsi, irq: KvmLapicIrq, level: number): number {
  if (kvm.irq.x2apicFormat && (msi.addressHigh & 0xff) !== 0) return -1;
  if (level === 0) return -1;
  const { tracer } = kvm.global;
  if (tracer !== null) tracer.event('kvm_msi_set_irq', NO_VCPU, u64(msi.addressLow, msi.addressHigh), msi.data);
  return kvmIrqDeliveryToApic(kvm, null, kvmSetMsiIrq(kvm, msi, irq), null);
}

/** KVM_SIGNAL_MSI (kvm_send_userspace_msi). */
export function kvmSendUserspaceMsi(kvm: IrqKvm, msi: KvmMsi): number {
  return kvmSetMsi(kvm, msi, newLapicIrq(), 1);
}

/**
 * kvm_set_irq: the sum of what the routes say (number of vCPUs reached, 0 for merged), -1 when the GSI is masked or has
 * no route.
 */
export function kvmSetIrq(kvm: IrqKvm, source: number, gsi: number, level: number, lineStatus: boolean): number {
  const routes = kvm.irq.routes[gsi];
  const { tracer } = kvm.global;
  if (tracer !== null) tracer.event('kvm_set_irq', NO_VCPU, gsi, level, source);
  if (routes === undefined) return -1;
  let result = -1;
  for (let i = routes.length - 1; i >= 0; i--) {
    const r = setRoute(kvm, routes[i]!, source, level, lineStatus);
    if (r >= 0) result = r + Math.max(result, 0);
  }
  return result;
}

function setRoute(kvm: IrqKvm, route: KvmRoute, source: number, level: number, lineStatus: boolean): number {
  if (route.type === KVM_IRQ_ROUTING_MSI) return kvmSetMsi(kvm, route.msi, route.irq, level);
  if (route.chip === KVM_IRQCHIP_IOAPIC) {
    const ioapic = kvm.irq.vioapic;
    return ioapic === null ? -1 : kvmIoapicSetIrq(ioapic, route.pin, source, level, lineStatus);
  }
  const pic = kvm.irq.vpic;
  return pic === null ? -1 : kvmPicSetIrq(pic, route.pin, source, level);
}

/** KVM_IRQ_LINE and KVM_IRQ_LINE_STATUS (kvm_vm_ioctl_irq_line): the status, or a negative errno. */
export function kvmVmIoctlIrqLine(kvm: IrqKvm, gsi: number, level: number, lineStatus: boolean): number {
  if (kvm.irq.vpic === null && kvm.irq.vioapic === null && !kvm.irq.split) return -ENXIO;
  return kvmSetIrq(kvm, 0, gsi, level === 0 ? 0 : 1, lineStatus);
}

// ---- the table

type Parsed = readonly [gsi: number, route: KvmRoute];

function parseEntry(kvm: IrqKvm, view: DataView, at: number): Parsed | null {
  const gsi = view.getUint32(at, true);
  const type = view.getUint32(at + 4, true);
  if (gsi >= KVM_MAX_IRQ_ROUTES || view.getUint32(at + 8, true) !== 0) return null;
  const word = (i: number): number => view.getUint32(at + 16 + i * 4, true);
  if (type === KVM_IRQ_ROUTING_MSI) {
    const msi = { addressLow: word(0), addressHigh: word(1), data: word(2) };
    if (kvm.irq.x2apicFormat && (msi.addressHigh & 0xff) !== 0) return null;
    return [gsi, { type, msi, irq: newLapicIrq() }];
  }
  if (type !== KVM_IRQ_ROUTING_IRQCHIP || kvm.irq.split) return null;
  const chip = word(0);
  const pin = word(1);
  if (chip > KVM_IRQCHIP_IOAPIC || pin >= (chip === KVM_IRQCHIP_IOAPIC ? IOAPIC_NUM_PINS : PIC_PINS)) return null;
  return [gsi, { type, chip, pin: chip === KVM_IRQCHIP_PIC_SLAVE ? pin + PIC_PINS : pin }];
}

/** A GSI may have one message, or one pin of each chip (setup_routing_entry). */
function clashes(routes: readonly KvmRoute[], route: KvmRoute): boolean {
  return routes.some(
    (other) =>
      other.type !== KVM_IRQ_ROUTING_IRQCHIP || route.type !== KVM_IRQ_ROUTING_IRQCHIP || other.chip === route.chip,
  );
}

function install(kvm: IrqKvm, entries: readonly Parsed[]): boolean {
  const routes: KvmRoute[][] = [];
  const chipToGsi = new Int32Array(3 * PINS).fill(-1);
  for (const [gsi, route] of entries) {
    const of = (routes[gsi] ??= []);
    if (clashes(of, route)) return false;
    of.push(route);
    if (route.type !== KVM_IRQ_ROUTING_IRQCHIP) continue;
    const pin = route.chip === KVM_IRQCHIP_PIC_SLAVE ? route.pin - PIC_PINS : route.pin;
    chipToGsi[route.chip * PINS + pin] = gsi;
  }
  kvm.irq.routes = routes;
  kvm.irq.chipToGsi = chipToGsi;
  if (kvm.irq.vioapic !== null || kvm.irq.split) kvmMakeScanIoapicRequest(kvm);
  return true;
}

/** KVM_SET_GSI_ROUTING (struct kvm_irq_routing): 0 or -EINVAL; the table in force stays when the new one is wrong. */
export function kvmSetIrqRouting(kvm: IrqKvm, bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.byteLength < 8) return -EINVAL;
  const nr = view.getUint32(0, true);
  if (nr > KVM_MAX_IRQ_ROUTES || view.getUint32(4, true) !== 0) return -EINVAL;
  if (bytes.byteLength < 8 + nr * ROUTING_ENTRY_SIZE) return -EINVAL;
  const entries: Parsed[] = [];
  for (let i = 0; i < nr; i++) {
    const entry = parseEntry(kvm, view, 8 + i * ROUTING_ENTRY_SIZE);
    if (entry === null) return -EINVAL;
    entries.push(entry);
  }
  return install(kvm, entries) ? 0 : -EINVAL;
}

/** kvm_setup_default_irq_routing: GSIs 0 to 15 to both the 8259 pair and the IOAPIC, 16 to 23 to the IOAPIC. */
export function kvmSetupDefaultIrqRouting(kvm: IrqKvm): void {
  const entries: Parsed[] = [];
  for (let gsi = 0; gsi < IOAPIC_NUM_PINS; gsi++) {
    entries.push([gsi, { type: KVM_IRQ_ROUTING_IRQCHIP, chip: KVM_IRQCHIP_IOAPIC, pin: gsi }]);
    if (gsi >= 16) continue;
    const chip = gsi < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE;
    entries.push([gsi, { type: KVM_IRQ_ROUTING_IRQCHIP, chip, pin: gsi }]);
  }
  install(kvm, entries);
}

/** kvm_setup_empty_irq_routing, for KVM_CAP_SPLIT_IRQCHIP. */
export function kvmSetupEmptyIrqRouting(kvm: IrqKvm): void {
  install(kvm, []);
}

/** kvm_scan_ioapic_routes: with the IOAPIC in userspace, level-triggered messages are what EOIs must be told for. */
export function kvmScanIoapicRoutes(vcpu: ApicVcpu, vectors: Uint32Array): void {
  const { routes, nrReservedIoapicPins } = vcpu.kvm.irq;
  const irq = newLapicIrq();
  for (let gsi = 0; gsi < Math.min(routes.length, nrReservedIoapicPins); gsi++) {
    for (const route of routes[gsi] ?? []) {
      if (route.type !== KVM_IRQ_ROUTING_MSI) continue;
      kvmSetMsiIrq(vcpu.kvm, route.msi, irq);
      if (!irq.trigMode) continue;
      if (
        kvmApicMatchDest(vcpu, null, APIC_DEST_NOSHORT, irq.destId, irq.destMode) ||
        kvmApicPendingEoi(vcpu, irq.vector)
      )
        vectors[irq.vector >> 5] = vectors[irq.vector >> 5]! | (1 << (irq.vector & 31));
    }
  }
}
