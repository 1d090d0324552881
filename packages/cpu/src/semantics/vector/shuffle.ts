/**
 * Shuffles, blends, inserts and extracts. The immediate is a value: it comes from the record in the interpreter, so the
 * control vector of a shuffle is computed from it.
 */
import { XMM } from '../../state/layout.ts';
import type { Value } from '../../wasm/function-builder.ts';
import * as op from '../../wasm/opcodes.ts';
import type { Emitter, Semantics } from '../emitter.ts';
import {
  binary, copyFirstSource, enterMmx, firstSource, imm8, isMmx, isVex, readGeneral, readVector, require, requireXmm, secondSource, source,
  unary, unaryWithImmediate, withImmediate, writeGeneral, writeVector,
} from './operand.ts';
import { bytes, lanes, shuffleLanes, simd, simdTest, type SimdName } from './simd.ts';

const words = (list: readonly number[]): number[] => list.flatMap((n) => [n & 0xff, (n >> 8) & 0xff]);
const doublewords = (list: readonly number[]): number[] => list.flatMap((n) => [n & 0xff, (n >> 8) & 0xff, 0, 0]);

/** Doubleword lanes (immediate >> 2i) & 3. */
export function doublewordFields(b: Emitter, immediate: Value): Value {
  const scaled = simd(b, 'mul32', simd(b, 'splat32', immediate), bytes(b, doublewords([64, 16, 4, 1])));
  return simd(b, 'and', simd(b, 'shrU32', scaled, b.i32(6)), lanes(b, 4, 3));
}

/** Control bytes that pick doublewords by the four fields of the immediate. */
function doublewordControl(b: Emitter, immediate: Value): Value {
  return simd(b, 'add32', simd(b, 'mul32', doublewordFields(b, immediate), lanes(b, 4, 0x0404_0404)), lanes(b, 4, 0x0302_0100));
}

/** Control bytes that pick words of the low half by the fields; the other half stays. */
function wordControl(b: Emitter, immediate: Value, high: boolean): Value {
  const four = doublewordFields(b, immediate);
  const narrow = simd(b, 'narrowU32', four, four);
  const control = simd(b, 'add16', simd(b, 'mul16', narrow, lanes(b, 2, 0x0202)), lanes(b, 2, high ? 0x0908 : 0x0100));
  const same = bytes(b, Array.from({ length: 16 }, (_, i) => i));
  return shuffleLanes(b, 8, control, same, high ? [2, 1] : [0, 3]);
}

function shuffleForm(control: (b: Emitter, immediate: Value) => Value): Semantics {
  return unaryWithImmediate((b, x, immediate) => simd(b, 'swizzle', x, control(b, immediate)));
}

/** SHUFPS: two of the first operand, two of the second. */
const shuffleSingles: Semantics = withImmediate((b, x, y, immediate) => {
  const control = doublewordControl(b, immediate);
  return shuffleLanes(b, 8, simd(b, 'swizzle', x, control), simd(b, 'swizzle', y, control), [0, 3]);
});

/** x, or its upper quadword first, as the immediate's bit says. */
function quadwordByBit(b: Emitter, x: Value, immediate: Value, bit: number): Value {
  return b.select(b.and(immediate, b.i32(1 << bit)), shuffleLanes(b, 8, x, x, [1, 1]), x);
}

/** SHUFPD: one of each; the upper half has immediate bits of its own. */
const shuffleDoubles: Semantics = withImmediate((b, x, y, immediate, part) => {
  const first = quadwordByBit(b, x, immediate, part * 2);
  return shuffleLanes(b, 8, first, quadwordByBit(b, y, immediate, part * 2 + 1), [0, 2]);
});

/** Lanes of ones where the immediate's bit from `first` on is set. */
function maskByImmediate(b: Emitter, size: 2 | 4 | 8, immediate: Value, first: number): Value {
  const bits = Array.from({ length: 16 / size }, (_, i) => 1 << (first + i));
  const list = size === 2 ? words(bits) : size === 4 ? doublewords(bits) : doublewords(bits.flatMap((bit) => [bit, 0]));
  const [splat, equal]: readonly [SimdName, SimdName] = size === 2 ? ['splat16', 'eq16'] : size === 4 ? ['splat32', 'eq32'] : ['splat64', 'eq64'];
  const mask = bytes(b, list);
  return simd(b, equal, simd(b, 'and', simd(b, splat, size === 8 ? b.extendU(immediate) : immediate), mask), mask);
}

/** Elements of y where the immediate's bit is set; words of the upper half have the same bits as those of the lower one. */
function blendByImmediate(size: 2 | 4 | 8): Semantics {
  return withImmediate((b, x, y, immediate, part) =>
    simd(b, 'bitselect', y, x, maskByImmediate(b, size, immediate, size === 2 ? 0 : (part * 16) / size)));
}

/** Elements of y where the sign bit in XMM0, or with VEX in the fourth operand, is set. */
function blendBySign(size: 1 | 4 | 8): Semantics {
  return (b) => {
    requireXmm(b);
    const y = readVector(b, secondSource(b));
    const x = readVector(b, firstSource(b));
    const masks = isVex(b) ? readVector(b, 3) : [b.vectorLocal(0, 0, false) ?? b.loadV128(b.cpu, XMM)];
    const none = lanes(b, 8, 0);
    writeVector(b, 0, x.map((part, i) => {
      const mask = masks[i]!;
      const signs = size === 1 ? simd(b, 'ltS8', mask, none) : size === 4 ? simd(b, 'ltS32', mask, none) : simd(b, 'gtS64', none, mask);
      return simd(b, 'bitselect', y[i]!, part, signs);
    }));
  };
}

const LANE_LOADS: Readonly<Record<number, number>> = { 1: op.I32_LOAD8_U, 2: op.I32_LOAD16_U, 4: op.I32_LOAD, 8: op.I64_LOAD };

/** Address of the element of a register that the immediate names. */
function element(b: Emitter, pointer: Value, size: number, registerSize: number): Value {
  const index = b.and(imm8(b), b.i32(registerSize / size - 1));
  return b.add(pointer, b.mul(index, b.i32(size)));
}

/** PEXTR: to a general register, zero-extended, or to memory. */
function extract(size: 1 | 2 | 4 | 8): Semantics {
  return (b) => {
    const mmx = isMmx(b, 1);
    require(b);
    const value = b.load(LANE_LOADS[size]!, element(b, b.registerPointer(1), size, mmx ? 8 : 16), 0);
    if (mmx) enterMmx(b);
    if (b.operand(0).kind === 'mem') b.storeLinear(b.address(), size, value);
    else writeGeneral(b, 0, value);
  };
}

/** PINSR: from a general register or memory. */
function insert(size: 1 | 2 | 4 | 8): Semantics {
  return (b) => {
    const mmx = isMmx(b, 0);
    require(b);
    const value = readGeneral(b, secondSource(b), size);
    const pointer = copyFirstSource(b);
    if (mmx) {
      enterMmx(b);
      b.storeI64(pointer, 8, b.i64(0xffff));
    }
    b.storeSized(element(b, pointer, size, mmx ? 8 : 16), 0, size, value);
  };
}

/** INSERTPS: an element of the source to a place, then zeros by mask. */
const insertSingle: Semantics = (b) => {
  requireXmm(b);
  const immediate = imm8(b);
  const second = secondSource(b);
  const register = b.operand(second).kind === 'reg';
  const from = register ? b.add(b.registerPointer(second), b.shl(b.shrU(immediate, b.i32(6)), b.i32(2))) : source(b, second, 4);
  const value = b.loadI32(from, 0);
  const pointer = copyFirstSource(b);
  b.storeI32(b.add(pointer, b.and(b.shrU(immediate, b.i32(2)), b.i32(12))), 0, value);
  b.storeV128(pointer, 0, simd(b, 'andnot', b.loadV128(pointer, 0), maskByImmediate(b, 4, immediate, 0)));
};

/** MOVMSK: sign bits to a general register. */
function moveMask(name: 'bitmask8' | 'bitmask32' | 'bitmask64', size: number): Semantics {
  return (b) => {
    require(b);
    const [low, high] = readVector(b, 1).map((part) => simdTest(b, name, part));
    if (isMmx(b, 1)) enterMmx(b);
    const mask = high ? b.or(low!, b.shl(high, b.i32(16 / size))) : low!;
    writeGeneral(b, 0, mask);
  };
}

/** Elements in a fixed order: MOVSLDUP, MOVSHDUP. */
function rearrange(size: number, picks: readonly number[]): Semantics {
  return unary((b, x) => shuffleLanes(b, size, x, x, picks));
}

/** PTEST: ZF when no bit of y is in x, CF when all are; VTESTPS and VTESTPD look at sign bits only. */
function testBits(signs: number | null): Semantics {
  return (b) => {
    requireXmm(b);
    const y = readVector(b, 1);
    const x = readVector(b, 0);
    const only = (value: Value): Value => (signs === null ? value : simd(b, 'and', value, signs === 4 ? lanes(b, 4, 0x8000_0000) : lanes(b, 8, 0, 0x8000_0000)));
    const any = (name: 'and' | 'andnot'): Value => {
      const all = y.map((part, i) => only(simd(b, name, part, x[i]!)));
      return simdTest(b, 'anyTrue', all.reduce((one, other) => simd(b, 'or', one, other)));
    };
    const none = b.i32(0);
    b.flagsAll({ zf: b.eqz(any('and')), cf: b.eqz(any('andnot')), pf: none, af: none, sf: none, of: none });
  };
}

/** VPERMILPS, VPERMILPD by a vector: elements of the same sixteen bytes by index; doubles by bit 1. */
function permuteInPart(size: 4 | 8): Semantics {
  return (b) => (b.operand(2).kind === 'imm' ? permuteByImmediate(size) : binary((e, x, y) => {
    const index = size === 4
      ? simd(e, 'and', y, lanes(e, 4, 3))
      : simd(e, 'and', simd(e, 'shrU64', y, e.i32(1)), lanes(e, 8, 1));
    // Each byte of an element: index * size + its own place.
    const first = size === 4 ? simd(e, 'mul32', index, lanes(e, 4, 0x0404_0404)) : eightfold(e, index);
    const place = bytes(e, Array.from({ length: 16 }, (_, i) => i % size));
    return simd(e, 'swizzle', x, simd(e, 'add8', first, place));
  }))(b);
}

/** Eight in each byte of the quadwords that are one. */
function eightfold(b: Emitter, index: Value): Value {
  return simd(b, 'and', simd(b, 'sub64', lanes(b, 8, 0), index), lanes(b, 1, 8));
}

function permuteByImmediate(size: 4 | 8): Semantics {
  return unaryWithImmediate((b, x, immediate, part) => {
    if (size === 4) return simd(b, 'swizzle', x, doublewordControl(b, immediate));
    const low = quadwordByBit(b, x, immediate, part * 2);
    return shuffleLanes(b, 8, low, quadwordByBit(b, x, immediate, part * 2 + 1), [0, 2]);
  });
}

export const shuffleSemantics: Readonly<Record<string, Semantics>> = {
  pshufd: shuffleForm(doublewordControl),
  pshuflw: shuffleForm((b, i) => wordControl(b, i, false)), pshufw: shuffleForm((b, i) => wordControl(b, i, false)),
  pshufhw: shuffleForm((b, i) => wordControl(b, i, true)),
  shufps: shuffleSingles, shufpd: shuffleDoubles,
  pblendw: blendByImmediate(2), blendps: blendByImmediate(4), blendpd: blendByImmediate(8), pblendd: blendByImmediate(4),
  pblendvb: blendBySign(1), blendvps: blendBySign(4), blendvpd: blendBySign(8),
  pextrb: extract(1), pextrw: extract(2), pextrd: extract(4), pextrq: extract(8), extractps: extract(4),
  pinsrb: insert(1), pinsrw: insert(2), pinsrd: insert(4), pinsrq: insert(8), insertps: insertSingle,
  pmovmskb: moveMask('bitmask8', 1), movmskps: moveMask('bitmask32', 4), movmskpd: moveMask('bitmask64', 8),
  movsldup: rearrange(4, [0, 0, 2, 2]), movshdup: rearrange(4, [1, 1, 3, 3]),
  ptest: testBits(null), testps: testBits(4), testpd: testBits(8), permilps: permuteInPart(4), permilpd: permuteInPart(8),
};
