/**
 * Host physical memory: one shared WebAssembly memory. A host physical address is an offset in it.
 *
 * Page 0..15 are reserved (address 0 is never handed out; the microcode keeps its constants there). After them follows
 * the allocator's own state: a lock, one byte of flags a page, and a bitmap of pages in use. All of it lives in the
 * memory itself, so that every thread that attaches to the memory sees the same allocator.
 */

export const PAGE_SIZE = 4096;
export const PAGE_SHIFT = 12;
/** The largest host physical memory: the index space of 32-bit WebAssembly. */
export const MAX_PAGES = 0x10_0000;
const RESERVED = 16 * PAGE_SIZE;
// Header of the allocator, at RESERVED.
const LOCK = RESERVED;
const PAGES = RESERVED + 4;
const HINT = RESERVED + 8;
const FREE = RESERVED + 12;
const FLAGS = RESERVED + PAGE_SIZE;

/** Page flag: a processor holds translated code of this page, so that writes to it must be told to processors. */
export const PAGE_HAS_CODE = 1;

/** Called after an outside write to pages that hold translated code. */
export type CodeWriteListener = (address: number, length: number) => void;

export class OutOfHostMemory extends Error {
  constructor(pages: number, free: number) {
    super(`host memory has no ${pages} contiguous free pages (${free} pages free): create it larger`);
    this.name = 'OutOfHostMemory';
  }
}

export class HostMemory {
  readonly memory: WebAssembly.Memory;
  readonly buffer: SharedArrayBuffer;
  readonly u8: Uint8Array<SharedArrayBuffer>;
  readonly u16: Uint16Array<SharedArrayBuffer>;
  readonly i32: Int32Array<SharedArrayBuffer>;
  readonly u32: Uint32Array<SharedArrayBuffer>;
  readonly view: DataView<SharedArrayBuffer>;
  /** Pages in all. */
  readonly pages: number;
  /** Address of the page flags: one byte a page. */
  readonly pageFlags: number = FLAGS;
  readonly #used: number;
  readonly #listeners: CodeWriteListener[] = [];

  private constructor(memory: WebAssembly.Memory, pages: number) {
    this.memory = memory;
    this.buffer = memory.buffer;
    this.u8 = new Uint8Array(this.buffer);
    this.u16 = new Uint16Array(this.buffer);
    this.i32 = new Int32Array(this.buffer);
    this.u32 = new Uint32Array(this.buffer);
    this.view = new DataView(this.buffer);
    this.pages = pages;
    this.#used = FLAGS + pages;
  }

  /** Makes a host memory of at least `bytes` bytes. Pages take real memory only once they are touched. */
  static create(bytes: number): HostMemory {
    if (!(bytes > 0) || bytes > MAX_PAGES * PAGE_SIZE)
      throw new RangeError(`host memory of ${bytes} bytes: give a size above 0 and up to 4 GiB`);
    const wasmPages = Math.min(65536, Math.max(16, Math.ceil(bytes / 65536)));
    const memory = new WebAssembly.Memory({ initial: wasmPages, maximum: wasmPages, shared: true });
    const pages = wasmPages * 16;
    const host = new HostMemory(memory, pages);
    host.u32[PAGES >> 2] = pages;
    const first = Math.ceil((FLAGS + pages * 2) / PAGE_SIZE);
    host.u8.fill(1, host.#used, host.#used + first);
    host.u32[HINT >> 2] = first;
    host.u32[FREE >> 2] = pages - first;
    return host;
  }

  /** The same host memory, seen from another thread. */
  static attach(memory: WebAssembly.Memory): HostMemory {
    const pages = new Uint32Array(memory.buffer)[PAGES >> 2] ?? 0;
    if (pages === 0) throw new RangeError('the memory was not made by HostMemory.create');
    return new HostMemory(memory, pages);
  }

  /** Free pages left. */
  get freePages(): number {
    return this.u32[FREE >> 2]!;
  }

  /** Allocates contiguous pages, zeroed, aligned to `align` pages; returns their address. */
  allocPages(count: number, align = 1): number {
    if (!(count > 0) || !(align > 0)) throw new RangeError(`allocPages(${count}, ${align}): counts must be positive`);
    this.#lock();
    try {
      const hint = this.u32[HINT >> 2]!;
      let start = this.#find(count, align, hint);
      if (start < 0) start = this.#find(count, align, 0);
      if (start < 0) throw new OutOfHostMemory(count, this.freePages);
      this.u8.fill(1, this.#used + start, this.#used + start + count);
      this.u32[HINT >> 2] = start + count;
      this.u32[FREE >> 2] = this.freePages - count;
      return start * PAGE_SIZE;
    } finally {
      this.#unlock();
    }
  }

  /** Gives pages back. They are zeroed, so that the next owner sees none of what was in them. */
  free(address: number, count: number): void {
    const start = address / PAGE_SIZE;
    this.fill(address, count * PAGE_SIZE, 0);
    this.#lock();
    try {
      for (let i = start; i < start + count; i++) {
        if (this.u8[this.#used + i] !== 1) throw new RangeError(`page ${i} is freed but was not allocated`);
        this.u8[this.#used + i] = 0;
      }
      this.u32[HINT >> 2] = Math.min(this.u32[HINT >> 2]!, start);
      this.u32[FREE >> 2] = this.freePages + count;
    } finally {
      this.#unlock();
    }
  }

  /**
   * The write path for all that is not a processor's own store (loaders, DMA, ioctls): copies bytes in, and tells
   * processors when a page with translated code changed.
   */
  write(address: number, bytes: Uint8Array): void {
    this.u8.set(bytes, address);
    this.wrote(address, bytes.length);
  }

  fill(address: number, length: number, value: number): void {
    this.u8.fill(value, address, address + length);
    this.wrote(address, length);
  }

  /** Says that `length` bytes at `address` were written past `write`. */
  wrote(address: number, length: number): void {
    if (length <= 0) return;
    const last = (address + length - 1) >>> PAGE_SHIFT;
    for (let page = address >>> PAGE_SHIFT; page <= last; page++) {
      if ((this.u8[FLAGS + page]! & PAGE_HAS_CODE) === 0) continue;
      for (const listener of this.#listeners) listener(address, length);
      return;
    }
  }

  /** Registers a processor of this thread; returns what unregisters it. */
  onCodeWrite(listener: CodeWriteListener): () => void {
    this.#listeners.push(listener);
    return () => {
      const at = this.#listeners.indexOf(listener);
      if (at >= 0) this.#listeners.splice(at, 1);
    };
  }

  #find(count: number, align: number, from: number): number {
    const used = this.#used;
    const end = this.pages - count;
    let start = Math.ceil(from / align) * align;
    while (start <= end) {
      let i = 0;
      while (i < count && this.u8[used + start + i] === 0) i++;
      if (i === count) return start;
      start = Math.ceil((start + i + 1) / align) * align;
    }
    return -1;
  }

  #lock(): void {
    while (Atomics.compareExchange(this.i32, LOCK >> 2, 0, 1) !== 0);
  }

  #unlock(): void {
    Atomics.store(this.i32, LOCK >> 2, 0);
  }
}
