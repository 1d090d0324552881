/** What VMX operation adds to the checks of control registers (SDM vol. 3C, 25.8; vol. 3D, appendix A.7 and A.8). */
import { describe, expect, test } from 'vitest';
import * as V from '@vm/kvm-run/vmx';
import { GUEST_CODE, VmxGuest } from '../testing/vmx-guest.ts';

const [PE, TS, NE, PG, NW, CD] = [1, 8, 0x20, 0x8000_0000, 0x2000_0000, 0x4000_0000];
const [TSD, VMXE, PCIDE] = [4, 0x2000, 0x2_0000];
const HLT = 0xf4;
const GP = 13;

describe('in VMX root operation', () => {
  const { processor } = new VmxGuest();
  const cr0 = processor.readCr(0);
  const cr4 = processor.readCr(4);
  test.each<[string, 0 | 4, number, boolean]>([
    ['CR0.PG cleared', 0, cr0 & ~PG, false], ['CR0.PE and PG cleared', 0, cr0 & ~PG & ~PE, false], ['CR0.NE cleared', 0, cr0 & ~NE, false], ['CR0.TS set', 0, cr0 | TS, true],
    ['CR0.NW without CD', 0, (cr0 | NW) & ~CD, false], ['CR4.VMXE cleared', 4, cr4 & ~VMXE, false], ['CR4.TSD set', 4, cr4 | TSD, true],
  ])('%s', (_, register, value, allowed) => {
    expect(processor.writeCr(register, value >>> 0, 0)).toBe(allowed);
    const old = register === 0 ? cr0 : cr4;
    expect(processor.readCr(register)).toBe(allowed ? value >>> 0 : old);
    processor.writeCr(register, old, 0);
  });
});

/** A guest writes RAX to CR0 or CR4; whether it gets #GP(0). */
function write(mode: 'long' | 'real', register: 0 | 4, change: (value: number) => number, unrestricted = true): string {
  const guest = new VmxGuest({ mode });
  if (!unrestricted) guest.clear(V.SECONDARY_VM_EXEC_CONTROL, V.SECONDARY_EXEC_UNRESTRICTED_GUEST);
  guest.write(V.EXCEPTION_BITMAP, 1 << GP);
  guest.code([0x0f, 0x22, 0xc0 | (register << 3), HLT]);
  const field = register === 0 ? V.GUEST_CR0 : V.GUEST_CR4;
  guest.setGpr(0, change(guest.read(field)) >>> 0);
  const reason = guest.run();
  if (reason === V.EXIT_REASON_HLT) return 'ok';
  expect(guest.read(V.GUEST_RIP) & 0xffff).toBe(GUEST_CODE & (mode === 'long' ? 0xffff : 0));
  return reason === V.EXIT_REASON_EXCEPTION_NMI ? `#${guest.read(V.VM_EXIT_INTR_INFO) & 0xff}` : `exit ${reason}`;
}

describe('in a guest, of bits that it owns', () => {
  test.each<[string, 'long' | 'real', 0 | 4, (value: number) => number, boolean, string]>([
    ['CR0.NE cleared', 'long', 0, (v) => v & ~NE, true, '#13'],
    ['CR0.TS set', 'long', 0, (v) => v | TS, true, 'ok'],
    ['CR0.PG cleared in 64-bit mode', 'long', 0, (v) => v & ~PG, true, '#13'],
    ['CR0.PE set, unrestricted', 'real', 0, (v) => v | PE, true, 'ok'],
    ['CR0.PG without PE, unrestricted', 'real', 0, (v) => v | PG, true, '#13'],
    ['CR0.NW without CD', 'long', 0, (v) => (v | NW) & ~CD, true, '#13'],
    ['CR0.PE and PG cleared, restricted', 'long', 0, (v) => v & ~PE & ~PG, false, '#13'],
    ['CR4.VMXE cleared', 'long', 4, (v) => v & ~VMXE, true, '#13'],
    ['CR4.TSD set', 'long', 4, (v) => v | TSD, true, 'ok'],
    ['CR4.PAE cleared in long mode', 'long', 4, (v) => v & ~0x20, true, '#13'],
    ['CR4.PCIDE in real-address mode', 'real', 4, (v) => v | PCIDE, true, '#13'],
    ['a bit of CR4 that is not there', 'long', 4, (v) => v | 0x1000, true, '#13'],
  ])('%s', (_, mode, register, change, unrestricted, outcome) => expect(write(mode, register, change, unrestricted)).toBe(outcome));
});
