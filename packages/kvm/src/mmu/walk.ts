/**
 * From a guest-linear to a guest-physical address, by the guest's own page tables (SDM vol. 3A, ch. 4;
 * arch/x86/kvm/mmu/paging_tmpl.h): all paging modes, with rights, reserved bits, and accessed and dirty flags.
 */

import { KVM_MEM_READONLY, PAGE_SIZE } from '@vm/kvm-run';
import { EFER_LMA, EFER_NX } from '@vm/kvm-run/vmx';
import { kvmGetRflags, kvmReadCr0, kvmReadCr3Hi, kvmReadCr3Lo, kvmReadCr4, kvmReadPdptrs } from '../cache-regs.ts';
import { gfnToMemslot, markPageDirtyInSlot } from '../memslots.ts';
import type { KvmMemorySlot, KvmVcpu } from '../types.ts';
import {
  PFERR_FETCH_MASK,
  PFERR_PK_MASK,
  PFERR_PRESENT_MASK,
  PFERR_RSVD_MASK,
  PFERR_USER_MASK,
  PFERR_WRITE_MASK,
  X86_CR0_PG,
  X86_CR0_WP,
  X86_CR4_LA57,
  X86_CR4_PAE,
  X86_CR4_PKE,
  X86_CR4_PSE,
  X86_CR4_SMAP,
  X86_CR4_SMEP,
  X86_EFLAGS_AC,
} from '../x86-bits.ts';

/** Beside the PFERR_* bits: an implicit access of the processor, to which AC does not open user pages (SMAP). */
export const ACCESS_IMPLICIT = 0x10000;

/** UNMAPPED_GVA. */
export const UNMAPPED_GVA = -1;

const PTE_PRESENT = 1;
const PTE_WRITE = 2;
const PTE_USER = 4;
const PTE_ACCESSED = 0x20;
const PTE_DIRTY = 0x40;
const PTE_LARGE = 0x80;
const TWO_32 = 0x1_0000_0000;

/** The fault that the last translation of a vCPU ended in (struct x86_exception). */
export interface PageFault {
  errorCode: number;
  addressLo: number;
  addressHi: number;
}

/** One walk. Kept per vCPU, so that a walk allocates nothing. */
class Walker {
  readonly fault: PageFault = { errorCode: 0, addressLo: 0, addressHi: 0 };
  lo = 0;
  hi = 0;
  /** Rights so far, PTE_WRITE and PTE_USER. */
  rights = 0;
  nx = false;
  slot: KvmMemorySlot | undefined = undefined;
  /** Index of the current entry in 32-bit words. */
  index = 0;
}

function walkerOf(vcpu: KvmVcpu): Walker {
  return (vcpu.mmu ??= new Walker()) as Walker;
}

/** The fault of the last kvmMmuGvaToGpa of this vCPU that gave UNMAPPED_GVA. */
export function kvmWalkFault(vcpu: KvmVcpu): PageFault {
  return walkerOf(vcpu).fault;
}

/** Reads a page-table entry into the walker; false when there is no memory. */
function readEntry(vcpu: KvmVcpu, walker: Walker, address: number, size: number): boolean {
  const gfn = Math.floor(address / PAGE_SIZE);
  let slot = walker.slot;
  if (slot === undefined || gfn < slot.baseGfn || gfn >= slot.baseGfn + slot.npages) {
    slot = gfnToMemslot(vcpu.kvm, gfn);
    if (slot === undefined) return false;
    walker.slot = slot;
  }
  const index = (slot.userspaceAddr + (address - slot.baseGfn * PAGE_SIZE)) >>> 2;
  walker.index = index;
  walker.lo = vcpu.u32[index]!;
  walker.hi = size === 8 ? vcpu.u32[index + 1]! : 0;
  return true;
}

/** Sets flags in the entry that was read last, unless its memory is read-only. */
function setEntryBits(vcpu: KvmVcpu, walker: Walker, address: number, bits: number): void {
  if ((walker.lo & bits) === bits) return;
  const slot = walker.slot!;
  if ((slot.flags & KVM_MEM_READONLY) !== 0) return;
  Atomics.or(vcpu.i32, walker.index, bits);
  markPageDirtyInSlot(slot, Math.floor(address / PAGE_SIZE));
  vcpu.memory.wrote(walker.index * 4, 4);
}

function fail(walker: Walker, gvaLo: number, gvaHi: number, errorCode: number): number {
  walker.fault.errorCode = errorCode;
  walker.fault.addressLo = gvaLo >>> 0;
  walker.fault.addressHi = gvaHi >>> 0;
  return UNMAPPED_GVA;
}

/** Bits of the access that are reported in an error code: I/D only where fetches can fault by themselves. */
function reported(vcpu: KvmVcpu, cr4: number, access: number): number {
  const fetchFaults =
    ((cr4 & X86_CR4_PAE) !== 0 && (vcpu.efer & EFER_NX) !== 0) || (cr4 & X86_CR4_SMEP) !== 0;
  return access & (PFERR_WRITE_MASK | PFERR_USER_MASK | (fetchFaults ? PFERR_FETCH_MASK : 0));
}

/**
 * kvm_mmu_gva_to_gpa: the guest-physical address, or UNMAPPED_GVA with the fault in kvmWalkFault. `access` has
 * PFERR_WRITE_MASK, PFERR_USER_MASK, PFERR_FETCH_MASK, ACCESS_IMPLICIT.
 */
export function kvmMmuGvaToGpa(vcpu: KvmVcpu, gvaLo: number, gvaHi: number, access: number): number {
  const cr0 = kvmReadCr0(vcpu);
  const walker = walkerOf(vcpu);
  if ((cr0 & X86_CR0_PG) === 0) return gvaLo >>> 0;
  walker.slot = undefined;
  walker.rights = PTE_WRITE | PTE_USER;
  walker.nx = false;
  const cr4 = kvmReadCr4(vcpu);
  const gpa =
    (cr4 & X86_CR4_PAE) === 0
      ? walk32(vcpu, walker, gvaLo >>> 0, cr4, access)
      : walk64(vcpu, walker, gvaLo >>> 0, gvaHi >>> 0, cr4, access);
  return gpa;
}

/** Pages that the last level gave: rights are checked, then accessed and dirty flags set. */
function finish(
  vcpu: KvmVcpu,
  walker: Walker,
  gvaLo: number,
  gvaHi: number,
  cr4: number,
  access: number,
  entryAddress: number,
): boolean {
  const denied = permissionFault(vcpu, walker, cr4, access);
  if (denied !== 0) {
    fail(walker, gvaLo, gvaHi, PFERR_PRESENT_MASK | reported(vcpu, cr4, access) | (denied & PFERR_PK_MASK));
    return false;
  }
  const dirty = (access & PFERR_WRITE_MASK) !== 0 ? PTE_DIRTY : 0;
  setEntryBits(vcpu, walker, entryAddress, PTE_ACCESSED | dirty);
  return true;
}

/**
 * permission_fault: 0, or bits of an error code. A protection key's refusal is told whatever else is wrong (SDM vol. 3A,
 * 5.7).
 */
function permissionFault(vcpu: KvmVcpu, walker: Walker, cr4: number, access: number): number {
  const key = keyFault(vcpu, walker, cr4, access);
  return key !== 0 || !rightsAllow(vcpu, walker, cr4, access) ? PFERR_PRESENT_MASK | key : 0;
}

function rightsAllow(vcpu: KvmVcpu, walker: Walker, cr4: number, access: number): boolean {
  const userPage = (walker.rights & PTE_USER) !== 0;
  const user = (access & PFERR_USER_MASK) !== 0;
  const fetch = (access & PFERR_FETCH_MASK) !== 0;
  if (user && !userPage) return false;
  if (fetch && (walker.nx || (!user && userPage && (cr4 & X86_CR4_SMEP) !== 0))) return false;
  if (!user && userPage && !fetch && (cr4 & X86_CR4_SMAP) !== 0) {
    const open = (access & ACCESS_IMPLICIT) === 0 && (kvmGetRflags(vcpu) & X86_EFLAGS_AC) !== 0;
    if (!open) return false;
  }
  const readOnly = (walker.rights & PTE_WRITE) === 0 && (user || (kvmReadCr0(vcpu) & X86_CR0_WP) !== 0);
  return (access & PFERR_WRITE_MASK) === 0 || !readOnly;
}

/** Protection keys (SDM vol. 3A, 5.6.2): two bits a key, access and write disable. PFERR_PK_MASK or 0. */
function keyFault(vcpu: KvmVcpu, walker: Walker, cr4: number, access: number): number {
  const keys = (cr4 & X86_CR4_PKE) !== 0 && (vcpu.efer & EFER_LMA) !== 0 && (walker.rights & PTE_USER) !== 0;
  if (!keys || (access & PFERR_FETCH_MASK) !== 0) return 0;
  const disable = (vcpu.pkru >>> (((walker.hi >>> 27) & 15) * 2)) & 3;
  if ((disable & 1) !== 0) return PFERR_PK_MASK;
  const protects = (access & PFERR_USER_MASK) !== 0 || (kvmReadCr0(vcpu) & X86_CR0_WP) !== 0;
  return (disable & 2) !== 0 && (access & PFERR_WRITE_MASK) !== 0 && protects ? PFERR_PK_MASK : 0;
}

/** 32-bit paging (SDM vol. 3A, 4.3), with 4 MiB pages of up to 40 physical bits. */
function walk32(vcpu: KvmVcpu, walker: Walker, gva: number, cr4: number, access: number): number {
  const pde = ((kvmReadCr3Lo(vcpu) & 0xfffff000) >>> 0) + (gva >>> 22) * 4;
  const bits = reported(vcpu, cr4, access);
  if (!readEntry(vcpu, walker, pde, 4)) return fail(walker, gva, 0, bits);
  if ((walker.lo & PTE_PRESENT) === 0) return fail(walker, gva, 0, bits);
  walker.rights &= walker.lo;
  if ((walker.lo & PTE_LARGE) !== 0 && (cr4 & X86_CR4_PSE) !== 0) {
    if ((walker.lo & 0x200000) !== 0) return fail(walker, gva, 0, bits | PFERR_PRESENT_MASK | PFERR_RSVD_MASK);
    const high = ((walker.lo >>> 13) & 0xff) * TWO_32;
    const base = ((walker.lo & 0xffc00000) >>> 0) + high;
    return finish(vcpu, walker, gva, 0, cr4, access, pde) ? base + (gva & 0x3fffff) : UNMAPPED_GVA;
  }
  setEntryBits(vcpu, walker, pde, PTE_ACCESSED);
  const pte = ((walker.lo & 0xfffff000) >>> 0) + ((gva >>> 12) & 0x3ff) * 4;
  if (!readEntry(vcpu, walker, pte, 4)) return fail(walker, gva, 0, bits);
  if ((walker.lo & PTE_PRESENT) === 0) return fail(walker, gva, 0, bits);
  walker.rights &= walker.lo;
  const base = (walker.lo & 0xfffff000) >>> 0;
  return finish(vcpu, walker, gva, 0, cr4, access, pte) ? base + (gva & 0xfff) : UNMAPPED_GVA;
}

/** Nine bits of the linear address from bit `shift` on. */
function tableIndex(gvaLo: number, gvaHi: number, shift: number): number {
  if (shift < 24) return (gvaLo >>> shift) & 0x1ff;
  if (shift >= 32) return (gvaHi >>> (shift - 32)) & 0x1ff;
  return ((gvaLo >>> shift) | (gvaHi << (32 - shift))) & 0x1ff;
}

/** PAE, 4-level and 5-level paging (SDM vol. 3A, 4.4 and 4.5): 64-bit entries. */
function walk64(
  vcpu: KvmVcpu,
  walker: Walker,
  gvaLo: number,
  gvaHi: number,
  cr4: number,
  access: number,
): number {
  const bits = reported(vcpu, cr4, access);
  const long = (vcpu.efer & EFER_LMA) !== 0;
  const physicalHigh = vcpu.maxPhyAddr >= 52 ? 0 : 0xfffff & ~((1 << Math.max(0, vcpu.maxPhyAddr - 32)) - 1);
  const reservedHigh = physicalHigh | ((vcpu.efer & EFER_NX) === 0 ? 0x80000000 : 0) | (long ? 0 : 0x7ff00000);
  let level = 2;
  let table: number;
  if (long) {
    level = (cr4 & X86_CR4_LA57) !== 0 ? 5 : 4;
    table = ((kvmReadCr3Lo(vcpu) & 0xfffff000) >>> 0) + (kvmReadCr3Hi(vcpu) & 0xfffff) * TWO_32;
  } else {
    const pdptrs = kvmReadPdptrs(vcpu);
    const i = gvaLo >>> 30;
    if ((pdptrs[i * 2]! & PTE_PRESENT) === 0) return fail(walker, gvaLo, 0, bits);
    table = ((pdptrs[i * 2]! & 0xfffff000) >>> 0) + (pdptrs[i * 2 + 1]! & 0xfffff) * TWO_32;
  }
  for (; ; level--) {
    const shift = 3 + level * 9;
    const address = table + tableIndex(gvaLo, gvaHi, shift) * 8;
    if (!readEntry(vcpu, walker, address, 8)) return fail(walker, gvaLo, gvaHi, bits);
    const { lo, hi } = walker;
    if ((lo & PTE_PRESENT) === 0) return fail(walker, gvaLo, gvaHi, bits);
    const leaf = level === 1 || ((lo & PTE_LARGE) !== 0 && level <= 3 && (level === 2 || long));
    if ((hi & reservedHigh) !== 0 || hasReservedLow(lo, level, leaf))
      return fail(walker, gvaLo, gvaHi, bits | PFERR_PRESENT_MASK | PFERR_RSVD_MASK);
    walker.rights &= lo;
    if ((hi & 0x80000000) !== 0) walker.nx = true;
    table = ((lo & 0xfffff000) >>> 0) + (hi & 0xfffff) * TWO_32;
    if (!leaf) {
      setEntryBits(vcpu, walker, address, PTE_ACCESSED);
      continue;
    }
    if (!finish(vcpu, walker, gvaLo, gvaHi, cr4, access, address)) return UNMAPPED_GVA;
    const size = 2 ** shift;
    return table - (table % size) + (gvaLo % Math.min(size, TWO_32));
  }
}

/** Bit 7 is reserved above the large-page levels; address bits below a large page's size (but PAT, bit 12) are reserved. */
function hasReservedLow(lo: number, level: number, leaf: boolean): boolean {
  if (leaf) return (level === 2 && (lo & 0x1fe000) !== 0) || (level === 3 && (lo & 0x3fffe000) !== 0);
  return level >= 4 && (lo & PTE_LARGE) !== 0;
}
