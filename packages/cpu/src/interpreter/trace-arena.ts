import type { HostMemory } from '@vm/kvm-run';
import {
  ARENA_END, ARENA_NEXT, ARENA_START, PAGE_TRACES, TRACE_HASH, TRACE_HASH_ENTRIES, TRACE_HASH_ENTRY_SIZE, TRACE_HASH_SIZE,
} from '../state/layout.ts';
import {
  REC_SIZE, TRACE_BYTES, TRACE_HASH_SLOT, TRACE_HEADER_SIZE, TRACE_HOST, TRACE_HOST2, TRACE_NEXT, TRACE_RECORDS,
} from '../state/record.ts';

/** Hash tables: one a code mode, and one a code mode for single-instruction traces. */
const HASH_TABLES = 6;

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

  /** `protect` is told the host address before the first trace of its page is registered. */
  constructor(memory: HostMemory, area: number, bytes: number, protect: (host: number) => void) {
    this.#memory = memory;
    this.#area = area;
    this.#protect = protect;
    this.#start = memory.allocPages(Math.ceil(bytes / 4096));
    this.#end = this.#start + bytes;
    this.#heads = memory.allocPages(Math.ceil((memory.pages * 4) / 4096));
    this.#next = this.#start;
    this.#setWord(ARENA_START, this.#start);
    this.#setWord(ARENA_END, this.#end);
    this.#setWord(PAGE_TRACES, this.#heads);
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

  /** Keeps a trace that was written at `header`: header, then `records` records. */
  keep(header: number, host: number, bytes: number, records: number, hashTable: number, host2: number): void {
    const u32 = this.#memory.u32;
    const slot = this.#slot(hashTable, host);
    u32[(header + TRACE_HOST) >>> 2] = host;
    u32[(header + TRACE_BYTES) >>> 2] = bytes;
    u32[(header + TRACE_RECORDS) >>> 2] = records;
    u32[(header + TRACE_HASH_SLOT) >>> 2] = slot;
    u32[(header + TRACE_HOST2) >>> 2] = host2;
    this.#register(header, host);
    u32[slot >>> 2] = host;
    u32[(slot + 4) >>> 2] = header + TRACE_HEADER_SIZE;
    this.#advance(header + TRACE_HEADER_SIZE + records * REC_SIZE);
  }

  /** Registers one record with a page of code bytes, so that a write to them overwrites its handler. Returns the record. */
  guard(header: number, host: number, bytes: number, handler: number): number {
    const u32 = this.#memory.u32;
    u32[(header + TRACE_HOST) >>> 2] = host;
    u32[(header + TRACE_BYTES) >>> 2] = bytes;
    u32[(header + TRACE_RECORDS) >>> 2] = 1;
    u32[(header + TRACE_HASH_SLOT) >>> 2] = 0;
    u32[(header + TRACE_HOST2) >>> 2] = 0;
    const record = header + TRACE_HEADER_SIZE;
    this.#memory.u16[record >>> 1] = handler;
    this.#register(header, host);
    this.#advance(record + REC_SIZE);
    return record;
  }

  /** Forgets all traces. */
  flush(): void {
    this.flushes++;
    this.#next = this.#start;
    const u8 = this.#memory.u8;
    u8.fill(0, this.#area + TRACE_HASH, this.#area + TRACE_HASH + HASH_TABLES * TRACE_HASH_SIZE);
    u8.fill(0, this.#heads, this.#heads + this.#memory.pages * 4);
    this.#setWord(ARENA_NEXT, this.#next);
  }

  #slot(table: number, host: number): number {
    const index = (host ^ (host >>> 15)) & (TRACE_HASH_ENTRIES - 1);
    return this.#area + TRACE_HASH + table * TRACE_HASH_SIZE + index * TRACE_HASH_ENTRY_SIZE;
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
