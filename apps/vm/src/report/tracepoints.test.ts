import { describe, expect, test } from 'vitest';
import { formatTracepoint, type TraceValue } from './tracepoints.ts';

const CONTEXT = { pid: 1234, cpu: 0, time: 12_345_678_912 };
const PREFIX = '              vm-1234    [000] .....    12.345678: ';

describe('formatTracepoint', () => {
  test.each<[string, TraceValue[], string]>([
    ['kvm_entry', [0, 0xfff0n], 'vcpu 0, rip 0xfff0'],
    ['kvm_exit', [0, 30, 0xffffffff81000000n, 0x3f80008n, 0n, 0, 0],
      'vcpu 0 reason IO_INSTRUCTION rip 0xffffffff81000000 info1 0x0000000003f80008 info2 0x0000000000000000 intr_info 0x00000000 error_code 0x00000000'],
    ['kvm_exit', [1, 0x80000021, 0n, 0n, 0n, 0, 0],
      'vcpu 1 reason INVALID_STATE FAILED_VMENTRY rip 0x0 info1 0x0000000000000000 info2 0x0000000000000000 intr_info 0x00000000 error_code 0x00000000'],
    ['kvm_pio', [0, 1, 0x3f8, 1, 1, 0x41], 'pio_write at 0x3f8 size 1 count 1 val 0x41'],
    ['kvm_cpuid', [0, 0x80000002, 0, 1n, 2n, 3n, 4n, 1], 'func 80000002 idx 0 rax 1 rbx 2 rcx 3 rdx 4, cpuid entry found'],
    ['kvm_msr', [0, 0, 0xc0000080, 0x500n, 0], 'msr_read c0000080 = 0x500'],
    ['kvm_msr', [0, 1, 0x1234, 0n, 1], 'msr_write 1234 = 0x0 (#GP)'],
    ['kvm_userspace_exit', [0, 2, 0], 'reason KVM_EXIT_IO (2)'],
    ['kvm_userspace_exit', [0, 10, -4], 'reason restart (4)'],
    ['kvm_mmio', [0, 2, 4, 0xfee000b0n, 0n], 'mmio write len 4 gpa 0xfee000b0 val 0x0'],
    ['kvm_apic', [0, 1, 0xb0, 0], 'apic_write APIC_EOI = 0x0'],
    ['kvm_inj_exception', [0, 14, 1, 2, 0], '#PF (0x2)'],
    ['kvm_inj_virq', [0, 0x30, 0, 0], 'IRQ 0x30'],
  ])('%s case %#', (name, fields, expected) => expect(formatTracepoint(CONTEXT, name, [], fields)).toBe(`${PREFIX}${name}: ${expected}`));

  test('an event without a format shows its fields by name', () => {
    expect(formatTracepoint(CONTEXT, 'kvm_other', ['a', 'b'], [1, 2n])).toBe(`${PREFIX}kvm_other: a 1 b 2`);
  });
});
