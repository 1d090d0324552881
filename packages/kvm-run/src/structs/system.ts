/**
 * Capabilities, clocks and devices. Layouts are those of the kernel's uapi headers (asm/kvm.h and linux/kvm.h) for x86-64:
 * name: [type, offset, count]; a count of '[]' is the flexible array at the end.
 */

export const kvmEnableCap = {
  size: 104,
  fields: {
    cap: ['u32', 0],
    flags: ['u32', 4],
    args: ['u64', 8, 4],
    pad: ['u8', 40, 64],
  },
} as const;

export const kvmClockData = {
  size: 48,
  fields: {
    clock: ['u64', 0],
    flags: ['u32', 8],
    pad0: ['u32', 12],
    realtime: ['u64', 16],
    host_tsc: ['u64', 24],
    pad: ['u32', 32, 4],
  },
} as const;

export const kvmCreateDevice = {
  size: 12,
  fields: {
    type: ['u32', 0],
    fd: ['u32', 4],
    flags: ['u32', 8],
  },
} as const;

export const kvmDeviceAttr = {
  size: 24,
  fields: {
    flags: ['u32', 0],
    group: ['u32', 4],
    attr: ['u64', 8],
    addr: ['u64', 16],
  },
} as const;

export const kvmHypervEventfd = {
  size: 24,
  fields: {
    conn_id: ['u32', 0],
    fd: ['s32', 4],
    flags: ['u32', 8],
    padding: ['u32', 12, 3],
  },
} as const;

export const kvmXenHvmConfig = {
  size: 56,
  fields: {
    flags: ['u32', 0],
    msr: ['u32', 4],
    blob_addr_32: ['u64', 8],
    blob_addr_64: ['u64', 16],
    blob_size_32: ['u8', 24],
    blob_size_64: ['u8', 25],
    pad2: ['u8', 26, 30],
  },
} as const;
