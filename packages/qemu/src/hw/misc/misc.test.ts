import { HostMemory } from '@vm/kvm-run';
import { describe, expect, it } from 'vitest';
import { AddressSpace } from '../../system/address-space.ts';
import { IoPortSpace } from '../../system/io-port-space.ts';
import { MemoryRegion } from '../../system/memory-region.ts';
import { Port92State } from '../i386/port92.ts';
import { isaDebugExitOps } from './debug-exit.ts';
import { debugconOps } from './debugcon.ts';
import { addPcTestdev } from './pc-testdev.ts';

const host = HostMemory.create(1 << 21);

describe('isa-debug-exit', () => {
  it.each([
    [0, 1],
    [1, 3],
    [0x31, 0x63],
    [0xffffffff, 0xffffffff],
  ])('a write of %i is status %i', (value, status) => {
    const statuses: number[] = [];
    isaDebugExitOps((code) => statuses.push(code)).write(0, 4, value);
    expect(statuses).toEqual([status]);
  });
});

it('debugcon passes bytes on and can be recognised', () => {
  const sent: number[] = [];
  const ops = debugconOps({ write: (bytes) => sent.push(...bytes) });
  ops.write(0, 1, 0x41);
  expect([sent, ops.read(0, 1)]).toEqual([[0x41], 0xe9]);
});

it('port 92 resets on the rising edge of its bit 0', () => {
  let resets = 0;
  const port = new Port92State(
    () => {},
    () => resets++,
  );
  port.write(0, 1, 0x03);
  port.write(0, 1, 0x03);
  expect([resets, port.read()]).toEqual([1, 3]);
});

describe('pc-testdev', () => {
  const build = (): { ports: IoPortSpace; memory: AddressSpace; lines: string[] } => {
    const lines: string[] = [];
    const ioPorts = MemoryRegion.container('I/O', 0x10000);
    const root = MemoryRegion.container('system', 2 ** 36);
    addPcTestdev({ ioPorts, memory: root, irq: (line) => (level) => lines.push(`${line}=${level}`) });
    return { ports: new IoPortSpace(ioPorts, host), memory: new AddressSpace('memory', root, host), lines };
  };

  it('latches bytes, words and dwords', () => {
    const { ports } = build();
    ports.out(0xe0, 4, 0x12345678);
    ports.out(0xe1, 1, 0xab);
    expect([ports.in(0xe0, 4), ports.in(0xe2, 2), ports.in(0xe0, 1)]).toEqual([0x1234ab78, 0x1234, 0x78]);
  });

  it('drives interrupt lines, and none beyond them', () => {
    const { ports, lines } = build();
    ports.out(0x2004, 1, 1);
    ports.out(0x2017, 1, 0);
    ports.out(0x2018, 1, 1);
    expect(lines).toEqual(['4=true', '23=false']);
  });

  it('has memory-mapped bytes', () => {
    const { memory } = build();
    memory.write(0xff000010, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
    const bytes = new Uint8Array(8);
    memory.read(0xff000010, bytes);
    expect([...bytes]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    memory.write(0xff00fffe, Uint8Array.of(1, 2, 3, 4));
  });
});
