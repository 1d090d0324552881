/**
 * Rows 4 to 12: one round into the guest and out again (vcpu_enter_guest of arch/x86/kvm/x86.c).
 */

import { kvmApicAcceptEvents } from './irq/lapic-accept.ts';
import { kvmCpuAcceptDmIntr, dmRequestForIrqInjection, injectPendingEvent, updateCr8Intercept } from './events.ts';
import { kvmRipRead64 } from './cache-regs.ts';
import { KVM_DEBUGREG_WONT_EXIT, loadGuestDebugRegs, syncDirtyDebugRegs } from './debug-regs.ts';
import { kvmDirtyRingSoftFull } from './dirty-ring.ts';
import { kvmLoadGuestFpu } from './fpu.ts';
import { localIrqDisable, localIrqEnable } from './host/host-cpu.ts';
import { kvmMmuReload } from './mmu/mmu.ts';
import { kvmCheckRequest, KVM_REQ_EVENT, kvmMakeRequest, kvmRequestPending } from './requests.ts';
import { serveRequests } from './serve-requests.ts';
import { IN_GUEST_MODE, OUTSIDE_GUEST_MODE, type KvmVcpu } from './types.ts';
import { KVM_EXIT_DIRTY_RING_FULL, KVM_MP_STATE_INIT_RECEIVED } from '@vm/kvm-run';
import { vmxCancelInjection } from './vmx/complete.ts';
import { vmxHandleExternalIntr } from './vmx/external-intr.ts';
import { vmxHandleExit } from './vmx/handle-exit.ts';
import { vmxSaveHostState } from './vmx/host-state.ts';
import { vmxEnableIrqWindow } from './vmx/inject.ts';
import { vmxVcpuRun } from './vmx/run.ts';

/** What must go in, or be waited for: INIT and SIPI, pending events, windows. False: the vCPU waits for a SIPI. */
const prepareEvents = (vcpu: KvmVcpu, window: boolean): boolean => {
  kvmApicAcceptEvents(vcpu);
  if (vcpu.mpState === KVM_MP_STATE_INIT_RECEIVED) return false;
  vcpu.reqImmediateExit = injectPendingEvent(vcpu);
  if (window) vmxEnableIrqWindow(vcpu);
  updateCr8Intercept(vcpu);
  return true;
};

/** kvm_vcpu_exit_request: somebody wants the vCPU's attention before it enters. */
const exitRequested = (vcpu: KvmVcpu): boolean =>
  vcpu.mode !== IN_GUEST_MODE || kvmRequestPending(vcpu) || vcpu.cpu.signalPending || vcpu.run.immediateExit !== 0;

const cancel = (vcpu: KvmVcpu): void => {
  if (vcpu.reqImmediateExit) kvmMakeRequest(KVM_REQ_EVENT, vcpu);
  vmxCancelInjection(vcpu);
};

const enterStatistics = (vcpu: KvmVcpu): void => {
  const { statistics } = vcpu.kvm.global;
  if (statistics === null || vcpu.statReason < 0) return;
  statistics.entered(vcpu.statReason, (performance.now() - vcpu.statSince) * 1e6);
  vcpu.statReason = -1;
};

/** With interrupts off: into the guest and out, and the interrupt that may have been the reason. */
const switchToGuest = (vcpu: KvmVcpu): void => {
  if (vcpu.reqImmediateExit) kvmMakeRequest(KVM_REQ_EVENT, vcpu);
  if (vcpu.switchDbRegs !== 0) loadGuestDebugRegs(vcpu);
  if (vcpu.cpu.fpuOwner !== vcpu) kvmLoadGuestFpu(vcpu);
  if (vcpu.tracer !== null) vcpu.tracer.event('kvm_entry', vcpu.vcpuId, kvmRipRead64(vcpu));
  enterStatistics(vcpu);
  vcpu.hasRun = true;
  vmxVcpuRun(vcpu);
  if ((vcpu.switchDbRegs & KVM_DEBUGREG_WONT_EXIT) !== 0) syncDirtyDebugRegs(vcpu);
  vcpu.mode = OUTSIDE_GUEST_MODE;
  vmxHandleExternalIntr(vcpu);
};

/** vcpu_enter_guest: 1 go on, 0 to userspace (kvm_run is filled), negative an error. */
export const vcpuEnterGuest = (vcpu: KvmVcpu): number => {
  if (vcpu.dirtyRing !== null && kvmDirtyRingSoftFull(vcpu.dirtyRing)) {
    vcpu.run.exitReason = KVM_EXIT_DIRTY_RING_FULL;
    return 0;
  }
  if (kvmRequestPending(vcpu) && !serveRequests(vcpu)) return 0;
  const window = dmRequestForIrqInjection(vcpu) && kvmCpuAcceptDmIntr(vcpu);
  vcpu.reqImmediateExit = false;
  if (kvmCheckRequest(KVM_REQ_EVENT, vcpu) || window) {
    if (!prepareEvents(vcpu, window)) return 1;
  }
  if (vcpu.eptpLo === 0) {
    const error = kvmMmuReload(vcpu);
    if (error !== 0) {
      vmxCancelInjection(vcpu);
      return error;
    }
  }
  vmxSaveHostState(vcpu);
  localIrqDisable(vcpu.cpu);
  vcpu.mode = IN_GUEST_MODE;
  if (exitRequested(vcpu)) {
    vcpu.mode = OUTSIDE_GUEST_MODE;
    localIrqEnable(vcpu.cpu);
    cancel(vcpu);
    return 1;
  }
  switchToGuest(vcpu);
  return vmxHandleExit(vcpu);
};
