/** HLT of the guest (kvm_emulate_halt of x86.c). */

import { KVM_EXIT_HLT, KVM_MP_STATE_HALTED } from '@vm/kvm-run';
import { kvmVcpuHasEvents } from './events.ts';
import { kvmSkipEmulatedInstruction } from './skip.ts';
import type { KvmVcpu } from './types.ts';

/** kvm_emulate_halt_noskip: waits in KVM when the local APIC is here, else in userspace. */
export const kvmEmulateHaltNoskip = (vcpu: KvmVcpu): number => {
  if (vcpu.apic === null) {
    vcpu.run.exitReason = KVM_EXIT_HLT;
    return 0;
  }
  if (kvmVcpuHasEvents(vcpu)) vcpu.pvUnhalted = false;
  else vcpu.mpState = KVM_MP_STATE_HALTED;
  return 1;
};

/** kvm_emulate_halt */
export const kvmEmulateHalt = (vcpu: KvmVcpu): number => {
  const skipped = kvmSkipEmulatedInstruction(vcpu);
  return kvmEmulateHaltNoskip(vcpu) === 1 && skipped === 1 ? 1 : 0;
};
