/**
 * Coalesced and event-notified I/O. Layouts are those of the kernel's uapi headers (asm/kvm.h and linux/kvm.h) for x86-64:
 * name: [type, offset, count]; a count of '[]' is the flexible array at the end.
 */

export const kvmCoalescedMmioZone = {
  size: 16,
  fields: {
    addr: ['u64', 0],
    size: ['u32', 8],
    pio: ['u32', 12],
  },
} as const;

export const kvmCoalescedMmio = {
  size: 24,
  fields: {
    phys_addr: ['u64', 0],
    len: ['u32', 8],
    pio: ['u32', 12],
    data: ['u8', 16, 8],
  },
} as const;

export const kvmCoalescedMmioRing = {
  size: 8,
  fields: {
    first: ['u32', 0],
    last: ['u32', 4],
    coalesced_mmio: ['kvm_coalesced_mmio', 8, '[]'],
  },
} as const;

export const kvmIoeventfd = {
  size: 64,
  fields: {
    datamatch: ['u64', 0],
    addr: ['u64', 8],
    len: ['u32', 16],
    fd: ['s32', 20],
    flags: ['u32', 24],
    pad: ['u8', 28, 36],
  },
} as const;
