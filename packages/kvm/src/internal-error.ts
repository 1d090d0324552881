import { KVM_EXIT_INTERNAL_ERROR, KVM_INTERNAL_ERROR_DELIVERY_EV } from '@vm/kvm-run';
import { EXIT_QUALIFICATION } from '@vm/kvm-run/vmx';
import type { KvmVcpu } from './types.ts';

/** KVM_EXIT_INTERNAL_ERROR with up to 16 words of data. */
export const internalError = (vcpu: KvmVcpu, suberror: number, data: readonly number[]): number => {
  const { run } = vcpu;
  run.exitReason = KVM_EXIT_INTERNAL_ERROR;
  run.view.setUint32(32, suberror, true);
  run.view.setUint32(36, data.length, true);
  data.forEach((value, i) => run.view.setBigUint64(40 + i * 8, BigInt(value), true));
  return 0;
};

/**
 * kvm_prepare_event_vectoring_exit: the guest left while an event was being delivered, for a reason that cannot be served
 * then. `gpa` is -1 when the exit has none.
 */
export const kvmPrepareEventVectoringExit = (vcpu: KvmVcpu, gpa: number): number => {
  const data = [vcpu.idtVectoringInfo >>> 0, vcpu.exitReason, vcpu.processor.vmread(EXIT_QUALIFICATION)];
  if (gpa >= 0) data.push(gpa);
  data.push(vcpu.cpu.index);
  return internalError(vcpu, KVM_INTERNAL_ERROR_DELIVERY_EV, data);
};
