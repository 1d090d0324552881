/**
 * Asynchronous page faults (virt/kvm/async_pf.c, apf of x86.c). Guest memory here is always present, so that no fault is
 * ever handled asynchronously by itself; what remains is the protocol: a guest that turns it on, or that moves to another
 * host, is told by a "page ready" with the token for all pages, so that tasks that still wait go on.
 */

import { KVM_ASYNC_PF_DELIVERY_AS_INT, KVM_ASYNC_PF_ENABLED } from '@vm/kvm-run';
import { kvmMapGuest } from './guest-memory.ts';
import { kvmApicSetIrq } from './irq/lapic-accept.ts';
import { newLapicIrq } from './irq/lapic-irq.ts';
import { kvmMakeRequest, KVM_REQ_APF_READY } from './requests.ts';
import type { KvmVcpu } from './types.ts';

/** Token of a page-ready event that wakes all waiters. */
const WAKE_ALL = 0xffffffff;
const DATA_SIZE = 68;
const TOKEN_OFFSET = 4;

const enabled = (vcpu: KvmVcpu): boolean => {
  const mask = KVM_ASYNC_PF_ENABLED | KVM_ASYNC_PF_DELIVERY_AS_INT;
  return (vcpu.apfMsrEn & mask) === mask;
};

/** kvm_pv_enable_async_pf: false raises #GP (reserved bits 5:4; delivery by interrupt is the only way now). */
export const kvmAsyncPfEnable = (vcpu: KvmVcpu, low: number, high: number): boolean => {
  if ((low & 0x30) !== 0) return false;
  vcpu.apfMsrEn = low;
  vcpu.apfMsrEnHi = high;
  if (vcpu.apic === null) return (low & KVM_ASYNC_PF_ENABLED) === 0;
  if (!enabled(vcpu)) {
    vcpu.asyncPfDone.length = 0;
    vcpu.apfPageReadyPending = false;
    return true;
  }
  vcpu.apfAddr = (high >>> 0) * 0x1_0000_0000 + ((low & ~0x3f) >>> 0);
  kvmAsyncPfWakeupAll(vcpu);
  return true;
};

/** kvm_async_pf_wakeup_all */
export const kvmAsyncPfWakeupAll = (vcpu: KvmVcpu): void => {
  if (vcpu.asyncPfDone.length > 0) return;
  vcpu.asyncPfDone.push(WAKE_ALL);
  kvmMakeRequest(KVM_REQ_APF_READY, vcpu);
};

/** MSR_KVM_ASYNC_PF_ACK: the guest has taken the last token. */
export const kvmAsyncPfAck = (vcpu: KvmVcpu): void => {
  vcpu.apfPageReadyPending = false;
  kvmMakeRequest(KVM_REQ_APF_READY, vcpu);
};

/** kvm_arch_async_page_present: the token into guest memory, and the interrupt. */
const pagePresent = (vcpu: KvmVcpu, token: number): void => {
  const hva = kvmMapGuest(vcpu.kvm, vcpu.apfAddr, DATA_SIZE);
  if (hva < 0) return;
  vcpu.memory.view.setUint32(hva + TOKEN_OFFSET, token, true);
  vcpu.memory.wrote(hva + TOKEN_OFFSET, 4);
  vcpu.apfPageReadyPending = true;
  const irq = newLapicIrq();
  irq.vector = vcpu.apfMsrInt;
  kvmApicSetIrq(vcpu, irq, null);
};

/** kvm_check_async_pf_completion: after each round of vcpuRun. */
export const kvmCheckAsyncPfCompletion = (vcpu: KvmVcpu): void => {
  while (vcpu.asyncPfDone.length > 0) {
    // kvm_arch_can_dequeue_async_page_present: one token at a time; none while it is off.
    if (!enabled(vcpu)) {
      vcpu.asyncPfDone.length = 0;
      return;
    }
    if (vcpu.apfPageReadyPending) return;
    pagePresent(vcpu, vcpu.asyncPfDone.shift()!);
  }
};
