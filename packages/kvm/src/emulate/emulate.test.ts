import { KVM_EXIT_INTERNAL_ERROR, KVM_EXIT_IO, KVM_EXIT_MMIO } from '@vm/kvm-run';
import { GUEST_FS_BASE } from '@vm/kvm-run/vmx';
import { describe, expect, it } from 'vitest';
import { kvmRegisterRead64, kvmRegisterWrite64 } from '../cache-regs.ts';
import type { FakeProcessor, Fixture } from '../testing/device-fixture.ts';
import { fixture, setMode } from '../testing/device-fixture.ts';
import type { KvmVcpu } from '../types.ts';
import { EMULTYPE_SKIP, kvmEmulateInstruction } from './emulate-instruction.ts';

const CODE = 0x1000;
const DEVICE = 0xd0000000;
const FLAGS = 0x8d5;
const RAX = 0;
const RCX = 1;
const RDX = 2;
const RBX = 3;
const RSP = 4;
const RSI = 6;
const RDI = 7;

interface Machine {
  readonly f: Fixture;
  readonly vcpu: KvmVcpu;
  /** Bytes of a device of KVM at DEVICE. */
  readonly device: Uint8Array;
  readonly log: string[];
  set(reg: number, value: bigint | number): void;
  get(reg: number): bigint;
  code(bytes: string): void;
  memory(gpa: number): number;
}

function machine(bits: 16 | 32 | 64 = 64, inKernel = true, cpl = 0): Machine {
  const f = fixture();
  const vcpu = f.vcpus[0]!;
  const slot = f.addSlot(0, 16);
  setMode(vcpu, bits, cpl);
  vcpu.cr4 = 0x200;
  vcpu.processor.vmwrite(GUEST_FS_BASE, DEVICE, 0);
  const device = new Uint8Array(0x1000);
  const log: string[] = [];
  if (inKernel)
    f.kvm.mmioBus.register(DEVICE, 0x1000, {
      read: (_v, address, length, result) => {
        log.push(`r${length} ${(address - DEVICE).toString(16)}`);
        for (let i = 0; i < length; i++) result[i >> 2]! |= device[address - DEVICE + i]! << ((i & 3) * 8);
        return true;
      },
      write: (_v, address, length, low, high) => {
        log.push(`w${length} ${(address - DEVICE).toString(16)}`);
        for (let i = 0; i < length; i++) device[address - DEVICE + i] = (i < 4 ? low : high) >>> ((i & 3) * 8);
        return true;
      },
    });
  for (let reg = 0; reg < 16; reg++) kvmRegisterWrite64(vcpu, reg, 0n);
  kvmRegisterWrite64(vcpu, RSP, 0x8000n);
  return {
    f,
    vcpu,
    device,
    log,
    set: (reg, value) => kvmRegisterWrite64(vcpu, reg, BigInt(value)),
    get: (reg) => kvmRegisterRead64(vcpu, reg),
    code: (bytes) => {
      const insn = Uint8Array.from(bytes.split(' ').map((byte) => parseInt(byte, 16)));
      f.memory.write(slot.userspaceAddr + CODE, insn);
      kvmRegisterWrite64(vcpu, 16, BigInt(CODE));
    },
    memory: (gpa) => slot.userspaceAddr + gpa,
  };
}

const u64 = (device: Uint8Array, at = 0): bigint => new DataView(device.buffer).getBigUint64(at, true);
const put = (device: Uint8Array, value: bigint, at = 0): void =>
  new DataView(device.buffer).setBigUint64(at, value, true);
const length = (code: string): number => code.split(' ').length;

/** RBX points at the device, which holds `before`; RAX holds `rax`. Values after, flags if they matter. */
type Case = [
  name: string,
  code: string,
  before: bigint,
  rax: bigint,
  after: bigint,
  raxAfter: bigint,
  flags?: number,
];

const CF = 1;
const PF = 4;
const AF = 0x10;
const ZF = 0x40;
const SF = 0x80;
const OF = 0x800;
const cases: Case[] = [
  ['mov %eax,(%rbx)', '89 03', ~0n, 0x1122334455667788n, 0xffffffff55667788n, 0x1122334455667788n],
  ['mov %rax,(%rbx)', '48 89 03', 0n, 0x1122334455667788n, 0x1122334455667788n, 0x1122334455667788n],
  ['mov %ax,(%rbx)', '66 89 03', 0n, 0x1122n, 0x1122n, 0x1122n],
  ['mov %ah,(%rbx)', '88 23', 0n, 0x1122n, 0x11n, 0x1122n],
  ['mov (%rbx),%eax', '8b 03', 0x99aabbccddeeff00n, ~0n, 0x99aabbccddeeff00n, 0xddeeff00n],
  ['mov (%rbx),%ah', '8a 23', 0x77n, 0x1122n, 0x77n, 0x7722n],
  ['movl $imm,(%rbx)', 'c7 03 78 56 34 12', 0n, 0n, 0x12345678n, 0n],
  ['movq $-1,(%rbx)', '48 c7 03 ff ff ff ff', 0n, 0n, 0xffffffffffffffffn, 0n],
  ['movb $imm,(%rbx)', 'c6 03 5a', 0n, 0n, 0x5an, 0n],
  ['movzbl (%rbx),%eax', '0f b6 03', 0xf1f2n, ~0n, 0xf1f2n, 0xf2n],
  ['movzwl (%rbx),%eax', '0f b7 03', 0xa1f1f2n, ~0n, 0xa1f1f2n, 0xf1f2n],
  ['movsbl (%rbx),%eax', '0f be 03', 0xf2n, 0n, 0xf2n, 0xfffffff2n],
  ['movswq (%rbx),%rax', '48 0f bf 03', 0x8000n, 0n, 0x8000n, 0xffffffffffff8000n],
  ['movslq (%rbx),%rax', '48 63 03', 0x80000000n, 0n, 0x80000000n, 0xffffffff80000000n],
  ['movbe (%rbx),%eax', '0f 38 f0 03', 0x11223344n, 0n, 0x11223344n, 0x44332211n],
  ['movbe %rax,(%rbx)', '48 0f 38 f1 03', 0n, 0x1122334455667788n, 0x8877665544332211n, 0x1122334455667788n],
  ['addl %eax,(%rbx) carries', '01 03', 0xffffffffn, 1n, 0n, 1n, CF | PF | AF | ZF],
  ['addb overflow', '00 03', 0x7fn, 1n, 0x80n, 1n, AF | SF | OF],
  ['addq carries between halves', '48 01 03', 0xffffffffn, 1n, 0x100000000n, 1n, PF | AF],
  ['addq overflow', '48 01 03', 0x7fffffffffffffffn, 1n, 0x8000000000000000n, 1n, PF | AF | SF | OF],
  ['adc with carry', '11 03', 1n, 1n, 3n, 1n, PF],
  ['sbb with carry', '19 03', 1n, 1n, 0xffffffffn, 1n, CF | PF | AF | SF],
  ['subq borrows between halves', '48 29 03', 0x100000000n, 1n, 0xffffffffn, 1n, PF | AF],
  ['sub (%rbx),%eax', '2b 03', 3n, 5n, 3n, 2n, 0],
  ['cmpl %eax,(%rbx)', '39 03', 5n, 5n, 5n, 5n, PF | ZF],
  ['cmp $imm8 is sign-extended', '83 3b ff', 0xffffffffn, 0n, 0xffffffffn, 0n, PF | ZF],
  ['andl $imm', '81 23 0f 00 00 00', 0xabcn, 0n, 0xcn, 0n, PF],
  ['orl %eax', '09 03', 0xf0n, 0x0fn, 0xffn, 0x0fn, PF],
  ['xorl %eax', '31 03', 5n, 5n, 0n, 5n, PF | ZF],
  ['testb $imm', 'f6 03 80', 0x80n, 0n, 0x80n, 0n, SF],
  ['lock incl keeps CF', 'f0 ff 03', 0xffn, 0n, 0x100n, 0n, CF | PF | AF],
  ['decw', '66 ff 0b', 0n, 0n, 0xffffn, 0n, CF | PF | AF | SF],
  ['notq', '48 f7 13', 1n, 0n, 0xfffffffffffffffen, 0n],
  ['negl', 'f7 1b', 1n, 0n, 0xffffffffn, 0n, CF | PF | AF | SF],
  ['xchg', '87 03', 7n, 9n, 9n, 7n],
  ['lock xadd', 'f0 0f c1 03', 7n, 9n, 16n, 7n],
  ['cmpxchg equal', '0f b1 0b', 5n, 5n, 0x77n, 5n],
  ['cmpxchg different', '0f b1 0b', 6n, 5n, 6n, 6n, PF | AF | SF | CF],
  ['cmpxchg8b equal', '0f c7 0b', 0x500000005n, 5n, 0x77_d0000000n, 5n],
  ['cmpxchg8b different', '0f c7 0b', 0x500000006n, 5n, 0x500000006n, 6n],
  ['bts $imm', '0f ba 2b 05', 0n, 0n, 0x20n, 0n],
  ['bt is carry', '0f ba 23 05', 0x20n, 0n, 0x20n, 0n],
  ['btr %eax beyond the operand', '0f b3 03', 1n << 36n, 36n, 0n, 36n],
  ['shll $4', 'c1 23 04', 0x10000001n, 0n, 0x10n, 0n],
  ['sarb', 'd0 3b', 0x80n, 0n, 0xc0n, 0n],
  ['rolw', '66 c1 03 04', 0x8001n, 0n, 0x18n, 0n],
  ['rcrl through carry', 'd1 1b', 2n, 0n, 0x80000001n, 0n],
  ['imul (%rbx),%eax', '0f af 03', 7n, 6n, 7n, 42n],
  ['mull', 'f7 23', 0x10n, 0x20000000n, 0x10n, 0n],
  ['setz', '0f 94 03', 0xffn, 0n, 0n, 0n],
  ['cmovc', '0f 42 03', 5n, 1n, 5n, 5n],
  ['movnti', '0f c3 03', 0n, 9n, 9n, 9n],
  ['moffs store', 'a3 00 00 00 d0 00 00 00 00', 0n, 0x55n, 0x55n, 0x55n],
  ['moffs load', 'a1 00 00 00 d0 00 00 00 00', 0x66n, 0n, 0x66n, 0x66n],
  ['fs base', '64 89 04 25 00 00 00 00', 0n, 0x12n, 0x12n, 0x12n],
  ['sib', '89 84 8b 24 fe ff ff', 0n, 0x33n, 0x33n, 0x33n],
  ['clflush', '0f ae 3b', 1n, 0n, 1n, 0n],
];

describe('instructions on device memory', () => {
  it.each(cases)('%s', (_name, code, before, rax, after, raxAfter, flags) => {
    const m = machine();
    put(m.device, before);
    m.set(RAX, rax);
    m.set(RBX, DEVICE);
    m.set(RCX, 0x77);
    m.set(RDX, 5);
    m.vcpu.rflags = 2 | CF;
    m.code(code);
    expect(kvmEmulateInstruction(m.vcpu, 0)).toBe(1);
    expect(u64(m.device)).toBe(after);
    expect(m.get(RAX)).toBe(raxAfter);
    expect(m.get(16)).toBe(BigInt(CODE + length(code)));
    if (flags !== undefined) expect(m.vcpu.rflags & FLAGS).toBe(flags);
  });

  it('divides, and faults on zero', () => {
    const m = machine();
    m.set(RBX, DEVICE);
    m.set(RAX, 100);
    put(m.device, 7n);
    m.code('f7 33');
    kvmEmulateInstruction(m.vcpu, 0);
    expect([m.get(RAX), m.get(RDX)]).toEqual([14n, 2n]);
    put(m.device, 0n);
    m.code('f7 33');
    expect(kvmEmulateInstruction(m.vcpu, 0)).toBe(1);
    expect(m.vcpu.exception).toMatchObject({ pending: true, vector: 0, hasErrorCode: false });
    expect(m.get(16)).toBe(BigInt(CODE));
  });

  it('pushes from, pops to, and calls through device memory', () => {
    const m = machine();
    m.set(RBX, DEVICE);
    put(m.device, 0x1122334455667788n);
    m.code('ff 33');
    kvmEmulateInstruction(m.vcpu, 0);
    expect(m.get(RSP)).toBe(0x7ff8n);
    expect(m.f.memory.view.getBigUint64(m.memory(0x7ff8), true)).toBe(0x1122334455667788n);
    m.code('8f 43 08');
    kvmEmulateInstruction(m.vcpu, 0);
    expect(u64(m.device, 8)).toBe(0x1122334455667788n);
    expect(m.get(RSP)).toBe(0x8000n);
    put(m.device, 0x4000n);
    m.code('ff 13');
    kvmEmulateInstruction(m.vcpu, 0);
    expect(m.get(16)).toBe(0x4000n);
    expect(m.f.memory.view.getBigUint64(m.memory(0x7ff8), true)).toBe(BigInt(CODE + 2));
  });

  it('addresses relative to RIP, and by 16-bit and 32-bit modes', () => {
    const m = machine();
    m.set(RAX, 0x42);
    m.code('89 05 fa ef ff cf');
    kvmEmulateInstruction(m.vcpu, 0);
    expect(m.device[0]).toBe(0x42);
    const p = machine(32);
    p.set(RAX, 0x43);
    p.set(RBX, 0xcffffff0);
    p.code('89 43 10');
    kvmEmulateInstruction(p.vcpu, 0);
    expect(p.device[0]).toBe(0x43);
    const r = machine(16, false);
    r.f.kvm.mmioBus.register(0xb8000, 0x1000, { read: () => true, write: (_v, a, n, low) => (r.log.push(`${a} ${n} ${low}`), true) });
    r.vcpu.processor.vmwrite(0x680c, 0xb8000, 0);
    r.set(RBX, 0x10);
    r.set(RSI, 0xfff4);
    r.code('c7 40 02 41 07');
    kvmEmulateInstruction(r.vcpu, 0);
    expect(r.log).toEqual([`${0xb8000 + 6} 2 1857`]);
  });
});

describe('string instructions', () => {
  it('moves from memory to a device and back, both ways', () => {
    const m = machine();
    m.f.memory.write(m.memory(0x2000), Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
    m.set(RSI, 0x2000);
    m.set(RDI, DEVICE);
    m.set(RCX, 2);
    m.code('f3 a5');
    expect(kvmEmulateInstruction(m.vcpu, 0)).toBe(1);
    expect(u64(m.device)).toBe(0x0807060504030201n);
    expect([m.get(RSI), m.get(RDI), m.get(RCX)]).toEqual([0x2008n, BigInt(DEVICE + 8), 0n]);
    expect(m.log).toEqual(['w4 0', 'w4 4']);
    m.vcpu.rflags |= 0x400;
    m.set(RSI, DEVICE + 7);
    m.set(RDI, 0x3007);
    m.set(RCX, 8);
    m.code('f3 a4');
    kvmEmulateInstruction(m.vcpu, 0);
    expect(m.f.memory.view.getBigUint64(m.memory(0x3000), true)).toBe(0x0807060504030201n);
    expect([m.get(RSI), m.get(RCX)]).toEqual([BigInt(DEVICE - 1), 0n]);
  });

  it('fills, and lets the guest breathe after 1024 elements', () => {
    const m = machine();
    m.set(RAX, 0xee);
    m.set(RDI, DEVICE);
    m.set(RCX, 2000);
    m.code('f3 aa');
    expect(kvmEmulateInstruction(m.vcpu, 0)).toBe(1);
    expect(m.get(RCX)).toBe(976n);
    expect(m.get(16)).toBe(BigInt(CODE));
    kvmEmulateInstruction(m.vcpu, 0);
    expect(m.get(RCX)).toBe(0n);
    expect(m.get(16)).toBe(BigInt(CODE + 2));
    expect([m.device[1999], m.device[2000]]).toEqual([0xee, 0]);
  });

  it('loads, compares and scans until they differ', () => {
    const m = machine();
    m.device.set([9, 9, 9, 5]);
    m.set(RAX, 9);
    m.set(RDI, DEVICE);
    m.set(RCX, 10);
    m.code('f3 ae');
    kvmEmulateInstruction(m.vcpu, 0);
    expect([m.get(RCX), m.get(RDI)]).toEqual([6n, BigInt(DEVICE + 4)]);
    expect(m.vcpu.rflags & ZF).toBe(0);
    m.f.memory.write(m.memory(0x2000), Uint8Array.of(9, 9, 1));
    m.set(RSI, 0x2000);
    m.set(RDI, DEVICE);
    m.set(RCX, 10);
    m.code('f3 a6');
    kvmEmulateInstruction(m.vcpu, 0);
    expect(m.get(RCX)).toBe(7n);
    m.set(RSI, DEVICE + 3);
    m.code('ac');
    kvmEmulateInstruction(m.vcpu, 0);
    expect(m.get(RAX)).toBe(5n);
  });

  it('does nothing when the count is zero', () => {
    const m = machine();
    m.set(RDI, DEVICE);
    m.set(RCX, 0n);
    m.code('f3 aa');
    kvmEmulateInstruction(m.vcpu, 0);
    expect(m.log).toEqual([]);
    expect(m.get(16)).toBe(BigInt(CODE + 2));
  });
});

describe('MMIO in userspace', () => {
  const answer = (m: Machine, value: bigint): number => {
    m.vcpu.run.view.setBigUint64(m.vcpu.run.mmioDataOffset, value, true);
    const complete = m.vcpu.completeUserspaceIo!;
    m.vcpu.completeUserspaceIo = null;
    return complete(m.vcpu);
  };
  const data = (m: Machine): bigint => m.vcpu.run.view.getBigUint64(m.vcpu.run.mmioDataOffset, true);

  it('reads: the instruction ends after the answer', () => {
    const m = machine(64, false);
    m.set(RBX, DEVICE);
    m.code('48 8b 43 08');
    expect(kvmEmulateInstruction(m.vcpu, 0)).toBe(0);
    expect(m.vcpu.run.exitReason).toBe(KVM_EXIT_MMIO);
    expect([m.vcpu.run.mmioPhysAddr, m.vcpu.run.mmioLen, m.vcpu.run.mmioIsWrite]).toEqual([DEVICE + 8, 8, 0]);
    expect(m.get(16)).toBe(BigInt(CODE));
    expect(answer(m, 0x1234567890abcdefn)).toBe(1);
    expect(m.get(RAX)).toBe(0x1234567890abcdefn);
    expect(m.get(16)).toBe(BigInt(CODE + 4));
  });

  it('writes: the instruction has ended, the guest goes on after the exit', () => {
    const m = machine(64, false);
    m.set(RBX, DEVICE);
    m.set(RAX, 0xdeadbeef);
    m.code('89 03');
    expect(kvmEmulateInstruction(m.vcpu, 0)).toBe(0);
    expect([m.vcpu.run.mmioLen, m.vcpu.run.mmioIsWrite, data(m)]).toEqual([4, 1, 0xdeadbeefn]);
    expect(m.get(16)).toBe(BigInt(CODE + 2));
    expect(answer(m, 0n)).toBe(1);
  });

  it('reads, then writes, for an instruction that changes memory', () => {
    const m = machine(64, false);
    m.set(RBX, DEVICE);
    m.set(RAX, 3);
    m.code('f0 01 03');
    expect(kvmEmulateInstruction(m.vcpu, 0)).toBe(0);
    expect(m.vcpu.run.mmioIsWrite).toBe(0);
    expect(answer(m, 4n)).toBe(0);
    expect([m.vcpu.run.mmioIsWrite, data(m)]).toEqual([1, 7n]);
    expect(answer(m, 0n)).toBe(1);
    expect(m.get(16)).toBe(BigInt(CODE + 3));
  });

  it('splits an access that leaves the memory', () => {
    const m = machine(32, false);
    m.f.memory.write(m.memory(0xfffe), Uint8Array.of(0x11, 0x22));
    m.set(RBX, 0xfffe);
    m.code('8b 03');
    expect(kvmEmulateInstruction(m.vcpu, 0)).toBe(0);
    expect([m.vcpu.run.mmioPhysAddr, m.vcpu.run.mmioLen]).toEqual([0x10000, 2]);
    expect(answer(m, 0x4433n)).toBe(1);
    expect(m.get(RAX)).toBe(0x44332211n);
  });

  it('moves sixteen bytes in two fragments', () => {
    const m = machine(64, false);
    const processor = m.vcpu.processor as unknown as FakeProcessor;
    (m.vcpu.cpu as { fpuOwner: KvmVcpu | null }).fpuOwner = m.vcpu;
    m.set(RBX, DEVICE);
    m.code('0f 10 13');
    expect(kvmEmulateInstruction(m.vcpu, 0)).toBe(0);
    expect([m.vcpu.run.mmioPhysAddr, m.vcpu.run.mmioLen]).toEqual([DEVICE, 8]);
    expect(answer(m, 0x0706050403020100n)).toBe(0);
    expect([m.vcpu.run.mmioPhysAddr, m.vcpu.run.mmioLen]).toEqual([DEVICE + 8, 8]);
    expect(answer(m, 0x0f0e0d0c0b0a0908n)).toBe(1);
    expect([...processor.xmm.subarray(32, 48)]).toEqual(Array.from({ length: 16 }, (_, i) => i));
    m.code('66 0f 7f 53 10');
    expect(kvmEmulateInstruction(m.vcpu, 0)).toBe(0);
    expect(data(m)).toBe(0x0706050403020100n);
    expect(answer(m, 0n)).toBe(0);
    expect([m.vcpu.run.mmioPhysAddr, data(m)]).toEqual([DEVICE + 0x18, 0x0f0e0d0c0b0a0908n]);
    expect(answer(m, 0n)).toBe(1);
    m.code('0f 29 53 08');
    kvmEmulateInstruction(m.vcpu, 0);
    expect(m.vcpu.exception).toMatchObject({ pending: true, vector: 13 });
  });

  it('moves a string from device to device element by element', () => {
    const m = machine(64, false);
    m.set(RSI, DEVICE);
    m.set(RDI, DEVICE + 0x100);
    m.set(RCX, 2);
    m.code('f3 a5');
    const log: string[] = [];
    let result = kvmEmulateInstruction(m.vcpu, 0);
    for (let i = 0; i < 20 && m.get(16) === BigInt(CODE); i++) {
      if (result === 1) {
        result = kvmEmulateInstruction(m.vcpu, 0);
        continue;
      }
      const { run } = m.vcpu;
      log.push(run.mmioIsWrite ? `w ${(run.mmioPhysAddr - DEVICE).toString(16)} ${data(m)}` : `r ${(run.mmioPhysAddr - DEVICE).toString(16)}`);
      result = answer(m, BigInt(i + 40));
    }
    expect(m.get(RCX)).toBe(0n);
    expect(log.map((line) => line.split(' ').slice(0, 2).join(' '))).toEqual(['r 0', 'w 100', 'r 4']);
    expect([result, m.vcpu.run.mmioIsWrite, m.vcpu.run.mmioPhysAddr]).toEqual([0, 1, DEVICE + 0x104]);
  });
});

describe('ports', () => {
  const answer = (m: Machine): number => m.vcpu.completeUserspaceIo!(m.vcpu);

  it('reads a string ahead, page by page', () => {
    const m = machine(32, false);
    m.set(RDX, 0x1f0);
    m.set(RDI, 0x2ff8);
    m.set(RCX, 8);
    m.code('f3 66 6d');
    expect(kvmEmulateInstruction(m.vcpu, 0)).toBe(0);
    const { run } = m.vcpu;
    expect([run.exitReason, run.ioPort, run.ioSize, run.ioCount, run.ioDirection]).toEqual([KVM_EXIT_IO, 0x1f0, 2, 4, 0]);
    run.pioData.set([1, 0, 2, 0, 3, 0, 4, 0]);
    expect(answer(m)).toBe(0);
    expect(run.ioCount).toBe(4);
    run.pioData.set([5, 0, 6, 0, 7, 0, 8, 0]);
    expect(answer(m)).toBe(1);
    const words = Array.from({ length: 8 }, (_, i) => m.f.memory.view.getUint16(m.memory(0x2ff8 + i * 2), true));
    expect(words).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect([m.get(RCX), m.get(RDI), m.get(16)]).toEqual([0n, 0x3008n, BigInt(CODE + 3)]);
  });

  it('writes a string in one exit', () => {
    const m = machine(32, false);
    m.f.memory.write(m.memory(0x2000), Uint8Array.from('hello', (c) => c.charCodeAt(0)));
    m.set(RDX, 0x402);
    m.set(RSI, 0x2000);
    m.set(RCX, 5);
    m.code('f3 6e');
    expect(kvmEmulateInstruction(m.vcpu, 0)).toBe(0);
    const { run } = m.vcpu;
    expect([run.ioPort, run.ioSize, run.ioCount, run.ioDirection]).toEqual([0x402, 1, 5, 1]);
    expect(String.fromCharCode(...run.pioData.subarray(0, 5))).toBe('hello');
    expect([m.get(RCX), m.get(RSI), m.get(16)]).toEqual([0n, 0x2005n, BigInt(CODE + 2)]);
  });

  it('serves single accesses', () => {
    const m = machine(32, false);
    m.f.kvm.pioBus.register(0x60, 1, { read: (_v, _a, _n, result) => ((result[0] = 0x5a), true), write: () => true });
    m.set(RAX, 0x1100);
    m.code('e4 60');
    expect(kvmEmulateInstruction(m.vcpu, 0)).toBe(1);
    expect(m.get(RAX)).toBe(0x115an);
    m.set(RDX, 0x1234);
    m.code('ef');
    expect(kvmEmulateInstruction(m.vcpu, 0)).toBe(0);
    expect([m.vcpu.run.ioPort, m.vcpu.run.ioSize]).toEqual([0x1234, 4]);
  });
});

describe('what cannot be emulated', () => {
  it('leaves to userspace with the bytes', () => {
    const m = machine();
    m.code('d9 03 90');
    expect(kvmEmulateInstruction(m.vcpu, 0)).toBe(0);
    const { view } = m.vcpu.run;
    expect(m.vcpu.run.exitReason).toBe(KVM_EXIT_INTERNAL_ERROR);
    expect([view.getUint32(32, true), view.getUint32(40, true), view.getUint8(48)]).toEqual([1, 1, 15]);
    expect([view.getUint8(49), view.getUint8(50)]).toEqual([0xd9, 0x03]);
  });

  it('gives an application #UD instead', () => {
    const m = machine(64, true, 3);
    m.code('d9 03');
    expect(kvmEmulateInstruction(m.vcpu, 0)).toBe(1);
    expect(m.vcpu.exception).toMatchObject({ pending: true, vector: 6 });
  });

  const faults: [name: string, bits: 16 | 32 | 64, code: string, rbx: bigint, vector: number][] = [
    ['lock on a register', 64, 'f0 01 c0', 0n, 6],
    ['lock on mov', 64, 'f0 89 03', BigInt(DEVICE), 6],
    ['non-canonical address', 64, '89 03', 0x8000_0000_0000_0000n, 13],
    ['non-canonical stack address', 64, '89 45 00', 0n, 12],
    ['beyond the limit', 16, '66 89 07', 0xfffen, 13],
  ];
  it.each(faults)('faults: %s', (_name, bits, code, rbx, vector) => {
    const m = machine(bits);
    m.set(RBX, rbx);
    m.set(5, 0x8000_0000_0000_0000n);
    m.code(code);
    expect(kvmEmulateInstruction(m.vcpu, 0)).toBe(1);
    expect(m.vcpu.exception).toMatchObject({ pending: true, vector });
  });

  it('does not run code in device memory, nor more than 15 bytes', () => {
    const m = machine();
    kvmRegisterWrite64(m.vcpu, 16, BigInt(DEVICE));
    expect(kvmEmulateInstruction(m.vcpu, 0)).toBe(0);
    const n = machine();
    n.code(`${'66 '.repeat(15)}89 03`);
    expect(kvmEmulateInstruction(n.vcpu, 0)).toBe(1);
    expect(n.vcpu.exception.vector).toBe(13);
  });

  it('only passes the instruction when it is to be skipped', () => {
    const m = machine();
    m.set(RBX, DEVICE);
    m.code('c7 43 04 01 00 00 00');
    expect(kvmEmulateInstruction(m.vcpu, EMULTYPE_SKIP)).toBe(1);
    expect(m.get(16)).toBe(BigInt(CODE + 7));
    expect(m.log).toEqual([]);
  });

  it('survives any bytes in any mode', () => {
    const m = machine(64);
    let seed = 12345;
    const next = (): number => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0);
    for (let i = 0; i < 20000; i++) {
      setMode(m.vcpu, ([16, 32, 64] as const)[i % 3]!, i & 1 ? 3 : 0);
      const bytes = Array.from({ length: 16 }, () => ((next() >>> 16) & 0xff).toString(16)).join(' ');
      m.code(i % 4 === 0 ? `0f ${bytes}` : bytes);
      for (let reg = 0; reg < 16; reg++) m.set(reg, i % 5 === 0 ? DEVICE : (BigInt(next()) << 20n) | BigInt(next()));
      m.set(RCX, i % 50);
      m.vcpu.exception.pending = false;
      m.vcpu.mmioNeeded = false;
      m.vcpu.mmioReadCompleted = false;
      m.vcpu.pioCount = 0;
      let result = kvmEmulateInstruction(m.vcpu, 0);
      for (let k = 0; k < 4 && result === 0 && m.vcpu.completeUserspaceIo !== null; k++) {
        const complete = m.vcpu.completeUserspaceIo;
        m.vcpu.completeUserspaceIo = null;
        result = complete(m.vcpu);
      }
      m.vcpu.completeUserspaceIo = null;
    }
  });
});
