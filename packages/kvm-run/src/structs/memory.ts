/**
 * Memory slots and their dirty logs. Layouts are those of the kernel's uapi headers (asm/kvm.h and linux/kvm.h) for x86-64:
 * name: [type, offset, count]; a count of '[]' is the flexible array at the end.
 */

export const kvmMemoryRegion = {
  size: 24,
  fields: {
    slot: ['u32', 0],
    flags: ['u32', 4],
    guest_phys_addr: ['u64', 8],
    memory_size: ['u64', 16],
  },
} as const;

export const kvmUserspaceMemoryRegion = {
  size: 32,
  fields: {
    slot: ['u32', 0],
    flags: ['u32', 4],
    guest_phys_addr: ['u64', 8],
    memory_size: ['u64', 16],
    userspace_addr: ['u64', 24],
  },
} as const;

export const kvmMemoryAlias = {
  size: 32,
  fields: {
    slot: ['u32', 0],
    flags: ['u32', 4],
    guest_phys_addr: ['u64', 8],
    memory_size: ['u64', 16],
    target_phys_addr: ['u64', 24],
  },
} as const;

export const kvmDirtyLog = {
  size: 16,
  fields: {
    slot: ['u32', 0],
    padding1: ['u32', 4],
    dirty_bitmap: ['u64', 8],
  },
} as const;

export const kvmClearDirtyLog = {
  size: 24,
  fields: {
    slot: ['u32', 0],
    num_pages: ['u32', 4],
    first_page: ['u64', 8],
    dirty_bitmap: ['u64', 16],
  },
} as const;

export const kvmDirtyGfn = {
  size: 16,
  fields: {
    flags: ['u32', 0],
    slot: ['u32', 4],
    offset: ['u64', 8],
  },
} as const;

export const kvmEncRegion = {
  size: 16,
  fields: {
    addr: ['u64', 0],
    size: ['u64', 8],
  },
} as const;
