/**
 * The test device of kvm-unit-tests, after hw/misc/pc-testdev.c: a 32-bit latch at port 0xe0 (again, a byte at a time,
 * at 0xe8), page flush at 0xe4, interrupt lines at 0x2000, 64 KiB of memory-mapped bytes at 0xff000000.
 */

import type { QemuIrq } from '../../system/irq.ts';
import { MemoryRegion, type MemoryRegionOps } from '../../system/memory-region.ts';

export const PC_TESTDEV_IOPORT = 0xe0;
export const PC_TESTDEV_FLUSH = 0xe4;
export const PC_TESTDEV_IOPORT_BYTE = 0xe8;
export const PC_TESTDEV_IRQ = 0x2000;
export const PC_TESTDEV_IRQ_LINES = 24;
export const PC_TESTDEV_IOMEM = 0xff00_0000;
const IOMEM_LEN = 0x10000;

export interface PcTestdevOptions {
  readonly ioPorts: MemoryRegion;
  readonly memory: MemoryRegion;
  readonly irq: (line: number) => QemuIrq;
}

class PcTestdev {
  #latch = 0;
  readonly #iomem: Uint8Array = new Uint8Array(IOMEM_LEN);

  readonly ioport: MemoryRegionOps = {
    read: (offset, size) => this.#readLatch(offset, size),
    write: (offset, size, value) => this.#writeLatch(offset, size, value),
  };
  readonly ioportByte: MemoryRegionOps = { ...this.ioport, valid: { min: 1, max: 4 }, impl: { min: 1, max: 1 } };
  readonly iomem: MemoryRegionOps = {
    read: (offset, size) => {
      let value = 0;
      for (let i = 0; i < size; i++) value |= (this.#iomem[offset + i] ?? 0xff) << (i * 8);
      return value >>> 0;
    },
    write: (offset, size, value) => {
      for (let i = 0; i < size; i++) this.#iomem[offset + i] = value >>> (i * 8);
    },
  };

  #readLatch(offset: number, size: number): number {
    const shift = (offset & 3) * 8;
    return ((this.#latch >>> shift) & mask(size)) >>> 0;
  }

  #writeLatch(offset: number, size: number, value: number): void {
    const shift = (offset & 3) * 8;
    this.#latch = (this.#latch & ~(mask(size) << shift)) | ((value & mask(size)) << shift);
  }
}

const mask = (size: number): number => (size === 4 ? 0xffff_ffff : (1 << (size * 8)) - 1);

/** Puts the device on the buses. */
export function addPcTestdev(options: PcTestdevOptions): void {
  const device = new PcTestdev();
  const lines = Array.from({ length: PC_TESTDEV_IRQ_LINES }, (_, line) => options.irq(line));
  const irq: MemoryRegionOps = { valid: { min: 1, max: 1 }, read: () => 0, write: (offset, _size, value) => lines[offset]?.(value !== 0) };
  // QEMU takes the page out of its own page tables and puts it back, so that KVM drops its mapping of it. Host memory
  // has no page tables here: there is nothing to drop.
  const flush: MemoryRegionOps = { valid: { min: 4, max: 4 }, read: () => 0, write: () => {} };
  options.ioPorts.addSubregion(PC_TESTDEV_IOPORT, MemoryRegion.io('pc-testdev-ioport', 4, device.ioport));
  options.ioPorts.addSubregion(PC_TESTDEV_FLUSH, MemoryRegion.io('pc-testdev-flush-page', 4, flush));
  options.ioPorts.addSubregion(PC_TESTDEV_IOPORT_BYTE, MemoryRegion.io('pc-testdev-ioport-byte', 4, device.ioportByte));
  options.ioPorts.addSubregion(PC_TESTDEV_IRQ, MemoryRegion.io('pc-testdev-irq-line', PC_TESTDEV_IRQ_LINES, irq));
  options.memory.addSubregion(PC_TESTDEV_IOMEM, MemoryRegion.io('pc-testdev-iomem', IOMEM_LEN, device.iomem), 1);
}
