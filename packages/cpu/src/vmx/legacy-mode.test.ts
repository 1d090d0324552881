import { expect, test } from 'vitest';
import * as V from '@vm/kvm-run/vmx';
import { GUEST_CODE, VmxGuest } from '../testing/vmx-guest.ts';

const HLT = 0xf4;
const RAX = 0;

/** A guest in 32-bit protected mode without paging. */
function protectedGuest(): VmxGuest {
  const guest = new VmxGuest({ mode: 'real' });
  guest.write(V.GUEST_CR0, 0x31);
  for (const at of [0, 2, 4, 6, 8, 10]) {
    guest.write(V.GUEST_ES_LIMIT + at, 0xffffffff);
    guest.write(V.GUEST_ES_AR_BYTES + at, 0xc093);
  }
  guest.write(V.GUEST_CS_AR_BYTES, 0xc09b);
  guest.write(V.GUEST_CS_BASE, 0);
  guest.write(V.GUEST_CS_SELECTOR, 8);
  guest.write(V.GUEST_RIP, GUEST_CODE);
  return guest;
}

test('real mode runs, and CR0.PE can be set by the guest itself', () => {
  const guest = new VmxGuest({ mode: 'real' });
  guest.write(V.GUEST_RIP, 0);
  // smsw ax; or al, 1; lmsw ax; hlt
  guest.code([0x0f, 0x01, 0xe0, 0x0c, 1, 0x0f, 0x01, 0xf0, HLT]);
  expect(guest.run()).toBe(V.EXIT_REASON_HLT);
  expect(guest.read(V.GUEST_CR0)).toBe(0x31);
  expect(guest.read(V.GUEST_RIP)).toBe(8);
});

test('INVLPG in 32-bit code', () => {
  const guest = protectedGuest();
  guest.write(V.EXCEPTION_BITMAP, 0xffffffff);
  guest.code([0x0f, 0x01, 0x3d, 0, 0x30, 0, 0, HLT]);
  expect(guest.run()).toBe(V.EXIT_REASON_HLT);
  guest.write(V.GUEST_RIP, GUEST_CODE);
  guest.set(V.CPU_BASED_VM_EXEC_CONTROL, V.CPU_BASED_INVLPG_EXITING);
  expect(guest.run()).toBe(V.EXIT_REASON_INVLPG);
  expect(guest.read(V.EXIT_QUALIFICATION)).toBe(0x3000);
});

test('turning on PAE paging loads the PDPTEs and refuses reserved bits', () => {
  const guest = protectedGuest();
  guest.write(V.EXCEPTION_BITMAP, 1 << 13);
  guest.write(V.GUEST_CR4, 0x2020);
  guest.write(V.GUEST_CR3, 0x7000);
  const pdpt = (guest.ram + 0x7000) >>> 2;
  guest.memory.u32.set([0x8001, 0, 0, 0], pdpt);
  guest.memory.u32.set([0x87, 0], (guest.ram + 0x8000) >>> 2);
  guest.setGpr(RAX, 0x80000031);
  // mov cr0, eax; hlt
  guest.code([0x0f, 0x22, 0xc0, HLT]);
  expect(guest.run()).toBe(V.EXIT_REASON_HLT);
  expect(guest.read(V.GUEST_PDPTR0)).toBe(0x8001);
  guest.memory.u32[pdpt] = 0x8007;
  guest.write(V.GUEST_CR0, 0x31);
  guest.write(V.GUEST_RIP, GUEST_CODE);
  expect(guest.run()).toBe(V.EXIT_REASON_EXCEPTION_NMI);
  expect(guest.read(V.VM_EXIT_INTR_INFO) & 0xff).toBe(13);
});

test('entering long mode: LME, PAE, paging', () => {
  const guest = protectedGuest();
  guest.write(V.GUEST_IA32_EFER, V.EFER_LME);
  guest.write(V.GUEST_CR4, 0x2020);
  guest.write(V.GUEST_CR3, 0x1000);
  guest.memory.u32[(guest.ram + 0x1000) >>> 2] = 0x2007;
  guest.memory.u32[(guest.ram + 0x2000) >>> 2] = 0x87;
  guest.setGpr(RAX, 0x80000031);
  guest.code([0x0f, 0x22, 0xc0, HLT]);
  expect(guest.run()).toBe(V.EXIT_REASON_HLT);
  expect(guest.read(V.GUEST_IA32_EFER)).toBe(V.EFER_LME | V.EFER_LMA);
  // With "unrestricted guest" the exit tells the mode in the entry controls.
  expect(guest.read(V.VM_ENTRY_CONTROLS) & V.VM_ENTRY_IA32E_MODE).not.toBe(0);
  expect(guest.run()).toBe(V.EXIT_REASON_HLT);
});

test('the I/O permission bitmap comes before the exit', () => {
  const guest = protectedGuest();
  guest.write(V.GUEST_CS_AR_BYTES, 0xc0fb);
  guest.write(V.GUEST_SS_AR_BYTES, 0xc0f3);
  guest.write(V.GUEST_TR_LIMIT, 0x80);
  guest.memory.u8[guest.ram + 0x6000 + 102] = 0x68;
  guest.memory.u8.fill(0xff, guest.ram + 0x6068, guest.ram + 0x6080);
  guest.memory.u8[guest.ram + 0x6068 + 12] = 0;
  guest.write(V.EXCEPTION_BITMAP, 1 << 13);
  guest.code([0xe4, 0x61, 0xe4, 0x70]);
  expect(guest.run()).toBe(V.EXIT_REASON_IO_INSTRUCTION);
  guest.skip();
  expect(guest.run()).toBe(V.EXIT_REASON_EXCEPTION_NMI);
});
