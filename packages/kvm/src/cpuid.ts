/** The guest's CPUID: what userspace set, and what follows from it (arch/x86/kvm/cpuid.c). */

import {
  E2BIG,
  EINVAL,
  KVM_CPUID_FEATURES,
  KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
  KVM_CPUID_SIGNATURE,
  KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT,
} from '@vm/kvm-run';
import { kvmRegisterReadLo, kvmRegisterWrite } from './cache-regs.ts';
import { kvmApicHwEnabled } from './irq/lapic.ts';
import { kvmLapicAfterSetCpuid } from './irq/lapic-state.ts';
import { kvmSkipEmulatedInstruction } from './skip.ts';
import { VCPU_REGS_RAX, VCPU_REGS_RBX, VCPU_REGS_RCX, VCPU_REGS_RDX, type CpuidEntry, type KvmVcpu } from './types.ts';
import { kvmGetCpl } from './vmx/segment.ts';
import { vmxSetGuestHostMasks } from './vmx/cr.ts';
import { kvmInjectGp } from './queue.ts';
import { CR4_FEATURES, type CpuidBit } from './cpuid-cr4.ts';
import * as B from './x86-bits.ts';

export const KVM_MAX_CPUID_ENTRIES = 256;
const MISC_ENABLE_MWAIT = 1n << 18n;
const MSR_IA32_MISC_ENABLE = 0x1a0;

/** kvm_find_cpuid_entry(_index) */
export const kvmFindCpuidEntry = (vcpu: KvmVcpu, leaf: number, index: number): CpuidEntry | undefined => {
  const entries = vcpu.cpuidEntries;
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i]!;
    if (entry.function !== leaf) continue;
    if ((entry.flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) === 0 || entry.index === index) return entry;
  }
  return undefined;
};

/** guest_cpuid_has */
export const guestCpuidHas = (vcpu: KvmVcpu, [leaf, register, bit]: CpuidBit): boolean => {
  const entry = kvmFindCpuidEntry(vcpu, leaf, 0);
  return entry !== undefined && ((entry[register] >>> bit) & 1) !== 0;
};

/** XSAVES and XRSTORS, with IA32_XSS. */
export const guestHasXsaves = (vcpu: KvmVcpu): boolean =>
  guestCpuidHas(vcpu, [1, 'ecx', 26]) && ((kvmFindCpuidEntry(vcpu, 0xd, 1)?.eax ?? 0) & 8) !== 0;

/** get_out_of_range_cpuid_entry: Intel's processors answer an unknown leaf as the highest basic one. */
const outOfRangeEntry = (vcpu: KvmVcpu, leaf: number, index: number): CpuidEntry | undefined => {
  const vendor = kvmFindCpuidEntry(vcpu, 0, 0);
  // GenuineIntel's EBX; AMD's processors answer zeros.
  if (vendor === undefined || vendor.ebx !== 0x756e6547) return undefined;
  const range = kvmFindCpuidEntry(vcpu, leaf >= 0x40000000 && leaf <= 0x4fffffff ? leaf & 0xffffff00 : leaf & 0x80000000, 0);
  if (range !== undefined && leaf <= range.eax) return undefined;
  return kvmFindCpuidEntry(vcpu, vendor.eax, index);
};

/** kvm_cpuid: the answer is in `vcpu.cpuidResult`; true when the leaf exists. */
export const kvmCpuid = (vcpu: KvmVcpu, leaf: number, index: number): boolean => {
  const result = vcpu.cpuidResult;
  const exact = kvmFindCpuidEntry(vcpu, leaf, index);
  const entry = exact ?? outOfRangeEntry(vcpu, leaf, index);
  if (entry === undefined) {
    result.fill(0);
    // Topology leaves echo the subleaf and the x2APIC identifier past their last level.
    if (leaf === 0xb || leaf === 0x1f) {
      const first = kvmFindCpuidEntry(vcpu, leaf, 1);
      if (first !== undefined) {
        result[2] = index & 0xff;
        result[3] = first.edx;
      }
    }
  } else {
    result[0] = entry.eax;
    result[1] = entry.ebx;
    result[2] = entry.ecx;
    result[3] = entry.edx;
  }
  const { tracer } = vcpu;
  if (tracer !== null)
    tracer.event('kvm_cpuid', vcpu.vcpuId, leaf, index, result[0]!, result[1]!, result[2]!, result[3]!, Number(exact !== undefined));
  return exact !== undefined;
};

/** kvm_emulate_cpuid */
export const kvmEmulateCpuid = (vcpu: KvmVcpu): number => {
  // MSR_MISC_FEATURES_ENABLES bit 0: CPUID faults outside ring 0.
  if (vcpu.cpuidFault && kvmGetCpl(vcpu) > 0) {
    kvmInjectGp(vcpu, 0);
    return 1;
  }
  kvmCpuid(vcpu, kvmRegisterReadLo(vcpu, VCPU_REGS_RAX), kvmRegisterReadLo(vcpu, VCPU_REGS_RCX));
  const result = vcpu.cpuidResult;
  kvmRegisterWrite(vcpu, VCPU_REGS_RAX, result[0]!, 0);
  kvmRegisterWrite(vcpu, VCPU_REGS_RBX, result[1]!, 0);
  kvmRegisterWrite(vcpu, VCPU_REGS_RCX, result[2]!, 0);
  kvmRegisterWrite(vcpu, VCPU_REGS_RDX, result[3]!, 0);
  return kvmSkipEmulatedInstruction(vcpu);
};

// ---- what changes at run time

const withBit = (value: number, bit: number, on: boolean): number => (on ? value | (1 << bit) : value & ~(1 << bit)) >>> 0;

/** Size of the XSAVE area for the enabled components (xstate_required_size). */
const xstateSize = (vcpu: KvmVcpu, xcr0: number, compacted: boolean): number => {
  let size = 576;
  for (let i = 2; i < 32; i++) {
    if (((xcr0 >>> i) & 1) === 0) continue;
    const entry = kvmFindCpuidEntry(vcpu, 0xd, i);
    if (entry === undefined) continue;
    size = compacted ? size + entry.eax : Math.max(size, entry.ebx + entry.eax);
  }
  return size;
};

/** kvm_update_cpuid_runtime: leaves that mirror CR4, XCR0, IA32_APIC_BASE and IA32_MISC_ENABLE. */
export const kvmUpdateCpuidRuntime = (vcpu: KvmVcpu): void => {
  const apicOn = vcpu.apic === null ? (vcpu.apicBaseLo & 0x800) !== 0 : kvmApicHwEnabled(vcpu.apic);
  const misc = vcpu.msrStore.get(MSR_IA32_MISC_ENABLE) ?? 0n;
  vcpu.cpuidEntries = vcpu.cpuidEntries.map((entry) => {
    switch (entry.function) {
      case 1: {
        let ecx = withBit(entry.ecx, 27, (vcpu.cr4 & B.X86_CR4_OSXSAVE) !== 0 && ((entry.ecx >>> 26) & 1) !== 0);
        if ((vcpu.kvm.disabledQuirks & KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT) === 0)
          ecx = withBit(ecx, 3, (misc & MISC_ENABLE_MWAIT) !== 0n);
        return { ...entry, ecx, edx: withBit(entry.edx, 9, apicOn) };
      }
      case 7:
        return entry.index === 0
          ? { ...entry, ecx: withBit(entry.ecx, 4, (vcpu.cr4 & B.X86_CR4_PKE) !== 0 && ((entry.ecx >>> 3) & 1) !== 0) }
          : entry;
      case 0xd:
        if (entry.index === 0) return { ...entry, ebx: xstateSize(vcpu, vcpu.xcr0Lo, false) };
        if (entry.index === 1 && (entry.eax & 0xa) !== 0) return { ...entry, ebx: xstateSize(vcpu, vcpu.xcr0Lo, true) };
        return entry;
      default:
        return entry;
    }
  });
};

/** cpuid_query_maxphyaddr */
const queryMaxPhyAddr = (vcpu: KvmVcpu): number => {
  const max = kvmFindCpuidEntry(vcpu, 0x80000000, 0);
  if (max === undefined || max.eax < 0x80000008) return 36;
  const entry = kvmFindCpuidEntry(vcpu, 0x80000008, 0);
  return entry === undefined ? 36 : entry.eax & 0xff;
};

/** The KVM leaves may be moved by userspace in steps of 0x100 (beside Hyper-V's): finds their base. */
const kvmCpuidBase = (vcpu: KvmVcpu): number => {
  for (let base = KVM_CPUID_SIGNATURE; base < 0x40010000; base += 0x100) {
    const entry = kvmFindCpuidEntry(vcpu, base, 0);
    if (entry !== undefined && entry.ebx === 0x4b4d564b && entry.ecx === 0x564b4d56 && entry.edx === 0x4d) return base;
  }
  return 0;
};

/** kvm_vcpu_after_set_cpuid */
export const kvmVcpuAfterSetCpuid = (vcpu: KvmVcpu): void => {
  vcpu.maxPhyAddr = queryMaxPhyAddr(vcpu);
  vcpu.hasX2apic = guestCpuidHas(vcpu, [1, 'ecx', 21]);
  kvmLapicAfterSetCpuid(vcpu, guestCpuidHas(vcpu, [1, 'ecx', 24]));
  const xsave = kvmFindCpuidEntry(vcpu, 0xd, 0);
  vcpu.guestSupportedXcr0 = xsave === undefined ? 0 : (xsave.eax & vcpu.cpu.hostXcr0) >>> 0;
  const base = kvmCpuidBase(vcpu);
  vcpu.pvFeatures = base === 0 ? 0 : (kvmFindCpuidEntry(vcpu, base | (KVM_CPUID_FEATURES & 0xff), 0)?.eax ?? 0);
  let reserved = ~B.CR4_KNOWN_BITS;
  for (const [bit, feature] of CR4_FEATURES) if (!guestCpuidHas(vcpu, feature)) reserved |= bit;
  vcpu.cr4GuestRsvdBits = reserved >>> 0;
  vmxSetGuestHostMasks(vcpu);
};

const sameEntries = (a: readonly CpuidEntry[], b: readonly CpuidEntry[]): boolean =>
  a.length === b.length &&
  a.every((entry, i) => {
    const other = b[i]!;
    return (
      entry.function === other.function &&
      entry.index === other.index &&
      entry.flags === other.flags &&
      entry.eax === other.eax &&
      entry.ebx === other.ebx &&
      entry.ecx === other.ecx &&
      entry.edx === other.edx
    );
  });

/** kvm_set_cpuid: 0 or a negative errno. */
export const kvmSetCpuid = (vcpu: KvmVcpu, entries: readonly CpuidEntry[]): number => {
  if (entries.length > KVM_MAX_CPUID_ENTRIES) return -E2BIG;
  const old = vcpu.cpuidEntries;
  vcpu.cpuidEntries = entries;
  kvmUpdateCpuidRuntime(vcpu);
  // After the first KVM_RUN the guest may rely on it: only the same once more.
  if (vcpu.hasRun) {
    const same = sameEntries(old, vcpu.cpuidEntries);
    vcpu.cpuidEntries = old;
    return same ? 0 : -EINVAL;
  }
  const linear = kvmFindCpuidEntry(vcpu, 0x80000008, 0);
  const width = linear === undefined ? 0 : (linear.eax >>> 8) & 0xff;
  if (width !== 0 && width !== 48 && width !== 57) {
    vcpu.cpuidEntries = old;
    return -EINVAL;
  }
  kvmVcpuAfterSetCpuid(vcpu);
  return 0;
};
