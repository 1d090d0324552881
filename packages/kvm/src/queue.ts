/**
 * The queues of events of a vCPU (kvm_queue_exception, kvm_queue_interrupt and relatives of arch/x86/kvm/x86.c).
 * `pending` events are still to be checked against what the guest can take; `injected` ones are on their way in, and
 * are injected again when a VM exit cuts their delivery off.
 */

import { kvmMakeRequest, KVM_REQ_EVENT, KVM_REQ_NMI, KVM_REQ_TRIPLE_FAULT } from './requests.ts';
import type { KvmVcpu } from './types.ts';
import * as B from './x86-bits.ts';

const EXCPT_BENIGN = 0;
const EXCPT_CONTRIBUTORY = 1;
const EXCPT_PF = 2;

/** exception_class (SDM vol. 3A, table 7-4). */
const exceptionClass = (vector: number): number => {
  switch (vector) {
    case B.PF_VECTOR:
      return EXCPT_PF;
    case B.DE_VECTOR:
    case B.TS_VECTOR:
    case B.NP_VECTOR:
    case B.SS_VECTOR:
    case B.GP_VECTOR:
      return EXCPT_CONTRIBUTORY;
    default:
      return EXCPT_BENIGN;
  }
};

/** Is the event one of instructions INT3 and INTO? (kvm_exception_is_soft) */
export const kvmExceptionIsSoft = (vector: number): boolean => vector === B.BP_VECTOR || vector === B.OF_VECTOR;

export const kvmClearExceptionQueue = (vcpu: KvmVcpu): void => {
  vcpu.exception.pending = false;
  vcpu.exception.injected = false;
};

export const kvmQueueInterrupt = (vcpu: KvmVcpu, vector: number, soft: boolean): void => {
  vcpu.interruptInjected = true;
  vcpu.interruptSoft = soft;
  vcpu.interruptNr = vector;
};

export const kvmClearInterruptQueue = (vcpu: KvmVcpu): void => {
  vcpu.interruptInjected = false;
};

/** kvm_event_needs_reinjection */
export const kvmEventNeedsReinjection = (vcpu: KvmVcpu): boolean =>
  vcpu.exception.injected || vcpu.interruptInjected || vcpu.nmiInjected;

const fill = (vcpu: KvmVcpu, vector: number, hasError: boolean, error: number, reinject: boolean): void => {
  const queued = vcpu.exception;
  queued.vector = vector;
  queued.hasErrorCode = hasError;
  queued.errorCode = error;
  queued.pending = !reinject;
  queued.injected = reinject;
};

/** What a second exception makes of one that is queued: a double or triple fault, or it takes its place. */
const combine = (vcpu: KvmVcpu, vector: number, hasError: boolean, error: number, payload: boolean, lo: number, hi: number): void => {
  const queued = vcpu.exception;
  const first = queued.vector;
  if (first === B.DF_VECTOR) {
    kvmClearExceptionQueue(vcpu);
    kvmMakeRequest(KVM_REQ_TRIPLE_FAULT, vcpu);
    return;
  }
  const class1 = exceptionClass(first);
  const class2 = exceptionClass(vector);
  if ((class1 === EXCPT_CONTRIBUTORY && class2 === EXCPT_CONTRIBUTORY) || (class1 === EXCPT_PF && class2 !== EXCPT_BENIGN)) {
    fill(vcpu, B.DF_VECTOR, true, 0, false);
    queued.hasPayload = false;
    return;
  }
  // The new one wins; the instruction that raised the first runs again.
  fill(vcpu, vector, hasError, error, false);
  queued.hasPayload = payload;
  queued.payloadLo = lo;
  queued.payloadHi = hi;
};

/** kvm_deliver_exception_payload: CR2 or DR6 take their new value (there is no nested guest that could intercept). */
export const kvmDeliverExceptionPayload = (vcpu: KvmVcpu): void => {
  const queued = vcpu.exception;
  if (!queued.hasPayload) return;
  if (queued.vector === B.DB_VECTOR) {
    // #DB never clears DR6 bits but B0..B3 (SDM vol. 3B, 18.2.3); RTM and BLD are active low.
    const payload = queued.payloadLo;
    let dr6 = (vcpu.dr6 & ~B.DR_TRAP_BITS) | B.DR6_ACTIVE_LOW;
    dr6 |= payload;
    dr6 ^= payload & B.DR6_ACTIVE_LOW;
    vcpu.dr6 = (dr6 & ~0x1000) >>> 0;
  } else if (queued.vector === B.PF_VECTOR) {
    vcpu.cr2Lo = queued.payloadLo;
    vcpu.cr2Hi = queued.payloadHi;
  }
  queued.hasPayload = false;
  queued.payloadLo = 0;
  queued.payloadHi = 0;
};

/** kvm_multiple_exception */
const multipleException = (
  vcpu: KvmVcpu,
  vector: number,
  hasError: boolean,
  error: number,
  hasPayload: boolean,
  payloadLo: number,
  payloadHi: number,
  reinject: boolean,
): void => {
  const queued = vcpu.exception;
  kvmMakeRequest(KVM_REQ_EVENT, vcpu);
  if (queued.pending || queued.injected) {
    combine(vcpu, vector, hasError, error, hasPayload, payloadLo, payloadHi);
    kvmDeliverExceptionPayload(vcpu);
    return;
  }
  fill(vcpu, vector, hasError && (vcpu.cr0 & B.X86_CR0_PE) !== 0, error, reinject);
  queued.hasPayload = hasPayload && !reinject;
  queued.payloadLo = payloadLo;
  queued.payloadHi = payloadHi;
  kvmDeliverExceptionPayload(vcpu);
};

export const kvmQueueException = (vcpu: KvmVcpu, vector: number): void =>
  multipleException(vcpu, vector, false, 0, false, 0, 0, false);
export const kvmQueueExceptionE = (vcpu: KvmVcpu, vector: number, error: number): void =>
  multipleException(vcpu, vector, true, error, false, 0, 0, false);
/** With a payload: bits of DR6 for #DB. */
export const kvmQueueExceptionP = (vcpu: KvmVcpu, vector: number, payload: number): void =>
  multipleException(vcpu, vector, false, 0, true, payload, 0, false);
export const kvmRequeueException = (vcpu: KvmVcpu, vector: number): void =>
  multipleException(vcpu, vector, false, 0, false, 0, 0, true);
export const kvmRequeueExceptionE = (vcpu: KvmVcpu, vector: number, error: number): void =>
  multipleException(vcpu, vector, true, error, false, 0, 0, true);

/** kvm_inject_page_fault: error code and linear address. */
export const kvmInjectPageFault = (vcpu: KvmVcpu, error: number, addressLo: number, addressHi: number): void =>
  multipleException(vcpu, B.PF_VECTOR, true, error, true, addressLo, addressHi, false);

/** kvm_inject_gp */
export const kvmInjectGp = (vcpu: KvmVcpu, error: number): void => kvmQueueExceptionE(vcpu, B.GP_VECTOR, error);

/** kvm_inject_nmi */
export const kvmInjectNmi = (vcpu: KvmVcpu): void => {
  vcpu.nmiQueued++;
  kvmMakeRequest(KVM_REQ_NMI, vcpu);
};
