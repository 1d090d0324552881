/**
 * Events, debugging and nested state of a vCPU. Layouts are those of the kernel's uapi headers (asm/kvm.h and linux/kvm.h) for x86-64:
 * name: [type, offset, count]; a count of '[]' is the flexible array at the end.
 */

export const kvmVcpuEventsException = {
  size: 8,
  fields: {
    injected: ['u8', 0],
    nr: ['u8', 1],
    has_error_code: ['u8', 2],
    pending: ['u8', 3],
    error_code: ['u32', 4],
  },
} as const;

export const kvmVcpuEventsInterrupt = {
  size: 4,
  fields: {
    injected: ['u8', 0],
    nr: ['u8', 1],
    soft: ['u8', 2],
    shadow: ['u8', 3],
  },
} as const;

export const kvmVcpuEventsNmi = {
  size: 4,
  fields: {
    injected: ['u8', 0],
    pending: ['u8', 1],
    masked: ['u8', 2],
    pad: ['u8', 3],
  },
} as const;

export const kvmVcpuEventsSmi = {
  size: 4,
  fields: {
    smm: ['u8', 0],
    pending: ['u8', 1],
    smm_inside_nmi: ['u8', 2],
    latched_init: ['u8', 3],
  },
} as const;

export const kvmVcpuEventsTripleFault = {
  size: 1,
  fields: {
    pending: ['u8', 0],
  },
} as const;

export const kvmVcpuEvents = {
  size: 64,
  fields: {
    exception: ['kvm_vcpu_events_exception', 0],
    interrupt: ['kvm_vcpu_events_interrupt', 8],
    nmi: ['kvm_vcpu_events_nmi', 12],
    sipi_vector: ['u32', 16],
    flags: ['u32', 20],
    smi: ['kvm_vcpu_events_smi', 24],
    triple_fault: ['kvm_vcpu_events_triple_fault', 28],
    reserved: ['u8', 29, 26],
    exception_has_payload: ['u8', 55],
    exception_payload: ['u64', 56],
  },
} as const;

export const kvmGuestDebugArch = {
  size: 64,
  fields: {
    debugreg: ['u64', 0, 8],
  },
} as const;

export const kvmGuestDebug = {
  size: 72,
  fields: {
    control: ['u32', 0],
    pad: ['u32', 4],
    arch: ['kvm_guest_debug_arch', 8],
  },
} as const;

export const kvmDebugExitArch = {
  size: 32,
  fields: {
    exception: ['u32', 0],
    pad: ['u32', 4],
    pc: ['u64', 8],
    dr6: ['u64', 16],
    dr7: ['u64', 24],
  },
} as const;

export const kvmSyncRegs = {
  size: 520,
  fields: {
    regs: ['kvm_regs', 0],
    sregs: ['kvm_sregs', 144],
    events: ['kvm_vcpu_events', 456],
  },
} as const;

export const kvmNestedState = {
  size: 128,
  fields: {
    flags: ['u16', 0],
    format: ['u16', 2],
    size: ['u32', 4],
    hdr: ['u8', 8, 120],
  },
} as const;

export const kvmSignalMask = {
  size: 4,
  fields: {
    len: ['u32', 0],
    sigset: ['u8', 4, '[]'],
  },
} as const;
