/** PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM (SDM vol. 2B, 4.1). */
import { RAX, RCX, RDX, ST_FAULT, ST_NEXT, XMM } from "../../src/state/layout";
import { REC_IMM, REC_P1 } from "../../src/state/record";
import { cpu, get32, get64, set64 } from "../cpu";
import { FLAG_BIT_CF, FLAG_BIT_OF, FLAG_BIT_SF, FLAG_BIT_ZF, setFlags } from "../flags";
import { AVX2_OPERANDS, sourceOperand, SSE } from "./operand";

/** Operands, element count, and how the immediate reads them. */
let first: usize = 0;
let second: usize = 0;
let words: bool = false;
let signed: bool = false;
let count: i32 = 0;
let firstLength: i32 = 0;
let secondLength: i32 = 0;

function element(operand: usize, i: i32): i32 {
  if (words) return signed ? load<i16>(operand + <usize>(i << 1)) : load<u16>(operand + <usize>(i << 1));
  return signed ? load<i8>(operand + <usize>i) : load<u8>(operand + <usize>i);
}

/** Elements before the terminating zero. */
function implicitLength(operand: usize): i32 {
  for (let i = 0; i < count; i++) if (element(operand, i) == 0) return i;
  return count;
}

/** The magnitude of a register, at most the element count. */
function explicitLength(register: usize, wide: bool): i32 {
  const value: i64 = wide ? get64(register) : get32(register);
  if (value >= count || value <= -count) return count;
  return <i32>(value < 0 ? -value : value);
}

/** 4.1.3: does the aggregation hold for element j of the second operand? */
function holds(aggregation: i32, j: i32): bool {
  if (aggregation == 2) {
    // Equal each: both ended counts as equal.
    if (j >= firstLength || j >= secondLength) return j >= firstLength && j >= secondLength;
    return element(first, j) == element(second, j);
  }
  if (aggregation == 3) return startsAt(j);
  if (j >= secondLength) return false;
  const value = element(second, j);
  if (aggregation == 0) {
    for (let i = 0; i < firstLength; i++) if (element(first, i) == value) return true;
    return false;
  }
  for (let i = 0; i + 1 < firstLength; i += 2) {
    if (element(first, i) <= value && value <= element(first, i + 1)) return true;
  }
  return false;
}

/** Equal ordered: the first operand is found at j, or begins there and runs over the end. */
function startsAt(j: i32): bool {
  for (let i = 0; i < firstLength && i + j < count; i++) {
    if (i + j >= secondLength || element(first, i) != element(second, i + j)) return false;
  }
  return true;
}

/** IntRes2: one bit an element. */
function compare(control: i32): i32 {
  let bits = 0;
  for (let j = 0; j < count; j++) bits |= i32(holds((control >> 2) & 3, j)) << j;
  const polarity = (control >> 4) & 3;
  const all = (1 << count) - 1;
  if (polarity == 1) return bits ^ all;
  return polarity == 3 ? bits ^ ((1 << secondLength) - 1) : bits;
}

function setComparisonFlags(bits: i32): void {
  let flags = bits != 0 ? FLAG_BIT_CF : 0;
  if (secondLength < count) flags |= FLAG_BIT_ZF;
  if (firstLength < count) flags |= FLAG_BIT_SF;
  if (bits & 1) flags |= FLAG_BIT_OF;
  setFlags(flags);
}

/** An index to ECX: of the least or the most significant bit set. */
function writeIndex(bits: i32, most: bool): void {
  let index = count;
  if (bits != 0) index = most ? 31 - clz<i32>(bits) : ctz<i32>(bits);
  set64(RCX, index);
}

/** A mask to XMM0: bits, or whole elements. */
function writeMask(bits: i32, expanded: bool): void {
  const target = cpu + XMM;
  store<u64>(target, 0);
  store<u64>(target, 0, 8);
  if (!expanded) {
    store<u32>(target, bits);
    return;
  }
  for (let i = 0; i < count; i++) {
    if (!((bits >> i) & 1)) continue;
    if (words) store<u16>(target + <usize>(i << 1), 0xffff);
    else store<u8>(target + <usize>i, 0xff);
  }
}

const IMPLICIT = 0;
const EXPLICIT = 1;
const EXPLICIT_WIDE = 2;

function run(rec: usize, lengths: i32, mask: bool, encoding: i32 = SSE): i32 {
  second = sourceOperand(rec, false, encoding);
  if (second == 0) return ST_FAULT;
  first = <usize>load<u32>(rec + REC_P1);
  const control = <i32>load<u8>(rec + REC_IMM);
  words = (control & 1) != 0;
  signed = (control & 2) != 0;
  count = words ? 8 : 16;
  firstLength = lengths == IMPLICIT ? implicitLength(first) : explicitLength(RAX, lengths == EXPLICIT_WIDE);
  secondLength = lengths == IMPLICIT ? implicitLength(second) : explicitLength(RDX, lengths == EXPLICIT_WIDE);
  const bits = compare(control);
  setComparisonFlags(bits);
  if (mask) {
    writeMask(bits, (control & 0x40) != 0);
    if (encoding != SSE) v128.store(cpu + XMM, i64x2.splat(0), 16);
  } else writeIndex(bits, (control & 0x40) != 0);
  return ST_NEXT;
}

export function op_pcmpestri(rec: usize): i32 { return run(rec, EXPLICIT, false); }
export function op_pcmpestri64(rec: usize): i32 { return run(rec, EXPLICIT_WIDE, false); }
export function op_pcmpestrm(rec: usize): i32 { return run(rec, EXPLICIT, true); }
export function op_pcmpestrm64(rec: usize): i32 { return run(rec, EXPLICIT_WIDE, true); }
export function op_pcmpistri(rec: usize): i32 { return run(rec, IMPLICIT, false); }
export function op_pcmpistrm(rec: usize): i32 { return run(rec, IMPLICIT, true); }
export function op_vpcmpestri(rec: usize): i32 { return run(rec, EXPLICIT, false, AVX2_OPERANDS); }
export function op_vpcmpestri64(rec: usize): i32 { return run(rec, EXPLICIT_WIDE, false, AVX2_OPERANDS); }
export function op_vpcmpestrm(rec: usize): i32 { return run(rec, EXPLICIT, true, AVX2_OPERANDS); }
export function op_vpcmpestrm64(rec: usize): i32 { return run(rec, EXPLICIT_WIDE, true, AVX2_OPERANDS); }
export function op_vpcmpistri(rec: usize): i32 { return run(rec, IMPLICIT, false, AVX2_OPERANDS); }
export function op_vpcmpistrm(rec: usize): i32 { return run(rec, IMPLICIT, true, AVX2_OPERANDS); }
