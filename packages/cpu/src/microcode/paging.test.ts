import { describe, expect, it } from 'vitest';
import * as L from '../state/layout.ts';
import { VMX_EPTP } from '../state/vmx-layout.ts';
import { MicrocodeBench, PTE_A, PTE_D, PTE_G, PTE_P, PTE_PS, PTE_U, PTE_W, PTE_XD } from '../testing/microcode-bench.ts';

const READ = 0;
const WRITE = 2;
const USER = 4;
const FETCH = 16;
const AC = 0x200;
const CR4_SMEP = 0x10_0000n;
const CR4_SMAP = 0x20_0000n;
const CR4_PAE = 0x20n;
const CR4_PSE = 0x10n;
const CR0_WP = 0x1_0000n;

/** The rule of SDM vol. 3A, 5.6, said another way than the microcode says it. */
function allowed(flags: bigint, access: number, wp: boolean, smep: boolean, smap: boolean): boolean {
  const userPage = (flags & PTE_U) !== 0n;
  const writable = (flags & PTE_W) !== 0n;
  const user = (access & USER) !== 0;
  if (user && !userPage) return false;
  if (access & FETCH) return !(flags & PTE_XD) && !(!user && userPage && smep);
  if (!user && userPage && smap && !(access & AC)) return false;
  if (!(access & WRITE)) return true;
  return writable || (!user && !wp);
}

describe('4-level paging', () => {
  it('grants and refuses as the table of rights says, and sets A and D', () => {
    const bench = new MicrocodeBench();
    const target = bench.page();
    const linear = 0xffff_8123_4567_8000n;
    for (let bits = 0; bits < 8; bits++) {
      const flags = PTE_P | (bits & 1 ? PTE_W : 0n) | (bits & 2 ? PTE_U : 0n) | (bits & 4 ? PTE_XD : 0n);
      for (let controls = 0; controls < 8; controls++) {
        bench.enter('long');
        bench.set(L.CR0, 0x8000_0011n | (controls & 1 ? CR0_WP : 0n));
        bench.set(L.CR4, CR4_PAE | (controls & 2 ? CR4_SMEP : 0n) | (controls & 4 ? CR4_SMAP : 0n));
        for (const access of [READ, WRITE, FETCH, USER, USER | WRITE, USER | FETCH, AC, AC | WRITE]) {
          const slot = bench.map(linear, BigInt(target), flags);
          const result = bench.call('translate', BigInt.asIntN(64, linear + 0x123n), access);
          const good = allowed(flags, access, !!(controls & 1), !!(controls & 2), !!(controls & 4));
          const name = `flags ${flags.toString(16)} access ${access} controls ${controls}`;
          expect(result, name).toBe(good ? target + 0x123 : -1);
          const error = (access & (WRITE | USER | FETCH)) | 1;
          expect(bench.pending(), name).toBe(good ? null : `#14(${error.toString(16)})`);
          if (!good) expect(bench.get(L.EVENT_ADDRESS), name).toBe(linear + 0x123n);
          expect(bench.read64(slot) & (PTE_A | PTE_D), name).toBe(!good ? 0n : access & WRITE ? PTE_A | PTE_D : PTE_A);
        }
      }
    }
  });

  it('ands rights over the levels, and takes XD from any', () => {
    const bench = new MicrocodeBench();
    bench.enter('long');
    const target = bench.page();
    bench.map(0x4000_0000n, BigInt(target), PTE_P | PTE_W | PTE_U, PTE_P | PTE_U);
    expect(bench.call('translate', 0x4000_0000n, USER)).toBe(target);
    expect(bench.call('translate', 0x4000_0000n, USER | WRITE)).toBe(-1);
    expect(bench.pending()).toBe('#14(7)');
  });

  it('finds page tables again through its cache, and forgets them on INVLPG', () => {
    const bench = new MicrocodeBench();
    bench.enter('long');
    const [first, second, other] = [bench.page(), bench.page(), bench.page()];
    for (const base of [0x4000_0000n, 0xffff_ffff_ffe0_0000n]) {
      const slot = bench.map(base, BigInt(first), PTE_P | PTE_W | PTE_U);
      bench.map(base + 0x1000n, BigInt(second), PTE_P);
      const at = BigInt.asIntN(64, base);
      expect(bench.call('translate', at, WRITE)).toBe(first);
      expect(bench.call('translate', at + 0x1000n, READ)).toBe(second);
      expect(bench.call('translate', at + 0x1000n, USER)).toBe(-1);
      expect(bench.pending()).toBe('#14(5)');
      expect(bench.call('translate', at + 0x2000n, READ)).toBe(-1);
      expect(bench.pending()).toBe('#14(0)');
      // A new page table behind the same directory entry: seen after INVLPG.
      let table = bench.root;
      for (const level of [39n, 30n]) table = Number(bench.read64(table + Number((base >> level) & 511n) * 8) & 0xf_ffff_f000n);
      const directory = table + Number((base >> 21n) & 511n) * 8;
      bench.write64(other + (slot & 0xfff), BigInt(second) | 7n);
      bench.write64(directory, BigInt(other) | 7n);
      bench.call('flushTlbPage', at);
      expect(bench.call('translate', at, WRITE)).toBe(second);
    }
  });

  it.each([
    ['2 MiB', 21n, 0x1f_f123n],
    ['1 GiB', 30n, 0x3fff_f123n],
  ])('maps %s pages', (_name, shift, offset) => {
    const bench = new MicrocodeBench();
    bench.enter('long');
    const slot = bench.map(0x80_0000_0000n, 1n << 35n, PTE_P | PTE_W | PTE_PS, undefined, shift);
    expect(bench.call('translate', 0x80_0000_0000n + offset, WRITE)).toBe(2 ** 35 + Number(offset));
    expect(bench.read64(slot) & 0x60n).toBe(0x60n);
    bench.write64(slot, bench.read64(slot) | 0x2000n);
    expect(bench.call('translate', 0x80_0000_0000n, READ)).toBe(-1);
    expect(bench.pending()).toBe('#14(9)');
  });

  it('faults on reserved bits: beyond MAXPHYADDR, XD without NXE', () => {
    const bench = new MicrocodeBench();
    bench.enter('long');
    bench.map(0x1000n, 1n << 45n, PTE_P);
    expect(bench.call('translate', 0x1000n, READ)).toBe(-1);
    expect(bench.pending()).toBe('#14(9)');
    bench.map(0x2000n, 0n, PTE_P | PTE_XD);
    bench.set(L.MSR_EFER, 0x501n);
    expect(bench.call('translate', 0x2000n, USER)).toBe(-1);
    expect(bench.pending()).toBe('#14(d)');
    expect(bench.call('translate', 0x3000n, FETCH)).toBe(-1);
    expect(bench.pending()).toBe('#14(0)');
  });
});

describe('legacy paging', () => {
  it('translates without paging to the same address', () => {
    const bench = new MicrocodeBench();
    bench.enter('protected');
    expect(bench.call('translate', 0x12345n, WRITE)).toBe(0x12345);
  });

  it('walks 32-bit tables, with 4-MiB pages', () => {
    const bench = new MicrocodeBench();
    bench.enter('protected');
    bench.set(L.CR0, 0x8001_0011n);
    const table = bench.page();
    const target = bench.page();
    const view = bench.memory.view;
    view.setUint32(bench.root + 4, table | 7, true);
    view.setUint32(table + 8, target | 5, true);
    expect(bench.call('translate', 0x40_2abcn, USER)).toBe(target + 0xabc);
    expect(view.getUint32(table + 8, true) & 0x60).toBe(0x20);
    expect(bench.call('translate', 0x40_2abcn, WRITE)).toBe(-1);
    expect(bench.pending()).toBe('#14(3)');
    view.setUint32(bench.root + 8, 0x0040_0083, true);
    bench.set(L.CR4, CR4_PSE);
    expect(bench.call('translate', 0x80_5678n, WRITE)).toBe(0x40_5678);
    expect(view.getUint32(bench.root + 8, true) & 0x60).toBe(0x60);
  });

  it('walks PAE tables through loaded PDPTEs', () => {
    const bench = new MicrocodeBench();
    bench.enter('protected');
    bench.set(L.CR4, CR4_PAE);
    bench.set(L.CR0, 0x8001_0011n);
    const [directory, table, target] = [bench.page(), bench.page(), bench.page()];
    bench.set(L.PDPTE0 + 8, BigInt(directory) | 1n);
    bench.write64(directory, BigInt(table) | 7n);
    bench.write64(table + 8, BigInt(target) | 7n);
    expect(bench.call('translate', 0x4000_1000n, USER | WRITE)).toBe(target);
    expect(bench.call('translate', 0x8000_0000n, READ)).toBe(-1);
    expect(bench.pending()).toBe('#14(0)');
    bench.write64(directory + 8, 0x20_0000n | 0x87n);
    expect(bench.call('translate', 0x4020_0123n, WRITE)).toBe(0x20_0123);
  });
});

describe('extended page tables', () => {
  function withEpt(ad: boolean): { bench: MicrocodeBench; ept: (gpa: bigint, hpa: bigint, flags: bigint, shift?: bigint) => number } {
    const bench = new MicrocodeBench();
    bench.enter('protected');
    const eptp = bench.page();
    bench.set(VMX_EPTP, BigInt(eptp) | 0x1en | (ad ? 0x40n : 0n));
    const ept = (gpa: bigint, hpa: bigint, flags: bigint, shift = 12n): number => {
      let table = eptp;
      for (let level = 39n; level > shift; level -= 9n) {
        const slot = table + Number((gpa >> level) & 511n) * 8;
        if (bench.read64(slot) === 0n) bench.write64(slot, BigInt(bench.page()) | 7n);
        table = Number(bench.read64(slot) & 0xf_ffff_ffff_f000n);
      }
      const slot = table + Number((gpa >> shift) & 511n) * 8;
      bench.write64(slot, hpa | flags | (shift > 12n ? 0x80n : 0n));
      bench.call('flushEptCache');
      return slot;
    };
    return { bench, ept };
  }

  it.each([
    ['read', READ, 1n, true, 0],
    ['read', READ, 4n, false, 0x181 | (4 << 3)],
    ['read', READ, 0n, false, 0x181],
    ['write', WRITE, 3n, true, 0],
    ['write', WRITE, 5n, false, 0x182 | (5 << 3)],
    ['fetch', FETCH, 4n, true, 0],
    ['fetch', FETCH, 3n, false, 0x184 | (3 << 3)],
  ])('%s (%i) against rights %i', (_name, access, rights, good, qualification) => {
    const { bench, ept } = withEpt(false);
    const target = bench.page();
    ept(0x5000n, BigInt(target), rights);
    for (let again = 0; again < 2; again++) {
      expect(bench.call('translate', 0x5678n, access)).toBe(good ? target + 0x678 : -1);
      if (good) continue;
      expect(bench.get(L.EXIT_QUALIFICATION)).toBe(BigInt(qualification));
      expect(bench.get(L.EXIT_GPA)).toBe(0x5678n);
      expect(bench.get(L.EXIT_GLA)).toBe(0x5678n);
      expect(bench.pending()).toBe('exit 48');
    }
  });

  it.each([
    ['write without read', 2n, 12n],
    ['write and execute', 6n, 12n],
    ['memory type 2', 7n | (2n << 3n), 12n],
    ['memory type 7', 7n | (7n << 3n), 12n],
    ['address beyond MAXPHYADDR', 7n | (1n << 48n), 12n],
    ['reserved address bits of a large page', 7n | 0x1000n, 21n],
  ])('misconfiguration: %s', (_name, flags, shift) => {
    const { bench, ept } = withEpt(false);
    ept(0x5000n & ~((1n << shift) - 1n), 0n, flags, shift);
    expect(bench.call('translate', 0x5000n, READ)).toBe(-1);
    expect(bench.get(L.EXIT_GPA)).toBe(0x5000n);
    expect(bench.pending()).toBe('exit 49');
  });

  it('sets accessed and dirty when the EPT pointer says so, also through its cache', () => {
    const { bench, ept } = withEpt(true);
    const slot = ept(0x20_0000n, 0x40_0000n, 7n, 21n);
    expect(bench.call('translate', 0x21_0000n, READ)).toBe(0x41_0000);
    expect(bench.read64(slot) & 0x300n).toBe(0x100n);
    expect(bench.call('translate', 0x21_0000n, WRITE)).toBe(0x41_0000);
    expect(bench.read64(slot) & 0x300n).toBe(0x300n);
  });

  it('translates the guest tables too, and tells an access to them from one to the target', () => {
    const { bench, ept } = withEpt(true);
    bench.enter('long');
    const target = bench.page();
    const linear = 0x7000_0000n;
    const slot = bench.map(linear, 0x9000n, PTE_P | PTE_W);
    // The tables stand at guest-physical addresses equal to their host ones.
    const tables = new Set<bigint>([BigInt(bench.root)]);
    let table = bench.root;
    for (let level = 39n; level > 12n; level -= 9n) {
      table = Number(bench.read64(table + Number((linear >> level) & 511n) * 8) & 0xf_ffff_f000n);
      tables.add(BigInt(table));
    }
    for (const page of tables) if (page !== BigInt(table)) ept(page, page, 7n);
    expect(bench.call('translate', linear, READ)).toBe(-1);
    expect(bench.get(L.EXIT_QUALIFICATION)).toBe(0x83n);
    expect(bench.get(L.EXIT_GPA)).toBe(BigInt(slot));
    expect(bench.get(L.EXIT_GLA)).toBe(linear);
    expect(bench.pending()).toBe('exit 48');
    ept(BigInt(table), BigInt(table), 7n);
    expect(bench.call('translate', linear, READ)).toBe(-1);
    expect(bench.get(L.EXIT_QUALIFICATION)).toBe(0x181n);
    expect(bench.pending()).toBe('exit 48');
    ept(0x9000n, BigInt(target), 3n);
    expect(bench.call('translate', linear + 5n, READ)).toBe(target + 5);
  });
});

describe('TLB and bounce buffer', () => {
  it('serves accesses that cross pages, writing nothing when the second page faults', () => {
    const bench = new MicrocodeBench();
    bench.enter('long');
    const [first, second] = [bench.page(), bench.page()];
    bench.map(0x10_0000n, BigInt(first), PTE_P | PTE_W);
    bench.map(0x10_1000n, BigInt(second), PTE_P);
    expect(bench.call('writeMiss', 0x10_0ffcn, 8)).toBe(0);
    expect(bench.pending()).toBe('#14(3)');
    bench.map(0x10_1000n, BigInt(second), PTE_P | PTE_W);
    const host = bench.call('writeMiss', 0x10_0ffcn, 8);
    bench.write64(host, 0x1122_3344_5566_7788n);
    bench.call('writeCommit');
    expect(bench.memory.view.getUint32(first + 0xffc, true)).toBe(0x5566_7788);
    expect(bench.memory.view.getUint32(second, true)).toBe(0x1122_3344);
    expect(bench.read64(bench.call('readMiss', 0x10_0ffcn, 8))).toBe(0x1122_3344_5566_7788n);
  });

  it('reads ones and ignores writes where there is no RAM', () => {
    const bench = new MicrocodeBench();
    bench.enter('protected');
    const host = bench.call('readMiss', 0xf000_0000n, 4);
    expect(bench.memory.view.getUint32(host, true)).toBe(0xffff_ffff);
    bench.write64(bench.call('writeMiss', 0xf000_0000n, 8), 5n);
    bench.call('writeCommit');
    expect(bench.pending()).toBe(null);
  });

  it('raises #GP, or #SS near the stack pointer, for addresses that are not canonical', () => {
    const bench = new MicrocodeBench();
    bench.enter('long');
    expect(bench.call('readMiss', 0x8000_0000_0000n, 8)).toBe(0);
    expect(bench.pending()).toBe('#13(0)');
    bench.set(L.RSP, 0x8000_0000_0008n);
    expect(bench.call('writeMiss', 0x8000_0000_0000n, 8)).toBe(0);
    expect(bench.pending()).toBe('#12(0)');
  });

  it('forgets all parts of a large page on INVLPG of one', () => {
    const bench = new MicrocodeBench();
    bench.enter('long');
    const slot = bench.map(0x4000_0000n, 0x20_0000n, PTE_P | PTE_PS, undefined, 21n);
    const hit = (linear: bigint): boolean =>
      bench.get(L.TLB + L.TLB_READ + Number((linear >> 8n) & BigInt((L.TLB_ENTRIES - 1) << 4))) === linear;
    bench.call('readMiss', 0x4000_1000n, 1);
    bench.call('readMiss', 0x4000_5000n, 1);
    expect(hit(0x4000_1000n) && hit(0x4000_5000n)).toBe(true);
    bench.write64(slot, 0n);
    bench.call('flushTlbPage', 0x4000_9000n);
    expect(hit(0x4000_1000n) || hit(0x4000_5000n)).toBe(false);
  });

  it.each([
    ['keeps global pages where CR4.PGE is set', 0xa0n, true],
    ['forgets all without CR4.PGE', 0x20n, false],
  ])('a new CR3 %s', (_name, cr4, kept) => {
    const bench = new MicrocodeBench();
    bench.enter('long');
    bench.set(L.CR4, cr4);
    bench.map(0x4000_0000n, BigInt(bench.page()), PTE_P | PTE_G);
    bench.map(0x4000_1000n, BigInt(bench.page()), PTE_P);
    bench.map(0x4020_0000n, 0x20_0000n, PTE_P | PTE_PS | PTE_G, undefined, 21n);
    const hit = (linear: bigint): boolean =>
      bench.get(L.TLB + L.TLB_READ + Number((linear >> 8n) & BigInt((L.TLB_ENTRIES - 1) << 4))) === linear;
    const all = [0x4000_0000n, 0x4000_1000n, 0x4020_5000n];
    // The second time around the pages are found by the walk cache.
    for (let i = 0; i < 2; i++) {
      for (const linear of all) bench.call('readMiss', linear, 1);
      expect(all.map(hit)).toEqual([true, true, true]);
      bench.call('flushTlbNonGlobal');
      expect(all.map(hit)).toEqual([kept, false, kept]);
      bench.call('flushTlbPage', 0x4000_0000n);
      expect(hit(0x4000_0000n)).toBe(false);
    }
    for (const linear of all) bench.call('readMiss', linear, 1);
    bench.call('flushTlb');
    expect(all.map(hit)).toEqual([false, false, false]);
  });

  it('finds out which entries are global when the journal is full', () => {
    const bench = new MicrocodeBench();
    bench.enter('long');
    bench.set(L.CR4, 0xa0n);
    for (let i = 0n; i < 2060n; i++) {
      bench.map(0x4000_0000n + i * 0x1000n, BigInt(bench.root), i === 2059n ? PTE_P | PTE_G : PTE_P);
      bench.call('readMiss', 0x4000_0000n + i * 0x1000n, 1);
    }
    bench.call('flushTlbNonGlobal');
    const present = Array.from({ length: L.TLB_ENTRIES }, (_, i) => bench.get(L.TLB + L.TLB_READ + i * L.TLB_ENTRY_SIZE)).filter((tag) => (tag & 1n) === 0n);
    expect(present).toEqual([0x4080_b000n]);
  });

  it.each([['at first', false], ['when it was in use', true]])('has no address near an empty entry, %s', (_, used) => {
    const bench = new MicrocodeBench();
    bench.enter('long');
    if (used) {
      bench.map(0x4000_0000n, BigInt(bench.page()), PTE_P);
      bench.call('readMiss', 0x4000_0000n, 1);
      bench.call('flushTlb');
    }
    const entries = Array.from({ length: L.TLB_ENTRIES }, (_entry, i) => bench.get(L.TLB + L.TLB_READ + i * L.TLB_ENTRY_SIZE));
    expect(entries.filter((tag, i) => (tag & 1n) === 0n || ((tag >> 12n) & 0xfffn) === BigInt(i))).toEqual([]);
  });
});
