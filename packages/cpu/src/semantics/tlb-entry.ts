import { TLB_ENTRIES } from '../state/layout.ts';
import type { FunctionBuilder, Value } from '../wasm/function-builder.ts';

const PAGE = 0x1000;
/** Entries of sixteen bytes, by the number of the linear page. */
const OFFSET_MASK = (TLB_ENTRIES - 1) << 4;

/** Where in a table of a TLB set the entry for a linear address (i64) lies, as i32. */
export function tlbOffset(b: FunctionBuilder, linear: Value): Value {
  return b.and(b.shrU(b.wrap(linear), b.i32(8)), b.i32(OFFSET_MASK));
}

/** i32: `size` bytes at a linear address do not all lie in the page that its entry's tag (i64) is of. */
export function missesTag(b: FunctionBuilder, linear: Value, tag: Value, size: number): Value {
  return b.int('gtU', b.xor(linear, tag), b.i64(PAGE - size));
}
