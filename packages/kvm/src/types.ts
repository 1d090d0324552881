/**
 * The data of KVM: struct kvm, struct kvm_vcpu with its kvm_vcpu_arch and vcpu_vmx, and the physical CPU's part. Field
 * names follow the kernel's. 64-bit values that hot paths touch are two halves (`Lo`, `Hi`), unsigned or in Int32 form
 * as u32 arrays give them; everything that does not fit stays in the vCPU's own page of host memory.
 */

import type { EventFd, HostMemory, KvmRun } from '@vm/kvm-run';
import type { Processor } from '@vm/kvm-run/vmx';
import type { KvmIoBus } from './io-bus.ts';
import type { HrTimerQueue } from './irq/hrtimer.ts';
import type { KvmIrqState } from './irq/irq-state.ts';
import type { KvmLapic } from './irq/lapic.ts';
import type { KvmTracer } from './trace.ts';
import type { KvmStatistics } from './statistics.ts';

// ---- registers, by the numbers of VMX (encoding order); above 16 parts of the VMCS that are cached
export const VCPU_REGS_RAX = 0;
export const VCPU_REGS_RCX = 1;
export const VCPU_REGS_RDX = 2;
export const VCPU_REGS_RBX = 3;
export const VCPU_REGS_RSP = 4;
export const VCPU_REGS_RBP = 5;
export const VCPU_REGS_RSI = 6;
export const VCPU_REGS_RDI = 7;
export const VCPU_REGS_RIP = 16;
export const VCPU_EXREG_RFLAGS = 17;
export const VCPU_EXREG_CR0 = 18;
export const VCPU_EXREG_CR3 = 19;
export const VCPU_EXREG_CR4 = 20;
export const VCPU_EXREG_PDPTR = 21;
export const VCPU_EXREG_EXIT_INFO_1 = 22;
export const VCPU_EXREG_EXIT_INFO_2 = 23;

// ---- segments, in VMX order
export const VCPU_SREG_ES = 0;
export const VCPU_SREG_CS = 1;
export const VCPU_SREG_SS = 2;
export const VCPU_SREG_DS = 3;
export const VCPU_SREG_FS = 4;
export const VCPU_SREG_GS = 5;
export const VCPU_SREG_LDTR = 6;
export const VCPU_SREG_TR = 7;

/** vcpu->mode: where the vCPU is, for who wants to kick it. */
export const OUTSIDE_GUEST_MODE = 0;
export const IN_GUEST_MODE = 1;
export const EXITING_GUEST_MODE = 2;

/** Vectors of the physical CPU (arch/x86/include/asm/irq_vectors.h). */
export const LOCAL_TIMER_VECTOR = 0xec;
export const POSTED_INTR_VECTOR = 0xf2;
export const RESCHEDULE_VECTOR = 0xfd;

/**
 * The vCPU's page of host memory (byte offsets): the general registers that are swapped with the processor's, what
 * other threads write, and the posted-interrupt descriptor.
 */
export const VCPU_PAGE_GPRS = 0x000;
/** RIP follows the sixteen registers. */
export const VCPU_PAGE_RIP = 0x080;
/** Two u32 of requests. */
export const VCPU_PAGE_REQUESTS = 0x090;
/** vcpu->mode. */
export const VCPU_PAGE_MODE = 0x098;
/** Nonzero: a signal is pending for the vCPU's thread. */
export const VCPU_PAGE_SIGNAL = 0x09c;
/** The host's general registers while the guest's are loaded. */
export const VCPU_PAGE_HOST_GPRS = 0x100;
/** Sixty-four bytes: posted-interrupt descriptor (SDM vol. 3C, 30.6). */
export const VCPU_PAGE_PI_DESC = 0x1c0;
/** XSAVE area of the guest, to the end of the page. */
export const VCPU_PAGE_FPU = 0x200;

/** Guest-physical memory that userspace gave (struct kvm_memory_slot). */
export interface KvmMemorySlot {
  readonly id: number;
  readonly asId: number;
  readonly baseGfn: number;
  readonly npages: number;
  /** Host physical address: an offset in host memory, page-aligned. */
  readonly userspaceAddr: number;
  /** KVM_MEM_*. */
  readonly flags: number;
  /** One bit a page, while KVM_MEM_LOG_DIRTY_PAGES is set. */
  readonly dirtyBitmap: Uint32Array | null;
  /** Takes written pages while the VM has dirty rings. */
  readonly dirtyRing: ((slot: number, offset: number) => void) | null;
}

/** struct kvm_queued_exception of an event that is to be, or has been, injected. */
export interface QueuedException {
  pending: boolean;
  injected: boolean;
  hasErrorCode: boolean;
  vector: number;
  errorCode: number;
  hasPayload: boolean;
  /** CR2 or DR6 bits, not yet applied. */
  payloadLo: number;
  payloadHi: number;
}

/** What vmxSaveHostState kept, by CPU: loaded again by vmxPrepareSwitchToHost. */
export interface SavedHostState {
  ldtSel: number;
  fsSel: number;
  gsSel: number;
  fsBaseLo: number;
  fsBaseHi: number;
  gsBaseLo: number;
  gsBaseHi: number;
  kernelGsBaseLo: number;
  kernelGsBaseHi: number;
}

export const newSavedHostState = (): SavedHostState => ({
  ldtSel: 0,
  fsSel: 0,
  gsSel: 0,
  fsBaseLo: 0,
  fsBaseHi: 0,
  gsBaseLo: 0,
  gsBaseHi: 0,
  kernelGsBaseLo: 0,
  kernelGsBaseHi: 0,
});

/** A physical CPU as ring-0 software has set it up: its tables, its timer, and what runs on it. */
export interface HostCpu {
  readonly processor: Processor;
  readonly index: number;
  /** Timers of the local timer, fired from its interrupt. */
  readonly hrtimers: HrTimerQueue;
  /** VMXON region. */
  readonly vmxonRegion: number;
  readonly gdt: number;
  readonly idt: number;
  readonly tss: number;
  /** Page whose addresses stand for the gates' handlers: sixteen bytes a vector. */
  readonly text: number;
  /** Handlers by vector; reached through the gate's address in the IDT in memory. */
  readonly handlers: (((cpu: HostCpu, vector: number) => void) | undefined)[];
  /** CR3 and CR4 of the host while VMX is on. */
  readonly cr3: number;
  readonly cr4: number;
  readonly hostXcr0: number;
  /** What the user-return MSRs hold now, pairs of halves by slot (struct kvm_user_return_msrs). */
  readonly uretValues: Uint32Array;
  /** What the host wants in them. */
  readonly uretHost: Uint32Array;
  /** They hold values of a guest: the host's come back on the return to userspace. */
  uretRegistered: boolean;
  /** What vmxSaveHostState saved. */
  readonly savedHostState: SavedHostState;
  /** VMs that need VMX on. */
  vmxUsers: number;
  /** Interrupts taken through the IDT. */
  interrupts: number;
  /** The vCPU whose VMCS is current on this CPU. */
  currentVcpu: KvmVcpu | null;
  /** The vCPU whose extended state the registers hold (fpu_fpregs_owner_ctx). */
  fpuOwner: KvmVcpu | null;
  /** A signal is pending for the thread that runs here; set by the tick. */
  signalPending: boolean;
}

/** What openKvm was given, and what all VMs share. */
export interface KvmGlobal {
  readonly memory: HostMemory;
  readonly cpus: readonly HostCpu[];
  readonly vmx: VmxCapabilities;
  /** null: off. */
  tracer: KvmTracer | null;
  /** null: off. */
  statistics: KvmStatistics | null;
  /** Sleeps until something happens or the host TSC reaches `wakeAtTsc`; false: cannot sleep here. */
  readonly block: ((processor: Processor, wakeAtTsc: number) => boolean) | null;
  /** Milliseconds since 1970, at host TSC 0. */
  readonly realtimeBase: number;
  event(descriptor: number): EventFd | undefined;
}

/** Controls as adjusted to the capability MSRs (vmcs_config), and what follows from them. */
export interface VmxCapabilities {
  readonly revision: number;
  readonly pinBased: number;
  readonly cpuBased: number;
  readonly secondary: number;
  readonly exit: number;
  readonly entry: number;
  readonly eptCaps: number;
  readonly vpidCaps: number;
  /** Page-modification logging. */
  readonly pml: boolean;
  /** TSC ticks = preemption-timer ticks << this. */
  readonly preemptionTimerShift: number;
  readonly cr0Fixed0: number;
  readonly cr0Fixed1: number;
  readonly cr4Fixed0: number;
  readonly cr4Fixed1: number;
}

/** A range of KVM_X86_SET_MSR_FILTER. */
export interface MsrFilterRange {
  readonly flags: number;
  readonly base: number;
  readonly nmsrs: number;
  readonly bitmap: Uint8Array;
}

/** struct kvm_dirty_ring; indices run on past the size. */
export interface KvmDirtyRing {
  /** Host address. */
  readonly address: number;
  /** Entries, a power of two. */
  readonly size: number;
  readonly softLimit: number;
  dirtyIndex: number;
  resetIndex: number;
}

/** struct kvm */
export interface Kvm {
  readonly global: KvmGlobal;
  readonly memory: HostMemory;
  /** By index; the order of creation. */
  readonly vcpus: KvmVcpu[];
  /** Sorted by baseGfn. */
  memslots: readonly KvmMemorySlot[];
  memslotsGeneration: number;
  readonly irq: KvmIrqState;
  readonly pioBus: KvmIoBus;
  readonly mmioBus: KvmIoBus;
  /** ioeventfds on MMIO that ignore length and data: looked up on EPT misconfigurations before emulation. */
  readonly fastMmioBus: KvmIoBus;
  readonly hrtimers: HrTimerQueue;
  /** State of the MMU; its own module knows the shape. */
  mmu: object | null;
  vmDead: boolean;
  bspVcpuId: number;
  maxVcpuIds: number;
  /** KVM_CAP_DISABLE_QUIRKS2. */
  disabledQuirks: number;
  /** KVM_CAP_X86_DISABLE_EXITS: KVM_X86_DISABLE_EXITS_*. */
  disabledExits: number;
  /** KVM_CAP_EXCEPTION_PAYLOAD. */
  exceptionPayloadEnabled: boolean;
  /** KVM_CAP_X86_TRIPLE_FAULT_EVENT. */
  tripleFaultEvent: boolean;
  /** KVM_CAP_X86_USER_SPACE_MSR: KVM_MSR_EXIT_REASON_*. */
  userSpaceMsrMask: number;
  msrFilterDefaultAllow: boolean;
  msrFilter: readonly MsrFilterRange[];
  /** KVM_CAP_X86_BUS_LOCK_EXIT. */
  busLockDetectionEnabled: boolean;
  /** KVM_CAP_X86_NOTIFY_VMEXIT. */
  notifyWindow: number;
  notifyVmexitFlags: number;
  /** KVM_CAP_EXIT_HYPERCALL: bits by hypercall number. */
  hypercallExitEnabled: number;
  exitOnEmulationError: boolean;
  /** KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2. */
  manualDirtyLogProtect: number;
  /** KVM_CAP_DIRTY_LOG_RING: bytes of each vCPU's ring, 0: bitmaps. */
  dirtyRingSize: number;
  /** The vCPU that entered KVM_RUN last. */
  runningVcpu: KvmVcpu | null;
  /** KVM clock minus the host's clock, nanoseconds. */
  kvmclockOffset: number;
  /** Host TSC and KVM clock of the last master-clock update. */
  masterCycleNow: number;
  masterKernelNs: number;
  defaultTscKhz: number;
  /** KVM_SET_TSS_ADDR, KVM_SET_IDENTITY_MAP_ADDR. */
  tssAddr: number;
  identityMapAddr: number;
  useMasterClock: boolean;
  /** The last write of a vCPU's TSC, for others that follow it (kvm_synchronize_tsc). */
  lastTscHost: number;
  lastTscWrite: bigint;
  lastTscKhz: number;
  curTscOffset: bigint;
  /** Of the wall-clock MSR. */
  wallClock: bigint;
  wallClockVersion: number;
  /** APIC access page, a page of host memory that EPT maps at the APIC's address, or 0. */
  apicAccessPage: number;
}

/** Callbacks of parts that stand above this module (kvm_x86_ops). */
export interface KvmVcpuOps {
  injectNmi(vcpu: KvmVcpu): void;
  injectSmi(vcpu: KvmVcpu): boolean;
  reset(vcpu: KvmVcpu, initEvent: boolean): void;
  deliverSipiVector(vcpu: KvmVcpu, vector: number): void;
  setHvTimer(vcpu: KvmVcpu, hostTsc: number): number;
  cancelHvTimer(vcpu: KvmVcpu): void;
}

const newException = (): QueuedException => ({
  pending: false,
  injected: false,
  hasErrorCode: false,
  vector: 0,
  errorCode: 0,
  hasPayload: false,
  payloadLo: 0,
  payloadHi: 0,
});

/** struct kvm_vcpu, kvm_vcpu_arch and vcpu_vmx in one. */
export class KvmVcpu {
  readonly kvm: Kvm;
  readonly vcpuId: number;
  readonly vcpuIdx: number;
  /** The physical CPU that runs it. */
  readonly cpu: HostCpu;
  readonly processor: Processor;
  readonly memory: HostMemory;
  readonly u32: Uint32Array<SharedArrayBuffer>;
  readonly i32: Int32Array<SharedArrayBuffer>;
  readonly run: KvmRun;
  /** Host address of the mapping. */
  readonly runAddress: number;
  /** Host address of the vCPU's page. */
  readonly page: number;
  /** Index of the general registers in `u32`; RIP is register 16. */
  readonly regs: number;
  /** Index of the request words in `i32`. */
  readonly requests: number;
  readonly ops: KvmVcpuOps;

  // ---- register cache: bits by VCPU_REGS_* and VCPU_EXREG_*
  regsAvail = -1;
  regsDirty = 0;
  /** RFLAGS; the high half is zero. */
  rflags = 2;
  cr0 = 0;
  cr0GuestOwnedBits = 0;
  cr2Lo = 0;
  cr2Hi = 0;
  cr3Lo = 0;
  cr3Hi = 0;
  cr4 = 0;
  cr4GuestOwnedBits = 0;
  /** Bits that the guest's CPUID does not allow in CR4. */
  cr4GuestRsvdBits = 0;
  /** Without an in-kernel local APIC. */
  cr8 = 0;
  efer = 0;
  xcr0Lo = 1;
  xcr0Hi = 0;
  guestSupportedXcr0 = 3;
  pkru = 0;
  apicBaseLo = 0;
  apicBaseHi = 0;
  /** PAE's page-directory pointers, four pairs of halves. */
  readonly pdptrs: Uint32Array = new Uint32Array(8);
  readonly db: BigUint64Array = new BigUint64Array(4);
  /** What the hardware's DR0..DR3 get: the guest's, or the debugger's. */
  readonly effDb: BigUint64Array = new BigUint64Array(4);
  dr6 = 0xffff0ff0;
  dr7 = 0x400;
  effDr7 = 0x400;
  /** KVM_DEBUGREG_*. */
  switchDbRegs = 0;
  guestDebug = 0;
  guestDebugDr7 = 0;
  /** Linear RIP at which single-stepping began. */
  singlestepRip = 0n;

  // ---- VMX
  /** Host address of the VMCS region. */
  vmcs = 0;
  /** VMLAUNCH has succeeded since the last VMCLEAR. */
  launched = false;
  vpid = 0;
  msrBitmap = 0;
  /** Full exit reason, unsigned. */
  exitReason = 0;
  exitIntrInfo = 0;
  idtVectoringInfo = 0;
  /** The last entry ended in VMfail. */
  fail = 0;
  /** Copies of the controls in the VMCS. */
  pinControls = 0;
  execControls = 0;
  secondaryControls = 0;
  vmEntryControls = 0;
  vmExitControls = 0;
  exceptionBitmap = 0;
  hvDeadlineTsc: number = Infinity;
  hvTimerSoftDisabled = false;
  /** The preemption timer is to fire at once: a second event waits behind the injected one. */
  reqImmediateExit = false;
  /** Blocking by NMI is known to be off (loaded_vmcs.nmi_known_unmasked). */
  nmiKnownUnmasked = false;
  lastTprThreshold = 0;
  /** True while the guest's non-switched MSRs and host selectors are exchanged (guest_state_loaded). */
  guestStateLoaded = false;
  guestUretMsrsLoaded = false;
  /** Real-mode state is kept as unrestricted guest: nothing to emulate, but its TSS is remembered. */
  emulationRequired = false;
  apicAccessAddr = -1;
  /** What the host-state area has for FS and GS (vmcs_host_state). */
  readonly hostState: SavedHostState = newSavedHostState();
  /** Values of user-return and other MSRs, lo and hi pairs by MsrSlot. */
  readonly msrs: Uint32Array = new Uint32Array(32);
  /** MSRs that only KVM keeps. */
  readonly msrStore: Map<number, bigint> = new Map();
  pmlAddress = 0;
  eptpLo = 0;
  eptpHi = 0;

  // ---- events
  readonly exception: QueuedException = newException();
  interruptInjected = false;
  interruptNr = 0;
  interruptSoft = false;
  /** NMIs waiting, as KVM_REQ_NMI found them. */
  nmiQueued = 0;
  nmiPending = 0;
  nmiInjected = false;
  smiPending = false;
  /** Vector that userspace gave by KVM_INTERRUPT when there is no in-kernel chip, or -1. */
  pendingExternalVector = -1;
  eventExitInstLen = 0;
  tripleFaultPending = false;

  // ---- multiprocessing
  mpState = 0;
  apic: KvmLapic | null = null;
  preemptedInKernel = false;
  /** Set by KVM_REQ_UNBLOCK, PV unhalt. */
  pvUnhalted = false;

  // ---- CPUID
  cpuidEntries: readonly CpuidEntry[] = [];
  maxPhyAddr = 36;
  hasX2apic = false;
  /** Features of KVM's own leaf (KVM_FEATURE_*). */
  pvFeatures = 0;
  /** KVM_CAP_ENFORCE_PV_FEATURE_CPUID. */
  enforcePvCpuid = false;
  /** MSR_MISC_FEATURES_ENABLES: CPUID faults outside ring 0. */
  cpuidFault = false;
  /** KVM_RUN has entered the guest (last_vmentry_cpu). */
  hasRun = false;

  // ---- time
  /** Guest TSC minus host TSC in ticks; `tscOffsetExact` is the same, exact. */
  tscOffset = 0;
  tscOffsetExact = 0n;
  virtualTscKhz = 0;
  tscAdjust = 0n;
  pvTimeAddr = 0;
  pvTimeEnabled = false;
  pvTimeVersion = 0;
  pvclockSetGuestStoppedRequest = false;
  stealAddr = 0;
  stealEnabled = false;
  stealLast = 0;
  runDelay = 0;
  /** When KVM_RUN was left while the guest could have run on, or -1. */
  preemptedSince = -1;

  // ---- asynchronous page faults (struct kvm_vcpu_arch.apf)
  apfMsrEn = 0;
  apfMsrEnHi = 0;
  apfMsrInt = 0;
  apfAddr = 0;
  apfPageReadyPending = false;
  /** Tokens of pages that became ready and were not told to the guest yet. */
  readonly asyncPfDone: number[] = [];

  // ---- userspace I/O
  /** Runs at the next KVM_RUN, with the answer of userspace in kvm_run; 1, 0 or negative, as exit handlers. */
  completeUserspaceIo: ((vcpu: KvmVcpu) => number) | null = null;
  pioCount = 0;
  pioSize = 0;
  pioIn = false;
  pioPort = 0;
  pioRipLo = 0;
  pioRipHi = 0;
  mmioNeeded = false;
  mmioReadCompleted = false;
  mmioIsWrite = false;
  mmioCurFragment = 0;
  mmioNrFragments = 0;
  /** Guest-physical addresses, lengths and data (eight bytes each) of the fragments. */
  readonly mmioGpa: Float64Array = new Float64Array(2);
  readonly mmioLen: Int32Array = new Int32Array(2);
  readonly mmioData: Uint8Array = new Uint8Array(16);
  /** State of the instruction emulator; its own module knows the shape. */
  emulate: object | null = null;
  /** State of the MMU; its own module knows the shape. */
  mmu: object | null = null;
  dirtyRing: KvmDirtyRing | null = null;

  /** Results of kvmGetMsr; arguments of kvmSetMsr. */
  msrLo = 0;
  msrHi = 0;
  /** Two u32 for results of chips. */
  readonly scratch: Uint32Array = new Uint32Array(2);
  /** Four u32: EAX, EBX, ECX, EDX of kvmCpuid. */
  readonly cpuidResult: Uint32Array = new Uint32Array(4);

  // ---- exit statistics
  statReason = -1;
  statSince = 0;

  constructor(init: {
    readonly kvm: Kvm;
    readonly vcpuId: number;
    readonly vcpuIdx: number;
    readonly cpu: HostCpu;
    readonly run: KvmRun;
    readonly runAddress: number;
    readonly page: number;
    readonly ops: KvmVcpuOps;
  }) {
    this.kvm = init.kvm;
    this.vcpuId = init.vcpuId;
    this.vcpuIdx = init.vcpuIdx;
    this.cpu = init.cpu;
    this.processor = init.cpu.processor;
    this.memory = init.kvm.memory;
    this.u32 = init.kvm.memory.u32;
    this.i32 = init.kvm.memory.i32;
    this.run = init.run;
    this.runAddress = init.runAddress;
    this.page = init.page;
    this.regs = (init.page + VCPU_PAGE_GPRS) >>> 2;
    this.requests = (init.page + VCPU_PAGE_REQUESTS) >>> 2;
    this.ops = init.ops;
  }

  get hrtimers(): HrTimerQueue {
    return this.cpu.hrtimers;
  }

  get tracer(): KvmTracer | null {
    return this.kvm.global.tracer;
  }

  /** vcpu->mode; any thread may look. */
  get mode(): number {
    return Atomics.load(this.i32, (this.page + VCPU_PAGE_MODE) >>> 2);
  }
  set mode(value: number) {
    Atomics.store(this.i32, (this.page + VCPU_PAGE_MODE) >>> 2, value);
  }

  makeRequest(request: number): void {
    Atomics.or(this.i32, this.requests + (request >> 5), 1 << (request & 31));
  }

  /**
   * kvm_vcpu_kick: makes the vCPU leave the guest, or wakes it, so that it looks at its requests. In the guest that
   * takes an interrupt of the physical CPU, once.
   */
  kick(): void {
    const mode = (this.page + VCPU_PAGE_MODE) >>> 2;
    if (Atomics.compareExchange(this.i32, mode, IN_GUEST_MODE, EXITING_GUEST_MODE) === IN_GUEST_MODE)
      this.processor.raiseInterrupt(RESCHEDULE_VECTOR);
    else this.processor.requestLook();
  }

  injectNmi(): void {
    this.ops.injectNmi(this);
  }
  injectSmi(): boolean {
    return this.ops.injectSmi(this);
  }
  reset(initEvent: boolean): void {
    this.ops.reset(this, initEvent);
  }
  deliverSipiVector(vector: number): void {
    this.ops.deliverSipiVector(this, vector);
  }
  setHvTimer(hostTsc: number): number {
    return this.ops.setHvTimer(this, hostTsc);
  }
  cancelHvTimer(): void {
    this.ops.cancelHvTimer(this);
  }
}

/** One leaf of the guest's CPUID. */
export interface CpuidEntry {
  readonly function: number;
  readonly index: number;
  /** KVM_CPUID_FLAG_SIGNIFCANT_INDEX. */
  readonly flags: number;
  readonly eax: number;
  readonly ebx: number;
  readonly ecx: number;
  readonly edx: number;
}
