/**
 * The in-kernel interrupt chips, timers, and interrupt routing. Layouts are those of the kernel's uapi headers (asm/kvm.h and linux/kvm.h) for x86-64:
 * name: [type, offset, count]; a count of '[]' is the flexible array at the end.
 */

export const kvmIrqLevel = {
  size: 8,
  fields: {
    irq: ['u32', 0],
    level: ['u32', 4],
  },
} as const;

export const kvmPicState = {
  size: 16,
  fields: {
    last_irr: ['u8', 0],
    irr: ['u8', 1],
    imr: ['u8', 2],
    isr: ['u8', 3],
    priority_add: ['u8', 4],
    irq_base: ['u8', 5],
    read_reg_select: ['u8', 6],
    poll: ['u8', 7],
    special_mask: ['u8', 8],
    init_state: ['u8', 9],
    auto_eoi: ['u8', 10],
    rotate_on_auto_eoi: ['u8', 11],
    special_fully_nested_mode: ['u8', 12],
    init4: ['u8', 13],
    elcr: ['u8', 14],
    elcr_mask: ['u8', 15],
  },
} as const;

export const kvmIoapicState = {
  size: 216,
  fields: {
    base_address: ['u64', 0],
    ioregsel: ['u32', 8],
    id: ['u32', 12],
    irr: ['u32', 16],
    pad: ['u32', 20],
    redirtbl: ['u64', 24, 24],
  },
} as const;

export const kvmIrqchip = {
  size: 520,
  fields: {
    chip_id: ['u32', 0],
    pad: ['u32', 4],
    chip: ['u8', 8, 512],
  },
} as const;

export const kvmLapicState = {
  size: 1024,
  fields: {
    regs: ['u8', 0, 1024],
  },
} as const;

export const kvmPitConfig = {
  size: 64,
  fields: {
    flags: ['u32', 0],
    pad: ['u32', 4, 15],
  },
} as const;

export const kvmPitChannelState = {
  size: 24,
  fields: {
    count: ['u32', 0],
    latched_count: ['u16', 4],
    count_latched: ['u8', 6],
    status_latched: ['u8', 7],
    status: ['u8', 8],
    read_state: ['u8', 9],
    write_state: ['u8', 10],
    write_latch: ['u8', 11],
    rw_mode: ['u8', 12],
    mode: ['u8', 13],
    bcd: ['u8', 14],
    gate: ['u8', 15],
    count_load_time: ['s64', 16],
  },
} as const;

export const kvmPitState = {
  size: 72,
  fields: {
    channels: ['kvm_pit_channel_state', 0, 3],
  },
} as const;

export const kvmPitState2 = {
  size: 112,
  fields: {
    channels: ['kvm_pit_channel_state', 0, 3],
    flags: ['u32', 72],
    reserved: ['u32', 76, 9],
  },
} as const;

export const kvmReinjectControl = {
  size: 32,
  fields: {
    pit_reinject: ['u8', 0],
    reserved: ['u8', 1, 31],
  },
} as const;

export const kvmIrqRoutingIrqchip = {
  size: 8,
  fields: {
    irqchip: ['u32', 0],
    pin: ['u32', 4],
  },
} as const;

export const kvmIrqRoutingMsi = {
  size: 16,
  fields: {
    address_lo: ['u32', 0],
    address_hi: ['u32', 4],
    data: ['u32', 8],
    devid: ['u32', 12],
  },
} as const;

export const kvmIrqRoutingEntry = {
  size: 48,
  fields: {
    gsi: ['u32', 0],
    type: ['u32', 4],
    flags: ['u32', 8],
    pad: ['u32', 12],
    u: ['u32', 16, 8],
  },
} as const;

export const kvmIrqRouting = {
  size: 8,
  fields: {
    nr: ['u32', 0],
    flags: ['u32', 4],
    entries: ['kvm_irq_routing_entry', 8, '[]'],
  },
} as const;

export const kvmIrqfd = {
  size: 32,
  fields: {
    fd: ['u32', 0],
    gsi: ['u32', 4],
    flags: ['u32', 8],
    resamplefd: ['u32', 12],
    pad: ['u8', 16, 16],
  },
} as const;

export const kvmMsi = {
  size: 32,
  fields: {
    address_lo: ['u32', 0],
    address_hi: ['u32', 4],
    data: ['u32', 8],
    flags: ['u32', 12],
    devid: ['u32', 16],
    pad: ['u8', 20, 12],
  },
} as const;

export const kvmInterrupt = {
  size: 4,
  fields: {
    irq: ['u32', 0],
  },
} as const;

export const kvmMpState = {
  size: 4,
  fields: {
    mp_state: ['u32', 0],
  },
} as const;

export const kvmTprAccessCtl = {
  size: 40,
  fields: {
    enabled: ['u32', 0],
    flags: ['u32', 4],
    reserved: ['u32', 8, 8],
  },
} as const;

export const kvmVapicAddr = {
  size: 8,
  fields: {
    vapic_addr: ['u64', 0],
  },
} as const;
