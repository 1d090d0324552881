/**
 * The register structures of vCPU ioctls. Layouts are those of the kernel's uapi headers (asm/kvm.h and linux/kvm.h) for x86-64:
 * name: [type, offset, count]; a count of '[]' is the flexible array at the end.
 */

export const kvmRegs = {
  size: 144,
  fields: {
    rax: ['u64', 0],
    rbx: ['u64', 8],
    rcx: ['u64', 16],
    rdx: ['u64', 24],
    rsi: ['u64', 32],
    rdi: ['u64', 40],
    rsp: ['u64', 48],
    rbp: ['u64', 56],
    r8: ['u64', 64],
    r9: ['u64', 72],
    r10: ['u64', 80],
    r11: ['u64', 88],
    r12: ['u64', 96],
    r13: ['u64', 104],
    r14: ['u64', 112],
    r15: ['u64', 120],
    rip: ['u64', 128],
    rflags: ['u64', 136],
  },
} as const;

export const kvmSegment = {
  size: 24,
  fields: {
    base: ['u64', 0],
    limit: ['u32', 8],
    selector: ['u16', 12],
    type: ['u8', 14],
    present: ['u8', 15],
    dpl: ['u8', 16],
    db: ['u8', 17],
    s: ['u8', 18],
    l: ['u8', 19],
    g: ['u8', 20],
    avl: ['u8', 21],
    unusable: ['u8', 22],
    padding: ['u8', 23],
  },
} as const;

export const kvmDtable = {
  size: 16,
  fields: {
    base: ['u64', 0],
    limit: ['u16', 8],
    padding: ['u16', 10, 3],
  },
} as const;

export const kvmSregs = {
  size: 312,
  fields: {
    cs: ['kvm_segment', 0],
    ds: ['kvm_segment', 24],
    es: ['kvm_segment', 48],
    fs: ['kvm_segment', 72],
    gs: ['kvm_segment', 96],
    ss: ['kvm_segment', 120],
    tr: ['kvm_segment', 144],
    ldt: ['kvm_segment', 168],
    gdt: ['kvm_dtable', 192],
    idt: ['kvm_dtable', 208],
    cr0: ['u64', 224],
    cr2: ['u64', 232],
    cr3: ['u64', 240],
    cr4: ['u64', 248],
    cr8: ['u64', 256],
    efer: ['u64', 264],
    apic_base: ['u64', 272],
    interrupt_bitmap: ['u64', 280, 4],
  },
} as const;

export const kvmSregs2 = {
  size: 320,
  fields: {
    cs: ['kvm_segment', 0],
    ds: ['kvm_segment', 24],
    es: ['kvm_segment', 48],
    fs: ['kvm_segment', 72],
    gs: ['kvm_segment', 96],
    ss: ['kvm_segment', 120],
    tr: ['kvm_segment', 144],
    ldt: ['kvm_segment', 168],
    gdt: ['kvm_dtable', 192],
    idt: ['kvm_dtable', 208],
    cr0: ['u64', 224],
    cr2: ['u64', 232],
    cr3: ['u64', 240],
    cr4: ['u64', 248],
    cr8: ['u64', 256],
    efer: ['u64', 264],
    apic_base: ['u64', 272],
    flags: ['u64', 280],
    pdptrs: ['u64', 288, 4],
  },
} as const;

export const kvmFpu = {
  size: 416,
  fields: {
    fpr: ['u8', 0, 128],
    fcw: ['u16', 128],
    fsw: ['u16', 130],
    ftwx: ['u8', 132],
    pad1: ['u8', 133],
    last_opcode: ['u16', 134],
    last_ip: ['u64', 136],
    last_dp: ['u64', 144],
    xmm: ['u8', 152, 256],
    mxcsr: ['u32', 408],
    pad2: ['u32', 412],
  },
} as const;

export const kvmXsave = {
  size: 4096,
  fields: {
    region: ['u32', 0, 1024],
    extra: ['u32', 4096, '[]'],
  },
} as const;

export const kvmXcr = {
  size: 16,
  fields: {
    xcr: ['u32', 0],
    reserved: ['u32', 4],
    value: ['u64', 8],
  },
} as const;

export const kvmXcrs = {
  size: 392,
  fields: {
    nr_xcrs: ['u32', 0],
    flags: ['u32', 4],
    xcrs: ['kvm_xcr', 8, 16],
    padding: ['u64', 264, 16],
  },
} as const;

export const kvmDebugregs = {
  size: 128,
  fields: {
    db: ['u64', 0, 4],
    dr6: ['u64', 32],
    dr7: ['u64', 40],
    flags: ['u64', 48],
    reserved: ['u64', 56, 9],
  },
} as const;

export const kvmTranslation = {
  size: 24,
  fields: {
    linear_address: ['u64', 0],
    physical_address: ['u64', 8],
    valid: ['u8', 16],
    writeable: ['u8', 17],
    usermode: ['u8', 18],
    pad: ['u8', 19, 5],
  },
} as const;

export const kvmOneReg = {
  size: 16,
  fields: {
    id: ['u64', 0],
    addr: ['u64', 8],
  },
} as const;

export const kvmRegList = {
  size: 8,
  fields: {
    n: ['u64', 0],
    reg: ['u64', 8, '[]'],
  },
} as const;
