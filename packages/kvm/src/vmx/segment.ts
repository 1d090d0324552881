/**
 * Segments and descriptor tables in the VMCS (vmx_get_segment, vmx_set_segment and relatives). Segment numbers are
 * VMX's: ES CS SS DS FS GS LDTR TR. Access rights are in VMX's format.
 */

import {
  GUEST_CS_AR_BYTES,
  GUEST_ES_AR_BYTES,
  GUEST_ES_BASE,
  GUEST_ES_LIMIT,
  GUEST_ES_SELECTOR,
  GUEST_GDTR_BASE,
  GUEST_GDTR_LIMIT,
  GUEST_IDTR_BASE,
  GUEST_IDTR_LIMIT,
  GUEST_SS_AR_BYTES,
  VMX_AR_DB_MASK,
  VMX_AR_DPL_SHIFT,
  VMX_AR_L_MASK,
} from '@vm/kvm-run/vmx';
import { isLongMode, isProtmode, kvmGetRflags } from '../cache-regs.ts';
import type { KvmVcpu } from '../types.ts';
import { VCPU_SREG_CS } from '../types.ts';
import { X86_EFLAGS_VM } from '../x86-bits.ts';

export const kvmSegmentSelector = (vcpu: KvmVcpu, segment: number): number => vcpu.processor.vmread(GUEST_ES_SELECTOR + segment * 2);
/** Low half; the high half is in `vcpu.processor.high`. */
export const kvmSegmentBase = (vcpu: KvmVcpu, segment: number): number => vcpu.processor.vmread(GUEST_ES_BASE + segment * 2);
export const kvmSegmentLimit = (vcpu: KvmVcpu, segment: number): number => vcpu.processor.vmread(GUEST_ES_LIMIT + segment * 2);
export const kvmSegmentAttr = (vcpu: KvmVcpu, segment: number): number => vcpu.processor.vmread(GUEST_ES_AR_BYTES + segment * 2);

/** vmx_set_segment */
export const kvmSetSegment = (
  vcpu: KvmVcpu,
  segment: number,
  selector: number,
  baseLo: number,
  baseHi: number,
  limit: number,
  attr: number,
): void => {
  const processor = vcpu.processor;
  processor.vmwrite(GUEST_ES_SELECTOR + segment * 2, selector, 0);
  processor.vmwrite(GUEST_ES_BASE + segment * 2, baseLo, baseHi);
  processor.vmwrite(GUEST_ES_LIMIT + segment * 2, limit, 0);
  // A code, stack or data segment of unrestricted guests must have its accessed bit (SDM vol. 3C, 27.3.1.2).
  const accessed = segment < 6 && (attr & 0x10000) === 0 ? 1 : 0;
  processor.vmwrite(GUEST_ES_AR_BYTES + segment * 2, attr | accessed, 0);
};

/** vmx_get_cpl: the DPL of SS, 0 in real mode, 3 in virtual-8086 mode. */
export const kvmGetCpl = (vcpu: KvmVcpu): number => {
  if (!isProtmode(vcpu)) return 0;
  if ((kvmGetRflags(vcpu) & X86_EFLAGS_VM) !== 0) return 3;
  return (vcpu.processor.vmread(GUEST_SS_AR_BYTES) >> VMX_AR_DPL_SHIFT) & 3;
};

/** vmx_get_cs_db_l_bits: is code 64-bit? */
export const is64BitMode = (vcpu: KvmVcpu): boolean =>
  isLongMode(vcpu) && (vcpu.processor.vmread(GUEST_CS_AR_BYTES) & VMX_AR_L_MASK) !== 0;

/** Is code 32-bit? */
export const isCsDb = (vcpu: KvmVcpu): boolean => (vcpu.processor.vmread(GUEST_CS_AR_BYTES) & VMX_AR_DB_MASK) !== 0;

/** kvm_get_linear_rip */
export const kvmGetLinearRip = (vcpu: KvmVcpu, rip: bigint): bigint => {
  if (is64BitMode(vcpu)) return rip;
  const base = kvmSegmentBase(vcpu, VCPU_SREG_CS);
  return (BigInt(base) + rip) & 0xffffffffn;
};

/** Low half of the base; the high half is in `vcpu.processor.high`. */
export const kvmGdtBase = (vcpu: KvmVcpu): number => vcpu.processor.vmread(GUEST_GDTR_BASE);
export const kvmGdtLimit = (vcpu: KvmVcpu): number => vcpu.processor.vmread(GUEST_GDTR_LIMIT);
export const kvmIdtBase = (vcpu: KvmVcpu): number => vcpu.processor.vmread(GUEST_IDTR_BASE);
export const kvmIdtLimit = (vcpu: KvmVcpu): number => vcpu.processor.vmread(GUEST_IDTR_LIMIT);

export const kvmSetGdt = (vcpu: KvmVcpu, baseLo: number, baseHi: number, limit: number): void => {
  vcpu.processor.vmwrite(GUEST_GDTR_BASE, baseLo, baseHi);
  vcpu.processor.vmwrite(GUEST_GDTR_LIMIT, limit, 0);
};

export const kvmSetIdt = (vcpu: KvmVcpu, baseLo: number, baseHi: number, limit: number): void => {
  vcpu.processor.vmwrite(GUEST_IDTR_BASE, baseLo, baseHi);
  vcpu.processor.vmwrite(GUEST_IDTR_LIMIT, limit, 0);
};
