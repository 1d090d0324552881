import { describe, expect, test } from 'vitest';
import { KvmRun, KVM_COALESCED_MMIO_MAX, KVM_RUN_SIZE, VCPU_MMAP_SIZE, kvmRunOffsets } from './kvm-run.ts';
import * as X from './exits.ts';

const make = (): KvmRun => new KvmRun(new Uint8Array(new SharedArrayBuffer(VCPU_MMAP_SIZE)));

describe('struct kvm_run', () => {
  test('offsets and size are the kernel\'s', () => {
    expect(KVM_RUN_SIZE).toBe(2352);
    expect(kvmRunOffsets).toEqual({
      request_interrupt_window: 0,
      immediate_exit: 1,
      exit_reason: 8,
      ready_for_interrupt_injection: 12,
      if_flag: 13,
      flags: 14,
      cr8: 16,
      apic_base: 24,
      exit: 32,
      kvm_valid_regs: 288,
      kvm_dirty_regs: 296,
      s: 304,
    });
    expect(KVM_COALESCED_MMIO_MAX).toBe(170);
  });

  test('accessors write where the kernel has the field', () => {
    const run = make();
    const { bytes, view } = run;
    run.requestInterruptWindow = 1;
    run.immediateExit = 2;
    run.exitReason = 3;
    run.readyForInterruptInjection = 4;
    run.ifFlag = 5;
    run.flags = 6;
    run.cr8 = 7;
    run.apicBase = 0x1_fee0_0900;
    expect([bytes[0], bytes[1], view.getUint32(8, true), bytes[12], bytes[13], view.getUint16(14, true)]).toEqual([1, 2, 3, 4, 5, 6]);
    expect(view.getBigUint64(16, true)).toBe(7n);
    expect(view.getBigUint64(24, true)).toBe(0x1_fee0_0900n);
    expect(run.apicBase).toBe(0x1_fee0_0900);
  });

  test('a mapping that is too short is refused', () => {
    expect(() => new KvmRun(new Uint8Array(new SharedArrayBuffer(4096)))).toThrow(RangeError);
  });
});

describe('readExit', () => {
  test('port output', () => {
    const run = make();
    run.exitReason = X.KVM_EXIT_IO;
    run.setIo(X.KVM_EXIT_IO_OUT, 2, 0x3f8, 3);
    run.pioData[5] = 0xaa;
    const exit = run.readExit();
    if (exit.reason !== X.KVM_EXIT_IO) throw new Error('wrong reason');
    expect([exit.direction, exit.size, exit.port, exit.count, exit.data.length, exit.data[5]]).toEqual([1, 2, 0x3f8, 3, 6, 0xaa]);
    expect(run.view.getBigUint64(40, true)).toBe(4096n);
  });

  test('MMIO', () => {
    const run = make();
    run.exitReason = X.KVM_EXIT_MMIO;
    run.setMmio(0x12_3456_7890, 8, 1);
    const exit = run.readExit();
    if (exit.reason !== X.KVM_EXIT_MMIO) throw new Error('wrong reason');
    expect([exit.physAddr, exit.len, exit.isWrite, exit.data.byteOffset]).toEqual([0x12_3456_7890, 8, true, 40]);
  });

  const quad = (run: KvmRun, offset: number, value: bigint): void => run.view.setBigUint64(offset, value, true);
  const word = (run: KvmRun, offset: number, value: number): void => run.view.setUint32(offset, value, true);
  test.each<[number, (run: KvmRun) => void, object]>([
    [X.KVM_EXIT_UNKNOWN, (run) => quad(run, 32, 77n), { hardwareExitReason: 77n }],
    [X.KVM_EXIT_EXCEPTION, (run) => word(run, 36, 9), { exception: 0, errorCode: 9 }],
    [X.KVM_EXIT_HYPERCALL, (run) => quad(run, 80, 6n), { nr: 0n, args: [0n, 0n, 0n, 0n, 0n, 6n], longmode: false }],
    [X.KVM_EXIT_DEBUG, (run) => quad(run, 48, 0x4000n), { exception: 0, pc: 0n, dr6: 0x4000n, dr7: 0n }],
    [X.KVM_EXIT_HLT, () => {}, {}],
    [X.KVM_EXIT_SHUTDOWN, () => {}, {}],
    [X.KVM_EXIT_FAIL_ENTRY, (run) => quad(run, 32, 33n), { hardwareEntryFailureReason: 33n, cpu: 0 }],
    [X.KVM_EXIT_INTERNAL_ERROR, (run) => (word(run, 32, 4), word(run, 36, 1), quad(run, 40, 8n)), { suberror: 4, data: [8n] }],
    [X.KVM_EXIT_SYSTEM_EVENT, (run) => (word(run, 32, 2), word(run, 36, 0)), { type: 2, data: [] }],
    [X.KVM_EXIT_IOAPIC_EOI, (run) => (run.bytes[32] = 0x31), { vector: 0x31 }],
    [X.KVM_EXIT_X86_RDMSR, (run) => (word(run, 40, 2), word(run, 44, 0x10)), { msrReason: 2, index: 0x10, data: 0n }],
    [X.KVM_EXIT_NOTIFY, (run) => word(run, 32, 1), { flags: 1 }],
    [X.KVM_EXIT_MEMORY_FAULT, (run) => quad(run, 40, 0x1000n), { flags: 0n, gpa: 0x1000n, size: 0n }],
  ])('reason %i', (reason, fill, payload) => {
    const run = make();
    run.exitReason = reason;
    fill(run);
    expect(run.readExit()).toEqual({ reason, ...payload });
  });

  test('a number that is no reason of x86', () => {
    const run = make();
    run.exitReason = 13;
    expect(run.readExit()).toEqual({ reason: -1, exitReason: 13 });
  });

  test('hostile counts stay inside the payload', () => {
    const run = make();
    run.exitReason = X.KVM_EXIT_INTERNAL_ERROR;
    run.view.setUint32(36, 0xffffffff, true);
    const exit = run.readExit();
    expect(exit.reason === X.KVM_EXIT_INTERNAL_ERROR && exit.data.length).toBe(16);
  });
});
