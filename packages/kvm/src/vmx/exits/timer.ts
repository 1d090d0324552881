/** Exits that hardware makes by itself: preemption timer, monitor trap flag, bus locks, notification. */

import { KVM_EXIT_NOTIFY, KVM_NOTIFY_CONTEXT_INVALID, KVM_X86_NOTIFY_VMEXIT_USER } from '@vm/kvm-run';
import * as V from '@vm/kvm-run/vmx';
import { kvmLapicExpiredHvTimer } from '../../irq/lapic-timer.ts';
import type { KvmVcpu } from '../../types.ts';

/** handle_preemption_timer: the local APIC's timer expired, unless the exit was only to be immediate. */
export const handlePreemptionTimer = (vcpu: KvmVcpu): number => {
  if (!vcpu.reqImmediateExit && !vcpu.hvTimerSoftDisabled) kvmLapicExpiredHvTimer(vcpu);
  return 1;
};

/** handle_monitor_trap: KVM does not use it for itself. */
export const handleMonitorTrap = (_vcpu: KvmVcpu): number => 1;

/** handle_bus_lock_vmexit: vmxHandleExit reports the bit of the exit reason, which other exits may have too. */
export const handleBusLock = (vcpu: KvmVcpu): number => {
  vcpu.exitReason = (vcpu.exitReason | V_BUS_LOCK_DETECTED) >>> 0;
  return 1;
};

/** Bit 26 of the exit reason: a bus lock came before this exit (SDM vol. 3C, 25.9.1). */
export const V_BUS_LOCK_DETECTED = 0x04000000;

/** handle_notify: the guest ran for a whole window without a point at which an event could come in. */
export const handleNotify = (vcpu: KvmVcpu): number => {
  const { processor } = vcpu;
  const qualification = processor.vmread(V.EXIT_QUALIFICATION);
  if ((qualification & V.INTR_INFO_UNBLOCK_NMI) !== 0) {
    const state = processor.vmread(V.GUEST_INTERRUPTIBILITY_INFO);
    processor.vmwrite(V.GUEST_INTERRUPTIBILITY_INFO, state | V.GUEST_INTR_STATE_NMI, 0);
  }
  const invalid = (qualification & 1) !== 0;
  if (!invalid && (vcpu.kvm.notifyVmexitFlags & KVM_X86_NOTIFY_VMEXIT_USER) === 0) return 1;
  vcpu.run.exitReason = KVM_EXIT_NOTIFY;
  vcpu.run.view.setUint32(32, invalid ? KVM_NOTIFY_CONTEXT_INVALID : 0, true);
  return 0;
};
