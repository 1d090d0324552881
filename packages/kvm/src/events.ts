/**
 * Which event goes into the guest at the next entry, and which windows must be opened for those that cannot yet
 * (kvm_check_and_inject_events and relatives of arch/x86/kvm/x86.c; order of events: SDM vol. 3A, 7.9).
 */

import { kvmCpuGetInterrupt, kvmCpuHasInjectableIntr, picInKernel } from './irq/irq.ts';
import { kvmApicAcceptPicIntr, kvmLapicFindHighestIrr, kvmLapicGetCr8 } from './irq/lapic.ts';
import { CPU_BASED_TPR_SHADOW, TPR_THRESHOLD } from '@vm/kvm-run/vmx';
import { kvmGetRflags, kvmSetRflags } from './cache-regs.ts';
import { kvmUpdateDr7 } from './debug-regs.ts';
import { kvmEventNeedsReinjection, kvmQueueInterrupt } from './queue.ts';
import { kvmTestRequest, KVM_REQ_EVENT, KVM_REQ_SMI, kvmMakeRequest } from './requests.ts';
import type { KvmVcpu } from './types.ts';
import {
  vmxEnableIrqWindow,
  vmxEnableNmiWindow,
  vmxInjectException,
  vmxInjectIrq,
  vmxInjectNmi,
  vmxInterruptBlocked,
  vmxNmiBlocked,
  vmxSetNmiMask,
} from './vmx/inject.ts';
import * as B from './x86-bits.ts';

const KVM_GUESTDBG_BLOCKIRQ = 0x00100000;

/** Exceptions that are faults: RF is set in the RFLAGS they push (exception_type). */
const isFault = (vector: number): boolean => {
  const bit = 1 << vector;
  if (vector > 31 || vector === B.NMI_VECTOR) return false;
  // #DB by instruction breakpoint sets RF itself; traps and aborts do not.
  return (bit & ((1 << B.DB_VECTOR) | (1 << B.BP_VECTOR) | (1 << B.OF_VECTOR) | (1 << B.DF_VECTOR) | (1 << B.MC_VECTOR))) === 0;
};

/** kvm_inject_exception */
const kvmInjectException = (vcpu: KvmVcpu, reinjected: boolean): void => {
  const { exception, tracer } = vcpu;
  if ((vcpu.cr0 & B.X86_CR0_PE) === 0) exception.hasErrorCode = false;
  if (tracer !== null)
    tracer.event(
      'kvm_inj_exception',
      vcpu.vcpuId,
      exception.vector,
      Number(exception.hasErrorCode),
      exception.errorCode,
      Number(reinjected),
    );
  vmxInjectException(vcpu);
};

const injectNmi = (vcpu: KvmVcpu): void => {
  vcpu.nmiKnownUnmasked = false;
  vmxSetNmiMask(vcpu, false);
  vmxInjectNmi(vcpu);
};

/** An interrupt of a userspace PIC waits, and the local APIC here would take it (split chip). */
const pendingUserspaceExtint = (vcpu: KvmVcpu): boolean => vcpu.pendingExternalVector >= 0 && kvmApicAcceptPicIntr(vcpu);

const hasInjectableIntr = (vcpu: KvmVcpu): boolean => kvmCpuHasInjectableIntr(vcpu) || pendingUserspaceExtint(vcpu);

const getInterrupt = (vcpu: KvmVcpu): number => {
  if (!pendingUserspaceExtint(vcpu)) return kvmCpuGetInterrupt(vcpu);
  const vector = vcpu.pendingExternalVector;
  vcpu.pendingExternalVector = -1;
  return vector;
};

/** An event that was cut off goes in again, before anything new. False: nothing was waiting. */
const reinject = (vcpu: KvmVcpu): boolean => {
  if (vcpu.exception.injected) kvmInjectException(vcpu, true);
  else if (vcpu.exception.pending) return false;
  else if (vcpu.nmiInjected) injectNmi(vcpu);
  else if (vcpu.interruptInjected) vmxInjectIrq(vcpu, true);
  else return false;
  return true;
};

const injectPendingException = (vcpu: KvmVcpu): void => {
  const { exception } = vcpu;
  if (isFault(exception.vector)) kvmSetRflags(vcpu, kvmGetRflags(vcpu) | B.X86_EFLAGS_RF);
  if (exception.vector === B.DB_VECTOR && (vcpu.dr7 & B.DR7_GD) !== 0) {
    vcpu.dr7 &= ~B.DR7_GD;
    kvmUpdateDr7(vcpu);
  }
  kvmInjectException(vcpu, false);
  exception.pending = false;
  exception.injected = true;
};

/** One NMI, then the window for the next. False: it must wait behind what is being injected. */
const injectPendingNmi = (vcpu: KvmVcpu, canInject: boolean): boolean => {
  if (!canInject) return false;
  if (!vmxNmiBlocked(vcpu)) {
    vcpu.nmiPending--;
    vcpu.nmiInjected = true;
    injectNmi(vcpu);
  }
  if (vcpu.nmiPending > 0) vmxEnableNmiWindow(vcpu);
  return true;
};

/**
 * kvm_check_and_inject_events (inject_pending_event): true when the guest must exit again at once, because a second
 * event waits behind the one that goes in.
 */
export const injectPendingEvent = (vcpu: KvmVcpu): boolean => {
  let canInject = !kvmEventNeedsReinjection(vcpu);
  reinject(vcpu);
  if (vcpu.exception.pending) {
    injectPendingException(vcpu);
    canInject = false;
  }
  if ((vcpu.guestDebug & KVM_GUESTDBG_BLOCKIRQ) !== 0) return false;
  if (vcpu.nmiPending > 0) {
    if (!injectPendingNmi(vcpu, canInject)) return true;
    if (vcpu.nmiInjected) canInject = false;
  }
  if (hasInjectableIntr(vcpu)) {
    if (!canInject) return true;
    if (!vmxInterruptBlocked(vcpu)) {
      const vector = getInterrupt(vcpu);
      if (vector >= 0) {
        kvmQueueInterrupt(vcpu, vector, false);
        vmxInjectIrq(vcpu, false);
      }
    }
    if (hasInjectableIntr(vcpu)) vmxEnableIrqWindow(vcpu);
  }
  return false;
};

/** process_nmi: NMIs that others asked for become pending; one may wait behind one that is blocked. */
export const processNmi = (vcpu: KvmVcpu): void => {
  const blocked = vmxNmiBlocked(vcpu) || vcpu.nmiInjected;
  const limit = blocked ? 1 : 2;
  vcpu.nmiPending = Math.min(vcpu.nmiPending + vcpu.nmiQueued, limit);
  vcpu.nmiQueued = 0;
  kvmMakeRequest(KVM_REQ_EVENT, vcpu);
};

// ---- the window that userspace with interrupt chips of its own asks for

/** dm_request_for_irq_injection */
export const dmRequestForIrqInjection = (vcpu: KvmVcpu): boolean =>
  vcpu.run.requestInterruptWindow !== 0 && !picInKernel(vcpu.kvm);

/** kvm_cpu_accept_dm_intr */
export const kvmCpuAcceptDmIntr = (vcpu: KvmVcpu): boolean =>
  vcpu.apic === null || (vcpu.pendingExternalVector < 0 && kvmApicAcceptPicIntr(vcpu));

/** kvm_vcpu_ready_for_interrupt_injection */
export const kvmVcpuReadyForInterruptInjection = (vcpu: KvmVcpu): boolean =>
  !vmxInterruptBlocked(vcpu) && !kvmEventNeedsReinjection(vcpu) && !vcpu.exception.pending && kvmCpuAcceptDmIntr(vcpu);

/** update_cr8_intercept: the TPR threshold under which the guest must exit, because an interrupt could come in. */
export const updateCr8Intercept = (vcpu: KvmVcpu): void => {
  if (vcpu.apic === null || (vcpu.execControls & CPU_BASED_TPR_SHADOW) === 0) return;
  const highest = kvmLapicFindHighestIrr(vcpu);
  const tpr = kvmLapicGetCr8(vcpu);
  const priority = highest >> 4;
  const threshold = highest < 0 || tpr < priority ? 0 : priority;
  if (threshold === vcpu.lastTprThreshold) return;
  vcpu.lastTprThreshold = threshold;
  vcpu.processor.vmwrite(TPR_THRESHOLD, threshold, 0);
};

/** kvm_vcpu_has_events: is there a reason to run a vCPU that halted? */
export const kvmVcpuHasEvents = (vcpu: KvmVcpu): boolean => {
  if (vcpu.apic !== null && vcpu.apic.pendingEvents !== 0) return true;
  if (vcpu.pvUnhalted || vcpu.exception.pending || vcpu.exception.injected) return true;
  if (vcpu.nmiQueued > 0 || (vcpu.nmiPending > 0 && !vmxNmiBlocked(vcpu))) return true;
  if (kvmTestRequest(KVM_REQ_SMI, vcpu)) return true;
  if (vcpu.asyncPfDone.length > 0) return true;
  return !vmxInterruptBlocked(vcpu) && (hasInjectableIntr(vcpu) || vcpu.interruptInjected);
};

