/** Row 3: KVM_RUN (kvm_arch_vcpu_ioctl_run, vcpu_run of arch/x86/kvm/x86.c). */

import {
  EAGAIN,
  EINTR,
  EINVAL,
  EIO,
  KVM_EXIT_INTR,
  KVM_EXIT_IRQ_WINDOW_OPEN,
  KVM_EXIT_UNKNOWN,
  KVM_MP_STATE_UNINITIALIZED,
} from '@vm/kvm-run';
import { kvmCheckAsyncPfCompletion } from './async-pf.ts';
import { kvmGetRflags } from './cache-regs.ts';
import { kvmGetCr8, kvmSetCr8 } from './crs.ts';
import { dmRequestForIrqInjection, kvmVcpuReadyForInterruptInjection } from './events.ts';
import { kvmLoadGuestFpu, kvmPutGuestFpu } from './fpu.ts';
import { kvmApicAcceptEvents } from './irq/lapic-accept.ts';
import { kvmCpuHasPendingTimer, kvmInjectPendingTimerIrqs } from './irq/lapic-timer.ts';
import { picInKernel } from './irq/irq.ts';
import { kvmClearRequest, kvmTestRequest, KVM_REQ_UNBLOCK, KVM_REQ_VM_DEAD } from './requests.ts';
import { kvmStealTimeResumed, kvmStealTimeSetPreempted } from './steal-time.ts';
import { storeSyncRegs, syncDirtyRegs, syncFieldsValid } from './sync-regs.ts';
import type { KvmVcpu } from './types.ts';
import { vcpuBlock, kvmVcpuRunning } from './vcpu-block.ts';
import { vcpuEnterGuest } from './vcpu-enter.ts';
import { kvmOnUserReturn } from './vmx/uret-msrs.ts';
import { vmxVcpuLoad, vmxVcpuPut } from './vmx/vcpu-setup.ts';
import { X86_EFLAGS_IF } from './x86-bits.ts';

/** A signal is pending for the thread: userspace asked it to leave KVM_RUN, or the host's tick wants it. */
const signalPending = (vcpu: KvmVcpu): boolean => vcpu.cpu.signalPending || vcpu.run.immediateExit !== 0;

/** kvm_handle_signal_exit */
const signalExit = (vcpu: KvmVcpu): number => {
  vcpu.cpu.signalPending = false;
  vcpu.run.exitReason = KVM_EXIT_INTR;
  if (kvmVcpuRunning(vcpu)) kvmStealTimeSetPreempted(vcpu);
  return -EINTR;
};

/** Rounds after which the guest must have executed something. */
const ROUNDS_WITHOUT_PROGRESS = 0x4000;

/**
 * Where time counts instructions, a guest that leaves again and again before its first one would never see a tick: the
 * rounds are the tick then, and KVM_RUN comes back with -EINTR.
 */
const stalled = (vcpu: KvmVcpu, since: number): boolean => vcpu.processor.deterministic && vcpu.processor.instructionCount() === since;

/** vcpu_run: 0 to userspace with kvm_run filled, or a negative errno. */
export const vcpuRun = (vcpu: KvmVcpu): number => {
  let executed = -1;
  for (let round = 1; ; round++) {
    if (round % ROUNDS_WITHOUT_PROGRESS === 0) {
      if (stalled(vcpu, executed)) return signalExit(vcpu);
      executed = vcpu.processor.instructionCount();
    }
    const result = kvmVcpuRunning(vcpu) ? vcpuEnterGuest(vcpu) : vcpuBlock(vcpu);
    if (result <= 0) {
      if (result === -EINTR) vcpu.run.exitReason = KVM_EXIT_INTR;
      return result;
    }
    kvmClearRequest(KVM_REQ_UNBLOCK, vcpu);
    if (kvmCpuHasPendingTimer(vcpu)) kvmInjectPendingTimerIrqs(vcpu);
    if (dmRequestForIrqInjection(vcpu) && kvmVcpuReadyForInterruptInjection(vcpu)) {
      vcpu.run.exitReason = KVM_EXIT_IRQ_WINDOW_OPEN;
      return 0;
    }
    if (vcpu.asyncPfDone.length > 0) kvmCheckAsyncPfCompletion(vcpu);
    if (signalPending(vcpu)) return signalExit(vcpu);
  }
};

/** A processor that waits for INIT and SIPI: until they came there is nothing to run. */
const waitForStart = (vcpu: KvmVcpu): number => {
  if (vcpu.run.immediateExit !== 0) return signalExit(vcpu);
  const result = vcpuBlock(vcpu);
  kvmApicAcceptEvents(vcpu);
  kvmClearRequest(KVM_REQ_UNBLOCK, vcpu);
  if (result < 0 || signalPending(vcpu)) return signalExit(vcpu);
  return -EAGAIN;
};

/** post_kvm_run_save */
const postKvmRunSave = (vcpu: KvmVcpu): void => {
  const { run } = vcpu;
  run.ifFlag = (kvmGetRflags(vcpu) & X86_EFLAGS_IF) !== 0 ? 1 : 0;
  run.cr8 = kvmGetCr8(vcpu);
  run.apicBase =
    vcpu.apic === null
      ? vcpu.apicBaseHi * 0x1_0000_0000 + vcpu.apicBaseLo
      : vcpu.apic.baseHigh * 0x1_0000_0000 + vcpu.apic.baseLow;
  run.readyForInterruptInjection = picInKernel(vcpu.kvm) || kvmVcpuReadyForInterruptInjection(vcpu) ? 1 : 0;
};

const ioctlRun = (vcpu: KvmVcpu): number => {
  const { run } = vcpu;
  if (vcpu.mpState === KVM_MP_STATE_UNINITIALIZED) return waitForStart(vcpu);
  if (!syncFieldsValid(vcpu)) return -EINVAL;
  if (vcpu.u32[(vcpu.runAddress + 296) >>> 2] !== 0) {
    const error = syncDirtyRegs(vcpu);
    if (error !== 0) return error;
  }
  if (vcpu.apic === null && !kvmSetCr8(vcpu, run.cr8, 0)) return -EINVAL;
  const complete = vcpu.completeUserspaceIo;
  if (complete !== null) {
    vcpu.completeUserspaceIo = null;
    const result = complete(vcpu);
    if (result <= 0) return result;
  }
  if (run.immediateExit !== 0) return signalExit(vcpu);
  return vcpuRun(vcpu);
};

/** kvm_arch_vcpu_ioctl_run */
export const kvmArchVcpuIoctlRun = (vcpu: KvmVcpu): number => {
  const { run, tracer } = vcpu;
  if (vcpu.kvm.vmDead || kvmTestRequest(KVM_REQ_VM_DEAD, vcpu)) return -EIO;
  vmxVcpuLoad(vcpu);
  vcpu.kvm.runningVcpu = vcpu;
  if (vcpu.preemptedSince >= 0) kvmStealTimeResumed(vcpu);
  run.flags = 0;
  run.exitReason = KVM_EXIT_UNKNOWN;
  kvmLoadGuestFpu(vcpu);
  const result = ioctlRun(vcpu);
  kvmPutGuestFpu(vcpu);
  if (vcpu.u32[(vcpu.runAddress + 288) >>> 2] !== 0) storeSyncRegs(vcpu);
  postKvmRunSave(vcpu);
  vmxVcpuPut(vcpu);
  kvmOnUserReturn(vcpu.cpu);
  if (tracer !== null) tracer.event('kvm_userspace_exit', vcpu.vcpuId, run.exitReason, result);
  return result;
};
