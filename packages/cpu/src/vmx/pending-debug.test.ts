/** Debug exceptions that a VM exit finds pending, and that a VM entry makes pending (SDM vol. 3C, 28.3.4, 27.3.1.5 and 27.7.3). */
import { expect, test } from 'vitest';
import * as V from '@vm/kvm-run/vmx';
import { GUEST_CODE, GUEST_STACK, VmxGuest } from '../testing/vmx-guest.ts';

const HLT = 0xf4;
const CPUID = [0x0f, 0xa2];
const MOV_SS = [0x8e, 0xd0];
const TF = 0x102;
const BS = 0x4000;
const BLOCKED_BY_STI = 1;
const BLOCKED_BY_MOV_SS = 2;
const HANDLER = 0x7000;

function stepping(code: readonly number[], interruptibility = 0, pending = 0, flags = TF): VmxGuest {
  const guest = new VmxGuest();
  guest.gate(1, HANDLER);
  guest.code([HLT], HANDLER);
  guest.code([...code, HLT]);
  guest.setGpr(0, 0x10);
  guest.write(V.GUEST_RFLAGS, flags);
  guest.write(V.GUEST_INTERRUPTIBILITY_INFO, interruptibility);
  guest.write(V.GUEST_PENDING_DBG_EXCEPTIONS, pending);
  return guest;
}

/** Where the handler of #DB was entered from, as an offset from the code. */
function trapped(guest: VmxGuest): number {
  expect(guest.run()).toBe(V.EXIT_REASON_HLT);
  expect(guest.read(V.GUEST_RIP)).toBe(HANDLER);
  return guest.memory.u32[(guest.ram + GUEST_STACK - 40) >>> 2]! - GUEST_CODE;
}

test.each<[name: string, code: readonly number[], flags: number, pending: number, blocking: number]>([
  ['an exit behind MOV SS keeps the single-step trap', [...MOV_SS, ...CPUID], TF, BS, BLOCKED_BY_MOV_SS],
  ['without TF there is none', [...MOV_SS, ...CPUID], 2, 0, BLOCKED_BY_MOV_SS],
  ['an exit of the stepped instruction itself has none', CPUID, TF, 0, 0],
])('%s', (_, code, flags, pending, blocking) => {
  const guest = stepping(code, 0, 0, flags);
  expect(guest.run()).toBe(V.EXIT_REASON_CPUID);
  expect([guest.read(V.GUEST_PENDING_DBG_EXCEPTIONS), guest.read(V.GUEST_INTERRUPTIBILITY_INFO)]).toEqual([pending, blocking]);
});

test('a hypervisor that skips the instruction and ends the blocking has the trap delivered at once', () => {
  const guest = stepping([...MOV_SS, ...CPUID, 0x90]);
  expect(guest.run()).toBe(V.EXIT_REASON_CPUID);
  guest.skip();
  guest.write(V.GUEST_INTERRUPTIBILITY_INFO, 0);
  expect(trapped(guest)).toBe(4);
});

test.each<[name: string, interruptibility: number, pending: number, from: number]>([
  ['not blocked: before the first instruction', 0, BS, 0], ['blocked by MOV SS: behind it', BLOCKED_BY_MOV_SS, BS, 1], ['none pending: behind the first one that is stepped', 0, 0, 1],
])('VM entry with BS %s', (_, interruptibility, pending, from) => expect(trapped(stepping([0x90, 0x90], interruptibility, pending))).toBe(from));

test.each<[name: string, interruptibility: number, flags: number, pending: number]>([
  ['blocking by MOV SS and TF without BS', BLOCKED_BY_MOV_SS, TF, 0], ['blocking by MOV SS and BS without TF', BLOCKED_BY_MOV_SS, 2, BS], ['blocking by STI and TF without BS', BLOCKED_BY_STI, TF | 0x200, 0],
])('VM entry refuses %s', (_, interruptibility, flags, pending) => {
  const guest = stepping([0x90], interruptibility, pending, flags);
  expect(guest.run() & 0xffff).toBe(V.EXIT_REASON_INVALID_STATE);
  expect(guest.processor.entryFailure()?.check).toBe('guest.pending-debug.single-step');
});

/** 27.7.3: which injections leave them pending. In the handlers interrupts and TF are off, so that a trap there is one that was left. */
test.each<[name: string, info: number, interruptibility: number, left: boolean]>([
  ['an external interrupt', 0x8000_0040, 0, false], ['an NMI', 0x8000_0202, 0, false], ['a hardware exception: #DB, as KVM injects it', 0x8000_0301, BLOCKED_BY_STI, false],
  ['a hardware exception behind MOV SS', 0x8000_0306, BLOCKED_BY_MOV_SS, false], ['a privileged software exception', 0x8000_0501, 0, false], ['a software interrupt', 0x8000_0440, 0, false],
  ['a software exception', 0x8000_0603, 0, false], ['a software interrupt behind MOV SS', 0x8000_0440, BLOCKED_BY_MOV_SS, true], ['INT3 behind MOV SS', 0x8000_0603, BLOCKED_BY_MOV_SS, true],
])('injecting %s', (_, info, interruptibility, left) => {
  const flags = interruptibility === BLOCKED_BY_STI ? TF | 0x200 : TF;
  const guest = stepping([0x90], info >>> 8 === 0x80_0000 ? 0 : interruptibility, BS, info >>> 8 === 0x80_0000 ? TF | 0x200 : flags);
  const vector = info & 0xff;
  const handler = HANDLER + 0x100;
  guest.gate(vector, handler);
  guest.code([0x90, HLT], handler);
  guest.write(V.EXCEPTION_BITMAP, 0);
  guest.write(V.VM_ENTRY_INTR_INFO_FIELD, info >>> 0);
  guest.write(V.VM_ENTRY_INSTRUCTION_LEN, 1);
  guest.write(V.VM_ENTRY_EXCEPTION_ERROR_CODE, 0);
  expect(guest.run()).toBe(V.EXIT_REASON_HLT);
  expect(guest.read(V.GUEST_RIP)).toBe(left ? HANDLER : handler + 1);
  expect(guest.read(V.GUEST_RSP)).toBe(GUEST_STACK - (left ? 88 : 40));
});
