/**
 * All paging modes against the tables of SDM vol. 3A, ch. 5, said once more here: formats and reserved bits (tables 5-4 to 5-6,
 * 5-8 to 5-11, 5-15 to 5-20), rights (5.6), error codes (5.7), accessed and dirty flags (5.8).
 */
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import * as V from '@vm/kvm-run/vmx';
import * as L from '../state/layout.ts';
import { VMX_CAPABILITIES } from '../state/vmx-layout.ts';
import { CR4_SUPPORTED } from '../system/cpuid.ts';
import { MicrocodeBench, PTE_A, PTE_D, PTE_P, PTE_PS, PTE_U, PTE_W, PTE_XD } from '../testing/microcode-bench.ts';

const WRITE = 2;
const USER = 4;
const FETCH = 16;
/** An explicit access with EFLAGS.AC set. */
const AC = 0x200;
const PSE = 0x10n;
const PAE = 0x20n;
const SMEP = 0x10_0000n;
const SMAP = 0x20_0000n;
const PKE = 0x40_0000n;
const WP = 0x1_0000n;
const NXE = 0x800n;
const MAXPHYADDR = 39n;
const RSVD = 8;
const PK = 0x20;

type Mode = '32-bit' | 'PAE' | '4-level';

interface Setup {
  readonly mode: Mode;
  /** From the top; what has no place in the mode is not used. Addresses of tables are put in. */
  readonly entries: readonly bigint[];
  readonly linear: bigint;
  readonly access: number;
  readonly cr0: bigint;
  readonly cr4: bigint;
  readonly nxe: boolean;
  readonly pkru: number;
}

interface Level {
  readonly shift: bigint;
  /** Bits that must be zero, in an entry that refers to a table and in one that maps a page (null: it cannot). */
  readonly table: bigint | null;
  readonly page: bigint | null;
}

const bits = (high: bigint, low: bigint): bigint => ((1n << (high - low + 1n)) - 1n) << low;
const BEYOND = bits(51n, MAXPHYADDR);

/** The levels of a mode from the top. Bit 12 of a large page's entry is PAT. */
function levels({ mode, cr4, nxe }: Setup): Level[] {
  const xd = nxe ? 0n : PTE_XD;
  if (mode === '32-bit') {
    const large = (cr4 & PSE) !== 0n;
    // PSE-36: bits 20:13 are address bits 39:32, of which those beyond MAXPHYADDR are reserved, as is bit 21.
    return [{ shift: 22n, table: 0n, page: large ? bits(21n, MAXPHYADDR - 19n) : null }, { shift: 12n, table: null, page: 0n }];
  }
  const any = BEYOND | xd | (mode === 'PAE' ? bits(62n, 52n) : 0n);
  const low: Level[] = [{ shift: 21n, table: any, page: any | bits(20n, 13n) }, { shift: 12n, table: null, page: any }];
  if (mode === 'PAE') return low;
  return [{ shift: 39n, table: any | PTE_PS, page: null }, { shift: 30n, table: any, page: any | bits(29n, 13n) }, ...low];
}

interface Outcome {
  /** Physical address, or -1 with the error code. */
  readonly address: bigint;
  readonly error: number;
  /** Index of the entry that maps the page, once the walk has come to it. */
  readonly leaf: number;
}

/** 5.6.1 and 5.6.2, by the kind of access and of address. */
function denied(setup: Setup, writable: boolean, userAddress: boolean, xd: boolean, entry: bigint): { rights: boolean; key: boolean } {
  const { access, cr0, cr4, mode } = setup;
  const user = (access & USER) !== 0;
  const wp = (cr0 & WP) !== 0n;
  const closed = (cr4 & SMAP) !== 0n && (access & AC) === 0;
  let rights: boolean;
  if (access & FETCH) rights = user ? !userAddress || xd : (userAddress && (cr4 & SMEP) !== 0n) || xd;
  else if (user) rights = !userAddress || ((access & WRITE) !== 0 && !writable);
  else rights = (userAddress && closed) || ((access & WRITE) !== 0 && wp && !writable);
  if (mode !== '4-level' || (cr4 & PKE) === 0n || !userAddress || (access & FETCH) !== 0) return { rights, key: false };
  const disable = (setup.pkru >>> (Number((entry >> 59n) & 15n) * 2)) & 3;
  return { rights, key: (disable & 1) !== 0 || ((disable & 2) !== 0 && (access & WRITE) !== 0 && (user || wp)) };
}

function expected(setup: Setup): Outcome {
  const { access, linear, cr4, nxe, mode } = setup;
  const reported = (access & (WRITE | USER)) | ((access & FETCH) !== 0 && (nxe && mode !== '32-bit' || (cr4 & SMEP) !== 0n) ? FETCH : 0);
  const fault = (error: number, leaf = -1): Outcome => ({ address: -1n, error: reported | error, leaf });
  let writable = true;
  let user = true;
  let xd = false;
  for (const [i, level] of levels(setup).entries()) {
    const entry = setup.entries[i]!;
    if ((entry & PTE_P) === 0n) return fault(0);
    const maps = level.table === null || ((entry & PTE_PS) !== 0n && level.page !== null);
    if ((entry & (maps ? level.page! : level.table!)) !== 0n) return fault(1 | RSVD);
    writable &&= (entry & PTE_W) !== 0n;
    user &&= (entry & PTE_U) !== 0n;
    xd ||= mode !== '32-bit' && (entry & PTE_XD) !== 0n;
    if (!maps) continue;
    const { rights, key } = denied(setup, writable, user, xd, entry);
    if (rights || key) return fault(1 | (key ? PK : 0), i);
    const high = mode === '32-bit' && level.shift === 22n ? ((entry >> 13n) & 0xffn) << 32n : 0n;
    const base = entry & bits(mode === '32-bit' ? 31n : 51n, level.shift);
    return { address: high | base | (linear & bits(level.shift - 1n, 0n)), error: 0, leaf: i };
  }
  throw new Error('the last level maps a page');
}

/** Tables whose entries for one linear address are those of the setup. */
class Tables {
  readonly bench: MicrocodeBench = new MicrocodeBench();
  readonly #pages: readonly number[] = [this.bench.root, ...Array.from({ length: 3 }, () => this.bench.page())];
  readonly #mode: Mode;
  readonly #wide: boolean;
  slots: number[] = [];

  constructor(mode: Mode) {
    this.#mode = mode;
    this.#wide = mode !== '32-bit';
    this.bench.enter(mode === '4-level' ? 'long' : 'protected');
  }

  /** Host address of each level's entry. */
  #place(setup: Setup): void {
    const list = levels(setup);
    this.slots = list.map(({ shift }, i) => {
      const index = Number((setup.linear >> shift) & (this.#wide ? 511n : 1023n));
      return this.#pages[i]! + index * (this.#wide ? 8 : 4);
    });
  }

  /** The setup with the tables' addresses in its entries, as far as it leaves their other bits alone. */
  complete(setup: Setup): Setup {
    const address = bits(MAXPHYADDR - 1n, 12n);
    const list = levels(setup);
    const entries = list.map((level, i) => {
      const entry = this.#wide ? setup.entries[i]! : setup.entries[i]! & 0xffff_ffffn;
      const refers = level.table !== null && !((entry & PTE_PS) !== 0n && level.page !== null);
      return refers ? (entry & ~(this.#wide ? address : bits(31n, 12n))) | BigInt(this.#pages[i + 1]!) : entry;
    });
    return { ...setup, entries };
  }

  read(i: number): bigint {
    return this.#wide ? this.bench.read64(this.slots[i]!) : BigInt(this.bench.memory.view.getUint32(this.slots[i]!, true));
  }

  load(setup: Setup): void {
    const { bench } = this;
    this.#place(setup);
    setup.entries.forEach((entry, i) => {
      if (this.#wide) bench.write64(this.slots[i]!, entry);
      else bench.memory.view.setUint32(this.slots[i]!, Number(entry), true);
    });
    bench.set(L.CR0, 0x8000_0011n | setup.cr0);
    bench.set(L.CR4, (this.#wide ? PAE : 0n) | setup.cr4);
    bench.set(L.MSR_EFER, (this.#mode === '4-level' ? 0x501n : 0n) | (setup.nxe ? NXE : 0n));
    bench.set32(L.PKRU, setup.pkru);
    for (let i = 0; i < 4; i++) bench.set(L.PDPTE0 + i * 8, BigInt(bench.root) | 1n);
    bench.call('flushTlb');
  }
}

const flags = (mode: Mode): fc.Arbitrary<bigint> => {
  const all = PTE_P | PTE_W | PTE_U;
  const often = fc.constantFrom(all, all, all, all, all, PTE_P | PTE_U, PTE_P | PTE_W, PTE_P, 0n);
  const more = fc.constantFrom(0n, 0n, 0n, 0n, 0n, 0n, PTE_PS, PTE_PS | 0x1000n, PTE_XD, PTE_A, PTE_A | PTE_D, 0x118n, 0xe00n, 5n << 59n, 5n << 59n, 5n << 59n, 1n << 52n, 1n << 51n, 1n << 39n,
    1n << 38n, 1n << 33n, 1n << 32n, 1n << 29n, 1n << 22n, 1n << 21n, 1n << 20n, 1n << 19n, 1n << 13n);
  return fc.tuple(often, more, more).map(([a, b, c]) => (mode === '32-bit' ? (a | b | c) & 0xffff_ffffn : a | b | c));
};

const setups = (mode: Mode): fc.Arbitrary<Setup> => fc.record({
  mode: fc.constant(mode),
  entries: fc.array(flags(mode), { minLength: 4, maxLength: 4 }),
  linear: mode === '4-level'
    ? fc.bigInt(0n, (1n << 47n) - 1n).chain((low) => fc.constantFrom(low, low | bits(63n, 47n)))
    : fc.bigInt(0n, 0xffff_ffffn),
  access: fc.constantFrom(0, WRITE, FETCH, AC, AC | WRITE, USER, USER | WRITE, USER | FETCH),
  cr0: fc.constantFrom(0n, WP),
  cr4: fc.tuple(fc.constantFrom(0n, PSE, PSE), fc.constantFrom(0n, SMEP), fc.constantFrom(0n, SMAP), fc.constantFrom(PKE, PKE, 0x80n)).map(([a, b, c, d]) => a | b | c | d),
  nxe: fc.boolean(),
  pkru: fc.constantFrom(0, 0x5555_5554, 0x5555_5554, 0x400, 0x800, 0x800),
});

describe.each(['32-bit', 'PAE', '4-level'] as const)('%s paging', (mode) => {
  const tables = new Tables(mode);

  it('translates, refuses and marks as the tables of the manual say', () => {
    const seen = new Map<string, number>();
    fc.assert(fc.property(setups(mode), (random) => {
      const setup = tables.complete(random);
      const outcome = expected(setup);
      // Once by the whole walk, once as far as caches of paging structures help.
      for (let again = 0; again < 2; again++) {
        if (again === 0) tables.load(setup);
        const result = BigInt(tables.bench.call('translate', BigInt.asIntN(64, setup.linear), setup.access));
        const pending = tables.bench.pending();
        expect([result, pending]).toEqual([outcome.address, outcome.address >= 0n ? null : `#14(${outcome.error.toString(16)})`]);
        if (pending !== null) expect(tables.bench.get(L.EVENT_ADDRESS)).toBe(BigInt.asUintN(64, setup.linear));
        for (let i = 0; i <= outcome.leaf; i++) {
          const before = setup.entries[i]!;
          const set = i < outcome.leaf ? PTE_A : outcome.address < 0n ? 0n : setup.access & WRITE ? PTE_A | PTE_D : PTE_A;
          expect([i, tables.read(i)]).toEqual([i, before | set]);
        }
      }
      const kind = outcome.address >= 0n ? `page of level ${outcome.leaf}` : `error ${outcome.error & (1 | RSVD | PK)}`;
      seen.set(kind, (seen.get(kind) ?? 0) + 1);
    }), { numRuns: 6000, seed: 5 });
    // All kinds of outcome have come up.
    const kinds = mode === '4-level'
      ? ['page of level 1', 'page of level 2', 'page of level 3', 'error 0', 'error 1', 'error 9', 'error 33']
      : ['page of level 0', 'page of level 1', 'error 0', 'error 1', 'error 9'];
    expect(kinds.filter((kind) => (seen.get(kind) ?? 0) < 20)).toEqual([]);
  });
});

describe('page-directory-pointer entries of PAE paging (5.4.1)', () => {
  test.each([
    ['present', 1n, true],
    ['not present, whatever else', 0xffff_ffff_ffff_fffen, true],
    ['PWT, PCD and ignored bits', 1n | 0x18n | 0xe00n, true],
    ['bit 1', 3n, false],
    ['bit 2', 5n, false],
    ['bit 5', 0x21n, false],
    ['bit 8', 0x101n, false],
    ['bit 38, the last address bit', 1n | (1n << 38n), true],
    ['bit 39', 1n | (1n << 39n), false],
    ['bit 63, also with NXE', 1n | PTE_XD, false],
  ])('%s', (_name, entry, good) => {
    for (const which of [0, 3]) {
      const bench = new MicrocodeBench();
      bench.enter('protected');
      bench.set(L.CR0, 0x8000_0011n);
      bench.set(L.CR4, PAE);
      bench.set(L.MSR_EFER, NXE);
      const table = bench.page();
      for (let i = 0; i < 4; i++) bench.write64(table + 32 + i * 8, i === which ? entry : 0n);
      bench.set(L.PDPTE0, 0x7001n);
      bench.set(L.RAX, BigInt(table + 32));
      bench.op('mov_cr_load', { p1: 3, p2: bench.gpr(0), size: 4 });
      expect(bench.pending()).toBe(good ? null : '#13(0)');
      expect(bench.get(L.PDPTE0 + which * 8)).toBe(good ? entry : which === 0 ? 0x7001n : 0n);
    }
  });
});

describe('accesses of the processor\'s own (5.6.1)', () => {
  const GDT = 0x40_0000_0000n;

  /** Loads DS from a GDT in a user page, at level 0 with EFLAGS.AC set. */
  function loadSegment(cr4: bigint, page: bigint, cpl = 0): string | null {
    const bench = new MicrocodeBench();
    bench.enter('long', cpl);
    bench.set(L.CR4, PAE | cr4);
    const host = bench.page();
    bench.map(GDT, BigInt(host), page);
    bench.write64(host + 0x10, 0x00cf_f200_0000_ffffn);
    bench.set(L.GDTR_BASE, GDT);
    bench.set32(L.GDTR_LIMIT, 0xfff);
    bench.setRflags(0x4_0002n);
    bench.set(L.RAX, 0x13n);
    bench.op('mov_seg_load', { p1: L.DS, p2: bench.gpr(0), size: 2 });
    return bench.pending();
  }

  test.each([
    ['a descriptor in a user page', 0n, PTE_P | PTE_W | PTE_U, 0, null],
    ['with SMAP: AC does not open it to implicit accesses', SMAP, PTE_P | PTE_W | PTE_U, 0, '#14(1)'],
    ['the same from user mode: the access is the supervisor\'s', SMAP, PTE_P | PTE_W | PTE_U, 3, '#14(1)'],
    ['a descriptor in a supervisor page, from user mode', 0n, PTE_P | PTE_W, 3, null],
    ['whose accessed bit cannot be set', 0n, PTE_P, 3, '#14(3)'],
    ['not present', 0n, 0n, 3, '#14(0)'],
  ])('%s', (_name, cr4, page, cpl, fault) => {
    expect(loadSegment(cr4, page, cpl)).toBe(fault);
  });
});

describe('control bits that translations depend on take effect at once (5.10.4.1)', () => {
  const LINEAR = 0x40_0000_0000n;

  function prepared(page: bigint): MicrocodeBench {
    const bench = new MicrocodeBench();
    bench.enter('long');
    bench.set(VMX_CAPABILITIES + (V.MSR_IA32_VMX_CR4_FIXED1 - V.MSR_IA32_VMX_BASIC) * 8, BigInt(CR4_SUPPORTED));
    bench.set(L.CR0, 0x8000_0011n);
    bench.map(LINEAR, BigInt(bench.page()), page);
    return bench;
  }

  function control(bench: MicrocodeBench, number: number, value: bigint): void {
    bench.set(L.RAX, value);
    bench.op('mov_cr_load', { p1: number, p2: bench.gpr(0), size: 8 });
    expect(bench.pending()).toBe(null);
  }

  it('CR0.WP', () => {
    const bench = prepared(PTE_P);
    expect(bench.call('writeMiss', LINEAR, 8)).not.toBe(0);
    control(bench, 0, 0x8001_0011n);
    expect(bench.call('writeMiss', LINEAR, 8)).toBe(0);
    expect(bench.pending()).toBe('#14(3)');
  });

  it('CR4.SMAP, and AC', () => {
    const bench = prepared(PTE_P | PTE_U);
    expect(bench.call('readMiss', LINEAR, 8)).not.toBe(0);
    control(bench, 4, PAE | SMAP);
    expect(bench.call('readMiss', LINEAR, 8)).toBe(0);
    expect(bench.pending()).toBe('#14(1)');
    bench.op('stac', { length: 3 });
    expect(bench.call('readMiss', LINEAR, 8)).not.toBe(0);
    bench.op('clac', { length: 3 });
    expect(bench.call('readMiss', LINEAR, 8)).toBe(0);
  });

  it('STAC and CLAC before CR4.SMAP is set', () => {
    const bench = prepared(PTE_P | PTE_U);
    bench.op('stac', { length: 3 });
    expect(bench.pending()).toBe(null);
    control(bench, 4, PAE | SMAP);
    expect(bench.call('readMiss', LINEAR, 8)).not.toBe(0);
    control(bench, 4, PAE);
    bench.op('clac', { length: 3 });
    control(bench, 4, PAE | SMAP);
    expect(bench.call('readMiss', LINEAR, 8)).toBe(0);
  });

  it('CR4.SMEP', () => {
    const bench = prepared(PTE_P | PTE_U);
    expect(bench.call('fetch', LINEAR)).not.toBe(0);
    control(bench, 4, PAE | SMEP);
    expect(bench.call('fetch', LINEAR)).toBe(0);
    expect(bench.pending()).toBe('#14(11)');
  });

  it('CR4.PKE', () => {
    const bench = prepared(PTE_P | PTE_U | (1n << 59n));
    bench.set32(L.PKRU, 4);
    expect(bench.call('readMiss', LINEAR, 8)).not.toBe(0);
    control(bench, 4, PAE | PKE);
    expect(bench.call('readMiss', LINEAR, 8)).toBe(0);
    expect(bench.pending()).toBe('#14(21)');
  });

  it('IA32_EFER.NXE', () => {
    const bench = prepared(PTE_P | PTE_XD);
    expect(bench.call('readMiss', LINEAR, 8)).not.toBe(0);
    bench.call('hostWrmsr', V.MSR_EFER, 0x101, 0);
    expect(bench.call('readMiss', LINEAR, 8)).toBe(0);
    expect(bench.pending()).toBe('#14(9)');
  });
});
