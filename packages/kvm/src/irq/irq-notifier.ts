import type { IrqKvm } from './types.ts';
import { NO_VCPU } from './irq-state.ts';
import { KVM_REQ_SCAN_IOAPIC } from '../requests.ts';

/** Pins that the chip-to-GSI map has for each chip. */
const PINS = 24;

/** Told when the guest acknowledges a GSI at its interrupt controller (struct kvm_irq_ack_notifier). */
export interface IrqAckNotifier {
  readonly gsi: number;
  irqAcked(): void;
}

/** Told when the guest masks or unmasks a GSI (struct kvm_irq_mask_notifier). */
export interface IrqMaskNotifier {
  readonly irq: number;
  masked(masked: boolean): void;
}

export function kvmChipPinToGsi(kvm: IrqKvm, chip: number, pin: number): number {
  return pin < PINS ? kvm.irq.chipToGsi[chip * PINS + pin]! : -1;
}

export function kvmIrqHasNotifier(kvm: IrqKvm, chip: number, pin: number): boolean {
  const gsi = kvmChipPinToGsi(kvm, chip, pin);
  if (gsi < 0) return false;
  for (const notifier of kvm.irq.ackNotifiers) if (notifier.gsi === gsi) return true;
  return false;
}

export function kvmNotifyAckedGsi(kvm: IrqKvm, gsi: number): void {
  const notifiers = kvm.irq.ackNotifiers;
  for (let i = 0; i < notifiers.length; i++) if (notifiers[i]!.gsi === gsi) notifiers[i]!.irqAcked();
}

export function kvmNotifyAckedIrq(kvm: IrqKvm, chip: number, pin: number): void {
  const { tracer } = kvm.global;
  if (tracer !== null) tracer.event('kvm_ack_irq', NO_VCPU, chip, pin);
  if (kvm.irq.ackNotifiers.length === 0) return;
  const gsi = kvmChipPinToGsi(kvm, chip, pin);
  if (gsi >= 0) kvmNotifyAckedGsi(kvm, gsi);
}

/** kvm_make_scan_ioapic_request: every vCPU looks up again which EOIs the IOAPIC needs. */
export function kvmMakeScanIoapicRequest(kvm: IrqKvm): void {
  for (const vcpu of kvm.vcpus) vcpu.makeRequest(KVM_REQ_SCAN_IOAPIC);
}

export function kvmRegisterIrqAckNotifier(kvm: IrqKvm, notifier: IrqAckNotifier): void {
  kvm.irq.ackNotifiers = [...kvm.irq.ackNotifiers, notifier];
  if (kvm.irq.vioapic !== null) kvmMakeScanIoapicRequest(kvm);
}

export function kvmUnregisterIrqAckNotifier(kvm: IrqKvm, notifier: IrqAckNotifier): void {
  kvm.irq.ackNotifiers = kvm.irq.ackNotifiers.filter((other) => other !== notifier);
  if (kvm.irq.vioapic !== null) kvmMakeScanIoapicRequest(kvm);
}

export function kvmRegisterIrqMaskNotifier(kvm: IrqKvm, notifier: IrqMaskNotifier): void {
  kvm.irq.maskNotifiers = [...kvm.irq.maskNotifiers, notifier];
}

export function kvmUnregisterIrqMaskNotifier(kvm: IrqKvm, notifier: IrqMaskNotifier): void {
  kvm.irq.maskNotifiers = kvm.irq.maskNotifiers.filter((other) => other !== notifier);
}

export function kvmFireMaskNotifiers(kvm: IrqKvm, chip: number, pin: number, masked: boolean): void {
  if (kvm.irq.maskNotifiers.length === 0) return;
  const gsi = kvmChipPinToGsi(kvm, chip, pin);
  if (gsi < 0) return;
  for (const notifier of kvm.irq.maskNotifiers) if (notifier.irq === gsi) notifier.masked(masked);
}
