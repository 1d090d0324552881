/** The way into the guest: rows 3 to 8 of the world switch, by programs against the KVM API. */
import { describe, expect, test } from 'vitest';
import * as P from '@vm/kvm-run';
import * as V from '@vm/kvm-run/vmx';
import { ap16 } from '../guests/ap16.bin.ts';
import { bytesOfImage } from '../src/guest-image.ts';
import { LAYOUT } from '../src/layout.ts';
import type { Machine } from '../src/machine.ts';
import { gate, machine } from './machines.ts';

const NMI = 2;

describe('row 3: kvm_arch_vcpu_ioctl_run, vcpu_run', () => {
  test('goes on by itself after exits that KVM answered', () => {
    const m = machine('cpuid_thrice');
    const exit = m.vcpu.enter();
    expect(exit).toMatchObject({ reason: P.KVM_EXIT_IO, direction: P.KVM_EXIT_IO_OUT, port: LAYOUT.UART, size: 1, count: 1 });
    expect(m.exitCount(V.EXIT_REASON_CPUID)).toBe(3);
  });

  test('a vCPU that is not runnable blocks until its timer wakes it (kvm_vcpu_running, vcpu_block)', () => {
    const m = machine('sleep_on_timer', { irqchip: 'kernel' });
    gate(m, 0x40, 'eoi_and_return');
    m.vcpu.finish();
    expect(m.u32(LAYOUT.DATA)).toBe(1);
    expect(m.exitCount(V.EXIT_REASON_HLT)).toBe(1);
  });

  test('immediate_exit: -EINTR and KVM_EXIT_INTR, before the guest has run', () => {
    const m = machine('cpuid_thrice');
    m.vcpu.run.immediateExit = 1;
    expect(m.vcpu.tryEnter()).toBe(-P.EINTR);
    expect(m.vcpu.run.exitReason).toBe(P.KVM_EXIT_INTR);
    expect(m.vcpu.reg('rip')).toBe(BigInt(m.symbol('cpuid_thrice')));
  });

  test('immediate_exit still completes the I/O that userspace has answered', () => {
    const m = machine('exit_in');
    const exit = m.vcpu.enter();
    if (exit.reason !== P.KVM_EXIT_IO) throw new Error(m.vcpu.describe(exit));
    exit.data.set([1, 2, 3, 4]);
    m.vcpu.run.immediateExit = 1;
    expect(m.vcpu.tryEnter()).toBe(-P.EINTR);
    expect(m.vcpu.reg('rax')).toBe(0x04030201n);
    expect(m.vcpu.reg('rip')).toBe(BigInt(m.symbol('exit_in.next')));
  });

  test('a signal that is pending ends it', () => {
    let ticks = 0;
    const m = machine('spin', { tick: () => ++ticks === 3 });
    expect(m.vcpu.tryEnter()).toBe(-P.EINTR);
    expect(m.vcpu.run.exitReason).toBe(P.KVM_EXIT_INTR);
    expect(m.vcpu.reg('rcx')).toBeGreaterThan(1000n);
  });

  test('checks the completion of asynchronous page faults', () => {
    const m = machine('wait_two', { irqchip: 'kernel' });
    // Turned on, the guest is told at once that all pages are there: token of all ones and the interrupt.
    m.vcpu.setMsr(P.MSR_KVM_ASYNC_PF_INT, 0x50n);
    m.vcpu.setMsr(P.MSR_KVM_ASYNC_PF_EN, BigInt(0xe000 | P.KVM_ASYNC_PF_ENABLED | P.KVM_ASYNC_PF_DELIVERY_AS_INT));
    m.setU32(LAYOUT.DATA, 2);
    m.vcpu.finish();
    expect(m.u32(0xe004)).toBe(0xffffffff);
  });
});

describe('row 4: vcpu_enter_guest serves requests', () => {
  test('a slot that is gone is memory-mapped I/O from the next access on', () => {
    const m = machine('write_pages_twice');
    m.must(m.setMemory(0, 0, 0, m.ram));
    m.must(m.setMemory(0, 0, 0x100000, m.ram));
    m.must(m.setMemory(1, 0x100000, 0x100000, m.ram + 0x100000));
    expect(m.vcpu.describe(m.vcpu.enter())).toBe('out 0xf8 1x1');
    m.must(m.setMemory(1, 0x100000, 0, 0));
    expect(m.vcpu.describe(m.vcpu.enter())).toBe('mmio write 0x100000 1');
  });

  test('TLB_FLUSH: a page whose dirty bit was read is logged again', () => {
    const m = machine('write_pages_twice');
    m.must(m.setMemory(0, 0, LAYOUT.RAM_SIZE, m.ram, P.KVM_MEM_LOG_DIRTY_PAGES));
    m.vcpu.enter();
    expect(dirty(m)).toContain(0x100);
    m.vcpu.finish();
    expect(dirty(m)).toEqual([0x100, 0x103]);
  });

  test('UPDATE_CPU_DIRTY_LOGGING: logging that begins while the vCPU runs', () => {
    const m = machine('write_pages_twice');
    m.vcpu.enter();
    m.must(m.setMemory(0, 0, LAYOUT.RAM_SIZE, m.ram, P.KVM_MEM_LOG_DIRTY_PAGES));
    m.vcpu.finish();
    expect(dirty(m)).toEqual([0x100, 0x103]);
  });

  test('CLOCK_UPDATE: the clock page is written before the guest goes on', () => {
    const m = machine('exit_hlt');
    m.vcpu.setMsr(P.MSR_KVM_SYSTEM_TIME_NEW, BigInt(0xe000 | 1));
    expect(m.u32(0xe000)).toBe(0);
    expect(m.vcpu.enter().reason).toBe(P.KVM_EXIT_HLT);
    // struct pvclock_vcpu_time_info: an even version, and a multiplier.
    expect(m.u32(0xe000) % 2).toBe(0);
    expect(m.u32(0xe000)).toBeGreaterThan(0);
    expect(m.u32(0xe000 + 24)).toBeGreaterThan(0);
  });

  test('STEAL_UPDATE: struct kvm_steal_time gets a version', () => {
    const m = machine('exit_hlt');
    m.vcpu.setMsr(P.MSR_KVM_STEAL_TIME, BigInt(0xe040 | 1));
    m.vcpu.enter();
    expect(m.u32(0xe048)).toBeGreaterThan(0);
  });

  test('TRIPLE_FAULT: to userspace as a shutdown', () => {
    const m = machine('exit_hlt', { prepare: (made) => made.must(made.enableCap(P.KVM_CAP_X86_TRIPLE_FAULT_EVENT)) });
    const events = m.vcpu.events();
    events.triple_fault.pending = 1;
    events.flags = P.KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
    expect(m.vcpu.setEvents(events)).toBe(0);
    expect(m.vcpu.enter().reason).toBe(P.KVM_EXIT_SHUTDOWN);
  });

  test('NMI: comes in whatever the interrupt flag says', () => {
    const m = machine('wait_two', { irqchip: 'kernel' });
    gate(m, NMI, 'count_and_return');
    m.setU32(LAYOUT.DATA, 1);
    m.vcpu.must(P.KVM_NMI, 0);
    m.vcpu.finish();
    expect(m.u32(LAYOUT.DATA)).toBe(2);
  });

  test('MSR_FILTER_CHANGED: an MSR that was the guest\'s own exits', () => {
    const m = machine('read_fs_base', { prepare: (made) => made.must(made.enableCap(P.KVM_CAP_X86_USER_SPACE_MSR, 4n)) });
    const filter = P.view(P.kvmMsrFilter, P.allocate(P.kvmMsrFilter));
    const range = filter.ranges[0]!;
    range.flags = P.KVM_MSR_FILTER_READ;
    range.base = V.MSR_FS_BASE;
    range.nmsrs = 1;
    range.bitmap = BigInt(m.memory.allocPages(1));
    m.must(m.vm.ioctl(P.KVM_X86_SET_MSR_FILTER, P.bytesOf(filter)));
    expect(m.vcpu.enter()).toMatchObject({ reason: P.KVM_EXIT_X86_RDMSR, index: V.MSR_FS_BASE, msrReason: P.KVM_MSR_EXIT_REASON_FILTER });
  });

  test('IOAPIC_EOI_EXIT: with an IOAPIC of userspace the EOI of a level-triggered vector leaves', () => {
    const m = machine('sleep_open', { irqchip: 'split' });
    gate(m, 0x61, 'eoi_and_return');
    const routing = P.allocate(P.kvmIrqRouting, 1);
    new DataView(routing.buffer).setUint32(0, 1, true);
    const route = P.view(P.kvmIrqRouting, routing).entries[0]!;
    route.gsi = 5;
    route.type = 2; // KVM_IRQ_ROUTING_MSI
    const bytes = P.bytesOf(route);
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    view.setUint32(16, 0xfee00000, true);
    view.setUint32(24, 0xc061, true); // level-triggered, asserted
    m.must(m.vm.ioctl(P.KVM_SET_GSI_ROUTING, routing));
    expect(m.vcpu.tryEnter()).toBe(-P.EINTR); // asleep, with its APIC on
    const msi = P.view(P.kvmMsi, P.allocate(P.kvmMsi));
    msi.address_lo = 0xfee00000;
    msi.data = 0xc061;
    m.must(m.vm.ioctl(P.KVM_SIGNAL_MSI, P.bytesOf(msi)));
    expect(m.vcpu.enter()).toMatchObject({ reason: P.KVM_EXIT_IOAPIC_EOI, vector: 0x61 });
    m.vcpu.finish();
  });

  test('SCAN_IOAPIC: a level-triggered line that stays up comes again after the EOI', () => {
    const m = machine('wait_two', { irqchip: 'kernel' });
    gate(m, 0x62, 'eoi_and_return');
    m.vcpu.setMsr(V.MSR_IA32_APICBASE, 0xfee00d00n);
    m.vcpu.setMsr(0x80f, 0x1ffn);
    m.vcpu.setMsr(0x835, 0x10000n); // LINT0: the 8259 pair, which gets the line too
    const chip = P.view(P.kvmIrqchip, P.allocate(P.kvmIrqchip));
    chip.chip_id = P.KVM_IRQCHIP_IOAPIC;
    m.must(m.vm.ioctl(P.KVM_GET_IRQCHIP, P.bytesOf(chip)));
    // Redirection entry of pin 9: level-triggered, not masked.
    new DataView(chip.chip.buffer, chip.chip.byteOffset).setBigUint64(24 + 9 * 8, 0x8062n, true);
    m.must(m.vm.ioctl(P.KVM_SET_IRQCHIP, P.bytesOf(chip)));
    m.must(m.irqLine(9, 1));
    m.vcpu.setRegs({ rflags: 0x202n });
    m.vcpu.finish();
    // From each EOI on it comes again, until KVM slows the storm down (IOAPIC_SUCCESSIVE_IRQ_MAX_COUNT).
    expect(m.u32(LAYOUT.DATA)).toBeGreaterThanOrEqual(2);
  });
});

/** Frames that KVM_GET_DIRTY_LOG names from 0x100 on (the guest's tables and stack are below). */
const dirty = (m: Machine): number[] => {
  const bitmap = m.memory.allocPages(1);
  const log = P.view(P.kvmDirtyLog, P.allocate(P.kvmDirtyLog));
  log.dirty_bitmap = BigInt(bitmap);
  m.must(m.vm.ioctl(P.KVM_GET_DIRTY_LOG, P.bytesOf(log)));
  const frames = Array.from({ length: 512 }, (_, frame) => frame).filter((frame) => (m.memory.u8[bitmap + (frame >> 3)]! >> (frame & 7)) & 1);
  m.memory.free(bitmap, 1);
  return frames.filter((frame) => frame >= 0x100);
};

describe('row 5: vcpu_enter_guest injects events and opens windows', () => {
  test('INIT and SIPI start another processor (kvm_apic_accept_events)', () => {
    const m = machine('start_other', { irqchip: 'kernel', vcpus: 2 });
    m.write(0xc000, bytesOfImage(ap16));
    const [boot, other] = m.vcpus;
    expect(other!.mpState()).toBe(P.KVM_MP_STATE_UNINITIALIZED);
    expect(boot!.describe(boot!.enter())).toBe('out 0xf8 1x1');
    expect(other!.mpState()).toBe(P.KVM_MP_STATE_RUNNABLE);
    other!.finish();
    expect(other!.sregs().cs).toMatchObject({ selector: 0xc00, base: 0xc000n });
    boot!.finish();
    expect(m.u32(LAYOUT.DATA)).toBe(0x5a);
  });

  test('INIT stops a processor that runs: it enters the guest no more', () => {
    const m = machine('stop_other', { irqchip: 'kernel', vcpus: 2 });
    const [boot, other] = m.vcpus;
    const state = P.view(P.kvmMpState, P.allocate(P.kvmMpState));
    state.mp_state = P.KVM_MP_STATE_RUNNABLE;
    other!.must(P.KVM_SET_MP_STATE, P.bytesOf(state));
    boot!.finish();
    const before = m.processor.instructionCount();
    expect(other!.tryEnter()).toBe(-P.EINTR);
    expect(m.processor.instructionCount()).toBe(before);
    expect(other!.mpState()).toBe(P.KVM_MP_STATE_INIT_RECEIVED);
  });

  test('an exception that userspace left pending is injected', () => {
    const m = machine('exit_hlt', { prepare: (made) => made.must(made.enableCap(P.KVM_CAP_EXCEPTION_PAYLOAD)) });
    const events = m.vcpu.events();
    events.exception.pending = 1;
    events.exception.nr = 6;
    events.flags = P.KVM_VCPUEVENT_VALID_PAYLOAD;
    expect(m.vcpu.setEvents(events)).toBe(0);
    expect(m.vcpu.describe(m.vcpu.enter())).toBe('guest exception 6');
  });

  test('an interrupt waits for the guest to open interrupts: interrupt window', () => {
    const m = machine('closed_then_open', { irqchip: 'kernel' });
    gate(m, 0x70, 'eoi_and_return');
    m.vcpu.setMsr(V.MSR_IA32_APICBASE, 0xfee00d00n);
    m.vcpu.setMsr(0x80f, 0x1ffn);
    const msi = P.view(P.kvmMsi, P.allocate(P.kvmMsi));
    msi.address_lo = 0xfee00000;
    msi.data = 0x70;
    m.must(m.vm.ioctl(P.KVM_SIGNAL_MSI, P.bytesOf(msi)));
    m.vcpu.finish();
    expect([m.u32(LAYOUT.DATA), m.u32(LAYOUT.DATA + 4)]).toEqual([1, 1]);
    expect(m.exitCount(V.EXIT_REASON_INTERRUPT_WINDOW)).toBe(1);
  });

  test('a second NMI waits for the first one\'s IRET: NMI window', () => {
    const m = machine('wait_two', { irqchip: 'kernel' });
    gate(m, NMI, 'nmi_handler');
    m.vcpu.must(P.KVM_NMI, 0);
    m.vcpu.must(P.KVM_NMI, 0);
    m.vcpu.finish();
    expect([m.u32(LAYOUT.DATA), m.u32(LAYOUT.DATA + 8)]).toEqual([2, 1]);
    expect(m.exitCount(V.EXIT_REASON_NMI_WINDOW)).toBe(1);
  });

  test('request_interrupt_window leaves when the guest could take one, and KVM_INTERRUPT gives it', () => {
    const m = machine('closed_then_open');
    gate(m, 0x71, 'count_and_return');
    m.vcpu.run.requestInterruptWindow = 1;
    expect(m.vcpu.enter().reason).toBe(P.KVM_EXIT_IRQ_WINDOW_OPEN);
    expect([m.vcpu.run.readyForInterruptInjection, m.vcpu.run.ifFlag]).toEqual([1, 1]);
    expect(m.vcpu.interrupt(0x71)).toBe(0);
    m.vcpu.run.requestInterruptWindow = 0;
    m.vcpu.finish();
    expect(m.u32(LAYOUT.DATA)).toBe(1);
  });

  test('kvm_mmu_reload: without a root there is no way in, and it is made on the way', () => {
    const m = machine('exit_ept_data');
    m.vcpu.finish();
    expect(m.u32(LAYOUT.DATA + 4)).toBe(1);
  });
});

/** What of the host a guest must not change for it. */
const hostRegisters = (m: Machine): Record<string, bigint> => {
  const { processor } = m;
  const wide = (low: number): bigint => (BigInt(processor.high >>> 0) << 32n) | BigInt(low >>> 0);
  return {
    ldt: BigInt(processor.readSelector('ldtr')),
    fs: BigInt(processor.readSelector('fs')),
    gs: BigInt(processor.readSelector('gs')),
    fsBase: wide(processor.readBase('fs')),
    gsBase: wide(processor.readBase('gs')),
    kernelGsBase: wide(processor.rdmsr(V.MSR_KERNEL_GS_BASE)),
    lstar: wide(processor.rdmsr(V.MSR_LSTAR)),
    fmask: wide(processor.rdmsr(V.MSR_SYSCALL_MASK)),
    cr3: wide(processor.readCr(3)),
    idt: BigInt(processor.sidt().base),
    xcr0: wide(processor.xgetbv()),
  };
};

describe('row 6: prepare_guest_switch (vmx_save_host_state)', () => {
  test('what hardware does not keep of the host is saved and comes back; the guest has its own', () => {
    const m = machine('take_host_registers');
    const sregs = m.vcpu.sregs();
    sregs.cr4 |= 0x50000n; // FSGSBASE, OSXSAVE
    expect(m.vcpu.setSregs(sregs)).toBe(0);
    m.processor.writeBase('fs', 0x7000, 1);
    m.processor.wrmsr(V.MSR_KERNEL_GS_BASE, 0x8000, 2);
    const before = hostRegisters(m);
    m.vcpu.finish();
    expect(hostRegisters(m)).toEqual(before);
    const own = [V.MSR_FS_BASE, V.MSR_GS_BASE, V.MSR_KERNEL_GS_BASE, V.MSR_LSTAR, V.MSR_SYSCALL_MASK].map((index) => m.vcpu.msr(index));
    expect(own).toEqual([0x1111n, 0x2222n, 0x3333n, 0x4444n, 0x200n]);
  });

  test('user-return MSRs are the guest\'s while it runs: SYSCALL goes where its LSTAR says', () => {
    const m = machine('syscall_here');
    m.vcpu.finish();
    expect(m.vcpu.reg('rip')).toBeLessThan(BigInt(m.symbol('stop_other')));
  });

  test('a local descriptor table and selectors with a requested privilege of the host come back', () => {
    const m = machine('take_host_registers');
    const sregs = m.vcpu.sregs();
    sregs.cr4 |= 0x50000n;
    expect(m.vcpu.setSregs(sregs)).toBe(0);
    // An LDT and a data segment for ring 3, in free entries of the host's GDT.
    const { base } = m.processor.sgdt();
    m.memory.u32.set([0x0000ffff, 0x00cff300, (base & 0xffff) * 0x10000 + 7, (((base >>> 16) & 0xff) | 0x8200) >>> 0, 0, 0], (base + 0x28) >>> 2);
    expect(m.processor.loadSelector('ldtr', 0x30)).toBe(true);
    expect(m.processor.loadSelector('fs', 0x2b)).toBe(true);
    const before = hostRegisters(m);
    m.vcpu.finish();
    expect(hostRegisters(m)).toEqual(before);
  });
});

describe('row 7: run (vmx_vcpu_run)', () => {
  test('registers that userspace changed are in the guest: general ones, RIP, RSP, CR3', () => {
    const m = machine('add_to_registers');
    const names = ['rax', 'rbx', 'rcx', 'rdx', 'rsi', 'rdi', 'rbp', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'] as const;
    const values = Object.fromEntries(names.map((name, i) => [name, BigInt(i) * 0x1_0000_0001n]));
    m.vcpu.setRegs(values);
    m.vcpu.finish();
    const regs = m.vcpu.regs();
    expect(names.map((name) => regs[name])).toEqual(names.map((name) => values[name]! + 1n));
  });

  test('the host\'s general registers are not the guest\'s', () => {
    const m = machine('add_to_registers');
    const { u32 } = m.memory;
    const host = m.processor.gprs >>> 2;
    for (let i = 0; i < 32; i++) u32[host + i] = 0xabc00000 + i;
    m.vcpu.finish();
    for (let i = 0; i < 32; i++) if (i !== 8 && i !== 9) expect(u32[host + i]).toBe(0xabc00000 + i);
    expect(m.vcpu.reg('rax')).toBe(1n);
  });

  test('a new page-table base counts from the next entry on', () => {
    const m = machine('read_at_rbx');
    // Other tables, in which the linear address of DATA is the page at 0xe000.
    m.setU32(0x11000, 0x12007, 0);
    m.setU32(0x12000, 0x13007, 0);
    m.setU32(0x13000, 0x14007, 0);
    for (let page = 0; page < 512; page++) m.setU32(0x14000 + page * 8, (page === LAYOUT.DATA >>> 12 ? 0xe000 : page << 12) | 7, 0);
    m.setU32(0xe000, 0x0e0e0e0e);
    m.setU32(LAYOUT.DATA, 0x0f0f0f0f);
    m.vcpu.setRegs({ rbx: BigInt(LAYOUT.DATA) });
    m.vcpu.finish();
    expect(m.vcpu.reg('rax')).toBe(0x0f0f0f0fn);
    const sregs = m.vcpu.sregs();
    sregs.cr3 = 0x11000n;
    expect(m.vcpu.setSregs(sregs)).toBe(0);
    m.vcpu.run.immediateExit = 1;
    m.vcpu.tryEnter();
    m.vcpu.run.immediateExit = 0;
    m.vcpu.setRegs({ rip: BigInt(m.symbol('read_at_rbx')), rsp: 0x7000n });
    m.vcpu.finish();
    expect([m.vcpu.reg('rax'), m.vcpu.reg('rsp')]).toEqual([0x0e0e0e0en, 0x7000n]);
  });

  test('VMLAUNCH the first time, VMRESUME from then on', () => {
    const m = machine('cpuid_thrice');
    const { processor } = m;
    const used: string[] = [];
    for (const name of ['vmlaunch', 'vmresume'] as const) {
      const instruction = processor[name].bind(processor);
      processor[name] = () => (used.push(name), instruction());
    }
    m.vcpu.enter();
    expect(used[0]).toBe('vmlaunch');
    expect(new Set(used.slice(1))).toEqual(new Set(['vmresume']));
    expect(m.exitCount(V.EXIT_REASON_CPUID)).toBe(3);
  });
});

describe('row 8: VM entry', () => {
  test('loads the guest state that the VMCS has: segments, tables, control registers', () => {
    const m = machine('exit_sgdt');
    m.vcpu.finish();
    expect([m.u32(LAYOUT.DATA + 0x18), m.u32(LAYOUT.DATA + 0x1c)]).toEqual([((LAYOUT.GDT & 0xffff) << 16) | 0x3f, LAYOUT.GDT >>> 16]);
  });

  test('state that the hardware does not allow fails by name, with reason 33', () => {
    const m = machine('exit_hlt');
    const sregs = m.vcpu.sregs();
    sregs.tr.type = 3; // a 16-bit TSS in IA-32e mode
    expect(m.vcpu.setSregs(sregs)).toBe(0);
    expect(m.vcpu.enter()).toMatchObject({ reason: P.KVM_EXIT_FAIL_ENTRY, hardwareEntryFailureReason: 0x80000021n });
    const failure = m.processor.entryFailure();
    expect(failure?.check).toMatch(/^guest\.tr\./);
    expect(failure?.section).toMatch(/^27\.3\.1/);
    expect(failure?.fields.map(({ name }) => name)).toContain('GUEST_TR_AR_BYTES');
  });

  test('a guest that failed to enter is whole: with its state right it runs', () => {
    const m = machine('exit_ept_data');
    const sregs = m.vcpu.sregs();
    sregs.tr.type = 3;
    m.vcpu.setSregs(sregs);
    expect(m.vcpu.enter().reason).toBe(P.KVM_EXIT_FAIL_ENTRY);
    sregs.tr.type = 11;
    m.vcpu.setSregs(sregs);
    m.vcpu.finish();
    expect(m.u32(LAYOUT.DATA + 4)).toBe(1);
  });

  test('injects the event that the VMCS names, with its error code', () => {
    const m = machine('exit_hlt');
    gate(m, 13, 'report_frame');
    const events = m.vcpu.events();
    events.exception.injected = 1;
    events.exception.nr = 13;
    events.exception.has_error_code = 1;
    events.exception.error_code = 0x4568;
    events.flags = 0;
    expect(m.vcpu.setEvents(events)).toBe(0);
    m.vcpu.finish();
    expect([m.u32(LAYOUT.DATA), m.u32(LAYOUT.DATA + 16)]).toEqual([1, 0x4568]);
  });
});
