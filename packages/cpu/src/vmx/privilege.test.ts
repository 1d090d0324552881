/** VMX instructions in a guest's user code (SDM vol. 3C, ch. 31): the pseudo-code of each asks for non-root operation before it asks for the privilege level. */
import { expect, test } from 'vitest';
import * as V from '@vm/kvm-run/vmx';
import { VmxGuest } from '../testing/vmx-guest.ts';

const RDI = 7;

test.each<[name: string, code: readonly number[], reason: number]>([
  ['vmcall', [0x0f, 0x01, 0xc1], V.EXIT_REASON_VMCALL], ['vmlaunch', [0x0f, 0x01, 0xc2], V.EXIT_REASON_VMLAUNCH], ['vmresume', [0x0f, 0x01, 0xc3], V.EXIT_REASON_VMRESUME],
  ['vmxoff', [0x0f, 0x01, 0xc4], V.EXIT_REASON_VMOFF], ['vmxon [rdi]', [0xf3, 0x0f, 0xc7, 0x37], V.EXIT_REASON_VMON], ['vmclear [rdi]', [0x66, 0x0f, 0xc7, 0x37], V.EXIT_REASON_VMCLEAR],
  ['vmptrld [rdi]', [0x0f, 0xc7, 0x37], V.EXIT_REASON_VMPTRLD], ['vmptrst [rdi]', [0x0f, 0xc7, 0x3f], V.EXIT_REASON_VMPTRST], ['vmread rax, rcx', [0x0f, 0x78, 0xc8], V.EXIT_REASON_VMREAD],
  ['vmwrite rcx, rax', [0x0f, 0x79, 0xc8], V.EXIT_REASON_VMWRITE], ['invept rax, [rdi]', [0x66, 0x0f, 0x38, 0x80, 0x07], V.EXIT_REASON_INVEPT],
  ['invvpid rax, [rdi]', [0x66, 0x0f, 0x38, 0x81, 0x07], V.EXIT_REASON_INVVPID],
])('%s exits at level 3', (_, code, reason) => {
  const guest = new VmxGuest();
  guest.code(code);
  guest.setGpr(RDI, 0x3000);
  guest.write(V.GUEST_CS_AR_BYTES, 0xa0fb);
  guest.write(V.GUEST_SS_AR_BYTES, 0xc0f3);
  expect(guest.run()).toBe(reason);
});
