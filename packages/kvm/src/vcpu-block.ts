/** A vCPU that halted, or waits for its start (vcpu_block of x86.c; kvm_vcpu_halt, kvm_vcpu_block of kvm_main.c). */

import { EINTR, KVM_MP_STATE_HALTED, KVM_MP_STATE_RUNNABLE } from '@vm/kvm-run';
import { kvmApicAcceptEvents } from './irq/lapic-accept.ts';
import { kvmCpuHasPendingTimer, kvmLapicSwitchToHvTimer, kvmLapicSwitchToSwTimer } from './irq/lapic-timer.ts';
import { kvmVcpuHasEvents } from './events.ts';
import { localIrqEnable } from './host/host-cpu.ts';
import { kvmCheckRequest, kvmMakeRequest, KVM_REQ_UNBLOCK } from './requests.ts';
import type { KvmVcpu } from './types.ts';

/** Waits shorter than this are spun through (halt_poll_ns). */
const HALT_POLL_NS = 50_000;

/** kvm_vcpu_running */
export const kvmVcpuRunning = (vcpu: KvmVcpu): boolean => vcpu.mpState === KVM_MP_STATE_RUNNABLE;

/** kvm_arch_vcpu_runnable */
export const kvmArchVcpuRunnable = (vcpu: KvmVcpu): boolean => kvmVcpuRunning(vcpu) || kvmVcpuHasEvents(vcpu);

/** kvm_vcpu_check_block: true when the wait is over. */
const checkBlock = (vcpu: KvmVcpu): boolean => {
  if (kvmArchVcpuRunnable(vcpu)) {
    kvmMakeRequest(KVM_REQ_UNBLOCK, vcpu);
    return true;
  }
  return kvmCpuHasPendingTimer(vcpu) || vcpu.cpu.signalPending || vcpu.run.immediateExit !== 0;
};

/** Lets time pass to the next timer, or sleeps. False: it cannot sleep here. */
const sleep = (vcpu: KvmVcpu): boolean => {
  const { cpu, processor } = vcpu;
  const wake = cpu.hrtimers.next;
  if (wake !== Infinity) {
    const now = processor.rdtsc();
    if (wake <= now) {
      cpu.hrtimers.run();
      return true;
    }
    if (processor.deterministic) {
      processor.idleUntil(wake);
      return true;
    }
    if ((wake - now) * 1e6 < HALT_POLL_NS * processor.tscKhz) return true;
  }
  const { block } = vcpu.kvm.global;
  return block !== null && block(processor, wake);
};

/** kvm_vcpu_halt, kvm_vcpu_block: 0, or -EINTR when there is nothing to wait with. */
const wait = (vcpu: KvmVcpu): number => {
  const start = vcpu.processor.rdtsc();
  let result = 0;
  for (;;) {
    localIrqEnable(vcpu.cpu);
    if (checkBlock(vcpu)) break;
    if (!sleep(vcpu)) {
      result = -EINTR;
      break;
    }
  }
  const { tracer, processor } = vcpu;
  if (tracer !== null) {
    const ns = Math.floor(((processor.rdtsc() - start) * 1e6) / processor.tscKhz);
    tracer.event('kvm_vcpu_wakeup', vcpu.vcpuId, ns, 1, result === 0 ? 1 : 0);
  }
  return result;
};

/** vcpu_block: 1 go on; -EINTR nothing here can wake it, userspace comes back later. */
export const vcpuBlock = (vcpu: KvmVcpu): number => {
  if (!kvmArchVcpuRunnable(vcpu)) {
    const hvTimer = vcpu.apic !== null && vcpu.apic.timer.hvTimerInUse;
    if (hvTimer) kvmLapicSwitchToSwTimer(vcpu);
    const result = wait(vcpu);
    if (hvTimer) kvmLapicSwitchToHvTimer(vcpu);
    if (result !== 0) return result;
    if (!kvmCheckRequest(KVM_REQ_UNBLOCK, vcpu)) return 1;
  }
  kvmApicAcceptEvents(vcpu);
  if (vcpu.mpState === KVM_MP_STATE_HALTED) {
    vcpu.pvUnhalted = false;
    vcpu.mpState = KVM_MP_STATE_RUNNABLE;
  }
  return 1;
};
