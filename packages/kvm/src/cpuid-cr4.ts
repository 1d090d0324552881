import * as B from './x86-bits.ts';

/** A feature bit of CPUID: leaf (subleaf 0), register, bit. */
export type CpuidBit = readonly [leaf: number, register: 'eax' | 'ebx' | 'ecx' | 'edx', bit: number];

/** The CPUID feature that allows each bit of CR4 (__cr4_reserved_bits). */
export const CR4_FEATURES: readonly (readonly [bit: number, feature: CpuidBit])[] = [
  [B.X86_CR4_VME | B.X86_CR4_PVI, [1, 'edx', 1]],
  [B.X86_CR4_DE, [1, 'edx', 2]],
  [B.X86_CR4_OSXSAVE, [1, 'ecx', 26]],
  [B.X86_CR4_PCIDE, [1, 'ecx', 17]],
  [B.X86_CR4_VMXE, [1, 'ecx', 5]],
  [B.X86_CR4_FSGSBASE, [7, 'ebx', 0]],
  [B.X86_CR4_SMEP, [7, 'ebx', 7]],
  [B.X86_CR4_SMAP, [7, 'ebx', 20]],
  [B.X86_CR4_UMIP, [7, 'ecx', 2]],
  [B.X86_CR4_PKE, [7, 'ecx', 3]],
  [B.X86_CR4_LA57, [7, 'ecx', 16]],
];
