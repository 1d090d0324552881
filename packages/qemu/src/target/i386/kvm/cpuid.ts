/** The CPUID that the guest sees: what KVM supports, made this vCPU's (kvm_arch_init_vcpu, kvm_x86_build_cpuid). */

import {
  E2BIG,
  KVM_CAP_TSC_DEADLINE_TIMER,
  KVM_GET_SUPPORTED_CPUID,
  KVM_SET_CPUID2,
  allocate,
  kvmCpuid2,
  kvmCpuidEntry2,
  view,
  type View,
} from '@vm/kvm-run';
import type { CpuState } from '../../../accel/kvm/cpu-state.ts';
import type { KvmState } from '../../../accel/kvm/kvm-all.ts';
import { KvmError, checkIoctl } from '../../../accel/kvm/kvm-error.ts';
import { CPUID_1_ECX_HYPERVISOR, CPUID_1_ECX_TSC_DEADLINE, CPUID_1_ECX_VMX, CPUID_1_EDX_HTT } from '../bits.ts';

export type CpuidEntry = View<typeof kvmCpuidEntry2>;

export interface CpuidOptions {
  /** Processors of the machine. */
  readonly cpus: number;
  /** Shows VMX, so that the guest's own KVM can run guests. */
  readonly nested: boolean;
}

const MAX_ENTRIES = 1024;
const entryBytes = kvmCpuidEntry2.size;

/** get_supported_cpuid: the entries, in KVM's order. */
export function kvmGetSupportedCpuid(kvm: KvmState): CpuidEntry[] {
  for (let count = 64; count <= MAX_ENTRIES; count *= 2) {
    const bytes = allocate(kvmCpuid2, count);
    const cpuid = view(kvmCpuid2, bytes);
    cpuid.nent = count;
    const result = kvm.system.ioctl(KVM_GET_SUPPORTED_CPUID, bytes);
    if (result === -E2BIG) continue;
    checkIoctl(KVM_GET_SUPPORTED_CPUID, result);
    return cpuid.entries.slice(0, cpuid.nent);
  }
  throw new KvmError('KVM_GET_SUPPORTED_CPUID', E2BIG);
}

/** Gives the vCPU its CPUID, and remembers its signature. */
export function kvmArchSetCpuid(cpu: CpuState, options: CpuidOptions): void {
  const entries = kvmGetSupportedCpuid(cpu.kvm);
  for (const entry of entries) specialise(entry, cpu, options);
  const bytes = allocate(kvmCpuid2, entries.length);
  view(kvmCpuid2, bytes).nent = entries.length;
  entries.forEach((entry, i) => writeEntry(bytes, kvmCpuid2.size + i * entryBytes, entry));
  checkIoctl(KVM_SET_CPUID2, cpu.kvmVcpuIoctl(KVM_SET_CPUID2, bytes));
  cpu.env.signature = entries.find((entry) => entry.function === 1)?.eax ?? 0;
}

function writeEntry(bytes: Uint8Array, at: number, entry: CpuidEntry): void {
  const words = [entry.function, entry.index, entry.flags, entry.eax, entry.ebx, entry.ecx, entry.edx];
  const data = new DataView(bytes.buffer);
  words.forEach((word, i) => data.setUint32(at + i * 4, word, true));
}

function specialise(entry: CpuidEntry, cpu: CpuState, options: CpuidOptions): void {
  switch (entry.function) {
    case 1:
      entry.ebx = ((entry.ebx & 0x0000_ffff) | (options.cpus << 16) | (cpu.index << 24)) >>> 0;
      entry.ecx = features(entry.ecx, cpu.kvm, options) >>> 0;
      entry.edx = (options.cpus > 1 ? entry.edx | CPUID_1_EDX_HTT : entry.edx & ~CPUID_1_EDX_HTT) >>> 0;
      return;
    case 4: // no core shares a cache with another; cores of the package in bits 31:26
      if ((entry.eax & 0x1f) !== 0) entry.eax = ((entry.eax & 0x3fff) | ((options.cpus - 1) << 26)) >>> 0;
      return;
    case 0x0b:
    case 0x1f:
      return topology(entry, cpu, options);
    case 0x8000_0008:
      entry.ecx = options.cpus - 1;
      return;
    default: // as KVM says
  }
}

/** TSC_DEADLINE is a capability, not among the supported bits (Documentation/virt/kvm/api.rst, 4.46); the hypervisor bit is userspace's to set. */
function features(ecx: number, kvm: KvmState, options: CpuidOptions): number {
  let value = ecx | CPUID_1_ECX_HYPERVISOR;
  if (kvm.kvmCheckExtension(KVM_CAP_TSC_DEADLINE_TIMER) > 0) value |= CPUID_1_ECX_TSC_DEADLINE;
  if (!options.nested) value &= ~CPUID_1_ECX_VMX;
  return value;
}

/** One thread a core, all cores in one package (SDM vol. 2A, CPUID leaf 0BH). */
function topology(entry: CpuidEntry, cpu: CpuState, options: CpuidOptions): void {
  const coreBits = Math.ceil(Math.log2(Math.max(1, options.cpus)));
  const level = entry.index;
  entry.eax = level === 1 ? coreBits : 0;
  entry.ebx = level === 0 ? 1 : level === 1 ? options.cpus : 0;
  entry.ecx = level | (level < 2 ? (level + 1) << 8 : 0);
  entry.edx = cpu.index;
}
