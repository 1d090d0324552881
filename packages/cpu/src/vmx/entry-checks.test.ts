import { describe, expect, test } from 'vitest';
import * as V from '@vm/kvm-run/vmx';
import { VmxGuest } from '../testing/vmx-guest.ts';
import * as ids from './check-ids.ts';
import { ENTRY_CHECKS } from './entry-checks.ts';

type Spoil = (guest: VmxGuest) => void;
type Mode = 'long' | 'real';

const write = (field: number, low: number, high = 0): Spoil => (guest) => guest.write(field, low, high);
const set = (field: number, bits: number): Spoil => (guest) => guest.set(field, bits);
const clear = (field: number, bits: number): Spoil => (guest) => guest.clear(field, bits);
const all = (...spoils: readonly Spoil[]): Spoil => (guest) => spoils.forEach((spoil) => spoil(guest));
const inject = (info: number): Spoil => write(V.VM_ENTRY_INTR_INFO_FIELD, (info | V.INTR_INFO_VALID_MASK) >>> 0);
const restricted = clear(V.SECONDARY_VM_EXEC_CONTROL, V.SECONDARY_EXEC_UNRESTRICTED_GUEST);
const shadow = set(V.CPU_BASED_VM_EXEC_CONTROL, V.CPU_BASED_TPR_SHADOW);
const page = (field: number): Spoil => (guest) => guest.write(field, guest.memory.allocPages(1));
const v86: Spoil = (guest) => {
  guest.write(V.GUEST_CR0, 0x31);
  guest.write(V.GUEST_RFLAGS, 0x20002);
  for (const at of [0, 2, 4, 6, 8, 10]) {
    guest.write(V.GUEST_ES_AR_BYTES + at, 0xf3);
    guest.write(V.GUEST_ES_BASE + at, guest.read(V.GUEST_ES_SELECTOR + at) << 4);
  }
};
const pae: Spoil = (guest) => {
  guest.write(V.GUEST_CR0, 0x80000031);
  guest.write(V.GUEST_CR4, 0x2020);
};

const OK_CONTROLS = 7;
const HOST_STATE = 8;

/** Check, what to spoil, and the mode of the guest it is spoilt in. */
const CONTROL_CASES: readonly (readonly [string, Spoil])[] = [
  ['control.pin.reserved', clear(V.PIN_BASED_VM_EXEC_CONTROL, 2)],
  ['control.pin.reserved', set(V.PIN_BASED_VM_EXEC_CONTROL, V.PIN_BASED_POSTED_INTR)],
  ['control.proc.reserved', clear(V.CPU_BASED_VM_EXEC_CONTROL, 2)],
  ['control.proc2.reserved', set(V.SECONDARY_VM_EXEC_CONTROL, V.SECONDARY_EXEC_ENABLE_PML)],
  ['control.cr3-target.count', write(V.CR3_TARGET_COUNT, 5)],
  ['control.io-bitmap.address', all(set(V.CPU_BASED_VM_EXEC_CONTROL, V.CPU_BASED_USE_IO_BITMAPS), write(V.IO_BITMAP_B, 0x10))],
  ['control.msr-bitmap.address', all(set(V.CPU_BASED_VM_EXEC_CONTROL, V.CPU_BASED_USE_MSR_BITMAPS), write(V.MSR_BITMAP, 0, 0x100))],
  ['control.virtual-apic.address', all(shadow, write(V.VIRTUAL_APIC_PAGE_ADDR, 1))],
  ['control.tpr-threshold.reserved', all(shadow, page(V.VIRTUAL_APIC_PAGE_ADDR), write(V.TPR_THRESHOLD, 0x10))],
  ['control.tpr-threshold.above-vtpr', all(shadow, page(V.VIRTUAL_APIC_PAGE_ADDR), write(V.TPR_THRESHOLD, 1))],
  ['control.nmi.virtual-without-exiting', clear(V.PIN_BASED_VM_EXEC_CONTROL, V.PIN_BASED_NMI_EXITING)],
  ['control.nmi.window-without-virtual', all(
    clear(V.PIN_BASED_VM_EXEC_CONTROL, V.PIN_BASED_VIRTUAL_NMIS), set(V.CPU_BASED_VM_EXEC_CONTROL, V.CPU_BASED_NMI_WINDOW_EXITING))],
  ['control.vpid.zero', write(V.VIRTUAL_PROCESSOR_ID, 0)],
  ['control.eptp.memory-type', set(V.EPT_POINTER, 1)],
  ['control.eptp.walk-length', clear(V.EPT_POINTER, 8)],
  ['control.eptp.reserved', set(V.EPT_POINTER, 0x100)],
  ['control.unrestricted-guest.without-ept', clear(V.SECONDARY_VM_EXEC_CONTROL, V.SECONDARY_EXEC_ENABLE_EPT)],
  ['control.exit.reserved', clear(V.VM_EXIT_CONTROLS, 1)],
  ['control.exit.save-timer', set(V.VM_EXIT_CONTROLS, V.VM_EXIT_SAVE_VMX_PREEMPTION_TIMER)],
  ['control.exit.msr-store', all(write(V.VM_EXIT_MSR_STORE_COUNT, 1), write(V.VM_EXIT_MSR_STORE_ADDR, 8))],
  ['control.exit.msr-load', all(write(V.VM_EXIT_MSR_LOAD_COUNT, 1), write(V.VM_EXIT_MSR_LOAD_ADDR, 8))],
  ['control.entry.reserved', clear(V.VM_ENTRY_CONTROLS, 1)],
  ['control.entry.msr-load', all(write(V.VM_ENTRY_MSR_LOAD_COUNT, 1), write(V.VM_ENTRY_MSR_LOAD_ADDR, 8))],
  ['control.event.type', inject(0x120)],
  ['control.event.vector', inject(0x203)],
  ['control.event.vector', inject(0x320)],
  ['control.event.error-code', inject(0x30d)],
  ['control.event.error-code', inject(0xb06)],
  ['control.event.reserved', inject(0x1020)],
  ['control.event.error-code-reserved', all(inject(0xb0d), write(V.VM_ENTRY_EXCEPTION_ERROR_CODE, 0x10000))],
  ['control.event.instruction-length', all(inject(0x603), write(V.VM_ENTRY_INSTRUCTION_LEN, 16))],
];

const HOST_CASES: readonly (readonly [string, Spoil])[] = [
  ['host.cr0.fixed-bits', clear(V.HOST_CR0, 0x20)],
  ['host.cr4.fixed-bits', write(V.HOST_CR4, 0x20)],
  ['host.cr3.width', write(V.HOST_CR3, 0, 0x100)],
  ['host.sysenter.canonical', write(V.HOST_IA32_SYSENTER_EIP, 0, 0x8000)],
  ['host.pat', all(set(V.VM_EXIT_CONTROLS, V.VM_EXIT_LOAD_IA32_PAT), write(V.HOST_IA32_PAT, 2))],
  ['host.efer.reserved', set(V.HOST_IA32_EFER, 2)],
  ['host.efer.address-space-size', clear(V.HOST_IA32_EFER, V.EFER_LME)],
  ['host.selector.rpl-ti', write(V.HOST_GS_SELECTOR, 3)],
  ['host.cs.null', write(V.HOST_CS_SELECTOR, 0)],
  ['host.tr.null', write(V.HOST_TR_SELECTOR, 0)],
  ['host.base.canonical', write(V.HOST_GS_BASE, 0, 0x8000)],
  ['host.mode.long', all(clear(V.VM_EXIT_CONTROLS, V.VM_EXIT_HOST_ADDR_SPACE_SIZE | V.VM_EXIT_LOAD_IA32_EFER))],
  ['host.address-space.64-bit', write(V.HOST_RIP, 0, 0x8000)],
];

const GUEST_CASES: readonly (readonly [string, Mode, Spoil])[] = [
  ['guest.cr0.fixed-bits', 'long', clear(V.GUEST_CR0, 0x20)],
  ['guest.cr0.fixed-bits', 'real', restricted],
  ['guest.cr0.paging-without-protection', 'real', set(V.GUEST_CR0, 0x80000000)],
  ['guest.cr4.fixed-bits', 'long', clear(V.GUEST_CR4, 0x2000)],
  ['guest.debugctl.reserved', 'long', all(set(V.VM_ENTRY_CONTROLS, V.VM_ENTRY_LOAD_DEBUG_CONTROLS), write(V.GUEST_IA32_DEBUGCTL, 4))],
  ['guest.dr7.high', 'long', all(set(V.VM_ENTRY_CONTROLS, V.VM_ENTRY_LOAD_DEBUG_CONTROLS), write(V.GUEST_DR7, 0x400, 1))],
  ['guest.ia32e.paging', 'long', clear(V.GUEST_CR4, 0x20)],
  ['guest.cr3.width', 'long', write(V.GUEST_CR3, 0, 0x100)],
  ['guest.sysenter.canonical', 'long', write(V.GUEST_SYSENTER_ESP, 0, 0x8000)],
  ['guest.pat', 'long', all(set(V.VM_ENTRY_CONTROLS, V.VM_ENTRY_LOAD_IA32_PAT), write(V.GUEST_IA32_PAT, 0x300))],
  ['guest.efer.reserved', 'long', set(V.GUEST_IA32_EFER, 2)],
  ['guest.efer.lma', 'long', clear(V.GUEST_IA32_EFER, V.EFER_LMA)],
  ['guest.efer.lme', 'long', clear(V.GUEST_IA32_EFER, V.EFER_LME)],
  ['guest.tr.ti', 'long', write(V.GUEST_TR_SELECTOR, 4)],
  ['guest.ldtr.ti', 'long', all(write(V.GUEST_LDTR_AR_BYTES, 0x82), write(V.GUEST_LDTR_SELECTOR, 4))],
  ['guest.ss.rpl', 'long', all(restricted, write(V.GUEST_SS_SELECTOR, 3))],
  ['guest.v86.base', 'real', all(v86, write(V.GUEST_DS_BASE, 0x10))],
  ['guest.v86.limit', 'real', all(v86, write(V.GUEST_ES_LIMIT, 0xfffe))],
  ['guest.v86.access-rights', 'real', all(v86, write(V.GUEST_FS_AR_BYTES, 0x93))],
  ['guest.segment.base-canonical', 'long', write(V.GUEST_FS_BASE, 0, 0x8000)],
  ['guest.segment.base-high', 'long', write(V.GUEST_DS_BASE, 0, 1)],
  ['guest.cs.type', 'long', write(V.GUEST_CS_AR_BYTES, 0xa095)],
  ['guest.ss.type', 'long', write(V.GUEST_SS_AR_BYTES, 0xc091)],
  ['guest.data-segment.type', 'long', write(V.GUEST_DS_AR_BYTES, 0xc092)],
  ['guest.segment.s', 'long', write(V.GUEST_DS_AR_BYTES, 0xc083)],
  ['guest.cs.dpl', 'long', write(V.GUEST_CS_AR_BYTES, 0xa0fb)],
  ['guest.ss.dpl', 'long', all(restricted, write(V.GUEST_SS_AR_BYTES, 0xc0b3), write(V.GUEST_CS_AR_BYTES, 0xa09f))],
  ['guest.data-segment.dpl', 'long', all(restricted, write(V.GUEST_DS_SELECTOR, 0x13))],
  ['guest.segment.present', 'long', write(V.GUEST_DS_AR_BYTES, 0xc013)],
  ['guest.segment.reserved', 'long', write(V.GUEST_DS_AR_BYTES, 0xc193)],
  ['guest.cs.d-with-l', 'long', write(V.GUEST_CS_AR_BYTES, 0xe09b)],
  ['guest.segment.granularity', 'long', write(V.GUEST_DS_AR_BYTES, 0x4093)],
  ['guest.tr.type', 'long', write(V.GUEST_TR_AR_BYTES, 0x83)],
  ['guest.tr.s', 'long', write(V.GUEST_TR_AR_BYTES, 0x9b)],
  ['guest.tr.present', 'long', write(V.GUEST_TR_AR_BYTES, 0x0b)],
  ['guest.tr.reserved', 'long', write(V.GUEST_TR_AR_BYTES, 0x18b)],
  ['guest.tr.granularity', 'long', write(V.GUEST_TR_AR_BYTES, 0x808b)],
  ['guest.tr.usable', 'long', write(V.GUEST_TR_AR_BYTES, 0x1008b)],
  ['guest.ldtr.type', 'long', write(V.GUEST_LDTR_AR_BYTES, 0x83)],
  ['guest.ldtr.s', 'long', write(V.GUEST_LDTR_AR_BYTES, 0x92)],
  ['guest.ldtr.present', 'long', write(V.GUEST_LDTR_AR_BYTES, 0x02)],
  ['guest.ldtr.reserved', 'long', write(V.GUEST_LDTR_AR_BYTES, 0x182)],
  ['guest.ldtr.granularity', 'long', all(write(V.GUEST_LDTR_AR_BYTES, 0x8082), write(V.GUEST_LDTR_LIMIT, 0x10))],
  ['guest.descriptor-table.base', 'long', write(V.GUEST_IDTR_BASE, 0, 0x8000)],
  ['guest.descriptor-table.limit', 'long', write(V.GUEST_GDTR_LIMIT, 0x10000)],
  ['guest.rip.high', 'real', write(V.GUEST_RIP, 0, 1)],
  ['guest.rip.canonical', 'long', write(V.GUEST_RIP, 0, 0x8000)],
  ['guest.rflags.reserved', 'long', write(V.GUEST_RFLAGS, 0)],
  ['guest.rflags.reserved', 'long', write(V.GUEST_RFLAGS, 0xa)],
  ['guest.rflags.vm', 'real', all(v86, write(V.GUEST_CR0, 0x30))],
  ['guest.rflags.if', 'long', inject(0x20)],
  ['guest.activity.value', 'long', write(V.GUEST_ACTIVITY_STATE, 4)],
  ['guest.activity.hlt-privilege', 'long', all(
    write(V.GUEST_ACTIVITY_STATE, 1), write(V.GUEST_SS_AR_BYTES, 0xc0f3), write(V.GUEST_CS_AR_BYTES, 0xa0fb))],
  ['guest.activity.blocking', 'long', all(write(V.GUEST_ACTIVITY_STATE, 1), write(V.GUEST_INTERRUPTIBILITY_INFO, 2))],
  ['guest.activity.event', 'long', all(write(V.GUEST_ACTIVITY_STATE, 1), inject(0x306))],
  ['guest.interruptibility.reserved', 'long', write(V.GUEST_INTERRUPTIBILITY_INFO, 0x20)],
  ['guest.interruptibility.sti-and-mov-ss', 'long', all(write(V.GUEST_INTERRUPTIBILITY_INFO, 3), write(V.GUEST_RFLAGS, 0x202))],
  ['guest.interruptibility.sti-without-if', 'long', write(V.GUEST_INTERRUPTIBILITY_INFO, 1)],
  ['guest.interruptibility.external-interrupt', 'long', all(
    write(V.GUEST_INTERRUPTIBILITY_INFO, 1), write(V.GUEST_RFLAGS, 0x202), inject(0x20))],
  ['guest.interruptibility.nmi-mov-ss', 'long', all(write(V.GUEST_INTERRUPTIBILITY_INFO, 2), inject(0x202))],
  ['guest.interruptibility.smi', 'long', write(V.GUEST_INTERRUPTIBILITY_INFO, 4)],
  ['guest.interruptibility.virtual-nmi', 'long', all(write(V.GUEST_INTERRUPTIBILITY_INFO, 8), inject(0x202))],
  ['guest.interruptibility.enclave', 'long', write(V.GUEST_INTERRUPTIBILITY_INFO, 16)],
  ['guest.pending-debug.reserved', 'long', write(V.GUEST_PENDING_DBG_EXCEPTIONS, 0x10)],
  ['guest.pending-debug.single-step', 'long', all(write(V.GUEST_RFLAGS, 0x302), write(V.GUEST_INTERRUPTIBILITY_INFO, 1))],
  ['guest.link-pointer.address', 'long', write(V.VMCS_LINK_POINTER, 0x1001)],
  ['guest.link-pointer.revision', 'long', page(V.VMCS_LINK_POINTER)],
  ['guest.pdpte.reserved', 'real', all(pae, write(V.GUEST_PDPTR0, 0x1e1))],
];

/** Controls that are not offered are refused by the capability MSRs before these; PCIDs are not offered either. */
const UNREACHABLE = new Set([
  'control.apic-access.address', 'control.tpr-shadow.dependents', 'control.pml.without-ept', 'host.ss.null', 'host.mode.legacy',
  'host.address-space.32-bit', 'guest.ia32e.pcide', 'entry.msr-load',
]);

describe('VM-entry checks', () => {
  test.each(CONTROL_CASES)('%s', (name, spoil) => {
    const guest = new VmxGuest();
    spoil(guest);
    expect(guest.processor.vmlaunch()).toBe(V.VM_FAIL_VALID);
    expect(guest.processor.entryFailure()?.check).toBe(name);
    expect(guest.read(V.VM_INSTRUCTION_ERROR)).toBe(OK_CONTROLS);
  });

  test.each(HOST_CASES)('%s', (name, spoil) => {
    const guest = new VmxGuest();
    spoil(guest);
    expect(guest.processor.vmlaunch()).toBe(V.VM_FAIL_VALID);
    expect(guest.processor.entryFailure()?.check).toBe(name);
    expect(guest.read(V.VM_INSTRUCTION_ERROR)).toBe(HOST_STATE);
  });

  test.each(GUEST_CASES)('%s (%s)', (name, mode, spoil) => {
    const guest = new VmxGuest({ mode });
    spoil(guest);
    expect(guest.run()).toBe((V.EXIT_REASON_INVALID_STATE | V.VMX_EXIT_REASONS_FAILED_VMENTRY) >>> 0);
    const failure = guest.processor.entryFailure();
    expect(failure?.check).toBe(name);
    expect(failure?.fields.length).toBeGreaterThan(0);
    const qualification = name.startsWith('guest.link') ? V.ENTRY_FAIL_VMCS_LINK_PTR : name.startsWith('guest.pdpte') ? V.ENTRY_FAIL_PDPTE : 0;
    expect(guest.read(V.EXIT_QUALIFICATION)).toBe(qualification);
    // Host state was loaded, the VMCS is still clear.
    expect(guest.processor.readSelector('tr')).toBe(guest.read(V.HOST_TR_SELECTOR));
    expect(guest.processor.vmresume()).toBe(V.VM_FAIL_VALID);
  });

  test('a failing check is found when its field changes after a good entry', () => {
    const guest = new VmxGuest();
    guest.code([0xf4]);
    guest.run();
    guest.write(V.GUEST_TR_AR_BYTES, 0x10000);
    expect(guest.run() >>> 31).toBe(1);
    expect(guest.processor.entryFailure()?.check).toBe('guest.tr.usable');
    guest.write(V.GUEST_TR_AR_BYTES, 0x8b);
    guest.write(V.GUEST_RIP, 0x10000);
    expect(guest.run()).toBe(V.EXIT_REASON_HLT);
    expect(guest.processor.entryFailure()).toBeUndefined();
  });

  test('the MSR-load area: an MSR that cannot be loaded fails the entry with its number', () => {
    const guest = new VmxGuest();
    const list = guest.memory.allocPages(1);
    guest.memory.u32.set([V.MSR_STAR, 0, 7, 8, V.MSR_FS_BASE, 0, 0, 0], list >>> 2);
    guest.write(V.VM_ENTRY_MSR_LOAD_ADDR, list);
    guest.write(V.VM_ENTRY_MSR_LOAD_COUNT, 2);
    expect(guest.run()).toBe((V.EXIT_REASON_MSR_LOAD_FAIL | V.VMX_EXIT_REASONS_FAILED_VMENTRY) >>> 0);
    expect(guest.read(V.EXIT_QUALIFICATION)).toBe(2);
    expect(guest.processor.entryFailure()?.check).toBe('entry.msr-load');
    expect(guest.processor.rdmsr(V.MSR_STAR)).toBe(7);
  });

  test('names and numbers are stable and unique, and each check that can be reached is reached above', () => {
    const numbers = Object.values(ids);
    expect(ENTRY_CHECKS.map((check) => check.id)).toEqual(numbers);
    expect(new Set(ENTRY_CHECKS.map((check) => check.name)).size).toBe(ENTRY_CHECKS.length);
    const reached = new Set([...CONTROL_CASES, ...HOST_CASES, ...GUEST_CASES].map(([name]) => name));
    expect(ENTRY_CHECKS.map((check) => check.name).filter((name) => !reached.has(name)).toSorted()).toEqual([...UNREACHABLE].toSorted());
  });
});
