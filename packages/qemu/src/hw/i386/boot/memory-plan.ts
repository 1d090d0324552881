/** Which part of RAM holds what at the start: nothing may lie outside of RAM, or twice in one place. */

import { E820_RAM, type E820Entry } from '../e820.ts';
import { ABOVE_4G, HIGH_MEMORY, MiB } from '../layout.ts';
import { LoaderError } from './loader-error.ts';

interface Reserved {
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

const hex = (value: number): string => `0x${value.toString(16)}`;
const ceilMiB = (bytes: number): number => Math.ceil(bytes / MiB);

export class MemoryPlan {
  /** End of the RAM that begins at 1 MiB. */
  readonly top: number;
  readonly #ram: readonly E820Entry[];
  readonly #reserved: Reserved[] = [];

  constructor(e820: readonly E820Entry[]) {
    this.#ram = e820.filter((entry) => entry.type === E820_RAM);
    const high = this.#ram.find((entry) => entry.address === HIGH_MEMORY);
    this.top = high === undefined ? 0 : high.address + high.size;
  }

  /** Takes [start, start + size) for `name`, or throws LoaderError. */
  reserve(name: string, start: number, size: number): void {
    const end = start + size;
    if (!this.#ram.some((entry) => start >= entry.address && end <= entry.address + entry.size)) {
      if (start >= HIGH_MEMORY && end < ABOVE_4G)
        throw new LoaderError(
          `${name} needs memory up to ${ceilMiB(end)} MiB, the machine has ${ceilMiB(this.top)} MiB`,
          'give it more memory',
        );
      throw new LoaderError(`${name} wants to be at ${hex(start)}..${hex(end)}, where there is no RAM`, 'build it for another address');
    }
    const other = this.#reserved.find((entry) => start < entry.end && end > entry.start);
    if (other !== undefined && size > 0)
      throw new LoaderError(`${name} at ${hex(start)}..${hex(end)} overlaps ${other.name}`, 'build it for another address');
    this.#reserved.push({ name, start, end });
  }

  /** The highest aligned address below `limit` with room for `size` bytes in the RAM under 4 GiB; takes it. */
  reserveTop(name: string, size: number, limit: number, align: number): number {
    const at = this.#findTop(size, Math.min(limit, this.top), align);
    if (at === undefined) {
      const free = this.#largestHole(Math.min(limit, this.top));
      throw new LoaderError(
        `${name} has ${(size / MiB).toFixed(1)} MiB, the largest free piece of memory ${(free / MiB).toFixed(1)} MiB`,
        'give the machine more memory',
      );
    }
    this.reserve(name, at, size);
    return at;
  }

  /** The lowest address in [from, to) with room for `size` bytes; takes it. Undefined when there is no such room. */
  reserveBottom(name: string, size: number, from: number, to: number): number | undefined {
    let start = from;
    for (;;) {
      const blocking = this.#reserved.filter((entry) => start < entry.end && start + size > entry.start);
      if (blocking.length === 0) break;
      start = Math.max(...blocking.map((entry) => entry.end));
    }
    if (start + size > to) return undefined;
    this.reserve(name, start, size);
    return start;
  }

  #findTop(size: number, limit: number, align: number): number | undefined {
    let end = limit;
    while (end - size >= HIGH_MEMORY) {
      const start = Math.floor((end - size) / align) * align;
      if (start < HIGH_MEMORY) return undefined;
      const blocking = this.#reserved.filter((entry) => start < entry.end && start + size > entry.start);
      if (blocking.length === 0) return start;
      end = Math.min(...blocking.map((entry) => entry.start));
    }
    return undefined;
  }

  #largestHole(limit: number): number {
    const edges = this.#reserved.filter((entry) => entry.end > HIGH_MEMORY && entry.start < limit).toSorted((a, b) => a.start - b.start);
    let largest = 0;
    let at = HIGH_MEMORY;
    for (const entry of edges) {
      largest = Math.max(largest, entry.start - at);
      at = Math.max(at, entry.end);
    }
    return Math.max(largest, limit - at, 0);
  }
}
