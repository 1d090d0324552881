import type { HostMemory } from '@vm/kvm-run';
import {
  ARENA_END, ARENA_NEXT, ARENA_START, PAGE_TRACES, TRACE_HASH, TRACE_HASH_ENTRY_SIZE, TRACE_HASH_MULTIPLIER, TRACE_HASH_SHIFT, TRACE_HASH_BYTES,
} from '../state/layout.ts';
import {
  REC_SIZE, TRACE_BYTES, TRACE_HASH_NEXT, TRACE_HASH_SLOT, TRACE_HEADER_SIZE, TRACE_HOST, TRACE_HOST2, TRACE_NEXT, TRACE_RECORDS,
  TRACE_REGION,
} from '../state/record.ts';

/**
 * Memory of the translated traces: a bump allocator; when it is full everything is forgotten and translated again.
 * Only the processor's own thread uses it.
 */
export class TraceArena {
  readonly #memory: HostMemory;
  readonly #area: number;
  readonly #protect: (host: number) => void;
  readonly #start: number;
  readonly #end: number;
  readonly #heads: number;
  #next: number;
  /** How often everything was forgotten. */
  flushes = 0;

  readonly #forgotten: () => void;

  /**
   * `protect` is told the host address before the first trace of its page is registered, `forgotten` is called when all
   * traces are gone.
   */
  constructor(memory: HostMemory, area: number, bytes: number, protect: (host: number) => void, forgotten: () => void) {
    this.#memory = memory;
    this.#area = area;
    this.#protect = protect;
    this.#forgotten = forgotten;
    this.#start = memory.allocPages(Math.ceil(bytes / 4096));
    this.#end = this.#start + bytes;
    this.#heads = memory.allocPages(Math.ceil((memory.pages * 4) / 4096));
    this.#next = this.#start;
    this.#setWord(ARENA_START, this.#start);
    this.#setWord(ARENA_END, this.#end);
    this.#setWord(PAGE_TRACES, this.#heads);
  }

  /** Bytes in all. */
  get room(): number {
    return this.#end - this.#start;
  }

  /** Pages held, to be given back. */
  dispose(): void {
    this.#memory.free(this.#start, Math.ceil((this.#end - this.#start) / 4096));
    this.#memory.free(this.#heads, Math.ceil((this.#memory.pages * 4) / 4096));
  }

  /** Room for a trace of at most `records` records: the address of its header. May forget all traces. */
  reserve(records: number): number {
    const bytes = 2 * TRACE_HEADER_SIZE + (records + 1) * REC_SIZE;
    if (this.#next + bytes > this.#end) this.flush();
    return this.#next;
  }

  /** Keeps a trace that was written at `header`: header, then `records` records. `mode` is CODE_MODE + SINGLE_STEP. */
  keep(header: number, host: number, bytes: number, records: number, mode: number, host2: number): void {
    const u32 = this.#memory.u32;
    const slot = this.#slot(mode, host);
    u32[(header + TRACE_HOST) >>> 2] = host;
    u32[(header + TRACE_BYTES) >>> 2] = bytes;
    u32[(header + TRACE_RECORDS) >>> 2] = records;
    u32[(header + TRACE_HASH_SLOT) >>> 2] = slot;
    u32[(header + TRACE_HOST2) >>> 2] = host2;
    u32[(header + TRACE_REGION) >>> 2] = 0;
    this.#register(header, host);
    u32[(header + TRACE_HASH_NEXT) >>> 2] = this.#hashed(slot);
    u32[slot >>> 2] = host;
    u32[(slot + 4) >>> 2] = header + TRACE_HEADER_SIZE;
    this.#advance(header + TRACE_HEADER_SIZE + records * REC_SIZE);
  }

  /** Whether there is a trace that begins at the host address. */
  has(mode: number, host: number): boolean {
    const u32 = this.#memory.u32;
    for (let header = this.#hashed(this.#slot(mode, host)); header !== 0; header = u32[(header + TRACE_HASH_NEXT) >>> 2]!)
      if (u32[(header + TRACE_HOST) >>> 2] === host) return true;
    return false;
  }

  /** Header of the first trace of a hash entry, or 0. */
  #hashed(slot: number): number {
    const u32 = this.#memory.u32;
    return u32[slot >>> 2] === 0 ? 0 : u32[(slot + 4) >>> 2]! - TRACE_HEADER_SIZE;
  }

  /** Registers one record with a page of code bytes, so that a write to them overwrites its handler. Returns the record. */
  guard(header: number, host: number, bytes: number, handler: number): number {
    const u32 = this.#memory.u32;
    u32[(header + TRACE_HOST) >>> 2] = host;
    u32[(header + TRACE_BYTES) >>> 2] = bytes;
    u32[(header + TRACE_RECORDS) >>> 2] = 1;
    u32[(header + TRACE_HASH_SLOT) >>> 2] = 0;
    u32[(header + TRACE_HOST2) >>> 2] = 0;
    u32[(header + TRACE_REGION) >>> 2] = 0;
    const record = header + TRACE_HEADER_SIZE;
    this.#memory.u16[record >>> 1] = handler;
    this.#register(header, host);
    this.#advance(record + REC_SIZE);
    return record;
  }

  /**
   * Registers code bytes (of one page) from which a region was compiled: a write to them takes the region off `record`.
   * Room must have been reserved.
   */
  guardRegion(host: number, bytes: number, record: number): void {
    const u32 = this.#memory.u32;
    const header = this.#next;
    u32[(header + TRACE_HOST) >>> 2] = host;
    u32[(header + TRACE_BYTES) >>> 2] = bytes;
    u32[(header + TRACE_RECORDS) >>> 2] = 0;
    u32[(header + TRACE_HASH_SLOT) >>> 2] = 0;
    u32[(header + TRACE_HOST2) >>> 2] = 0;
    u32[(header + TRACE_REGION) >>> 2] = record;
    this.#register(header, host);
    this.#advance(header + TRACE_HEADER_SIZE);
  }

  /** Cleared memory that lives until all traces are forgotten, or 0 where there is no room. */
  allocate(bytes: number): number {
    const at = this.#next;
    if (at + bytes > this.#end) return 0;
    this.#memory.u8.fill(0, at, at + bytes);
    this.#advance(at + bytes);
    return at;
  }

  /** Keeps records that belong to no trace: what a region's calls to microcode execute. */
  keepRecords(from: number, records: number): void {
    this.#advance(from + records * REC_SIZE);
  }

  /** Forgets all traces. */
  flush(): void {
    this.flushes++;
    this.#next = this.#start;
    const u8 = this.#memory.u8;
    u8.fill(0, this.#area + TRACE_HASH, this.#area + TRACE_HASH + TRACE_HASH_BYTES);
    u8.fill(0, this.#heads, this.#heads + this.#memory.pages * 4);
    this.#setWord(ARENA_NEXT, this.#next);
    this.#forgotten();
  }

  #slot(mode: number, host: number): number {
    const index = (Math.imul(host, TRACE_HASH_MULTIPLIER) >>> TRACE_HASH_SHIFT) ^ mode;
    return this.#area + TRACE_HASH + index * TRACE_HASH_ENTRY_SIZE;
  }

  #register(header: number, host: number): void {
    this.#protect(host);
    const head = (this.#heads + (host >>> 12) * 4) >>> 2;
    this.#memory.u32[(header + TRACE_NEXT) >>> 2] = this.#memory.u32[head]!;
    this.#memory.u32[head] = header;
  }

  #advance(to: number): void {
    this.#next = (to + 7) & ~7;
    if (this.#next < 0) this.#next += 0x1_0000_0000;
    this.#setWord(ARENA_NEXT, this.#next);
  }

  #setWord(offset: number, value: number): void {
    this.#memory.u32[(this.#area + offset) >>> 2] = value;
  }
}
