import { TLB_ENTRIES } from '../state/layout.ts';
import type { FunctionBuilder, Value } from '../wasm/function-builder.ts';

/** Entries of sixteen bytes, by the number of the linear page. */
const OFFSET_MASK = (TLB_ENTRIES - 1) << 4;

/** Where in a table of a TLB set the entry for a linear address (i64) lies, as i32. */
export function tlbOffset(b: FunctionBuilder, linear: Value): Value {
  return b.and(b.shrU(b.wrap(linear), b.i32(8)), b.i32(OFFSET_MASK));
}
