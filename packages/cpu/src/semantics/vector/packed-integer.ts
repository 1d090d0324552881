/** Packed integer arithmetic, comparison and logic: MMX, SSE2, SSSE3, SSE4. */
import type { Value } from '../../wasm/function-builder.ts';
import type { Emitter, Semantics } from '../emitter.ts';
import { binary, folded, unary, type Binary, type Unary } from './operand.ts';
import { bytes, lanes, shuffle, shuffleLanes, simd, zero, type SimdName } from './simd.ts';

/** Instructions that are one operator, in the same operand order. */
const DIRECT: Readonly<Record<string, SimdName>> = {
  paddb: 'add8', paddw: 'add16', paddd: 'add32', paddq: 'add64', psubb: 'sub8', psubw: 'sub16', psubd: 'sub32', psubq: 'sub64',
  paddsb: 'addSatS8', paddsw: 'addSatS16', paddusb: 'addSatU8', paddusw: 'addSatU16',
  psubsb: 'subSatS8', psubsw: 'subSatS16', psubusb: 'subSatU8', psubusw: 'subSatU16',
  pmullw: 'mul16', pmulld: 'mul32', pmaddwd: 'dot16', pavgb: 'avg8', pavgw: 'avg16',
  pminsb: 'minS8', pminub: 'minU8', pminsw: 'minS16', pminuw: 'minU16', pminsd: 'minS32', pminud: 'minU32',
  pmaxsb: 'maxS8', pmaxub: 'maxU8', pmaxsw: 'maxS16', pmaxuw: 'maxU16', pmaxsd: 'maxS32', pmaxud: 'maxU32',
  pcmpeqb: 'eq8', pcmpeqw: 'eq16', pcmpeqd: 'eq32', pcmpeqq: 'eq64',
  pcmpgtb: 'gtS8', pcmpgtw: 'gtS16', pcmpgtd: 'gtS32', pcmpgtq: 'gtS64',
  pand: 'and', por: 'or', pxor: 'xor', andps: 'and', andpd: 'and', orps: 'or', orpd: 'or', xorps: 'xor', xorpd: 'xor',
};

/** ~x & y. */
const andNot: Binary = (b, x, y) => simd(b, 'andnot', y, x);

/** High halves of the products of words. */
function multiplyHigh(lowHalf: SimdName, highHalf: SimdName): Binary {
  return (b, x, y) => shuffleLanes(b, 2, simd(b, lowHalf, x, y), simd(b, highHalf, x, y), [1, 3, 5, 7, 9, 11, 13, 15]);
}

/** Products of the even doublewords. */
function multiplyEven(product: SimdName): Binary {
  return (b, x, y) => simd(b, product, shuffleLanes(b, 4, x, x, [0, 2, 0, 2]), shuffleLanes(b, 4, y, y, [0, 2, 0, 2]));
}

/** Unsigned bytes of x times signed bytes of y, pairs added with saturation. */
const multiplyAddBytes: Binary = (b, x, y) => {
  const eight = b.i32(8);
  const even = simd(b, 'mul16', simd(b, 'and', x, lanes(b, 2, 0xff)), simd(b, 'shrS16', simd(b, 'shl16', y, eight), eight));
  const odd = simd(b, 'mul16', simd(b, 'shrU16', x, eight), simd(b, 'shrS16', y, eight));
  return simd(b, 'addSatS16', even, odd);
};

/** Rounded high halves; -1 times -1 wraps where WebAssembly saturates. */
const multiplyRound: Binary = (b, x, y) => {
  const least = lanes(b, 2, 0x8000);
  const both = simd(b, 'and', simd(b, 'eq16', x, least), simd(b, 'eq16', y, least));
  return simd(b, 'xor', simd(b, 'q15mulr', x, y), both);
};

/** Sums of absolute differences of the bytes of each quadword. */
const sumDifferences: Binary = (b, x, y) => {
  const difference = simd(b, 'or', simd(b, 'subSatU8', x, y), simd(b, 'subSatU8', y, x));
  const sums = simd(b, 'pairwiseU16', simd(b, 'pairwiseU8', difference));
  return simd(b, 'and', simd(b, 'add64', sums, simd(b, 'shrU64', sums, b.i32(32))), lanes(b, 8, 0xffff));
};

/** x, negated or zeroed as y is negative or zero. */
function sign(negate: SimdName, less: SimdName, equal: SimdName): Binary {
  return (b, x, y) => {
    const none = zero(b);
    const signed = simd(b, 'bitselect', simd(b, negate, x), x, simd(b, less, y, none));
    return simd(b, 'andnot', signed, simd(b, equal, y, none));
  };
}

const EVEN = { 2: [0, 2, 4, 6, 8, 10, 12, 14], 4: [0, 2, 4, 6] } as const;

/** f of the even and the odd elements of both operands. */
function horizontal(size: 2 | 4, f: SimdName): Semantics {
  const wide: Binary = (b, x, y) => {
    const even = shuffleLanes(b, size, x, y, EVEN[size]);
    const odd = shuffleLanes(b, size, x, y, EVEN[size].map((n) => n + 1));
    return simd(b, f, even, odd);
  };
  return binary(wide, folded(wide));
}

function pack(narrow: SimdName): Semantics {
  const wide: Binary = (b, x, y) => simd(b, narrow, x, y);
  return binary(wide, folded(wide));
}

/** Interleaves elements of the low or the high halves. */
function unpack(size: number, high: boolean): Semantics {
  const count = 16 / size;
  const picks = Array.from({ length: count }, (_, i) => (i >> 1) + (i & 1 ? count : 0));
  const wide: Binary = (b, x, y) => shuffleLanes(b, size, x, y, high ? picks.map((p) => p + count / 2) : picks);
  // The high half of an MMX register is the second quarter: the upper half of the low interleaving.
  const narrow: Binary = (b, x, y) => {
    const both = shuffleLanes(b, size, x, y, picks);
    return high ? shuffleLanes(b, 8, both, both, [1, 1]) : both;
  };
  return binary(wide, narrow);
}

/** The least word and its place. */
const leastWord: Unary = (b, x) => {
  // value << 16 | index, so that the least value with the least index wins.
  const low = simd(b, 'or', simd(b, 'shl32', simd(b, 'extendLowU16', x), b.i32(16)), index(b, 0));
  const high = simd(b, 'or', simd(b, 'shl32', simd(b, 'extendHighU16', x), b.i32(16)), index(b, 4));
  const four = simd(b, 'minU32', low, high);
  const two = simd(b, 'minU32', four, shuffleLanes(b, 4, four, four, [2, 3, 0, 1]));
  const one = simd(b, 'minU32', two, shuffleLanes(b, 4, two, two, [1, 0, 3, 2]));
  return shuffle(b, one, zero(b), [2, 3, 0, 1, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16]);
};

/** Doublewords counting from `first`. */
function index(b: Emitter, first: number): Value {
  return bytes(b, [0, 1, 2, 3].flatMap((i) => [first + i, 0, 0, 0]));
}

const binaries: Readonly<Record<string, Binary>> = {
  pandn: andNot, andnps: andNot, andnpd: andNot,
  pmulhw: multiplyHigh('extmulLowS16', 'extmulHighS16'), pmulhuw: multiplyHigh('extmulLowU16', 'extmulHighU16'),
  pmuludq: multiplyEven('extmulLowU32'), pmuldq: multiplyEven('extmulLowS32'),
  pmaddubsw: multiplyAddBytes, pmulhrsw: multiplyRound, psadbw: sumDifferences,
  psignb: sign('neg8', 'ltS8', 'eq8'), psignw: sign('neg16', 'ltS16', 'eq16'), psignd: sign('neg32', 'ltS32', 'eq32'),
};

export const packedIntegerSemantics: Readonly<Record<string, Semantics>> = {
  ...Object.fromEntries(Object.entries(DIRECT).map(([name, f]) => [name, binary((b, x, y) => simd(b, f, x, y))])),
  ...Object.fromEntries(Object.entries(binaries).map(([name, f]) => [name, binary(f)])),
  pabsb: unary((b, x) => simd(b, 'abs8', x)), pabsw: unary((b, x) => simd(b, 'abs16', x)), pabsd: unary((b, x) => simd(b, 'abs32', x)),
  phaddw: horizontal(2, 'add16'), phaddd: horizontal(4, 'add32'), phaddsw: horizontal(2, 'addSatS16'),
  phsubw: horizontal(2, 'sub16'), phsubd: horizontal(4, 'sub32'), phsubsw: horizontal(2, 'subSatS16'),
  packsswb: pack('narrowS16'), packuswb: pack('narrowU16'), packssdw: pack('narrowS32'), packusdw: pack('narrowU32'),
  punpcklbw: unpack(1, false), punpcklwd: unpack(2, false), punpckldq: unpack(4, false), punpcklqdq: unpack(8, false),
  punpckhbw: unpack(1, true), punpckhwd: unpack(2, true), punpckhdq: unpack(4, true), punpckhqdq: unpack(8, true),
  unpcklps: unpack(4, false), unpckhps: unpack(4, true), unpcklpd: unpack(8, false), unpckhpd: unpack(8, true),
  phminposuw: unary(leastWord),
};
