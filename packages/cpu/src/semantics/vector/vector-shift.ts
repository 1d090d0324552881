/** Shifts of packed elements by an immediate, by the low quadword of a register or each by its own, and shifts of bytes. */
import type { Value } from '../../wasm/function-builder.ts';
import type { Emitter, Semantics } from '../emitter.ts';
import {
  binary, enterMmx, firstSource, imm8, joinLow, readVector, require, source, usesMmx, withImmediate, writeVector, readHalf,
} from './operand.ts';
import { bytes, lanes, simd, zero, type SimdName, lane, withLane } from './simd.ts';

function hasImmediate(b: Emitter): boolean {
  return b.form.operands.at(-1)?.kind === 'imm';
}

/** Position of what is shifted: by an immediate VEX has it second as well. */
function shifted(b: Emitter): number {
  return firstSource(b);
}

/** The count as i32, at most 255; a memory operand of sixteen bytes must be aligned though only eight matter. */
function count(b: Emitter): Value {
  if (hasImmediate(b)) return imm8(b);
  const at = shifted(b) + 1;
  const wide = b.operand(at).kind === 'reg' && !usesMmx(b) ? readHalf(b, at, 0) : b.loadI64(source(b, at, usesMmx(b) ? 8 : 16), 0);
  return b.select(b.int('gtU', wide, b.i64(255)), b.i32(255), b.wrap(wide));
}

function shift(name: SimdName, bits: number): Semantics {
  const arithmetic = name.startsWith('shrS');
  return (b) => {
    require(b);
    const n = count(b);
    const x = readVector(b, shifted(b));
    if (usesMmx(b)) enterMmx(b);
    const inRange = b.ltU(n, b.i32(bits));
    if (arithmetic) {
      const most = b.select(inRange, n, b.i32(bits - 1));
      writeVector(b, 0, x.map((part) => simd(b, name, part, most)));
      return;
    }
    // A count of the element's width or more gives zero; WebAssembly would take it modulo the width.
    const keep = simd(b, 'splat32', b.sub(b.i32(0), inRange));
    writeVector(b, 0, x.map((part) => simd(b, 'and', simd(b, name, part, n), keep)));
  };
}

/** VPSLLVD to VPSRAVD: each element by its own count. WebAssembly shifts a vector by one count, so one element at a time. */
function shiftEach(name: 'shl' | 'shrU' | 'shrS', size: 4 | 8): Semantics {
  return binary((b, x, y) => {
    let out = x;
    for (let i = 0; i < 16 / size; i++) {
      const n = lane(b, size, y, i);
      const value = lane(b, size, x, i);
      const inRange = b.ltU(n, b.constant(size, size * 8));
      const result = name === 'shrS'
        ? b.shrS(value, b.select(inRange, n, b.i32(31)))
        : b.select(inRange, b.int(name, value, n), b.constant(size, 0));
      out = withLane(b, size, out, i, result);
    }
    return out;
  });
}


const IOTA = Array.from({ length: 16 }, (_, i) => i);

/** Bytes x[i + offset], zero outside, for -16 <= offset <= 32. */
export function pickBytes(b: Emitter, x: Value, offset: Value): Value {
  return simd(b, 'swizzle', x, simd(b, 'add8', bytes(b, IOTA), simd(b, 'splat8', offset)));
}

function clamp(b: Emitter, n: Value, most: number): Value {
  return b.select(b.ltU(n, b.i32(most)), n, b.i32(most));
}

function shiftBytes(left: boolean): Semantics {
  return (b) => {
    require(b);
    const n = clamp(b, imm8(b), 16);
    const offset = left ? b.sub(b.i32(0), n) : n;
    writeVector(b, 0, readVector(b, shifted(b)).map((part) => pickBytes(b, part, offset)));
  };
}

/** PALIGNR: dst:src shifted right by bytes. */
const alignRight: Semantics = withImmediate((b, x, y, immediate) => {
  if (usesMmx(b)) return pickBytes(b, joinLow(b, y, x), clamp(b, immediate, 16));
  const n = clamp(b, immediate, 32);
  return simd(b, 'or', pickBytes(b, y, n), pickBytes(b, x, b.sub(n, b.i32(16))));
});

/** MPSADBW: sums of four absolute differences at eight places; the upper half has immediate bits of its own. */
const multipleSums: Semantics = withImmediate((b, x, y, immediate, part) => {
  const control = part === 0 ? immediate : b.shrU(immediate, b.i32(3));
  const first = b.and(control, b.i32(4));
  const second = b.shl(b.and(control, b.i32(3)), b.i32(2));
  const block = pickBytes(b, y, second);
  let sum = zero(b);
  for (let k = 0; k < 4; k++) {
    const window = simd(b, 'extendLowU8', pickBytes(b, x, b.add(first, b.i32(k))));
    const one = simd(b, 'swizzle', block, bytes(b, IOTA.map((i) => (i & 1 ? 255 : k))));
    sum = simd(b, 'add16', sum, simd(b, 'abs16', simd(b, 'sub16', window, one)));
  }
  return sum;
});

/** PSHUFB: bytes by index, zero where the index is negative. */
const shuffleBytes: Semantics = binary(
  (b, x, control) => simd(b, 'swizzle', x, simd(b, 'and', control, lanes(b, 1, 0x8f))),
  (b, x, control) => simd(b, 'swizzle', x, simd(b, 'and', control, lanes(b, 1, 0x87))),
);

export const vectorShiftSemantics: Readonly<Record<string, Semantics>> = {
  psllw: shift('shl16', 16), pslld: shift('shl32', 32), psllq: shift('shl64', 64),
  psrlw: shift('shrU16', 16), psrld: shift('shrU32', 32), psrlq: shift('shrU64', 64),
  psraw: shift('shrS16', 16), psrad: shift('shrS32', 32),
  pslldq: shiftBytes(true), psrldq: shiftBytes(false), palignr: alignRight, mpsadbw: multipleSums, pshufb: shuffleBytes,
  psllvd: shiftEach('shl', 4), psllvq: shiftEach('shl', 8), psrlvd: shiftEach('shrU', 4), psrlvq: shiftEach('shrU', 8),
  psravd: shiftEach('shrS', 4),
};
