/**
 * Basic exit reasons (SDM vol. 3D, appendix C) under the names of the Linux kernel, and the layouts of exit
 * qualifications (28.2.1). No imports: the AssemblyScript compiler reads the file too.
 */
export const EXIT_REASON_EXCEPTION_NMI = 0;
export const EXIT_REASON_EXTERNAL_INTERRUPT = 1;
export const EXIT_REASON_TRIPLE_FAULT = 2;
export const EXIT_REASON_INIT_SIGNAL = 3;
export const EXIT_REASON_SIPI_SIGNAL = 4;
export const EXIT_REASON_IO_SMI = 5;
export const EXIT_REASON_OTHER_SMI = 6;
export const EXIT_REASON_INTERRUPT_WINDOW = 7;
export const EXIT_REASON_NMI_WINDOW = 8;
export const EXIT_REASON_TASK_SWITCH = 9;
export const EXIT_REASON_CPUID = 10;
export const EXIT_REASON_GETSEC = 11;
export const EXIT_REASON_HLT = 12;
export const EXIT_REASON_INVD = 13;
export const EXIT_REASON_INVLPG = 14;
export const EXIT_REASON_RDPMC = 15;
export const EXIT_REASON_RDTSC = 16;
export const EXIT_REASON_RSM = 17;
export const EXIT_REASON_VMCALL = 18;
export const EXIT_REASON_VMCLEAR = 19;
export const EXIT_REASON_VMLAUNCH = 20;
export const EXIT_REASON_VMPTRLD = 21;
export const EXIT_REASON_VMPTRST = 22;
export const EXIT_REASON_VMREAD = 23;
export const EXIT_REASON_VMRESUME = 24;
export const EXIT_REASON_VMWRITE = 25;
export const EXIT_REASON_VMOFF = 26;
export const EXIT_REASON_VMON = 27;
export const EXIT_REASON_CR_ACCESS = 28;
export const EXIT_REASON_DR_ACCESS = 29;
export const EXIT_REASON_IO_INSTRUCTION = 30;
export const EXIT_REASON_MSR_READ = 31;
export const EXIT_REASON_MSR_WRITE = 32;
export const EXIT_REASON_INVALID_STATE = 33;
export const EXIT_REASON_MSR_LOAD_FAIL = 34;
export const EXIT_REASON_MWAIT_INSTRUCTION = 36;
export const EXIT_REASON_MONITOR_TRAP_FLAG = 37;
export const EXIT_REASON_MONITOR_INSTRUCTION = 39;
export const EXIT_REASON_PAUSE_INSTRUCTION = 40;
export const EXIT_REASON_MCE_DURING_VMENTRY = 41;
export const EXIT_REASON_TPR_BELOW_THRESHOLD = 43;
export const EXIT_REASON_APIC_ACCESS = 44;
export const EXIT_REASON_EOI_INDUCED = 45;
export const EXIT_REASON_GDTR_IDTR = 46;
export const EXIT_REASON_LDTR_TR = 47;
export const EXIT_REASON_EPT_VIOLATION = 48;
export const EXIT_REASON_EPT_MISCONFIG = 49;
export const EXIT_REASON_INVEPT = 50;
export const EXIT_REASON_RDTSCP = 51;
export const EXIT_REASON_PREEMPTION_TIMER = 52;
export const EXIT_REASON_INVVPID = 53;
export const EXIT_REASON_WBINVD = 54;
export const EXIT_REASON_XSETBV = 55;
export const EXIT_REASON_APIC_WRITE = 56;
export const EXIT_REASON_RDRAND = 57;
export const EXIT_REASON_INVPCID = 58;
export const EXIT_REASON_VMFUNC = 59;
export const EXIT_REASON_ENCLS = 60;
export const EXIT_REASON_RDSEED = 61;
export const EXIT_REASON_PML_FULL = 62;
export const EXIT_REASON_XSAVES = 63;
export const EXIT_REASON_XRSTORS = 64;
/** PCOMMIT was withdrawn before it shipped; the kernel's table once had it. */
export const EXIT_REASON_PCOMMIT = 65;
export const EXIT_REASON_UMWAIT = 67;
export const EXIT_REASON_TPAUSE = 68;
export const EXIT_REASON_BUS_LOCK = 74;
export const EXIT_REASON_NOTIFY = 75;
/** One more than the largest basic reason. */
export const EXIT_REASONS = 76;

/** Bits of the exit-reason field beside the basic reason (25.9.1). */
export const VMX_EXIT_REASONS_FAILED_VMENTRY = 0x80000000;
export const VMX_BASIC_EXIT_REASON_MASK = 0xffff;

// ---- qualification of a control-register access (table 28-3)
export const CONTROL_REG_ACCESS_NUM = 0xf;
export const CONTROL_REG_ACCESS_TYPE = 0x30;
export const CONTROL_REG_ACCESS_TYPE_SHIFT = 4;
export const CONTROL_REG_ACCESS_REG = 0xf00;
export const CONTROL_REG_ACCESS_REG_SHIFT = 8;
export const CR_ACCESS_MOV_TO = 0;
export const CR_ACCESS_MOV_FROM = 1;
export const CR_ACCESS_CLTS = 2;
export const CR_ACCESS_LMSW = 3;
export const LMSW_OPERAND_MEMORY = 0x40;
export const LMSW_SOURCE_DATA_SHIFT = 16;

// ---- qualification of a MOV DR (table 28-4)
export const DEBUG_REG_ACCESS_NUM = 0x7;
export const DEBUG_REG_ACCESS_TYPE = 0x10;
export const TYPE_MOV_TO_DR = 0x00;
export const TYPE_MOV_FROM_DR = 0x10;
export const DEBUG_REG_ACCESS_REG_SHIFT = 8;

// ---- qualification of an I/O instruction (table 28-5)
export const IO_QUAL_SIZE_MASK = 0x7;
export const IO_QUAL_IN = 0x8;
export const IO_QUAL_STRING = 0x10;
export const IO_QUAL_REP = 0x20;
export const IO_QUAL_IMMEDIATE = 0x40;
export const IO_QUAL_PORT_SHIFT = 16;

// ---- qualification of an APIC access (table 28-6)
export const APIC_ACCESS_OFFSET = 0xfff;
export const APIC_ACCESS_TYPE = 0xf000;
export const TYPE_LINEAR_APIC_INST_READ = 0x0000;
export const TYPE_LINEAR_APIC_INST_WRITE = 0x1000;
export const TYPE_LINEAR_APIC_INST_FETCH = 0x2000;
export const TYPE_LINEAR_APIC_EVENT = 0x3000;
export const TYPE_PHYSICAL_APIC_EVENT = 0xa000;
export const TYPE_PHYSICAL_APIC_INST = 0xf000;

// ---- qualification of an EPT violation (table 28-7)
export const EPT_VIOLATION_ACC_READ = 0x001;
export const EPT_VIOLATION_ACC_WRITE = 0x002;
export const EPT_VIOLATION_ACC_INSTR = 0x004;
export const EPT_VIOLATION_PROT_READ = 0x008;
export const EPT_VIOLATION_PROT_WRITE = 0x010;
export const EPT_VIOLATION_PROT_EXEC = 0x020;
export const EPT_VIOLATION_RWX_SHIFT = 3;
export const EPT_VIOLATION_GVA_IS_VALID = 0x080;
export const EPT_VIOLATION_GVA_TRANSLATED = 0x100;
export const EPT_VIOLATION_NMI_UNBLOCK = 0x1000;

// ---- qualification of a task switch (table 28-2)
export const TASK_SWITCH_SELECTOR_MASK = 0xffff;
export const TASK_SWITCH_SOURCE_SHIFT = 30;
export const TASK_SWITCH_CALL = 0;
export const TASK_SWITCH_IRET = 1;
export const TASK_SWITCH_JMP = 2;
export const TASK_SWITCH_GATE = 3;

// ---- qualification of a VM-entry failure on guest state (27.8)
export const ENTRY_FAIL_DEFAULT = 0;
export const ENTRY_FAIL_PDPTE = 2;
export const ENTRY_FAIL_NMI = 3;
export const ENTRY_FAIL_VMCS_LINK_PTR = 4;

// ---- VMX abort indicators (28.7)
export const VMX_ABORT_SAVE_GUEST_MSR_FAIL = 1;
export const VMX_ABORT_LOAD_HOST_PDPTE_FAIL = 2;
export const VMX_ABORT_VMCS_CORRUPTED = 3;
export const VMX_ABORT_LOAD_HOST_MSR_FAIL = 4;

// ---- VM-exit instruction information (tables 28-8 to 28-15)
export const INSN_INFO_SCALE_MASK = 0x3;
export const INSN_INFO_REG1_SHIFT = 3;
export const INSN_INFO_ADDRESS_SIZE_SHIFT = 7;
/** INVEPT, VMREAD and the like: the operand is a register. SGDT, LIDT and the like: operand size, 1: 32 bits. */
export const INSN_INFO_REGISTER = 0x400;
export const INSN_INFO_OPERAND_SIZE_SHIFT = 11;
export const INSN_INFO_SEGMENT_SHIFT = 15;
export const INSN_INFO_INDEX_SHIFT = 18;
export const INSN_INFO_INDEX_INVALID = 0x400000;
export const INSN_INFO_BASE_SHIFT = 23;
export const INSN_INFO_BASE_INVALID = 0x8000000;
export const INSN_INFO_REG2_SHIFT = 28;
/** Instruction identity of GDTR_IDTR (SGDT SIDT LGDT LIDT) and of LDTR_TR (SLDT STR LLDT LTR) exits. */
export const INSN_INFO_IDENTITY_SHIFT = 28;
