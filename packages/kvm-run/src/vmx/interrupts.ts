/**
 * Raising interrupts of a physical CPU from any thread, on nothing but the shared memory: `pendingVectors` of a
 * Processor is the address of eight u32 (one bit a vector), and the request word follows them. A processor that runs a
 * guest looks at the request word at least once a slice.
 */

/** The request word: an NMI is pending. */
export const REQUEST_NMI = 0x1;
/** An INIT signal is pending. */
export const REQUEST_INIT = 0x2;
/** A look at the pending vectors is due. */
export const REQUEST_LOOK = 0x4;
/** All translated code is to be dropped. */
export const REQUEST_FLUSH_CODE = 0x8;
export const REQUEST_SIPI_VECTOR_SHIFT = 8;
export const REQUEST_SIPI = 0x10000;

const WORDS = 8;

/** Makes `vector` pending. `memory` is an Int32Array over the whole host memory. */
export function raiseInterrupt(memory: Int32Array<SharedArrayBuffer>, pendingVectors: number, vector: number): void {
  Atomics.or(memory, (pendingVectors >>> 2) + ((vector >> 5) & 7), 1 << (vector & 31));
  raiseRequest(memory, pendingVectors, REQUEST_LOOK);
}

/** Sets bits of the request word, and wakes who waits on it. */
export function raiseRequest(memory: Int32Array<SharedArrayBuffer>, pendingVectors: number, bits: number): void {
  const word = (pendingVectors >>> 2) + WORDS;
  Atomics.or(memory, word, bits);
  Atomics.notify(memory, word);
}

/** Takes the highest pending vector away and returns it, or -1. */
export function takeInterrupt(memory: Int32Array<SharedArrayBuffer>, pendingVectors: number): number {
  for (let i = WORDS - 1; i >= 0; i--) {
    const word = (pendingVectors >>> 2) + i;
    const bits = Atomics.load(memory, word);
    if (bits === 0) continue;
    const bit = 31 - Math.clz32(bits);
    Atomics.and(memory, word, ~(1 << bit));
    return i * 32 + bit;
  }
  return -1;
}
