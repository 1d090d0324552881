import { ENOMEM, KVM_MEM_LOG_DIRTY_PAGES, KVM_MEM_READONLY } from '@vm/kvm-run';
import { describe, expect, it } from 'vitest';
import { KVM_REQ_LOAD_MMU_PGD, KVM_REQ_TLB_FLUSH } from '../requests.ts';
import type { Fixture } from '../testing/device-fixture.ts';
import { fixture } from '../testing/device-fixture.ts';
import { EPT_MMIO, EptTables } from './ept.ts';
import {
  kvmArchCommitMemoryRegion,
  kvmArchMmuEnableLogDirtyPtMasked,
  kvmMmuReload,
  kvmMmuUninitVm,
  kvmMmuUnload,
  kvmTdpPageFault,
  RET_PF_EMULATE,
  RET_PF_FIXED,
} from './mmu.ts';

const PAGE = 4096;
const WRITE = 2;
const tables = (f: Fixture): EptTables => (f.kvm.mmu as unknown as { tables: EptTables }).tables;
const fault = (f: Fixture, gfn: number, error = 0): number => kvmTdpPageFault(f.vcpus[0]!, gfn * PAGE, error);
/** Rights of a frame's entry, and its host page relative to the slot. */
const mapped = (f: Fixture, gfn: number): number => tables(f).lookup(gfn) & 7;

function loaded(megabytes = 2): Fixture {
  const f = fixture({ megabytes });
  expect(kvmMmuReload(f.vcpus[0]!)).toBe(0);
  return f;
}

describe('EPT', () => {
  it('has a root with write-back tables, four levels and dirty flags', () => {
    const f = loaded();
    const vcpu = f.vcpus[0]!;
    expect(vcpu.eptpLo & 0xfff).toBe(0x5e);
    expect(f.took(0, KVM_REQ_LOAD_MMU_PGD)).toBe(true);
    kvmMmuReload(vcpu);
    expect(f.took(0, KVM_REQ_LOAD_MMU_PGD)).toBe(false);
    kvmMmuUnload(vcpu);
    kvmMmuReload(vcpu);
    expect(f.took(0, KVM_REQ_LOAD_MMU_PGD)).toBe(true);
  });

  it('maps single pages where slot and host memory are not aligned alike', () => {
    const f = loaded();
    const slot = f.addSlot(0x100, 16);
    expect(fault(f, 0x105)).toBe(RET_PF_FIXED);
    expect(tables(f).lookup(0x105) >>> 0).toBe((slot.userspaceAddr + 5 * PAGE) | 0x377);
    expect(tables(f).lookup(0x106)).toBe(0);
  });

  it('maps 2 MiB where they are', () => {
    const f = loaded(16);
    const slot = f.addSlot(512, 1536, 0, 512);
    fault(f, 1030);
    expect(tables(f).lookup(1535) >>> 0).toBe(((slot.userspaceAddr + 512 * PAGE) | 0x3f7) >>> 0);
    expect(tables(f).lookup(1536)).toBe(0);
  });

  it('marks what is in no slot, and takes the mark away when a slot comes', () => {
    const f = loaded();
    expect(fault(f, 0xfec00)).toBe(RET_PF_EMULATE);
    expect(tables(f).lookup(0xfec00)).toBe(EPT_MMIO);
    const now = f.addSlot(0xfec00, 1);
    kvmArchCommitMemoryRegion(f.kvm, { old: undefined, now });
    expect(tables(f).lookup(0xfec00)).toBe(0);
    expect(f.took(0, KVM_REQ_TLB_FLUSH)).toBe(true);
    expect(fault(f, 0xfec00)).toBe(RET_PF_FIXED);
  });

  it('maps the APIC access page', () => {
    const f = loaded();
    f.kvm.apicAccessPage = f.memory.allocPages(1);
    expect(fault(f, 0xfee00)).toBe(RET_PF_FIXED);
    expect((tables(f).lookup(0xfee00) & 0xfffff000) >>> 0).toBe(f.kvm.apicAccessPage);
  });

  it('keeps read-only memory from being written', () => {
    const f = loaded();
    f.addSlot(0xe0, 16, KVM_MEM_READONLY);
    expect(fault(f, 0xe1)).toBe(RET_PF_FIXED);
    expect(mapped(f, 0xe1)).toBe(5);
    expect(fault(f, 0xe1, WRITE)).toBe(RET_PF_EMULATE);
  });

  it('logs writes page by page', () => {
    const f = loaded(16);
    const slot = f.addSlot(0, 1024, KVM_MEM_LOG_DIRTY_PAGES, 512);
    fault(f, 3);
    expect(mapped(f, 3)).toBe(5);
    expect(slot.dirtyBitmap![0]).toBe(0);
    fault(f, 3, WRITE);
    fault(f, 37, WRITE);
    expect(mapped(f, 3)).toBe(7);
    expect([...slot.dirtyBitmap!.subarray(0, 2)]).toEqual([8, 32]);
    slot.dirtyBitmap!.fill(0);
    kvmArchMmuEnableLogDirtyPtMasked(f.kvm, slot, 1, 32);
    expect([mapped(f, 3), mapped(f, 37)]).toEqual([7, 5]);
  });

  it('splits large pages when logging begins, and joins them when it ends', () => {
    const f = loaded(16);
    const old = f.addSlot(0, 1024, 0, 512);
    fault(f, 3);
    const now = { ...old, flags: KVM_MEM_LOG_DIRTY_PAGES, dirtyBitmap: new Uint32Array(32) };
    f.kvm.memslots = [now];
    kvmArchCommitMemoryRegion(f.kvm, { old, now });
    expect(tables(f).lookup(3)).toBe(0);
    fault(f, 3, WRITE);
    const pages = tables(f).pages;
    f.kvm.memslots = [old];
    kvmArchCommitMemoryRegion(f.kvm, { old: now, now: old });
    fault(f, 3);
    expect(tables(f).lookup(500) & 0x80).toBe(0x80);
    expect(tables(f).pages).toBe(pages - 1);
  });

  it('forgets a deleted slot and no other, and gives every page back', () => {
    const f = fixture();
    const before = f.memory.freePages;
    kvmMmuReload(f.vcpus[0]!);
    const a = f.addSlot(0, 16);
    f.addSlot(16, 16);
    for (const gfn of [1, 15, 16, 31, 0x80000, 0x7fffffff]) fault(f, gfn);
    f.kvm.memslots = f.kvm.memslots.filter((slot) => slot !== a);
    kvmArchCommitMemoryRegion(f.kvm, { old: a, now: undefined });
    expect([1, 15, 16, 31].map((gfn) => mapped(f, gfn))).toEqual([0, 0, 7, 7]);
    kvmMmuUninitVm(f.kvm);
    expect(f.memory.freePages).toBe(before - 32);
  });

  it('keeps dropped tables while a vCPU may walk them', () => {
    const f = loaded(8);
    const slot = f.addSlot(0, 512, 0, 1);
    fault(f, 1);
    const free = f.memory.freePages;
    f.vcpus[0]!.mode = 1;
    kvmArchCommitMemoryRegion(f.kvm, { old: slot, now: undefined });
    expect(f.memory.freePages).toBe(free);
    f.vcpus[0]!.mode = 0;
    fault(f, 1);
    kvmArchCommitMemoryRegion(f.kvm, { old: slot, now: undefined });
    expect(f.memory.freePages).toBeGreaterThan(free - 1);
  });

  it('says that there is no memory', () => {
    const f = loaded();
    f.addSlot(0x100, 1);
    while (f.memory.freePages > 0) f.memory.allocPages(1);
    expect(fault(f, 0x100)).toBe(-ENOMEM);
  });
});
