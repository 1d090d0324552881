/** VGATHERDPS to VPGATHERQQ (SDM vol. 2C): elements by a vector of indices, where the mask says so. */
import { AVX_BLOCKED, ST_FAULT, ST_NEXT } from "../../src/state/layout";
import {
  ELEMENT_BYTES, ELEMENT_INDEX_BYTES, ELEMENT_INDEX_WIDTH, ELEMENT_SEGMENT, ELEMENT_WIDTH, REC_BASE, REC_DISP, REC_IMM, REC_P1, REC_P2,
  REC_P3, REC_SCALE,
} from "../../src/state/record";
import { get32 } from "../cpu";
import { raise } from "../event";
import { fault, readAs } from "../mmu";
import { addressMask, linear, segmentFault } from "../segmented";
import { unalignedSet } from "../tlb";

/** One element; false: a fault is pending. */
function element(rec: usize, index: i64, width: i32, to: usize): bool {
  const address = elementAddress(rec, index << <i64>load<u8>(rec + REC_SCALE), width, false);
  if (segmentFault) return false;
  const value = width == 8 ? readAs<u64>(unalignedSet(), address) : <u64>readAs<u32>(unalignedSet(), address);
  if (fault) return false;
  if (width == 8) store<u64>(to, value);
  else store<u32>(to, <u32>value);
  return true;
}

/** Where an element is: in VMASKMOV the one at a distance, in gathers by an index; check segmentFault. */
// @ts-ignore: decorator
@inline
export function elementAddress(rec: usize, distance: i64, width: i32, write: bool): i64 {
  const base = load<i64>(<usize>load<u32>(rec + REC_BASE)) + load<i64>(rec + REC_DISP);
  return linear(<i32>load<u8>(rec + REC_IMM + ELEMENT_SEGMENT), (base + distance) & addressMask(rec), width, write);
}

/** Whether the sign bit of a mask element is set. */
// @ts-ignore: decorator
@inline
export function isChosen(mask: usize, width: i32): bool {
  return load<i8>(mask + <usize>(width - 1)) < 0;
}

/**
 * Elements are gathered from the lowest on. A fault leaves those done before it done, their mask elements cleared, so that
 * the instruction goes on where it stopped.
 */
export function op_gather(rec: usize): i32 {
  const blocked = get32(AVX_BLOCKED);
  if (blocked) return raise(blocked);
  const width = <i32>load<u8>(rec + REC_IMM + ELEMENT_WIDTH);
  const indexWidth = <i32>load<u8>(rec + REC_IMM + ELEMENT_INDEX_WIDTH);
  const count = min<i32>(<i32>load<u8>(rec + REC_IMM + ELEMENT_BYTES) / width, <i32>load<u8>(rec + REC_IMM + ELEMENT_INDEX_BYTES) / indexWidth);
  const target = <usize>load<u32>(rec + REC_P1);
  const indices = <usize>load<u32>(rec + REC_P2);
  const mask = <usize>load<u32>(rec + REC_P3);
  for (let i = 0; i < count; i++) {
    const at = <usize>(i * width);
    const index = indexWidth == 8 ? load<i64>(indices + <usize>(i << 3)) : <i64>load<i32>(indices + <usize>(i << 2));
    if (isChosen(mask + at, width) && !element(rec, index, width, target + at)) return ST_FAULT;
    if (width == 8) store<i64>(mask + at, 0);
    else store<i32>(mask + at, 0);
  }
  const done = <usize>(count * width);
  memory.fill(target + done, 0, 32 - done);
  memory.fill(mask, 0, 32);
  return ST_NEXT;
}
