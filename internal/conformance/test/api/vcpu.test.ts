/** State, events and debugging of a vCPU: programs against the KVM API. */
import { describe, expect, test } from 'vitest';
import * as P from '@vm/kvm-run';
import * as V from '@vm/kvm-run/vmx';
import { LAYOUT } from '../../src/layout.ts';
import type { Machine } from '../../src/machine.ts';
import { gate, machine } from '../machines.ts';
import type { Vcpu } from '../../src/vcpu.ts';


describe('KVM_SET_SREGS refuses what no processor can be in, and changes nothing', () => {
  test.for([
    ['paging without protection', { cr0: 0x80000030n }],
    ['not write-through without cache disable', { cr0: 0xa0000031n }],
    ['long mode without PAE', { cr4: 0x600n }],
    ['paging with LME and without LMA', { efer: 0x900n }],
    ['LMA without paging', { cr0: 0x31n, efer: 0xd00n }],
    ['upper half of CR0', { cr0: 0x1_80000031n }],
    ['a bit of CR4 that CPUID does not have', { cr4: 0x620n | (1n << 15n) }],
    ['CR3 beyond the physical addresses', { cr3: 1n << 58n }],
    ['APIC base beyond the physical addresses', { apic_base: 0xfee00900n | (1n << 58n) }],
  ] as const)('%s', ([, change]) => {
    const m = machine('exit_hlt', { irqchip: 'kernel' });
    const before = [...P.bytesOf(m.vcpu.sregs())];
    const sregs = m.vcpu.sregs();
    Object.assign(sregs, change);
    expect(m.vcpu.setSregs(sregs)).toBe(-P.EINVAL);
    expect([...P.bytesOf(m.vcpu.sregs())]).toEqual(before);
  });

  test('a 64-bit code segment without long mode', () => {
    const m = machine('exit_hlt', { mode: 'protected' });
    const sregs = m.vcpu.sregs();
    sregs.cs.l = 1;
    expect(m.vcpu.setSregs(sregs)).toBe(-P.EINVAL);
  });

  test('RFLAGS: bit 1 is always set, whatever KVM_SET_REGS says', () => {
    const m = machine('cpuid_thrice');
    m.vcpu.setRegs({ rflags: 0n });
    expect(m.vcpu.reg('rflags')).toBe(2n);
    expect(m.vcpu.describe(m.vcpu.enter())).toBe('out 0x3f8 1x1');
  });
});

describe('KVM_CAP_SYNC_REGS', () => {
  const ALL = BigInt(P.KVM_SYNC_X86_REGS | P.KVM_SYNC_X86_SREGS | P.KVM_SYNC_X86_EVENTS);
  const sync = (m: Machine): P.View<typeof P.kvmSyncRegs> => P.view(P.kvmSyncRegs, m.vcpu.run.bytes.subarray(304, 304 + P.kvmSyncRegs.size));

  test.for([['valid', 288], ['dirty', 296]] as const)('unknown bits of kvm_%s_regs: -EINVAL', ([, at]) => {
    const m = machine('exit_hlt');
    for (const bits of [8n, 1n << 63n, ALL | 16n]) {
      m.vcpu.run.view.setBigUint64(at, bits, true);
      expect(m.vcpu.tryEnter()).toBe(-P.EINVAL);
      m.vcpu.run.view.setBigUint64(at, 0n, true);
    }
  });

  test('what is asked for is what the ioctls give; what is not is left alone', () => {
    const m = machine('exit_hlt');
    m.vcpu.run.view.setBigUint64(288, ALL, true);
    m.vcpu.enter();
    expect([...P.bytesOf(sync(m).regs)]).toEqual([...P.bytesOf(m.vcpu.regs())]);
    expect([...P.bytesOf(sync(m).sregs)]).toEqual([...P.bytesOf(m.vcpu.sregs())]);
    expect([...P.bytesOf(sync(m).events)]).toEqual([...P.bytesOf(m.vcpu.events())]);
  });

  test('dirty registers go in; others do not', () => {
    const m = machine('add_to_registers');
    m.vcpu.run.view.setBigUint64(288, 1n, true);
    m.vcpu.run.immediateExit = 1;
    m.vcpu.tryEnter();
    m.vcpu.run.immediateExit = 0;
    sync(m).regs.rbx = 0xbac0n;
    m.vcpu.run.view.setBigUint64(296, 1n, true);
    m.vcpu.finish();
    expect(sync(m).regs.rbx).toBe(0xbac1n);
    expect(m.vcpu.run.view.getBigUint64(296, true)).toBe(0n);
    sync(m).regs.rbx = 0xdeadn;
    m.vcpu.run.immediateExit = 1;
    m.vcpu.tryEnter();
    expect(m.vcpu.reg('rbx')).toBe(0xbac1n);
  });
});

describe('state moves from one VM to another', () => {
  /** Everything that the GET ioctls give, put into another vCPU by the SET ioctls. */
  const move = (from: Vcpu, to: Vcpu): void => {
    const list = P.allocate(P.kvmMsrList, 256);
    P.view(P.kvmMsrList, list).nmsrs = 256;
    from.machine.must(from.machine.kvm.ioctl(P.KVM_GET_MSR_INDEX_LIST, list));
    const count = new DataView(list.buffer).getUint32(0, true);
    const indices = Array.from({ length: count }, (_, i) => new DataView(list.buffer).getUint32(4 + i * 4, true));
    for (const index of indices) {
      const value = from.msr(index);
      if (value !== undefined && index !== V.MSR_IA32_TSC) expect([index, to.setMsr(index, value)]).toEqual([index, 1]);
    }
    for (const [get, set, layout] of [
      [P.KVM_GET_SREGS2, P.KVM_SET_SREGS2, P.kvmSregs2], [P.KVM_GET_REGS, P.KVM_SET_REGS, P.kvmRegs], [P.KVM_GET_XSAVE, P.KVM_SET_XSAVE, P.kvmXsave],
      [P.KVM_GET_XCRS, P.KVM_SET_XCRS, P.kvmXcrs], [P.KVM_GET_DEBUGREGS, P.KVM_SET_DEBUGREGS, P.kvmDebugregs], [P.KVM_GET_LAPIC, P.KVM_SET_LAPIC, P.kvmLapicState],
      [P.KVM_GET_MP_STATE, P.KVM_SET_MP_STATE, P.kvmMpState], [P.KVM_GET_VCPU_EVENTS, P.KVM_SET_VCPU_EVENTS, P.kvmVcpuEvents],
    ] as const) {
      const bytes = P.allocate(layout);
      from.must(get, bytes);
      to.must(set, bytes);
      const back = P.allocate(layout);
      to.must(get, back);
      expect([P.ioctlNames.get(get), ...back]).toEqual([P.ioctlNames.get(get), ...bytes]);
    }
  };

  test('a guest with a timer armed and interrupts in flight goes on in a third VM', () => {
    const first = machine('spin_on_timer', { irqchip: 'kernel', tick: () => true });
    gate(first, 0x40, 'count_and_return');
    let from = first;
    from.vcpu.tryEnter();
    for (let i = 0; i < 2; i++) {
      const to = machine('faults', { irqchip: 'kernel', ...(i === 0 ? { tick: () => true } : {}) });
      to.write(0, from.memory.u8.slice(from.ram, from.ram + LAYOUT.RAM_SIZE));
      move(from.vcpu, to.vcpu);
      from = to;
      if (i === 0) to.vcpu.tryEnter();
    }
    from.vcpu.finish();
    expect(from.u32(LAYOUT.DATA)).toBe(1);
  });

  test('a protection-key register that a guest has set', () => {
    const CODE = LAYOUT.DATA;
    const program = (m: Machine, bytes: readonly number[]): void => {
      m.write(CODE, Uint8Array.from(bytes));
      const sregs = m.vcpu.sregs();
      sregs.cr4 |= 0x40_0000n;
      expect(m.vcpu.setSregs(sregs)).toBe(0);
      m.vcpu.setRegs({ rip: BigInt(CODE), rcx: 0n, rdx: 0n });
    };
    const OUT = [0xe6, LAYOUT.DONE];
    const from = machine('exit_hlt', { irqchip: 'kernel' });
    const before = from.vcpu.get(P.KVM_GET_XSAVE, P.kvmXsave).region;
    expect([before[128]! & 0x200, before[672]]).toEqual([0, 0]);
    // mov eax, 0x12345678; wrpkru
    program(from, [0xb8, 0x78, 0x56, 0x34, 0x12, 0x0f, 0x01, 0xef, ...OUT]);
    from.vcpu.finish();
    const area = from.vcpu.get(P.KVM_GET_XSAVE, P.kvmXsave).region;
    expect([area[128]! & 0x200, area[672], area[673]]).toEqual([0x200, 0x12345678, 0]);
    const to = machine('exit_hlt', { irqchip: 'kernel' });
    move(from.vcpu, to.vcpu);
    // rdpkru
    program(to, [0x0f, 0x01, 0xee, ...OUT]);
    to.vcpu.finish();
    expect(to.vcpu.reg('rax')).toBe(0x12345678n);
    // The host has its own.
    expect(to.processor.rdpkru()).toBe(0x55555554);
  });

  test('an exception that was on its way is not lost', () => {
    const from = machine('exit_ud', { irqchip: 'kernel' });
    const events = from.vcpu.events();
    events.exception.injected = 1;
    events.exception.nr = 6;
    expect(from.vcpu.setEvents(events)).toBe(0);
    const to = machine('exit_hlt', { irqchip: 'kernel' });
    move(from.vcpu, to.vcpu);
    to.vcpu.setRegs({ rip: BigInt(to.symbol('exit_hlt')) });
    expect(to.vcpu.describe(to.vcpu.enter())).toBe('guest exception 6');
  });
});

describe('KVM_SET_VCPU_EVENTS', () => {
  test.for([
    ['unknown flags', (e: P.View<typeof P.kvmVcpuEvents>) => { e.flags = 0x40; }],
    ['a payload without the capability', (e: P.View<typeof P.kvmVcpuEvents>) => { e.flags = P.KVM_VCPUEVENT_VALID_PAYLOAD; }],
    ['a triple fault without the capability', (e: P.View<typeof P.kvmVcpuEvents>) => { e.flags = P.KVM_VCPUEVENT_VALID_TRIPLE_FAULT; }],
    ['an exception above 31', (e: P.View<typeof P.kvmVcpuEvents>) => { e.exception.injected = 1; e.exception.nr = 32; }],
    ['an NMI as exception', (e: P.View<typeof P.kvmVcpuEvents>) => { e.exception.injected = 1; e.exception.nr = 2; }],
    ['system-management mode', (e: P.View<typeof P.kvmVcpuEvents>) => { e.flags = P.KVM_VCPUEVENT_VALID_SMM; e.smi.smm = 1; }],
  ] as const)('%s: -EINVAL', ([, change]) => {
    const m = machine('exit_hlt');
    const events = m.vcpu.events();
    change(events);
    expect(m.vcpu.setEvents(events)).toBe(-P.EINVAL);
  });
});

describe('KVM_SET_GUEST_DEBUG', () => {
  const debug = (m: Machine, control: number, registers: Readonly<Record<number, bigint>> = {}): number => {
    const argument = P.view(P.kvmGuestDebug, P.allocate(P.kvmGuestDebug));
    argument.control = control;
    for (const [i, value] of Object.entries(registers)) argument.arch.debugreg[Number(i)] = value;
    return m.vcpu.ioctl(P.KVM_SET_GUEST_DEBUG, P.bytesOf(argument));
  };
  const STEP = P.KVM_GUESTDBG_ENABLE | P.KVM_GUESTDBG_SINGLESTEP;
  const HW = P.KVM_GUESTDBG_ENABLE | P.KVM_GUESTDBG_USE_HW_BP;
  const at = (m: Machine, label: string): bigint => BigInt(m.symbol(label));

  test('single steps: one exit an instruction, also for those that KVM emulates', () => {
    const m = machine('three_nops');
    expect(debug(m, STEP)).toBe(0);
    const pcs = ['three_nops.one', 'three_nops.two', 'three_nops.three'].map((label) => {
      const exit = m.vcpu.enter();
      expect(exit).toMatchObject({ reason: P.KVM_EXIT_DEBUG, exception: 1, dr6: 0xffff4ff0n });
      return [exit.reason === P.KVM_EXIT_DEBUG && exit.pc, at(m, label)];
    });
    for (const [pc, expected] of pcs) expect(pc).toBe(expected);
    m.vcpu.setRegs({ rip: at(m, 'exit_cpuid.at') });
    expect(m.vcpu.enter()).toMatchObject({ reason: P.KVM_EXIT_DEBUG, pc: at(m, 'exit_cpuid.next') });
    // The debugger's trap flag is not the guest's.
    expect(m.vcpu.reg('rflags') & 0x100n).toBe(0n);
    expect(debug(m, 0)).toBe(0);
    m.vcpu.finish();
  });

  test('a breakpoint in hardware on an instruction; RF lets it run', () => {
    const m = machine('three_nops');
    debug(m, HW, { 0: at(m, 'three_nops.two'), 7: 0x401n });
    const stopped = { reason: P.KVM_EXIT_DEBUG, exception: 1, pc: at(m, 'three_nops.two'), dr6: 0xffff0ff1n };
    expect(m.vcpu.enter()).toMatchObject(stopped);
    // Without RF it is the same breakpoint again (SDM vol. 3B, 19.3.1.1).
    expect(m.vcpu.enter()).toMatchObject(stopped);
    m.vcpu.setRegs({ rflags: 0x10002n });
    m.vcpu.finish();
    expect(m.vcpu.reg('rflags') & 0x10000n).toBe(0n);
    debug(m, 0);
  });

  test('a breakpoint in hardware on data: behind the access, in an interpreted and in a compiled loop', () => {
    const m = machine('exit_hlt');
    // again: mov [rbx + rcx * 8], ecx; dec ecx; jnz again; out DONE, al
    m.write(LAYOUT.DATA, Uint8Array.from([0x89, 0x0c, 0xcb, 0xff, 0xc9, 0x75, 0xf9, 0xe6, LAYOUT.DONE]));
    const count = 100_000;
    const base = 0x10_0000;
    m.vcpu.setRegs({ rip: BigInt(LAYOUT.DATA), rbx: BigInt(base), rcx: BigInt(count) });
    for (const place of [99_990, 17]) {
      // Four bytes, writes only.
      debug(m, HW, { 2: BigInt(base + place * 8), 7: 0x0d00_0410n });
      expect(m.vcpu.enter()).toMatchObject({ reason: P.KVM_EXIT_DEBUG, exception: 1, pc: BigInt(LAYOUT.DATA + 3), dr6: 0xffff0ff4n });
      expect(m.vcpu.reg('rcx')).toBe(BigInt(place));
    }
    debug(m, 0);
    m.vcpu.finish();
    expect(m.vcpu.reg('rcx')).toBe(0n);
  });

  test('a guest\'s own breakpoints on data go to its handler, whoever else looks', () => {
    const m = machine('exit_hlt');
    // mov dr1, rbx; mov dr7, rcx; mov [rbx], eax; out DONE, al
    m.write(LAYOUT.DATA, Uint8Array.from([0x0f, 0x23, 0xcb, 0x0f, 0x23, 0xf9, 0x89, 0x03, 0xe6, LAYOUT.DONE]));
    m.vcpu.setRegs({ rip: BigInt(LAYOUT.DATA), rbx: BigInt(LAYOUT.DATA + 0x800), rcx: 0x10_0004n });
    expect(m.vcpu.describe(m.vcpu.enter())).toBe('guest exception 1');
    expect(m.vcpu.get(P.KVM_GET_DEBUGREGS, P.kvmDebugregs)).toMatchObject({ dr6: 0xffff0ff2n, dr7: 0x10_0404n });
  });

  test('INT3 is the debugger\'s with KVM_GUESTDBG_USE_SW_BP, else the guest\'s', () => {
    const m = machine('exit_breakpoint');
    debug(m, P.KVM_GUESTDBG_ENABLE | P.KVM_GUESTDBG_USE_SW_BP);
    expect(m.vcpu.enter()).toMatchObject({ reason: P.KVM_EXIT_DEBUG, exception: 3, pc: at(m, 'exit_breakpoint.at') });
    debug(m, 0);
    expect(m.vcpu.describe(m.vcpu.enter())).toBe('guest exception 3');
  });

  test('the guest\'s own debug registers survive the debugger\'s', () => {
    const m = machine('exit_mov_to_dr');
    m.vcpu.finish();
    expect(m.vcpu.get(P.KVM_GET_DEBUGREGS, P.kvmDebugregs).db[1]).toBe(BigInt(LAYOUT.DATA));
    debug(m, HW, { 0: 0x1234n, 7: 0x401n });
    m.vcpu.setRegs({ rip: at(m, 'exit_hlt') });
    m.vcpu.enter();
    expect(m.vcpu.get(P.KVM_GET_DEBUGREGS, P.kvmDebugregs)).toMatchObject({ dr7: 0x400n, dr6: 0xffff0ff0n });
  });

  test('events in the debugger\'s name: #DB and #BP, one at a time', () => {
    const m = machine('exit_hlt');
    expect(debug(m, P.KVM_GUESTDBG_INJECT_DB)).toBe(0);
    expect(debug(m, P.KVM_GUESTDBG_INJECT_BP)).toBe(-P.EBUSY);
    expect(m.vcpu.describe(m.vcpu.enter())).toBe('guest exception 1');
  });
});

describe('the rest of the vCPU\'s ioctls', () => {
  test('KVM_TRANSLATE: by the guest\'s own tables', () => {
    const m = machine('exit_hlt');
    const translate = (linear: number): [bigint, number] => {
      const t = P.view(P.kvmTranslation, P.allocate(P.kvmTranslation));
      t.linear_address = BigInt(linear);
      m.vcpu.must(P.KVM_TRANSLATE, P.bytesOf(t));
      return [t.physical_address, t.valid];
    };
    expect(translate(0x23456)).toEqual([0x23456n, 1]);
    expect(translate(LAYOUT.UNMAPPED)).toEqual([0xffffffffffffffffn, 0]);
  });

  test('KVM_SET_CPUID2 counts until the vCPU has run; then only the same once more', () => {
    const m = machine('exit_cpuid');
    const bytes = m.supportedCpuid();
    expect(m.vcpu.ioctl(P.KVM_SET_CPUID2, bytes)).toBe(0);
    m.vcpu.finish();
    expect(m.vcpu.ioctl(P.KVM_SET_CPUID2, bytes)).toBe(0);
    P.view(P.kvmCpuid2, bytes).entries[1]!.eax ^= 0x10;
    expect(m.vcpu.ioctl(P.KVM_SET_CPUID2, bytes)).toBe(-P.EINVAL);
    const small = P.allocate(P.kvmCpuid2, 1);
    P.view(P.kvmCpuid2, small).nent = 1;
    expect(m.vcpu.ioctl(P.KVM_GET_CPUID2, small)).toBe(-P.E2BIG);
  });

  test('KVM_SMI: there is no system-management mode', () => {
    const m = machine('exit_hlt');
    expect(m.kvm.ioctl(P.KVM_CHECK_EXTENSION, P.KVM_CAP_X86_SMM)).toBe(0);
    expect(m.vcpu.ioctl(P.KVM_SMI, 0)).toBe(-P.ENOTTY);
  });

  test('KVM_INTERRUPT: which chip is where decides', () => {
    expect(machine('exit_hlt').vcpu.interrupt(256)).toBe(-P.EINVAL);
    expect(machine('exit_hlt').vcpu.interrupt(255)).toBe(0);
    expect(machine('exit_hlt', { irqchip: 'kernel' }).vcpu.interrupt(0x30)).toBe(-P.ENXIO);
    const split = machine('exit_hlt', { irqchip: 'split' });
    expect(split.vcpu.interrupt(0x30)).toBe(0);
    expect(split.vcpu.interrupt(0x31)).toBe(-P.EEXIST);
  });

  test('IA32_TSC and IA32_TSC_ADJUST: the guest\'s writes move both, userspace\'s only one', () => {
    const m = machine('exit_hlt');
    expect(m.vcpu.setMsr(V.MSR_IA32_TSC_ADJUST, 0x1000n)).toBe(1);
    const before = m.vcpu.msr(V.MSR_IA32_TSC)!;
    m.vcpu.setMsr(V.MSR_IA32_TSC_ADJUST, 0x5000n);
    expect(m.vcpu.msr(V.MSR_IA32_TSC)! - before).toBeLessThan(0x1000n);
    m.vcpu.setMsr(V.MSR_IA32_TSC, 1n << 40n);
    expect(m.vcpu.msr(V.MSR_IA32_TSC)! >> 40n).toBe(1n);
    expect(m.vcpu.msr(V.MSR_IA32_TSC_ADJUST)).toBe(0x5000n);
  });

  test('KVM_GET_MSRS and KVM_SET_MSRS stop at the first that fails, and say how far they got', () => {
    const m = machine('exit_hlt');
    const bytes = P.allocate(P.kvmMsrs, 3);
    new DataView(bytes.buffer).setUint32(0, 3, true);
    const msrs = P.view(P.kvmMsrs, bytes);
    [V.MSR_STAR, 0xdeadbeef, V.MSR_LSTAR].forEach((index, i) => { msrs.entries[i]!.index = index; });
    expect(m.vcpu.ioctl(P.KVM_GET_MSRS, bytes)).toBe(1);
    expect(m.vcpu.ioctl(P.KVM_SET_MSRS, bytes)).toBe(1);
  });

  test('userspace answers an MSR of its own, or refuses it: #GP', () => {
    const prepare = (m: Machine): void => void m.must(m.enableCap(P.KVM_CAP_X86_USER_SPACE_MSR, BigInt(P.KVM_MSR_EXIT_REASON_UNKNOWN)));
    const read = machine('read_no_msr', { prepare });
    expect(read.vcpu.enter()).toMatchObject({ reason: P.KVM_EXIT_X86_RDMSR, index: 0xdeadbeef, msrReason: P.KVM_MSR_EXIT_REASON_UNKNOWN });
    read.vcpu.run.view.setBigUint64(48, 0x1122334455667788n, true);
    read.vcpu.finish();
    expect(read.vcpu.regs()).toMatchObject({ rax: 0x55667788n, rdx: 0x11223344n });
    const refused = machine('read_no_msr', { prepare });
    refused.vcpu.enter();
    refused.vcpu.run.bytes[32] = 1;
    expect(refused.vcpu.describe(refused.vcpu.enter())).toBe('guest exception 13');
  });

  test('an irqfd raises its line; a guest that sleeps wakes', () => {
    const m = machine('sleep_open', { irqchip: 'kernel' });
    gate(m, 0x63, 'eoi_and_return');
    expect(m.vcpu.tryEnter()).toBe(-P.EINTR);
    m.vcpu.setMsr(0x835, 0x10000n);
    const chip = P.view(P.kvmIrqchip, P.allocate(P.kvmIrqchip));
    chip.chip_id = P.KVM_IRQCHIP_IOAPIC;
    m.must(m.vm.ioctl(P.KVM_GET_IRQCHIP, P.bytesOf(chip)));
    new DataView(chip.chip.buffer, chip.chip.byteOffset).setBigUint64(24 + 10 * 8, 0x63n, true);
    m.must(m.vm.ioctl(P.KVM_SET_IRQCHIP, P.bytesOf(chip)));
    const event = P.createEventFd();
    const irqfd = P.view(P.kvmIrqfd, P.allocate(P.kvmIrqfd));
    irqfd.fd = m.kvm.install(event);
    irqfd.gsi = 10;
    m.must(m.vm.ioctl(P.KVM_IRQFD, P.bytesOf(irqfd)));
    expect(m.vm.ioctl(P.KVM_IRQFD, P.bytesOf(irqfd))).toBe(-P.EBUSY);
    event.signal();
    m.vcpu.finish();
    expect(m.u32(LAYOUT.DATA)).toBe(1);
  });

  test('KVM_GET_LAPIC in xAPIC and x2APIC form', () => {
    const m = machine('exit_hlt', { irqchip: 'kernel', prepare: (made) => void made.must(made.enableCap(P.KVM_CAP_X2APIC_API, 3n)) });
    const id = (): number => new DataView(m.vcpu.get(P.KVM_GET_LAPIC, P.kvmLapicState).regs.slice().buffer).getUint32(0x20, true);
    expect(id()).toBe(0);
    m.vcpu.setMsr(V.MSR_IA32_APICBASE, 0xfee00d00n);
    expect(id()).toBe(0);
    expect(m.vcpu.msr(0x803)).toBe(BigInt(new DataView(m.vcpu.get(P.KVM_GET_LAPIC, P.kvmLapicState).regs.slice().buffer).getUint32(0x30, true)));
    // From x2APIC mode there is no way back to xAPIC but through disabled (SDM vol. 3A, 11.12.5.1).
    const { vcpu } = machine('set_xapic', { irqchip: 'kernel' });
    vcpu.setMsr(V.MSR_IA32_APICBASE, 0xfee00d00n);
    expect(vcpu.describe(vcpu.enter())).toBe('guest exception 13');
  });
});
