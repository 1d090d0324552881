/** MASKMOVDQU and MASKMOVQ: bytes whose mask bytes are negative, to DS:rDI. */
import {
  AVX_BLOCKED, CR0, DS, FTAG, FTOP, RDI, SEG, SEG_SIZE, SSE_BLOCKED, ST_FAULT, ST_NEXT, ZERO,
} from "../../src/state/layout";
import { REC_P1, REC_P2, REC_SEG } from "../../src/state/record";
import { cpu, get32, get64, set32 } from "../cpu";
import { nm, raise, ud } from "../event";
import { probeWrite, writeN } from "../mmu";
import { CR0_EM, CR0_TS } from "../mode";
import { addressMask, linear, segmentFault } from "../segmented";
import { currentSet } from "../tlb";
import { wait } from "../x87/stack";

function storeMasked(rec: usize, size: i32): i32 {
  const overriding = <usize>load<u32>(rec + REC_SEG);
  const segment = overriding == cpu + ZERO ? DS : <i32>((overriding - cpu - SEG) / SEG_SIZE);
  const to = linear(segment, get64(RDI) & addressMask(rec), size, true);
  if (segmentFault) return ST_FAULT;
  const data = <usize>load<u32>(rec + REC_P1);
  const mask = <usize>load<u32>(rec + REC_P2);
  let any = false;
  for (let i = 0; i < size; i++) if (load<i8>(mask + <usize>i) < 0) any = true;
  // All or nothing: the bytes are looked up before the first is stored.
  if (any && !probeWrite(currentSet(), to, size)) return ST_FAULT;
  for (let i = 0; i < size; i++) {
    if (load<i8>(mask + <usize>i) < 0) writeN<u8>(to + i, load<u8>(data + <usize>i));
  }
  return ST_NEXT;
}

export function op_maskmovdqu(rec: usize): i32 {
  const blocked = get32(SSE_BLOCKED);
  return blocked ? raise(blocked) : storeMasked(rec, 16);
}

export function op_vmaskmovdqu(rec: usize): i32 {
  const blocked = get32(AVX_BLOCKED);
  return blocked ? raise(blocked) : storeMasked(rec, 16);
}

export function op_maskmovq(rec: usize): i32 {
  const cr0 = get32(CR0);
  if (cr0 & CR0_EM) return ud();
  if (cr0 & CR0_TS) return nm();
  if (wait() != ST_NEXT || storeMasked(rec, 8) != ST_NEXT) return ST_FAULT;
  set32(FTOP, 0);
  set32(FTAG, 0xff);
  return ST_NEXT;
}
