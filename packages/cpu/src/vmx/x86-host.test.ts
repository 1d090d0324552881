import { expect, test } from 'vitest';
import * as V from '@vm/kvm-run/vmx';
import * as L from '../state/layout.ts';
import { VmxGuest } from '../testing/vmx-guest.ts';

const LOOP = [0xeb, 0xfe];
const RBX = 3;
const RSI = 6;

/** VMX root operation as x86 code: host page tables that map low memory to itself. */
function hostCode(guest: VmxGuest, code: readonly number[], exitCode: readonly number[]): { entry: number } {
  const { memory, processor } = guest;
  const tables = memory.allocPages(3);
  memory.u32[tables >>> 2] = (tables + 0x1000) | 3;
  memory.u32[(tables + 0x1000) >>> 2] = (tables + 0x2000) | 3;
  for (let i = 0; i < 32; i++) memory.u32[((tables + 0x2000) >>> 2) + i * 2] = (i << 21) | 0x83;
  processor.writeCr(3, tables, 0);
  guest.write(V.HOST_CR3, tables);
  const page = memory.allocPages(1);
  memory.write(page, Uint8Array.from(code));
  memory.write(page + 0x800, Uint8Array.from(exitCode));
  guest.write(V.HOST_RIP, page + 0x800);
  guest.write(V.HOST_RSP, page + 0x1000);
  return { entry: page };
}

function runHost(guest: VmxGuest, entry: number, limit = 200): void {
  const at = (guest.parts.area + L.RIP) >>> 2;
  guest.memory.u32[at] = entry;
  guest.memory.u32[at + 1] = 0;
  expect(guest.parts.driver.run(limit)).toBe('budget');
}

test('VMLAUNCH, VMREAD and VMRESUME executed by x86 code: exits go on at HOST_RIP', () => {
  const guest = new VmxGuest();
  // The host: vmread rbx, rax (VM_EXIT_REASON); inc esi; cmp esi, 2; je $; vmwrite rcx, rdx (GUEST_RIP); vmresume; jmp $
  const { entry } = hostCode(guest, [0x0f, 0x01, 0xc2, ...LOOP], [
    0xb8, 0x02, 0x44, 0, 0, 0x0f, 0x78, 0xc3, 0xff, 0xc6, 0x83, 0xfe, 2, 0x74, 0xfe,
    0xb9, 0x1e, 0x68, 0, 0, 0xba, 0x20, 0, 1, 0, 0x0f, 0x79, 0xca, 0x0f, 0x01, 0xc3, ...LOOP,
  ]);
  guest.code([0x0f, 0xa2]);
  guest.code([0xf4], 0x10020);
  runHost(guest, entry);
  expect(guest.gpr(RSI)).toBe(2);
  expect(guest.gpr(RBX)).toBe(V.EXIT_REASON_HLT);
  expect(guest.read(V.GUEST_RIP)).toBe(0x10020);
});

test('VMfail reaches the flags', () => {
  const guest = new VmxGuest();
  // vmresume of a clear VMCS: setz bl
  const { entry } = hostCode(guest, [0x0f, 0x01, 0xc3, 0x0f, 0x94, 0xc3, ...LOOP], LOOP);
  runHost(guest, entry);
  expect(guest.gpr(RBX) & 0xff).toBe(1);
  expect(guest.read(V.VM_INSTRUCTION_ERROR)).toBe(V.VMXERR_VMRESUME_NONLAUNCHED_VMCS);
});

test('a host in TypeScript enters again after a host in x86 code', () => {
  const guest = new VmxGuest();
  const { entry } = hostCode(guest, [0x0f, 0x01, 0xc2], LOOP);
  guest.code([0x0f, 0xa2]);
  runHost(guest, entry);
  expect(guest.processor.vmresume()).toBe(V.VM_SUCCEED);
  expect(guest.read(V.VM_EXIT_REASON)).toBe(V.EXIT_REASON_CPUID);
});
