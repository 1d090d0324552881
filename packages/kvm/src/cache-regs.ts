/**
 * The guest's registers as KVM sees them between exits (arch/x86/kvm/kvm_cache_regs.h). General registers lie in the
 * vCPU's page; RSP, RIP, RFLAGS and the control registers are read from the VMCS when they are first asked for, and
 * written back before the next entry only if they changed.
 */

import {
  GUEST_CR0,
  GUEST_CR3,
  GUEST_CR4,
  GUEST_RFLAGS,
  GUEST_RIP,
  GUEST_RSP,
  GUEST_PDPTR0,
  CPU_BASED_CR3_LOAD_EXITING,
  EFER_LMA,
} from '@vm/kvm-run/vmx';
import {
  VCPU_EXREG_CR0,
  VCPU_EXREG_CR3,
  VCPU_EXREG_CR4,
  VCPU_EXREG_PDPTR,
  VCPU_EXREG_RFLAGS,
  VCPU_REGS_RIP,
  VCPU_REGS_RSP,
  type KvmVcpu,
} from './types.ts';
import { X86_CR0_PE, X86_CR0_PG, X86_CR4_PAE, X86_EFLAGS_FIXED, X86_EFLAGS_TF } from './x86-bits.ts';

const LAZY = (1 << VCPU_REGS_RSP) | (1 << VCPU_REGS_RIP);

/** vmx_cache_reg for RSP and RIP. */
const cacheReg = (vcpu: KvmVcpu, reg: number): void => {
  const at = vcpu.regs + reg * 2;
  vcpu.u32[at] = vcpu.processor.vmread(reg === VCPU_REGS_RSP ? GUEST_RSP : GUEST_RIP);
  vcpu.u32[at + 1] = vcpu.processor.high;
  vcpu.regsAvail |= 1 << reg;
};

/** Low half of a register, unsigned; VCPU_REGS_*. */
export const kvmRegisterReadLo = (vcpu: KvmVcpu, reg: number): number => {
  if ((LAZY & (1 << reg)) !== 0 && (vcpu.regsAvail & (1 << reg)) === 0) cacheReg(vcpu, reg);
  return vcpu.u32[vcpu.regs + reg * 2]!;
};

export const kvmRegisterReadHi = (vcpu: KvmVcpu, reg: number): number => {
  if ((LAZY & (1 << reg)) !== 0 && (vcpu.regsAvail & (1 << reg)) === 0) cacheReg(vcpu, reg);
  return vcpu.u32[vcpu.regs + reg * 2 + 1]!;
};

/** Writes all 64 bits. */
export const kvmRegisterWrite = (vcpu: KvmVcpu, reg: number, lo: number, hi: number): void => {
  vcpu.u32[vcpu.regs + reg * 2] = lo;
  vcpu.u32[vcpu.regs + reg * 2 + 1] = hi;
  vcpu.regsAvail |= 1 << reg;
  vcpu.regsDirty |= 1 << reg;
};

export const kvmRegisterRead64 = (vcpu: KvmVcpu, reg: number): bigint => {
  const lo = kvmRegisterReadLo(vcpu, reg);
  return (BigInt(kvmRegisterReadHi(vcpu, reg)) << 32n) | BigInt(lo);
};

export const kvmRegisterWrite64 = (vcpu: KvmVcpu, reg: number, value: bigint): void =>
  kvmRegisterWrite(vcpu, reg, Number(value & 0xffffffffn), Number((value >> 32n) & 0xffffffffn));

export const kvmRipReadLo = (vcpu: KvmVcpu): number => kvmRegisterReadLo(vcpu, VCPU_REGS_RIP);
export const kvmRipReadHi = (vcpu: KvmVcpu): number => kvmRegisterReadHi(vcpu, VCPU_REGS_RIP);
export const kvmRipRead64 = (vcpu: KvmVcpu): bigint => kvmRegisterRead64(vcpu, VCPU_REGS_RIP);
export const kvmRipWrite = (vcpu: KvmVcpu, lo: number, hi: number): void => kvmRegisterWrite(vcpu, VCPU_REGS_RIP, lo, hi);

const KVM_GUESTDBG_SINGLESTEP = 2;

/** kvm_get_rflags: TF that only the debugger wants does not show. */
export const kvmGetRflags = (vcpu: KvmVcpu): number => {
  if ((vcpu.regsAvail & (1 << VCPU_EXREG_RFLAGS)) === 0) {
    vcpu.regsAvail |= 1 << VCPU_EXREG_RFLAGS;
    vcpu.rflags = vcpu.processor.vmread(GUEST_RFLAGS);
  }
  return (vcpu.guestDebug & KVM_GUESTDBG_SINGLESTEP) !== 0 ? (vcpu.rflags & ~X86_EFLAGS_TF) >>> 0 : vcpu.rflags;
};

/** kvm_set_rflags */
export const kvmSetRflags = (vcpu: KvmVcpu, rflags: number): void => {
  const step = (vcpu.guestDebug & KVM_GUESTDBG_SINGLESTEP) !== 0 ? X86_EFLAGS_TF : 0;
  vcpu.regsAvail |= 1 << VCPU_EXREG_RFLAGS;
  vcpu.rflags = (rflags | X86_EFLAGS_FIXED | step) >>> 0;
  vcpu.processor.vmwrite(GUEST_RFLAGS, vcpu.rflags, 0);
};

/** kvm_read_cr0: the bits that the guest owns come from the VMCS. */
export const kvmReadCr0 = (vcpu: KvmVcpu): number => {
  if (vcpu.cr0GuestOwnedBits !== 0 && (vcpu.regsAvail & (1 << VCPU_EXREG_CR0)) === 0) {
    vcpu.regsAvail |= 1 << VCPU_EXREG_CR0;
    const owned = vcpu.cr0GuestOwnedBits;
    vcpu.cr0 = ((vcpu.cr0 & ~owned) | (vcpu.processor.vmread(GUEST_CR0) & owned)) >>> 0;
  }
  return vcpu.cr0;
};

export const kvmReadCr4 = (vcpu: KvmVcpu): number => {
  if (vcpu.cr4GuestOwnedBits !== 0 && (vcpu.regsAvail & (1 << VCPU_EXREG_CR4)) === 0) {
    vcpu.regsAvail |= 1 << VCPU_EXREG_CR4;
    const owned = vcpu.cr4GuestOwnedBits;
    vcpu.cr4 = ((vcpu.cr4 & ~owned) | (vcpu.processor.vmread(GUEST_CR4) & owned)) >>> 0;
  }
  return vcpu.cr4;
};

const cacheCr3 = (vcpu: KvmVcpu): void => {
  if ((vcpu.regsAvail & (1 << VCPU_EXREG_CR3)) !== 0) return;
  vcpu.regsAvail |= 1 << VCPU_EXREG_CR3;
  if ((vcpu.execControls & CPU_BASED_CR3_LOAD_EXITING) !== 0) return;
  vcpu.cr3Lo = vcpu.processor.vmread(GUEST_CR3);
  vcpu.cr3Hi = vcpu.processor.high;
};

export const kvmReadCr3Lo = (vcpu: KvmVcpu): number => {
  cacheCr3(vcpu);
  return vcpu.cr3Lo;
};

export const kvmReadCr3Hi = (vcpu: KvmVcpu): number => {
  cacheCr3(vcpu);
  return vcpu.cr3Hi;
};

/** ept_save_pdptrs: makes `vcpu.pdptrs` current. */
export const kvmReadPdptrs = (vcpu: KvmVcpu): Uint32Array => {
  if ((vcpu.regsAvail & (1 << VCPU_EXREG_PDPTR)) === 0) {
    vcpu.regsAvail |= 1 << VCPU_EXREG_PDPTR;
    if (isPaePaging(vcpu))
      for (let i = 0; i < 4; i++) {
        vcpu.pdptrs[i * 2] = vcpu.processor.vmread(GUEST_PDPTR0 + i * 2);
        vcpu.pdptrs[i * 2 + 1] = vcpu.processor.high;
      }
  }
  return vcpu.pdptrs;
};

// ---- modes
export const isProtmode = (vcpu: KvmVcpu): boolean => (vcpu.cr0 & X86_CR0_PE) !== 0;
export const isPaging = (vcpu: KvmVcpu): boolean => (vcpu.cr0 & X86_CR0_PG) !== 0;
export const isLongMode = (vcpu: KvmVcpu): boolean => (vcpu.efer & EFER_LMA) !== 0;
export const isPae = (vcpu: KvmVcpu): boolean => (vcpu.cr4 & X86_CR4_PAE) !== 0;
export const isPaePaging = (vcpu: KvmVcpu): boolean => isPaging(vcpu) && isPae(vcpu) && !isLongMode(vcpu);
