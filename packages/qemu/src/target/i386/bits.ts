/** Bits of the processor's registers (SDM vol. 3A, 2.5; vol. 4). */

export const CR0_PE: bigint = 1n << 0n;
export const CR0_ET: bigint = 1n << 4n;
export const CR0_NW: bigint = 1n << 29n;
export const CR0_CD: bigint = 1n << 30n;
export const CR0_PG: bigint = 1n << 31n;
export const CR4_PAE: bigint = 1n << 5n;
export const EFER_LME: bigint = 1n << 8n;
export const EFER_LMA: bigint = 1n << 10n;
export const RFLAGS_FIXED = 2n;
export const DR6_FIXED = 0xffff_0ff0n;
export const DR7_FIXED = 0x400n;
export const APIC_BASE_BSP: bigint = 1n << 8n;
export const APIC_BASE_ENABLE: bigint = 1n << 11n;

export const CPUID_1_ECX_VMX: number = 1 << 5;
export const CPUID_1_ECX_TSC_DEADLINE: number = 1 << 24;
export const CPUID_1_ECX_HYPERVISOR: number = 1 << 31;
export const CPUID_1_EDX_HTT: number = 1 << 28;

export const MSR_IA32_TSC = 0x10;
export const MSR_IA32_TSC_ADJUST = 0x3b;
export const MSR_IA32_TSC_DEADLINE = 0x6e0;
