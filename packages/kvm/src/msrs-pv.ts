/** KVM's own MSRs (Documentation/virt/kvm/x86/msr.rst). Each exists only while its CPUID feature does. */

import * as P from '@vm/kvm-run';
import { kvmAsyncPfEnable, kvmAsyncPfAck } from './async-pf.ts';
import { kvmWriteWallClock, toNumber } from './clock.ts';
import { kvmMakeRequest, KVM_REQ_GLOBAL_CLOCK_UPDATE, KVM_REQ_STEAL_UPDATE } from './requests.ts';
import type { KvmVcpu } from './types.ts';

const INVALID = 2;
const GP = 1;

/** The feature that each MSR belongs to. */
const FEATURES: ReadonlyMap<number, number> = new Map([
  [P.MSR_KVM_WALL_CLOCK, P.KVM_FEATURE_CLOCKSOURCE],
  [P.MSR_KVM_SYSTEM_TIME, P.KVM_FEATURE_CLOCKSOURCE],
  [P.MSR_KVM_WALL_CLOCK_NEW, P.KVM_FEATURE_CLOCKSOURCE2],
  [P.MSR_KVM_SYSTEM_TIME_NEW, P.KVM_FEATURE_CLOCKSOURCE2],
  [P.MSR_KVM_ASYNC_PF_EN, P.KVM_FEATURE_ASYNC_PF],
  [P.MSR_KVM_ASYNC_PF_INT, P.KVM_FEATURE_ASYNC_PF_INT],
  [P.MSR_KVM_ASYNC_PF_ACK, P.KVM_FEATURE_ASYNC_PF_INT],
  [P.MSR_KVM_STEAL_TIME, P.KVM_FEATURE_STEAL_TIME],
  [P.MSR_KVM_POLL_CONTROL, P.KVM_FEATURE_POLL_CONTROL],
]);

/** guest_pv_has: with KVM_CAP_ENFORCE_PV_FEATURE_CPUID off, all are there. */
const guestPvHas = (vcpu: KvmVcpu, index: number): boolean => {
  const feature = FEATURES.get(index);
  if (feature === undefined) return false;
  return !vcpu.enforcePvCpuid || ((vcpu.pvFeatures >>> feature) & 1) !== 0;
};

/** What was last written, for reading back. */
export const kvmGetPvMsr = (vcpu: KvmVcpu, index: number): number => {
  if (!FEATURES.has(index)) return INVALID;
  if (!guestPvHas(vcpu, index)) return GP;
  const value = index === P.MSR_KVM_ASYNC_PF_ACK ? 0n : (vcpu.msrStore.get(index) ?? (index === P.MSR_KVM_POLL_CONTROL ? 1n : 0n));
  vcpu.msrLo = Number(value & 0xffffffffn);
  vcpu.msrHi = Number(value >> 32n);
  return 0;
};

/** kvm_write_system_time: where the vCPU's clock page is, bit 0: on. */
const writeSystemTime = (vcpu: KvmVcpu): void => {
  vcpu.pvTimeEnabled = (vcpu.msrLo & 1) !== 0;
  vcpu.pvTimeAddr = toNumber(vcpu.msrLo & ~1, vcpu.msrHi);
  kvmMakeRequest(KVM_REQ_GLOBAL_CLOCK_UPDATE, vcpu);
};

/** Steal time: bit 0 on, bits 5:1 reserved. */
const writeStealTime = (vcpu: KvmVcpu): number => {
  if ((vcpu.msrLo & 0x3e) !== 0) return GP;
  vcpu.stealEnabled = (vcpu.msrLo & 1) !== 0;
  vcpu.stealAddr = toNumber(vcpu.msrLo & ~0x3f, vcpu.msrHi);
  if (vcpu.stealEnabled) kvmMakeRequest(KVM_REQ_STEAL_UPDATE, vcpu);
  return 0;
};

const apply = (vcpu: KvmVcpu, index: number): number => {
  switch (index) {
    case P.MSR_KVM_WALL_CLOCK:
    case P.MSR_KVM_WALL_CLOCK_NEW:
      kvmWriteWallClock(vcpu.kvm, toNumber(vcpu.msrLo, vcpu.msrHi));
      return 0;
    case P.MSR_KVM_SYSTEM_TIME:
    case P.MSR_KVM_SYSTEM_TIME_NEW:
      writeSystemTime(vcpu);
      return 0;
    case P.MSR_KVM_STEAL_TIME:
      return writeStealTime(vcpu);
    case P.MSR_KVM_POLL_CONTROL:
      return (vcpu.msrLo & ~1) !== 0 || vcpu.msrHi !== 0 ? GP : 0;
    case P.MSR_KVM_ASYNC_PF_EN:
      return kvmAsyncPfEnable(vcpu, vcpu.msrLo, vcpu.msrHi) ? 0 : GP;
    case P.MSR_KVM_ASYNC_PF_INT:
      if ((vcpu.msrLo & ~0xff) !== 0 || vcpu.msrHi !== 0) return GP;
      vcpu.apfMsrInt = vcpu.msrLo & 0xff;
      return 0;
    default:
      if ((vcpu.msrLo & 1) !== 0) kvmAsyncPfAck(vcpu);
      return 0;
  }
};

export const kvmSetPvMsr = (vcpu: KvmVcpu, index: number): number => {
  if (!FEATURES.has(index)) return INVALID;
  if (!guestPvHas(vcpu, index)) return GP;
  const result = apply(vcpu, index);
  if (result === 0) vcpu.msrStore.set(index, (BigInt(vcpu.msrHi >>> 0) << 32n) | BigInt(vcpu.msrLo >>> 0));
  return result;
};
