/**
 * RDMSR and WRMSR of the guest, and of userspace for it (kvm_get_msr, kvm_set_msr, vmx_get_msr, vmx_set_msr). A value
 * travels in `vcpu.msrLo` and `vcpu.msrHi`.
 */

import * as P from '@vm/kvm-run';
import * as V from '@vm/kvm-run/vmx';
import { kvmApicSetBase } from './irq/lapic-state.ts';
import { kvmX2apicMsrRead, kvmX2apicMsrWrite } from './irq/lapic-regs.ts';
import { kvmGetLapicTscdeadlineMsr, kvmSetLapicTscdeadlineMsr } from './irq/lapic-timer.ts';
import { kvmReadL1Tsc, kvmSynchronizeTsc, kvmVcpuWriteTscOffset } from './clock.ts';
import { guestCpuidHas, guestHasXsaves, kvmUpdateCpuidRuntime } from './cpuid.ts';
import { setEfer } from './crs.ts';
import { KVM_MAX_MCE_BANKS, storedMsrs, type StoredMsr } from './msr-list.ts';
import { kvmGetPvMsr, kvmSetPvMsr } from './msrs-pv.ts';
import type { KvmVcpu } from './types.ts';
import { kvmMsrAllowed } from './msr-filter.ts';
import { vmxSetVirtualApicMode } from './vmx/vcpu-setup.ts';
import { SLOT_KERNEL_GS_BASE, SLOT_PAT, uretSlot } from './vmx/uret-msrs.ts';

/** Results beside 0: #GP; no such MSR; refused by the filter. */
export const MSR_OK = 0;
export const MSR_GP = 1;
export const KVM_MSR_RET_INVALID = 2;
export const KVM_MSR_RET_FILTERED = 3;

const MSR_MISC_FEATURES_ENABLES = 0x140;
const MSR_IA32_BNDCFGS = 0xd90;
const MSR_IA32_MC0_CTL2 = 0x280;

const stored = new Map<number, StoredMsr>();
for (const entry of storedMsrs) for (let i = 0; i < entry.count; i++) stored.set(entry.index + i, entry);

const set64 = (vcpu: KvmVcpu, value: bigint): number => {
  vcpu.msrLo = Number(value & 0xffffffffn);
  vcpu.msrHi = Number((value >> 32n) & 0xffffffffn);
  return MSR_OK;
};

const get64 = (vcpu: KvmVcpu): bigint => (BigInt(vcpu.msrHi >>> 0) << 32n) | BigInt(vcpu.msrLo >>> 0);

/** 48-bit canonical form, from the high half. */
const isCanonical = (high: number): boolean => {
  const top = high >> 15;
  return top === 0 || top === -1;
};

const readField = (vcpu: KvmVcpu, field: number): number => {
  vcpu.msrLo = vcpu.processor.vmread(field);
  vcpu.msrHi = vcpu.processor.high;
  return MSR_OK;
};

const readSlot = (vcpu: KvmVcpu, slot: number): number => {
  vcpu.msrLo = vcpu.msrs[slot * 2]!;
  vcpu.msrHi = vcpu.msrs[slot * 2 + 1]!;
  return MSR_OK;
};

/** Fields of the VMCS that are MSRs (vmx_get_msr). */
const vmcsField = (index: number): number => {
  switch (index) {
    case V.MSR_FS_BASE:
      return V.GUEST_FS_BASE;
    case V.MSR_GS_BASE:
      return V.GUEST_GS_BASE;
    case V.MSR_IA32_SYSENTER_CS:
      return V.GUEST_SYSENTER_CS;
    case V.MSR_IA32_SYSENTER_ESP:
      return V.GUEST_SYSENTER_ESP;
    case V.MSR_IA32_SYSENTER_EIP:
      return V.GUEST_SYSENTER_EIP;
    case V.MSR_IA32_DEBUGCTLMSR:
      return V.GUEST_IA32_DEBUGCTL;
    default:
      return -1;
  }
};

/** Banks of machine-check MSRs: four a bank (get_msr_mce). */
const mceRegister = (vcpu: KvmVcpu, index: number): boolean => {
  const banks = Number((vcpu.msrStore.get(V.MSR_IA32_MCG_CAP) ?? 0n) & 0xffn);
  return index >= V.MSR_IA32_MC0_CTL && index < V.MSR_IA32_MC0_CTL + 4 * Math.min(banks, KVM_MAX_MCE_BANKS);
};

/** A value that only KVM keeps. */
const getStored = (vcpu: KvmVcpu, index: number): number => {
  const entry = stored.get(index);
  if (entry !== undefined) return set64(vcpu, vcpu.msrStore.get(index) ?? entry.reset);
  if (mceRegister(vcpu, index)) return set64(vcpu, vcpu.msrStore.get(index) ?? 0n);
  return KVM_MSR_RET_INVALID;
};



const getApic = (vcpu: KvmVcpu, index: number): number => {
  if (!kvmX2apicMsrRead(vcpu, index, vcpu.scratch)) return MSR_GP;
  vcpu.msrLo = vcpu.scratch[0]!;
  vcpu.msrHi = vcpu.scratch[1]!;
  return MSR_OK;
};

const getApicBase = (vcpu: KvmVcpu): number => {
  vcpu.msrLo = vcpu.apic === null ? vcpu.apicBaseLo : vcpu.apic.baseLow;
  vcpu.msrHi = vcpu.apic === null ? vcpu.apicBaseHi : vcpu.apic.baseHigh;
  return MSR_OK;
};

/** The value of an MSR of the guest, without filter. */
export const kvmGetMsrUnfiltered = (vcpu: KvmVcpu, index: number, hostInitiated: boolean): number => {
  if (index >= V.APIC_BASE_MSR && index <= V.APIC_BASE_MSR + 0xff) return getApic(vcpu, index);
  const field = vmcsField(index);
  if (field >= 0) return readField(vcpu, field);
  const slot = uretSlot(index);
  if (slot >= 0) {
    if (index === V.MSR_TSC_AUX && !hostInitiated && !guestCpuidHas(vcpu, [0x80000001, 'edx', 27])) return MSR_GP;
    return readSlot(vcpu, slot);
  }
  switch (index) {
    case V.MSR_KERNEL_GS_BASE:
      if (vcpu.guestStateLoaded) {
        vcpu.msrLo = vcpu.processor.rdmsr(V.MSR_KERNEL_GS_BASE);
        vcpu.msrHi = vcpu.processor.high;
        return MSR_OK;
      }
      return readSlot(vcpu, SLOT_KERNEL_GS_BASE);
    case V.MSR_EFER:
      return set64(vcpu, BigInt(vcpu.efer));
    case V.MSR_IA32_CR_PAT:
      return readSlot(vcpu, SLOT_PAT);
    case V.MSR_IA32_APICBASE:
      return getApicBase(vcpu);
    case V.MSR_IA32_TSC:
      return set64(vcpu, kvmReadL1Tsc(vcpu, vcpu.processor.rdtsc()));
    case V.MSR_IA32_TSC_ADJUST:
      return set64(vcpu, BigInt.asUintN(64, vcpu.tscAdjust));
    case V.MSR_IA32_TSC_DEADLINE:
      kvmGetLapicTscdeadlineMsr(vcpu, vcpu.scratch);
      vcpu.msrLo = vcpu.scratch[0]!;
      vcpu.msrHi = vcpu.scratch[1]!;
      return MSR_OK;
    case V.MSR_IA32_SPEC_CTRL:
      if (!hostInitiated && !guestCpuidHas(vcpu, [7, 'edx', 26])) return MSR_GP;
      return set64(vcpu, vcpu.msrStore.get(index) ?? 0n);
    case V.MSR_IA32_XSS:
      return hostInitiated || guestHasXsaves(vcpu) ? set64(vcpu, 0n) : MSR_GP;
    default:
      break;
  }
  const pv = kvmGetPvMsr(vcpu, index);
  return pv === KVM_MSR_RET_INVALID ? getStored(vcpu, index) : pv;
};

const setSlot = (vcpu: KvmVcpu, slot: number): number => {
  vcpu.msrs[slot * 2] = vcpu.msrLo;
  vcpu.msrs[slot * 2 + 1] = vcpu.msrHi;
  return MSR_OK;
};

/** Addresses that must be canonical (__kvm_set_msr). */
const CANONICAL: ReadonlySet<number> = new Set([
  V.MSR_FS_BASE,
  V.MSR_GS_BASE,
  V.MSR_KERNEL_GS_BASE,
  V.MSR_CSTAR,
  V.MSR_LSTAR,
  V.MSR_IA32_SYSENTER_ESP,
  V.MSR_IA32_SYSENTER_EIP,
]);

const setUret = (vcpu: KvmVcpu, index: number, slot: number, hostInitiated: boolean): number => {
  if (index === V.MSR_TSC_AUX) {
    if (!hostInitiated && !guestCpuidHas(vcpu, [0x80000001, 'edx', 27])) return MSR_GP;
    // Only the low half exists on Intel's processors.
    if (vcpu.msrHi !== 0) return MSR_GP;
  }
  vcpu.guestUretMsrsLoaded = false;
  return setSlot(vcpu, slot);
};

const isPatValid = (half: number): boolean => {
  for (let i = 0; i < 4; i++) {
    const type = (half >>> (i * 8)) & 0xff;
    // Reserved: 2 and 3, and all above 7 (SDM vol. 3A, 12.12.2).
    if (type > 7 || type === 2 || type === 3) return false;
  }
  return true;
};

const setPat = (vcpu: KvmVcpu): number => {
  if (!isPatValid(vcpu.msrLo) || !isPatValid(vcpu.msrHi)) return MSR_GP;
  vcpu.processor.vmwrite(V.GUEST_IA32_PAT, vcpu.msrLo, vcpu.msrHi);
  return setSlot(vcpu, SLOT_PAT);
};

const setKernelGsBase = (vcpu: KvmVcpu): number => {
  const low = vcpu.msrLo;
  const high = vcpu.msrHi;
  if (vcpu.guestStateLoaded) vcpu.processor.wrmsr(V.MSR_KERNEL_GS_BASE, low, high);
  return setSlot(vcpu, SLOT_KERNEL_GS_BASE);
};

const setApicBase = (vcpu: KvmVcpu, hostInitiated: boolean): number => {
  if (vcpu.apic === null) {
    vcpu.apicBaseLo = vcpu.msrLo;
    vcpu.apicBaseHi = vcpu.msrHi;
  } else if (!kvmApicSetBase(vcpu, vcpu.msrLo, vcpu.msrHi, hostInitiated)) return MSR_GP;
  vmxSetVirtualApicMode(vcpu);
  kvmUpdateCpuidRuntime(vcpu);
  return MSR_OK;
};

const setTsc = (vcpu: KvmVcpu, hostInitiated: boolean): number => {
  const value = get64(vcpu);
  if (hostInitiated) kvmSynchronizeTsc(vcpu, value, true);
  else {
    // IA32_TSC_ADJUST moves along (SDM vol. 3B, 18.17.3).
    const delta = value - kvmReadL1Tsc(vcpu, vcpu.processor.rdtsc());
    vcpu.tscAdjust = BigInt.asIntN(64, vcpu.tscAdjust + delta);
    kvmVcpuWriteTscOffset(vcpu, vcpu.tscOffsetExact + delta);
  }
  return MSR_OK;
};

const setTscAdjust = (vcpu: KvmVcpu, hostInitiated: boolean): number => {
  const value = BigInt.asIntN(64, get64(vcpu));
  if (!hostInitiated) kvmVcpuWriteTscOffset(vcpu, vcpu.tscOffsetExact + value - vcpu.tscAdjust);
  vcpu.tscAdjust = value;
  return MSR_OK;
};

const setStored = (vcpu: KvmVcpu, index: number, hostInitiated: boolean): number => {
  const value = get64(vcpu);
  const entry = stored.get(index);
  if (entry === undefined) {
    if (!mceRegister(vcpu, index)) return KVM_MSR_RET_INVALID;
    // IA32_MCi_CTL takes all ones or zero, IA32_MCi_STATUS is cleared by the guest (set_msr_mce).
    const kind = (index - V.MSR_IA32_MC0_CTL) & 3;
    if (!hostInitiated && kind === 1 && value !== 0n) return MSR_GP;
    vcpu.msrStore.set(index, value);
    return MSR_OK;
  }
  const present = vcpu.msrStore.get(index) ?? entry.reset;
  if (!hostInitiated && ((value ^ present) & ~entry.writable) !== 0n) {
    // Microcode updates and the like are silently dropped, as the processor under a hypervisor does.
    return index === 0x8b || index >= 0xc0010000 ? MSR_OK : MSR_GP;
  }
  vcpu.msrStore.set(index, value);
  if (index === V.MSR_IA32_MISC_ENABLE) kvmUpdateCpuidRuntime(vcpu);
  if (index === MSR_MISC_FEATURES_ENABLES) vcpu.cpuidFault = (value & 1n) !== 0n;
  return MSR_OK;
};

/** Commands: written for what they do, not for a value. */
const isCommand = (index: number): boolean => index === V.MSR_IA32_PRED_CMD || index === V.MSR_IA32_UCODE_WRITE || index === 0x10b;

/** Sets an MSR of the guest to `msrLo`, `msrHi`, without filter. */
export const kvmSetMsrUnfiltered = (vcpu: KvmVcpu, index: number, hostInitiated: boolean): number => {
  if (index >= V.APIC_BASE_MSR && index <= V.APIC_BASE_MSR + 0xff)
    return kvmX2apicMsrWrite(vcpu, index, vcpu.msrLo, vcpu.msrHi) ? MSR_OK : MSR_GP;
  if (CANONICAL.has(index) && !isCanonical(vcpu.msrHi | 0)) return MSR_GP;
  const field = vmcsField(index);
  if (field >= 0) {
    if (index === V.MSR_IA32_DEBUGCTLMSR && (vcpu.msrHi !== 0 || (vcpu.msrLo & ~3) !== 0)) return MSR_GP;
    vcpu.processor.vmwrite(field, vcpu.msrLo, vcpu.msrHi);
    return MSR_OK;
  }
  const slot = uretSlot(index);
  if (slot >= 0) return setUret(vcpu, index, slot, hostInitiated);
  switch (index) {
    case V.MSR_KERNEL_GS_BASE:
      return setKernelGsBase(vcpu);
    case V.MSR_EFER:
      return setEfer(vcpu, vcpu.msrLo, vcpu.msrHi, hostInitiated) ? MSR_OK : MSR_GP;
    case V.MSR_IA32_CR_PAT:
      return setPat(vcpu);
    case V.MSR_IA32_APICBASE:
      return setApicBase(vcpu, hostInitiated);
    case V.MSR_IA32_TSC:
      return setTsc(vcpu, hostInitiated);
    case V.MSR_IA32_TSC_ADJUST:
      return setTscAdjust(vcpu, hostInitiated);
    case V.MSR_IA32_TSC_DEADLINE:
      kvmSetLapicTscdeadlineMsr(vcpu, vcpu.msrLo, vcpu.msrHi);
      return MSR_OK;
    case V.MSR_IA32_SPEC_CTRL:
      if (!hostInitiated && !guestCpuidHas(vcpu, [7, 'edx', 26])) return MSR_GP;
      if (vcpu.msrHi !== 0 || (vcpu.msrLo & ~7) !== 0) return MSR_GP;
      vcpu.msrStore.set(index, get64(vcpu));
      return MSR_OK;
    case V.MSR_IA32_XSS:
      // No supervisor component is supported (kvm_caps.supported_xss).
      if (!hostInitiated && !guestHasXsaves(vcpu)) return MSR_GP;
      return vcpu.msrLo === 0 && vcpu.msrHi === 0 ? MSR_OK : MSR_GP;
    case MSR_IA32_BNDCFGS:
    case MSR_IA32_MC0_CTL2:
      return KVM_MSR_RET_INVALID;
    default:
      break;
  }
  if (isCommand(index)) return MSR_OK;
  const pv = kvmSetPvMsr(vcpu, index);
  return pv === KVM_MSR_RET_INVALID ? setStored(vcpu, index, hostInitiated) : pv;
};

/** kvm_get_msr_with_filter */
export const kvmGetMsr = (vcpu: KvmVcpu, index: number): number => {
  if (vcpu.kvm.msrFilter.length > 0 || !vcpu.kvm.msrFilterDefaultAllow)
    if (!kvmMsrAllowed(vcpu.kvm, index, P.KVM_MSR_FILTER_READ)) return KVM_MSR_RET_FILTERED;
  return kvmGetMsrUnfiltered(vcpu, index, false);
};

/** kvm_set_msr_with_filter */
export const kvmSetMsr = (vcpu: KvmVcpu, index: number): number => {
  if (vcpu.kvm.msrFilter.length > 0 || !vcpu.kvm.msrFilterDefaultAllow)
    if (!kvmMsrAllowed(vcpu.kvm, index, P.KVM_MSR_FILTER_WRITE)) return KVM_MSR_RET_FILTERED;
  return kvmSetMsrUnfiltered(vcpu, index, false);
};

