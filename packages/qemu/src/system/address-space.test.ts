import { HostMemory, createEventFd } from '@vm/kvm-run';
import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { AddressSpace, type MemoryListener } from './address-space.ts';
import { IoPortSpace } from './io-port-space.ts';
import { MemoryRegion, type MemoryRegionOps } from './memory-region.ts';

const host = HostMemory.create(1 << 22);
const nothing: MemoryRegionOps = { read: () => 0, write: () => {} };

/** Remembers accesses, and reads as its own address in every byte. */
function recorder(ops: Partial<MemoryRegionOps> = {}): { ops: MemoryRegionOps; log: string[] } {
  const log: string[] = [];
  const read = (offset: number, size: number): number => {
    log.push(`r${offset}.${size}`);
    let value = 0;
    for (let i = 0; i < size; i++) value |= ((offset + i) & 0xff) << (i * 8);
    return value;
  };
  return { log, ops: { read, write: (offset, size, value) => log.push(`w${offset}.${size}=${value.toString(16)}`), ...ops } };
}

describe('flattening', () => {
  const show = (space: AddressSpace): string[] => space.ranges.map((r) => `${r.start}-${r.start + r.size} ${r.region.name}+${r.offset}`);

  it('lets higher priorities cover lower ones, and joins what is left around them', () => {
    const root = MemoryRegion.container('root', 0x1000);
    root.addSubregion(0, MemoryRegion.io('low', 100, nothing));
    root.addSubregion(40, MemoryRegion.io('high', 20, nothing), 1);
    root.addSubregion(90, MemoryRegion.io('lower', 30, nothing), -1);
    const space = new AddressSpace('test', root, host);
    expect(show(space)).toEqual(['0-40 low+0', '40-60 high+0', '60-100 low+60', '100-120 lower+10']);
  });

  it('shows parts of regions through aliases, clipped by their containers', () => {
    const root = MemoryRegion.container('root', 0x1000);
    const ram = MemoryRegion.ram('ram', 300, 0x10000);
    const window = MemoryRegion.container('window', 50);
    window.addSubregion(0, MemoryRegion.alias('upper', ram, 200, 100));
    root.addSubregion(0, MemoryRegion.alias('lower', ram, 0, 200));
    root.addSubregion(500, window);
    expect(show(new AddressSpace('test', root, host))).toEqual(['0-200 ram+0', '500-550 ram+200']);
  });

  it('tells listeners what went and what came, and nothing else', () => {
    const root = MemoryRegion.container('root', 0x1000);
    const a = MemoryRegion.io('a', 16, nothing);
    const b = MemoryRegion.io('b', 16, nothing);
    root.addSubregion(0, a);
    root.addSubregion(32, b);
    const space = new AddressSpace('test', root, host);
    const log: string[] = [];
    const listener: MemoryListener = {
      regionAdd: (r) => log.push(`+${r.region.name}`),
      regionDel: (r) => log.push(`-${r.region.name}`),
      coalescedIoAdd: (r) => log.push(`+c${r.address}`),
      eventFdAdd: (e) => log.push(`+e${e.address}`),
      eventFdDel: (e) => log.push(`-e${e.address}`),
    };
    space.listen(listener);
    expect(log.splice(0)).toEqual(['+a', '+b']);
    b.enabled = false;
    const eventFd = { offset: 4, size: 4, match: undefined, event: createEventFd() } as const;
    a.addEventFd(eventFd);
    a.addCoalescing(8, 4);
    space.update();
    expect(log.splice(0)).toEqual(['-b', '+c8', '+e4']);
    b.enabled = true;
    a.delEventFd(eventFd);
    space.update();
    expect(log).toEqual(['-e4', '+b']);
  });

  it('refuses an alias of itself instead of never ending', () => {
    const root = MemoryRegion.container('root', 0x1000);
    root.addSubregion(0, MemoryRegion.alias('self', root, 0, 0x1000));
    expect(() => new AddressSpace('test', root, host)).toThrow(/shows itself/);
  });
});

describe('memory access', () => {
  it('reads and writes RAM over the border of ranges, and counts what meets nothing', () => {
    const at = host.allocPages(2);
    const root = MemoryRegion.container('root', 0x10000);
    root.addSubregion(0, MemoryRegion.ram('ram', 4096, at));
    root.addSubregion(4096, MemoryRegion.rom('rom', 4096, at + 4096));
    host.u8[at + 4096] = 0x77;
    const space = new AddressSpace('test', root, host);
    expect(space.write(4094, Uint8Array.of(1, 2, 3, 4))).toBe(false); // ROM
    const bytes = new Uint8Array(4);
    expect(space.read(4094, bytes)).toBe(true);
    expect([...bytes]).toEqual([1, 2, 0x77, 0]);
    expect(space.read(8190, bytes)).toBe(false);
    expect([...bytes]).toEqual([0, 0, 0xff, 0xff]);
    expect(space.write(0xf000, bytes)).toBe(false);
    expect(space.unassigned).toEqual({ reads: 1, writes: 1, last: 0xf000 });
    expect([space.hostAddress(4000, 96), space.hostAddress(4000, 97), space.hostAddress(5000, 1), space.hostAddress(9000, 1)]).toEqual([
      at + 4000,
      -1,
      -1,
      -1,
    ]);
  });

  it('splits accesses of eight bytes and those larger than a device takes', () => {
    const wide = recorder();
    const narrow = recorder({ impl: { min: 1, max: 1 } });
    const root = MemoryRegion.container('root', 0x1000);
    root.addSubregion(0, MemoryRegion.io('wide', 16, wide.ops));
    root.addSubregion(16, MemoryRegion.io('narrow', 16, narrow.ops));
    const space = new AddressSpace('test', root, host);
    const bytes = new Uint8Array(8);
    space.read(0, bytes);
    expect(wide.log).toEqual(['r0.4', 'r4.4']);
    expect([...bytes]).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    space.write(16, Uint8Array.of(0xa, 0xb), 0, 2);
    expect(narrow.log).toEqual(['w0.1=a', 'w1.1=b']);
  });
});

describe('ports', () => {
  const build = (): { ports: IoPortSpace; dword: string[]; byte: string[] } => {
    const root = MemoryRegion.container('I/O', 0x10000);
    const dword = recorder({ valid: { min: 4, max: 4 } });
    const byte = recorder({ impl: { min: 1, max: 1 } });
    root.addSubregion(0xcf8, MemoryRegion.io('dword', 4, dword.ops));
    root.addSubregion(0xcf9, MemoryRegion.io('byte', 1, byte.ops), 1);
    return { ports: new IoPortSpace(root, host), dword: dword.log, byte: byte.log };
  };

  it('gives an access whole to the region of its first port', () => {
    const { ports, dword, byte } = build();
    ports.out(0xcf8, 4, 0x80000600);
    ports.out(0xcf9, 1, 6);
    expect([dword, byte]).toEqual([['w0.4=80000600'], ['w0.1=6']]);
  });

  it.each([
    [0x1234, 1, 0xff],
    [0x1234, 2, 0xffff],
    [0xffff, 4, 0xffffffff],
    [0xcf8, 1, 0xff],
  ])('reads all ones from port %i, %i bytes, with nothing there', (port, size, ones) => {
    const { ports } = build();
    expect(ports.in(port, size)).toBe(ones);
    ports.out(port, size, 0);
    expect(ports.unassigned).toEqual({ reads: 1, writes: 1, last: port });
  });

  it('survives any access', () => {
    const { ports } = build();
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffff }), fc.constantFrom(1, 2, 4), fc.nat(), (port, size, value) => {
        ports.out(port, size, value);
        const read = ports.in(port, size);
        return read >= 0 && read < 2 ** (8 * size);
      }),
    );
  });
});
