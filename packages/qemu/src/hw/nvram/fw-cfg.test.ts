import { HostMemory } from '@vm/kvm-run';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AddressSpace } from '../../system/address-space.ts';
import { MemoryRegion } from '../../system/memory-region.ts';
import { FwCfgState } from './fw-cfg.ts';
import {
  FW_CFG_DMA_CTL_READ,
  FW_CFG_DMA_CTL_SELECT,
  FW_CFG_DMA_CTL_SKIP,
  FW_CFG_DMA_CTL_WRITE,
  FW_CFG_FILE_DIR,
  FW_CFG_ID,
  FW_CFG_RAM_SIZE,
} from './fw-cfg-keys.ts';

const RAM = 1 << 16;
const REQUEST = 0x100;

function make(): {
  fwCfg: FwCfgState;
  space: AddressSpace;
  host: HostMemory;
  ram: number;
  select: (key: number) => void;
  read: (count: number) => number[];
} {
  const host = HostMemory.create(1 << 21);
  const ram = host.allocPages(RAM / 4096);
  const root = MemoryRegion.container('system', 2 ** 40);
  root.addSubregion(0, MemoryRegion.ram('ram', RAM, ram));
  const space = new AddressSpace('memory', root, host);
  const fwCfg = new FwCfgState(space);
  const select = (key: number): void => fwCfg.ports.write(0, 2, key);
  const read = (count: number): number[] => Array.from({ length: count }, () => fwCfg.ports.read(1, 1));
  return { fwCfg, space, host, ram, select, read };
}

/** Puts a request into memory, starts it, and returns its control word afterwards. */
function dma(device: ReturnType<typeof make>, control: number, length: number, address: number, at = REQUEST): number {
  const view = new DataView(device.host.buffer, device.ram + REQUEST, 16);
  view.setUint32(0, control);
  view.setUint32(4, length);
  view.setBigUint64(8, BigInt(address));
  const swap = (value: number): number => new DataView(Uint32Array.of(value).buffer).getUint32(0);
  device.fwCfg.dma.write(0, 4, swap(Math.floor(at / 2 ** 32)));
  device.fwCfg.dma.write(4, 4, swap(at >>> 0));
  return view.getUint32(0);
}

const select = (key: number): number => (key << 16) | FW_CFG_DMA_CTL_SELECT;

describe('fw_cfg', () => {
  it('tells its signature and that it can do DMA', () => {
    const device = make();
    device.select(0);
    expect(String.fromCharCode(...device.read(4))).toBe('QEMU');
    expect(device.read(2)).toEqual([0, 0]);
    device.select(FW_CFG_ID);
    expect(device.read(4)).toEqual([3, 0, 0, 0]);
    expect([device.fwCfg.dma.read(0, 4), device.fwCfg.dma.read(4, 4)]).toEqual([0x554d4551, 0x47464320]);
  });

  it('lists files by name, big-endian', () => {
    const device = make();
    device.fwCfg.addFile('etc/zeta', new Uint8Array(300));
    device.fwCfg.addFile('etc/alpha', Uint8Array.of(7, 8));
    device.fwCfg.addFile('etc/alpha', Uint8Array.of(9));
    device.select(FW_CFG_FILE_DIR);
    const bytes = Uint8Array.from(device.read(4 + 2 * 64));
    const view = new DataView(bytes.buffer);
    expect([view.getUint32(0), view.getUint32(4), view.getUint16(8), view.getUint32(68)]).toEqual([2, 1, 0x21, 300]);
    expect(new TextDecoder().decode(bytes.subarray(12, 21))).toBe('etc/alpha');
    device.select(0x21);
    expect(device.read(2)).toEqual([9, 0]);
  });

  it.each([0x7fff, 0x40, 0x3fff, 0xffff, 0x9000])('gives zeroes for the key 0x%s that is not there', (key) => {
    const device = make();
    device.select(key);
    expect(device.read(3)).toEqual([0, 0, 0]);
  });

  it('reads by DMA, filling up with zeroes, and skips', () => {
    const device = make();
    device.fwCfg.addBytes(FW_CFG_RAM_SIZE, Uint8Array.of(1, 2, 3, 4));
    device.host.u8.fill(0xee, device.ram + 0x200, device.ram + 0x210);
    expect(dma(device, select(FW_CFG_RAM_SIZE) | FW_CFG_DMA_CTL_SKIP, 1, 0)).toBe(0);
    expect(dma(device, FW_CFG_DMA_CTL_READ, 6, 0x200)).toBe(0);
    expect([...device.host.u8.subarray(device.ram + 0x200, device.ram + 0x207)]).toEqual([2, 3, 4, 0, 0, 0, 0xee]);
  });

  it.each([
    ['into no RAM', FW_CFG_DMA_CTL_READ, 4, 0x10_0000],
    ['over the end of RAM', FW_CFG_DMA_CTL_READ, 0xffff_ffff, RAM - 8],
    ['at the top of the address space', FW_CFG_DMA_CTL_READ, 0xffff_ffff, Number.MAX_SAFE_INTEGER],
    ['writing', FW_CFG_DMA_CTL_WRITE, 4, 0x200],
  ])('refuses DMA %s', (_name, control, length, address) => {
    expect(dma(make(), select(FW_CFG_RAM_SIZE) | control, length, address)).toBe(1);
  });

  it('leaves a request alone that is not in RAM', () => {
    const device = make();
    expect(dma(device, FW_CFG_DMA_CTL_READ, 4, 0x200, 2 ** 40)).toBe(FW_CFG_DMA_CTL_READ);
    expect(dma(device, FW_CFG_DMA_CTL_READ, 4, 0x200, 2 ** 60)).toBe(FW_CFG_DMA_CTL_READ);
  });

  it('survives any request', () => {
    const device = make();
    const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
    fc.assert(
      fc.property(u32, u32, u32, fc.integer({ min: 0, max: 2 ** 40 }), (control, length, address, at) => {
        dma(device, control, length, address, at);
        return true;
      }),
    );
  });
});
