import type { ApicVcpu } from './types.ts';
import type { KvmLapic } from './lapic.ts';
import {
  APIC_BUS_CYCLE_NS,
  APIC_LVT_TIMER_ONESHOT,
  APIC_LVT_TIMER_PERIODIC,
  APIC_LVT_TIMER_TSCDEADLINE,
  APIC_LVT_MASKED,
  APIC_LVTT,
  APIC_TDCR,
  APIC_TMCCT,
  APIC_TMICT,
} from './apicdef.ts';
import { kvmApicHwEnabled, kvmApicPresent, kvmLapicGetReg, kvmLapicSetReg } from './lapic.ts';
import { kvmApicLocalDeliver } from './lapic-accept.ts';
import { KVM_REQ_UNBLOCK } from '../requests.ts';

/**
 * The local APIC's timer: one-shot, periodic and TSC-deadline (SDM vol. 3A, 12.5.4; arch/x86/kvm/lapic.c). While the
 * vCPU runs it rides on the VMX-preemption timer, while it waits on a high-resolution timer of the host. All times are
 * TSC ticks.
 */

/** A periodic timer is not allowed to fire more often than this (min_timer_period_us). */
const MIN_TIMER_PERIOD_NS = 200_000;

export function apicLvttOneshot(apic: KvmLapic): boolean {
  return apic.timer.timerMode === APIC_LVT_TIMER_ONESHOT;
}

export function apicLvttPeriod(apic: KvmLapic): boolean {
  return apic.timer.timerMode === APIC_LVT_TIMER_PERIODIC;
}

export function apicLvttTscdeadline(apic: KvmLapic): boolean {
  return apic.timer.timerMode === APIC_LVT_TIMER_TSCDEADLINE;
}

function setDeadline(apic: KvmLapic, guestTsc: number, low: number, high: number): void {
  apic.timer.tscDeadline = guestTsc;
  apic.timer.tscDeadlineLow = low;
  apic.timer.tscDeadlineHigh = high;
}

/** Host ticks that `count` of the timer's counter last. */
function countToTicks(apic: KvmLapic, count: number): number {
  return apic.vcpu.hrtimers.ticks(count * APIC_BUS_CYCLE_NS * apic.divideCount);
}

/** update_divide_count: TDCR's bits 3, 1 and 0 (SDM vol. 3A, figure "Divide Configuration Register"). */
export function updateDivideCount(apic: KvmLapic): void {
  const tdcr = kvmLapicGetReg(apic, APIC_TDCR);
  const shift = ((tdcr & 3) | ((tdcr & 8) >> 1)) + 1;
  apic.divideCount = 1 << (shift & 7);
}

function limitPeriodicTimerFrequency(apic: KvmLapic): void {
  if (!apicLvttPeriod(apic) || apic.timer.period === 0) return;
  apic.timer.period = Math.max(apic.timer.period, apic.vcpu.hrtimers.ticks(MIN_TIMER_PERIOD_NS));
}

function cancelHvTimer(apic: KvmLapic): void {
  if (!apic.timer.hvTimerInUse) return;
  apic.vcpu.cancelHvTimer();
  apic.timer.hvTimerInUse = false;
}

export function cancelApicTimer(apic: KvmLapic): void {
  apic.vcpu.hrtimers.cancel(apic.timer.timer);
  cancelHvTimer(apic);
}

/** apic_update_lvtt: after a write of LVTT. */
export function apicUpdateLvtt(apic: KvmLapic): void {
  const timer = apic.timer;
  const mode = kvmLapicGetReg(apic, APIC_LVTT) & timer.timerModeMask;
  if (timer.timerMode === mode) return;
  // Changing to or from TSC-deadline mode disarms the timer (SDM vol. 3A, 12.5.4.1).
  if (apicLvttTscdeadline(apic) !== (mode === APIC_LVT_TIMER_TSCDEADLINE)) {
    cancelApicTimer(apic);
    kvmLapicSetReg(apic, APIC_TMICT, 0);
    timer.period = 0;
    setDeadline(apic, 0, 0, 0);
  }
  timer.timerMode = mode;
  limitPeriodicTimerFrequency(apic);
}

/** apic_get_tmcct: the current count. */
export function apicGetTmcct(apic: KvmLapic): number {
  const timer = apic.timer;
  if (apicLvttTscdeadline(apic) || timer.period === 0 || kvmLapicGetReg(apic, APIC_TMICT) === 0) return 0;
  const queue = apic.vcpu.hrtimers;
  const remaining = Math.max(0, timer.targetExpiration - queue.now()) % timer.period;
  return Math.floor(queue.nanoseconds(remaining) / (APIC_BUS_CYCLE_NS * apic.divideCount)) >>> 0;
}

/** set_target_expiration: false when the counter does not count. `countReg` is TMCCT when a saved timer goes on. */
function setTargetExpiration(apic: KvmLapic, countReg: number): boolean {
  const timer = apic.timer;
  const now = apic.vcpu.hrtimers.now();
  timer.period = countToTicks(apic, kvmLapicGetReg(apic, APIC_TMICT));
  if (timer.period === 0) {
    setDeadline(apic, 0, 0, 0);
    return false;
  }
  limitPeriodicTimerFrequency(apic);
  let deadline = timer.period;
  if (countReg !== APIC_TMICT) {
    deadline = countToTicks(apic, kvmLapicGetReg(apic, countReg));
    if (deadline <= 0) deadline = apicLvttPeriod(apic) ? 0 : timer.period;
    else if (deadline > timer.period) deadline = timer.period;
  }
  timer.targetExpiration = now + deadline;
  setDeadline(apic, timer.targetExpiration + apic.vcpu.tscOffset, 0, 0);
  return true;
}

/** advance_periodic_target_expiration: periods that were missed altogether are passed over, as ticks do not queue up. */
function advancePeriodicTargetExpiration(apic: KvmLapic): void {
  const timer = apic.timer;
  const late = apic.vcpu.hrtimers.now() - timer.targetExpiration;
  timer.targetExpiration += timer.period * (late > timer.period ? Math.floor(late / timer.period) : 1);
  setDeadline(apic, timer.targetExpiration + apic.vcpu.tscOffset, 0, 0);
}

/** update_target_expiration: the divisor changed under a running timer. */
function updateTargetExpiration(apic: KvmLapic, oldDivisor: number): void {
  const timer = apic.timer;
  const now = apic.vcpu.hrtimers.now();
  timer.period = countToTicks(apic, kvmLapicGetReg(apic, APIC_TMICT));
  limitPeriodicTimerFrequency(apic);
  const remaining = Math.max(0, timer.targetExpiration - now);
  timer.targetExpiration = now + (remaining * apic.divideCount) / oldDivisor;
  setDeadline(apic, timer.targetExpiration + apic.vcpu.tscOffset, 0, 0);
}

/** apic_timer_expired. */
function apicTimerExpired(apic: KvmLapic, fromTimer: boolean): void {
  if (apic.timer.pending > 0) return;
  apic.timer.pending = 1;
  apic.vcpu.makeRequest(KVM_REQ_UNBLOCK);
  if (fromTimer) apic.vcpu.kick();
}

/** start_hv_timer: false when the preemption timer cannot carry the timer. */
function startHvTimer(apic: KvmLapic): boolean {
  const timer = apic.timer;
  if (timer.tscDeadline === 0) return false;
  const expired = apic.vcpu.setHvTimer(timer.tscDeadline - apic.vcpu.tscOffset);
  if (expired < 0) return false;
  timer.hvTimerInUse = true;
  apic.vcpu.hrtimers.cancel(timer.timer);
  if (!apicLvttPeriod(apic) && timer.pending > 0) cancelHvTimer(apic);
  else if (expired > 0) {
    apicTimerExpired(apic, false);
    cancelHvTimer(apic);
  }
  return true;
}

function startSwTimer(apic: KvmLapic): void {
  const timer = apic.timer;
  if (timer.hvTimerInUse) cancelHvTimer(apic);
  if (!apicLvttPeriod(apic) && timer.pending > 0) return;
  const queue = apic.vcpu.hrtimers;
  if (apicLvttTscdeadline(apic)) {
    if (timer.tscDeadline === 0) return;
    const expires = timer.tscDeadline - apic.vcpu.tscOffset;
    if (expires <= queue.now()) apicTimerExpired(apic, false);
    else queue.start(timer.timer, expires);
    return;
  }
  if (timer.period === 0) return;
  if (timer.targetExpiration <= queue.now()) {
    apicTimerExpired(apic, false);
    if (apicLvttOneshot(apic)) return;
    advancePeriodicTargetExpiration(apic);
  }
  queue.start(timer.timer, timer.targetExpiration);
}

export function restartApicTimer(apic: KvmLapic): void {
  if (!apicLvttPeriod(apic) && apic.timer.pending > 0) return;
  if (!startHvTimer(apic)) startSwTimer(apic);
}

/** __start_apic_timer. */
export function startApicTimer(apic: KvmLapic, countReg: number = APIC_TMICT): void {
  apic.timer.pending = 0;
  if (!apicLvttTscdeadline(apic) && !setTargetExpiration(apic, countReg)) return;
  restartApicTimer(apic);
}

/** apic_timer_fn: the high-resolution timer fired. */
export function apicTimerFn(apic: KvmLapic): number {
  apicTimerExpired(apic, true);
  if (!apicLvttPeriod(apic) || apic.timer.hvTimerInUse) return -1;
  advancePeriodicTargetExpiration(apic);
  return apic.timer.targetExpiration;
}

/** kvm_lapic_expired_hv_timer: the VMX-preemption timer reached zero. */
export function kvmLapicExpiredHvTimer(vcpu: ApicVcpu): void {
  const apic = vcpu.apic;
  if (apic === null || !apic.timer.hvTimerInUse) return;
  apicTimerExpired(apic, false);
  cancelHvTimer(apic);
  if (apicLvttPeriod(apic) && apic.timer.period > 0) {
    advancePeriodicTargetExpiration(apic);
    restartApicTimer(apic);
  }
}

/** kvm_lapic_switch_to_sw_timer: before the vCPU waits. */
export function kvmLapicSwitchToSwTimer(vcpu: ApicVcpu): void {
  if (vcpu.apic !== null && vcpu.apic.timer.hvTimerInUse) startSwTimer(vcpu.apic);
}

/** kvm_lapic_switch_to_hv_timer: after the wait. */
export function kvmLapicSwitchToHvTimer(vcpu: ApicVcpu): void {
  if (vcpu.apic !== null) restartApicTimer(vcpu.apic);
}

/** kvm_lapic_restart_hv_timer: the guest's TSC offset changed. */
export function kvmLapicRestartHvTimer(vcpu: ApicVcpu): void {
  if (vcpu.apic !== null && vcpu.apic.timer.hvTimerInUse) restartApicTimer(vcpu.apic);
}

/** __kvm_migrate_timers: to the queue of the thread that runs the vCPU now. */
export function kvmMigrateApicTimer(vcpu: ApicVcpu, from: ApicVcpu['hrtimers']): void {
  const timer = vcpu.apic?.timer.timer;
  if (timer !== undefined && from.cancel(timer)) vcpu.hrtimers.start(timer, timer.expires);
}

/** apic_has_pending_timer, kvm_cpu_has_pending_timer. */
export function kvmCpuHasPendingTimer(vcpu: ApicVcpu): boolean {
  const apic = vcpu.apic;
  if (apic === null || apic.timer.pending === 0 || !kvmApicHwEnabled(apic)) return false;
  return (kvmLapicGetReg(apic, APIC_LVTT) & APIC_LVT_MASKED) === 0;
}

/** kvm_inject_pending_timer_irqs. */
export function kvmInjectPendingTimerIrqs(vcpu: ApicVcpu): void {
  const apic = vcpu.apic;
  if (apic === null || apic.timer.pending === 0) return;
  kvmApicLocalDeliver(apic, APIC_LVTT);
  if (apicLvttTscdeadline(apic)) setDeadline(apic, 0, 0, 0);
  else if (apicLvttOneshot(apic)) {
    setDeadline(apic, 0, 0, 0);
    apic.timer.targetExpiration = 0;
  }
  apic.timer.pending = 0;
}

/** kvm_get_lapic_tscdeadline_msr: into `out`, low and high half. */
export function kvmGetLapicTscdeadlineMsr(vcpu: ApicVcpu, out: Uint32Array): void {
  const apic = vcpu.apic;
  const active = apic !== null && kvmApicPresent(vcpu) && apicLvttTscdeadline(apic);
  out[0] = active ? apic.timer.tscDeadlineLow : 0;
  out[1] = active ? apic.timer.tscDeadlineHigh : 0;
}

/** kvm_set_lapic_tscdeadline_msr: ignored unless LVTT is in TSC-deadline mode. */
export function kvmSetLapicTscdeadlineMsr(vcpu: ApicVcpu, low: number, high: number): void {
  const apic = vcpu.apic;
  if (apic === null || !kvmApicPresent(vcpu) || !apicLvttTscdeadline(apic)) return;
  cancelApicTimer(apic);
  setDeadline(apic, (high >>> 0) * 0x1_0000_0000 + (low >>> 0), low >>> 0, high >>> 0);
  startApicTimer(apic);
}

/** A write of TDCR. */
export function apicWriteTdcr(apic: KvmLapic, value: number): void {
  const old = apic.divideCount;
  kvmLapicSetReg(apic, APIC_TDCR, value & 0xb);
  updateDivideCount(apic);
  if (apic.divideCount === old || apic.timer.period === 0) return;
  apic.vcpu.hrtimers.cancel(apic.timer.timer);
  updateTargetExpiration(apic, old);
  restartApicTimer(apic);
}

/** A write of TMICT: starts the count anew; ignored in TSC-deadline mode. */
export function apicWriteTmict(apic: KvmLapic, value: number): void {
  if (apicLvttTscdeadline(apic)) return;
  cancelApicTimer(apic);
  kvmLapicSetReg(apic, APIC_TMICT, value);
  startApicTimer(apic);
}

/** The register image's current count, for KVM_GET_LAPIC. */
export function apicFoldTmcct(apic: KvmLapic): void {
  kvmLapicSetReg(apic, APIC_TMCCT, apicGetTmcct(apic));
}
