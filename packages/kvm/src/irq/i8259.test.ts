import { beforeEach, describe, expect, it } from 'vitest';
import type { Fixture } from '../testing/device-fixture.ts';
import { fixture } from '../testing/device-fixture.ts';
import type { KvmPic } from './i8259.ts';
import { kvmGetPic, kvmPicInit, kvmPicReadIrq, kvmPicSetIrq, kvmSetPic } from './i8259.ts';

let f: Fixture;
let pic: KvmPic;
const out = (port: number, value: number): unknown => f.kvm.pioBus.write(null, port, 1, value, 0);
const inb = (port: number): number => (f.kvm.pioBus.read(null, port, 1), f.kvm.pioBus.result[0]!);
const raise = (irq: number): number => kvmPicSetIrq(pic, irq, 0, 1);
const lower = (irq: number): number => kvmPicSetIrq(pic, irq, 0, 0);

/** ICW1 to ICW4 with the vectors of a PC. */
function init(icw4 = 0x01): void {
  for (const [port, base] of [
    [0x20, 0x08],
    [0xa0, 0x70],
  ] as const) {
    out(port, 0x11);
    out(port + 1, base);
    out(port + 1, port === 0x20 ? 0x04 : 0x02);
    out(port + 1, port === 0x20 ? icw4 : 0x01);
    out(port + 1, 0);
  }
}

beforeEach(() => {
  f = fixture();
  expect(kvmPicInit(f.kvm)).toBe(true);
  pic = f.kvm.irq.vpic!;
  init();
});

describe('i8259', () => {
  it('delivers in order of priority, each once per edge', () => {
    raise(4);
    raise(1);
    expect(pic.output).toBe(true);
    expect(kvmPicReadIrq(pic)).toBe(0x09);
    // Line 4 waits for the end of line 1.
    expect(pic.output).toBe(false);
    out(0x20, 0x20);
    expect(pic.output).toBe(true);
    expect(kvmPicReadIrq(pic)).toBe(0x0c);
    out(0x20, 0x20);
    expect(pic.output).toBe(false);
    expect(raise(4)).toBe(1);
    expect(pic.output).toBe(false);
    lower(4);
    raise(4);
    expect(pic.output).toBe(true);
  });

  it('cascades the slave through line 2', () => {
    raise(8);
    expect(kvmPicReadIrq(pic)).toBe(0x70);
    expect(pic.chips[0].isr).toBe(4);
    expect(pic.chips[1].isr).toBe(1);
    out(0xa0, 0x20);
    out(0x20, 0x20);
    expect([pic.chips[0].isr, pic.chips[1].isr]).toEqual([0, 0]);
  });

  it('gives line 7 as spurious, with nothing in service', () => {
    expect(kvmPicReadIrq(pic)).toBe(0x0f);
    expect(pic.chips[0].isr).toBe(0);
    // Level-triggered on the slave and gone before the acknowledge: the slave's line 7, the master's line 2 in service.
    out(0x4d1, 0x02);
    raise(9);
    lower(9);
    expect(kvmPicReadIrq(pic)).toBe(0x77);
    expect(pic.chips[0].isr).toBe(4);
    expect(pic.chips[1].isr).toBe(0);
  });

  it('keeps level-triggered lines requested until they fall, and only those ELCR allows', () => {
    out(0x4d0, 0xff);
    expect(inb(0x4d0)).toBe(0xf8);
    raise(5);
    kvmPicReadIrq(pic);
    out(0x20, 0x20);
    expect(pic.output).toBe(true);
    lower(5);
    out(0x20, 0x60 | 5);
    expect(pic.chips[0].irr).toBe(0);
  });

  it('masks, and tells a masked line apart', () => {
    out(0x21, 0x10);
    expect(raise(4)).toBe(-1);
    expect(pic.output).toBe(false);
    out(0x21, 0x00);
    expect(pic.output).toBe(true);
    expect(inb(0x21)).toBe(0);
  });

  it('merges: 0 for a request that is waiting already', () => {
    raise(3);
    lower(3);
    expect(raise(3)).toBe(0);
  });

  it('rotates priorities', () => {
    // Line 4 becomes the lowest: line 5 is the highest.
    out(0x20, 0xc0 | 4);
    raise(0);
    raise(5);
    expect(kvmPicReadIrq(pic)).toBe(0x0d);
    // Rotate on non-specific end of interrupt: 5 becomes the lowest.
    out(0x20, 0xa0);
    expect(pic.chips[0].priorityAdd).toBe(6);
  });

  it('ends interrupts by itself in automatic mode', () => {
    init(0x03);
    raise(1);
    expect(kvmPicReadIrq(pic)).toBe(0x09);
    expect(pic.chips[0].isr).toBe(0);
  });

  it('lets lower lines through in special mask mode', () => {
    raise(1);
    kvmPicReadIrq(pic);
    raise(6);
    expect(pic.output).toBe(false);
    out(0x21, 0x02);
    out(0x20, 0x68);
    out(0x21, 0x02);
    expect(kvmPicReadIrq(pic)).toBe(0x0e);
  });

  it('acknowledges by poll', () => {
    raise(3);
    out(0x20, 0x0c);
    expect(inb(0x20)).toBe(0x83);
    expect(pic.chips[0].isr).toBe(8);
    out(0x20, 0x0b);
    expect(inb(0x20)).toBe(8);
    out(0x20, 0x0c);
    expect(inb(0x20)).toBe(0);
  });

  it('keeps a line up as long as one source holds it', () => {
    out(0x4d1, 0x08);
    kvmPicSetIrq(pic, 11, 0, 1);
    kvmPicSetIrq(pic, 11, 1, 1);
    kvmPicSetIrq(pic, 11, 0, 0);
    expect(pic.chips[1].irr).toBe(8);
    kvmPicSetIrq(pic, 11, 1, 0);
    expect(pic.chips[1].irr).toBe(0);
  });

  it('saves and restores 16 bytes', () => {
    raise(6);
    out(0x20, 0xc0 | 3);
    const image = new Uint8Array(16);
    kvmGetPic(pic, 0, image);
    expect([...image]).toEqual([0x40, 0x40, 0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0xf8]);
    image.fill(0);
    kvmSetPic(pic, 0, image);
    expect(pic.output).toBe(false);
    expect(pic.chips[0].elcrMask).toBe(0xf8);
  });

  it('survives any byte on any port', () => {
    for (let i = 0; i < 4096; i++) {
      const port = [0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1][(i * 7) % 6]!;
      out(port, (i * 2654435761) & 0xff);
      if (i % 5 === 0) raise((i * 13) % 16);
      if (i % 7 === 0) kvmPicReadIrq(pic);
      inb(port);
    }
  });
});
