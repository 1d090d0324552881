/**
 * EPT tables (SDM vol. 3C, 29.3): made in pages of host memory, entry by entry as the guest touches memory. What the
 * two-dimensional-paging half of arch/x86/kvm/mmu is in the kernel; there is one root for all vCPUs of a VM.
 *
 * An entry is eight bytes. Host physical addresses are below 4 GiB, so the high word is always zero.
 */

import type { HostMemory } from '@vm/kvm-run';
import { PAGE_SIZE } from '@vm/kvm-run';

export const EPT_READ = 1;
export const EPT_WRITE = 2;
export const EPT_EXECUTE = 4;
export const EPT_RWX = 7;
/** Memory type write-back, and the guest's PAT is ignored: all host memory is plain memory. */
const EPT_WB = (6 << 3) | (1 << 6);
const EPT_LARGE = 1 << 7;
export const EPT_ACCESSED = 0x100;
export const EPT_DIRTY = 0x200;
/**
 * A page that is in no slot: writable and executable but not readable is a misconfiguration, so that the exit says at once that the
 * access is MMIO (VMX_EPT_MISCONFIG_WX_VALUE, shadow_mmio_value).
 */
export const EPT_MMIO = 6;
const ADDRESS = 0xfffff000;

export const PG_LEVEL_4K = 1;
export const PG_LEVEL_2M = 2;
const ROOT_LEVEL = 4;
const PAGES_PER_2M = 512;

/** Guest frames that one entry of a level covers. */
const span = (level: number): number => 512 ** (level - 1);

export class EptTables {
  readonly #memory: HostMemory;
  /** Host address of the top table. */
  readonly root: number;
  /** All table pages, the root among them. */
  readonly #pages: Set<number>;
  /** Table pages out of use that a running processor may still walk. */
  #obsolete: number[] = [];

  /** Throws OutOfHostMemory. */
  constructor(memory: HostMemory) {
    this.#memory = memory;
    this.root = memory.allocPages(1);
    this.#pages = new Set([this.root]);
  }

  /** Table pages in use. */
  get pages(): number {
    return this.#pages.size;
  }

  /** The leaf entry of a guest frame: the entry's low word, 0 when there is none. */
  lookup(gfn: number): number {
    let table = this.root;
    for (let level = ROOT_LEVEL; ; level--) {
      const entry = this.#memory.u32[this.#index(table, gfn, level)]!;
      if (level === PG_LEVEL_4K || entry === 0 || (entry & EPT_LARGE) !== 0) return entry;
      table = (entry & ADDRESS) >>> 0;
    }
  }

  /**
   * Maps a frame, or the 2 MiB around it, to host memory with the given rights. A table in the place of a large page is
   * dropped. Throws OutOfHostMemory.
   */
  map(gfn: number, level: number, host: number, rights: number): void {
    const at = this.#walk(gfn, level);
    const old = this.#memory.u32[at]!;
    const large = level > PG_LEVEL_4K ? EPT_LARGE : 0;
    const dirty = (rights & EPT_WRITE) !== 0 ? EPT_DIRTY : 0;
    this.#set(at, (host | rights | EPT_WB | large | EPT_ACCESSED | dirty) >>> 0);
    if (level > PG_LEVEL_4K && isTable(old)) this.#drop((old & ADDRESS) >>> 0, level - 1);
  }

  /** Marks a frame as MMIO. Throws OutOfHostMemory. */
  mapMmio(gfn: number): void {
    this.#set(this.#walk(gfn, PG_LEVEL_4K), EPT_MMIO);
  }

  /** Forgets all mappings of [start, end). True when there were some: then TLBs must be flushed. */
  zap(start: number, end: number): boolean {
    return this.#zapTable(this.root, ROOT_LEVEL, 0, start, end);
  }

  /** Takes the right to write from [start, end); large pages are forgotten instead. True when something changed. */
  writeProtect(start: number, end: number): boolean {
    return this.#protectTable(this.root, ROOT_LEVEL, 0, start, end);
  }

  /** Table pages out of use go back to host memory: only while no processor is in the guest. */
  reclaim(): void {
    for (const page of this.#obsolete) this.#memory.free(page, 1);
    this.#obsolete = [];
  }

  /** Gives all pages back. */
  destroy(): void {
    this.reclaim();
    for (const page of this.#pages) this.#memory.free(page, 1);
    this.#pages.clear();
  }

  #index(table: number, gfn: number, level: number): number {
    return (table + (Math.floor(gfn / span(level)) % 512) * 8) >>> 2;
  }

  /** Index of the entry of a level, with the tables above it made. */
  #walk(gfn: number, level: number): number {
    let table = this.root;
    for (let at = ROOT_LEVEL; at > level; at--) {
      const index = this.#index(table, gfn, at);
      const entry = this.#memory.u32[index]!;
      if (isTable(entry)) {
        table = (entry & ADDRESS) >>> 0;
        continue;
      }
      table = this.#newTable();
      this.#set(index, (table | EPT_RWX | EPT_ACCESSED) >>> 0);
    }
    return this.#index(table, gfn, level);
  }

  #newTable(): number {
    const page = this.#memory.allocPages(1);
    this.#pages.add(page);
    return page;
  }

  /** The low word decides whether an entry is present, and the high word is always zero: one store suffices. */
  #set(index: number, low: number): void {
    Atomics.store(this.#memory.u32, index, low);
  }

  #zapTable(table: number, level: number, base: number, start: number, end: number): boolean {
    const width = span(level);
    let changed = false;
    const first = Math.max(0, Math.floor((start - base) / width));
    const last = Math.min(511, Math.ceil((end - base) / width) - 1);
    for (let i = first; i <= last; i++) {
      const index = (table + i * 8) >>> 2;
      const entry = this.#memory.u32[index]!;
      if (entry === 0) continue;
      const from = base + i * width;
      const whole = from >= start && from + width <= end;
      if (level > PG_LEVEL_4K && isTable(entry) && !whole) {
        if (this.#zapTable((entry & ADDRESS) >>> 0, level - 1, from, start, end)) changed = true;
        continue;
      }
      this.#set(index, 0);
      changed = true;
      if (level > PG_LEVEL_4K && isTable(entry)) this.#drop((entry & ADDRESS) >>> 0, level - 1);
    }
    return changed;
  }

  #protectTable(table: number, level: number, base: number, start: number, end: number): boolean {
    const width = span(level);
    let changed = false;
    const first = Math.max(0, Math.floor((start - base) / width));
    const last = Math.min(511, Math.ceil((end - base) / width) - 1);
    for (let i = first; i <= last; i++) {
      const index = (table + i * 8) >>> 2;
      const entry = this.#memory.u32[index]!;
      if (entry === 0 || entry === EPT_MMIO) continue;
      if (level > PG_LEVEL_4K && isTable(entry)) {
        if (this.#protectTable((entry & ADDRESS) >>> 0, level - 1, base + i * width, start, end)) changed = true;
      } else if ((entry & EPT_WRITE) !== 0) {
        this.#set(index, level > PG_LEVEL_4K ? 0 : (entry & ~(EPT_WRITE | EPT_DIRTY)) >>> 0);
        changed = true;
      }
    }
    return changed;
  }

  /** Takes a table and all below it out of use. */
  #drop(table: number, level: number): void {
    if (level > PG_LEVEL_4K)
      for (let i = 0; i < 512; i++) {
        const entry = this.#memory.u32[(table + i * 8) >>> 2]!;
        if (isTable(entry)) this.#drop((entry & ADDRESS) >>> 0, level - 1);
      }
    this.#pages.delete(table);
    this.#obsolete.push(table);
  }
}

/** An entry above the last level that refers to a table. */
function isTable(entry: number): boolean {
  return (entry & EPT_READ) !== 0 && (entry & EPT_LARGE) === 0;
}

/** Host address of the 2 MiB page around a frame, when slot and host memory are aligned alike and large enough; else -1. */
export function largePage(gfn: number, baseGfn: number, npages: number, host: number): number {
  const first = gfn - (gfn % PAGES_PER_2M);
  if (first < baseGfn || first + PAGES_PER_2M > baseGfn + npages) return -1;
  const address = host + (first - baseGfn) * PAGE_SIZE;
  return address % (PAGES_PER_2M * PAGE_SIZE) === 0 ? address : -1;
}
