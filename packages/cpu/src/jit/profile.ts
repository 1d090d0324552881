/**
 * What a profile knows of compiled code: which regions there were, of which guest code, and how much each ran. Regions count
 * themselves while there is a profile: one more run when they are entered, and the instructions that they completed when they are left.
 */
import { type HostMemory, PAGE_SIZE } from '@vm/kvm-run';
import type { Shape } from './structure.ts';

/** In a region's counters: runs and completed instructions, i64 each. */
export const COUNT_RUNS = 0;
export const COUNT_INSTRUCTIONS = 8;
const COUNTERS_SIZE = 16;
/** Regions that are kept account of; those after them run uncounted. */
const MOST_REGIONS = 1 << 16;

/** One instruction of the guest as it stood in memory when it was compiled. */
export interface CodeLine {
  /** Linear address. */
  readonly address: bigint;
  readonly bytes: Uint8Array;
}

export interface ProfiledRegion {
  /** In order of compilation, from 0. The WebAssembly module is named `region-<number>`. */
  readonly number: number;
  /** Linear address at which it is entered. */
  readonly entry: bigint;
  readonly mode: 16 | 32 | 64;
  /** By address. Code of called functions may stand among it. */
  readonly code: readonly CodeLine[];
  /** The WebAssembly module. */
  readonly module: Uint8Array<ArrayBuffer>;
  /** How often it was entered. */
  readonly runs: number;
  /** Guest instructions that it completed. */
  readonly instructions: number;
}

/** What the compiler is to build into a region, so that it can be told from others and counts. */
export interface RegionMarks {
  readonly name: string;
  /** Host address of the counters; 0: nothing is counted. */
  readonly counters: number;
}

export class JitProfile {
  readonly #memory: HostMemory;
  readonly #pages: number[] = [];
  readonly #regions: { readonly region: Omit<ProfiledRegion, 'runs' | 'instructions'>; readonly counters: number }[] = [];
  #begun = 0;

  constructor(memory: HostMemory) {
    this.#memory = memory;
  }

  /** Marks for the region that is compiled next. */
  begin(): RegionMarks {
    const number = this.#begun++;
    return { name: `region-${number}`, counters: this.#countersOf(number) };
  }

  /** The region of the last marks is there. `base`: linear address of offset 0; `pages`: host addresses of its pages. */
  add(marks: RegionMarks, base: bigint, entry: number, shape: Shape, pages: ReadonlyMap<number, number>, module: Uint8Array<ArrayBuffer>): void {
    const instructions = shape.order.flatMap((block) => block.instructions).toSorted((x, y) => x.offset - y.offset);
    const linear = (offset: number): bigint => BigInt.asUintN(64, base + BigInt(offset));
    const region = {
      number: this.#begun - 1, entry: linear(entry), mode: instructions[0]!.ins.mode as 16 | 32 | 64, module,
      code: instructions.map(({ offset, ins }) => ({ address: linear(offset), bytes: this.#bytes(offset, ins.length, pages) })),
    };
    this.#regions.push({ region, counters: marks.counters });
  }

  regions(): ProfiledRegion[] {
    return this.#regions.map(({ region, counters }) => ({ ...region, runs: this.#count(counters, COUNT_RUNS), instructions: this.#count(counters, COUNT_INSTRUCTIONS) }));
  }

  dispose(): void {
    for (const page of this.#pages) this.#memory.free(page, 1);
    this.#pages.length = 0;
    this.#regions.length = 0;
  }

  #countersOf(number: number): number {
    if (number >= MOST_REGIONS) return 0;
    const each = PAGE_SIZE / COUNTERS_SIZE;
    const page = Math.floor(number / each);
    while (this.#pages.length <= page) this.#pages.push(this.#memory.allocPages(1));
    return this.#pages[page]! + (number % each) * COUNTERS_SIZE;
  }

  #count(counters: number, offset: number): number {
    return counters === 0 ? 0 : Number(this.#memory.view.getBigUint64(counters + offset, true));
  }

  #bytes(offset: number, length: number, pages: ReadonlyMap<number, number>): Uint8Array {
    return Uint8Array.from({ length }, (_, i) => {
      const at = offset + i;
      return this.#memory.u8[pages.get(Math.floor(at / PAGE_SIZE))! + (at & (PAGE_SIZE - 1))]!;
    });
  }
}
