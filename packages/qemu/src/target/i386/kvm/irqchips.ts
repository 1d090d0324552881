/** In-kernel interrupt chips and timers over a reset: each gets back the state that it was created with. */

import {
  KVM_GET_IRQCHIP,
  KVM_GET_LAPIC,
  KVM_GET_PIT2,
  KVM_IRQCHIP_IOAPIC,
  KVM_IRQCHIP_PIC_MASTER,
  KVM_IRQCHIP_PIC_SLAVE,
  KVM_SET_IRQCHIP,
  KVM_SET_LAPIC,
  KVM_SET_PIT2,
  allocate,
  kvmIrqchip,
  kvmLapicState,
  kvmPitState2,
  view,
} from '@vm/kvm-run';
import type { CpuState } from '../../../accel/kvm/cpu-state.ts';
import type { KvmState } from '../../../accel/kvm/kvm-all.ts';
import { checkIoctl } from '../../../accel/kvm/kvm-error.ts';

/** Takes down the chips' state; the function it returns puts it back. */
export function kvmSaveIrqchips(kvm: KvmState): () => void {
  const chips = [KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE, KVM_IRQCHIP_IOAPIC].map((id) => {
    const bytes = allocate(kvmIrqchip);
    view(kvmIrqchip, bytes).chip_id = id;
    checkIoctl(KVM_GET_IRQCHIP, kvm.kvmVmIoctl(KVM_GET_IRQCHIP, bytes));
    return bytes;
  });
  const pit = allocate(kvmPitState2);
  checkIoctl(KVM_GET_PIT2, kvm.kvmVmIoctl(KVM_GET_PIT2, pit));
  return () => {
    for (const chip of chips) checkIoctl(KVM_SET_IRQCHIP, kvm.kvmVmIoctl(KVM_SET_IRQCHIP, chip.slice()));
    checkIoctl(KVM_SET_PIT2, kvm.kvmVmIoctl(KVM_SET_PIT2, pit.slice()));
  };
}

/** The same for a vCPU's local APIC. */
export function kvmSaveLapic(cpu: CpuState): () => void {
  const lapic = allocate(kvmLapicState);
  checkIoctl(KVM_GET_LAPIC, cpu.kvmVcpuIoctl(KVM_GET_LAPIC, lapic));
  return () => {
    checkIoctl(KVM_SET_LAPIC, cpu.kvmVcpuIoctl(KVM_SET_LAPIC, lapic.slice()));
  };
}
