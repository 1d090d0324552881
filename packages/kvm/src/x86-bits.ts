/** Bits of the architecture's registers (SDM vol. 3A, ch. 2 and 17), under the kernel's names. */

export const X86_EFLAGS_CF = 0x1;
export const X86_EFLAGS_FIXED = 0x2;
export const X86_EFLAGS_TF = 0x100;
export const X86_EFLAGS_IF = 0x200;
export const X86_EFLAGS_DF = 0x400;
export const X86_EFLAGS_IOPL = 0x3000;
export const X86_EFLAGS_NT = 0x4000;
export const X86_EFLAGS_RF = 0x10000;
export const X86_EFLAGS_VM = 0x20000;
export const X86_EFLAGS_AC = 0x40000;

export const X86_CR0_PE = 0x1;
export const X86_CR0_MP = 0x2;
export const X86_CR0_EM = 0x4;
export const X86_CR0_TS = 0x8;
export const X86_CR0_ET = 0x10;
export const X86_CR0_NE = 0x20;
export const X86_CR0_WP = 0x10000;
export const X86_CR0_AM = 0x40000;
export const X86_CR0_NW = 0x20000000;
export const X86_CR0_CD = 0x40000000;
export const X86_CR0_PG = 0x80000000;
export const CR0_RESERVED_BITS = 0x1ffaffc0;

export const X86_CR4_VME = 0x1;
export const X86_CR4_PVI = 0x2;
export const X86_CR4_TSD = 0x4;
export const X86_CR4_DE = 0x8;
export const X86_CR4_PSE = 0x10;
export const X86_CR4_PAE = 0x20;
export const X86_CR4_MCE = 0x40;
export const X86_CR4_PGE = 0x80;
export const X86_CR4_PCE = 0x100;
export const X86_CR4_OSFXSR = 0x200;
export const X86_CR4_OSXMMEXCPT = 0x400;
export const X86_CR4_UMIP = 0x800;
export const X86_CR4_LA57 = 0x1000;
export const X86_CR4_VMXE = 0x2000;
export const X86_CR4_SMXE = 0x4000;
export const X86_CR4_FSGSBASE = 0x10000;
export const X86_CR4_PCIDE = 0x20000;
export const X86_CR4_OSXSAVE = 0x40000;
export const X86_CR4_SMEP = 0x100000;
export const X86_CR4_SMAP = 0x200000;
export const X86_CR4_PKE = 0x400000;
/** CR4 bits that KVM knows (CR4_RESERVED_BITS is the complement). */
export const CR4_KNOWN_BITS = 0x773fff;

export const DR6_BD = 0x2000;
export const DR6_BS = 0x4000;
export const DR6_BT = 0x8000;
export const DR6_RTM = 0x10000;
export const DR6_BUS_LOCK = 0x800;
export const DR6_ACTIVE_LOW = 0xffff0ff0;
export const DR6_FIXED_1 = 0xfffe07f0;
export const DR_TRAP_BITS = 0xf;
export const DR7_BP_EN_MASK = 0xff;
export const DR7_GD = 0x2000;
export const DR7_FIXED_1 = 0x400;
export const DR7_VOLATILE = 0xffff2bff;

export const XFEATURE_MASK_FP = 1;
export const XFEATURE_MASK_SSE = 2;
export const XFEATURE_MASK_YMM = 4;
export const XFEATURE_MASK_PKRU = 0x200;
export const XFEATURE_MASK_FPSSE = 3;
/** Components that KVM keeps for guests (KVM_SUPPORTED_XCR0). */
export const KVM_SUPPORTED_XCR0 = 0x207;
/** PKRU while the host runs, as Linux sets it: key 0 open, the others closed to data accesses (init_pkru_value). */
export const INIT_PKRU_VALUE = 0x55555554;

// ---- vectors of exceptions
export const DE_VECTOR = 0;
export const DB_VECTOR = 1;
export const NMI_VECTOR = 2;
export const BP_VECTOR = 3;
export const OF_VECTOR = 4;
export const BR_VECTOR = 5;
export const UD_VECTOR = 6;
export const NM_VECTOR = 7;
export const DF_VECTOR = 8;
export const TS_VECTOR = 10;
export const NP_VECTOR = 11;
export const SS_VECTOR = 12;
export const GP_VECTOR = 13;
export const PF_VECTOR = 14;
export const MF_VECTOR = 16;
export const AC_VECTOR = 17;
export const MC_VECTOR = 18;
export const XM_VECTOR = 19;
export const VE_VECTOR = 20;

// ---- page-fault error code
export const PFERR_PRESENT_MASK = 0x1;
export const PFERR_WRITE_MASK = 0x2;
export const PFERR_USER_MASK = 0x4;
export const PFERR_RSVD_MASK = 0x8;
export const PFERR_FETCH_MASK = 0x10;
export const PFERR_PK_MASK = 0x20;
