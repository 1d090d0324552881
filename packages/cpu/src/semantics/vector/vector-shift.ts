/** Shifts of packed elements by an immediate or by the low quadword of a register, and shifts of bytes. */
import type { Value } from '../../wasm/function-builder.ts';
import * as op from '../../wasm/opcodes.ts';
import type { Emitter, Semantics } from '../emitter.ts';
import { enterMmx, imm8, readVector, require, source, usesMmx, withImmediate, writeVector, joinLow } from './operand.ts';
import { bytes, lanes, simd, zero, type SimdName } from './simd.ts';

/** The count as i32, at most 255; a memory operand of sixteen bytes must be aligned though only eight matter. */
function count(b: Emitter, mmx: boolean): Value {
  if (b.operand(1).kind === 'imm') return imm8(b);
  const address = source(b, 1, mmx ? 8 : 16);
  const wide = b.load(op.I64_LOAD, address, 0);
  return b.select(b.int('gtU', wide, b.i64(255)), b.i32(255), b.wrap(wide));
}

function shift(name: SimdName, bits: number): Semantics {
  const arithmetic = name.startsWith('shrS');
  return (b) => {
    const mmx = usesMmx(b);
    require(b);
    const n = count(b, mmx);
    const x = readVector(b, 0, mmx);
    if (mmx) enterMmx(b);
    const inRange = b.ltU(n, b.i32(bits));
    if (arithmetic) {
      writeVector(b, 0, simd(b, name, x, b.select(inRange, n, b.i32(bits - 1))), mmx);
      return;
    }
    // A count of the element's width or more gives zero; WebAssembly would take it modulo the width.
    const keep = simd(b, 'splat32', b.sub(b.i32(0), inRange));
    writeVector(b, 0, simd(b, 'and', simd(b, name, x, n), keep), mmx);
  };
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
    b.requireSse();
    const n = clamp(b, imm8(b), 16);
    const x = readVector(b, 0, false);
    writeVector(b, 0, pickBytes(b, x, left ? b.sub(b.i32(0), n) : n), false);
  };
}

/** PALIGNR: dst:src shifted right by bytes. */
const alignRight: Semantics = (b) => {
  withImmediate((e, x, y, immediate) => {
    if (usesMmx(e)) return pickBytes(e, joinLow(e, y, x), clamp(e, immediate, 16));
    const n = clamp(e, immediate, 32);
    const low = pickBytes(e, y, n);
    return simd(e, 'or', low, pickBytes(e, x, e.sub(n, e.i32(16))));
  })(b);
};

/** MPSADBW: sums of four absolute differences at eight places. */
const multipleSums: Semantics = withImmediate((b, x, y, immediate) => {
  const first = b.and(immediate, b.i32(4));
  const second = b.shl(b.and(immediate, b.i32(3)), b.i32(2));
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
const shuffleBytes: Semantics = (b) => {
  const mmx = usesMmx(b);
  require(b);
  const control = readVector(b, 1, mmx);
  const x = readVector(b, 0, mmx);
  if (mmx) enterMmx(b);
  writeVector(b, 0, simd(b, 'swizzle', x, simd(b, 'and', control, lanes(b, 1, mmx ? 0x87 : 0x8f))), mmx);
};

export const vectorShiftSemantics: Readonly<Record<string, Semantics>> = {
  psllw: shift('shl16', 16), pslld: shift('shl32', 32), psllq: shift('shl64', 64),
  psrlw: shift('shrU16', 16), psrld: shift('shrU32', 32), psrlq: shift('shrU64', 64),
  psraw: shift('shrS16', 16), psrad: shift('shrS32', 32),
  pslldq: shiftBytes(true), psrldq: shiftBytes(false), palignr: alignRight, mpsadbw: multipleSums, pshufb: shuffleBytes,
};
