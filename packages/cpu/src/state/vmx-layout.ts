/**
 * The processor's VMX and system state in the area, 0x908 to 0xfff, and the layout of a VMCS region in host memory. No
 * imports, so that the AssemblyScript compiler reads it too.
 */

// ---- VMX operation
/** i32: host address of the VMXON region, or -1. */
export const VMXON_POINTER = 0x908;
/** i32 each: controls in effect, cached by VM entry; all zero outside non-root operation. VMX_PROC2 is 0 unless activated. */
export const VMX_PIN = 0x90c;
export const VMX_PROC = 0x910;
export const VMX_PROC2 = 0x914;
/** i64: EPT pointer in effect; 0 where guest-physical addresses are not translated (EPT off, or not in non-root operation). */
export const VMX_EPTP = 0x918;
/** i32: VPID in effect, 0 without. */
export const VMX_VPID = 0x920;
/** i32: 1 when VMLAUNCH or VMRESUME was an x86 instruction: a VM exit goes on at HOST_RIP instead of returning to TypeScript. */
export const VMX_HOST_IS_CODE = 0x924;
/** What the TLB holds: i64 EPTP, i64 CR3, i32 VPID (-1: nothing), i32 hash of the paging mode bits. */
export const TLB_TAG_EPTP = 0x928;
export const TLB_TAG_CR3 = 0x930;
export const TLB_TAG_VPID = 0x938;
export const TLB_TAG_MODE = 0x93c;
/** f64: TSC at which the VMX-preemption timer expires; Infinity while it is not active. */
export const VMX_TIMER_DEADLINE = 0x940;
/** f64: TSC at which the physical CPU's local timer fires, or Infinity; i32: its vector. */
export const LOCAL_TIMER_DEADLINE = 0x948;
export const LOCAL_TIMER_VECTOR = 0x950;
/** i32: id of the VM-entry check that failed (src/vmx/check-ids.ts), 0 none; four i32: encodings of the fields it looked at, -1 none. */
export const ENTRY_CHECK = 0x954;
export const ENTRY_CHECK_FIELDS = 0x958;

// ---- instruction boundaries (vmx/poll.ts)
/** i32: interruptibility bits (STI, MOV SS) whose one instruction has been let through. */
export const SHADOW_SERVED = 0x968;
/** i32: 1 while an instruction runs that began with RFLAGS.TF set; event delivery clears it. */
export const STEP_ARMED = 0x96c;
/** i32: 1 when an MTF VM exit is due at the next instruction boundary. */
export const MTF_PENDING = 0x970;
/** PAUSE-loop exiting: TSC of the first and of the last PAUSE of the loop. */
export const PLE_FIRST = 0x978; // f64
export const PLE_LAST = 0x980; // f64
/** i32: 1 when the IRET being executed ended NMI blocking before it faulted (bit 12 of the exit information). */
export const NMI_UNBLOCKED = 0x988;
/** i32: data and I/O breakpoints (bits 3:0 of DR6) that the instruction or the event's delivery has matched (microcode/breakpoint.ts). */
export const BREAKPOINT_HITS = 0x98c;
/** i32: 1 when the instruction at RIP left without effect, to be executed by itself. */
export const STEP_WANTED = 0x990;
/** i32: 1 when a repeated string instruction has done some but not all of its elements. */
export const REPEATING = 0x994;

// ---- capability MSRs 0x480..0x492 (i64 each), written at reset from src/vmx/capabilities.ts
export const VMX_CAPABILITIES = 0x9c0;
export const VMX_CAPABILITY_COUNT = 19;

// ---- further MSRs (i64 each)
export const MSR_MTRR_DEF_TYPE = 0xa60;
/** Eleven fixed-range MTRRs, in the order of their numbers. */
export const MSR_MTRR_FIXED = 0xa68;
/** Eight pairs of base and mask. */
export const MSR_MTRR_VARIABLE = 0xac0;
export const MTRR_VARIABLE_COUNT = 8;
export const MSR_MCG_STATUS = 0xb40;
export const MSR_MCG_CTL = 0xb48;
/** Four banks of CTL, STATUS, ADDR, MISC. */
export const MSR_MC_BANKS = 0xb50;
export const MC_BANK_COUNT = 4;
export const MSR_UCODE_REV = 0xbd0;
/** i64: state of the generator behind RDRAND and RDSEED. */
export const RANDOM_STATE = 0xbd8;
/** Sixteen u32, by width * 4 + type: which field indices exist (bits of the first 28). */
export const VMCS_FIELD_MASKS = 0xbe0;
/** f64: TSC frequency in kHz. i32: 1 in deterministic mode. */
export const TSC_KHZ = 0xc20;
export const DETERMINISTIC = 0xc28;

// ---- a VMCS region: 4 KiB in host memory
export const VMCS_REVISION = 0x00; // u32; bit 31: shadow VMCS
export const VMCS_ABORT = 0x04; // u32
/** u32: 0 clear, 1 launched. */
export const VMCS_LAUNCH_STATE = 0x08;
/** u32: VMCS_DIRTY_* bits of what VM entry has to check again. */
export const VMCS_DIRTY = 0x0c;
/** u32: the secondary controls in effect when the guest state was last checked. */
export const VMCS_CHECKED_PROC2 = 0x10;
/** u32: RFLAGS.VM then. */
export const VMCS_CHECKED_VM = 0x14;
/** Fields, eight bytes each, at VMCS_DATA + ((width * 4 + type) * VMCS_GROUP_FIELDS + index) * 8. */
export const VMCS_DATA = 0x100;
export const VMCS_GROUP_FIELDS = 28;

export const VMCS_DIRTY_CONTROLS = 1;
export const VMCS_DIRTY_HOST = 2;
export const VMCS_DIRTY_GUEST = 4;
export const VMCS_DIRTY_ALL = 7;
/** The revision that this processor writes and expects. */
export const VMCS_REVISION_ID = 0x12;
/** Right shift of the TSC that the VMX-preemption timer follows (IA32_VMX_MISC bits 4:0). */
export const PREEMPTION_TIMER_RATE = 5;
