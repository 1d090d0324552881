/**
 * The MMU of a VM with EPT (arch/x86/kvm/mmu/mmu.c, tdp_mmu.c): root, page faults, and what must go when memory slots
 * change. Reading guest page tables is in walk.ts.
 */

import { ENOMEM, KVM_MEM_LOG_DIRTY_PAGES, KVM_MEM_READONLY, OutOfHostMemory, PAGE_SIZE } from '@vm/kvm-run';
import { gfnToMemslot, markPageDirtyInSlot } from '../memslots.ts';
import type { MemoryRegionChange } from '../memslots.ts';
import { KVM_REQ_LOAD_MMU_PGD, KVM_REQ_TLB_FLUSH } from '../requests.ts';
import { OUTSIDE_GUEST_MODE } from '../types.ts';
import type { Kvm, KvmMemorySlot, KvmVcpu } from '../types.ts';
import { PFERR_WRITE_MASK } from '../x86-bits.ts';
import { EPT_EXECUTE, EPT_MMIO, EPT_READ, EPT_RWX, EptTables, largePage, PG_LEVEL_2M, PG_LEVEL_4K } from './ept.ts';

/** EPTP: memory type of the tables write-back, four levels, accessed and dirty flags. */
const EPTP_WB = 6;
const EPTP_PWL_4 = 3 << 3;
const EPTP_AD = 1 << 6;
/** IA32_VMX_EPT_VPID_CAP: accessed and dirty flags; 2 MiB pages. */
const VMX_EPT_AD_BIT = 1 << 21;
const VMX_EPT_2MB_PAGE_BIT = 1 << 16;
const APIC_GFN = 0xfee00;

/** What became of an EPT violation (enum in mmu_internal.h). */
export const RET_PF_RETRY = 0;
export const RET_PF_EMULATE = 1;
export const RET_PF_FIXED = 2;

/** kvm->arch's part of the MMU. */
class KvmMmu {
  readonly tables: EptTables;
  /** Violations served, for statistics. */
  pfFixed = 0;

  constructor(tables: EptTables) {
    this.tables = tables;
  }
}

const mmuOf = (kvm: Kvm): KvmMmu | null => kvm.mmu as KvmMmu | null;

/** kvm_mmu_uninit_vm: gives all table pages back. */
export function kvmMmuUninitVm(kvm: Kvm): void {
  mmuOf(kvm)?.tables.destroy();
  kvm.mmu = null;
  for (const vcpu of kvm.vcpus) vcpu.eptpLo = 0;
}

/** Table pages and served violations, for statistics; null before the first vCPU ran. */
export function kvmMmuStatistics(kvm: Kvm): { readonly pages: number; readonly pfFixed: number } | null {
  const mmu = mmuOf(kvm);
  return mmu === null ? null : { pages: mmu.tables.pages, pfFixed: mmu.pfFixed };
}

/** construct_eptp. */
function constructEptp(vcpu: KvmVcpu, root: number): number {
  const ad = (vcpu.kvm.global.vmx.eptCaps & VMX_EPT_AD_BIT) !== 0 ? EPTP_AD : 0;
  return (root | EPTP_WB | EPTP_PWL_4 | ad) >>> 0;
}

/** kvm_mmu_reload: gives the vCPU a root if it has none. 0, or -ENOMEM. */
export function kvmMmuReload(vcpu: KvmVcpu): number {
  return vcpu.eptpLo !== 0 ? 0 : kvmMmuLoad(vcpu);
}

/**
 * kvm_mmu_load: sets `eptpLo`, and asks with KVM_REQ_LOAD_MMU_PGD that it be written to the VMCS. 0, or -ENOMEM.
 */
export function kvmMmuLoad(vcpu: KvmVcpu): number {
  const kvm = vcpu.kvm;
  try {
    kvm.mmu ??= new KvmMmu(new EptTables(kvm.memory));
  } catch (error) {
    return noMemory(error);
  }
  vcpu.eptpLo = constructEptp(vcpu, mmuOf(kvm)!.tables.root);
  vcpu.eptpHi = 0;
  vcpu.makeRequest(KVM_REQ_LOAD_MMU_PGD);
  return 0;
}

/** kvm_mmu_unload: the vCPU must load its root again before it enters the guest. */
export function kvmMmuUnload(vcpu: KvmVcpu): void {
  vcpu.eptpLo = 0;
  vcpu.eptpHi = 0;
}

function noMemory(error: unknown): number {
  if (error instanceof OutOfHostMemory) return -ENOMEM;
  throw error;
}

// ---- page faults

/**
 * kvm_tdp_page_fault: maps the frame that the guest wanted, or says that the instruction must be emulated (no memory
 * there, or a write to memory that is read-only). RET_PF_*, or -ENOMEM.
 */
export function kvmTdpPageFault(vcpu: KvmVcpu, gpa: number, errorCode: number): number {
  const kvm = vcpu.kvm;
  const mmu = mmuOf(kvm);
  if (mmu === null) return RET_PF_RETRY;
  const gfn = Math.floor(gpa / PAGE_SIZE);
  const slot = gfnToMemslot(kvm, gfn);
  try {
    if (slot !== undefined) return mapSlot(kvm, mmu, slot, gfn, (errorCode & PFERR_WRITE_MASK) !== 0);
    if (gfn === APIC_GFN && kvm.apicAccessPage !== 0) {
      mmu.tables.map(gfn, PG_LEVEL_4K, kvm.apicAccessPage, EPT_READ | 2);
      return RET_PF_FIXED;
    }
    if (mmu.tables.lookup(gfn) !== EPT_MMIO) mmu.tables.mapMmio(gfn);
    return RET_PF_EMULATE;
  } catch (error) {
    return noMemory(error);
  }
}

function mapSlot(kvm: Kvm, mmu: KvmMmu, slot: KvmMemorySlot, gfn: number, write: boolean): number {
  const readonly = (slot.flags & KVM_MEM_READONLY) !== 0;
  if (write && readonly) return RET_PF_EMULATE;
  mmu.pfFixed++;
  const host = slot.userspaceAddr + (gfn - slot.baseGfn) * PAGE_SIZE;
  if ((slot.flags & KVM_MEM_LOG_DIRTY_PAGES) !== 0) {
    // Page by page, and writable from the first write on, which marks it.
    if (write) markPageDirtyInSlot(slot, gfn);
    mmu.tables.map(gfn, PG_LEVEL_4K, host, write && !readonly ? EPT_RWX : EPT_READ | EPT_EXECUTE);
    return RET_PF_FIXED;
  }
  const rights = readonly ? EPT_READ | EPT_EXECUTE : EPT_RWX;
  const large =
    (kvm.global.vmx.eptCaps & VMX_EPT_2MB_PAGE_BIT) !== 0
      ? largePage(gfn, slot.baseGfn, slot.npages, slot.userspaceAddr)
      : -1;
  if (large >= 0) mmu.tables.map(gfn, PG_LEVEL_2M, large, rights);
  else mmu.tables.map(gfn, PG_LEVEL_4K, host, rights);
  return RET_PF_FIXED;
}

// ---- changes of slots

/** kvm_flush_remote_tlbs: every vCPU flushes what it cached of the EPT tables before it enters again. */
export function kvmFlushRemoteTlbs(kvm: Kvm): void {
  let running = false;
  for (const vcpu of kvm.vcpus) {
    vcpu.makeRequest(KVM_REQ_TLB_FLUSH);
    if (vcpu.mode === OUTSIDE_GUEST_MODE) continue;
    running = true;
    vcpu.kick();
  }
  if (!running) mmuOf(kvm)?.tables.reclaim();
}

/** kvm_arch_commit_memory_region: after a slot was made, moved, deleted, or its flags changed. */
export function kvmArchCommitMemoryRegion(kvm: Kvm, change: MemoryRegionChange): void {
  const { old, now } = change;
  const mmu = mmuOf(kvm);
  if (mmu === null) return;
  let changed = false;
  if (old !== undefined && now !== undefined && old.baseGfn === now.baseGfn) {
    const logged = (now.flags & KVM_MEM_LOG_DIRTY_PAGES) !== 0;
    const end = now.baseGfn + now.npages;
    // Logging begins: no page is writable. Logging ends: small pages go, so that large ones may come.
    changed = logged ? mmu.tables.writeProtect(now.baseGfn, end) : mmu.tables.zap(now.baseGfn, end);
  } else {
    if (old !== undefined) changed = mmu.tables.zap(old.baseGfn, old.baseGfn + old.npages);
    // Frames of the new slot may be marked as MMIO.
    if (now !== undefined && mmu.tables.zap(now.baseGfn, now.baseGfn + now.npages)) changed = true;
  }
  if (changed) kvmFlushRemoteTlbs(kvm);
}

/** kvm_mmu_zap_all_fast: forgets every mapping. */
export function kvmMmuZapAll(kvm: Kvm): void {
  if (mmuOf(kvm)?.tables.zap(0, 2 ** 36) === true) kvmFlushRemoteTlbs(kvm);
}

/** kvm_zap_gfn_range: [start, end) of guest frames. */
export function kvmZapGfnRange(kvm: Kvm, start: number, end: number): void {
  if (mmuOf(kvm)?.tables.zap(start, end) === true) kvmFlushRemoteTlbs(kvm);
}

/**
 * kvm_arch_mmu_enable_log_dirty_pt_masked: write-protects the frames of one 32-bit word of a slot's dirty bitmap. The
 * caller flushes (kvmFlushRemoteTlbs) after the last word.
 */
export function kvmArchMmuEnableLogDirtyPtMasked(kvm: Kvm, slot: KvmMemorySlot, word: number, mask: number): void {
  const mmu = mmuOf(kvm);
  if (mmu === null) return;
  const first = slot.baseGfn + word * 32;
  for (let bits = mask >>> 0; bits !== 0; bits = (bits & (bits - 1)) >>> 0) {
    const gfn = first + 31 - Math.clz32(bits & -bits);
    mmu.tables.writeProtect(gfn, gfn + 1);
  }
}
