import type { HostMemory } from '@vm/kvm-run';
import { AddressSpace } from './address-space.ts';
import { MemoryRegion, memoryRegionAccessValid, memoryRegionDispatchRead, memoryRegionDispatchWrite, type MemoryRegionOps } from './memory-region.ts';

export const IO_PORTS = 0x10000;

/**
 * The port space. A port access is the commonest reason to come here, so each port's place in the flat view is looked
 * up in a table: no search, no allocation.
 */
export class IoPortSpace extends AddressSpace {
  #slots: Uint16Array = new Uint16Array(IO_PORTS);
  #ops: (MemoryRegionOps | undefined)[] = [undefined];
  /** What to subtract from a port to get the offset in its region. */
  #bases: Float64Array = new Float64Array(1);
  #ends: Float64Array = new Float64Array(1);
  /** False while the base class's constructor runs. */
  readonly #ready: boolean = true;

  constructor(root: MemoryRegion, memory: HostMemory) {
    super('I/O', root, memory);
    this.#index();
  }

  override update(): void {
    super.update();
    if (#ready in this) this.#index();
  }

  /** Reads 1, 2 or 4 bytes of a port. */
  in(port: number, size: number): number {
    const slot = this.#slots[port]!;
    const ops = this.#ops[slot];
    if (ops !== undefined && port + size <= this.#ends[slot]!) {
      const offset = port - this.#bases[slot]!;
      if (memoryRegionAccessValid(ops, offset, size)) return memoryRegionDispatchRead(ops, offset, size);
    } else if (size > 1 && this.#touchesDevice(port, size)) return this.#inBytes(port, size);
    this.unassigned.reads++;
    this.unassigned.last = port;
    return size === 1 ? 0xff : size === 2 ? 0xffff : 0xffffffff;
  }

  /** Writes 1, 2 or 4 bytes to a port. */
  out(port: number, size: number, value: number): void {
    const slot = this.#slots[port]!;
    const ops = this.#ops[slot];
    if (ops !== undefined && port + size <= this.#ends[slot]!) {
      const offset = port - this.#bases[slot]!;
      if (memoryRegionAccessValid(ops, offset, size)) return memoryRegionDispatchWrite(ops, offset, size, value);
    } else if (size > 1 && this.#touchesDevice(port, size)) {
      for (let i = 0; i < size; i++) this.out((port + i) & 0xffff, 1, (value >>> (i * 8)) & 0xff);
      return;
    }
    this.unassigned.writes++;
    this.unassigned.last = port;
  }

  #inBytes(port: number, size: number): number {
    let value = 0;
    for (let i = 0; i < size; i++) value |= this.in((port + i) & 0xffff, 1) << (i * 8);
    return value >>> 0;
  }

  /** An access that leaves its region, or starts outside of all, is made byte by byte if any byte has a device. */
  #touchesDevice(port: number, size: number): boolean {
    for (let i = 0; i < size; i++) if (this.#slots[(port + i) & 0xffff] !== 0) return true;
    return false;
  }

  #index(): void {
    const ranges = this.view.ranges.filter((range) => range.region.ops !== undefined && range.start < IO_PORTS);
    this.#slots.fill(0);
    this.#ops = [undefined, ...ranges.map((range) => range.region.ops)];
    this.#bases = Float64Array.from([0, ...ranges.map((range) => range.start - range.offset)]);
    this.#ends = Float64Array.from([0, ...ranges.map((range) => range.start + range.size)]);
    ranges.forEach((range, i) => this.#slots.fill(i + 1, range.start, Math.min(IO_PORTS, range.start + range.size)));
  }
}
