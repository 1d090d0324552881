/** KVM_GET_REGS, KVM_SET_REGS, KVM_GET_SREGS, KVM_SET_SREGS and their second forms (arch/x86/kvm/x86.c). */

import {
  EINVAL,
  KVM_SREGS2_FLAGS_PDPTRS_VALID,
  type kvmDtable,
  type kvmRegs,
  type kvmSegment,
  type kvmSregs,
  type kvmSregs2,
  type View,
} from '@vm/kvm-run';
import { EFER_LMA, EFER_LME } from '@vm/kvm-run/vmx';
import {
  isPaePaging,
  kvmGetRflags,
  kvmReadCr0,
  kvmReadCr3Hi,
  kvmReadCr3Lo,
  kvmReadCr4,
  kvmReadPdptrs,
  kvmRegisterRead64,
  kvmRegisterWrite64,
  kvmSetRflags,
} from './cache-regs.ts';
import { kvmGetCr8, kvmIsValidCr4, kvmSetCr8, loadPdptrs } from './crs.ts';
import { kvmUpdateCpuidRuntime } from './cpuid.ts';
import { kvmApicSetBase } from './irq/lapic-state.ts';
import { picInKernel } from './irq/irq.ts';
import { kvmQueueInterrupt } from './queue.ts';
import { KVM_REQ_EVENT, KVM_REQ_TLB_FLUSH_GUEST, kvmMakeRequest } from './requests.ts';
import { VCPU_EXREG_PDPTR, VCPU_REGS_RIP, type KvmVcpu } from './types.ts';
import { vmxSetCr0, vmxSetCr3, vmxSetCr4, vmxSetEfer } from './vmx/cr.ts';
import {
  kvmGdtBase,
  kvmGdtLimit,
  kvmIdtBase,
  kvmIdtLimit,
  kvmSegmentAttr,
  kvmSegmentBase,
  kvmSegmentLimit,
  kvmSegmentSelector,
  kvmSetGdt,
  kvmSetIdt,
  kvmSetSegment,
} from './vmx/segment.ts';
import { vmxSetVirtualApicMode } from './vmx/vcpu-setup.ts';
import * as B from './x86-bits.ts';

/** The registers of struct kvm_regs by number of the encoding. */
const NAMES = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'] as const;
/** The segments of struct kvm_sregs by VMX's number. */
const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs', 'ldt', 'tr'] as const;

export const getRegs = (vcpu: KvmVcpu, regs: View<typeof kvmRegs>): void => {
  for (let i = 0; i < 16; i++) regs[NAMES[i]!] = kvmRegisterRead64(vcpu, i);
  regs.rip = kvmRegisterRead64(vcpu, VCPU_REGS_RIP);
  regs.rflags = BigInt(kvmGetRflags(vcpu));
};

export const setRegs = (vcpu: KvmVcpu, regs: View<typeof kvmRegs>): void => {
  for (let i = 0; i < 16; i++) kvmRegisterWrite64(vcpu, i, regs[NAMES[i]!]);
  kvmRegisterWrite64(vcpu, VCPU_REGS_RIP, regs.rip);
  kvmSetRflags(vcpu, Number(regs.rflags & 0xffffffffn));
  vcpu.exception.pending = false;
  kvmMakeRequest(KVM_REQ_EVENT, vcpu);
};

const low32 = (value: bigint): number => Number(value & 0xffffffffn);
const high32 = (value: bigint): number => Number((value >> 32n) & 0xffffffffn);
const join = (low: number, high: number): bigint => (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);

const getSegment = (vcpu: KvmVcpu, number: number, segment: View<typeof kvmSegment>): void => {
  const base = kvmSegmentBase(vcpu, number);
  segment.base = join(base, vcpu.processor.high);
  segment.limit = kvmSegmentLimit(vcpu, number);
  segment.selector = kvmSegmentSelector(vcpu, number);
  const attr = kvmSegmentAttr(vcpu, number);
  const unusable = (attr >>> 16) & 1;
  segment.unusable = unusable;
  segment.type = attr & 15;
  segment.s = (attr >>> 4) & 1;
  segment.dpl = (attr >>> 5) & 3;
  // An unusable segment counts as not present (vmx_get_segment).
  segment.present = unusable === 0 ? 1 : 0;
  segment.avl = (attr >>> 12) & 1;
  segment.l = (attr >>> 13) & 1;
  segment.db = (attr >>> 14) & 1;
  segment.g = (attr >>> 15) & 1;
};

const setSegment = (vcpu: KvmVcpu, number: number, segment: View<typeof kvmSegment>): void => {
  const attr =
    segment.unusable !== 0 || segment.present === 0
      ? 0x10000
      : (segment.type & 15) |
        ((segment.s & 1) << 4) |
        ((segment.dpl & 3) << 5) |
        ((segment.present & 1) << 7) |
        ((segment.avl & 1) << 12) |
        ((segment.l & 1) << 13) |
        ((segment.db & 1) << 14) |
        ((segment.g & 1) << 15);
  kvmSetSegment(vcpu, number, segment.selector, low32(segment.base), high32(segment.base), segment.limit, attr);
};

type CommonSregs = View<typeof kvmSregs> | View<typeof kvmSregs2>;

const getTable = (vcpu: KvmVcpu, table: View<typeof kvmDtable>, base: number, limit: number): void => {
  table.base = join(base, vcpu.processor.high);
  table.limit = limit;
};

const apicBase = (vcpu: KvmVcpu): bigint =>
  vcpu.apic === null ? join(vcpu.apicBaseLo, vcpu.apicBaseHi) : join(vcpu.apic.baseLow, vcpu.apic.baseHigh);

const getCommon = (vcpu: KvmVcpu, sregs: CommonSregs): void => {
  for (let i = 0; i < 8; i++) getSegment(vcpu, i, sregs[SEGMENTS[i]!]);
  const gdtLimit = kvmGdtLimit(vcpu);
  getTable(vcpu, sregs.gdt, kvmGdtBase(vcpu), gdtLimit);
  const idtLimit = kvmIdtLimit(vcpu);
  getTable(vcpu, sregs.idt, kvmIdtBase(vcpu), idtLimit);
  sregs.cr0 = BigInt(kvmReadCr0(vcpu));
  sregs.cr2 = join(vcpu.cr2Lo, vcpu.cr2Hi);
  sregs.cr3 = join(kvmReadCr3Lo(vcpu), kvmReadCr3Hi(vcpu));
  sregs.cr4 = BigInt(kvmReadCr4(vcpu));
  sregs.cr8 = BigInt(kvmGetCr8(vcpu));
  sregs.efer = BigInt(vcpu.efer);
  sregs.apic_base = apicBase(vcpu);
};

export const getSregs = (vcpu: KvmVcpu, sregs: View<typeof kvmSregs>): void => {
  getCommon(vcpu, sregs);
  sregs.interrupt_bitmap.fill(0n);
  if (vcpu.interruptInjected && !vcpu.interruptSoft)
    sregs.interrupt_bitmap[vcpu.interruptNr >> 6] = 1n << BigInt(vcpu.interruptNr & 63);
};

export const getSregs2 = (vcpu: KvmVcpu, sregs: View<typeof kvmSregs2>): void => {
  getCommon(vcpu, sregs);
  sregs.flags = 0n;
  if (!isPaePaging(vcpu)) return;
  const pdptrs = kvmReadPdptrs(vcpu);
  for (let i = 0; i < 4; i++) sregs.pdptrs[i] = join(pdptrs[i * 2]!, pdptrs[i * 2 + 1]!);
  sregs.flags = BigInt(KVM_SREGS2_FLAGS_PDPTRS_VALID);
};

/** kvm_is_valid_sregs */
const validSregs = (vcpu: KvmVcpu, sregs: CommonSregs): boolean => {
  const efer = low32(sregs.efer);
  const cr0 = low32(sregs.cr0);
  const cr4 = low32(sregs.cr4);
  if (sregs.efer >> 32n !== 0n || sregs.cr0 >> 32n !== 0n || sregs.cr4 >> 32n !== 0n) return false;
  if ((efer & EFER_LME) !== 0 && (cr0 & B.X86_CR0_PG) !== 0) {
    // Paging on and LME: long mode must be active, with PAE.
    if ((cr4 & B.X86_CR4_PAE) === 0 || (efer & EFER_LMA) === 0) return false;
    const width = BigInt(vcpu.maxPhyAddr);
    if ((sregs.cr3 & 0x7fffffffffffffffn) >> width !== 0n) return false;
  } else if ((efer & EFER_LMA) !== 0 || sregs.cs.l !== 0) return false;
  if ((cr0 & B.X86_CR0_PG) !== 0 && (cr0 & B.X86_CR0_PE) === 0) return false;
  if ((cr0 & B.X86_CR0_NW) !== 0 && (cr0 & B.X86_CR0_CD) === 0) return false;
  return kvmIsValidCr4(vcpu, cr4);
};

const setApicBase = (vcpu: KvmVcpu, value: bigint): boolean => {
  if (value === apicBase(vcpu)) return true;
  if (vcpu.apic !== null) {
    if (!kvmApicSetBase(vcpu, low32(value), high32(value), true)) return false;
    vmxSetVirtualApicMode(vcpu);
    return true;
  }
  vcpu.apicBaseLo = low32(value);
  vcpu.apicBaseHi = high32(value);
  return true;
};

/** __set_sregs_common */
const setCommon = (vcpu: KvmVcpu, sregs: CommonSregs): number => {
  if (!validSregs(vcpu, sregs) || !setApicBase(vcpu, sregs.apic_base)) return -EINVAL;
  kvmSetIdt(vcpu, low32(sregs.idt.base), high32(sregs.idt.base), sregs.idt.limit);
  kvmSetGdt(vcpu, low32(sregs.gdt.base), high32(sregs.gdt.base), sregs.gdt.limit);
  vcpu.cr2Lo = low32(sregs.cr2);
  vcpu.cr2Hi = high32(sregs.cr2);
  vmxSetCr3(vcpu, low32(sregs.cr3), high32(sregs.cr3));
  kvmSetCr8(vcpu, low32(sregs.cr8) & 0xf, 0);
  vmxSetEfer(vcpu, low32(sregs.efer));
  // EFER is complete: CR0 must not derive LMA from it again.
  vcpu.cr0 = low32(sregs.cr0);
  vmxSetCr0(vcpu, low32(sregs.cr0));
  vmxSetCr4(vcpu, low32(sregs.cr4));
  kvmUpdateCpuidRuntime(vcpu);
  for (let i = 0; i < 8; i++) setSegment(vcpu, i, sregs[SEGMENTS[i]!]);
  kvmMakeRequest(KVM_REQ_TLB_FLUSH_GUEST, vcpu);
  kvmMakeRequest(KVM_REQ_EVENT, vcpu);
  return 0;
};

export const setSregs = (vcpu: KvmVcpu, sregs: View<typeof kvmSregs>): number => {
  const error = setCommon(vcpu, sregs);
  if (error !== 0) return error;
  if (isPaePaging(vcpu)) loadPdptrs(vcpu, kvmReadCr3Lo(vcpu));
  if (!picInKernel(vcpu.kvm))
    for (let vector = 0; vector < 256; vector++)
      if (((sregs.interrupt_bitmap[vector >> 6]! >> BigInt(vector & 63)) & 1n) !== 0n) {
        kvmQueueInterrupt(vcpu, vector, false);
        break;
      }
  return 0;
};

export const setSregs2 = (vcpu: KvmVcpu, sregs: View<typeof kvmSregs2>): number => {
  const valid = BigInt(KVM_SREGS2_FLAGS_PDPTRS_VALID);
  if ((sregs.flags & ~valid) !== 0n) return -EINVAL;
  const cr0 = low32(sregs.cr0);
  const cr4 = low32(sregs.cr4);
  const pae = (cr0 & B.X86_CR0_PG) !== 0 && (cr4 & B.X86_CR4_PAE) !== 0 && (low32(sregs.efer) & EFER_LMA) === 0;
  const given = (sregs.flags & valid) !== 0n;
  if (given && !pae) return -EINVAL;
  const error = setCommon(vcpu, sregs);
  if (error !== 0) return error;
  if (given) {
    for (let i = 0; i < 4; i++) {
      vcpu.pdptrs[i * 2] = low32(sregs.pdptrs[i]!);
      vcpu.pdptrs[i * 2 + 1] = high32(sregs.pdptrs[i]!);
    }
    vcpu.regsAvail |= 1 << VCPU_EXREG_PDPTR;
    vcpu.regsDirty |= 1 << VCPU_EXREG_PDPTR;
  } else if (pae) loadPdptrs(vcpu, kvmReadCr3Lo(vcpu));
  return 0;
};
