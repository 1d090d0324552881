/**
 * Shuffles, blends, inserts and extracts. The immediate is a value: it comes from the record in the interpreter, so the
 * control vector of a shuffle is computed from it.
 */
import { XMM } from '../../state/layout.ts';
import type { Value } from '../../wasm/function-builder.ts';
import * as op from '../../wasm/opcodes.ts';
import type { Emitter, Semantics } from '../emitter.ts';
import {
  enterMmx, imm8, isMmx, readVector, require, requireMmx, source, usesMmx, withImmediate, writeVector,
} from './operand.ts';
import { bytes, lanes, shuffleLanes, simd, simdTest, type SimdName } from './simd.ts';

const words = (list: readonly number[]): number[] => list.flatMap((n) => [n & 0xff, (n >> 8) & 0xff]);
const doublewords = (list: readonly number[]): number[] => list.flatMap((n) => [n & 0xff, (n >> 8) & 0xff, 0, 0]);

/** Doubleword lanes (immediate >> 2i) & 3. */
function fields(b: Emitter, immediate: Value): Value {
  const scaled = simd(b, 'mul32', simd(b, 'splat32', immediate), bytes(b, doublewords([64, 16, 4, 1])));
  return simd(b, 'and', simd(b, 'shrU32', scaled, b.i32(6)), lanes(b, 4, 3));
}

/** Control bytes that pick doublewords by the four fields of the immediate. */
function doublewordControl(b: Emitter, immediate: Value): Value {
  return simd(b, 'add32', simd(b, 'mul32', fields(b, immediate), lanes(b, 4, 0x0404_0404)), lanes(b, 4, 0x0302_0100));
}

/** Control bytes that pick words of the low half by the fields; the other half stays. */
function wordControl(b: Emitter, immediate: Value, high: boolean): Value {
  const four = fields(b, immediate);
  const narrow = simd(b, 'narrowU32', four, four);
  const control = simd(b, 'add16', simd(b, 'mul16', narrow, lanes(b, 2, 0x0202)), lanes(b, 2, high ? 0x0908 : 0x0100));
  const same = bytes(b, Array.from({ length: 16 }, (_, i) => i));
  return shuffleLanes(b, 8, control, same, high ? [2, 1] : [0, 3]);
}

function shuffleForm(control: (b: Emitter, immediate: Value) => Value): Semantics {
  return (b) => {
    const mmx = usesMmx(b);
    require(b);
    const y = readVector(b, 1, mmx);
    if (mmx) enterMmx(b);
    writeVector(b, 0, simd(b, 'swizzle', y, control(b, imm8(b))), mmx);
  };
}

/** SHUFPS: two of the first operand, two of the second. */
const shuffleSingles: Semantics = withImmediate((b, x, y, immediate) => {
  const control = doublewordControl(b, immediate);
  return shuffleLanes(b, 8, simd(b, 'swizzle', x, control), simd(b, 'swizzle', y, control), [0, 3]);
});

/** SHUFPD: one of each. */
const shuffleDoubles: Semantics = withImmediate((b, x, y, immediate) => {
  const bit = (vector: Value, mask: number): Value => {
    const chosen = b.and(immediate, b.i32(mask));
    return b.select(chosen, shuffleLanes(b, 8, vector, vector, [1, 1]), vector);
  };
  return shuffleLanes(b, 8, bit(x, 1), bit(y, 2), [0, 2]);
});

/** Elements of y where the immediate's bit is set. */
function blendByImmediate(size: 2 | 4 | 8): Semantics {
  const count = 16 / size;
  const bits = Array.from({ length: count }, (_, i) => 1 << i);
  const list = size === 2 ? words(bits) : size === 4 ? doublewords(bits) : doublewords([1, 0, 2, 0]);
  const [splat, equal]: readonly [SimdName, SimdName] = size === 2 ? ['splat16', 'eq16'] : size === 4 ? ['splat32', 'eq32'] : ['splat64', 'eq64'];
  return withImmediate((b, x, y, immediate) => {
    const mask = bytes(b, list);
    const set = simd(b, 'and', simd(b, splat, size === 8 ? b.extendU(immediate) : immediate), mask);
    return simd(b, 'bitselect', y, x, simd(b, equal, set, mask));
  });
}

/** Elements of y where the sign bit in XMM0 is set. */
function blendByXmm0(size: 1 | 4 | 8): Semantics {
  return (b) => {
    b.requireSse();
    const y = readVector(b, 1, false);
    const x = readVector(b, 0, false);
    const mask = b.loadV128(b.cpu, XMM);
    const none = lanes(b, 8, 0);
    const signs = size === 1 ? simd(b, 'ltS8', mask, none) : size === 4 ? simd(b, 'ltS32', mask, none) : simd(b, 'gtS64', none, mask);
    writeVector(b, 0, simd(b, 'bitselect', y, x, signs), false);
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
    else b.storeI64(b.registerPointer(0), 0, b.extendU(value));
  };
}

/** PINSR: from a general register or memory. */
function insert(size: 1 | 2 | 4 | 8): Semantics {
  return (b) => {
    const mmx = isMmx(b, 0);
    require(b);
    const value = b.load(LANE_LOADS[size]!, source(b, 1, size), 0);
    const pointer = b.registerPointer(0);
    if (mmx) {
      enterMmx(b);
      b.storeI64(pointer, 8, b.i64(0xffff));
    }
    b.storeSized(element(b, pointer, size, mmx ? 8 : 16), 0, size, value);
  };
}

/** INSERTPS: an element of the source to a place, then zeros by mask. */
const insertSingle: Semantics = (b) => {
  b.requireSse();
  const immediate = imm8(b);
  const register = b.operand(1).kind === 'reg';
  const from = register ? b.add(b.registerPointer(1), b.shl(b.shrU(immediate, b.i32(6)), b.i32(2))) : source(b, 1, 4);
  const value = b.loadI32(from, 0);
  const pointer = b.registerPointer(0);
  b.storeI32(b.add(pointer, b.and(b.shrU(immediate, b.i32(2)), b.i32(12))), 0, value);
  const mask = bytes(b, doublewords([1, 2, 4, 8]));
  const cleared = simd(b, 'eq32', simd(b, 'and', simd(b, 'splat32', immediate), mask), mask);
  b.storeV128(pointer, 0, simd(b, 'andnot', b.loadV128(pointer, 0), cleared));
};

/** MOVMSK: sign bits to a general register. */
function moveMask(name: 'bitmask8' | 'bitmask32' | 'bitmask64'): Semantics {
  return (b) => {
    const mmx = isMmx(b, 1);
    if (mmx) requireMmx(b);
    else b.requireSse();
    const mask = simdTest(b, name, readVector(b, 1, mmx));
    if (mmx) enterMmx(b);
    b.storeI64(b.registerPointer(0), 0, b.extendU(mask));
  };
}

/** Doublewords or quadwords in a fixed order: MOVSLDUP, MOVSHDUP. */
function rearrange(size: number, picks: readonly number[]): Semantics {
  return (b) => {
    b.requireSse();
    const y = readVector(b, 1, false);
    writeVector(b, 0, shuffleLanes(b, size, y, y, picks), false);
  };
}

/** PTEST: ZF when no bit of y is in x, CF when all are. */
const testBits: Semantics = (b) => {
  b.requireSse();
  const y = readVector(b, 1, false);
  const x = readVector(b, 0, false);
  const none = b.i32(0);
  b.flagsAll({
    zf: b.eqz(simdTest(b, 'anyTrue', simd(b, 'and', x, y))), cf: b.eqz(simdTest(b, 'anyTrue', simd(b, 'andnot', y, x))),
    pf: none, af: none, sf: none, of: none,
  });
};

export const shuffleSemantics: Readonly<Record<string, Semantics>> = {
  pshufd: shuffleForm(doublewordControl),
  pshuflw: shuffleForm((b, i) => wordControl(b, i, false)), pshufw: shuffleForm((b, i) => wordControl(b, i, false)),
  pshufhw: shuffleForm((b, i) => wordControl(b, i, true)),
  shufps: shuffleSingles, shufpd: shuffleDoubles,
  pblendw: blendByImmediate(2), blendps: blendByImmediate(4), blendpd: blendByImmediate(8),
  pblendvb: blendByXmm0(1), blendvps: blendByXmm0(4), blendvpd: blendByXmm0(8),
  pextrb: extract(1), pextrw: extract(2), pextrd: extract(4), pextrq: extract(8), extractps: extract(4),
  pinsrb: insert(1), pinsrw: insert(2), pinsrd: insert(4), pinsrq: insert(8), insertps: insertSingle,
  pmovmskb: moveMask('bitmask8'), movmskps: moveMask('bitmask32'), movmskpd: moveMask('bitmask64'),
  movsldup: rearrange(4, [0, 0, 2, 2]), movshdup: rearrange(4, [1, 1, 3, 3]), ptest: testBits,
};
