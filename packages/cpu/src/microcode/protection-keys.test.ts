import { describe, expect, it } from 'vitest';
import { DEFAULT_JIT } from '../jit/jit.ts';
import * as L from '../state/layout.ts';
import { bareMachine } from '../testing/bare-machine.ts';
import { MicrocodeBench, PTE_P, PTE_PS, PTE_U, PTE_W, PTE_XD } from '../testing/microcode-bench.ts';

const WRITE = 2;
const USER = 4;
const FETCH = 16;
const PKE = 0x40_0000n;
const SMAP = 0x20_0000n;
const PAE = 0x20n;
const WP = 0x1_0000n;
const PAGE = 0x40_0000_1000n;
const KEY = 5;
const keyBits = (key: number): bigint => BigInt(key) << 59n;
const ACCESS_DISABLE = 1 << (KEY * 2);
const WRITE_DISABLE = 2 << (KEY * 2);

function longMode(cr4: bigint = PAE | PKE): MicrocodeBench {
  const bench = new MicrocodeBench();
  bench.enter('long');
  bench.set(L.CR4, cr4);
  return bench;
}

interface Setup {
  readonly page: bigint;
  readonly access: number;
  readonly pkru: number;
  readonly pke: boolean;
  readonly wp: boolean;
}

/** Bit 5 of the error code, as SDM vol. 3A, 5.7 lists its conditions. */
function keyRefuses({ page, access, pkru, pke, wp }: Setup): boolean {
  if (!pke || access & FETCH || !(page & PTE_U)) return false;
  const user = (access & USER) !== 0;
  return (pkru & ACCESS_DISABLE) !== 0 || ((pkru & WRITE_DISABLE) !== 0 && (access & WRITE) !== 0 && (user || wp));
}

/** The rights without keys (5.6.1), with SMAP and SMEP off. */
function rightsAllow({ page, access, wp }: Setup): boolean {
  const user = (access & USER) !== 0;
  if (user && !(page & PTE_U)) return false;
  if (access & FETCH) return !(page & PTE_XD);
  return !(access & WRITE) || (page & PTE_W) !== 0n || (!user && !wp);
}

const SETUPS: Setup[] = [];
for (const page of [0n, PTE_U, PTE_U | PTE_W, PTE_W, PTE_U | PTE_XD])
  for (const access of [0, WRITE, FETCH, USER, USER | WRITE, USER | FETCH])
    for (const pkru of [0, ACCESS_DISABLE, WRITE_DISABLE, ACCESS_DISABLE | WRITE_DISABLE, ~(3 << (KEY * 2))])
      for (const controls of [0, 1, 2, 3])
        SETUPS.push({ page: page | PTE_P, access, pkru, pke: (controls & 1) !== 0, wp: (controls & 2) !== 0 });

describe('protection keys (SDM vol. 3A, 5.6.2)', () => {
  it('decide data accesses to user pages, and tell so in the error code', () => {
    const bench = longMode();
    const target = bench.page();
    for (const setup of SETUPS) {
      const { page, access, pkru, pke, wp } = setup;
      bench.set(L.CR4, PAE | (pke ? PKE : 0n));
      bench.set(L.CR0, 0x8000_0011n | (wp ? WP : 0n));
      bench.set32(L.PKRU, pkru);
      bench.map(PAGE, BigInt(target), page | keyBits(KEY));
      const refused = keyRefuses(setup);
      const good = rightsAllow(setup) && !refused;
      const name = `page ${page.toString(16)} access ${access} pkru ${pkru.toString(16)} pke ${pke} wp ${wp}`;
      // Once by the whole walk, once by the last level alone.
      for (let again = 0; again < 2; again++) {
        expect(bench.call('translate', PAGE, access), name).toBe(good ? target : -1);
        expect(bench.pending(), name).toBe(good ? null : `#14(${((access & 0x16) | 1 | (refused ? 0x20 : 0)).toString(16)})`);
      }
      bench.call('flushTlb');
    }
  });

  it.each([['2 MiB', 21n], ['1 GiB', 30n]])('come from the entry that maps the page: %s', (_name, shift) => {
    const bench = longMode();
    bench.map(0x80_0000_0000n, 0n, PTE_P | PTE_W | PTE_U | PTE_PS | keyBits(KEY), undefined, shift);
    bench.set32(L.PKRU, ACCESS_DISABLE);
    expect(bench.call('translate', 0x80_0000_0123n, USER)).toBe(-1);
    expect(bench.pending()).toBe('#14(25)');
    bench.set32(L.PKRU, ~ACCESS_DISABLE);
    expect(bench.call('translate', 0x80_0000_0123n, USER)).toBe(0x123);
  });

  it('do not exist with PAE paging: the bits are reserved', () => {
    const bench = new MicrocodeBench();
    bench.enter('protected');
    bench.set(L.CR4, PAE | PKE);
    bench.set(L.CR0, 0x8001_0011n);
    const [directory, table] = [bench.page(), bench.page()];
    bench.set(L.PDPTE0, BigInt(directory) | 1n);
    bench.write64(directory, BigInt(table) | 7n);
    bench.write64(table, 0x5007n | keyBits(1));
    expect(bench.call('translate', 0n, USER)).toBe(-1);
    expect(bench.pending()).toBe('#14(d)');
  });

  it('refuse what SMAP refuses as well, with both in one fault', () => {
    const bench = longMode(PAE | PKE | SMAP);
    bench.map(PAGE, BigInt(bench.page()), PTE_P | PTE_U | keyBits(KEY));
    bench.set32(L.PKRU, ACCESS_DISABLE);
    expect(bench.call('translate', PAGE, 0)).toBe(-1);
    expect(bench.pending()).toBe('#14(21)');
  });
});

describe('RDPKRU and WRPKRU (SDM vol. 2B)', () => {
  function run(name: 'rdpkru' | 'wrpkru', registers: { rax?: bigint; rcx?: bigint; rdx?: bigint }, cr4?: bigint): { fault: string | null; bench: MicrocodeBench } {
    const bench = longMode(cr4);
    bench.set32(L.PKRU, 0x1234_5678);
    bench.set(L.RAX, registers.rax ?? 0n);
    bench.set(L.RCX, registers.rcx ?? 0n);
    bench.set(L.RDX, registers.rdx ?? 0n);
    bench.op(name, { length: 3 });
    return { fault: bench.pending(), bench };
  }

  it.each([
    ['rdpkru', {}, undefined, null],
    ['rdpkru', { rcx: 1n }, undefined, '#13(0)'],
    ['rdpkru', { rcx: 1n << 32n }, undefined, null],
    ['rdpkru', { rdx: 1n }, undefined, null],
    ['rdpkru', {}, PAE, '#6'],
    ['wrpkru', { rax: 0x8765_4321n }, undefined, null],
    ['wrpkru', { rcx: 1n }, undefined, '#13(0)'],
    ['wrpkru', { rdx: 1n }, undefined, '#13(0)'],
    ['wrpkru', { rdx: 1n << 32n, rcx: 1n << 32n }, undefined, null],
    ['wrpkru', { rcx: 1n }, PAE, '#6'],
  ] as const)('%s %o, CR4 %o', (name, registers, cr4, fault) => {
    expect(run(name, registers, cr4).fault).toBe(fault);
  });

  it('read and write all 32 bits', () => {
    const read = run('rdpkru', { rax: -1n, rdx: -1n }).bench;
    expect([read.get(L.RAX), read.get(L.RDX)]).toEqual([0x1234_5678n, 0n]);
    expect(run('wrpkru', { rax: 0xffff_ffff_8765_4321n }).bench.get32(L.PKRU) >>> 0).toBe(0x8765_4321);
  });
});

describe('the TLB', () => {
  const cached = (bench: MicrocodeBench, table: number): boolean =>
    bench.get(L.TLB + L.TLB_SET_SIZE * 2 + table + Number((PAGE >> 8n) & BigInt((L.TLB_ENTRIES - 1) << 4))) === PAGE;

  function user(): MicrocodeBench {
    const bench = longMode();
    bench.map(PAGE, BigInt(bench.page()), PTE_P | PTE_W | PTE_U | keyBits(KEY));
    bench.set32(L.TLB_SET, bench.area + L.TLB + 2 * L.TLB_SET_SIZE);
    bench.set32(L.CPL, 3);
    expect(bench.call('writeMiss', PAGE, 8)).not.toBe(0);
    expect(cached(bench, L.TLB_READ) && cached(bench, L.TLB_WRITE)).toBe(true);
    return bench;
  }

  it('forgets the pages of keys whose rights change, and no others', () => {
    const bench = user();
    bench.call('hostWrpkru', 3);
    expect(cached(bench, L.TLB_WRITE)).toBe(true);
    bench.call('hostWrpkru', WRITE_DISABLE);
    expect(cached(bench, L.TLB_READ) || cached(bench, L.TLB_WRITE)).toBe(false);
    expect(bench.call('readMiss', PAGE, 8)).not.toBe(0);
    expect(bench.call('writeMiss', PAGE, 8)).toBe(0);
    expect(bench.pending()).toBe('#14(27)');
    bench.call('hostWrpkru', ACCESS_DISABLE);
    expect(bench.call('readMiss', PAGE, 8)).toBe(0);
    expect(bench.pending()).toBe('#14(25)');
  });

  it('also when more was entered than it remembers', () => {
    const bench = user();
    for (let i = 0n; i < 2100n; i++) {
      bench.map(0x60_0000_0000n + (i << 12n), BigInt(bench.area), PTE_P | PTE_U);
      bench.call('readMiss', 0x60_0000_0000n + (i << 12n), 1);
    }
    expect(bench.call('writeMiss', PAGE, 8)).not.toBe(0);
    bench.call('hostWrpkru', ACCESS_DISABLE);
    expect(cached(bench, L.TLB_WRITE)).toBe(false);
  });
});

describe('compiled code', () => {
  it('meets the fault at the first access after WRPKRU', () => {
    const machine = bareMachine(4 << 20, false, { ...DEFAULT_JIT, threshold: 200 });
    const { view } = machine.memory;
    // One more page table for the 2 MiB around the program: its last page has key 1.
    const table = Number(machine.get(L.CR3));
    const [directory, leaf] = [machine.memory.allocPages(1), machine.memory.allocPages(1)];
    const base = machine.ram;
    const gib = Math.floor(base / 2 ** 30);
    view.setBigUint64(table + 4096 + gib * 8, BigInt(directory) | 7n, true);
    for (let i = 0; i < 512; i++) view.setBigUint64(directory + i * 8, (BigInt(gib) << 30n) | (BigInt(i) << 21n) | 0x87n, true);
    view.setBigUint64(directory + ((base >>> 21) & 511) * 8, BigInt(leaf) | 7n, true);
    for (let i = 0; i < 512; i++) view.setBigUint64(leaf + i * 8, BigInt(base + i * 4096) | 7n | (i === 511 ? keyBits(1) : 0n), true);
    machine.set(L.CR4, machine.get(L.CR4) | PKE);
    machine.updateMode();
    machine.ex('flushTlb');
    // Key 1 is open until the counter reaches RSI; then its page faults.
    const code = [
      0x31, 0xc0, // 0: xor eax, eax
      0x48, 0xff, 0x07, // 2: inc qword [rdi]
      0x48, 0x39, 0x37, // 5: cmp [rdi], rsi
      0x0f, 0x94, 0xc0, // 8: sete al
      0xc1, 0xe0, 0x02, // 11: shl eax, 2      4 = access disable for key 1
      0x0f, 0x01, 0xef, // 14: wrpkru
      0xeb, 0xed, // 17: jmp 0
    ];
    machine.memory.write(base, Uint8Array.from(code));
    machine.set(L.RIP, BigInt(base));
    machine.set(L.RDI, BigInt(base + 511 * 4096 + 64));
    machine.set(L.RSI, 20_000n);
    machine.set(L.RCX, 0n);
    machine.set(L.RDX, 0n);
    machine.driver.run();
    expect(machine.event()).toBe(14);
    expect(machine.get32(L.EVENT_ERROR)).toBe(0x23);
    expect(machine.get(L.RIP)).toBe(BigInt(base + 2));
    expect(view.getBigUint64(base + 511 * 4096 + 64, true)).toBe(20_000n);
  });
});
