import { beforeEach, describe, expect, test } from 'vitest';
import * as P from '@vm/kvm-run';
import { openKvm, type KvmDevice } from './index.ts';
import { FakeProcessor } from './testing/fake-processor.ts';

let memory: P.HostMemory;
let kvm: KvmDevice;
let vm: P.KvmFile;
let vcpu: P.KvmFile;

const file = (descriptor: number): P.KvmFile => {
  expect(descriptor).toBeGreaterThan(0);
  return kvm.file(descriptor)!;
};

const region = (slot: number, gpa: number, size: number, hva: number, flags = 0): Uint8Array => {
  const r = P.view(P.kvmUserspaceMemoryRegion, P.allocate(P.kvmUserspaceMemoryRegion));
  r.slot = slot;
  r.flags = flags;
  r.guest_phys_addr = BigInt(gpa);
  r.memory_size = BigInt(size);
  r.userspace_addr = BigInt(hva);
  return P.bytesOf(r);
};

beforeEach(() => {
  memory = P.HostMemory.create(16 << 20);
  kvm = openKvm({ memory, processors: [new FakeProcessor(memory, () => {})] });
  vm = file(kvm.ioctl(P.KVM_CREATE_VM, 0));
  vcpu = file(vm.ioctl(P.KVM_CREATE_VCPU, 0));
});

describe('errors of the system file', () => {
  test.each<[string, number, P.IoctlArgument, number]>([
    ['API version', P.KVM_GET_API_VERSION, 0, 12],
    ['API version with an argument', P.KVM_GET_API_VERSION, 1, -P.EINVAL],
    ['mapping size', P.KVM_GET_VCPU_MMAP_SIZE, 0, 12288],
    ['unknown VM type', P.KVM_CREATE_VM, 1, -P.EINVAL],
    ['a code of another level', P.KVM_RUN, 0, -P.EINVAL],
    ['nonsense', 0xdeadbeef, 0, -P.EINVAL],
    ['CPUID without room', P.KVM_GET_SUPPORTED_CPUID, P.allocate(P.kvmCpuid2), -P.E2BIG],
    ['CPUID too short', P.KVM_GET_SUPPORTED_CPUID, new Uint8Array(4), -P.EFAULT],
    ['CPUID by number', P.KVM_GET_SUPPORTED_CPUID, 0, -P.EFAULT],
    ['MSR list without room', P.KVM_GET_MSR_INDEX_LIST, P.allocate(P.kvmMsrList), -P.E2BIG],
    ['an extension', P.KVM_CHECK_EXTENSION, P.KVM_CAP_USER_MEMORY, 1],
    ['no such extension', P.KVM_CHECK_EXTENSION, 9999, 0],
  ])('%s', (_name, code, argument, result) => {
    expect(kvm.ioctl(code, argument)).toBe(result);
  });

  test('CPUID with too little room is left as it is', () => {
    const bytes = P.allocate(P.kvmCpuid2, 2);
    P.view(P.kvmCpuid2, bytes).nent = 2;
    expect(kvm.ioctl(P.KVM_GET_SUPPORTED_CPUID, bytes)).toBe(-P.E2BIG);
    expect(P.view(P.kvmCpuid2, bytes).nent).toBe(2);
  });

  test('a processor without VMX features is refused', () => {
    const processor = new FakeProcessor(memory, () => {});
    processor.msrs.clear();
    expect(() => openKvm({ memory, processors: [processor] })).toThrow(/VMX controls/);
    expect(() => openKvm({ memory, processors: [] })).toThrow(RangeError);
  });
});

describe('memory slots', () => {
  const MEBI = 1 << 20;
  test.each<[string, () => Uint8Array, number]>([
    ['a new slot', () => region(0, 0, MEBI, 0x100000), 0],
    ['size not of pages', () => region(0, 0, 100, 0x100000), -P.EINVAL],
    ['address not of pages', () => region(0, 0x800, MEBI, 0x100000), -P.EINVAL],
    ['host address not of pages', () => region(0, 0, MEBI, 0x100800), -P.EINVAL],
    ['past the end of host memory', () => region(0, 0, 32 * MEBI, 0x100000), -P.EINVAL],
    ['past the guest-physical space', () => region(0, 2 ** 52 - 4096, 8192, 0x100000), -P.EINVAL],
    ['an address space that is not there', () => region(0x10000, 0, MEBI, 0x100000), -P.EINVAL],
    ['a slot number too large', () => region(40000, 0, MEBI, 0x100000), -P.EINVAL],
    ['unknown flags', () => region(0, 0, MEBI, 0x100000, 4), -P.EINVAL],
    ['deleting what is not there', () => region(5, 0, 0, 0), -P.EINVAL],
    ['too short', () => new Uint8Array(31), -P.EFAULT],
  ])('%s', (_name, argument, result) => {
    expect(vm.ioctl(P.KVM_SET_USER_MEMORY_REGION, argument())).toBe(result);
  });

  test('slots may not overlap, may move, change flags, and go', () => {
    const set = (...args: Parameters<typeof region>): number => vm.ioctl(P.KVM_SET_USER_MEMORY_REGION, region(...args));
    expect(set(0, 0, MEBI, 0x100000)).toBe(0);
    expect(set(1, MEBI - 4096, MEBI, 0x300000)).toBe(-P.EEXIST);
    expect(set(1, MEBI, MEBI, 0x300000)).toBe(0);
    expect(set(1, 0, MEBI, 0x300000)).toBe(-P.EEXIST);
    expect(set(1, 4 * MEBI, MEBI, 0x300000)).toBe(0);
    expect(set(1, 4 * MEBI, MEBI, 0x400000)).toBe(-P.EINVAL);
    expect(set(1, 4 * MEBI, 2 * MEBI, 0x300000)).toBe(-P.EINVAL);
    expect(set(1, 4 * MEBI, MEBI, 0x300000, P.KVM_MEM_READONLY)).toBe(-P.EINVAL);
    expect(set(1, 4 * MEBI, MEBI, 0x300000, P.KVM_MEM_LOG_DIRTY_PAGES)).toBe(0);
    expect(set(1, 4 * MEBI, 0, 0x300000)).toBe(0);
    expect(set(1, 4 * MEBI, 0, 0x300000)).toBe(-P.EINVAL);
  });

  test('the dirty log exists only while logging is on, and goes to memory of userspace', () => {
    const log = P.view(P.kvmDirtyLog, P.allocate(P.kvmDirtyLog));
    log.dirty_bitmap = BigInt(memory.allocPages(1));
    vm.ioctl(P.KVM_SET_USER_MEMORY_REGION, region(0, 0, MEBI, 0x100000));
    expect(vm.ioctl(P.KVM_GET_DIRTY_LOG, P.bytesOf(log))).toBe(-P.ENOENT);
    vm.ioctl(P.KVM_SET_USER_MEMORY_REGION, region(0, 0, MEBI, 0x100000, P.KVM_MEM_LOG_DIRTY_PAGES));
    expect(vm.ioctl(P.KVM_GET_DIRTY_LOG, P.bytesOf(log))).toBe(0);
    log.dirty_bitmap = 1n << 40n;
    expect(vm.ioctl(P.KVM_GET_DIRTY_LOG, P.bytesOf(log))).toBe(-P.EFAULT);
    log.slot = 0x10000;
    expect(vm.ioctl(P.KVM_GET_DIRTY_LOG, P.bytesOf(log))).toBe(-P.EINVAL);
  });
});

describe('errors of VM files', () => {
  test.each<[string, number, P.IoctlArgument, number]>([
    ['nonsense', 0xdeadbeef, 0, -P.ENOTTY],
    ['a vCPU\'s code', P.KVM_GET_REGS, P.allocate(P.kvmRegs), -P.ENOTTY],
    ['a vCPU twice', P.KVM_CREATE_VCPU, 0, -P.EEXIST],
    ['a vCPU number too large', P.KVM_CREATE_VCPU, 100000, -P.EINVAL],
    ['an interrupt chip after a vCPU', P.KVM_CREATE_IRQCHIP, 0, -P.EINVAL],
    ['a timer without interrupt chip', P.KVM_CREATE_PIT2, P.allocate(P.kvmPitConfig), -P.ENOENT],
    ['an interrupt line without chip', P.KVM_IRQ_LINE, P.allocate(P.kvmIrqLevel), -P.ENXIO],
    ['a chip\'s state without chip', P.KVM_GET_IRQCHIP, P.allocate(P.kvmIrqchip), -P.ENXIO],
    ['routing without chip', P.KVM_SET_GSI_ROUTING, P.allocate(P.kvmIrqRouting), -P.EINVAL],
    ['boot CPU after a vCPU', P.KVM_SET_BOOT_CPU_ID, 1, -P.EBUSY],
    ['an ioeventfd on a descriptor that is not open', P.KVM_IOEVENTFD, P.allocate(P.kvmIoeventfd), -P.EBADF],
    ['a device', P.KVM_CREATE_DEVICE, P.allocate(P.kvmCreateDevice), -P.ENODEV],
    ['an unknown capability', P.KVM_ENABLE_CAP, P.allocate(P.kvmEnableCap), -P.EINVAL],
  ])('%s', (_name, code, argument, result) => {
    expect(vm.ioctl(code, argument)).toBe(result);
  });

  test('the interrupt chip and its companions', () => {
    const other = file(kvm.ioctl(P.KVM_CREATE_VM, 0));
    expect(other.ioctl(P.KVM_CREATE_IRQCHIP, 0)).toBe(0);
    expect(other.ioctl(P.KVM_CREATE_IRQCHIP, 0)).toBe(-P.EEXIST);
    expect(other.ioctl(P.KVM_CREATE_PIT2, P.allocate(P.kvmPitConfig))).toBe(0);
    expect(other.ioctl(P.KVM_CREATE_PIT2, P.allocate(P.kvmPitConfig))).toBe(-P.EEXIST);
    const routing = P.allocate(P.kvmIrqRouting, 1);
    P.view(P.kvmIrqRouting, routing).nr = 2;
    expect(other.ioctl(P.KVM_SET_GSI_ROUTING, routing)).toBe(-P.EFAULT);
    const chip = P.allocate(P.kvmIrqchip);
    P.view(P.kvmIrqchip, chip).chip_id = 3;
    expect(other.ioctl(P.KVM_GET_IRQCHIP, chip)).toBe(-P.EINVAL);
    P.view(P.kvmIrqchip, chip).chip_id = P.KVM_IRQCHIP_IOAPIC;
    expect(other.ioctl(P.KVM_GET_IRQCHIP, chip)).toBe(0);
    expect(new DataView(chip.buffer).getBigUint64(8, true)).toBe(0xfec00000n);
  });

  test('an ioeventfd signals without an exit, and collides with itself', () => {
    const event = P.createEventFd();
    const args = P.view(P.kvmIoeventfd, P.allocate(P.kvmIoeventfd));
    args.addr = 0x510n;
    args.len = 2;
    args.datamatch = 7n;
    args.fd = kvm.install(event);
    args.flags = P.KVM_IOEVENTFD_FLAG_PIO | P.KVM_IOEVENTFD_FLAG_DATAMATCH;
    expect(vm.ioctl(P.KVM_IOEVENTFD, P.bytesOf(args))).toBe(0);
    expect(vm.ioctl(P.KVM_IOEVENTFD, P.bytesOf(args))).toBe(-P.EEXIST);
    args.len = 3;
    expect(vm.ioctl(P.KVM_IOEVENTFD, P.bytesOf(args))).toBe(-P.EINVAL);
    args.len = 0;
    expect(vm.ioctl(P.KVM_IOEVENTFD, P.bytesOf(args))).toBe(-P.EINVAL);
    args.len = 2;
    args.flags |= P.KVM_IOEVENTFD_FLAG_DEASSIGN;
    expect(vm.ioctl(P.KVM_IOEVENTFD, P.bytesOf(args))).toBe(0);
    expect(vm.ioctl(P.KVM_IOEVENTFD, P.bytesOf(args))).toBe(-P.ENOENT);
  });
});

describe('errors of vCPU files', () => {
  test.each<[string, number, P.IoctlArgument, number]>([
    ['nonsense', 0xdeadbeef, 0, -P.EINVAL],
    ['KVM_RUN with an argument', P.KVM_RUN, 1, -P.EINVAL],
    ['registers too short', P.KVM_SET_REGS, new Uint8Array(143), -P.EFAULT],
    ['registers by number', P.KVM_GET_REGS, 0, -P.EFAULT],
    ['CPUID beyond the limit', P.KVM_SET_CPUID2, Uint8Array.of(1, 1, 0, 0, 0, 0, 0, 0), -P.E2BIG],
    ['CPUID without its entries', P.KVM_SET_CPUID2, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0), -P.EFAULT],
    ['MSRs beyond the limit', P.KVM_GET_MSRS, Uint8Array.of(0, 1, 0, 0, 0, 0, 0, 0), -P.E2BIG],
    ['MSRs without their entries', P.KVM_SET_MSRS, Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0), -P.EFAULT],
    ['a local APIC that is not there', P.KVM_GET_LAPIC, P.allocate(P.kvmLapicState), -P.EINVAL],
    ['an interrupt vector too large', P.KVM_INTERRUPT, Uint8Array.of(0, 1, 0, 0), -P.EINVAL],
    ['an unknown state', P.KVM_SET_MP_STATE, Uint8Array.of(77, 0, 0, 0), -P.EINVAL],
    ['a halt without local APIC', P.KVM_SET_MP_STATE, Uint8Array.of(3, 0, 0, 0), -P.EINVAL],
    ['an SMI', P.KVM_SMI, 0, -P.ENOTTY],
    ['a TSC frequency that cannot be', P.KVM_SET_TSC_KHZ, 12345, -P.EINVAL],
    ['clock control without clock', P.KVM_KVMCLOCK_CTRL, 0, -P.EINVAL],
  ])('%s', (_name, code, argument, result) => {
    expect(vcpu.ioctl(code, argument)).toBe(result);
  });

  const sregs = (change: (s: P.View<typeof P.kvmSregs>) => void): number => {
    const s = P.view(P.kvmSregs, P.allocate(P.kvmSregs));
    expect(vcpu.ioctl(P.KVM_GET_SREGS, P.bytesOf(s))).toBe(0);
    change(s);
    return vcpu.ioctl(P.KVM_SET_SREGS, P.bytesOf(s));
  };
  test.each<[string, (s: P.View<typeof P.kvmSregs>) => void, number]>([
    ['as they are', () => {}, 0],
    ['paging without protection', (s) => (s.cr0 = 0x80000000n), -P.EINVAL],
    ['NW without CD', (s) => (s.cr0 = 0x20000011n), -P.EINVAL],
    ['long mode active without paging', (s) => (s.efer = 0x500n), -P.EINVAL],
    ['long mode without PAE', (s) => ((s.efer = 0x500n), (s.cr0 = 0x80000011n)), -P.EINVAL],
    ['a reserved bit of CR4', (s) => (s.cr4 = 1n << 30n), -P.EINVAL],
    ['high half of CR0', (s) => (s.cr0 = 1n << 40n), -P.EINVAL],
  ])('special registers: %s', (_name, change, result) => {
    expect(sregs(change)).toBe(result);
  });

  test('the mapping is the page that KVM_RUN writes, and no more', () => {
    const mapping = vcpu.mmap(P.VCPU_MMAP_SIZE);
    expect(mapping).toBeInstanceOf(Uint8Array);
    expect(vcpu.mmap(P.VCPU_MMAP_SIZE + 4096)).toBe(-P.EINVAL);
    expect(vcpu.mmap(4096, 100)).toBe(-P.EINVAL);
    expect(vm.mmap(4096)).toBe(-P.ENODEV);
  });
});

describe('life of files', () => {
  test('a VM lives until its last file is closed, and then gives its memory back', () => {
    const before = memory.freePages;
    const other = file(kvm.ioctl(P.KVM_CREATE_VM, 0));
    const its = file(other.ioctl(P.KVM_CREATE_VCPU, 0));
    expect(other.close()).toBe(0);
    expect(other.ioctl(P.KVM_CREATE_VCPU, 1)).toBe(-P.EBADF);
    expect(its.ioctl(P.KVM_GET_REGS, P.allocate(P.kvmRegs))).toBe(0);
    expect(its.close()).toBe(0);
    expect(its.close()).toBe(-P.EBADF);
    expect(memory.freePages).toBe(before);
  });

  test('out of host memory is -ENOMEM', () => {
    memory.allocPages(memory.freePages - 1);
    expect(vm.ioctl(P.KVM_CREATE_VCPU, 1)).toBe(-P.ENOMEM);
    expect(memory.freePages).toBe(1);
  });
});

describe('registers that are set come back', () => {
  test('general registers', () => {
    const regs = P.view(P.kvmRegs, P.allocate(P.kvmRegs));
    regs.rax = 0x1122334455667788n;
    regs.rsp = 0xfffffffffffffff0n;
    regs.r15 = 15n;
    regs.rip = 0xffffffff81000000n;
    regs.rflags = 0x246n;
    expect(vcpu.ioctl(P.KVM_SET_REGS, P.bytesOf(regs))).toBe(0);
    const back = P.allocate(P.kvmRegs);
    expect(vcpu.ioctl(P.KVM_GET_REGS, back)).toBe(0);
    expect(back).toEqual(P.bytesOf(regs));
  });

  test('reset state', () => {
    const s = P.view(P.kvmSregs, P.allocate(P.kvmSregs));
    vcpu.ioctl(P.KVM_GET_SREGS, P.bytesOf(s));
    expect([s.cs.base, s.cs.selector, s.cr0, s.efer]).toEqual([0xffff0000n, 0xf000, 0x60000010n, 0n]);
    const regs = P.view(P.kvmRegs, P.allocate(P.kvmRegs));
    vcpu.ioctl(P.KVM_GET_REGS, P.bytesOf(regs));
    expect([regs.rip, regs.rflags, regs.rdx]).toEqual([0xfff0n, 2n, 0x600n]);
  });

  test('MSRs, one after the other until one is unknown', () => {
    const msrs = P.view(P.kvmMsrs, P.allocate(P.kvmMsrs, 3));
    msrs.nmsrs = 3;
    [0x174, 0xc0000081, 0xdead].forEach((index, i) => {
      msrs.entries[i]!.index = index;
      msrs.entries[i]!.data = BigInt(i + 1) << 8n;
    });
    expect(vcpu.ioctl(P.KVM_SET_MSRS, P.bytesOf(msrs))).toBe(2);
    for (const entry of msrs.entries) entry.data = 0n;
    expect(vcpu.ioctl(P.KVM_GET_MSRS, P.bytesOf(msrs))).toBe(2);
    expect(msrs.entries.map((entry) => entry.data)).toEqual([0x100n, 0x200n, 0n]);
  });

  test('events, debug registers, XCRs, FPU', () => {
    const events = P.view(P.kvmVcpuEvents, P.allocate(P.kvmVcpuEvents));
    events.exception.injected = 1;
    events.exception.nr = 13;
    events.exception.has_error_code = 1;
    events.exception.error_code = 0x18;
    events.interrupt.shadow = P.KVM_X86_SHADOW_INT_STI;
    events.flags = P.KVM_VCPUEVENT_VALID_SHADOW;
    expect(vcpu.ioctl(P.KVM_SET_VCPU_EVENTS, P.bytesOf(events))).toBe(0);
    const back = P.view(P.kvmVcpuEvents, P.allocate(P.kvmVcpuEvents));
    expect(vcpu.ioctl(P.KVM_GET_VCPU_EVENTS, P.bytesOf(back))).toBe(0);
    expect([back.exception.nr, back.exception.injected, back.exception.error_code, back.interrupt.shadow]).toEqual([13, 1, 0x18, 2]);

    const debug = P.view(P.kvmDebugregs, P.allocate(P.kvmDebugregs));
    debug.db[1] = 0x1234n;
    debug.dr7 = 0x404n;
    debug.dr6 = 0xffff0ff0n;
    expect(vcpu.ioctl(P.KVM_SET_DEBUGREGS, P.bytesOf(debug))).toBe(0);
    const debugBack = P.allocate(P.kvmDebugregs);
    vcpu.ioctl(P.KVM_GET_DEBUGREGS, debugBack);
    expect(debugBack).toEqual(P.bytesOf(debug));

    const fpu = P.view(P.kvmFpu, P.allocate(P.kvmFpu));
    fpu.fcw = 0x27f;
    fpu.mxcsr = 0x1f80;
    fpu.xmm[3] = 0x77;
    expect(vcpu.ioctl(P.KVM_SET_FPU, P.bytesOf(fpu))).toBe(0);
    const fpuBack = P.allocate(P.kvmFpu);
    vcpu.ioctl(P.KVM_GET_FPU, fpuBack);
    expect(fpuBack).toEqual(P.bytesOf(fpu));
  });
});
