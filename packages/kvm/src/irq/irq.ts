import { EFAULT, EINVAL, ENXIO, KVM_IRQCHIP_IOAPIC, KVM_IRQCHIP_PIC_MASTER } from '@vm/kvm-run';
import type { ApicVcpu, IrqKvm } from './types.ts';
import { kvmApicAcceptPicIntr, kvmApicAckInterrupt, kvmApicHasInterrupt } from './lapic.ts';
import { kvmFreePit } from './i8254.ts';
import { kvmGetIoapic, kvmIoapicDestroy, kvmIoapicInit, kvmIoapicScanEntry, kvmSetIoapic } from './ioapic.ts';
import { kvmGetPic, kvmPicDestroy, kvmPicInit, kvmPicReadIrq, kvmSetPic } from './i8259.ts';
import { kvmScanIoapicRoutes, kvmSetupDefaultIrqRouting } from './irq-routing.ts';

/** What vcpu_enter_guest asks of the interrupt chips together (arch/x86/kvm/irq.c). */

const IRQCHIP_SIZE = 520;

/** irqchip_in_kernel. */
export function irqchipInKernel(kvm: IrqKvm): boolean {
  return kvm.irq.vioapic !== null || kvm.irq.split;
}

/** pic_in_kernel. */
export function picInKernel(kvm: IrqKvm): boolean {
  return kvm.irq.vpic !== null;
}

/** KVM_CREATE_IRQCHIP: the 8259 pair, the IOAPIC and the default routing; local APICs come with the vCPUs. */
export function kvmCreateIrqchip(kvm: IrqKvm): boolean {
  if (!kvmPicInit(kvm)) return false;
  if (!kvmIoapicInit(kvm)) {
    kvmPicDestroy(kvm);
    return false;
  }
  kvmSetupDefaultIrqRouting(kvm);
  kvm.irq.routingReady = true;
  return true;
}

/** kvm_arch_destroy_vm's part: the vCPUs' local APICs are freed with the vCPUs. */
export function kvmDestroyIrqchip(kvm: IrqKvm): void {
  kvmFreePit(kvm);
  kvmPicDestroy(kvm);
  kvmIoapicDestroy(kvm);
  kvm.irq.routes = [];
}

/** Does the 8259 pair (in the kernel) signal an interrupt to this vCPU? */
export function kvmCpuHasExtint(vcpu: ApicVcpu): boolean {
  const pic = vcpu.kvm.irq.vpic;
  return pic !== null && pic.output && kvmApicAcceptPicIntr(vcpu);
}

/** kvm_cpu_has_injectable_intr: without virtual interrupt delivery, all that kvm_cpu_has_interrupt sees. */
export function kvmCpuHasInjectableIntr(vcpu: ApicVcpu): boolean {
  return kvmCpuHasInterrupt(vcpu);
}

/** kvm_cpu_has_interrupt: is there an interrupt from the 8259 pair or the local APIC? */
export function kvmCpuHasInterrupt(vcpu: ApicVcpu): boolean {
  return kvmCpuHasExtint(vcpu) || kvmApicHasInterrupt(vcpu) >= 0;
}

/** kvm_cpu_get_interrupt: takes the next vector, -1 for none. The 8259 pair comes first. */
export function kvmCpuGetInterrupt(vcpu: ApicVcpu): number {
  if (kvmCpuHasExtint(vcpu)) return kvmPicReadIrq(vcpu.kvm.irq.vpic!);
  const vector = kvmApicHasInterrupt(vcpu);
  if (vector >= 0) kvmApicAckInterrupt(vcpu, vector);
  return vector;
}

/** vcpu_scan_ioapic: which EOIs of this vCPU the IOAPIC, or userspace's, must hear of. */
export function vcpuScanIoapic(vcpu: ApicVcpu): void {
  const apic = vcpu.apic;
  if (apic === null) return;
  apic.ioapicHandledVectors.fill(0);
  if (vcpu.kvm.irq.split) kvmScanIoapicRoutes(vcpu, apic.ioapicHandledVectors);
  else kvmIoapicScanEntry(vcpu, apic.ioapicHandledVectors);
}

// ---- KVM_GET_IRQCHIP and KVM_SET_IRQCHIP: struct kvm_irqchip, 520 bytes: the chip's number, then its image

/** kvm_vm_ioctl_get_irqchip: fills the image of the chip that `chip_id` names; 0 or a negative errno. */
export function kvmVmIoctlGetIrqchip(kvm: IrqKvm, bytes: Uint8Array): number {
  const image = chipImage(kvm, bytes);
  if (typeof image === 'number') return image;
  if (image.chip === KVM_IRQCHIP_IOAPIC) kvmGetIoapic(kvm.irq.vioapic!, image.view);
  else kvmGetPic(kvm.irq.vpic!, image.chip === KVM_IRQCHIP_PIC_MASTER ? 0 : 1, image.bytes);
  return 0;
}

/** kvm_vm_ioctl_set_irqchip. */
export function kvmVmIoctlSetIrqchip(kvm: IrqKvm, bytes: Uint8Array): number {
  const image = chipImage(kvm, bytes);
  if (typeof image === 'number') return image;
  if (image.chip === KVM_IRQCHIP_IOAPIC) kvmSetIoapic(kvm.irq.vioapic!, image.view);
  else kvmSetPic(kvm.irq.vpic!, image.chip === KVM_IRQCHIP_PIC_MASTER ? 0 : 1, image.bytes);
  return 0;
}

interface ChipImage {
  readonly chip: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

function chipImage(kvm: IrqKvm, bytes: Uint8Array): ChipImage | number {
  if (bytes.byteLength < IRQCHIP_SIZE) return -EFAULT;
  if (kvm.irq.vioapic === null || kvm.irq.vpic === null) return -ENXIO;
  const chip = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  if (chip > KVM_IRQCHIP_IOAPIC) return -EINVAL;
  const image = bytes.subarray(8, IRQCHIP_SIZE);
  return { chip, bytes: image, view: new DataView(image.buffer, image.byteOffset, image.byteLength) };
}
