/** KVM_GET_VCPU_EVENTS and KVM_SET_VCPU_EVENTS (arch/x86/kvm/x86.c): events that wait or are on their way in. */

import {
  EINVAL,
  KVM_VCPUEVENT_VALID_NMI_PENDING,
  KVM_VCPUEVENT_VALID_PAYLOAD,
  KVM_VCPUEVENT_VALID_SHADOW,
  KVM_VCPUEVENT_VALID_SIPI_VECTOR,
  KVM_VCPUEVENT_VALID_SMM,
  KVM_VCPUEVENT_VALID_TRIPLE_FAULT,
  type kvmVcpuEvents,
  type View,
} from '@vm/kvm-run';
import { processNmi } from './events.ts';
import { KVM_APIC_SIPI } from './irq/lapic.ts';
import { kvmExceptionIsSoft } from './queue.ts';
import { KVM_REQ_EVENT, KVM_REQ_NMI, KVM_REQ_TRIPLE_FAULT, kvmCheckRequest, kvmClearRequest, kvmMakeRequest, kvmTestRequest } from './requests.ts';
import type { KvmVcpu } from './types.ts';
import { vmxGetInterruptShadow, vmxGetNmiMask, vmxSetInterruptShadow, vmxSetNmiMask } from './vmx/inject.ts';

export const getVcpuEvents = (vcpu: KvmVcpu, events: View<typeof kvmVcpuEvents>): void => {
  if (kvmCheckRequest(KVM_REQ_NMI, vcpu)) processNmi(vcpu);
  const { exception } = vcpu;
  const soft = kvmExceptionIsSoft(exception.vector);
  const payload = vcpu.kvm.exceptionPayloadEnabled;
  // Without the payload capability a pending exception shows as injected: it will not be raised again by itself.
  events.exception.injected = Number(!soft && (exception.injected || (exception.pending && !payload)));
  events.exception.pending = Number(!soft && exception.pending && payload);
  events.exception.nr = exception.vector;
  events.exception.has_error_code = Number(exception.hasErrorCode);
  events.exception.error_code = exception.errorCode;
  events.exception_has_payload = Number(exception.hasPayload);
  events.exception_payload = (BigInt(exception.payloadHi >>> 0) << 32n) | BigInt(exception.payloadLo >>> 0);
  events.interrupt.injected = Number(vcpu.interruptInjected && !vcpu.interruptSoft);
  events.interrupt.nr = vcpu.interruptNr;
  events.interrupt.soft = 0;
  events.interrupt.shadow = vmxGetInterruptShadow(vcpu);
  events.nmi.injected = Number(vcpu.nmiInjected);
  events.nmi.pending = vcpu.nmiPending;
  events.nmi.masked = Number(vmxGetNmiMask(vcpu));
  events.sipi_vector = 0;
  events.smi.smm = 0;
  events.smi.pending = Number(vcpu.smiPending);
  events.smi.latched_init = 0;
  events.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
  if (payload) events.flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
  if (vcpu.kvm.tripleFaultEvent) {
    events.triple_fault.pending = Number(kvmTestRequest(KVM_REQ_TRIPLE_FAULT, vcpu));
    events.flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
  }
};

const VALID =
  KVM_VCPUEVENT_VALID_NMI_PENDING |
  KVM_VCPUEVENT_VALID_SIPI_VECTOR |
  KVM_VCPUEVENT_VALID_SHADOW |
  KVM_VCPUEVENT_VALID_SMM |
  KVM_VCPUEVENT_VALID_PAYLOAD |
  KVM_VCPUEVENT_VALID_TRIPLE_FAULT;

const setException = (vcpu: KvmVcpu, events: View<typeof kvmVcpuEvents>, pending: boolean): void => {
  const { exception } = vcpu;
  exception.injected = events.exception.injected !== 0;
  exception.pending = pending;
  exception.vector = events.exception.nr;
  exception.hasErrorCode = events.exception.has_error_code !== 0;
  exception.errorCode = events.exception.error_code;
  exception.hasPayload = events.exception_has_payload !== 0;
  exception.payloadLo = Number(events.exception_payload & 0xffffffffn);
  exception.payloadHi = Number(events.exception_payload >> 32n);
};

export const setVcpuEvents = (vcpu: KvmVcpu, events: View<typeof kvmVcpuEvents>): number => {
  const { flags } = events;
  if ((flags & ~VALID) !== 0) return -EINVAL;
  let pending = false;
  if ((flags & KVM_VCPUEVENT_VALID_PAYLOAD) !== 0) {
    if (!vcpu.kvm.exceptionPayloadEnabled) return -EINVAL;
    if (events.exception.pending !== 0) events.exception.injected = 0;
    else events.exception_has_payload = 0;
    pending = events.exception.pending !== 0;
  } else {
    events.exception.pending = 0;
    events.exception_has_payload = 0;
  }
  const active = events.exception.injected !== 0 || pending;
  if (active && (events.exception.nr > 31 || events.exception.nr === 2)) return -EINVAL;
  // There is no system-management mode.
  if ((flags & KVM_VCPUEVENT_VALID_SMM) !== 0 && (events.smi.smm !== 0 || events.smi.pending !== 0)) return -EINVAL;
  if ((flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT) !== 0 && !vcpu.kvm.tripleFaultEvent) return -EINVAL;
  setException(vcpu, events, pending);
  vcpu.interruptInjected = events.interrupt.injected !== 0;
  vcpu.interruptNr = events.interrupt.nr;
  vcpu.interruptSoft = events.interrupt.soft !== 0;
  if ((flags & KVM_VCPUEVENT_VALID_SHADOW) !== 0) vmxSetInterruptShadow(vcpu, events.interrupt.shadow);
  vcpu.nmiInjected = events.nmi.injected !== 0;
  if ((flags & KVM_VCPUEVENT_VALID_NMI_PENDING) !== 0) {
    vcpu.nmiPending = 0;
    vcpu.nmiQueued = events.nmi.pending;
    if (vcpu.nmiQueued > 0) kvmMakeRequest(KVM_REQ_NMI, vcpu);
  }
  vmxSetNmiMask(vcpu, events.nmi.masked !== 0);
  vcpu.nmiKnownUnmasked = false;
  if ((flags & KVM_VCPUEVENT_VALID_SIPI_VECTOR) !== 0 && vcpu.apic !== null && (vcpu.apic.pendingEvents & KVM_APIC_SIPI) !== 0)
    vcpu.apic.sipiVector = events.sipi_vector & 0xff;
  if ((flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT) !== 0) {
    if (events.triple_fault.pending !== 0) kvmMakeRequest(KVM_REQ_TRIPLE_FAULT, vcpu);
    else kvmClearRequest(KVM_REQ_TRIPLE_FAULT, vcpu);
  }
  kvmMakeRequest(KVM_REQ_EVENT, vcpu);
  return 0;
};
