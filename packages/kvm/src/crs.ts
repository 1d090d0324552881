/**
 * Control registers as instructions and ioctls change them (kvm_set_cr0, kvm_set_cr3, kvm_set_cr4, kvm_set_cr8,
 * set_efer, kvm_set_xcr of arch/x86/kvm/x86.c). The setters return false where the processor raises #GP.
 */

import { EFER_LMA, EFER_LME, EFER_NX, EFER_SCE, VMX_AR_L_MASK } from '@vm/kvm-run/vmx';
import { isLongMode, isPae, isPaePaging, isPaging, kvmReadCr0, kvmReadCr3Hi, kvmReadCr3Lo, kvmReadCr4 } from './cache-regs.ts';
import { guestCpuidHas, kvmUpdateCpuidRuntime } from './cpuid.ts';
import { kvmReadGuest } from './guest-memory.ts';
import { kvmLapicGetCr8, kvmLapicSetTpr } from './irq/lapic.ts';
import { KVM_REQ_TLB_FLUSH_GUEST, kvmMakeRequest } from './requests.ts';
import { VCPU_EXREG_PDPTR, VCPU_SREG_CS, type KvmVcpu } from './types.ts';
import { vmxSetCr0, vmxSetCr3, vmxSetCr4, vmxSetEfer } from './vmx/cr.ts';
import { is64BitMode, kvmSegmentAttr } from './vmx/segment.ts';
import * as B from './x86-bits.ts';

const PDPTR_CR0_BITS = B.X86_CR0_CD | B.X86_CR0_NW | B.X86_CR0_PG;
const PDPTR_CR4_BITS = B.X86_CR4_PGE | B.X86_CR4_PSE | B.X86_CR4_PAE | B.X86_CR4_SMEP;

/** Bits of a guest-physical address beyond its width, in the high half. */
const illegalHigh = (vcpu: KvmVcpu, high: number): boolean => {
  const width = vcpu.maxPhyAddr - 32;
  return width < 32 && width >= 0 ? high >>> 0 >>> width !== 0 : width < 0 ? high !== 0 : false;
};

/** load_pdptrs: PAE paging reads its four page-directory pointers when CR3 is loaded. False: one is malformed. */
export const loadPdptrs = (vcpu: KvmVcpu, cr3: number): boolean => {
  const bytes = new Uint8Array(32);
  if (kvmReadGuest(vcpu.kvm, (cr3 & 0xffffffe0) >>> 0, bytes) !== 0) return false;
  const words = new Uint32Array(bytes.buffer);
  for (let i = 0; i < 4; i++) {
    const low = words[i * 2]!;
    // Reserved: bits 2:1, 8:5, and those beyond the physical width (SDM vol. 3A, 4.4.1).
    if ((low & 1) !== 0 && ((low & 0x1e6) !== 0 || illegalHigh(vcpu, words[i * 2 + 1]!))) return false;
  }
  vcpu.pdptrs.set(words);
  vcpu.regsAvail |= 1 << VCPU_EXREG_PDPTR;
  vcpu.regsDirty |= 1 << VCPU_EXREG_PDPTR;
  return true;
};

const traceCr = (vcpu: KvmVcpu, rw: number, cr: number, low: number, high: number): void => {
  if (vcpu.tracer !== null) vcpu.tracer.event('kvm_cr', vcpu.vcpuId, rw, cr, (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0));
};

/** kvm_set_cr0 */
export const kvmSetCr0 = (vcpu: KvmVcpu, low: number, high: number): boolean => {
  const old = kvmReadCr0(vcpu);
  if (high !== 0) return false;
  const cr0 = ((low | B.X86_CR0_ET) & ~B.CR0_RESERVED_BITS) >>> 0;
  const paging = (cr0 & B.X86_CR0_PG) !== 0;
  if ((cr0 & B.X86_CR0_NW) !== 0 && (cr0 & B.X86_CR0_CD) === 0) return false;
  if (paging && (cr0 & B.X86_CR0_PE) === 0) return false;
  if (paging && !isPaging(vcpu)) {
    const csL = (kvmSegmentAttr(vcpu, VCPU_SREG_CS) & VMX_AR_L_MASK) !== 0;
    if ((vcpu.efer & EFER_LME) !== 0 && (!isPae(vcpu) || csL)) return false;
  }
  if (
    (vcpu.efer & EFER_LME) === 0 &&
    paging &&
    isPae(vcpu) &&
    ((cr0 ^ old) & PDPTR_CR0_BITS) !== 0 &&
    !loadPdptrs(vcpu, kvmReadCr3Lo(vcpu))
  )
    return false;
  if (!paging && (is64BitMode(vcpu) || (kvmReadCr4(vcpu) & B.X86_CR4_PCIDE) !== 0)) return false;
  vmxSetCr0(vcpu, cr0);
  // Paging off forgets all translations (SDM vol. 3A, 4.10.4.1).
  if (((cr0 ^ old) & (B.X86_CR0_PG | B.X86_CR0_WP)) !== 0) kvmMakeRequest(KVM_REQ_TLB_FLUSH_GUEST, vcpu);
  return true;
};

/** kvm_lmsw: only PE (and only to 1), MP, EM, TS. */
export const kvmLmsw = (vcpu: KvmVcpu, msw: number): boolean =>
  kvmSetCr0(vcpu, ((kvmReadCr0(vcpu) & ~0xe) | (msw & 0xf)) >>> 0, 0);

/** kvm_set_cr3; bit 63 means no flush while PCIDs are on. */
export const kvmSetCr3 = (vcpu: KvmVcpu, low: number, high: number): boolean => {
  const pcid = (kvmReadCr4(vcpu) & B.X86_CR4_PCIDE) !== 0;
  const noFlush = pcid && high >>> 31 !== 0;
  const hi = pcid ? high & 0x7fffffff : high >>> 0;
  if (isLongMode(vcpu) && illegalHigh(vcpu, hi)) return false;
  if (isPaePaging(vcpu) && !loadPdptrs(vcpu, low)) return false;
  vmxSetCr3(vcpu, low, isLongMode(vcpu) ? hi : 0);
  if (!noFlush) kvmMakeRequest(KVM_REQ_TLB_FLUSH_GUEST, vcpu);
  return true;
};

/** kvm_is_valid_cr4 */
export const kvmIsValidCr4 = (vcpu: KvmVcpu, cr4: number): boolean => (cr4 & vcpu.cr4GuestRsvdBits) === 0;

const TLB_BITS = B.X86_CR4_PGE | B.X86_CR4_PCIDE | B.X86_CR4_PAE | B.X86_CR4_PSE | B.X86_CR4_SMEP | B.X86_CR4_SMAP | B.X86_CR4_LA57;
const CPUID_BITS = B.X86_CR4_OSXSAVE | B.X86_CR4_PKE;

/** kvm_set_cr4 */
export const kvmSetCr4 = (vcpu: KvmVcpu, low: number, high: number): boolean => {
  const cr4 = low >>> 0;
  const old = kvmReadCr4(vcpu);
  if (high !== 0 || !kvmIsValidCr4(vcpu, cr4)) return false;
  if (isLongMode(vcpu)) {
    if ((cr4 & B.X86_CR4_PAE) === 0 || ((cr4 ^ old) & B.X86_CR4_LA57) !== 0) return false;
  } else if (
    isPaging(vcpu) &&
    (cr4 & B.X86_CR4_PAE) !== 0 &&
    ((cr4 ^ old) & PDPTR_CR4_BITS) !== 0 &&
    !loadPdptrs(vcpu, kvmReadCr3Lo(vcpu))
  )
    return false;
  if ((cr4 & B.X86_CR4_PCIDE) !== 0 && (old & B.X86_CR4_PCIDE) === 0) {
    if ((kvmReadCr3Lo(vcpu) & 0xfff) !== 0 || !isLongMode(vcpu)) return false;
  }
  vmxSetCr4(vcpu, cr4);
  if (((cr4 ^ old) & TLB_BITS) !== 0) kvmMakeRequest(KVM_REQ_TLB_FLUSH_GUEST, vcpu);
  if (((cr4 ^ old) & CPUID_BITS) !== 0) kvmUpdateCpuidRuntime(vcpu);
  return true;
};

/** kvm_set_cr8 */
export const kvmSetCr8 = (vcpu: KvmVcpu, low: number, high: number): boolean => {
  if (high !== 0 || (low & ~0xf) !== 0) return false;
  if (vcpu.apic !== null) kvmLapicSetTpr(vcpu, low);
  else vcpu.cr8 = low;
  return true;
};

export const kvmGetCr8 = (vcpu: KvmVcpu): number => (vcpu.apic !== null ? kvmLapicGetCr8(vcpu) : vcpu.cr8);

/** A MOV to a control register: traces it, and sets. False: #GP. */
export const kvmSetCr = (vcpu: KvmVcpu, cr: number, low: number, high: number): boolean => {
  traceCr(vcpu, 1, cr, low, high);
  switch (cr) {
    case 0:
      return kvmSetCr0(vcpu, low, high);
    case 2:
      vcpu.cr2Lo = low >>> 0;
      vcpu.cr2Hi = high >>> 0;
      return true;
    case 3:
      return kvmSetCr3(vcpu, low, high);
    case 4:
      return kvmSetCr4(vcpu, low, high);
    case 8:
      return kvmSetCr8(vcpu, low, high);
    default:
      return false;
  }
};

/** The low half of a control register; the high half is that of kvmGetCrHigh. */
export const kvmGetCr = (vcpu: KvmVcpu, cr: number): number => {
  switch (cr) {
    case 0:
      return kvmReadCr0(vcpu);
    case 2:
      return vcpu.cr2Lo;
    case 3:
      return kvmReadCr3Lo(vcpu);
    case 4:
      return kvmReadCr4(vcpu);
    default:
      return kvmGetCr8(vcpu);
  }
};

export const kvmGetCrHigh = (vcpu: KvmVcpu, cr: number): number => (cr === 2 ? vcpu.cr2Hi : cr === 3 ? kvmReadCr3Hi(vcpu) : 0);

/** efer_reserved_bits, and what the guest's CPUID allows (kvm_valid_efer). */
export const kvmValidEfer = (vcpu: KvmVcpu, efer: number): boolean => {
  if ((efer & ~(EFER_SCE | EFER_LME | EFER_LMA | EFER_NX)) !== 0) return false;
  if ((efer & (EFER_LME | EFER_LMA)) !== 0 && !guestCpuidHas(vcpu, [0x80000001, 'edx', 29])) return false;
  return (efer & EFER_NX) === 0 || guestCpuidHas(vcpu, [0x80000001, 'edx', 20]);
};

/** set_efer: by WRMSR, LMA stays as it is, and LME cannot change while paging is on. */
export const setEfer = (vcpu: KvmVcpu, low: number, high: number, hostInitiated: boolean): boolean => {
  if (high !== 0) return false;
  if (!hostInitiated) {
    if (!kvmValidEfer(vcpu, low)) return false;
    if (isPaging(vcpu) && (vcpu.efer & EFER_LME) !== (low & EFER_LME)) return false;
  } else if ((low & ~(EFER_SCE | EFER_LME | EFER_LMA | EFER_NX)) !== 0) return false;
  const old = vcpu.efer;
  vmxSetEfer(vcpu, ((low & ~EFER_LMA) | (vcpu.efer & EFER_LMA)) >>> 0);
  if (((old ^ vcpu.efer) & EFER_NX) !== 0) kvmMakeRequest(KVM_REQ_TLB_FLUSH_GUEST, vcpu);
  return true;
};

/** __kvm_set_xcr: XCR0 only, x87 always on, AVX only with SSE. */
export const kvmSetXcr = (vcpu: KvmVcpu, index: number, low: number, high: number): boolean => {
  if (index !== 0 || high !== 0) return false;
  if ((low & B.XFEATURE_MASK_FP) === 0) return false;
  if ((low & B.XFEATURE_MASK_YMM) !== 0 && (low & B.XFEATURE_MASK_SSE) === 0) return false;
  if ((low & ~(vcpu.guestSupportedXcr0 | B.XFEATURE_MASK_FP)) !== 0) return false;
  const old = vcpu.xcr0Lo;
  vcpu.xcr0Lo = low >>> 0;
  vcpu.xcr0Hi = 0;
  if (old !== vcpu.xcr0Lo) kvmUpdateCpuidRuntime(vcpu);
  return true;
};
