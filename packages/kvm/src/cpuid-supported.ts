/**
 * KVM_GET_SUPPORTED_CPUID (__do_cpuid_func of arch/x86/kvm/cpuid.c): what the processor has, cut to what KVM passes on,
 * with KVM's own leaves at 0x40000000.
 */

import {
  KVM_CPUID_FEATURES,
  KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
  KVM_CPUID_SIGNATURE,
  KVM_FEATURE_ASYNC_PF,
  KVM_FEATURE_ASYNC_PF_INT,
  KVM_FEATURE_CLOCKSOURCE,
  KVM_FEATURE_CLOCKSOURCE2,
  KVM_FEATURE_CLOCKSOURCE_STABLE_BIT,
  KVM_FEATURE_NOP_IO_DELAY,
  KVM_FEATURE_POLL_CONTROL,
  KVM_FEATURE_PV_SCHED_YIELD,
  KVM_FEATURE_PV_SEND_IPI,
  KVM_FEATURE_PV_UNHALT,
  KVM_FEATURE_STEAL_TIME,
} from '@vm/kvm-run';
import { MSR_IA32_VMX_PROCBASED_CTLS2, SECONDARY_EXEC_ENABLE_XSAVES, type Processor } from '@vm/kvm-run/vmx';
import type { CpuidEntry } from './types.ts';
import { KVM_SUPPORTED_XCR0 } from './x86-bits.ts';

const bits = (...numbers: readonly number[]): number => numbers.reduce((all, bit) => all | (1 << bit), 0) >>> 0;

/** Leaf 1 ECX: SSE3 PCLMUL MONITOR(no) SSSE3 FMA CX16 PCID SSE4.1 SSE4.2 x2APIC MOVBE POPCNT AES XSAVE AVX F16C RDRAND. */
const LEAF1_ECX = bits(0, 1, 9, 12, 13, 17, 19, 20, 22, 23, 25, 26, 28, 29, 30);
/** Leaf 1 EDX: all but the thermal and debug-store features. */
const LEAF1_EDX = bits(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 19, 23, 24, 25, 26, 27);
/** Leaf 1 ECX that KVM gives by itself: x2APIC, TSC deadline, hypervisor. */
const LEAF1_ECX_EMULATED = bits(21, 24, 31);
/** Leaf 7 EBX: FSGSBASE TSC_ADJUST BMI1 AVX2 SMEP BMI2 ERMS INVPCID ZERO_FCS_FDS RDSEED ADX SMAP CLFLUSHOPT CLWB SHA. */
const LEAF7_EBX = bits(0, 3, 5, 7, 8, 9, 10, 13, 18, 19, 20, 23, 24, 29);
/** Leaf 7 ECX: UMIP PKU RDPID; OSPKE is the guest's own doing. */
const LEAF7_ECX = bits(2, 3, 22);
/** Leaf 7 EDX: FSRM, ARCH_CAPABILITIES, SPEC_CTRL and relatives only as the processor has them. */
const LEAF7_EDX = bits(4, 26, 27, 29, 31);
const TSC_ADJUST = 1 << 1;
/** Leaf 0x80000001: LAHF, LZCNT, 3DNow prefetch; SYSCALL, NX, 1 GiB pages, RDTSCP, long mode. */
const EXT1_ECX = bits(0, 5, 8);
const EXT1_EDX = bits(11, 20, 26, 27, 29);
/** Leaf 0xd, subleaf 1: XSAVEOPT XSAVEC XGETBV1, and XSAVES where VMX lets guests have it. */
const LEAFD1_EAX = bits(0, 1, 2);
const XSAVES = 1 << 3;

export const KVM_SUPPORTED_FEATURES: number = bits(
  KVM_FEATURE_CLOCKSOURCE,
  KVM_FEATURE_NOP_IO_DELAY,
  KVM_FEATURE_CLOCKSOURCE2,
  KVM_FEATURE_ASYNC_PF,
  KVM_FEATURE_STEAL_TIME,
  KVM_FEATURE_PV_UNHALT,
  KVM_FEATURE_PV_SEND_IPI,
  KVM_FEATURE_POLL_CONTROL,
  KVM_FEATURE_PV_SCHED_YIELD,
  KVM_FEATURE_ASYNC_PF_INT,
  KVM_FEATURE_CLOCKSOURCE_STABLE_BIT,
);

class Collector {
  readonly entries: CpuidEntry[] = [];
  readonly #processor: Processor;
  readonly #out: Uint32Array = new Uint32Array(4);

  constructor(processor: Processor) {
    this.#processor = processor;
  }

  host(leaf: number, index = 0): { eax: number; ebx: number; ecx: number; edx: number } {
    this.#processor.cpuid(leaf, index, this.#out);
    const [eax, ebx, ecx, edx] = this.#out;
    return { eax: eax!, ebx: ebx!, ecx: ecx!, edx: edx! };
  }

  /** cpu_has_vmx_xsaves: without its control XSAVES is #UD in guests. */
  get hasVmxXsaves(): boolean {
    this.#processor.rdmsr(MSR_IA32_VMX_PROCBASED_CTLS2);
    return (this.#processor.high & SECONDARY_EXEC_ENABLE_XSAVES) !== 0;
  }

  add(leaf: number, index: number, significant: boolean, values: { eax: number; ebx: number; ecx: number; edx: number }): void {
    this.entries.push({
      function: leaf,
      index,
      flags: significant ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
      eax: values.eax >>> 0,
      ebx: values.ebx >>> 0,
      ecx: values.ecx >>> 0,
      edx: values.edx >>> 0,
    });
  }
}

const ZERO = { eax: 0, ebx: 0, ecx: 0, edx: 0 };

/** Leaves with subleaves until one of type 0 (leaf 4: caches; 0xb: topology). */
const addSubleaves = (c: Collector, leaf: number, isLast: (values: { eax: number; ecx: number }) => boolean): void => {
  for (let index = 0; index < 32; index++) {
    const values = c.host(leaf, index);
    c.add(leaf, index, true, values);
    if (isLast(values)) return;
  }
};

/** Leaf 0xd: the state components that KVM switches. */
const addXsave = (c: Collector): void => {
  const main = c.host(0xd);
  const permitted = main.eax & KVM_SUPPORTED_XCR0;
  c.add(0xd, 0, true, { ...main, eax: permitted, edx: 0 });
  if (permitted === 0) return;
  const extended = c.host(0xd, 1);
  c.add(0xd, 1, true, { eax: extended.eax & (LEAFD1_EAX | (c.hasVmxXsaves ? XSAVES : 0)), ebx: extended.ebx, ecx: 0, edx: 0 });
  for (let index = 2; index < 32; index++)
    if (((permitted >>> index) & 1) !== 0) c.add(0xd, index, true, { ...c.host(0xd, index), edx: 0 });
};

const addBasicLeaf = (c: Collector, leaf: number): void => {
  const host = c.host(leaf);
  switch (leaf) {
    case 1:
      c.add(1, 0, false, {
        eax: host.eax,
        ebx: host.ebx & 0x00ffffff,
        ecx: (host.ecx & LEAF1_ECX) | LEAF1_ECX_EMULATED,
        edx: host.edx & LEAF1_EDX,
      });
      return;
    case 4:
      addSubleaves(c, 4, ({ eax }) => (eax & 0x1f) === 0);
      return;
    case 7:
      c.add(7, 0, true, { eax: 0, ebx: (host.ebx & LEAF7_EBX) | TSC_ADJUST, ecx: host.ecx & LEAF7_ECX, edx: host.edx & LEAF7_EDX });
      return;
    case 0xb:
      addSubleaves(c, 0xb, ({ ecx }) => (ecx & 0xff00) === 0);
      return;
    case 0xd:
      addXsave(c);
      return;
    // Monitor, power, performance counters and platform leaves that a guest cannot use read as zero.
    case 5:
    case 9:
    case 0xa:
    case 0xf:
    case 0x10:
    case 0x12:
    case 0x14:
      c.add(leaf, 0, leaf >= 0xf, ZERO);
      return;
    case 6:
      // Only ARAT: the local APIC's timer always runs.
      c.add(6, 0, false, { eax: 4, ebx: 0, ecx: 0, edx: 0 });
      return;
    default:
      c.add(leaf, 0, leaf === 2, host);
  }
};

const addExtendedLeaf = (c: Collector, leaf: number): void => {
  const host = c.host(leaf);
  if (leaf === 0x80000001) c.add(leaf, 0, false, { eax: host.eax, ebx: 0, ecx: host.ecx & EXT1_ECX, edx: host.edx & EXT1_EDX });
  else if (leaf === 0x80000007) c.add(leaf, 0, false, { ...ZERO, edx: host.edx & 0x100 });
  else if (leaf === 0x80000008) c.add(leaf, 0, false, { eax: host.eax & 0xffff, ebx: 0, ecx: 0, edx: 0 });
  else c.add(leaf, 0, false, host);
};

/** KVMKVMKVM. */
const SIGNATURE = { ebx: 0x4b4d564b, ecx: 0x564b4d56, edx: 0x4d };
const MAX_BASIC = 0x14;
const MAX_EXTENDED = 0x80000008;

export const supportedCpuid = (processor: Processor): readonly CpuidEntry[] => {
  const c = new Collector(processor);
  const basic = c.host(0);
  const maxBasic = Math.min(basic.eax, MAX_BASIC);
  c.add(0, 0, false, { ...basic, eax: maxBasic });
  for (let leaf = 1; leaf <= maxBasic; leaf++) addBasicLeaf(c, leaf);
  c.add(KVM_CPUID_SIGNATURE, 0, false, { eax: KVM_CPUID_FEATURES, ...SIGNATURE });
  c.add(KVM_CPUID_FEATURES, 0, false, { ...ZERO, eax: KVM_SUPPORTED_FEATURES });
  const extended = c.host(0x80000000);
  const maxExtended = Math.min(extended.eax, MAX_EXTENDED);
  c.add(0x80000000, 0, false, { ...extended, eax: maxExtended });
  for (let leaf = 0x80000001; leaf <= maxExtended; leaf++) addExtendedLeaf(c, leaf);
  return c.entries;
};
