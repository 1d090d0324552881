/**
 * The processor's own area in host physical memory, byte by byte.
 *
 * The interpreter (generated WebAssembly), the microcode (AssemblyScript) and the TypeScript around them share the
 * processor's state through this area. Each offset stands here once; the file has no imports so that both the
 * TypeScript compiler and the AssemblyScript compiler can read it. All offsets are relative to the area's base, which
 * is page aligned. Integers are little-endian; "i64" fields are eight bytes.
 */

// ---- general registers: sixteen i64 in encoding order (RAX RCX RDX RBX RSP RBP RSI RDI R8..R15)
export const GPR = 0x000;
export const RAX = 0x000;
export const RCX = 0x008;
export const RDX = 0x010;
export const RBX = 0x018;
export const RSP = 0x020;
export const RBP = 0x028;
export const RSI = 0x030;
export const RDI = 0x038;
/** Always zero: what an absent base, index or segment base points to. */
export const ZERO = 0x080;
/** Instruction pointer, relative to CS.base. Exact whenever control is outside the interpreter. */
export const RIP = 0x088;
/** RIP after the current instruction; set before a microcode handler is called. */
export const NEXT_RIP = 0x090;
/** RIP minus the host page offset of the instruction: RIP of an instruction = PAGE_RIP + its record's page offset. */
export const PAGE_RIP = 0x098;

// ---- lazy arithmetic flags (see interpreter/flags.ts for how each flag is derived)
/** i64: the result, sign-extended from the operation's width. */
export const FLAG_RES = 0x0a0;
/** i64: first source, sign-extended. */
export const FLAG_A = 0x0a8;
/** i64: second source, sign-extended. */
export const FLAG_B = 0x0b0;
/** i32: the carry flag, 0 or 1. */
export const FLAG_CF = 0x0b8;
/** i32: bits 7:0 are xored to the result's low byte before parity, bit 30 to the sign, bit 31 set: a subtraction. */
export const FLAG_MODE = 0x0bc;
/** i32: all RFLAGS bits but CF PF AF ZF SF OF; bit 1 always set. */
export const RFLAGS_REST = 0x0c0;

// ---- modes, derived from CR0, CR4, EFER, RFLAGS and CS; refreshed by the microcode's updateMode()
/** i32: 0 sixteen-bit code, 1 thirty-two-bit code, 2 sixty-four-bit code. */
export const CODE_MODE = 0x0c4;
/** i32: current privilege level. */
export const CPL = 0x0c8;
/** i32: host address of the current TLB set (supervisor, supervisor with AC set under SMAP, user, or user with alignment checks). */
export const TLB_SET = 0x0cc;
/** i32: 1 in long mode (EFER.LMA). */
export const LONG_MODE = 0x0d0;
/** i32: 1 in real mode, 2 in virtual-8086 mode, 0 otherwise. */
export const REAL_MODE = 0x0d4;
/** i64: mask on the stack pointer: 0xffff, 0xffffffff or all ones, from SS.B and the code mode. */
export const STACK_MASK = 0x0d8;
/** i64 each: least and greatest offset in the stack segment, in legacy modes; empty (1, 0) where there is none. */
export const STACK_LOW = 0x0e0;
export const STACK_HIGH = 0x0e8;
/** i64: greatest RIP in the code segment; -1 in 64-bit mode, which has none. */
export const CODE_LIMIT = 0x0f0;

// ---- segments, in VMX order; each 32 bytes
export const SEG = 0x100;
export const SEG_SIZE = 0x20;
export const SEG_BASE = 0x00; // i64
export const SEG_LIMIT = 0x08; // i32, in bytes (granularity applied)
export const SEG_ATTR = 0x0c; // i32, the VMCS's access-rights format; bit 16: unusable
export const SEG_SELECTOR = 0x10; // i32
export const ES = 0;
export const CS = 1;
export const SS = 2;
export const DS = 3;
export const FS = 4;
export const GS = 5;
export const LDTR = 6;
export const TR = 7;
export const GDTR_BASE = 0x200; // i64
export const GDTR_LIMIT = 0x208; // i32
export const IDTR_BASE = 0x210; // i64
export const IDTR_LIMIT = 0x218; // i32

// ---- control, debug and extended control registers (i64)
export const CR0 = 0x220;
export const CR2 = 0x228;
export const CR3 = 0x230;
export const CR4 = 0x238;
export const CR8 = 0x240;
export const XCR0 = 0x248;
export const DR0 = 0x250;
export const DR1 = 0x258;
export const DR2 = 0x260;
export const DR3 = 0x268;
export const DR6 = 0x270;
export const DR7 = 0x278;
/** The four page-directory pointers of PAE paging. */
export const PDPTE0 = 0x280;

// ---- model-specific registers (i64)
export const MSR_EFER = 0x2a0;
export const MSR_STAR = 0x2a8;
export const MSR_LSTAR = 0x2b0;
export const MSR_CSTAR = 0x2b8;
export const MSR_SFMASK = 0x2c0;
export const MSR_KERNEL_GS_BASE = 0x2c8;
export const MSR_SYSENTER_CS = 0x2d0;
export const MSR_SYSENTER_ESP = 0x2d8;
export const MSR_SYSENTER_EIP = 0x2e0;
export const MSR_TSC_AUX = 0x2e8;
export const MSR_PAT = 0x2f0;
export const MSR_APIC_BASE = 0x2f8;
export const MSR_MISC_ENABLE = 0x300;
export const MSR_DEBUGCTL = 0x308;
export const MSR_FEATURE_CONTROL = 0x310;
export const MSR_XSS = 0x318;
export const MSR_TSC_ADJUST = 0x320;
export const MSR_SPEC_CTRL = 0x328;
/** Added to the clock to give the processor's TSC (written by WRMSR IA32_TSC). */
export const TSC_BASE = 0x330;
export const MSR_U_CET = 0x338;
export const MSR_S_CET = 0x340;
export const PKRU = 0x348; // i32
/** i32: the processor's initial APIC identifier. */
export const APIC_ID = 0x34c;
/** i64: page walks for accesses that the TLB did not serve; for people to read. */
export const TLB_MISSES = 0x350;

// ---- the event that the microcode is to deliver, or the VM exit it is to take, when the interpreter returns ST_FAULT
/** i32: vector, or -1 for none. */
export const EVENT_VECTOR = 0x360;
/** i32: the interruption type, as in VMX's interruption information (0 external, 2 NMI, 3 hardware exception, 4, 5, 6). */
export const EVENT_TYPE = 0x364;
/** i32: 1 when there is an error code. */
export const EVENT_HAS_ERROR = 0x368;
export const EVENT_ERROR = 0x36c; // i32
/** i64: the faulting linear address of a page fault; reaches CR2 when the fault is delivered. */
export const EVENT_ADDRESS = 0x370;
/** i64: debug-exception payload (bits to set in DR6). */
export const EVENT_DR6 = 0x378;
/** i32: a VM exit to take instead, by basic reason, or -1. */
export const EXIT_REASON = 0x380;
/** i32: exiting instruction's length. */
export const EXIT_INSN_LEN = 0x384;
export const EXIT_QUALIFICATION = 0x388; // i64
export const EXIT_GPA = 0x390; // i64
export const EXIT_GLA = 0x398; // i64
/** i32: VM-exit instruction information. */
export const EXIT_INSN_INFO = 0x3a0;
/** i32: IDT-vectoring information while an event is being delivered, else 0. */
export const IDT_VECTORING_INFO = 0x3a4;
export const IDT_VECTORING_ERROR = 0x3a8; // i32
/** i32: interruptibility: bit 0 blocking by STI, 1 by MOV SS, 2 by SMI, 3 by NMI (or virtual NMI). */
export const INTERRUPTIBILITY = 0x3ac;
/** i32: activity state: 0 active, 1 HLT, 2 shutdown, 3 wait-for-SIPI. */
export const ACTIVITY = 0x3b0;
/** i32: nonzero when something must be looked at before the next instruction (checked by pollEvents). */
export const ATTENTION = 0x3b4;
/** i64: debug traps that became pending (DR6 format) and are delivered at the instruction boundary. */
export const PENDING_DEBUG = 0x3b8;

// ---- counting
/** i64: instructions completed since reset; the interpreter adds to it when it leaves. */
export const INSN_COUNT = 0x3c0;
/** i32: instructions that the interpreter may still run in this slice; it returns ST_SLICE at or below zero. */
export const BUDGET = 0x3c8;
/** i32: host address of the code at RIP when the interpreter returns ST_TRANSLATE. */
export const CODE_HOST = 0x3cc;
/** i32: host address of the record that is being executed when microcode is called. */
export const CURRENT_RECORD = 0x3d0;
/** i32: BUDGET at the start of the slice: inside a microcode handler INSN_COUNT + SLICE - BUDGET instructions have completed. */
export const SLICE = 0x3d4;
/** i32: 0, or 3 to run traces of a single instruction. */
export const SINGLE_STEP = 0x3d8;
/** i32 each: vector that an SSE (x87, AVX) instruction raises at once, from CR0.EM/TS, CR4.OSFXSR/OSXSAVE and XCR0, or 0; see updateMode(). */
export const SSE_BLOCKED = 0x3dc;
export const X87_BLOCKED = 0x3f8;
export const AVX_BLOCKED = 0x3fc;

// ---- requests from any thread (accessed with Atomics; see interrupts in @vm/kvm-run)
/** Eight i32: pending external-interrupt vectors, one bit a vector. */
export const PENDING_VECTORS = 0x400;
/** i32: bit 0 an NMI, bit 1 INIT, bit 2 a look at PENDING_VECTORS is due, bit 3 flush all translated code, bits 15:8 SIPI vector, bit 16 SIPI. */
export const REQUESTS = 0x420;
/** i32: IF of host software written in TypeScript (1: interrupts enabled). */
export const HOST_IF = 0x424;
/** i32: 1 while blocking by STI is in force only if RIP is still STI_SHADOW_RIP (i64); see microcode/shadow.ts. */
export const STI_SHADOW = 0x428;
export const STI_SHADOW_RIP = 0x430;

// ---- x87, MMX, SSE
/** Eight physical x87 registers, 16 bytes each: i64 significand, u16 sign and exponent. ST(i) is register (TOP+i)&7; MMi is register i. */
export const FPR = 0x480;
export const FCW = 0x500; // i32
/** i32: the status word without TOP (bits 13:11 zero). */
export const FSW = 0x504;
export const FTOP = 0x508; // i32
/** i32: one bit a physical register, 1: in use (the abridged tag word of FXSAVE). */
export const FTAG = 0x50c;
export const FOP = 0x510; // i32
export const FCS = 0x514; // i32
export const FDS = 0x518; // i32
export const MXCSR = 0x51c; // i32
export const FIP = 0x520; // i64
export const FDP = 0x528; // i64
/** Sixteen vector registers, 32 bytes each. */
export const XMM = 0x540;
export const XMM_SIZE = 0x20;
/** Sixteen zero bytes (16-byte aligned), and scratch: operands and results of computeFloat() (float-operation.ts). */
export const VZERO = 0x740;
export const SCRATCH = 0x760; // 128 bytes

// ---- bounce buffer of accesses that cross pages or touch watched pages (see microcode/mmu.ts)
export const BOUNCE = 0x800; // 128 bytes
export const BOUNCE_ADDRESS = 0x880; // i64 linear address
export const BOUNCE_SIZE = 0x888; // i32
export const BOUNCE_HOST1 = 0x88c; // i32 host address of the first part
export const BOUNCE_HOST2 = 0x890; // i32 host address of the second part, or 0
export const BOUNCE_SPLIT = 0x894; // i32 bytes in the first part
/** i64: linear address that a legacy-mode address record computed (see interpreter/record.ts). */
export const EA = 0x898;

// ---- VMX (state that is not in a VMCS region; microcode/vmx owns 0x900..0xfff and names it in state/vmx-layout.ts)
/** i32: 0 outside VMX operation, 1 in VMX root, 2 in VMX non-root operation. */
export const VMX_MODE = 0x900;
/** i32: host address of the current VMCS region, or -1. */
export const CURRENT_VMCS = 0x904;
export const VMX_AREA = 0x908;

// ---- CPUID leaves that the processor reports: table written at reset, see system/cpuid.ts
export const CPUID_TABLE = 0x1000; // entries of 32 bytes: leaf, subleaf, flags (1: subleaf significant), pad, eax, ebx, ecx, edx
export const CPUID_COUNT = 0x1ffc; // i32

// ---- TLB: sets (0 supervisor, 1 supervisor with AC under SMAP, 2 user, 3 user with alignment checks: no data in it, so that
// ---- each access comes to the slow path) of three tables (read, write, execute)
export const TLB = 0x2000;
export const TLB_ENTRIES = 4096;
/** Entry: i64 linear page address (odd: empty), i32 host address minus linear address (low 32 bits), i32 what the microcode knows of the page. */
export const TLB_ENTRY_SIZE = 16;
export const TLB_TABLE_SIZE = 0x10000;
export const TLB_READ = 0x0000;
export const TLB_WRITE = 0x10000;
export const TLB_EXECUTE = 0x20000;
export const TLB_SET_SIZE = 0x30000;
export const TLB_SETS = 4;

// ---- translated traces
/** Hash from host address of code and CODE_MODE + SINGLE_STEP to trace. */
export const TRACE_HASH = 0xc2000;
/**
 * The entry's index: host address times this, its upper bits (Fibonacci hashing), xored with the mode. So two modes of one
 * address have two entries, and the address alone tells what an entry is about.
 */
export const TRACE_HASH_MULTIPLIER = -0x61c88647;
export const TRACE_HASH_SHIFT = 15;
/** Entry: i32 host address of the first byte (0: empty), i32 host address of the first record; more traces hang on that one's header. */
export const TRACE_HASH_ENTRY_SIZE = 8;
export const TRACE_HASH_BYTES = 0x100000;
/** i32 each: arena start, next free byte, end. */
export const ARENA_START = 0x3e0;
export const ARENA_NEXT = 0x3e4;
export const ARENA_END = 0x3e8;
/** i32: host address of the table of trace chains, one i32 a host page (0: none). */
export const PAGE_TRACES = 0x3ec;
/** i32: host address of the host memory's page flags, one byte a host page. */
export const PAGE_FLAGS = 0x3f0;
/** i32: number of host pages. */
export const HOST_PAGES = 0x3f4;

// ---- caches of the microcode beside the TLB (see microcode/tlb.ts and microcode/ept.ts)
/** i32 each: host addresses of the TLB entries filled since the last flush, and of those filled for global pages. */
export const TLB_JOURNAL = 0x1c2000;
export const TLB_GLOBAL_JOURNAL = 0x1c4000;
export const TLB_JOURNAL_ENTRIES = 2048;
/** Entries of 16 bytes: i64 guest-physical page with rights in the low bits (-1: empty), i64 host-physical page. */
export const EPT_CACHE = 0x1c6000;
export const EPT_CACHE_ENTRIES = 512;
/** Entries of 16 bytes: i64 linear address of 2 MiB with the rights of the upper levels in the low bits (-1: empty), i64 host address of the page table. */
export const WALK_CACHE = 0x1c8000;
export const WALK_CACHE_ENTRIES = 64;

/** Bytes of the area, without trace arena and page table of traces. */
export const AREA_SIZE = 0x1c9000;

/** MAXPHYADDR: width of physical addresses, as CPUID leaf 0x80000008 reports it. */
export const PHYSICAL_BITS = 39;

// ---- what the interpreter and the microcode handlers return
/** The instruction completed: go on with the next record. */
export const ST_NEXT = 0;
/** An event or VM exit is pending in EVENT_* or EXIT_REASON; RIP is the instruction's own. */
export const ST_FAULT = 1;
/** RIP has been set: look up the trace there and go on. */
export const ST_DISPATCH = 2;
/** A VM exit has been taken: the processor is in VMX root operation. */
export const ST_VMEXIT = 3;
/** RIP has been set, and pollEvents must run before the next instruction. */
export const ST_POLL = 4;
/** The budget is used up. */
export const ST_SLICE = 5;
/** No trace for RIP: the translator must make one. */
export const ST_TRANSLATE = 6;
/** The processor shut down (triple fault outside VMX non-root operation). */
export const ST_SHUTDOWN = 7;
/** The trace at CURRENT_RECORD has run often: compile it. */
export const ST_COMPILE = 8;
/** From a compiled region: what stands at RIP is the interpreter's to execute. */
export const ST_INTERPRET = 9;
