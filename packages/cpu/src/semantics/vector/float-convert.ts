/** Conversions between integers, single and double precision. */
import {
  FLOAT_FROM_I32, FLOAT_FROM_I64, FLOAT_RESIZE, FLOAT_TO_I32, FLOAT_TO_I64,
} from '../../state/float-operation.ts';
import type { Value } from '../../wasm/function-builder.ts';
import type { Emitter, Semantics } from '../emitter.ts';
import {
  all, allSet, certainNumberOr, certainOr, inexactAllowed, isNotDenormal, isOrdinary, ordinaryLanes, packed, plainLanes, type FloatCall,
} from './float-exact.ts';
import {
  enterMmx, joinLow, loadParts, readGeneral, readVector, requireMmx, requireXmm, secondSource, source, usesMmx, writeVector, type Vector, readLowVector, readFloat, writeFloat,
} from './operand.ts';
import { elements, ofWidth } from './packed-float.ts';
import { compareFloat, convert, float, floatConstant, type Width } from './scalar.ts';
import { lanes, loadZero, shuffleLanes, simd } from './simd.ts';

// ---- integers to floating point

/** CVTSI2SS, CVTSI2SD from a general register or memory. A doubleword is exact in double precision. */
function fromInteger(width: Width): Semantics {
  return (b) => {
    requireXmm(b);
    const second = secondSource(b);
    const size = b.size(second) as 4 | 8;
    const value = readGeneral(b, second, size);
    const name = width === 8 ? (size === 8 ? 'f64FromI64' : 'f64FromI32') : size === 8 ? 'f32FromI64' : 'f32FromI32';
    const native = convert(b, name, value);
    const operation = ofWidth(size === 8 ? FLOAT_FROM_I64 : FLOAT_FROM_I32, width);
    const result = width === 8 && size === 4 ? native
      : certainNumberOr(b, native, inexactAllowed(b, true), { operation, count: 1, y: [value] });
    writeFloat(b, width, result);
  };
}

/** Doublewords to singles. */
function singles(b: Emitter, y: Vector, count: number): Vector {
  const native = y.map((part) => simd(b, 'convertF32', part));
  return certainOr(b, native, inexactAllowed(b, true), { operation: FLOAT_FROM_I32, count, y });
}

/** CVTPI2PS, CVTPI2PD: two doublewords of an MMX register or memory. */
function fromMmx(width: Width): Semantics {
  return (b) => {
    const mmx = usesMmx(b);
    b.requireSse();
    if (mmx) requireMmx(b);
    const two = loadZero(b, source(b, 1, 8), 8);
    if (width === 8) {
      if (mmx) enterMmx(b);
      b.storeV128(b.registerPointer(0), 0, simd(b, 'convertF64', two));
      return;
    }
    const [low] = singles(b, [two], 2);
    if (mmx) enterMmx(b);
    const pointer = b.registerPointer(0);
    b.storeV128(pointer, 0, shuffleLanes(b, 8, low!, b.loadV128(pointer, 0), [0, 3]));
  };
}

const doublewordsToSingles: Semantics = (b) => {
  requireXmm(b);
  const y = readVector(b, 1);
  writeVector(b, 0, singles(b, y, elements(y, 4)));
};

/** The quadwords of half a vector, each in the low half of a part of its own. */
function spreadHalf(b: Emitter): Vector {
  const size = b.size(0);
  if (size === 16) return [readLowVector(b, 1)];
  const [both] = readVector(b, 1, 16) as [Value];
  return [both, shuffleLanes(b, 8, both, both, [1, 1])];
}

const doublewordsToDoubles: Semantics = (b) => {
  requireXmm(b);
  writeVector(b, 0, spreadHalf(b).map((part) => simd(b, 'convertF64', part)));
};

// ---- floating point to integers: what does not fit gives the integer indefinite

/** CVTSS2SI to CVTTSD2SI. */
function toInteger(width: Width, truncate: boolean): Semantics {
  return (b) => {
    requireXmm(b);
    const y = readFloat(b, 1, width);
    const size = b.size(0);
    const rounded = float(b, width, truncate ? 'trunc' : 'nearest', y);
    const limit = 2 ** (size * 8 - 1);
    const fits = b.and(
      compareFloat(b, width, 'ge', rounded, floatConstant(b, width, -limit)),
      compareFloat(b, width, 'lt', rounded, floatConstant(b, width, limit)),
    );
    const native = convert(b, `${size === 8 ? 'i64' : 'i32'}From${width === 8 ? 'F64' : 'F32'}`, rounded);
    const call: FloatCall = {
      operation: ofWidth(size === 8 ? FLOAT_TO_I64 : FLOAT_TO_I32, width), count: 1, control: b.i32(truncate ? 1 : 0), y: [y],
    };
    b.write(0, certainNumberOr(b, native, b.and(fits, inexactAllowed(b, !truncate, true)), call));
  };
}

/** Lanes that fit a doubleword. */
function fitting(b: Emitter, width: Width, rounded: Value): Value {
  const least = width === 8 ? lanes(b, 8, 0, 0xc1e0_0000) : lanes(b, 4, 0xcf00_0000);
  const limit = width === 8 ? lanes(b, 8, 0, 0x41e0_0000) : lanes(b, 4, 0x4f00_0000);
  return simd(b, 'and', packed(b, 'ge', width, rounded, least), packed(b, 'lt', width, rounded, limit));
}

/** Doublewords from numbers; two doubles give one low half. */
function doublewords(b: Emitter, width: Width, y: Vector, count: number, truncate: boolean): Vector {
  const rounded = y.map((part) => packed(b, truncate ? 'trunc' : 'nearest', width, part));
  const fits = rounded.map((part) => fitting(b, width, part)).reduce((one, other) => simd(b, 'and', one, other));
  const native = rounded.map((part) => simd(b, width === 8 ? 'truncSatF64' : 'truncSatF32', part));
  const joined = width === 8 && native.length === 2 ? [joinLow(b, native[0]!, native[1]!)] : native;
  const certain = b.and(allSet(b, width, fits), inexactAllowed(b, !truncate, true));
  const out = certainOr(b, joined, certain, { operation: ofWidth(FLOAT_TO_I32, width), count, control: b.i32(truncate ? 1 : 0), y });
  return width === 8 && native.length === 1 ? [lowHalf(b, out[0]!)] : out;
}

/** The low half, with zeros above. */
function lowHalf(b: Emitter, x: Value): Value {
  return shuffleLanes(b, 8, x, lanes(b, 8, 0), [0, 2]);
}

function packedToDoublewords(width: Width, truncate: boolean): Semantics {
  return (b) => {
    requireXmm(b);
    const y = readVector(b, 1);
    writeVector(b, 0, doublewords(b, width, y, elements(y, width), truncate));
  };
}

/** CVTPS2PI to CVTTPD2PI. */
function toMmx(width: Width, truncate: boolean): Semantics {
  return (b) => {
    b.requireSse();
    requireMmx(b);
    const y = width === 4 ? [loadZero(b, source(b, 1, 8), 8)] : loadParts(b, source(b, 1, 16), 16);
    const result = doublewords(b, width, y, 2, truncate);
    enterMmx(b);
    writeVector(b, 0, result);
  };
}

// ---- between single and double precision

const singlesToDoubles: Semantics = (b) => {
  requireXmm(b);
  const y = spreadHalf(b);
  const native = y.map((part) => simd(b, 'promote', part));
  const certain = allSet(b, 4, y.map((part) => plainLanes(b, 4, part)).reduce((one, other) => simd(b, 'and', one, other)));
  // The microcode takes the elements side by side: in the first part, where there are two.
  writeVector(b, 0, certainOr(b, native, certain, { operation: FLOAT_RESIZE, count: native.length * 2, y: [y[0]!] }));
};

const doublesToSingles: Semantics = (b) => {
  requireXmm(b);
  const y = readVector(b, 1);
  const native = y.map((part) => simd(b, 'demote', part));
  const back = native.map((part) => simd(b, 'promote', part));
  const joined = native.length === 2 ? [joinLow(b, native[0]!, native[1]!)] : native;
  const inRange = y.map((part, i) => ordinaryLanes(b, 8, part, back[i]!)).reduce((one, other) => simd(b, 'and', one, other));
  const single = joined.map((part) => ordinaryOrAbove(b, part, native.length)).reduce((one, other) => simd(b, 'and', one, other));
  const certain = all(b, [allSet(b, 8, inRange), allSet(b, 4, single), inexactAllowed(b, true)]);
  const out = certainOr(b, joined, certain, { operation: ofWidth(FLOAT_RESIZE, 8), count: elements(y, 8), y });
  writeVector(b, 0, native.length === 1 ? [lowHalf(b, out[0]!)] : out);
};

/** Ordinary lanes of singles; of one part only the low two count. */
function ordinaryOrAbove(b: Emitter, x: Value, parts: number): Value {
  const lanesOf = ordinaryLanes(b, 4, x);
  return parts === 2 ? lanesOf : simd(b, 'or', lanesOf, shuffleLanes(b, 8, lanes(b, 8, 0), lanes(b, 1, 0xff), [0, 2]));
}

const singleToDouble: Semantics = (b) => {
  requireXmm(b);
  const y = readFloat(b, secondSource(b), 4);
  const certain = b.and(compareFloat(b, 4, 'eq', y, y), isNotDenormal(b, 4, y));
  const result = certainNumberOr(b, convert(b, 'promote', y), certain, { operation: FLOAT_RESIZE, count: 1, y: [y] });
  writeFloat(b, 8, result);
};

const doubleToSingle: Semantics = (b) => {
  requireXmm(b);
  const y = readFloat(b, secondSource(b), 8);
  const native = convert(b, 'demote', y);
  const certain = all(b, [inexactAllowed(b, true), isOrdinary(b, 8, y), isOrdinary(b, 4, native)]);
  const result = certainNumberOr(b, native, certain, { operation: ofWidth(FLOAT_RESIZE, 8), count: 1, y: [y] });
  writeFloat(b, 4, result);
};

export const floatConvertSemantics: Readonly<Record<string, Semantics>> = {
  cvtsi2ss: fromInteger(4), cvtsi2sd: fromInteger(8), cvtpi2ps: fromMmx(4), cvtpi2pd: fromMmx(8),
  cvtdq2ps: doublewordsToSingles, cvtdq2pd: doublewordsToDoubles,
  cvtss2si: toInteger(4, false), cvttss2si: toInteger(4, true), cvtsd2si: toInteger(8, false), cvttsd2si: toInteger(8, true),
  cvtps2dq: packedToDoublewords(4, false), cvttps2dq: packedToDoublewords(4, true),
  cvtpd2dq: packedToDoublewords(8, false), cvttpd2dq: packedToDoublewords(8, true),
  cvtps2pi: toMmx(4, false), cvttps2pi: toMmx(4, true), cvtpd2pi: toMmx(8, false), cvttpd2pi: toMmx(8, true),
  cvtps2pd: singlesToDoubles, cvtpd2ps: doublesToSingles, cvtss2sd: singleToDouble, cvtsd2ss: doubleToSingle,
};
