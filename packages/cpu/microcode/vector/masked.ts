/** VMASKMOVPS and its kin: elements whose mask elements are negative; what the mask leaves out is not touched in memory. */
import { AVX_BLOCKED, ST_FAULT, ST_NEXT } from "../../src/state/layout";
import {
  ELEMENT_BYTES, ELEMENT_WIDTH, REC_IMM, REC_INDEX_REG, REC_P1, REC_P2, REC_P3, REC_SCALE,
} from "../../src/state/record";
import { get32 } from "../cpu";
import { raise } from "../event";
import { fault, probeWrite, readAs, writeAs } from "../mmu";
import { segmentFault } from "../segmented";
import { unalignedSet } from "../tlb";
import { elementAddress, isChosen } from "./gather";

const results = memory.data(32, 16);

/** Linear address of the element at a distance; check segmentFault. */
function address(rec: usize, at: i32, width: i32, write: bool): i64 {
  const index = load<i64>(<usize>load<u32>(rec + REC_INDEX_REG)) << <i64>load<u8>(rec + REC_SCALE);
  return elementAddress(rec, index + at, width, write);
}

function loadMasked(rec: usize, width: i32, size: i32): i32 {
  const mask = <usize>load<u32>(rec + REC_P2);
  memory.fill(results, 0, 32);
  for (let at = 0; at < size; at += width) {
    if (!isChosen(mask + <usize>at, width)) continue;
    const from = address(rec, at, width, false);
    if (segmentFault) return ST_FAULT;
    const value = width == 8 ? readAs<u64>(unalignedSet(), from) : <u64>readAs<u32>(unalignedSet(), from);
    if (fault) return ST_FAULT;
    if (width == 8) store<u64>(results + <usize>at, value);
    else store<u32>(results + <usize>at, <u32>value);
  }
  memory.copy(<usize>load<u32>(rec + REC_P1), results, 32);
  return ST_NEXT;
}

/** All chosen elements can be written before the first is. */
function storeMasked(rec: usize, width: i32, size: i32): i32 {
  const mask = <usize>load<u32>(rec + REC_P2);
  const data = <usize>load<u32>(rec + REC_P3);
  for (let at = 0; at < size; at += width) {
    if (!isChosen(mask + <usize>at, width)) continue;
    const to = address(rec, at, width, true);
    if (segmentFault || !probeWrite(unalignedSet(), to, width)) return ST_FAULT;
  }
  for (let at = 0; at < size; at += width) {
    if (!isChosen(mask + <usize>at, width)) continue;
    const to = address(rec, at, width, true);
    if (width == 8) writeAs<u64>(unalignedSet(), to, load<u64>(data + <usize>at));
    else writeAs<u32>(unalignedSet(), to, load<u32>(data + <usize>at));
  }
  return ST_NEXT;
}

export function op_maskmov(rec: usize): i32 {
  const blocked = get32(AVX_BLOCKED);
  if (blocked) return raise(blocked);
  const width = <i32>load<u8>(rec + REC_IMM + ELEMENT_WIDTH);
  const size = <i32>load<u8>(rec + REC_IMM + ELEMENT_BYTES);
  return load<u32>(rec + REC_P1) != 0 ? loadMasked(rec, width, size) : storeMasked(rec, width, size);
}
