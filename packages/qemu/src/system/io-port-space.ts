import type { HostMemory } from '@vm/kvm-run';
import { AddressSpace } from './address-space.ts';
import {
  memoryRegionAccessValid,
  memoryRegionDispatchRead,
  memoryRegionDispatchWrite,
  type MemoryRegion,
  type MemoryRegionOps,
} from './memory-region.ts';

export const IO_PORTS = 0x10000;

/**
 * The port space. A port access is the commonest reason to come here, so each port's place in the flat view is looked
 * up in a table: no search, no allocation.
 *
 * An access goes whole to the region that its first port belongs to, even when it reaches beyond: on a PC the dword
 * register 0xcf8 and the byte register 0xcf9 are different things (QEMU's address_space_translate_internal).
 */
export class IoPortSpace extends AddressSpace {
  readonly #slots: Uint16Array = new Uint16Array(IO_PORTS);
  #ops: (MemoryRegionOps | undefined)[] = [undefined];
  /** What to subtract from a port to get the offset in its region. */
  #bases: Float64Array = new Float64Array(1);

  constructor(root: MemoryRegion, memory: HostMemory) {
    super('I/O', root, memory);
    this.#index();
  }

  override update(): void {
    super.update();
    this.#index();
  }

  /** Reads 1, 2 or 4 bytes at a port. */
  in(port: number, size: number): number {
    const slot = this.#slots[port]!;
    const ops = this.#ops[slot];
    if (ops !== undefined) {
      const offset = port - this.#bases[slot]!;
      if (memoryRegionAccessValid(ops, offset, size)) return memoryRegionDispatchRead(ops, offset, size);
    }
    this.unassigned.reads++;
    this.unassigned.last = port;
    return size === 1 ? 0xff : size === 2 ? 0xffff : 0xffffffff;
  }

  /** Writes 1, 2 or 4 bytes to a port. */
  out(port: number, size: number, value: number): void {
    const slot = this.#slots[port]!;
    const ops = this.#ops[slot];
    if (ops !== undefined) {
      const offset = port - this.#bases[slot]!;
      if (memoryRegionAccessValid(ops, offset, size)) return memoryRegionDispatchWrite(ops, offset, size, value);
    }
    this.unassigned.writes++;
    this.unassigned.last = port;
  }

  #index(): void {
    const ranges = this.view.ranges.filter((range) => range.region.ops !== undefined && range.start < IO_PORTS);
    this.#slots.fill(0);
    this.#ops = [undefined, ...ranges.map((range) => range.region.ops)];
    this.#bases = Float64Array.from([0, ...ranges.map((range) => range.start - range.offset)]);
    ranges.forEach((range, i) => this.#slots.fill(i + 1, range.start, Math.min(IO_PORTS, range.start + range.size)));
  }
}
