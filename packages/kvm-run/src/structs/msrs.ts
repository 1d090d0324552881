/**
 * Model-specific registers and CPUID. Layouts are those of the kernel's uapi headers (asm/kvm.h and linux/kvm.h) for x86-64:
 * name: [type, offset, count]; a count of '[]' is the flexible array at the end.
 */

export const kvmMsrEntry = {
  size: 16,
  fields: {
    index: ['u32', 0],
    reserved: ['u32', 4],
    data: ['u64', 8],
  },
} as const;

export const kvmMsrs = {
  size: 8,
  fields: {
    nmsrs: ['u32', 0],
    pad: ['u32', 4],
    entries: ['kvm_msr_entry', 8, '[]'],
  },
} as const;

export const kvmMsrList = {
  size: 4,
  fields: {
    nmsrs: ['u32', 0],
    indices: ['u32', 4, '[]'],
  },
} as const;

export const kvmMsrFilterRange = {
  size: 24,
  fields: {
    flags: ['u32', 0],
    nmsrs: ['u32', 4],
    base: ['u32', 8],
    bitmap: ['u64', 16],
  },
} as const;

export const kvmMsrFilter = {
  size: 392,
  fields: {
    flags: ['u32', 0],
    ranges: ['kvm_msr_filter_range', 8, 16],
  },
} as const;

export const kvmCpuidEntry = {
  size: 24,
  fields: {
    function: ['u32', 0],
    eax: ['u32', 4],
    ebx: ['u32', 8],
    ecx: ['u32', 12],
    edx: ['u32', 16],
    padding: ['u32', 20],
  },
} as const;

export const kvmCpuid = {
  size: 8,
  fields: {
    nent: ['u32', 0],
    padding: ['u32', 4],
    entries: ['kvm_cpuid_entry', 8, '[]'],
  },
} as const;

export const kvmCpuidEntry2 = {
  size: 40,
  fields: {
    function: ['u32', 0],
    index: ['u32', 4],
    flags: ['u32', 8],
    eax: ['u32', 12],
    ebx: ['u32', 16],
    ecx: ['u32', 20],
    edx: ['u32', 24],
    padding: ['u32', 28, 3],
  },
} as const;

export const kvmCpuid2 = {
  size: 8,
  fields: {
    nent: ['u32', 0],
    padding: ['u32', 4],
    entries: ['kvm_cpuid_entry2', 8, '[]'],
  },
} as const;

export const kvmPmuEventFilter = {
  size: 32,
  fields: {
    action: ['u32', 0],
    nevents: ['u32', 4],
    fixed_counter_bitmap: ['u32', 8],
    flags: ['u32', 12],
    pad: ['u32', 16, 4],
    events: ['u64', 32, '[]'],
  },
} as const;

export const kvmX86Mce = {
  size: 64,
  fields: {
    status: ['u64', 0],
    addr: ['u64', 8],
    misc: ['u64', 16],
    mcg_status: ['u64', 24],
    bank: ['u8', 32],
    pad1: ['u8', 33, 7],
    pad2: ['u64', 40, 3],
  },
} as const;
