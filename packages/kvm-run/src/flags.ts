/** Flags and small numbers that go into the structures of the ioctls (asm/kvm.h and linux/kvm.h of Linux 6.1). */

export const KVM_API_VERSION = 12;

// ---- Memory slots
export const KVM_MEM_LOG_DIRTY_PAGES = 0x1;
export const KVM_MEM_READONLY = 0x2;
export const KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE = 0x1;
export const KVM_DIRTY_LOG_INITIALLY_SET = 0x2;
export const KVM_DIRTY_GFN_F_DIRTY = 0x1;
export const KVM_DIRTY_GFN_F_RESET = 0x2;

// ---- Interrupt chips and routing
export const KVM_IRQCHIP_PIC_MASTER = 0;
export const KVM_IRQCHIP_PIC_SLAVE = 1;
export const KVM_IRQCHIP_IOAPIC = 2;
export const KVM_NR_IRQCHIPS = 3;
export const KVM_IOAPIC_NUM_PINS = 24;
export const KVM_IRQ_ROUTING_IRQCHIP = 1;
export const KVM_IRQ_ROUTING_MSI = 2;
export const KVM_IRQ_ROUTING_HV_SINT = 4;
export const KVM_IRQ_ROUTING_XEN_EVTCHN = 5;
export const KVM_IRQFD_FLAG_DEASSIGN = 0x1;
export const KVM_IRQFD_FLAG_RESAMPLE = 0x2;
export const KVM_MSI_VALID_DEVID = 0x1;
export const KVM_PIT_SPEAKER_DUMMY = 1;
export const KVM_PIT_FLAGS_HPET_LEGACY = 0x00000001;
export const KVM_PIT_FLAGS_SPEAKER_DATA_ON = 0x00000002;
export const KVM_X2APIC_API_USE_32BIT_IDS = 0x1;
export const KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK = 0x2;

// ---- Multiprocessing state of a vCPU
export const KVM_MP_STATE_RUNNABLE = 0;
export const KVM_MP_STATE_UNINITIALIZED = 1;
export const KVM_MP_STATE_INIT_RECEIVED = 2;
export const KVM_MP_STATE_HALTED = 3;
export const KVM_MP_STATE_SIPI_RECEIVED = 4;

// ---- Events
export const KVM_VCPUEVENT_VALID_NMI_PENDING = 0x00000001;
export const KVM_VCPUEVENT_VALID_SIPI_VECTOR = 0x00000002;
export const KVM_VCPUEVENT_VALID_SHADOW = 0x00000004;
export const KVM_VCPUEVENT_VALID_SMM = 0x00000008;
export const KVM_VCPUEVENT_VALID_PAYLOAD = 0x00000010;
export const KVM_VCPUEVENT_VALID_TRIPLE_FAULT = 0x00000020;
export const KVM_X86_SHADOW_INT_MOV_SS = 0x01;
export const KVM_X86_SHADOW_INT_STI = 0x02;

// ---- Guest debugging
export const KVM_GUESTDBG_ENABLE = 0x00000001;
export const KVM_GUESTDBG_SINGLESTEP = 0x00000002;
export const KVM_GUESTDBG_USE_SW_BP = 0x00010000;
export const KVM_GUESTDBG_USE_HW_BP = 0x00020000;
export const KVM_GUESTDBG_INJECT_DB = 0x00040000;
export const KVM_GUESTDBG_INJECT_BP = 0x00080000;
export const KVM_GUESTDBG_BLOCKIRQ = 0x00100000;

// ---- CPUID entries
export const KVM_CPUID_FLAG_SIGNIFCANT_INDEX = 0x1;
export const KVM_CPUID_FLAG_STATEFUL_FUNC = 0x2;
export const KVM_CPUID_FLAG_STATE_READ_NEXT = 0x4;

// ---- MSR filter
export const KVM_MSR_FILTER_READ = 0x1;
export const KVM_MSR_FILTER_WRITE = 0x2;
export const KVM_MSR_FILTER_DEFAULT_ALLOW = 0;
export const KVM_MSR_FILTER_DEFAULT_DENY = 0x1;
export const KVM_MSR_FILTER_MAX_RANGES = 16;
export const KVM_MSR_FILTER_MAX_BITMAP_SIZE = 0x600;
export const KVM_MSR_EXIT_REASON_INVAL = 0x1;
export const KVM_MSR_EXIT_REASON_UNKNOWN = 0x2;
export const KVM_MSR_EXIT_REASON_FILTER = 0x4;

// ---- Registers
export const KVM_SREGS2_FLAGS_PDPTRS_VALID = 1;
export const KVM_MAX_XCRS = 16;
export const KVM_SYNC_X86_REGS = 0x1;
export const KVM_SYNC_X86_SREGS = 0x2;
export const KVM_SYNC_X86_EVENTS = 0x4;

// ---- Clock
export const KVM_CLOCK_TSC_STABLE = 2;
export const KVM_CLOCK_REALTIME = 0x4;
export const KVM_CLOCK_HOST_TSC = 0x8;

// ---- ioeventfd: bits of enum kvm_ioeventfd_flag_nr_*
export const KVM_IOEVENTFD_FLAG_DATAMATCH = 1;
export const KVM_IOEVENTFD_FLAG_PIO = 2;
export const KVM_IOEVENTFD_FLAG_DEASSIGN = 4;
export const KVM_IOEVENTFD_FLAG_VIRTIO_CCW_NOTIFY = 8;
export const KVM_IOEVENTFD_FLAG_FAST_MMIO = 0x10;

// ---- Disabled exits, quirks, bus locks, notification
export const KVM_X86_DISABLE_EXITS_MWAIT = 0x1;
export const KVM_X86_DISABLE_EXITS_HLT = 0x2;
export const KVM_X86_DISABLE_EXITS_PAUSE = 0x4;
export const KVM_X86_DISABLE_EXITS_CSTATE = 0x8;
export const KVM_X86_QUIRK_LINT0_REENABLED = 0x1;
export const KVM_X86_QUIRK_CD_NW_CLEARED = 0x2;
export const KVM_X86_QUIRK_LAPIC_MMIO_HOLE = 0x4;
export const KVM_X86_QUIRK_OUT_7E_INC_RIP = 0x8;
export const KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT = 0x10;
export const KVM_X86_QUIRK_FIX_HYPERCALL_INSN = 0x20;
export const KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS = 0x40;
export const KVM_BUS_LOCK_DETECTION_OFF = 0x1;
export const KVM_BUS_LOCK_DETECTION_EXIT = 0x2;
export const KVM_X86_NOTIFY_VMEXIT_ENABLED = 0x1;
export const KVM_X86_NOTIFY_VMEXIT_USER = 0x2;

// ---- Devices
export const KVM_CREATE_DEVICE_TEST = 1;
export const KVM_VCPU_TSC_CTRL = 0;
export const KVM_VCPU_TSC_OFFSET = 0;
