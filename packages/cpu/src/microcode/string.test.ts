import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as L from '../state/layout.ts';
import { DATA16, MicrocodeBench, PTE_P, PTE_W } from '../testing/microcode-bench.ts';

const DF = 0x400n;
const LINEAR = 0x40_0000n;
const PAGES = 6;

/** Long mode with six pages at LINEAR, scattered in memory; `last` false leaves the sixth unmapped. */
function bench(last = true): {
  readonly b: MicrocodeBench;
  readonly read: (at: number, length: number) => number[];
  readonly write: (at: number, bytes: readonly number[]) => void;
} {
  const b = new MicrocodeBench();
  b.enter('long');
  const hosts = Array.from({ length: PAGES }, () => b.page()).reverse();
  hosts.forEach((host, i) => b.map(LINEAR + BigInt(i) * 0x1000n, BigInt(host), i === PAGES - 1 && !last ? 0n : PTE_P | PTE_W));
  const host = (at: number): number => hosts[at >> 12]! + (at & 0xfff);
  return {
    b,
    read: (at, length) => Array.from({ length }, (_, i) => b.memory.u8[host(at + i)]!),
    write: (at, bytes) => bytes.forEach((value, i) => (b.memory.u8[host(at + i)] = value)),
  };
}

describe('REP MOVS', () => {
  it('moves as element after element, forward and backward, overlapping, across pages', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0x40, max: 0x4000 }), fc.integer({ min: -0x30, max: 0x1800 }), fc.integer({ min: 0, max: 0x500 }),
        fc.constantFrom(1, 2, 4, 8), fc.boolean(),
        (from, distance, count, size, backward) => {
          const { b, read, write } = bench();
          const total = PAGES * 0x1000;
          const model = Array.from({ length: total }, (_, i) => (i * 7 + (i >> 8)) & 0xff);
          write(0, model);
          const to = from + distance;
          const step = backward ? -size : size;
          const last = (count - 1) * step;
          if (Math.min(from, to, from + last, to + last) < 0 || Math.max(from, to, from + last, to + last) + size > total) return;
          b.setRflags(backward ? DF | 2n : 2n);
          b.set(L.RSI, LINEAR + BigInt(from));
          b.set(L.RDI, LINEAR + BigInt(to));
          b.set(L.RCX, BigInt(count));
          let status = b.op('movs', { size, rep: true });
          while (status === L.ST_POLL) status = b.op('movs', { size, rep: true });
          expect(status).toBe(L.ST_NEXT);
          for (let i = 0; i < count; i++) {
            const bytes = model.slice(from + i * step, from + i * step + size);
            bytes.forEach((value, k) => (model[to + i * step + k] = value));
          }
          expect(read(0, total)).toEqual(model);
          expect([b.get(L.RSI), b.get(L.RDI), b.get(L.RCX)])
            .toEqual([LINEAR + BigInt(from + count * step), LINEAR + BigInt(to + count * step), 0n]);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('stops at a fault with the registers at the element that faulted', () => {
    const { b } = bench(false);
    b.set(L.RSI, LINEAR);
    b.set(L.RDI, LINEAR + 0x4ff0n);
    b.set(L.RCX, 100n);
    expect(b.op('movs', { size: 4, rep: true })).toBe(L.ST_FAULT);
    expect([b.get(L.RSI), b.get(L.RDI), b.get(L.RCX)]).toEqual([LINEAR + 16n, LINEAR + 0x5000n, 96n]);
    expect([b.get(L.EVENT_ADDRESS), b.pending()]).toEqual([LINEAR + 0x5000n, '#14(2)']);
  });

  it('lets events in after 64 KiB, and after each element when single-stepping', () => {
    const { b } = bench();
    b.mapAll();
    const buffer = BigInt(b.page(64));
    b.set(L.RDI, buffer);
    b.set(L.RCX, 0x20000n);
    b.set(L.RAX, 0x41n);
    expect(b.op('stos', { size: 1, rep: true })).toBe(L.ST_POLL);
    expect([b.get(L.RCX), b.get(L.RDI), b.get(L.RIP)]).toEqual([0x10000n, buffer + 0x10000n, 0n]);
    b.setRflags(0x102n);
    expect(b.op('stos', { size: 1, rep: true })).toBe(L.ST_POLL);
    expect(b.get(L.RCX)).toBe(0xffffn);
  });

  it('does nothing with a zero counter, and clears the upper halves with 32-bit addresses', () => {
    const { b } = bench();
    b.set(L.RCX, 1n << 32n);
    b.set(L.RDI, (1n << 32n) | LINEAR);
    expect(b.op('stos', { size: 1, rep: true, addressSize: 4 })).toBe(L.ST_NEXT);
    expect(b.get(L.RDI)).toBe((1n << 32n) | LINEAR);
    b.set(L.RCX, 2n);
    b.op('stos', { size: 1, rep: true, addressSize: 4 });
    expect([b.get(L.RDI), b.get(L.RCX)]).toEqual([LINEAR + 2n, 0n]);
  });

  it('wraps 16-bit offsets, and faults at the limit', () => {
    const b = new MicrocodeBench();
    b.enter('real');
    const low = BigInt(b.page(16, 16));
    b.segment(L.ES, 0, DATA16, low, 0xffff);
    b.set(L.RDI, 0xfffen);
    b.set(L.RCX, 4n);
    b.set(L.RAX, 0x1234_5678n);
    expect(b.op('stos', { size: 2, rep: true, addressSize: 2 })).toBe(L.ST_NEXT);
    expect([b.get(L.RDI), b.memory.view.getUint16(Number(low) + 4, true)]).toEqual([6n, 0x5678]);
    b.set(L.RDI, 0xffffn);
    expect(b.op('stos', { size: 2, addressSize: 2 })).toBe(L.ST_FAULT);
    expect(b.pending()).toBe('#13');
  });
});

describe('STOS, LODS', () => {
  it.each([1, 2, 4, 8])('fills with elements of %i bytes', (size) => {
    const { b, read } = bench();
    b.set(L.RAX, 0x0807_0605_0403_0201n);
    b.set(L.RDI, LINEAR + 0xffdn);
    b.set(L.RCX, 600n);
    expect(b.op('stos', { size, rep: true })).toBe(L.ST_NEXT);
    expect(read(0xffd, 600 * size)).toEqual(Array.from({ length: 600 * size }, (_, i) => (i % size) + 1));
  });

  it('loads the last element, zero-extended from 32 bits', () => {
    const { b, write } = bench();
    write(0, [1, 2, 3, 4, 5, 6, 7, 0x88]);
    b.set(L.RAX, -1n);
    b.set(L.RSI, LINEAR);
    b.set(L.RCX, 2n);
    expect(b.op('lods', { size: 4, rep: true })).toBe(L.ST_NEXT);
    expect([b.get(L.RAX), b.get(L.RSI)]).toEqual([0x8807_0605n, LINEAR + 8n]);
  });
});

describe('SCAS, CMPS', () => {
  it('finds the end of a string as strlen does', () => {
    const { b, write } = bench();
    write(0xff0, [...Array.from({ length: 40 }, () => 65), 0]);
    b.set(L.RDI, LINEAR + 0xff0n);
    b.set(L.RCX, -1n);
    b.set(L.RAX, 0n);
    expect(b.op('scas', { size: 1, repne: true })).toBe(L.ST_NEXT);
    expect([b.get(L.RDI), BigInt.asIntN(64, b.get(L.RCX)), b.rflags() & 0x40n]).toEqual([LINEAR + 0xff0n + 41n, -42n, 0x40n]);
  });

  it('compares to the first difference and leaves the flags of that subtraction', () => {
    const { b, write } = bench();
    write(0, [1, 2, 3, 0x80]);
    write(0x2000, [1, 2, 3, 0x7f]);
    b.set(L.RSI, LINEAR);
    b.set(L.RDI, LINEAR + 0x2000n);
    b.set(L.RCX, 10n);
    expect(b.op('cmps', { size: 1, rep: true })).toBe(L.ST_NEXT);
    expect(b.get(L.RCX)).toBe(6n);
    // 80h - 7Fh: OF and AF, neither CF nor ZF nor SF.
    expect(b.rflags() & 0x8d5n).toBe(0x810n);
  });
});

describe('REP SCAS and CMPS', () => {
  const element = (bytes: readonly number[], at: number, size: number): string => bytes.slice(at, at + size).join();
  const sizes = fc.constantFrom(1, 2, 4, 8);
  const places = fc.integer({ min: 0x40, max: 0x2000 });
  const counts = fc.integer({ min: 1, max: 0x700 });

  /** Bytes that are the same for long but for a few. */
  function flat(others: readonly number[]): number[] {
    const bytes = Array.from({ length: PAGES * 0x1000 }, () => 0x55);
    for (const at of others) bytes[at] = 0xaa;
    return bytes;
  }

  /** Elements from the first on until the comparison ends the loop, or all. */
  function until(count: number, ends: (i: number) => boolean): number {
    for (let i = 0; i < count; i++) if (ends(i)) return i + 1;
    return count;
  }

  it('stop behind the first element that is equal, or unequal, as element after element does', () => {
    const others = fc.array(fc.integer({ min: 0, max: 0x5000 }), { maxLength: 3 });
    fc.assert(
      fc.property(places, places, counts, sizes, fc.boolean(), fc.boolean(), others, (a, z, count, size, equal, sought, differ) => {
        const { b, write } = bench();
        const model = flat([...differ, z + Math.floor(count / 2) * size]);
        write(0, model);
        const value = BigInt(`0x${(sought ? 'aa' : '55').repeat(8)}`);
        const wanted = element(Array.from({ length: 8 }, () => (sought ? 0xaa : 0x55)), 0, size);
        const scanned = until(count, (i) => (element(model, z + i * size, size) === wanted) === equal);
        const compared = until(count, (i) => (element(model, a + i * size, size) === element(model, z + i * size, size)) === equal);
        for (const [name, done] of [['scas', scanned], ['cmps', compared]] as const) {
          b.setRflags(2n);
          b.set(L.RAX, value);
          b.set(L.RSI, LINEAR + BigInt(a));
          b.set(L.RDI, LINEAR + BigInt(z));
          b.set(L.RCX, BigInt(count));
          let status = L.ST_POLL as number;
          while (status === L.ST_POLL) status = b.op(name, equal ? { size, repne: true } : { size, rep: true });
          expect(status).toBe(L.ST_NEXT);
          expect([name, b.get(L.RDI), b.get(L.RCX)]).toEqual([name, LINEAR + BigInt(z + done * size), BigInt(count - done)]);
          const at = (done - 1) * size;
          const same = element(model, z + at, size) === (name === 'scas' ? wanted : element(model, a + at, size));
          expect((b.rflags() & 0x40n) !== 0n).toBe(same);
        }
      }),
      { numRuns: 150 },
    );
  });
});
