import { beforeEach, describe, expect, it } from 'vitest';
import type { Fixture } from '../testing/device-fixture.ts';
import { fixture } from '../testing/device-fixture.ts';
import type { KvmPit } from './i8254.ts';
import { kvmCreatePit, kvmFreePit, kvmGetPit, kvmPitSetReinject, kvmSetPit } from './i8254.ts';
import { kvmCreateIrqchip } from './irq.ts';
import { kvmPicReadIrq } from './i8259.ts';

let f: Fixture;
let pit: KvmPit;
const out = (port: number, value: number): unknown => f.kvm.pioBus.write(null, port, 1, value, 0);
const inb = (port: number): number => (f.kvm.pioBus.read(null, port, 1), f.kvm.pioBus.result[0]!);
const word = (port: number): number => inb(port) | (inb(port) << 8);
/** Host ticks (nanoseconds) of a number of the 8254's clocks, a bit after the edge. */
const clocks = (n: number): number => Math.ceil((n * 1e9) / 1193182) + 10;

function load(channel: number, mode: number, count: number): void {
  out(0x43, (channel << 6) | 0x30 | (mode << 1));
  out(0x40 + channel, count & 0xff);
  out(0x40 + channel, count >> 8);
}

function initPic(): void {
  for (const [port, values] of [
    [0x20, [0x11, 0x08, 4, 1, 0]],
    [0xa0, [0x11, 0x70, 2, 1, 0]],
  ] as const)
    values.forEach((value, i) => out(i === 0 ? port : port + 1, value));
}

beforeEach(() => {
  f = fixture();
  kvmCreateIrqchip(f.kvm);
  pit = kvmCreatePit(f.kvm, 1)!;
  initPic();
});

describe('i8254 counters', () => {
  const cases: [name: string, mode: number, count: number, after: number, expected: number][] = [
    ['mode 0 counts down', 0, 1000, 300, 700],
    ['mode 0 wraps around past zero', 0, 100, 101, 0xffff],
    ['mode 2 starts over', 2, 1000, 2300, 700],
    ['mode 2 has its count at the start of a period', 2, 1000, 1000, 1000],
    ['mode 3 counts down by two', 3, 1000, 100, 800],
    ['mode 3 in the second half', 3, 1000, 600, 800],
    ['mode 4 wraps around past zero', 4, 10, 12, 0xfffe],
    ['count 0 is 65536', 2, 0, 1, 0xffff],
  ];
  it.each(cases)('%s', (_name, mode, count, after, expected) => {
    load(1, mode, count);
    f.advance(clocks(after));
    expect(word(0x41)).toBe(expected);
  });

  it('counts in BCD', () => {
    out(0x43, 0x71);
    out(0x41, 0x00);
    out(0x41, 0x10);
    f.advance(clocks(1));
    expect(word(0x41)).toBe(0x0999);
  });

  const outs: [mode: number, count: number, after: number, out: number][] = [
    [0, 100, 50, 0],
    [0, 100, 100, 1],
    [1, 100, 50, 0],
    [2, 100, 50, 1],
    [2, 100, 99, 0],
    [3, 101, 50, 1],
    [3, 101, 51, 0],
    [4, 100, 100, 0],
    [4, 100, 101, 1],
  ];
  it.each(outs)('mode %i of %i: after %i clocks OUT is %i', (mode, count, after, level) => {
    load(2, mode, count);
    f.advance(clocks(after));
    expect((inb(0x61) >> 5) & 1).toBe(level);
  });

  it('latches the count until it is read, and ignores a second latch', () => {
    load(1, 2, 1000);
    f.advance(clocks(100));
    out(0x43, 0x40);
    f.advance(clocks(100));
    out(0x43, 0x40);
    expect(word(0x41)).toBe(900);
    expect(word(0x41)).toBe(800);
  });

  it('reads single bytes', () => {
    out(0x43, 0x54);
    out(0x41, 0x40);
    expect(pit.channels[1].count).toBe(0x40);
    out(0x43, 0x64);
    out(0x41, 0x12);
    expect(pit.channels[1].count).toBe(0x1200);
    expect(inb(0x41)).toBe(0x12);
  });

  it('reads back status and count, the status first', () => {
    load(2, 3, 0x1000);
    f.advance(clocks(0x10));
    out(0x43, 0xc8);
    expect(inb(0x42)).toBe(0x80 | 0x30 | 0x06);
    expect(word(0x42)).toBe(0xfe0);
    // A control word without a count: the null-count bit.
    out(0x43, 0xb0);
    out(0x43, 0xe8);
    expect(inb(0x42) & 0x40).toBe(0x40);
  });

  it('restarts channel 2 on a rising gate', () => {
    load(2, 3, 1000);
    f.advance(clocks(200));
    out(0x61, 0);
    out(0x61, 1);
    expect(word(0x42)).toBe(1000);
    expect(inb(0x61) & 3).toBe(1);
    out(0x61, 3);
    expect(inb(0x61) & 3).toBe(3);
  });
});

describe('i8254 interrupt', () => {
  it('raises line 0 each period in mode 2, and again only after the acknowledge', () => {
    load(0, 2, 1193);
    f.advance(clocks(1193));
    const pic = f.kvm.irq.vpic!;
    expect(pic.output).toBe(true);
    expect(kvmPicReadIrq(pic)).toBe(0x08);
    // Three ticks pass unacknowledged: they wait.
    f.advance(clocks(3 * 1193));
    expect(pit.pending).toBe(4);
    expect(pic.output).toBe(false);
    out(0x20, 0x20);
    expect(pic.output).toBe(true);
    for (let i = 0; i < 3; i++) {
      expect(kvmPicReadIrq(pic)).toBe(0x08);
      out(0x20, 0x20);
    }
    expect(pit.pending).toBe(0);
    expect(pic.output).toBe(false);
  });

  it('drops ticks without reinjection', () => {
    kvmPitSetReinject(pit, false);
    load(0, 2, 1193);
    f.advance(clocks(4 * 1193));
    const pic = f.kvm.irq.vpic!;
    kvmPicReadIrq(pic);
    out(0x20, 0x20);
    expect(pic.output).toBe(false);
    f.advance(clocks(1193));
    expect(pic.output).toBe(true);
  });

  it('fires once in mode 0', () => {
    load(0, 0, 1193);
    f.advance(clocks(1193));
    kvmPicReadIrq(f.kvm.irq.vpic!);
    out(0x20, 0x20);
    f.advance(clocks(10 * 1193));
    expect(f.kvm.irq.vpic!.output).toBe(false);
  });

  it('does not let a guest fire faster than 200 microseconds', () => {
    load(0, 2, 2);
    expect(pit.period).toBe(200_000);
  });

  it('stops with HPET in legacy mode', () => {
    load(0, 2, 1193);
    const image = new DataView(new ArrayBuffer(112));
    kvmGetPit(pit, image);
    image.setUint32(72, 1, true);
    kvmSetPit(pit, image);
    f.advance(clocks(5 * 1193));
    expect(f.kvm.irq.vpic!.output).toBe(false);
  });

  it('saves and restores', () => {
    load(0, 2, 1193);
    load(2, 3, 0x1234);
    const image = new DataView(new ArrayBuffer(112));
    kvmGetPit(pit, image);
    expect(image.getUint32(0, true)).toBe(1193);
    expect(image.getUint32(48, true)).toBe(0x1234);
    expect(image.getUint8(48 + 13)).toBe(3);
    load(0, 0, 5);
    kvmSetPit(pit, image);
    expect(pit.channels[0].mode).toBe(2);
    f.advance(clocks(1193));
    expect(f.kvm.irq.vpic!.output).toBe(true);
    // Nonsense is tolerated.
    for (let i = 0; i < 112; i++) image.setUint8(i, (i * 37) & 0xff);
    kvmSetPit(pit, image);
    f.advance(clocks(100));
    for (let port = 0x40; port < 0x44; port++) inb(port);
  });

  it('gives everything back', () => {
    load(0, 2, 1193);
    kvmFreePit(f.kvm);
    expect(f.kvm.hrtimers.next).toBe(Infinity);
    expect(f.kvm.pioBus.read(null, 0x40, 1)).toBe(false);
    expect(f.kvm.irq.ackNotifiers).toHaveLength(0);
  });
});
