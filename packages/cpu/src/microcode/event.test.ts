import { describe, expect, it } from 'vitest';
import * as L from '../state/layout.ts';
import { CODE32, DATA32, descriptor, gate, MicrocodeBench, PTE_P, PTE_U, PTE_W } from '../testing/microcode-bench.ts';

const RSP = L.RSP;
const TYPE_EXTERNAL = 0;
const TYPE_NMI = 2;
const TYPE_EXCEPTION = 3;

/** Long mode with all memory mapped, a GDT, an IDT and a TSS. */
function longMode(cpl: number): { bench: MicrocodeBench; idt: number; tss: number; stack: number } {
  const bench = new MicrocodeBench();
  bench.enter('long', cpl);
  bench.mapAll();
  bench.gdt(true);
  const [idt, tss, stack] = [bench.page(), bench.page(), bench.page(4)];
  bench.set(L.IDTR_BASE, BigInt(idt));
  bench.set32(L.IDTR_LIMIT, 0xfff);
  bench.segment(L.TR, 0x40, 0x8b, BigInt(tss), 0x67);
  bench.write64(tss + 4, BigInt(stack + 0x1008));
  bench.write64(tss + 0x24, BigInt(stack + 0x2000));
  bench.set(L.RIP, 0x1000n);
  bench.set(RSP, BigInt(stack + 0x4000 - 8));
  bench.setRflags(0x10246n);
  return { bench, idt, tss, stack };
}

function setGate64(bench: MicrocodeBench, idt: number, vector: number, offset: bigint, type = 14, dpl = 0, ist = 0, selector = 8): void {
  bench.write64(idt + vector * 16, gate(selector, offset, type, dpl, ist));
  bench.write64(idt + vector * 16 + 8, offset >> 32n);
}

function stackWords(bench: MicrocodeBench, count: number): bigint[] {
  const at = Number(bench.get(RSP));
  return Array.from({ length: count }, (_, i) => bench.read64(at + i * 8));
}

describe('delivery in long mode', () => {
  it('pushes SS RSP RFLAGS CS RIP and an error code on the TSS stack, aligned', () => {
    const { bench, idt, stack } = longMode(3);
    setGate64(bench, idt, 13, 0xffff_8000_1234_5678n);
    const old = bench.get(RSP);
    bench.call('deliverEvent', 13, TYPE_EXCEPTION, 1, 0x18, 0);
    expect(bench.get(L.RIP)).toBe(0xffff_8000_1234_5678n);
    expect(bench.get(RSP)).toBe(BigInt(stack + 0x1000 - 48));
    expect(stackWords(bench, 6)).toEqual([0x18n, 0x1000n, 0x33n, 0x10246n, old, 0x2bn]);
    expect([bench.get32(L.CPL), bench.selector(L.SS), bench.selector(L.CS)]).toEqual([0, 0, 8]);
    expect(bench.rflags()).toBe(0x46n);
  });

  it('keeps IF through a trap gate and switches to the IST stack', () => {
    const { bench, idt, stack } = longMode(0);
    setGate64(bench, idt, 2, 0x2000n, 15, 0, 1);
    bench.call('deliverEvent', 2, TYPE_NMI, 0, 0, 0);
    expect(bench.get(RSP)).toBe(BigInt(stack + 0x2000 - 40));
    expect(bench.rflags()).toBe(0x246n);
    expect(bench.selector(L.SS)).toBe(0x10);
    expect(bench.get32(L.INTERRUPTIBILITY)).toBe(8);
    expect(bench.get32(L.IDT_VECTORING_INFO)).toBe(0);
  });

  it('returns from the handler with IRETQ, unblocking NMIs', () => {
    const { bench, idt } = longMode(3);
    const rsp = bench.get(RSP);
    setGate64(bench, idt, 2, 0x2000n);
    bench.call('deliverEvent', 2, TYPE_NMI, 0, 0, 0);
    expect(bench.op('iret', { size: 8 })).toBe(L.ST_POLL);
    expect([bench.get(L.RIP), bench.get(RSP), bench.selector(L.CS), bench.selector(L.SS)]).toEqual([0x1000n, rsp, 0x33, 0x2b]);
    expect([bench.get32(L.CPL), bench.get32(L.INTERRUPTIBILITY)]).toEqual([3, 0]);
    expect(bench.rflags()).toBe(0x246n);
  });

  it.each<[string, (b: MicrocodeBench, idt: number, tss: number) => void, number, string]>([
    ['vector beyond the IDT', (b) => b.set32(L.IDTR_LIMIT, 0x7f), TYPE_EXTERNAL, '#13(203)'],
    ['not a gate', (b, idt) => b.write64(idt + 0x400, 0n), TYPE_EXTERNAL, '#13(203)'],
    ['not present', (b, idt) => b.write64(idt + 0x400, gate(8, 0n, 14) & ~(1n << 47n)), TYPE_EXTERNAL, '#11(203)'],
    ['software interrupt below the gate', (b, idt) => setGate64(b, idt, 0x40, 0n), 4, '#13(202)'],
    ['null selector', (b, idt) => setGate64(b, idt, 0x40, 0n, 14, 0, 0, 0), TYPE_EXTERNAL, '#13(1)'],
    ['data segment', (b, idt) => setGate64(b, idt, 0x40, 0n, 14, 0, 0, 0x10), TYPE_EXTERNAL, '#13(11)'],
    ['32-bit code segment', (b, idt) => setGate64(b, idt, 0x40, 0n, 14, 0, 0, 0x38), TYPE_EXTERNAL, '#13(39)'],
    ['offset not canonical', (b, idt) => setGate64(b, idt, 0x40, 1n << 50n), TYPE_EXTERNAL, '#13(1)'],
    ['TSS too short', (b, idt) => { setGate64(b, idt, 0x40, 0n); b.segment(L.TR, 0x40, 0x8b, 0n, 8); }, TYPE_EXTERNAL, '#10(41)'],
    ['stack not canonical', (b, idt, tss) => { setGate64(b, idt, 0x40, 0n); b.write64(tss + 4, 1n << 50n); }, TYPE_EXTERNAL, '#12(1)'],
  ])('faults: %s', (_name, prepare, type, expected) => {
    const { bench, idt, tss } = longMode(3);
    prepare(bench, idt, tss);
    // The fault itself goes through an IST gate of its own and shows what it was.
    for (const vector of [10, 11, 12, 13]) if (bench.get32(L.IDTR_LIMIT) > 0x7f) setGate64(bench, idt, vector, 0x3000n + BigInt(vector), 14, 0, 1);
    if (bench.limit(L.TR) < 0x67 || bench.get32(L.IDTR_LIMIT) < 0x100) {
      // Nothing can be delivered: double fault, then shutdown.
      expect(bench.call('deliverEvent', 0x40, type, 0, 0, 2)).toBe(L.ST_SHUTDOWN);
      return;
    }
    expect(bench.call('deliverEvent', 0x40, type, 0, 0, 2)).toBe(L.ST_DISPATCH);
    const [error, rip] = stackWords(bench, 2);
    expect(`#${bench.get(L.RIP) - 0x3000n}(${error!.toString(16)})`).toBe(expected);
    expect(rip).toBe(0x1000n);
  });

  it('makes a double fault of a page fault while a page fault is delivered', () => {
    const { bench, idt } = longMode(0);
    bench.map(0x7f00_0000_0000n, 0n, 0n);
    setGate64(bench, idt, 14, 0x2000n);
    setGate64(bench, idt, 8, 0x3000n, 14, 0, 1);
    bench.set(RSP, 0x7f00_0000_0800n);
    bench.set32(L.EVENT_VECTOR, 14);
    bench.set32(L.EVENT_TYPE, TYPE_EXCEPTION);
    bench.set32(L.EVENT_HAS_ERROR, 1);
    bench.set32(L.EVENT_ERROR, 0);
    bench.set(L.EVENT_ADDRESS, 0x1234n);
    expect(bench.call('deliver')).toBe(L.ST_DISPATCH);
    expect([bench.get(L.RIP), bench.get(L.CR2)]).toEqual([0x3000n, 0x7f00_0000_07f8n]);
    expect(stackWords(bench, 2)).toEqual([0n, 0x1000n]);
    // Without a handler for it: shutdown.
    setGate64(bench, idt, 8, 0x3000n);
    bench.set(RSP, 0x7f00_0000_0800n);
    bench.call('deliverEvent', 14, TYPE_EXCEPTION, 1, 0, 0);
    expect(bench.get32(L.ACTIVITY)).toBe(2);
  });

  it('pushes the address behind INT n and INT3, and checks the gate only for software', () => {
    const { bench, idt } = longMode(3);
    setGate64(bench, idt, 0x80, 0x2000n, 14, 3);
    expect(bench.op('int', { imm: 0x80n })).toBe(L.ST_FAULT);
    expect(bench.call('deliver')).toBe(L.ST_DISPATCH);
    expect(stackWords(bench, 2)).toEqual([0x1002n, 0x33n]);
  });
});

describe('real mode', () => {
  function realMode(): MicrocodeBench {
    const bench = new MicrocodeBench();
    bench.enter('real');
    const low = bench.page(32, 16);
    for (let seg = 0; seg < 6; seg++) bench.segment(seg, 0, seg === L.CS ? 0x9b : 0x93, BigInt(low), 0xffff);
    bench.set(L.IDTR_BASE, BigInt(low));
    bench.set32(L.IDTR_LIMIT, 0x3ff);
    bench.set(L.RIP, 0x500n);
    bench.set(RSP, 0x1_8000n);
    bench.setRflags(0x202n);
    return bench;
  }

  it('delivers through the vector table and returns', () => {
    const bench = realMode();
    const low = Number(bench.base(L.SS));
    bench.memory.view.setUint32(low + 0x21 * 4, 0x1234_5678, true);
    bench.op('int', { imm: 0x21n });
    expect(bench.call('deliver')).toBe(L.ST_DISPATCH);
    expect([bench.get(L.RIP), bench.base(L.CS), bench.get(RSP)]).toEqual([0x5678n, 0x12340n, 0x1_7ffan]);
    expect(bench.rflags()).toBe(2n);
    const frame = [0, 2, 4].map((i) => bench.memory.view.getUint16(low + 0x7ffa + i, true));
    expect(frame).toEqual([0x502, 0, 0x202]);
    expect(bench.op('iret', { size: 2 })).toBe(L.ST_DISPATCH);
    expect([bench.get(L.RIP), bench.selector(L.CS), bench.get(RSP), bench.rflags()]).toEqual([0x502n, 0, 0x1_8000n, 0x202n]);
  });

  it('jumps, calls and returns far', () => {
    const bench = realMode();
    expect(bench.op('call_far', { imm: (0x2000n << 32n) | 0x40n, size: 2, addressSize: 2, length: 5 })).toBe(L.ST_DISPATCH);
    expect([bench.get(L.RIP), bench.base(L.CS), bench.selector(L.CS)]).toEqual([0x40n, 0x20000n, 0x2000]);
    bench.op('retf', { size: 2, imm: 4n });
    expect([bench.get(L.RIP), bench.selector(L.CS), bench.get(RSP)]).toEqual([0x505n, 0, 0x1_8004n]);
    bench.set(L.RIP, 0n);
    expect(bench.op('jmp_far', { imm: (0xf000n << 32n) | 0xfff0n, size: 2 })).toBe(L.ST_DISPATCH);
    expect(bench.base(L.CS) + bench.get(L.RIP)).toBe(0xffff0n);
  });
});

/** 32-bit protected mode without paging. */
function protectedMode(cpl: number): { bench: MicrocodeBench; gdt: number; idt: number; tss: number; stack: number } {
  const bench = new MicrocodeBench();
  bench.enter('protected', cpl);
  const gdt = bench.gdt(false);
  const [idt, tss, stack] = [bench.page(), bench.page(), bench.page(4)];
  bench.set(L.IDTR_BASE, BigInt(idt));
  bench.set32(L.IDTR_LIMIT, 0x7ff);
  bench.segment(L.TR, 0x40, 0x8b, BigInt(tss), 0x67);
  bench.memory.view.setUint32(tss + 4, stack + 0x1000, true);
  bench.memory.view.setUint16(tss + 8, 0x10, true);
  bench.set(L.RIP, 0x1000n);
  bench.set(RSP, BigInt(stack + 0x4000));
  bench.setRflags(0x202n);
  return { bench, gdt, idt, tss, stack };
}

function dwords(bench: MicrocodeBench, at: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => bench.memory.view.getUint32(at + i * 4, true));
}

describe('protected mode', () => {
  it('goes to ring 0 through an interrupt gate, and back with IRETD', () => {
    const { bench, idt, stack } = protectedMode(3);
    bench.write64(idt + 0x80 * 8, gate(8, 0xc010_2030n, 14, 3));
    bench.segment(L.DS, 0x10, DATA32);
    bench.op('int', { imm: 0x80n });
    expect(bench.call('deliver')).toBe(L.ST_DISPATCH);
    expect([bench.get(L.RIP), bench.get(RSP), bench.get32(L.CPL)]).toEqual([0xc010_2030n, BigInt(stack + 0x1000 - 20), 0]);
    expect(dwords(bench, stack + 0x1000 - 20, 5)).toEqual([0x1002, 0x33, 0x202, stack + 0x4000, 0x2b]);
    bench.set32(L.PENDING_VECTORS + 4, 1);
    expect(bench.op('iret', { size: 4 })).toBe(L.ST_POLL);
    expect([bench.get(L.RIP), bench.get(RSP), bench.get32(L.CPL), bench.selector(L.SS)]).toEqual([0x1002n, BigInt(stack + 0x4000), 3, 0x2b]);
    // A data segment of ring 0 does not come along to ring 3.
    expect([bench.selector(L.DS), bench.attr(L.DS) & 0x10000]).toEqual([0, 0x10000]);
  });

  it('calls through a call gate with parameters, and returns', () => {
    const { bench, gdt, stack } = protectedMode(3);
    bench.write64(gdt + 0x50, gate(8, 0x7000n, 12, 3, 2));
    bench.set(RSP, BigInt(stack + 0x4000 - 8));
    bench.memory.view.setUint32(stack + 0x4000 - 8, 0xaaaa, true);
    bench.memory.view.setUint32(stack + 0x4000 - 4, 0xbbbb, true);
    expect(bench.op('call_far', { imm: 0x53n << 32n, size: 4, length: 7 })).toBe(L.ST_DISPATCH);
    expect([bench.get(L.RIP), bench.get32(L.CPL)]).toEqual([0x7000n, 0]);
    expect(dwords(bench, Number(bench.get(RSP)), 6)).toEqual([0x1007, 0x33, 0xaaaa, 0xbbbb, stack + 0x4000 - 8, 0x2b]);
    expect(bench.op('retf', { size: 4, imm: 8n })).toBe(L.ST_DISPATCH);
    expect([bench.get(L.RIP), bench.get(RSP), bench.get32(L.CPL)]).toEqual([0x1007n, BigInt(stack + 0x4000), 3]);
  });

  it('switches tasks by JMP and comes back from a nested one by IRET', () => {
    const { bench, gdt, tss, stack } = protectedMode(0);
    const other = bench.page();
    bench.write64(gdt + 0x40, descriptor(BigInt(tss), 0x67, 0x8b));
    bench.write64(gdt + 0x48, descriptor(BigInt(other), 0x67, 0x89));
    const view = bench.memory.view;
    view.setUint32(other + 0x20, 0x9000, true);
    view.setUint32(other + 0x24, 2, true);
    view.setUint32(other + 0x38, stack + 0x2000, true);
    for (let seg = 0; seg < 6; seg++) view.setUint16(other + 0x48 + seg * 4, seg === 1 ? 8 : 0x10, true);
    bench.set(L.RBX, 0x55n);
    expect(bench.op('call_far', { imm: 0x48n << 32n, size: 4, length: 7 })).toBe(L.ST_DISPATCH);
    expect([bench.get(L.RIP), bench.get(RSP), bench.selector(L.TR)]).toEqual([0x9000n, BigInt(stack + 0x2000), 0x48]);
    expect(bench.rflags()).toBe(0x4002n);
    expect(bench.get(L.CR0) & 8n).toBe(8n);
    expect(view.getUint16(other, true)).toBe(0x40);
    expect(bench.op('iret', { size: 4, length: 1 })).toBe(L.ST_DISPATCH);
    expect([bench.get(L.RIP), bench.get(L.RBX), bench.selector(L.TR), bench.rflags()]).toEqual([0x1007n, 0x55n, 0x40, 0x202n]);
    expect([view.getUint8(gdt + 0x45), view.getUint8(gdt + 0x4d)]).toEqual([0x8b, 0x89]);
  });

  it('returns to virtual-8086 mode, and an interrupt leaves it with all segments on the stack', () => {
    const { bench, idt, stack } = protectedMode(0);
    const frame = [0x100, 0x2000, 0x20202, 0xfff0, 0x3000, 0x4000, 0x5000, 0x6000, 0x7000];
    const at = stack + 0x3000;
    frame.forEach((value, i) => bench.memory.view.setUint32(at + i * 4, value, true));
    bench.set(RSP, BigInt(at));
    bench.op('iret', { size: 4 });
    expect([bench.get32(L.REAL_MODE), bench.get32(L.CPL), bench.base(L.CS), bench.base(L.GS)]).toEqual([2, 3, 0x20000n, 0x70000n]);
    bench.write64(idt + 13 * 8, gate(8, 0x8000n, 14));
    expect(bench.op('int', { imm: 0x10n })).toBe(L.ST_FAULT);
    expect(bench.call('deliver')).toBe(L.ST_DISPATCH);
    expect(bench.get32(L.REAL_MODE)).toBe(0);
    expect(dwords(bench, Number(bench.get(RSP)), 10)).toEqual([0, 0x100, 0x2000, 0x30202, 0xfff0, 0x3000, 0x4000, 0x5000, 0x6000, 0x7000]);
    expect(bench.selector(L.DS)).toBe(0);
  });

  it.each<[string, number, number, number, string]>([
    ['beyond the GDT', 0, L.DS, 0x1000, '#13(1000)'],
    ['null into SS', 0, L.SS, 0, '#13(0)'],
    ['code into SS', 0, L.SS, 8, '#13(8)'],
    ['SS with another RPL', 0, L.SS, 0x13, '#13(10)'],
    ['SS not present', 0, L.SS, 0x58, '#12(58)'],
    ['DS of an inner level', 3, L.DS, 0x10, '#13(10)'],
    ['DS execute-only', 0, L.DS, 0x60, '#13(60)'],
    ['DS not present', 0, L.DS, 0x58, '#11(58)'],
    ['a system descriptor', 0, L.DS, 0x40, '#13(40)'],
  ])('refuses to load %s', (_name, cpl, seg, selector, expected) => {
    const { bench, gdt } = protectedMode(cpl);
    bench.write64(gdt + 0x40, descriptor(0n, 0x67, 0x8b));
    bench.write64(gdt + 0x58, descriptor(0n, 0xfffff, DATA32 & ~0x80));
    bench.write64(gdt + 0x60, descriptor(0n, 0xfffff, CODE32 & ~2));
    bench.set(L.RAX, BigInt(selector));
    expect(bench.op('mov_seg_load', { p1: seg, p2: bench.gpr(0) })).toBe(L.ST_FAULT);
    expect(bench.pending()).toBe(expected);
  });

  it('loads a segment, marks it accessed and blocks interrupts behind MOV SS', () => {
    const { bench, gdt } = protectedMode(0);
    bench.write64(gdt + 0x58, descriptor(0x1234_5678n, 0x10, 0x4092));
    bench.set(L.RAX, 0x58n);
    expect(bench.op('mov_seg_load', { p1: L.SS, p2: bench.gpr(0) })).toBe(L.ST_POLL);
    expect([bench.base(L.SS), bench.limit(L.SS), bench.attr(L.SS)]).toEqual([0x1234_5678n, 0x10, 0x4093]);
    expect(bench.memory.u8[gdt + 0x5d]).toBe(0x93);
    expect([bench.get32(L.INTERRUPTIBILITY), bench.get(L.RIP)]).toEqual([2, 0x1002n]);
  });

  it('checks limits of segmented addresses', () => {
    const { bench } = protectedMode(0);
    bench.segment(L.ES, 0x10, 0x4093, 0x1000n, 0xff);
    const at = (offset: number, size: number, write = 0): string | null => {
      bench.set(L.RBX, BigInt(offset));
      const status = bench.op('address', { p1: L.ES, p2: size, p3: write, base: bench.gpr(3), addressSize: 4 });
      return status === L.ST_NEXT ? `0x${bench.get(L.EA).toString(16)}` : bench.pending();
    };
    expect([at(0xfc, 4), at(0xfd, 4), at(0xffff_ffff, 2), at(0, 1, 1)]).toEqual(['0x10fc', '#13(0)', '#13(0)', '0x1000']);
    bench.segment(L.ES, 0x10, 0x4097, 0x1000n, 0xff);
    expect([at(0xff, 1), at(0x100, 4)]).toEqual(['#13(0)', '0x1100']);
    bench.segment(L.ES, 0x10, 0x4091, 0n, 0xff);
    expect([at(0, 1), at(0, 1, 1)]).toEqual(['0x0', '#13(0)']);
  });
});

describe('fast system calls', () => {
  it('enters by SYSCALL and leaves by SYSRET', () => {
    const { bench } = longMode(3);
    bench.set(L.MSR_STAR, (0x23n << 48n) | (0x10n << 32n));
    bench.set(L.MSR_LSTAR, 0xffff_8000_0000_1000n);
    bench.set(L.MSR_SFMASK, 0x4_7700n);
    expect(bench.op('syscall')).toBe(L.ST_DISPATCH);
    expect([bench.get(L.RIP), bench.get(L.RCX), bench.get(L.GPR + 88)]).toEqual([0xffff_8000_0000_1000n, 0x1002n, 0x246n]);
    expect([bench.selector(L.CS), bench.selector(L.SS), bench.get32(L.CPL), bench.rflags()]).toEqual([0x10, 0x18, 0, 0x46n]);
    expect(bench.op('sysret', { size: 8 })).toBe(L.ST_DISPATCH);
    expect([bench.get(L.RIP), bench.selector(L.CS), bench.selector(L.SS), bench.get32(L.CPL)]).toEqual([0x1002n, 0x33, 0x2b, 3]);
    expect([bench.get32(L.CODE_MODE), bench.rflags()]).toEqual([2, 0x246n]);
  });

  it('enters by SYSENTER and leaves by SYSEXIT', () => {
    const { bench } = protectedMode(3);
    bench.set(L.MSR_SYSENTER_CS, 0x60n);
    bench.set(L.MSR_SYSENTER_EIP, 0xc000_0000n);
    bench.set(L.MSR_SYSENTER_ESP, 0xc100_0000n);
    expect(bench.op('sysenter')).toBe(L.ST_DISPATCH);
    expect([bench.get(L.RIP), bench.get(RSP), bench.selector(L.CS), bench.selector(L.SS), bench.get32(L.CPL)])
      .toEqual([0xc000_0000n, 0xc100_0000n, 0x60, 0x68, 0]);
    bench.set(L.RCX, 0x5000n);
    bench.set(L.RDX, 0x6000n);
    expect(bench.op('sysexit', { size: 4 })).toBe(L.ST_DISPATCH);
    expect([bench.get(L.RIP), bench.get(RSP), bench.selector(L.CS), bench.selector(L.SS), bench.get32(L.CPL)])
      .toEqual([0x6000n, 0x5000n, 0x73, 0x7b, 3]);
  });
});

describe('flags', () => {
  it('round-trips every combination of arithmetic flags', () => {
    const bench = new MicrocodeBench();
    bench.enter('protected');
    for (let i = 0; i < 64; i++) {
      const value = BigInt((i & 1) | ((i & 2) << 1) | ((i & 4) << 2) | ((i & 8) << 3) | ((i & 16) << 3) | ((i & 32) << 6)) | 0x202n;
      bench.setRflags(value);
      expect(bench.rflags()).toBe(value);
    }
  });

  it('guards IF and IOPL in POPF by privilege', () => {
    const { bench, stack } = protectedMode(3);
    bench.memory.view.setUint32(stack + 0x3000, 0x24_7fd7, true);
    bench.set(RSP, BigInt(stack + 0x3000));
    bench.setRflags(2n);
    expect(bench.op('popf', { size: 4 })).toBe(L.ST_POLL); // TF
    expect(bench.rflags()).toBe(0x24_4dd7n);
    bench.setRflags(2n);
    expect(bench.op('cli')).toBe(L.ST_FAULT);
    expect(bench.pending()).toBe('#13(0)');
  });

  it('STI opens interrupts one instruction later', () => {
    const { bench } = protectedMode(0);
    bench.setRflags(2n);
    bench.set32(L.PENDING_VECTORS + 4, 1);
    expect(bench.op('sti', { length: 1 })).toBe(L.ST_POLL);
    expect([bench.get32(L.INTERRUPTIBILITY), bench.get(L.RIP), bench.rflags()]).toEqual([1, 0x1001n, 0x202n]);
    expect(bench.call('pollEvents')).toBe(16);
  });

  it('STI goes on at once while nothing waits, and still blocks an interrupt that comes before the next instruction', () => {
    const { bench, idt } = protectedMode(0);
    bench.write64(idt + 32 * 8, gate(8, 0x8000n, 14));
    for (const ran of [false, true]) {
      bench.setRflags(2n);
      bench.set(L.RIP, 0x1000n);
      expect(bench.op('sti', { length: 1 })).toBe(L.ST_NEXT);
      bench.set32(L.PENDING_VECTORS + 4, 1);
      bench.set(L.RIP, ran ? 0x1002n : 0x1001n);
      expect(bench.call('pollEvents')).toBe(ran ? L.ST_DISPATCH : 16);
      bench.set32(L.PENDING_VECTORS + 4, 0);
      bench.call('pollEvents');
    }
  });
});

describe('paged stacks', () => {
  it('reads descriptor tables as supervisor, whatever the privilege level', () => {
    const { bench } = longMode(3);
    const gdt = Number(bench.get(L.GDTR_BASE));
    bench.map(0xffff_9000_0000_0000n, BigInt(gdt), PTE_P | PTE_W, PTE_P | PTE_W);
    bench.set(L.GDTR_BASE, 0xffff_9000_0000_0000n);
    bench.set(L.RAX, 0x2bn);
    expect(bench.op('mov_seg_load', { p1: L.DS, p2: bench.gpr(0) })).toBe(L.ST_NEXT);
    expect(bench.attr(L.DS)).toBe(0xc0f3);
    expect(PTE_U).toBe(4n);
  });
});
