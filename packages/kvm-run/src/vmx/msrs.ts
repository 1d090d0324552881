/**
 * Model-specific registers that a hypervisor and its guest use (SDM vol. 4; VMX capability MSRs: vol. 3D, appendix A),
 * under the names of the Linux kernel. No imports: the AssemblyScript compiler reads the file too.
 */
export const MSR_IA32_P5_MC_ADDR = 0x00000000;
export const MSR_IA32_P5_MC_TYPE = 0x00000001;
export const MSR_IA32_TSC = 0x00000010;
export const MSR_IA32_PLATFORM_ID = 0x00000017;
export const MSR_IA32_APICBASE = 0x0000001b;
export const MSR_IA32_FEAT_CTL = 0x0000003a;
export const MSR_IA32_TSC_ADJUST = 0x0000003b;
export const MSR_IA32_SPEC_CTRL = 0x00000048;
export const MSR_IA32_PRED_CMD = 0x00000049;
export const MSR_IA32_UCODE_WRITE = 0x00000079;
export const MSR_IA32_UCODE_REV = 0x0000008b;
export const MSR_IA32_PERFCTR0 = 0x000000c1;
export const MSR_PLATFORM_INFO = 0x000000ce;
export const MSR_IA32_MTRRCAP = 0x000000fe;
export const MSR_IA32_ARCH_CAPABILITIES = 0x0000010a;
export const MSR_IA32_SYSENTER_CS = 0x00000174;
export const MSR_IA32_SYSENTER_ESP = 0x00000175;
export const MSR_IA32_SYSENTER_EIP = 0x00000176;
export const MSR_IA32_MCG_CAP = 0x00000179;
export const MSR_IA32_MCG_STATUS = 0x0000017a;
export const MSR_IA32_MCG_CTL = 0x0000017b;
export const MSR_IA32_PERF_STATUS = 0x00000198;
export const MSR_IA32_MISC_ENABLE = 0x000001a0;
export const MSR_IA32_DEBUGCTLMSR = 0x000001d9;
export const MSR_MTRRphysBase0 = 0x00000200;
export const MSR_MTRRphysMask0 = 0x00000201;
export const MSR_MTRRfix64K_00000 = 0x00000250;
export const MSR_MTRRfix16K_80000 = 0x00000258;
export const MSR_MTRRfix16K_A0000 = 0x00000259;
export const MSR_MTRRfix4K_C0000 = 0x00000268;
export const MSR_MTRRfix4K_F8000 = 0x0000026f;
export const MSR_IA32_CR_PAT = 0x00000277;
export const MSR_MTRRdefType = 0x000002ff;
export const MSR_IA32_MC0_CTL = 0x00000400;

export const MSR_IA32_VMX_BASIC = 0x00000480;
export const MSR_IA32_VMX_PINBASED_CTLS = 0x00000481;
export const MSR_IA32_VMX_PROCBASED_CTLS = 0x00000482;
export const MSR_IA32_VMX_EXIT_CTLS = 0x00000483;
export const MSR_IA32_VMX_ENTRY_CTLS = 0x00000484;
export const MSR_IA32_VMX_MISC = 0x00000485;
export const MSR_IA32_VMX_CR0_FIXED0 = 0x00000486;
export const MSR_IA32_VMX_CR0_FIXED1 = 0x00000487;
export const MSR_IA32_VMX_CR4_FIXED0 = 0x00000488;
export const MSR_IA32_VMX_CR4_FIXED1 = 0x00000489;
export const MSR_IA32_VMX_VMCS_ENUM = 0x0000048a;
export const MSR_IA32_VMX_PROCBASED_CTLS2 = 0x0000048b;
export const MSR_IA32_VMX_EPT_VPID_CAP = 0x0000048c;
export const MSR_IA32_VMX_TRUE_PINBASED_CTLS = 0x0000048d;
export const MSR_IA32_VMX_TRUE_PROCBASED_CTLS = 0x0000048e;
export const MSR_IA32_VMX_TRUE_EXIT_CTLS = 0x0000048f;
export const MSR_IA32_VMX_TRUE_ENTRY_CTLS = 0x00000490;
export const MSR_IA32_VMX_VMFUNC = 0x00000491;
export const MSR_IA32_VMX_PROCBASED_CTLS3 = 0x00000492;

export const MSR_IA32_TSC_DEADLINE = 0x000006e0;
export const APIC_BASE_MSR = 0x00000800;
export const MSR_IA32_XSS = 0x00000da0;

export const MSR_EFER = 0xc0000080;
export const MSR_STAR = 0xc0000081;
export const MSR_LSTAR = 0xc0000082;
export const MSR_CSTAR = 0xc0000083;
export const MSR_SYSCALL_MASK = 0xc0000084;
export const MSR_FS_BASE = 0xc0000100;
export const MSR_GS_BASE = 0xc0000101;
export const MSR_KERNEL_GS_BASE = 0xc0000102;
export const MSR_TSC_AUX = 0xc0000103;

// ---- IA32_FEATURE_CONTROL
export const FEAT_CTL_LOCKED = 0x1;
export const FEAT_CTL_VMX_ENABLED_INSIDE_SMX = 0x2;
export const FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX = 0x4;

// ---- IA32_EFER
export const EFER_SCE = 0x001;
export const EFER_LME = 0x100;
export const EFER_LMA = 0x400;
export const EFER_NX = 0x800;

// ---- IA32_APIC_BASE
export const MSR_IA32_APICBASE_BSP = 0x100;
export const X2APIC_ENABLE = 0x400;
export const MSR_IA32_APICBASE_ENABLE = 0x800;

// ---- bits of IA32_VMX_EPT_VPID_CAP, low half
export const VMX_EPT_EXECUTE_ONLY_BIT = 0x00000001;
export const VMX_EPT_PAGE_WALK_4_BIT = 0x00000040;
export const VMX_EPT_PAGE_WALK_5_BIT = 0x00000080;
export const VMX_EPTP_UC_BIT = 0x00000100;
export const VMX_EPTP_WB_BIT = 0x00004000;
export const VMX_EPT_2MB_PAGE_BIT = 0x00010000;
export const VMX_EPT_1GB_PAGE_BIT = 0x00020000;
export const VMX_EPT_INVEPT_BIT = 0x00100000;
export const VMX_EPT_AD_BIT = 0x00200000;
export const VMX_EPT_EXTENT_CONTEXT_BIT = 0x02000000;
export const VMX_EPT_EXTENT_GLOBAL_BIT = 0x04000000;
// ---- and high half
export const VMX_VPID_INVVPID_BIT = 0x001;
export const VMX_VPID_EXTENT_INDIVIDUAL_ADDR_BIT = 0x100;
export const VMX_VPID_EXTENT_SINGLE_CONTEXT_BIT = 0x200;
export const VMX_VPID_EXTENT_GLOBAL_CONTEXT_BIT = 0x400;
export const VMX_VPID_EXTENT_SINGLE_NON_GLOBAL_BIT = 0x800;
