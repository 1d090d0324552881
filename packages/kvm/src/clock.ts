/**
 * Time for the guest: its TSC, and KVM's paravirtual clock (kvm_guest_time_update, get_kvmclock_ns, kvm_write_wall_clock
 * of arch/x86/kvm/x86.c). The host's clock is the physical CPU's TSC; all vCPUs whose TSC offsets agree share one
 * reading of it, which makes the clock stable across them (the master clock).
 */

import {
  EINVAL,
  KVM_CLOCK_HOST_TSC,
  KVM_CLOCK_REALTIME,
  KVM_CLOCK_TSC_STABLE,
  kvmClockData,
  type View,
} from '@vm/kvm-run';
import { TSC_OFFSET } from '@vm/kvm-run/vmx';
import { kvmMapGuest, kvmWriteGuest } from './guest-memory.ts';
import { kvmLapicRestartHvTimer } from './irq/lapic-timer.ts';
import { kvmMakeRequest, KVM_REQ_CLOCK_UPDATE, KVM_REQ_MASTERCLOCK_UPDATE } from './requests.ts';
import type { Kvm, KvmVcpu } from './types.ts';

const PVCLOCK_TSC_STABLE_BIT = 1;
const PVCLOCK_GUEST_STOPPED = 2;
const PVCLOCK_SIZE = 32;
const NSEC_PER_SEC = 1e9;
const TWO_32 = 0x1_0000_0000;

/** Host nanoseconds since TSC 0. */
const hostNs = (kvm: Kvm, tsc: number): number => (tsc * 1e6) / kvm.global.cpus[0]!.processor.tscKhz;

const hostTsc = (kvm: Kvm): number => Math.floor(kvm.global.cpus[0]!.processor.rdtsc());

/** get_kvmclock_ns */
export const getKvmclockNs = (kvm: Kvm): number => Math.floor(hostNs(kvm, hostTsc(kvm)) + kvm.kvmclockOffset);

/** Nanoseconds since 1970. */
export const ktimeGetRealNs = (kvm: Kvm, tsc: number): number => kvm.global.realtimeBase * 1e6 + hostNs(kvm, tsc);

/** pvclock_update_vm_gtod_copy, kvm_update_masterclock: one reading of the host's clock for all vCPUs. */
export const kvmUpdateMasterclock = (kvm: Kvm): void => {
  kvm.masterCycleNow = hostTsc(kvm);
  kvm.masterKernelNs = hostNs(kvm, kvm.masterCycleNow);
  const first = kvm.vcpus[0];
  kvm.useMasterClock = first !== undefined && kvm.vcpus.every((vcpu) => vcpu.tscOffsetExact === first.tscOffsetExact);
  for (const vcpu of kvm.vcpus) kvmMakeRequest(KVM_REQ_CLOCK_UPDATE, vcpu);
  const { tracer } = kvm.global;
  if (tracer !== null) tracer.event('kvm_update_master_clock', -1, Number(kvm.useMasterClock), 'tsc', Number(kvm.useMasterClock));
};

/** kvm_get_time_scale: multiplier and shift from ticks of `khz` to nanoseconds. */
export const kvmGetTimeScale = (khz: number): { readonly mul: number; readonly shift: number } => {
  let shift = 0;
  let tps = BigInt(khz) * 1000n;
  let scaled = BigInt(NSEC_PER_SEC);
  while (tps > scaled * 2n || tps >> 32n !== 0n) {
    tps >>= 1n;
    shift--;
  }
  while (tps <= scaled || scaled >> 32n !== 0n) {
    if (scaled >> 32n !== 0n || (tps & 0x80000000n) !== 0n) scaled >>= 1n;
    else tps <<= 1n;
    shift++;
  }
  return { mul: Number((scaled << 32n) / tps), shift };
};

/** The guest's TSC at a host TSC. */
export const kvmReadL1Tsc = (vcpu: KvmVcpu, host: number): bigint => BigInt.asUintN(64, BigInt(Math.floor(host)) + vcpu.tscOffsetExact);

/** kvm_guest_time_update: writes the vCPU's page of clock data. */
export const kvmGuestTimeUpdate = (vcpu: KvmVcpu): void => {
  if (!vcpu.pvTimeEnabled) return;
  const { kvm, memory } = vcpu;
  const hva = kvmMapGuest(kvm, vcpu.pvTimeAddr, PVCLOCK_SIZE);
  if (hva < 0) return;
  const tsc = kvm.useMasterClock ? kvm.masterCycleNow : hostTsc(kvm);
  const ns = Math.floor((kvm.useMasterClock ? kvm.masterKernelNs : hostNs(kvm, tsc)) + kvm.kvmclockOffset);
  const guestTsc = kvmReadL1Tsc(vcpu, tsc);
  const { mul, shift } = kvmGetTimeScale(vcpu.virtualTscKhz);
  let flags = kvm.useMasterClock ? PVCLOCK_TSC_STABLE_BIT : 0;
  if (vcpu.pvclockSetGuestStoppedRequest) {
    flags |= PVCLOCK_GUEST_STOPPED;
    vcpu.pvclockSetGuestStoppedRequest = false;
  }
  const { view } = memory;
  // An odd version says that an update is going on (Documentation/virt/kvm/x86/msr.rst).
  const version = (view.getUint32(hva, true) | 1) >>> 0;
  view.setUint32(hva, version, true);
  view.setBigUint64(hva + 8, guestTsc, true);
  view.setBigUint64(hva + 16, BigInt(Math.max(0, ns)), true);
  view.setUint32(hva + 24, mul, true);
  view.setInt8(hva + 28, shift);
  view.setUint8(hva + 29, flags);
  view.setUint32(hva, (version + 1) >>> 0, true);
  memory.wrote(hva, PVCLOCK_SIZE);
  if (vcpu.tracer !== null)
    vcpu.tracer.event('kvm_pvclock_update', vcpu.vcpuId, version + 1, guestTsc, ns, mul, shift, flags);
};

/** kvm_write_wall_clock: the time of day at which the guest's clock was zero. */
export const kvmWriteWallClock = (kvm: Kvm, address: number): void => {
  const bytes = new Uint8Array(12);
  const view = new DataView(bytes.buffer);
  const ns = ktimeGetRealNs(kvm, hostTsc(kvm)) - getKvmclockNs(kvm);
  kvm.wallClockVersion = (kvm.wallClockVersion + 2) >>> 0;
  view.setUint32(0, kvm.wallClockVersion, true);
  view.setUint32(4, Math.floor(ns / NSEC_PER_SEC), true);
  view.setUint32(8, Math.floor(ns % NSEC_PER_SEC), true);
  kvmWriteGuest(kvm, address, bytes);
};

// ---- the guest's TSC

/** kvm_vcpu_write_tsc_offset: guest TSC minus host TSC, in ticks, modulo 2^64. */
export const kvmVcpuWriteTscOffset = (vcpu: KvmVcpu, offset: bigint): void => {
  const next = BigInt.asIntN(64, offset);
  if (vcpu.tracer !== null) vcpu.tracer.event('kvm_write_tsc_offset', vcpu.vcpuId, vcpu.tscOffsetExact, next);
  vcpu.tscOffsetExact = next;
  vcpu.tscOffset = Number(next);
  const bits = BigInt.asUintN(64, next);
  vcpu.processor.vmwrite(TSC_OFFSET, Number(bits & 0xffffffffn), Number(bits >> 32n));
  kvmLapicRestartHvTimer(vcpu);
};

/**
 * kvm_synchronize_tsc: a write of the guest's TSC. Writes that look like an attempt to bring vCPUs together (the same
 * value, or what the first one's TSC has come to, within a second) make them agree exactly.
 */
export const kvmSynchronizeTsc = (vcpu: KvmVcpu, data: bigint, hostInitiated: boolean): void => {
  const { kvm } = vcpu;
  const now = hostTsc(kvm);
  let offset = data - BigInt(now);
  const khz = vcpu.virtualTscKhz;
  if (khz !== 0 && khz === kvm.lastTscKhz) {
    const expected = kvm.lastTscWrite + BigInt(now - kvm.lastTscHost);
    const second = BigInt(khz) * 1000n;
    const near = data < expected + second && data + second > expected;
    if ((hostInitiated && data === 0n) || near) offset = kvm.curTscOffset;
  }
  kvm.lastTscHost = now;
  kvm.lastTscWrite = data;
  kvm.lastTscKhz = khz;
  kvm.curTscOffset = offset;
  kvmVcpuWriteTscOffset(vcpu, offset);
  kvmMakeRequest(KVM_REQ_MASTERCLOCK_UPDATE, vcpu);
};

// ---- ioctls

/** KVM_SET_CLOCK */
export const kvmVmIoctlSetClock = (kvm: Kvm, data: View<typeof kvmClockData>): number => {
  if ((data.flags & ~(KVM_CLOCK_REALTIME | KVM_CLOCK_TSC_STABLE | KVM_CLOCK_HOST_TSC)) !== 0) return -EINVAL;
  let clock = Number(data.clock);
  if ((data.flags & KVM_CLOCK_REALTIME) !== 0) {
    // The time that passed since userspace read the clock counts too.
    const passed = ktimeGetRealNs(kvm, hostTsc(kvm)) - Number(data.realtime);
    if (passed > 0) clock += passed;
  }
  kvmUpdateMasterclock(kvm);
  kvm.kvmclockOffset = clock - (kvm.useMasterClock ? kvm.masterKernelNs : hostNs(kvm, hostTsc(kvm)));
  for (const vcpu of kvm.vcpus) kvmMakeRequest(KVM_REQ_CLOCK_UPDATE, vcpu);
  return 0;
};

/** KVM_GET_CLOCK */
export const kvmVmIoctlGetClock = (kvm: Kvm, data: View<typeof kvmClockData>): void => {
  const tsc = hostTsc(kvm);
  data.clock = BigInt(Math.max(0, Math.floor(hostNs(kvm, tsc) + kvm.kvmclockOffset)));
  data.flags = KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC | (kvm.useMasterClock ? KVM_CLOCK_TSC_STABLE : 0);
  data.realtime = BigInt(Math.floor(ktimeGetRealNs(kvm, tsc)));
  data.host_tsc = BigInt(tsc);
};

/** Seconds and nanoseconds for KVM_HC_CLOCK_PAIRING: struct kvm_clock_pairing, 64 bytes. */
export const kvmClockPairing = (vcpu: KvmVcpu): Uint8Array => {
  const { kvm } = vcpu;
  const tsc = hostTsc(kvm);
  const ns = ktimeGetRealNs(kvm, tsc);
  const bytes = new Uint8Array(64);
  const view = new DataView(bytes.buffer);
  view.setBigInt64(0, BigInt(Math.floor(ns / NSEC_PER_SEC)), true);
  view.setBigInt64(8, BigInt(Math.floor(ns % NSEC_PER_SEC)), true);
  view.setBigUint64(16, kvmReadL1Tsc(vcpu, tsc), true);
  return bytes;
};

/** A 64-bit number of two halves as a double: addresses and times below 2^53. */
export const toNumber = (low: number, high: number): number => (high >>> 0) * TWO_32 + (low >>> 0);
