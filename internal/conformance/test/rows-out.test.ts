/** The way out of the guest: rows 9 to 13 of the world switch, by programs against the KVM API. */
import { describe, expect, test } from 'vitest';
import * as P from '@vm/kvm-run';
import { REQUEST_INIT, raiseRequest } from '@vm/kvm-run/vmx';
import * as V from '@vm/kvm-run/vmx';
import { LAYOUT } from '../src/layout.ts';
import type { Machine, MachineOptions } from '../src/machine.ts';
import { gate, machine } from './machines.ts';


interface Traced {
  readonly name: string;
  readonly fields: readonly unknown[];
}
const traced = (entry: string, options: MachineOptions = {}): { m: Machine; events: Traced[] } => {
  const events: Traced[] = [];
  const m = machine(entry, { ...options, tracer: { event: (name, ...fields) => void events.push({ name, fields }) } });
  return { m, events };
};

describe('row 9: VM exit', () => {
  test('records the reason, the qualification and where the guest was', () => {
    const { m, events } = traced('exit_out');
    m.vcpu.enter();
    const exit = events.findLast(({ name }) => name === 'kvm_exit');
    // vCPU, reason, RIP, qualification: port 0x42 by immediate operand, one byte, out (SDM vol. 3C, table 28-5).
    expect(exit?.fields.slice(0, 4)).toEqual([0, V.EXIT_REASON_IO_INSTRUCTION, BigInt(m.symbol('exit_out.at')), 0x420040n]);
  });

  test('records guest-physical address and length: memory-mapped I/O is served at the right place', () => {
    const m = machine('exit_ept_write');
    expect(m.vcpu.enter()).toMatchObject({ reason: P.KVM_EXIT_MMIO, physAddr: LAYOUT.MMIO + 0x20, len: 4, isWrite: true });
    expect([...m.vcpu.run.bytes.subarray(40, 44)]).toEqual([0x78, 0x56, 0x34, 0x12]);
    m.vcpu.finish();
  });

  test('saves the guest\'s state', () => {
    const m = machine('exit_mov_to_cr8');
    m.vcpu.finish();
    const sregs = m.vcpu.sregs();
    expect(sregs.cs).toMatchObject({ selector: LAYOUT.SEL_CODE, l: 1, db: 0, present: 1 });
    expect(sregs.cr0).toBe(0x80000031n);
    expect(m.vcpu.regs()).toMatchObject({ rip: BigInt(m.symbol('exit_mov_to_cr8.next') + 4), rdx: 5n });
  });

  test('loads the host\'s state: control registers, tables and segments', () => {
    const m = machine('exit_out');
    const { processor } = m;
    const host = (): unknown[] => [
      processor.readCr(0), processor.readCr(3), processor.readCr(4), processor.sgdt(), processor.sidt().base, processor.rdmsr(V.MSR_EFER),
      ...(['cs', 'ss', 'ds', 'es', 'tr'] as const).map((segment) => processor.readSelector(segment)),
    ];
    const before = host();
    m.vcpu.enter();
    expect(host()).toEqual(before);
    expect(processor.readCr(3)).not.toBe(LAYOUT.PML4);
  });
});

describe('row 10: second half of vmx_vcpu_run', () => {
  test('takes the guest\'s general registers out, and gives the host back its own', () => {
    const m = machine('exit_cpuid', { cpuid: (entries) => void Object.assign(entries[0]!, { function: 0x40001234, index: 0, flags: 0, eax: 1, ebx: 2, ecx: 3, edx: 4 }) });
    m.vcpu.setRegs({ r15: 0x1515n });
    m.memory.u32[(m.processor.gprs >>> 2) + 30] = 77;
    m.vcpu.finish();
    expect(m.vcpu.regs()).toMatchObject({ rax: 1n, rbx: 2n, rcx: 3n, rdx: 4n, r15: 0x1515n });
    expect(m.memory.u32[(m.processor.gprs >>> 2) + 30]).toBe(77);
  });

  test('an interrupt whose delivery an exit cut off is delivered after all, once (vmx_complete_interrupts)', () => {
    const m = machine('wait_two');
    gate(m, 0x55, 'count_and_return');
    m.setU32(LAYOUT.DATA, 1);
    // Logged memory is mapped page by page: the first look at the IDT is an EPT violation in mid-delivery.
    m.must(m.setMemory(0, 0, LAYOUT.RAM_SIZE, m.ram, P.KVM_MEM_LOG_DIRTY_PAGES));
    m.vcpu.setRegs({ rflags: 0x202n });
    expect(m.vcpu.interrupt(0x55)).toBe(0);
    m.vcpu.finish();
    expect(m.u32(LAYOUT.DATA)).toBe(2);
    expect(m.vcpu.events().interrupt.injected).toBe(0);
  });

  test('an exception keeps its error code over the exit that cut it off', () => {
    const m = machine('exit_general_protection');
    gate(m, 13, 'report_frame');
    m.must(m.setMemory(0, 0, LAYOUT.RAM_SIZE, m.ram, P.KVM_MEM_LOG_DIRTY_PAGES));
    m.vcpu.finish();
    expect([m.u32(LAYOUT.DATA), m.u32(LAYOUT.DATA + 16)]).toEqual([1, 0x78]);
  });

  test('delivery into memory-mapped I/O cannot be emulated, and is reported', () => {
    const m = machine('exit_ud');
    const sregs = m.vcpu.sregs();
    sregs.idt.base = BigInt(LAYOUT.MMIO);
    m.vcpu.setSregs(sregs);
    const exit = m.vcpu.enter();
    expect(exit).toMatchObject({ reason: P.KVM_EXIT_INTERNAL_ERROR, suberror: P.KVM_INTERNAL_ERROR_DELIVERY_EV });
    expect(exit.reason === P.KVM_EXIT_INTERNAL_ERROR && exit.data[0]).toBe(0x80000306n);
  });

  test('an NMI of the host is the host\'s (vmx_complete_atomic_exit)', () => {
    const m = machine('cpuid_thrice');
    m.processor.raiseNmi();
    m.vcpu.enter();
    expect(m.exitCount(V.EXIT_REASON_EXCEPTION_NMI)).toBe(1);
    expect(m.vcpu.events().nmi).toMatchObject({ pending: 0, injected: 0, masked: 0 });
  });

  test('an NMI whose IRET faulted stays blocked (vmx_recover_nmi_blocking)', () => {
    // The handler's IRET pops from a page that EPT does not have yet; NMIs must not come in again before it is done.
    const m = machine('wait_two', { irqchip: 'kernel' });
    gate(m, 2, 'nmi_handler');
    m.must(m.setMemory(0, 0, LAYOUT.RAM_SIZE, m.ram, P.KVM_MEM_LOG_DIRTY_PAGES));
    m.vcpu.must(P.KVM_NMI, 0);
    m.vcpu.must(P.KVM_NMI, 0);
    m.vcpu.finish();
    expect([m.u32(LAYOUT.DATA), m.u32(LAYOUT.DATA + 8)]).toEqual([2, 1]);
  });
});

describe('row 11: handle_external_intr', () => {
  test('an interrupt makes the guest leave, its handler of the host\'s IDT runs, and the guest goes on', () => {
    let ticks = 0;
    const m = machine('spin', { tick: () => ++ticks >= 4 });
    expect(m.vcpu.tryEnter()).toBe(-P.EINTR);
    expect(ticks).toBe(4);
    expect(m.exitCount(V.EXIT_REASON_EXTERNAL_INTERRUPT)).toBe(4);
  });

  test('with interrupts on again what waited is served, too: no vector is lost or left pending', () => {
    const m = machine('cpuid_thrice');
    for (const vector of [0x81, 0x92, 0xa3]) m.processor.raiseInterrupt(vector);
    m.vcpu.enter();
    expect(m.processor.acknowledgeInterrupt()).toBe(-1);
    expect(m.processor.interruptFlag).toBe(true);
  });
});

describe('row 12: handle_exit (vmx_handle_exit)', () => {
  test('dispatches on the reason', () => {
    const m = machine('exit_hlt');
    expect(m.vcpu.enter().reason).toBe(P.KVM_EXIT_HLT);
    expect(m.exitCount(V.EXIT_REASON_HLT)).toBe(1);
  });

  test('a reason that KVM does not expect is reported with its number', () => {
    const m = machine('spin');
    // INIT for the physical CPU: nobody under KVM sends it.
    raiseRequest(m.memory.i32, m.processor.pendingVectors, REQUEST_INIT);
    const exit = m.vcpu.enter();
    expect(exit).toMatchObject({ reason: P.KVM_EXIT_INTERNAL_ERROR, suberror: P.KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON });
    expect(exit.reason === P.KVM_EXIT_INTERNAL_ERROR && exit.data[0]).toBe(BigInt(V.EXIT_REASON_INIT_SIGNAL));
  });
});

describe('row 13: the handler', () => {
  test('1: CPUID is what userspace set, and the guest goes on', () => {
    const m = machine('exit_cpuid', { cpuid: (entries) => void Object.assign(entries[0]!, { function: 0x40001234, index: 0, flags: 0, eax: 0xa, ebx: 0xb, ecx: 0xc, edx: 0xd }) });
    m.vcpu.finish();
    expect([0, 4, 8, 12].map((at) => m.u32(LAYOUT.DATA + at))).toEqual([0xa, 0xb, 0xc, 0xd]);
  });

  test('1: a port of a device in the kernel does not leave', () => {
    const inKernel = machine('exit_out', { irqchip: 'kernel', prepare: (m) => m.must(m.vm.ioctl(P.KVM_CREATE_PIT2, P.allocate(P.kvmPitConfig))) });
    inKernel.vcpu.finish();
    const outside = machine('exit_out');
    expect(outside.vcpu.describe(outside.vcpu.enter())).toBe('out 0x42 1x1');
  });

  test('0: kvm_run is filled, and userspace\'s answer completes the instruction', () => {
    const m = machine('exit_ept_read');
    const exit = m.vcpu.enter();
    expect(exit).toMatchObject({ reason: P.KVM_EXIT_MMIO, physAddr: LAYOUT.MMIO + 0x10, len: 4, isWrite: false });
    if (exit.reason === P.KVM_EXIT_MMIO) exit.data.set([0xef, 0xbe, 0xad, 0xde]);
    m.vcpu.finish();
    expect(m.u32(LAYOUT.DATA)).toBe(0xdeadbeef);
  });

  test('negative: no memory for page tables is -ENOMEM, and with memory it goes on', () => {
    const m = machine('exit_ept_data');
    const taken: number[] = [];
    for (;;) {
      try {
        taken.push(m.memory.allocPages(1));
      } catch (error) {
        if (error instanceof P.OutOfHostMemory) break;
        throw error;
      }
    }
    expect(m.vcpu.tryEnter()).toBe(-P.ENOMEM);
    for (const page of taken) m.memory.free(page, 1);
    m.vcpu.finish();
    expect(m.u32(LAYOUT.DATA + 4)).toBe(1);
  });
});
