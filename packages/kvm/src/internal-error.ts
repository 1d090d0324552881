import { KVM_EXIT_INTERNAL_ERROR } from '@vm/kvm-run';
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
