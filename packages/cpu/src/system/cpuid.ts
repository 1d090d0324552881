/**
 * What CPUID reports: the features that the processor has, under the signature of a core that does not speculate, so that
 * kernels leave out the mitigations that would only cost time here.
 */
import { PHYSICAL_BITS } from '../state/layout.ts';

export interface CpuidEntry {
  readonly leaf: number;
  readonly subleaf: number;
  /** Whether the subleaf matters. */
  readonly significant: boolean;
  readonly eax: number;
  readonly ebx: number;
  readonly ecx: number;
  readonly edx: number;
}

export interface CpuidOptions {
  /** Initial APIC identifier. */
  readonly apicId: number;
  readonly tscKhz: number;
}

const bits = (...positions: readonly number[]): number => positions.reduce((value, bit) => value | (1 << bit), 0) >>> 0;

/** Family 6, model 0x1c, stepping 10: an in-order core (Bonnell). */
const SIGNATURE = 0x000106ca;
const VENDOR = 'GenuineIntel';
const BRAND = 'VM CPU (WebAssembly x86-64 processor)';
const CRYSTAL_HZ = 25_000_000;
const LINEAR_BITS = 48;
const CLFLUSH_QWORDS = 8;

/** Leaf 1, EDX: FPU VME DE PSE TSC MSR PAE MCE CX8 APIC SEP MTRR PGE MCA CMOV PAT PSE36 CLFSH MMX FXSR SSE SSE2. */
const LEAF1_EDX = bits(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 19, 23, 24, 25, 26);
/** Leaf 1, ECX: SSE3 VMX SSSE3 CX16 SSE4.1 SSE4.2 POPCNT XSAVE RDRAND. */
const LEAF1_ECX = bits(0, 5, 9, 13, 19, 20, 23, 26, 30);
/** Leaf 7, EBX: FSGSBASE TSC_ADJUST SMEP ERMS RDSEED SMAP CLFLUSHOPT. */
const LEAF7_EBX = bits(0, 1, 7, 9, 18, 20, 23);
/** Leaf 7, ECX: UMIP RDPID. */
const LEAF7_ECX = bits(2, 22);
/** Leaf 7, EDX: FSRM, IA32_ARCH_CAPABILITIES. */
const LEAF7_EDX = bits(4, 29);
/** Leaf 0x80000001, ECX: LAHF_LM, PREFETCHW; EDX: SYSCALL NX PDPE1GB RDTSCP LM. */
const LEAF8_ECX = bits(0, 8);
const LEAF8_EDX = bits(11, 20, 26, 27, 29);
/** XCR0 components: x87 and SSE. */
const XCR0_SUPPORTED = 0x3;
/** XSAVEOPT, XSAVEC, XSAVES. */
const LEAFD_EAX = bits(0, 1, 3);

/** The bits of CR4 that can be set: those of the features above, and VMXE. */
export const CR4_SUPPORTED: number =
  // VME PVI TSD DE PSE PAE MCE PGE PCE OSFXSR OSXMMEXCPT UMIP VMXE FSGSBASE OSXSAVE SMEP SMAP
  bits(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 16, 18, 20, 21);

const text = (value: string, at: number): number =>
  [0, 1, 2, 3].reduce((word, i) => word | ((value.charCodeAt(at + i) || 0) << (i * 8)), 0) >>> 0;

const entry = (leaf: number, eax: number, ebx: number, ecx: number, edx: number, subleaf = -1): CpuidEntry => ({
  leaf, subleaf: Math.max(0, subleaf), significant: subleaf >= 0, eax: eax >>> 0, ebx: ebx >>> 0, ecx: ecx >>> 0, edx: edx >>> 0,
});

function basicLeaves(options: CpuidOptions): CpuidEntry[] {
  const { apicId } = options;
  return [
    entry(0, 0x16, text(VENDOR, 0), text(VENDOR, 8), text(VENDOR, 4)),
    entry(1, SIGNATURE, ((apicId & 0xff) << 24) | (CLFLUSH_QWORDS << 8), LEAF1_ECX, LEAF1_EDX),
    // Descriptors: see leaf 4.
    entry(2, 0x00feff01, 0, 0, 0),
    // One level of data and instruction cache each of 32 KiB, one unified of 1 MiB: 8 ways, lines of 64 bytes.
    entry(4, 0x121, 0x01c0003f, 63, 0, 0),
    entry(4, 0x122, 0x01c0003f, 63, 0, 1),
    entry(4, 0x143, 0x01c0003f, 2047, 0, 2),
    entry(4, 0, 0, 0, 0, 3),
    entry(7, 0, LEAF7_EBX, LEAF7_ECX, LEAF7_EDX, 0),
    entry(0xb, 0, 1, 0x100, apicId, 0),
    entry(0xb, 0, 1, 0x201, apicId, 1),
    entry(0xb, 0, 0, 2, apicId, 2),
    entry(0xd, XCR0_SUPPORTED, 576, 576, 0, 0),
    entry(0xd, LEAFD_EAX, 576, 0, 0, 1),
  ];
}

function clockLeaves({ tscKhz }: CpuidOptions): CpuidEntry[] {
  const megahertz = Math.round(tscKhz / 1000);
  return [
    entry(0x15, CRYSTAL_HZ / 1000, tscKhz, CRYSTAL_HZ, 0),
    entry(0x16, megahertz, megahertz, 100, 0),
  ];
}

function extendedLeaves(): CpuidEntry[] {
  const brand = [0, 16, 32].map((at, i) =>
    entry(0x80000002 + i, text(BRAND, at), text(BRAND, at + 4), text(BRAND, at + 8), text(BRAND, at + 12)));
  return [
    entry(0x80000000, 0x80000008, 0, 0, 0),
    entry(0x80000001, 0, 0, LEAF8_ECX, LEAF8_EDX),
    ...brand,
    // 1 MiB, 8 ways, lines of 64 bytes.
    entry(0x80000006, 0, 0, 0x04006040, 0),
    // The TSC runs at a constant rate and does not stop.
    entry(0x80000007, 0, 0, 0, bits(8)),
    entry(0x80000008, PHYSICAL_BITS | (LINEAR_BITS << 8), 0, 0, 0),
  ];
}

/** The table of CPUID, in the order of the leaves. */
export function cpuidTable(options: CpuidOptions): CpuidEntry[] {
  return [...basicLeaves(options), ...clockLeaves(options), ...extendedLeaves()];
}
