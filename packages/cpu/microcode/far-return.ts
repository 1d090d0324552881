/** What far returns and IRET share: the code and stack segments that the frame names (SDM vol. 2, RET and IRET). */
import { DS, ES, FS, GS, SS, ST_FAULT, ST_NEXT } from "../src/state/layout";
import { segAttr, setSeg } from "./cpu";
import { checkOffset, enterCode, restoreDescriptor, saveDescriptor, targetIs64 } from "./code-segment";
import {
  descAttr, descBase, descDpl, descIsBig, descIsCode, descIsConforming, descIsLong, descIsWritableData, descLimit, descPresent, isNull,
  loadNull, readDescriptor, setAccessed,
} from "./descriptor";
import { gp0, gpSelector, npSelector, ssSelector, VECTOR_GP } from "./event";
import {
  ATTR_DPL_SHIFT, ATTR_S, ATTR_UNUSABLE, currentPrivilege, inLongMode, updateSegmentMode,
} from "./mode";
import { setStackPointer } from "./stack";

/** Reads and checks the code segment that a frame returns to, but for the offset. ST_NEXT or ST_FAULT. */
export function readReturnCode(selector: i32): i32 {
  if (isNull(selector)) return gp0();
  if (!readDescriptor(selector, VECTOR_GP)) return ST_FAULT;
  const rpl = selector & 3;
  if (!descIsCode() || rpl < currentPrivilege()) return gpSelector(selector);
  if (descIsConforming() ? descDpl() > rpl : descDpl() != rpl) return gpSelector(selector);
  if (inLongMode() && descIsLong() && descIsBig()) return gpSelector(selector);
  return descPresent() ? ST_NEXT : npSelector(selector);
}

/**
 * Loads CS:RIP (the descriptor read last) and SS:RSP of an outer level, or in 64-bit mode of the same one. ST_NEXT, or
 * ST_FAULT with nothing changed. The stack comes before the offset (SDM vol. 2). The caller updates flags.
 */
export function returnWithStack(code: i32, offset: i64, stack: i32, pointer: i64): i32 {
  const rpl = code & 3;
  const outer = rpl > currentPrivilege();
  saveDescriptor();
  let base: i64 = 0;
  let limit: u32 = 0;
  let attr = ATTR_UNUSABLE | (rpl << ATTR_DPL_SHIFT);
  if (isNull(stack)) {
    if (!targetIs64() || rpl == 3 || (stack & 3) != rpl) return gp0();
  } else {
    if (!readDescriptor(stack, VECTOR_GP)) return ST_FAULT;
    if ((stack & 3) != rpl || !descIsWritableData() || descDpl() != rpl) return gpSelector(stack);
    if (!descPresent()) return ssSelector(stack);
    if (!setAccessed()) return ST_FAULT;
    base = descBase();
    limit = descLimit();
    attr = descAttr();
    restoreDescriptor();
  }
  if (!checkOffset(offset, 0) || !setAccessed()) return ST_FAULT;
  setSeg(SS, stack, base, limit, attr);
  enterCode(code, offset, rpl);
  updateSegmentMode();
  setStackPointer(pointer);
  if (outer) dropInnerSegments(rpl);
  return ST_NEXT;
}

/** Data segments more privileged than the level returned to become null. */
function dropInnerSegments(cpl: i32): void {
  dropIfInner(ES, cpl);
  dropIfInner(DS, cpl);
  dropIfInner(FS, cpl);
  dropIfInner(GS, cpl);
}

function dropIfInner(seg: i32, cpl: i32): void {
  const attr = segAttr(seg);
  if (attr & ATTR_UNUSABLE) return;
  const conforming = (attr & 0xc) == 0xc;
  if (attr & ATTR_S && !conforming && ((attr >> ATTR_DPL_SHIFT) & 3) < cpl) loadNull(seg, 0);
}
