import type { HostMemory } from '@vm/kvm-run';
import { generateFlatView, type FlatCoalesced, type FlatEventFd, type FlatRange, type FlatView } from './flat-view.ts';
import { memoryRegionAccessValid, memoryRegionDispatchRead, memoryRegionDispatchWrite, type MemoryRegion } from './memory-region.ts';

/** Hears what an update changed: first all that went, then all that came (MemoryListener). */
export interface MemoryListener {
  regionDel?(range: FlatRange): void;
  regionAdd?(range: FlatRange): void;
  coalescedIoDel?(range: FlatCoalesced): void;
  coalescedIoAdd?(range: FlatCoalesced): void;
  eventFdDel?(eventFd: FlatEventFd): void;
  eventFdAdd?(eventFd: FlatEventFd): void;
}

/** Accesses that met nothing. */
export interface UnassignedAccesses {
  reads: number;
  writes: number;
  /** Address of the last of them. */
  last: number;
}

const sameRange = (a: FlatRange, b: FlatRange): boolean =>
  a.region === b.region && a.start === b.start && a.size === b.size && a.offset === b.offset && a.readonly === b.readonly;
const sameCoalesced = (a: FlatCoalesced, b: FlatCoalesced): boolean => a.address === b.address && a.size === b.size;
const sameEventFd = (a: FlatEventFd, b: FlatEventFd): boolean => a.address === b.address && a.eventFd === b.eventFd;

function missing<T>(from: readonly T[], others: readonly T[], same: (a: T, b: T) => boolean): T[] {
  return from.filter((item) => !others.some((other) => same(item, other)));
}

/** A tree of regions as one bus sees it. After changing the tree call `update`. */
export class AddressSpace {
  readonly name: string;
  readonly root: MemoryRegion;
  readonly memory: HostMemory;
  readonly unassigned: UnassignedAccesses = { reads: 0, writes: 0, last: 0 };
  protected view: FlatView;
  #eventFds: FlatEventFd[];
  #coalesced: FlatCoalesced[];
  readonly #listeners: MemoryListener[] = [];

  constructor(name: string, root: MemoryRegion, memory: HostMemory) {
    this.name = name;
    this.root = root;
    this.memory = memory;
    this.view = generateFlatView(root);
    this.#eventFds = this.view.eventFds();
    this.#coalesced = this.view.coalesced();
  }

  get ranges(): readonly FlatRange[] {
    return this.view.ranges;
  }

  /** Registers a listener, which hears at once of all that is there. */
  listen(listener: MemoryListener): void {
    this.#listeners.push(listener);
    for (const range of this.view.ranges) listener.regionAdd?.(range);
    for (const range of this.#coalesced) listener.coalescedIoAdd?.(range);
    for (const eventFd of this.#eventFds) listener.eventFdAdd?.(eventFd);
  }

  update(): void {
    const before = this.view;
    const [eventFds, coalesced] = [this.#eventFds, this.#coalesced];
    this.view = generateFlatView(this.root);
    this.#eventFds = this.view.eventFds();
    this.#coalesced = this.view.coalesced();
    for (const listener of this.#listeners) {
      for (const gone of missing(eventFds, this.#eventFds, sameEventFd)) listener.eventFdDel?.(gone);
      for (const gone of missing(coalesced, this.#coalesced, sameCoalesced)) listener.coalescedIoDel?.(gone);
      for (const gone of missing(before.ranges, this.view.ranges, sameRange)) listener.regionDel?.(gone);
      for (const come of missing(this.view.ranges, before.ranges, sameRange)) listener.regionAdd?.(come);
      for (const come of missing(this.#coalesced, coalesced, sameCoalesced)) listener.coalescedIoAdd?.(come);
      for (const come of missing(this.#eventFds, eventFds, sameEventFd)) listener.eventFdAdd?.(come);
    }
  }

  /** Reads `length` bytes at `address` into `data`. Returns false when a part of them was not there (all ones). */
  read(address: number, data: Uint8Array, at = 0, length: number = data.length - at): boolean {
    let complete = true;
    for (let done = 0; done < length;) {
      const index = this.view.find(address + done);
      const range = index < 0 ? undefined : this.view.ranges[index]!;
      const here = this.#extent(range, address + done, length - done);
      if (range === undefined) complete = this.#unassignedRead(address + done, data, at + done, here);
      else if (range.region.ops === undefined) {
        const from = range.region.host + range.offset + (address + done - range.start);
        data.set(this.memory.u8.subarray(from, from + here), at + done);
      } else if (!this.#readIo(range, address + done, data, at + done, here)) complete = false;
      done += here;
    }
    return complete;
  }

  /** Writes bytes of `data`. Returns false when a part of them found no place. */
  write(address: number, data: Uint8Array, at = 0, length: number = data.length - at): boolean {
    let complete = true;
    for (let done = 0; done < length;) {
      const index = this.view.find(address + done);
      const range = index < 0 ? undefined : this.view.ranges[index]!;
      const here = this.#extent(range, address + done, length - done);
      if (range === undefined) complete = this.#unassignedWrite(address + done);
      else if (range.region.ops !== undefined) {
        if (!this.#writeIo(range, address + done, data, at + done, here)) complete = false;
      } else if (range.readonly) complete = false;
      else this.memory.write(range.region.host + range.offset + (address + done - range.start), data.subarray(at + done, at + done + here));
      done += here;
    }
    return complete;
  }

  /** Fills RAM with a byte; parts that are no writable RAM are left out. Returns false when there were such. */
  fill(address: number, length: number, value: number): boolean {
    let complete = true;
    for (let done = 0; done < length;) {
      const index = this.view.find(address + done);
      const range = index < 0 ? undefined : this.view.ranges[index]!;
      const here = this.#extent(range, address + done, length - done);
      if (range === undefined || range.region.ops !== undefined || range.readonly) complete = false;
      else this.memory.fill(range.region.host + range.offset + (address + done - range.start), here, value);
      done += here;
    }
    return complete;
  }

  /** Host address of `length` bytes of writable RAM at `address`, or -1. */
  hostAddress(address: number, length: number): number {
    const index = this.view.find(address);
    if (index < 0) return -1;
    const range = this.view.ranges[index]!;
    if (range.region.ops !== undefined || range.readonly || address + length > range.start + range.size) return -1;
    return range.region.host + range.offset + (address - range.start);
  }

  #extent(range: FlatRange | undefined, address: number, length: number): number {
    const end = range === undefined ? this.view.holeEnd(address) : range.start + range.size;
    return Math.min(length, end - address);
  }

  #unassignedRead(address: number, data: Uint8Array, at: number, length: number): boolean {
    this.unassigned.reads++;
    this.unassigned.last = address;
    data.fill(0xff, at, at + length);
    return false;
  }

  #unassignedWrite(address: number): boolean {
    this.unassigned.writes++;
    this.unassigned.last = address;
    return false;
  }

  #readIo(range: FlatRange, address: number, data: Uint8Array, at: number, length: number): boolean {
    const ops = range.region.ops!;
    let complete = true;
    for (let done = 0; done < length;) {
      const offset = range.offset + (address + done - range.start);
      const size = accessSize(length - done);
      if (memoryRegionAccessValid(ops, offset, size)) {
        const value = memoryRegionDispatchRead(ops, offset, size);
        for (let i = 0; i < size; i++) data[at + done + i] = value >>> (i * 8);
      } else complete = this.#unassignedRead(address + done, data, at + done, size);
      done += size;
    }
    return complete;
  }

  #writeIo(range: FlatRange, address: number, data: Uint8Array, at: number, length: number): boolean {
    const ops = range.region.ops!;
    let complete = true;
    for (let done = 0; done < length;) {
      const offset = range.offset + (address + done - range.start);
      const size = accessSize(length - done);
      let value = 0;
      for (let i = 0; i < size; i++) value |= data[at + done + i]! << (i * 8);
      if (memoryRegionAccessValid(ops, offset, size)) memoryRegionDispatchWrite(ops, offset, size, value >>> 0);
      else complete = this.#unassignedWrite(address + done);
      done += size;
    }
    return complete;
  }
}

const accessSize = (left: number): number => (left >= 4 ? 4 : left >= 2 ? 2 : 1);
