import type { MemoryRegion, MemoryRegionEventFd } from './memory-region.ts';

/** A piece of an address space that is one leaf region throughout. */
export interface FlatRange {
  readonly start: number;
  readonly size: number;
  readonly region: MemoryRegion;
  /** Offset of `start` in the region. */
  readonly offset: number;
  readonly readonly: boolean;
}

/** An ioeventfd at its place in the address space. */
export interface FlatEventFd {
  readonly address: number;
  readonly eventFd: MemoryRegionEventFd;
}

/** A coalesced range at its place in the address space. */
export interface FlatCoalesced {
  readonly address: number;
  readonly size: number;
}

const MAX_DEPTH = 32;

/** The flattened tree: ranges in ascending order that do not overlap, found by binary search. */
export class FlatView {
  readonly ranges: readonly FlatRange[];
  readonly #starts: Float64Array;
  readonly #ends: Float64Array;
  #last = 0;

  constructor(ranges: readonly FlatRange[]) {
    this.ranges = ranges;
    this.#starts = Float64Array.from(ranges, (range) => range.start);
    this.#ends = Float64Array.from(ranges, (range) => range.start + range.size);
  }

  /** Index of the range that holds the address, or -1. */
  find(address: number): number {
    const starts = this.#starts;
    const ends = this.#ends;
    const last = this.#last;
    if (address >= starts[last]! && address < ends[last]!) return last;
    let low = 0;
    let high = starts.length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      if (address < starts[middle]!) high = middle - 1;
      else if (address >= ends[middle]!) low = middle + 1;
      else return (this.#last = middle);
    }
    return -1;
  }

  /** Where the nothing at `address` ends: the next range's start, or Infinity. */
  holeEnd(address: number): number {
    for (const range of this.ranges) if (range.start > address) return range.start;
    return Infinity;
  }

  /** Each event descriptor of the view's regions that is visible. */
  eventFds(): FlatEventFd[] {
    return this.ranges.flatMap((range) =>
      range.region.eventFds
        .filter((fd) => fd.offset >= range.offset && fd.offset < range.offset + range.size)
        .map((eventFd) => ({ address: range.start + eventFd.offset - range.offset, eventFd })),
    );
  }

  coalesced(): FlatCoalesced[] {
    return this.ranges.flatMap((range) =>
      range.region.coalesced.flatMap((part) => {
        const start = Math.max(part.offset, range.offset);
        const end = Math.min(part.offset + part.size, range.offset + range.size);
        return end > start ? [{ address: range.start + start - range.offset, size: end - start }] : [];
      }),
    );
  }
}

/** Flattens the tree under `root` (generate_memory_topology): the topmost region is laid first, others fill what is left. */
export function generateFlatView(root: MemoryRegion): FlatView {
  const ranges: FlatRange[] = [];
  render(ranges, root, 0, 0, root.size, false, 0);
  return new FlatView(merge(ranges));
}

function render(out: FlatRange[], region: MemoryRegion, base: number, from: number, to: number, readonly: boolean, depth: number): void {
  const start = Math.max(base, from);
  const end = Math.min(base + region.size, to);
  if (!region.enabled || start >= end) return;
  if (depth > MAX_DEPTH) throw new RangeError(`memory region ${region.name} is nested deeper than ${MAX_DEPTH}: an alias shows itself`);
  const rom = readonly || region.kind === 'rom';
  if (region.target !== undefined) {
    render(out, region.target, base - region.targetOffset, start, end, rom, depth + 1);
    return;
  }
  const byPriority = region.subregions.toSorted((a, b) => b.region.priority - a.region.priority);
  for (const entry of byPriority) render(out, entry.region, base + entry.offset, start, end, rom, depth + 1);
  if (region.kind !== 'container') fillHoles(out, region, base, start, end, rom);
}

function fillHoles(out: FlatRange[], region: MemoryRegion, base: number, start: number, end: number, readonly: boolean): void {
  let at = start;
  let index = 0;
  while (at < end) {
    while (index < out.length && out[index]!.start + out[index]!.size <= at) index++;
    const next = out[index];
    const stop = next === undefined ? end : Math.min(end, next.start);
    if (stop > at) {
      out.splice(index, 0, { start: at, size: stop - at, region, offset: at - base, readonly });
      index++;
    }
    at = next === undefined ? end : Math.max(stop, next.start + next.size);
  }
}

function merge(ranges: readonly FlatRange[]): FlatRange[] {
  const merged: FlatRange[] = [];
  for (const range of ranges) {
    const last = merged.at(-1);
    const joins =
      last !== undefined &&
      last.region === range.region &&
      last.readonly === range.readonly &&
      last.start + last.size === range.start &&
      last.offset + last.size === range.offset;
    if (joins) merged[merged.length - 1] = { ...last, size: last.size + range.size };
    else merged.push(range);
  }
  return merged;
}
