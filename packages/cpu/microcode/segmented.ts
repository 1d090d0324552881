/** Segmented addresses: limits and rights of legacy modes, and the address record (SDM vol. 3A, 4.3 to 4.5). */
import { EA, FS, SS, ST_FAULT, ST_NEXT } from "../src/state/layout";
import {
  ADDRESS_AFTER_STACK, ADDRESS_AFTER_X87, ADDRESS_OF_BIT, ADDRESS_UNCHECKED, PREFIX_ADDRSIZE_SHIFT, REC_BASE, REC_DISP, REC_IMM, REC_INDEX_REG, REC_P1, REC_P2, REC_P3, REC_PREFIX, REC_SCALE,
} from "../src/state/record";
import { segAttr, segBase, segLimit, set64 } from "./cpu";
import { raiseError, VECTOR_GP, VECTOR_SS } from "./event";
import { ATTR_DB, ATTR_UNUSABLE, in64BitMode, inRealOrV86, isCanonical } from "./mode";
import { openStack, peek, stackFault } from "./stack";
import { wait } from "./x87/stack";

/** Not zero when the last linear() failed: #GP(0) or #SS(0) is pending. */
export let segmentFault: i32 = 0;

/** Do `size` bytes at `offset` lie within the segment? */
export function withinLimit(offset: u32, size: u32, limit: u32, attr: i32): bool {
  const last = offset + size - 1;
  if (last < offset) return false;
  // Expand-down data: valid offsets lie above the limit (SDM vol. 3A, 6.3).
  if ((attr & 0x1c) == 0x14) return offset > limit && last <= (attr & ATTR_DB ? 0xffffffff : 0xffff);
  return last <= limit;
}

/** Does the segment's type allow the access? In real and virtual-8086 mode each does. */
function typeAllows(attr: i32, write: bool): bool {
  if (attr & ATTR_UNUSABLE) return false;
  if (inRealOrV86()) return true;
  const code = (attr & 8) != 0;
  return write ? !code && (attr & 2) != 0 : !code || (attr & 2) != 0;
}

/** Linear address of `size` bytes at `offset` of a segment; check segmentFault. */
export function linear(seg: i32, offset: i64, size: i32, write: bool): i64 {
  segmentFault = 0;
  if (in64BitMode()) {
    const address = seg >= FS ? segBase(seg) + offset : offset;
    if (!isCanonical(address) || !isCanonical(address + size - 1)) refuse(seg);
    return address;
  }
  const attr = segAttr(seg);
  if (!typeAllows(attr, write) || !withinLimit(<u32>offset, size, segLimit(seg), attr)) refuse(seg);
  return (segBase(seg) + (offset & 0xffffffff)) & 0xffffffff;
}

function linearUnchecked(seg: i32, offset: i64): i64 {
  if (in64BitMode()) return seg >= FS ? segBase(seg) + offset : offset;
  return (segBase(seg) + (offset & 0xffffffff)) & 0xffffffff;
}

function refuse(seg: i32): void {
  segmentFault = 1;
  raiseError(seg == SS ? VECTOR_SS : VECTOR_GP, 0);
}

/** Mask of a record's address size. */
// @ts-ignore: decorator
@inline
export function addressMask(rec: usize): i64 {
  const size = (<i32>load<u8>(rec + REC_PREFIX) >> PREFIX_ADDRSIZE_SHIFT) & 3;
  return size == 3 ? -1 : size == 2 ? 0xffffffff : 0xffff;
}

/** Effective address (the offset in its segment) of a record's memory operand, cut to the address size. */
export function effectiveAddress(rec: usize): i64 {
  const sum =
    load<i64>(<usize>load<u32>(rec + REC_BASE)) +
    (load<i64>(<usize>load<u32>(rec + REC_INDEX_REG)) << <i64>load<u8>(rec + REC_SCALE)) +
    load<i64>(rec + REC_DISP);
  return sum & addressMask(rec);
}

/** Bytes from a bit string's address to the operand that holds the bit (SDM vol. 2A, BT). */
function bitDistance(register: usize, size: i32): i64 {
  if (size == 2) return <i64>(load<i16>(register) >> 4) * 2;
  return size == 4 ? <i64>(load<i32>(register) >> 5) * 4 : (load<i64>(register) >> 6) * 8;
}

/** Can POP read its `size` bytes? A fault of that comes before one of the destination. */
function readable(size: i32): bool {
  openStack();
  peek(size, 0);
  return !stackFault;
}

/**
 * The address record: stores at EA the linear address of the following instruction's memory operand. P1 is the
 * segment's number, P2 the access size in bytes, P3 not zero for a write, the immediate one of ADDRESS_*.
 */
export function op_address(rec: usize): i32 {
  // What an x87 instruction waits for comes before its operand.
  const kind = load<i32>(rec + REC_IMM);
  if (kind == ADDRESS_AFTER_X87 && wait() != ST_NEXT) return ST_FAULT;
  if (kind == ADDRESS_AFTER_STACK && !readable(load<i32>(rec + REC_IMM + 4))) return ST_FAULT;
  if (kind == ADDRESS_UNCHECKED) {
    set64(EA, linearUnchecked(load<i32>(rec + REC_P1), effectiveAddress(rec)));
    return ST_NEXT;
  }
  const distance = kind >= ADDRESS_OF_BIT ? bitDistance(<usize>load<u32>(rec + REC_IMM + 4), kind - ADDRESS_OF_BIT) : 0;
  const write = load<i32>(rec + REC_P3) != 0;
  // Operands without a size (INVLPG, XSAVE) are checked by their first byte.
  const size = max<i32>(load<i32>(rec + REC_P2), 1);
  const address = linear(load<i32>(rec + REC_P1), (effectiveAddress(rec) + distance) & addressMask(rec), size, write);
  if (segmentFault) return ST_FAULT;
  // The instruction adds the distance itself.
  set64(EA, address - distance);
  return ST_NEXT;
}
