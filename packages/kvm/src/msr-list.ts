/**
 * The MSRs that KVM keeps for the guest beside those of the VMCS and of the processor: a table of index, reset value
 * and writable bits (kvm_get_msr_common, kvm_set_msr_common of arch/x86/kvm/x86.c; SDM vol. 4).
 */

export interface StoredMsr {
  readonly index: number;
  readonly count: number;
  readonly reset: bigint;
  /** Bits that the guest may write; 0: writes of another value than the present one raise #GP. */
  readonly writable: bigint;
  /** Userspace may write all bits. */
  readonly save: boolean;
}

const ALL = 0xffff_ffff_ffff_ffffn;
const msr = (index: number, reset: bigint, writable: bigint, count = 1, save = true): StoredMsr => ({
  index,
  count,
  reset,
  writable,
  save,
});

export const KVM_NR_VAR_MTRR = 8;
export const KVM_MAX_MCE_BANKS = 32;

export const storedMsrs: readonly StoredMsr[] = [
  msr(0x0, 0n, 0n, 2, false), // IA32_P5_MC_ADDR, IA32_P5_MC_TYPE
  msr(0x17, 0n, 0n, 1, false), // IA32_PLATFORM_ID
  msr(0x2a, 0n, 0n, 1, false), // MSR_EBL_CR_POWERON
  msr(0x2c, 1n << 24n, 0n, 1, false), // MSR_EBC_FREQUENCY_ID
  msr(0x33, 0n, 0n, 1, false), // MSR_TEST_CTRL
  msr(0x34, 0n, 0n), // MSR_SMI_COUNT
  msr(0x8b, 1n << 32n, 0n), // IA32_UCODE_REV
  msr(0xc1, 0n, ALL, 8, false), // performance counters
  msr(0xcd, 3n, 0n, 1, false), // MSR_FSB_FREQ
  msr(0xce, 0n, 0n), // MSR_PLATFORM_INFO
  msr(0xfe, 0x500n | BigInt(KVM_NR_VAR_MTRR), 0n, 1, false), // IA32_MTRRCAP
  msr(0x10a, 0n, 0n), // IA32_ARCH_CAPABILITIES
  msr(0x140, 0n, 1n), // MSR_MISC_FEATURES_ENABLES
  msr(0x179, 0n, 0n), // IA32_MCG_CAP
  msr(0x17a, 0n, ALL), // IA32_MCG_STATUS
  msr(0x17b, ALL, ALL), // IA32_MCG_CTL
  msr(0x186, 0n, ALL, 8, false), // performance event selects
  msr(0x198, 1000n | (4n << 40n), 0n, 1, false), // IA32_PERF_STATUS
  msr(0x199, 0n, ALL, 1, false), // IA32_PERF_CTL
  msr(0x1a0, 1n, (1n << 0n) | (1n << 3n) | (1n << 16n) | (1n << 18n) | (1n << 22n) | (1n << 34n)), // IA32_MISC_ENABLE
  msr(0x1db, 0n, 0n, 4, false), // last-branch and last-interrupt records
  msr(0x1fc, 0n, ALL), // MSR_IA32_POWER_CTL
  msr(0x200, 0n, ALL, KVM_NR_VAR_MTRR * 2), // variable MTRRs
  msr(0x250, 0n, ALL), // fixed MTRRs
  msr(0x258, 0n, ALL, 2),
  msr(0x268, 0n, ALL, 8),
  msr(0x2ff, 0n, 0xcffn), // IA32_MTRR_DEF_TYPE
  msr(0x345, 0n, 0n, 1, false), // IA32_PERF_CAPABILITIES
  msr(0x38d, 0n, ALL, 3, false), // fixed-counter control, global status and control
  msr(0x606, 0n, 0n, 1, false), // MSR_RAPL_POWER_UNIT
  msr(0xc0010015, 0n, 0n, 1, false), // AMD's HWCR and relatives: probed by guests, read as zero
  msr(0xc0010055, 0n, 0n, 1, false),
  msr(0xc0010140, 0n, ALL, 2, false),
];

/** The MSRs that KVM_GET_MSR_INDEX_LIST names first: those with a value of their own (msrs_to_save_all). */
export const MSRS_TO_SAVE: readonly number[] = [
  0x174, 0x175, 0x176, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000102, 0x10, 0x277, 0xc0000103, 0xda0, 0x48,
];

/** Those that KVM emulates (emulated_msrs_all). */
export const EMULATED_MSRS: readonly number[] = [
  0x11, 0x12, 0x4b564d00, 0x4b564d01, 0x4b564d02, 0x4b564d06, 0x4b564d07, 0x4b564d03, 0x4b564d05, 0x3b, 0x6e0, 0x10a, 0x1a0, 0x17a,
  0x17b, 0x4d0, 0x34, 0xce, 0x140, 0x1fc,
];
