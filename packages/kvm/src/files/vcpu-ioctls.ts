/** ioctls of vCPU files that are more than a call (kvm_arch_vcpu_ioctl). */

import * as P from '@vm/kvm-run';
import { kvmSetCpuid, KVM_MAX_CPUID_ENTRIES } from '../cpuid.ts';
import { kvmApicAcceptEvents } from '../irq/lapic-accept.ts';
import { irqchipInKernel, picInKernel } from '../irq/irq.ts';
import { KVM_APIC_SIPI } from '../irq/lapic.ts';
import { kvmMmuGvaToGpa, UNMAPPED_GVA } from '../mmu/walk.ts';
import { kvmGetMsrUnfiltered, kvmSetMsrUnfiltered, MSR_OK } from '../msrs.ts';
import { kvmInjectNmi, kvmQueueExceptionP, kvmQueueInterrupt } from '../queue.ts';
import { KVM_REQ_CLOCK_UPDATE, KVM_REQ_EVENT, KVM_REQ_TRIPLE_FAULT, kvmMakeRequest } from '../requests.ts';
import type { CpuidEntry, KvmVcpu } from '../types.ts';
import { secondaryControlsSet } from '../vmx/controls.ts';
import { vmxSecondaryExecControl } from '../vmx/vcpu-setup.ts';
import { kvmVcpuWriteTscOffset } from '../clock.ts';
import { MC_VECTOR } from '../x86-bits.ts';
import { copyIn } from './dispatch.ts';

const MAX_IO_MSRS = 256;

// ---- CPUID

const setEntries = (vcpu: KvmVcpu, entries: readonly CpuidEntry[]): number => {
  const result = kvmSetCpuid(vcpu, entries);
  if (result === 0 && !vcpu.hasRun) secondaryControlsSet(vcpu, vmxSecondaryExecControl(vcpu));
  return result;
};

/** KVM_SET_CPUID2 */
export const setCpuid2 = (vcpu: KvmVcpu, argument: Uint8Array): number => {
  const { nent } = P.view(P.kvmCpuid2, copyIn(argument, P.kvmCpuid2.size)!);
  if (nent > KVM_MAX_CPUID_ENTRIES) return -P.E2BIG;
  const copy = copyIn(argument, P.kvmCpuid2.size + nent * P.kvmCpuidEntry2.size);
  if (copy === null) return -P.EFAULT;
  const entries = P.view(P.kvmCpuid2, copy).entries.map((entry) => ({
    function: entry.function,
    index: entry.index,
    flags: entry.flags,
    eax: entry.eax,
    ebx: entry.ebx,
    ecx: entry.ecx,
    edx: entry.edx,
  }));
  return setEntries(vcpu, entries);
};

/** KVM_SET_CPUID: the old form, without subleaves. */
export const setCpuid = (vcpu: KvmVcpu, argument: Uint8Array): number => {
  const { nent } = P.view(P.kvmCpuid, copyIn(argument, P.kvmCpuid.size)!);
  if (nent > KVM_MAX_CPUID_ENTRIES) return -P.E2BIG;
  const copy = copyIn(argument, P.kvmCpuid.size + nent * P.kvmCpuidEntry.size);
  if (copy === null) return -P.EFAULT;
  const entries = P.view(P.kvmCpuid, copy).entries.map((entry) => ({
    function: entry.function,
    index: 0,
    flags: 0,
    eax: entry.eax,
    ebx: entry.ebx,
    ecx: entry.ecx,
    edx: entry.edx,
  }));
  return setEntries(vcpu, entries);
};

/** Writes CPUID entries to userspace's structure: -E2BIG when it has room for fewer, and nothing is written. */
export const putCpuid = (entries: readonly CpuidEntry[], argument: Uint8Array): number => {
  const header = P.view(P.kvmCpuid2, argument);
  if (header.nent < entries.length) return -P.E2BIG;
  header.nent = entries.length;
  const size = P.kvmCpuidEntry2.size;
  if (argument.length < P.kvmCpuid2.size + entries.length * size) return -P.EFAULT;
  entries.forEach((entry, i) => {
    const at = P.kvmCpuid2.size + i * size;
    const into = P.view(P.kvmCpuidEntry2, argument.subarray(at, at + size));
    into.function = entry.function;
    into.index = entry.index;
    into.flags = entry.flags;
    into.eax = entry.eax;
    into.ebx = entry.ebx;
    into.ecx = entry.ecx;
    into.edx = entry.edx;
  });
  return 0;
};

// ---- MSRs

/** msr_io: does one after the other; returns how many it did before one failed. */
const msrIo = (vcpu: KvmVcpu, argument: Uint8Array, one: (index: number) => boolean, write: boolean): number => {
  const { nmsrs } = P.view(P.kvmMsrs, copyIn(argument, P.kvmMsrs.size)!);
  if (nmsrs >= MAX_IO_MSRS) return -P.E2BIG;
  const size = P.kvmMsrs.size + nmsrs * P.kvmMsrEntry.size;
  const copy = copyIn(argument, size);
  if (copy === null) return -P.EFAULT;
  const data = new DataView(copy.buffer);
  let done = 0;
  for (; done < nmsrs; done++) {
    const at = P.kvmMsrs.size + done * P.kvmMsrEntry.size;
    vcpu.msrLo = data.getUint32(at + 8, true);
    vcpu.msrHi = data.getUint32(at + 12, true);
    if (!one(data.getUint32(at, true))) break;
    data.setUint32(at + 8, vcpu.msrLo, true);
    data.setUint32(at + 12, vcpu.msrHi, true);
  }
  if (!write) argument.set(copy);
  return done;
};

export const getMsrs = (vcpu: KvmVcpu, argument: Uint8Array): number =>
  msrIo(vcpu, argument, (index) => kvmGetMsrUnfiltered(vcpu, index, true) === MSR_OK, false);

export const setMsrs = (vcpu: KvmVcpu, argument: Uint8Array): number =>
  msrIo(vcpu, argument, (index) => kvmSetMsrUnfiltered(vcpu, index, true) === MSR_OK, true);

// ---- state of multiprocessing, interrupts

const MP_STATES: ReadonlySet<number> = new Set([
  P.KVM_MP_STATE_RUNNABLE,
  P.KVM_MP_STATE_UNINITIALIZED,
  P.KVM_MP_STATE_INIT_RECEIVED,
  P.KVM_MP_STATE_HALTED,
  P.KVM_MP_STATE_SIPI_RECEIVED,
]);

export const getMpState = (vcpu: KvmVcpu, state: P.View<typeof P.kvmMpState>): number => {
  kvmApicAcceptEvents(vcpu);
  const unhalted = vcpu.mpState === P.KVM_MP_STATE_HALTED && vcpu.pvUnhalted;
  state.mp_state = unhalted ? P.KVM_MP_STATE_RUNNABLE : vcpu.mpState;
  return 0;
};

export const setMpState = (vcpu: KvmVcpu, state: P.View<typeof P.kvmMpState>): number => {
  const wanted = state.mp_state;
  if (!MP_STATES.has(wanted)) return -P.EINVAL;
  if (vcpu.apic === null && wanted !== P.KVM_MP_STATE_RUNNABLE) return -P.EINVAL;
  if (wanted === P.KVM_MP_STATE_SIPI_RECEIVED) {
    vcpu.mpState = P.KVM_MP_STATE_INIT_RECEIVED;
    vcpu.apic!.pendingEvents |= KVM_APIC_SIPI;
  } else vcpu.mpState = wanted;
  kvmMakeRequest(KVM_REQ_EVENT, vcpu);
  return 0;
};

/** KVM_INTERRUPT: a vector from an interrupt controller of userspace. */
export const interrupt = (vcpu: KvmVcpu, { irq }: P.View<typeof P.kvmInterrupt>): number => {
  if (irq >= 256) return -P.EINVAL;
  if (!irqchipInKernel(vcpu.kvm)) kvmQueueInterrupt(vcpu, irq, false);
  else if (picInKernel(vcpu.kvm)) return -P.ENXIO;
  else if (vcpu.pendingExternalVector >= 0) return -P.EEXIST;
  else vcpu.pendingExternalVector = irq;
  kvmMakeRequest(KVM_REQ_EVENT, vcpu);
  return 0;
};

export const nmi = (vcpu: KvmVcpu): number => {
  kvmInjectNmi(vcpu);
  return 0;
};

// ---- the rest

/** KVM_TRANSLATE */
export const translate = (vcpu: KvmVcpu, translation: P.View<typeof P.kvmTranslation>): number => {
  const linear = translation.linear_address;
  const gpa = kvmMmuGvaToGpa(vcpu, Number(linear & 0xffffffffn), Number(linear >> 32n), 0);
  translation.valid = gpa === UNMAPPED_GVA ? 0 : 1;
  translation.physical_address = gpa === UNMAPPED_GVA ? 0xffffffffffffffffn : BigInt(gpa);
  translation.writeable = 1;
  translation.usermode = 0;
  return 0;
};

const MCG_CTL_P = 0x100n;
const MCG_CAP_VALID = 0x1ffn;

/** KVM_X86_SETUP_MCE: banks and features of machine checks. */
export const setupMce = (vcpu: KvmVcpu, argument: Uint8Array): number => {
  const cap = new DataView(copyIn(argument, 8)!.buffer).getBigUint64(0, true);
  const banks = cap & 0xffn;
  if (banks === 0n || banks > 32n || (cap & ~MCG_CAP_VALID) !== 0n) return -P.EINVAL;
  vcpu.msrStore.set(0x179, cap);
  if ((cap & MCG_CTL_P) !== 0n) vcpu.msrStore.set(0x17b, 0xffffffffffffffffn);
  for (let bank = 0; bank < Number(banks); bank++) vcpu.msrStore.set(0x400 + bank * 4, 0xffffffffffffffffn);
  return 0;
};

const MCI_STATUS_VAL = 1n << 63n;
const MCI_STATUS_UC = 1n << 61n;
const MCG_STATUS_MCIP = 4n;

/** KVM_X86_SET_MCE: a machine check for the guest. */
export const setMce = (vcpu: KvmVcpu, mce: P.View<typeof P.kvmX86Mce>): number => {
  const banks = Number((vcpu.msrStore.get(0x179) ?? 0n) & 0xffn);
  if (mce.bank >= banks || (mce.status & MCI_STATUS_VAL) === 0n) return -P.EINVAL;
  const base = 0x400 + mce.bank * 4;
  const get = (offset: number): bigint => vcpu.msrStore.get(base + offset) ?? 0n;
  const uncorrected = (mce.status & MCI_STATUS_UC) !== 0n;
  // IA32_MCG_CTL or the bank's control may switch the report off.
  if (uncorrected && ((vcpu.msrStore.get(0x17b) ?? 0n) !== 0xffffffffffffffffn || get(0) !== 0xffffffffffffffffn)) return 0;
  if (uncorrected) {
    if (((vcpu.msrStore.get(0x17a) ?? 0n) & MCG_STATUS_MCIP) !== 0n || (vcpu.cr4 & 0x40) === 0) {
      kvmMakeRequest(KVM_REQ_TRIPLE_FAULT, vcpu);
      return 0;
    }
    vcpu.msrStore.set(0x17a, mce.mcg_status);
    kvmQueueExceptionP(vcpu, MC_VECTOR, 0);
  } else if ((get(1) & MCI_STATUS_VAL) !== 0n && (get(1) & MCI_STATUS_UC) !== 0n) return 0;
  vcpu.msrStore.set(base + 1, mce.status);
  vcpu.msrStore.set(base + 2, mce.addr);
  vcpu.msrStore.set(base + 3, mce.misc);
  return 0;
};

export const kvmclockCtrl = (vcpu: KvmVcpu): number => {
  if (!vcpu.pvTimeEnabled) return -P.EINVAL;
  vcpu.pvclockSetGuestStoppedRequest = true;
  kvmMakeRequest(KVM_REQ_CLOCK_UPDATE, vcpu);
  return 0;
};

export const setTscKhz = (vcpu: KvmVcpu, khz: number): number => {
  const host = vcpu.processor.tscKhz;
  if (khz !== 0 && Math.abs(khz - host) > host * 250e-6) return -P.EINVAL;
  vcpu.virtualTscKhz = khz === 0 ? host : khz;
  return 0;
};

export const enableCap = (vcpu: KvmVcpu, cap: P.View<typeof P.kvmEnableCap>): number => {
  if (cap.flags !== 0 || cap.cap !== P.KVM_CAP_ENFORCE_PV_FEATURE_CPUID) return -P.EINVAL;
  vcpu.enforcePvCpuid = cap.args[0] !== 0n;
  return 0;
};

/** KVM_HAS_DEVICE_ATTR, KVM_GET_DEVICE_ATTR, KVM_SET_DEVICE_ATTR of a vCPU: the TSC's offset. */
export const deviceAttr = (vcpu: KvmVcpu, attr: P.View<typeof P.kvmDeviceAttr>, action: 'has' | 'get' | 'set'): number => {
  if (attr.group !== P.KVM_VCPU_TSC_CTRL || attr.attr !== BigInt(P.KVM_VCPU_TSC_OFFSET)) return -P.ENXIO;
  if (action === 'has') return 0;
  const address = Number(attr.addr);
  if (address + 8 > vcpu.memory.pages * P.PAGE_SIZE) return -P.EFAULT;
  const { view } = vcpu.memory;
  if (action === 'get') view.setBigInt64(address, vcpu.tscOffsetExact, true);
  else kvmVcpuWriteTscOffset(vcpu, view.getBigInt64(address, true));
  return 0;
};

/** The VAPIC page of old guests: without an APIC here there is none. */
export const setVapicAddr = (vcpu: KvmVcpu): number => (vcpu.apic === null ? -P.EINVAL : 0);

