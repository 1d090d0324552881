/**
 * Memory regions, after QEMU's memory API (docs/devel/memory): a machine's physical address space and its port space
 * are trees of regions. Leaves are RAM, ROM and I/O; containers place leaves at offsets; aliases show a part of another
 * region somewhere else; where siblings overlap the higher priority wins. What an address means is found by flattening
 * the tree (flat-view.ts), never by walking it.
 */

import type { EventFd } from '@vm/kvm-run';

/** Sizes of access in bytes: powers of two up to 4; an access of 8 reaches devices as two of 4. */
export interface AccessSizes {
  readonly min: 1 | 2 | 4;
  readonly max: 1 | 2 | 4;
  /** Accesses may start anywhere, not only at multiples of their size. Default for `valid`: true; for `impl`: true. */
  readonly unaligned?: boolean;
}

/** A device's registers. It sees offsets, never the bus. Values are unsigned; no guest access may make it throw. */
export interface MemoryRegionOps {
  read(offset: number, size: number): number;
  write(offset: number, size: number, value: number): void;
  /** What the bus lets through; anything else is as if nothing were there. Default: all. */
  readonly valid?: AccessSizes;
  /** What `read` and `write` can do; other accesses are split or widened. Default: 1 to 4. */
  readonly impl?: AccessSizes;
}

export interface MemoryRegionEventFd {
  readonly offset: number;
  /** 0: any size. */
  readonly size: 0 | 1 | 2 | 4 | 8;
  /** Only writes of this value; undefined: any. */
  readonly match: bigint | undefined;
  readonly event: EventFd;
}

export interface Range {
  readonly offset: number;
  readonly size: number;
}

export interface Subregion {
  readonly offset: number;
  readonly region: MemoryRegion;
}

export type MemoryRegionKind = 'ram' | 'rom' | 'io' | 'alias' | 'container';

interface Parts {
  ops?: MemoryRegionOps;
  host?: number;
  target?: MemoryRegion;
  targetOffset?: number;
}

export class MemoryRegion {
  readonly kind: MemoryRegionKind;
  readonly name: string;
  readonly size: number;
  /** Host physical address of RAM and ROM, else 0. */
  readonly host: number;
  readonly ops: MemoryRegionOps | undefined;
  readonly target: MemoryRegion | undefined;
  readonly targetOffset: number;
  priority = 0;
  enabled = true;
  readonly #subregions: Subregion[] = [];
  readonly #eventFds: MemoryRegionEventFd[] = [];
  readonly #coalesced: Range[] = [];

  private constructor(kind: MemoryRegionKind, name: string, size: number, parts: Parts = {}) {
    if (!(size > 0) || !Number.isSafeInteger(size)) throw new RangeError(`memory region ${name}: size ${size}`);
    this.kind = kind;
    this.name = name;
    this.size = size;
    this.host = parts.host ?? 0;
    this.ops = parts.ops;
    this.target = parts.target;
    this.targetOffset = parts.targetOffset ?? 0;
  }

  static ram(name: string, size: number, host: number): MemoryRegion {
    return new MemoryRegion('ram', name, size, { host });
  }

  static rom(name: string, size: number, host: number): MemoryRegion {
    return new MemoryRegion('rom', name, size, { host });
  }

  static io(name: string, size: number, ops: MemoryRegionOps): MemoryRegion {
    return new MemoryRegion('io', name, size, { ops });
  }

  static alias(name: string, target: MemoryRegion, targetOffset: number, size: number): MemoryRegion {
    return new MemoryRegion('alias', name, size, { target, targetOffset });
  }

  static container(name: string, size: number): MemoryRegion {
    return new MemoryRegion('container', name, size);
  }

  get subregions(): readonly Subregion[] {
    return this.#subregions;
  }

  get eventFds(): readonly MemoryRegionEventFd[] {
    return this.#eventFds;
  }

  get coalesced(): readonly Range[] {
    return this.#coalesced;
  }

  /** memory_region_add_subregion_overlap. The address spaces that show it change with their next `update`. */
  addSubregion(offset: number, region: MemoryRegion, priority = 0): void {
    if (this.kind === 'alias') throw new TypeError(`${this.name} is an alias: it has no subregions`);
    region.priority = priority;
    this.#subregions.push({ offset, region });
  }

  delSubregion(region: MemoryRegion): void {
    const at = this.#subregions.findIndex((entry) => entry.region === region);
    if (at >= 0) this.#subregions.splice(at, 1);
  }

  /** memory_region_add_eventfd: a write here signals the event in the kernel, with no exit to userspace. */
  addEventFd(eventFd: MemoryRegionEventFd): void {
    this.#eventFds.push(eventFd);
  }

  delEventFd(eventFd: MemoryRegionEventFd): void {
    const at = this.#eventFds.indexOf(eventFd);
    if (at >= 0) this.#eventFds.splice(at, 1);
  }

  /** memory_region_add_coalescing: writes here may wait in the kernel's ring until the next exit. */
  addCoalescing(offset: number, size: number): void {
    this.#coalesced.push({ offset, size });
  }
}

/** An access as the region's ops can take it (access_with_adjusted_size). Size is 1, 2 or 4. */
export function memoryRegionDispatchRead(ops: MemoryRegionOps, offset: number, size: number): number {
  const impl = ops.impl;
  if (impl === undefined || (size >= impl.min && size <= impl.max)) return ops.read(offset, size) >>> 0;
  if (size < impl.min) {
    const value = ops.read(offset, impl.min);
    return (size === 1 ? value & 0xff : value & 0xffff) >>> 0;
  }
  let value = 0;
  for (let i = 0; i < size; i += impl.max) value |= ops.read(offset + i, impl.max) << (i * 8);
  return value >>> 0;
}

export function memoryRegionDispatchWrite(ops: MemoryRegionOps, offset: number, size: number, value: number): void {
  const impl = ops.impl;
  if (impl === undefined || (size >= impl.min && size <= impl.max)) return ops.write(offset, size, value);
  if (size < impl.min) return ops.write(offset, impl.min, value);
  const mask = impl.max === 1 ? 0xff : 0xffff;
  for (let i = 0; i < size; i += impl.max) ops.write(offset + i, impl.max, (value >>> (i * 8)) & mask);
}

/** memory_region_access_valid. */
export function memoryRegionAccessValid(ops: MemoryRegionOps, offset: number, size: number): boolean {
  const valid = ops.valid;
  if (valid === undefined) return true;
  if (valid.unaligned === false && offset % size !== 0) return false;
  return size >= valid.min && size <= valid.max;
}
