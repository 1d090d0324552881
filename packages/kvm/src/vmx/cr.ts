/**
 * Control registers and EFER in the VMCS (vmx_set_cr0, vmx_set_cr4, vmx_set_efer of arch/x86/kvm/vmx/vmx.c), for
 * unrestricted guests with EPT: real mode and paging off run on the processor as they are.
 */

import {
  CR0_GUEST_HOST_MASK,
  CR0_READ_SHADOW,
  CR4_GUEST_HOST_MASK,
  CR4_READ_SHADOW,
  EFER_LMA,
  EFER_LME,
  GUEST_CR0,
  GUEST_CR4,
  GUEST_IA32_EFER,
  GUEST_PDPTR0,
  GUEST_TR_AR_BYTES,
  VMX_AR_TYPE_BUSY_64_TSS,
  VMX_AR_TYPE_MASK,
  VM_ENTRY_IA32E_MODE,
} from '@vm/kvm-run/vmx';
import { isPaePaging, isPaging } from '../cache-regs.ts';
import { VCPU_EXREG_CR0, VCPU_EXREG_CR3, VCPU_EXREG_CR4, VCPU_EXREG_PDPTR, type KvmVcpu } from '../types.ts';
import * as B from '../x86-bits.ts';
import { vmEntryControlsSet } from './controls.ts';

/** Bits that the guest may own: reading and writing them needs no exit (KVM_POSSIBLE_CR0_GUEST_BITS). */
export const KVM_POSSIBLE_CR0_GUEST_BITS: number = B.X86_CR0_TS | B.X86_CR0_WP;
export const KVM_POSSIBLE_CR4_GUEST_BITS: number =
  B.X86_CR4_PVI |
  B.X86_CR4_DE |
  B.X86_CR4_PCE |
  B.X86_CR4_OSFXSR |
  B.X86_CR4_OSXMMEXCPT |
  B.X86_CR4_PGE |
  B.X86_CR4_TSD |
  B.X86_CR4_FSGSBASE;

/** vmx_set_efer */
export const vmxSetEfer = (vcpu: KvmVcpu, efer: number): void => {
  vcpu.efer = efer;
  const controls = vcpu.vmEntryControls;
  vmEntryControlsSet(vcpu, (efer & EFER_LMA) !== 0 ? controls | VM_ENTRY_IA32E_MODE : controls & ~VM_ENTRY_IA32E_MODE);
  vcpu.processor.vmwrite(GUEST_IA32_EFER, efer, 0);
};

/** enter_lmode: VM entry to long mode wants a busy 64-bit TSS in TR. */
const enterLmode = (vcpu: KvmVcpu): void => {
  const attr = vcpu.processor.vmread(GUEST_TR_AR_BYTES);
  if ((attr & VMX_AR_TYPE_MASK) !== VMX_AR_TYPE_BUSY_64_TSS)
    vcpu.processor.vmwrite(GUEST_TR_AR_BYTES, (attr & ~VMX_AR_TYPE_MASK) | VMX_AR_TYPE_BUSY_64_TSS, 0);
  vmxSetEfer(vcpu, vcpu.efer | EFER_LMA);
};

/** vmx_set_cr0: the guest sees `cr0`; the processor gets NE, and neither CD nor NW. */
export const vmxSetCr0 = (vcpu: KvmVcpu, cr0: number): void => {
  const value = cr0 >>> 0;
  if ((vcpu.efer & EFER_LME) !== 0) {
    if (!isPaging(vcpu) && (value & B.X86_CR0_PG) !== 0) enterLmode(vcpu);
    else if (isPaging(vcpu) && (value & B.X86_CR0_PG) === 0) vmxSetEfer(vcpu, vcpu.efer & ~EFER_LMA);
  }
  vcpu.processor.vmwrite(CR0_READ_SHADOW, value, 0);
  vcpu.processor.vmwrite(GUEST_CR0, ((value & ~(B.X86_CR0_CD | B.X86_CR0_NW)) | B.X86_CR0_NE | B.X86_CR0_ET) >>> 0, 0);
  vcpu.cr0 = value;
  vcpu.regsAvail |= 1 << VCPU_EXREG_CR0;
};

/** vmx_set_cr4: VMXE and the host's MCE stay set under the guest. */
export const vmxSetCr4 = (vcpu: KvmVcpu, cr4: number): void => {
  const value = cr4 >>> 0;
  vcpu.cr4 = value;
  vcpu.regsAvail |= 1 << VCPU_EXREG_CR4;
  vcpu.processor.vmwrite(CR4_READ_SHADOW, value, 0);
  const hardware = (value | B.X86_CR4_VMXE | (vcpu.kvm.global.vmx.cr4Fixed0 & ~B.X86_CR4_VMXE)) >>> 0;
  vcpu.processor.vmwrite(GUEST_CR4, hardware, 0);
};

/** set_cr4_guest_host_mask, and the same for CR0. */
export const vmxSetGuestHostMasks = (vcpu: KvmVcpu): void => {
  vcpu.cr0GuestOwnedBits = KVM_POSSIBLE_CR0_GUEST_BITS;
  vcpu.cr4GuestOwnedBits = KVM_POSSIBLE_CR4_GUEST_BITS & ~vcpu.cr4GuestRsvdBits;
  vcpu.processor.vmwrite(CR0_GUEST_HOST_MASK, ~vcpu.cr0GuestOwnedBits >>> 0, 0xffffffff);
  vcpu.processor.vmwrite(CR4_GUEST_HOST_MASK, ~vcpu.cr4GuestOwnedBits >>> 0, 0xffffffff);
};

/** CR3 is written to the VMCS at the next entry. */
export const vmxSetCr3 = (vcpu: KvmVcpu, lo: number, hi: number): void => {
  vcpu.cr3Lo = lo >>> 0;
  vcpu.cr3Hi = hi >>> 0;
  vcpu.regsAvail |= 1 << VCPU_EXREG_CR3;
  vcpu.regsDirty |= 1 << VCPU_EXREG_CR3;
};

/** ept_load_pdptrs: what VM entry loads while the guest uses PAE paging. */
export const eptLoadPdptrs = (vcpu: KvmVcpu): void => {
  if ((vcpu.regsDirty & (1 << VCPU_EXREG_PDPTR)) === 0) return;
  if (isPaePaging(vcpu))
    for (let i = 0; i < 4; i++)
      vcpu.processor.vmwrite(GUEST_PDPTR0 + i * 2, vcpu.pdptrs[i * 2]!, vcpu.pdptrs[i * 2 + 1]!);
};
