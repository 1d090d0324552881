/** Time that the vCPU wanted to run but did not (record_steal_time of x86.c; struct kvm_steal_time). */

import { kvmMapGuest } from './guest-memory.ts';
import { KVM_REQ_STEAL_UPDATE, kvmMakeRequest } from './requests.ts';
import type { KvmVcpu } from './types.ts';

const SIZE = 64;
const VERSION = 8;
const FLAGS = 12;
const PREEMPTED = 16;
const KVM_VCPU_PREEMPTED = 1;

/** record_steal_time */
export const recordStealTime = (vcpu: KvmVcpu): void => {
  if (!vcpu.stealEnabled) return;
  const hva = kvmMapGuest(vcpu.kvm, vcpu.stealAddr, SIZE);
  if (hva < 0) return;
  const { view } = vcpu.memory;
  view.setUint8(hva + PREEMPTED, 0);
  let version = view.getUint32(hva + VERSION, true);
  // The first update: what the memory held before counts for nothing.
  if ((version & 1) !== 0) version++;
  view.setUint32(hva + VERSION, (version + 1) >>> 0, true);
  const steal = view.getBigUint64(hva, true) + BigInt(Math.floor(vcpu.runDelay - vcpu.stealLast));
  vcpu.stealLast = Math.floor(vcpu.runDelay);
  view.setBigUint64(hva, steal, true);
  view.setUint32(hva + FLAGS, 0, true);
  view.setUint32(hva + VERSION, (version + 2) >>> 0, true);
  vcpu.memory.wrote(hva, SIZE);
};

/** kvm_steal_time_set_preempted: other vCPUs of the guest can see that this one does not run. */
export const kvmStealTimeSetPreempted = (vcpu: KvmVcpu): void => {
  vcpu.preemptedSince = performance.now();
  if (!vcpu.stealEnabled) return;
  const hva = kvmMapGuest(vcpu.kvm, vcpu.stealAddr, SIZE);
  if (hva < 0) return;
  vcpu.memory.view.setUint8(hva + PREEMPTED, KVM_VCPU_PREEMPTED);
  vcpu.memory.wrote(hva + PREEMPTED, 1);
};

/** The vCPU runs again after it was preempted. */
export const kvmStealTimeResumed = (vcpu: KvmVcpu): void => {
  if (vcpu.preemptedSince < 0) return;
  // In deterministic mode the host's time must not reach the guest.
  if (!vcpu.processor.deterministic) vcpu.runDelay += (performance.now() - vcpu.preemptedSince) * 1e6;
  vcpu.preemptedSince = -1;
  if (vcpu.stealEnabled) kvmMakeRequest(KVM_REQ_STEAL_UPDATE, vcpu);
};
