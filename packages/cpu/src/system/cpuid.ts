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

const EAX = 0;
const EBX = 1;
const ECX = 2;
const EDX = 3;

/**
 * The features that the processor has: name, leaf (subleaf 0, but 0xd: 1), register, bit. Names that the encoding table
 * uses stand for instructions, all of which have handlers.
 */
export const CPUID_FEATURES: readonly (readonly [name: string, leaf: number, register: number, bit: number])[] = [
  ['fpu', 1, EDX, 0], ['vme', 1, EDX, 1], ['de', 1, EDX, 2], ['pse', 1, EDX, 3], ['tsc', 1, EDX, 4], ['msr', 1, EDX, 5],
  ['pae', 1, EDX, 6], ['mce', 1, EDX, 7], ['cx8', 1, EDX, 8], ['apic', 1, EDX, 9], ['sep', 1, EDX, 11], ['mtrr', 1, EDX, 12],
  ['pge', 1, EDX, 13], ['mca', 1, EDX, 14], ['cmov', 1, EDX, 15], ['pat', 1, EDX, 16], ['pse36', 1, EDX, 17],
  ['clfsh', 1, EDX, 19], ['mmx', 1, EDX, 23], ['fxsr', 1, EDX, 24], ['sse', 1, EDX, 25], ['sse2', 1, EDX, 26],
  ['sse3', 1, ECX, 0], ['pclmulqdq', 1, ECX, 1], ['monitor', 1, ECX, 3], ['vmx', 1, ECX, 5], ['ssse3', 1, ECX, 9], ['fma', 1, ECX, 12], ['cx16', 1, ECX, 13], ['pcid', 1, ECX, 17], ['sse4_1', 1, ECX, 19],
  ['sse4_2', 1, ECX, 20], ['movbe', 1, ECX, 22], ['popcnt', 1, ECX, 23], ['aes', 1, ECX, 25], ['xsave', 1, ECX, 26], ['avx', 1, ECX, 28], ['f16c', 1, ECX, 29], ['rdrand', 1, ECX, 30],
  ['fsgsbase', 7, EBX, 0], ['tsc_adjust', 7, EBX, 1], ['bmi1', 7, EBX, 3], ['avx2', 7, EBX, 5], ['smep', 7, EBX, 7], ['bmi2', 7, EBX, 8],
  ['erms', 7, EBX, 9], ['invpcid', 7, EBX, 10], ['zero_fcs_fds', 7, EBX, 13], ['rdseed', 7, EBX, 18], ['adx', 7, EBX, 19], ['smap', 7, EBX, 20], ['clflushopt', 7, EBX, 23],
  ['clwb', 7, EBX, 24], ['sha', 7, EBX, 29], ['umip', 7, ECX, 2], ['pku', 7, ECX, 3], ['rdpid', 7, ECX, 22], ['fsrm', 7, EDX, 4],
  ['arch_capabilities', 7, EDX, 29],
  ['xsaveopt', 0xd, EAX, 0], ['xsavec', 0xd, EAX, 1], ['xgetbv1', 0xd, EAX, 2], ['xsaves', 0xd, EAX, 3],
  ['lahf_lm', 0x80000001, ECX, 0], ['lzcnt', 0x80000001, ECX, 5], ['prefetchw', 0x80000001, ECX, 8],
  ['syscall', 0x80000001, EDX, 11], ['nx', 0x80000001, EDX, 20], ['pdpe1gb', 0x80000001, EDX, 26],
  ['rdtscp', 0x80000001, EDX, 27], ['lm', 0x80000001, EDX, 29],
];

/** A register of a feature leaf. */
const features = (leaf: number, register: number): number =>
  bits(...CPUID_FEATURES.filter(([, l, r]) => l === leaf && r === register).map(([, , , bit]) => bit));

/** XCR0 components: x87, SSE, AVX, PKRU. */
const XCR0_SUPPORTED = 0x207;
/** The legacy region and header of an XSAVE area, and the upper halves of the YMM registers behind them (SDM vol. 1, 13.4, 13.5.3). */
const XSAVE_HEADER_END = 576;
const AVX_STATE_SIZE = 256;
/** PKRU stands behind the places of MPX and AVX-512. */
const PKRU_STATE_OFFSET = 2688;
const PKRU_STATE_SIZE = 8;
const XSAVE_SIZE = PKRU_STATE_OFFSET + PKRU_STATE_SIZE;

/** The bits of CR4 that can be set: those of the features above, and VMXE. */
export const CR4_SUPPORTED: number =
  // VME PVI TSD DE PSE PAE MCE PGE PCE OSFXSR OSXMMEXCPT UMIP VMXE FSGSBASE PCIDE OSXSAVE SMEP SMAP PKE
  bits(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 16, 17, 18, 20, 21, 22);

const text = (value: string, at: number): number =>
  [0, 1, 2, 3].reduce((word, i) => word | ((value.charCodeAt(at + i) || 0) << (i * 8)), 0) >>> 0;

const entry = (leaf: number, eax: number, ebx: number, ecx: number, edx: number, subleaf = -1): CpuidEntry => ({
  leaf, subleaf: Math.max(0, subleaf), significant: subleaf >= 0, eax: eax >>> 0, ebx: ebx >>> 0, ecx: ecx >>> 0, edx: edx >>> 0,
});

function basicLeaves(options: CpuidOptions): CpuidEntry[] {
  const { apicId } = options;
  return [
    entry(0, 0x16, text(VENDOR, 0), text(VENDOR, 8), text(VENDOR, 4)),
    entry(1, SIGNATURE, ((apicId & 0xff) << 24) | (CLFLUSH_QWORDS << 8), features(1, ECX), features(1, EDX)),
    // Descriptors: see leaf 4.
    entry(2, 0x00feff01, 0, 0, 0),
    // One level of data and instruction cache each of 32 KiB, one unified of 1 MiB: 8 ways, lines of 64 bytes.
    entry(4, 0x121, 0x01c0003f, 63, 0, 0),
    entry(4, 0x122, 0x01c0003f, 63, 0, 1),
    entry(4, 0x143, 0x01c0003f, 2047, 0, 2),
    entry(4, 0, 0, 0, 0, 3),
    // MONITOR watches a line of 64 bytes; MWAIT's extensions (interrupts as break events with IF clear); C0 and C1.
    entry(5, 64, 64, 3, 0x11),
    entry(7, 0, features(7, EBX), features(7, ECX), features(7, EDX), 0),
    entry(0xb, 0, 1, 0x100, apicId, 0),
    entry(0xb, 0, 1, 0x201, apicId, 1),
    entry(0xb, 0, 0, 2, apicId, 2),
    entry(0xd, XCR0_SUPPORTED, XSAVE_SIZE, XSAVE_SIZE, 0, 0),
    entry(0xd, features(0xd, EAX), XSAVE_SIZE, 0, 0, 1),
    entry(0xd, AVX_STATE_SIZE, XSAVE_HEADER_END, 0, 0, 2),
    entry(0xd, PKRU_STATE_SIZE, PKRU_STATE_OFFSET, 0, 0, 9),
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
    entry(0x80000001, 0, 0, features(0x80000001, ECX), features(0x80000001, EDX)),
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
