/** AVX and AVX2: broadcasts, permutations across the halves, inserts and extracts of halves, zeroing of upper halves. */
import { XMM, XMM_SIZE } from '../../state/layout.ts';
import type { Value } from '../../wasm/function-builder.ts';
import * as op from '../../wasm/opcodes.ts';
import type { Emitter, Semantics } from '../emitter.ts';
import { imm8, readVector, source, storeParts, type Vector, writeVector, readLow } from './operand.ts';
import { doublewordFields } from './shuffle.ts';
import { bytes, lanes, shuffleLanes, simd, type SimdName, zero } from './simd.ts';

const LOADS = { 1: op.I32_LOAD8_U, 2: op.I32_LOAD16_U, 4: op.I32_LOAD, 8: op.I64_LOAD } as const;
const SPLATS: Readonly<Record<1 | 2 | 4 | 8, SimdName>> = { 1: 'splat8', 2: 'splat16', 4: 'splat32', 8: 'splat64' };

/** The same part for each sixteen bytes of the destination. */
function fill(b: Emitter, part: Value): Vector {
  return b.size(0) === 32 ? [part, part] : [part];
}

function broadcast(size: 1 | 2 | 4 | 8): Semantics {
  return (b) => {
    b.requireAvx();
    const value = size >= 4 ? readLow(b, 1, size as 4 | 8) : b.load(LOADS[size], source(b, 1, size), 0);
    writeVector(b, 0, fill(b, simd(b, SPLATS[size], value)));
  };
}

/** VBROADCASTF128. */
const broadcastPart: Semantics = (b) => {
  b.requireAvx();
  writeVector(b, 0, fill(b, readVector(b, 1, 16)[0]!));
};

/** Doublewords of 32 bytes by eight indices. */
function permute(b: Emitter, [low, high]: Vector, indices: Vector): Vector {
  return indices.map((index) => {
    const first = simd(b, 'mul32', simd(b, 'and', index, lanes(b, 4, 7)), lanes(b, 4, 0x0404_0404));
    const control = simd(b, 'add32', first, lanes(b, 4, 0x0302_0100));
    // What lies outside its sixteen bytes, swizzle makes zero.
    const above = simd(b, 'sub8', control, lanes(b, 1, 16));
    return simd(b, 'or', simd(b, 'swizzle', low!, control), simd(b, 'swizzle', high!, above));
  });
}

/** VPERMD, VPERMPS: the indices are the first source. */
const permuteDoublewords: Semantics = (b) => {
  b.requireAvx();
  const values = readVector(b, 2);
  writeVector(b, 0, permute(b, values, readVector(b, 1)));
};

/** VPERMQ, VPERMPD by the immediate's four fields. */
const permuteQuadwords: Semantics = (b) => {
  b.requireAvx();
  const values = readVector(b, 1);
  const fields = doublewordFields(b, imm8(b));
  const odd = bytes(b, [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
  const indices = [[0, 0, 1, 1], [2, 2, 3, 3]].map((picks) => {
    const pairs = shuffleLanes(b, 4, fields, fields, picks);
    return simd(b, 'or', simd(b, 'add32', pairs, pairs), odd);
  });
  writeVector(b, 0, permute(b, values, indices));
};

/** VPERM2F128: each half is one of four, or zero. */
const permuteHalves: Semantics = (b) => {
  b.requireAvx();
  const y = readVector(b, 2);
  const x = readVector(b, 1);
  const immediate = imm8(b);
  writeVector(b, 0, [0, 4].map((shift) => {
    const bit = (n: number): Value => b.and(immediate, b.i32(1 << (shift + n)));
    const chosen = b.select(bit(1), b.select(bit(0), y[1]!, y[0]!), b.select(bit(0), x[1]!, x[0]!));
    return b.select(bit(3), zero(b), chosen);
  }));
};

const insertHalf: Semantics = (b) => {
  b.requireAvx();
  const [part] = readVector(b, 2, 16) as [Value];
  const [low, high] = readVector(b, 1);
  const upper = b.and(imm8(b), b.i32(1));
  writeVector(b, 0, [b.select(upper, low!, part), b.select(upper, part, high!)]);
};

const extractHalf: Semantics = (b) => {
  b.requireAvx();
  const [low, high] = readVector(b, 1, 32);
  const part = b.select(b.and(imm8(b), b.i32(1)), high!, low!);
  if (b.operand(0).kind === 'reg') writeVector(b, 0, [part]);
  else storeParts(b, b.address(), [part]);
};

/** VZEROUPPER, VZEROALL: outside 64-bit mode the first eight registers. */
function zeroRegisters(from: number): Semantics {
  return (b) => {
    b.requireAvx();
    const none = zero(b);
    const count = b.form.long ? 16 : 8;
    for (let i = 0; i < count; i++) for (let at = from; at < XMM_SIZE; at += 16) {
      const local = b.vectorLocal(i, at / 16, true);
      if (local) b.set(local, none);
      else b.storeV128(b.cpu, XMM + i * XMM_SIZE + at, none);
    }
  };
}

export const permuteSemantics: Readonly<Record<string, Semantics>> = {
  vbroadcastss: broadcast(4), vbroadcastsd: broadcast(8), vbroadcastf128: broadcastPart, vbroadcasti128: broadcastPart,
  vpbroadcastb: broadcast(1), vpbroadcastw: broadcast(2), vpbroadcastd: broadcast(4), vpbroadcastq: broadcast(8),
  vpermd: permuteDoublewords, vpermps: permuteDoublewords, vpermq: permuteQuadwords, vpermpd: permuteQuadwords,
  vperm2f128: permuteHalves, vperm2i128: permuteHalves, vinsertf128: insertHalf, vinserti128: insertHalf,
  vextractf128: extractHalf, vextracti128: extractHalf, vzeroupper: zeroRegisters(16), vzeroall: zeroRegisters(0),
};
