import { beforeEach, describe, expect, test } from 'vitest';
import * as V from '@vm/kvm-run/vmx';
import { VMCS_REVISION_ID } from '../state/vmx-layout.ts';
import { VmxGuest } from '../testing/vmx-guest.ts';
import { SUPPORTED_FIELDS } from './vmcs-fields.ts';

let guest: VmxGuest;
beforeEach(() => {
  guest = new VmxGuest();
});

const error = (): number => guest.read(V.VM_INSTRUCTION_ERROR);

describe('VMREAD and VMWRITE', () => {
  test('every field that exists keeps what was written, in its width', () => {
    for (const field of SUPPORTED_FIELDS) expect(guest.processor.vmwrite(field, 0x89abcde0, 0x1234567)).toBe(V.VM_SUCCEED);
    for (const field of SUPPORTED_FIELDS) {
      const bytes = V.fieldBytes(field);
      expect(guest.read(field), V.fieldName(field)).toBe(bytes === 2 ? 0xcde0 : 0x89abcde0);
      expect(guest.processor.high).toBe(bytes === 8 ? 0x1234567 : 0);
    }
  });

  test('the high half of a 64-bit field is reached by itself', () => {
    guest.write(V.TSC_OFFSET, 1, 2);
    expect(guest.read(V.TSC_OFFSET + 1)).toBe(2);
    expect(guest.processor.high).toBe(0);
    guest.write(V.TSC_OFFSET + 1, 7);
    expect(guest.read(V.TSC_OFFSET)).toBe(1);
    expect(guest.processor.high).toBe(7);
  });

  test('fields of absent features, unknown encodings and high halves of 32-bit fields fail with error 12', () => {
    for (const field of [V.POSTED_INTR_NV, V.TSC_MULTIPLIER, 0x0c0e, 0x4003, 0x6801, 0x7fff, 0x12345]) {
      expect(guest.processor.vmwrite(field, 0)).toBe(V.VM_FAIL_VALID);
      expect(error()).toBe(V.VMXERR_UNSUPPORTED_VMCS_COMPONENT);
      expect(() => guest.read(field)).toThrow(V.VmxFailure);
    }
  });

  test('without a current VMCS they fail invalid', () => {
    guest.processor.vmclear(guest.vmcs);
    expect(guest.processor.vmptrst()).toBe(-1);
    expect(guest.processor.vmwrite(V.GUEST_RIP, 0)).toBe(V.VM_FAIL_INVALID);
    expect(() => guest.read(V.GUEST_RIP)).toThrow('no current VMCS');
    expect(guest.processor.vmlaunch()).toBe(V.VM_FAIL_INVALID);
  });
});

describe('VMfail', () => {
  const cases: readonly (readonly [string, (g: VmxGuest) => V.VmxResult, number])[] = [
    ['VMCLEAR of a misaligned address', (g) => g.processor.vmclear(g.vmcs + 8), V.VMXERR_VMCLEAR_INVALID_ADDRESS],
    ['VMCLEAR beyond the physical address width', (g) => g.processor.vmclear(2 ** 40), V.VMXERR_VMCLEAR_INVALID_ADDRESS],
    ['VMCLEAR of the VMXON region', (g) => g.processor.vmclear(g.vmxon), V.VMXERR_VMCLEAR_VMXON_POINTER],
    ['VMPTRLD of a misaligned address', (g) => g.processor.vmptrld(g.vmcs + 8), V.VMXERR_VMPTRLD_INVALID_ADDRESS],
    ['VMPTRLD of the VMXON region', (g) => g.processor.vmptrld(g.vmxon), V.VMXERR_VMPTRLD_VMXON_POINTER],
    ['VMPTRLD of another revision', (g) => g.processor.vmptrld(g.ram), V.VMXERR_VMPTRLD_INCORRECT_VMCS_REVISION_ID],
    ['VMXON again', (g) => g.processor.vmxon(g.vmxon), V.VMXERR_VMXON_IN_VMX_ROOT_OPERATION],
    ['VMRESUME of a clear VMCS', (g) => g.processor.vmresume(), V.VMXERR_VMRESUME_NONLAUNCHED_VMCS],
    ['INVEPT of an unknown type', (g) => g.processor.invept(3, 0, 0), V.VMXERR_INVALID_OPERAND_TO_INVEPT_INVVPID],
    ['INVVPID of an unknown type', (g) => g.processor.invvpid(4, 1, 0, 0), V.VMXERR_INVALID_OPERAND_TO_INVEPT_INVVPID],
    ['INVVPID of VPID 0', (g) => g.processor.invvpid(1, 0, 0, 0), V.VMXERR_INVALID_OPERAND_TO_INVEPT_INVVPID],
    ['INVVPID of a wild address', (g) => g.processor.invvpid(0, 1, 0, 0x8000), V.VMXERR_INVALID_OPERAND_TO_INVEPT_INVVPID],
  ];
  test.each(cases)('%s', (_, act, number) => {
    expect(act(guest)).toBe(V.VM_FAIL_VALID);
    expect(error()).toBe(number);
  });

  test('VMLAUNCH of a launched VMCS, and the launch state through VMCLEAR', () => {
    guest.code([0xf4]);
    expect(guest.run()).toBe(V.EXIT_REASON_HLT);
    expect(guest.processor.vmlaunch()).toBe(V.VM_FAIL_VALID);
    expect(error()).toBe(V.VMXERR_VMLAUNCH_NONCLEAR_VMCS);
    expect(guest.processor.vmclear(guest.vmcs)).toBe(V.VM_SUCCEED);
    expect(guest.processor.vmptrld(guest.vmcs)).toBe(V.VM_SUCCEED);
    expect(guest.processor.vmptrst()).toBe(guest.vmcs);
    expect(guest.processor.vmresume()).toBe(V.VM_FAIL_VALID);
    expect(guest.processor.vmlaunch()).toBe(V.VM_SUCCEED);
  });
});

describe('VMXON', () => {
  test('needs CR4.VMXE and IA32_FEATURE_CONTROL, and CR4.VMXE stays set in VMX operation', () => {
    const { processor } = guest;
    expect(processor.writeCr(4, 0x620, 0)).toBe(false);
    expect(processor.vmxoff()).toBe(V.VM_SUCCEED);
    expect(() => processor.vmlaunch()).toThrow('not in VMX operation');
    expect(processor.writeCr(4, 0x620, 0)).toBe(true);
    expect(() => processor.vmxon(guest.vmxon)).toThrow('#GP');
    expect(processor.writeCr(4, 0x2620, 0)).toBe(true);
    guest.memory.u32[guest.vmxon >>> 2] = VMCS_REVISION_ID + 1;
    expect(processor.vmxon(guest.vmxon)).toBe(V.VM_FAIL_INVALID);
    guest.memory.u32[guest.vmxon >>> 2] = VMCS_REVISION_ID;
    expect(processor.vmxon(guest.vmxon)).toBe(V.VM_SUCCEED);
  });

  test('IA32_FEATURE_CONTROL is locked', () => {
    expect(guest.processor.wrmsr(V.MSR_IA32_FEAT_CTL, 0, 0)).toBe(false);
  });
});
