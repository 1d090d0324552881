import {
  KVM_CAP_IRQ_ROUTING,
  KVM_IRQCHIP_IOAPIC,
  KVM_IRQCHIP_PIC_MASTER,
  KVM_IRQCHIP_PIC_SLAVE,
  KVM_IRQ_ROUTING_IRQCHIP,
  KVM_SET_GSI_ROUTING,
  allocate,
  kvmIrqRouting,
  kvmIrqRoutingEntry,
} from '@vm/kvm-run';
import type { KvmState } from '../../../accel/kvm/kvm-all.ts';
import { checkIoctl } from '../../../accel/kvm/kvm-error.ts';

/** GSI, chip, pin. */
type Route = readonly [gsi: number, chip: number, pin: number];

/**
 * A PC's wiring (kvm_pc_setup_irq_routing): GSIs below 16 go to both PICs and the IOAPIC, the timer's GSI 0 to the
 * IOAPIC's pin 2. Returns false when KVM cannot route: GSI 0 is then at pin 0.
 */
export function kvmPcSetupIrqRouting(kvm: KvmState, ioapicPins: number): boolean {
  if (kvm.kvmCheckExtension(KVM_CAP_IRQ_ROUTING) === 0) return false;
  const routes: Route[] = [];
  for (let gsi = 0; gsi < 8; gsi++) if (gsi !== 2) routes.push([gsi, KVM_IRQCHIP_PIC_MASTER, gsi]);
  for (let gsi = 8; gsi < 16; gsi++) routes.push([gsi, KVM_IRQCHIP_PIC_SLAVE, gsi - 8]);
  for (let gsi = 0; gsi < ioapicPins; gsi++) if (gsi !== 2) routes.push([gsi, KVM_IRQCHIP_IOAPIC, gsi === 0 ? 2 : gsi]);
  const bytes = allocate(kvmIrqRouting, routes.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, routes.length, true);
  routes.forEach(([gsi, chip, pin], i) => {
    const at = kvmIrqRouting.size + i * kvmIrqRoutingEntry.size;
    const words = [gsi, KVM_IRQ_ROUTING_IRQCHIP, 0, 0, chip, pin];
    words.forEach((word, j) => view.setUint32(at + j * 4, word, true));
  });
  checkIoctl(KVM_SET_GSI_ROUTING, kvm.kvmVmIoctl(KVM_SET_GSI_ROUTING, bytes));
  return true;
}
