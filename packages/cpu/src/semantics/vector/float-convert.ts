/** Conversions between integers, single and double precision, and rounding to integral values. */
import { MXCSR } from '../../state/layout.ts';
import type { Value } from '../../wasm/function-builder.ts';
import * as op from '../../wasm/opcodes.ts';
import type { Emitter, Semantics } from '../emitter.ts';
import {
  enterMmx, imm8, readVector, requireMmx, source, usesMmx, writeVector,
} from './operand.ts';
import { packed, quietBit } from './packed-float.ts';
import {
  bitsOf, compareFloat, convert, float, floatConstant, fromBits, loadFloat, storeFloat, type FloatOp, type Width,
} from './scalar.ts';
import { lanes, loadZero, shuffleLanes, simd, simdTest } from './simd.ts';

const MODES = ['nearest', 'floor', 'ceil', 'trunc'] as const satisfies readonly FloatOp[];

/** MXCSR's rounding control: 0 to nearest, 1 down, 2 up, 3 to zero. */
function roundingControl(b: Emitter): Value {
  return b.and(b.shrU(b.loadI32(b.cpu, MXCSR), b.i32(13)), b.i32(3));
}

/** A value rounded by one of four functions, chosen when the code runs. */
function byMode(b: Emitter, mode: Value, type: op.ValueType, round: (name: (typeof MODES)[number]) => Value): Value {
  const out = b.temp(type);
  const pair = (first: number): void => b.if(b.and(mode, b.i32(1)), () => b.set(out, round(MODES[first + 1]!)), () => b.set(out, round(MODES[first]!)));
  b.if(b.and(mode, b.i32(2)), () => pair(2), () => pair(0));
  return out;
}

const floatType = (width: Width): op.ValueType => (width === 8 ? op.F64 : op.F32);

function roundScalar(b: Emitter, width: Width, mode: Value, x: Value): Value {
  return byMode(b, mode, floatType(width), (name) => float(b, width, name, x));
}

function roundPacked(b: Emitter, width: Width, mode: Value, x: Value): Value {
  return byMode(b, mode, op.V128, (name) => packed(b, name, width, x));
}

// ---- integers to floating point

/** CVTSI2SS, CVTSI2SD from a general register or memory. */
function fromInteger(width: Width): Semantics {
  return (b) => {
    b.requireSse();
    const size = b.size(1) as 4 | 8;
    const value = b.load(size === 8 ? op.I64_LOAD : op.I32_LOAD, source(b, 1, size), 0);
    const name = width === 8 ? (size === 8 ? 'f64FromI64' : 'f64FromI32') : size === 8 ? 'f32FromI64' : 'f32FromI32';
    storeFloat(b, width, b.registerPointer(0), convert(b, name, value));
  };
}

/** CVTPI2PS, CVTPI2PD: two doublewords of an MMX register or memory. */
function fromMmx(width: Width): Semantics {
  return (b) => {
    const mmx = usesMmx(b);
    b.requireSse();
    if (mmx) requireMmx(b);
    const two = loadZero(b, source(b, 1, 8), 8);
    if (mmx) enterMmx(b);
    const pointer = b.registerPointer(0);
    if (width === 8) b.storeV128(pointer, 0, simd(b, 'convertF64', two));
    else b.storeV128(pointer, 0, shuffleLanes(b, 8, simd(b, 'convertF32', two), b.loadV128(pointer, 0), [0, 3]));
  };
}

const doublewordsToSingles: Semantics = (b) => {
  b.requireSse();
  writeVector(b, 0, simd(b, 'convertF32', readVector(b, 1, false)), false);
};

const doublewordsToDoubles: Semantics = (b) => {
  b.requireSse();
  writeVector(b, 0, simd(b, 'convertF64', loadZero(b, source(b, 1, 8), 8)), false);
};

// ---- floating point to integers: what does not fit gives the integer indefinite

/** CVTSS2SI to CVTTSD2SI. */
function toInteger(width: Width, truncate: boolean): Semantics {
  return (b) => {
    b.requireSse();
    const x = loadFloat(b, width, source(b, 1, width));
    const size = b.size(0);
    const rounded = truncate ? float(b, width, 'trunc', x) : roundScalar(b, width, roundingControl(b), x);
    const limit = 2 ** (size * 8 - 1);
    const fits = b.and(
      compareFloat(b, width, 'ge', rounded, floatConstant(b, width, -limit)),
      compareFloat(b, width, 'lt', rounded, floatConstant(b, width, limit)),
    );
    const name = `${size === 8 ? 'i64' : 'i32'}From${width === 8 ? 'F64' : 'F32'}` as const;
    const indefinite = size === 8 ? b.i64(0, 0x8000_0000 | 0) : b.i32(0x8000_0000 | 0);
    b.write(0, b.select(fits, convert(b, name, rounded), indefinite));
  };
}

/** Doublewords from singles. */
function singlesToDoublewords(b: Emitter, x: Value, truncate: boolean): Value {
  const rounded = truncate ? packed(b, 'trunc', 4, x) : roundPacked(b, 4, roundingControl(b), x);
  const least = lanes(b, 4, 0xcf00_0000);
  const fits = simd(b, 'and', packed(b, 'ge', 4, rounded, least), packed(b, 'lt', 4, rounded, lanes(b, 4, 0x4f00_0000)));
  return simd(b, 'bitselect', simd(b, 'truncSatF32', rounded), lanes(b, 4, 0x8000_0000), fits);
}

/** Two doublewords from doubles, zeros above. */
function doublesToDoublewords(b: Emitter, x: Value, truncate: boolean): Value {
  const rounded = truncate ? packed(b, 'trunc', 8, x) : roundPacked(b, 8, roundingControl(b), x);
  const least = lanes(b, 8, 0, 0xc1e0_0000);
  const fits = simd(b, 'and', packed(b, 'ge', 8, rounded, least), packed(b, 'lt', 8, rounded, lanes(b, 8, 0, 0x41e0_0000)));
  const mask = shuffleLanes(b, 4, fits, lanes(b, 1, 0xff), [0, 2, 4, 4]);
  return simd(b, 'bitselect', simd(b, 'truncSatF64', rounded), lanes(b, 4, 0x8000_0000), mask);
}

function packedToDoublewords(width: Width, truncate: boolean): Semantics {
  return (b) => {
    b.requireSse();
    const x = readVector(b, 1, false);
    writeVector(b, 0, width === 4 ? singlesToDoublewords(b, x, truncate) : doublesToDoublewords(b, x, truncate), false);
  };
}

/** CVTPS2PI to CVTTPD2PI. */
function toMmx(width: Width, truncate: boolean): Semantics {
  return (b) => {
    b.requireSse();
    requireMmx(b);
    const x = width === 4 ? loadZero(b, source(b, 1, 8), 8) : b.loadV128(source(b, 1, 16), 0);
    enterMmx(b);
    writeVector(b, 0, width === 4 ? singlesToDoublewords(b, x, truncate) : doublesToDoublewords(b, x, truncate), true);
  };
}

// ---- between single and double precision: NaNs keep their sign and the upper bits of their payload

const singlesToDoubles: Semantics = (b) => {
  b.requireSse();
  const x = loadZero(b, source(b, 1, 8), 8);
  const out = b.copy(simd(b, 'promote', x));
  const nan = packed(b, 'ne', 8, out, out);
  b.if(simdTest(b, 'anyTrue', nan), () => {
    const wide = simd(b, 'extendLowU32', x);
    const sign = simd(b, 'shl64', simd(b, 'and', wide, lanes(b, 8, 0x8000_0000)), b.i32(32));
    const fraction = simd(b, 'shl64', simd(b, 'and', wide, lanes(b, 8, 0x007f_ffff)), b.i32(29));
    const bits = simd(b, 'or', simd(b, 'or', sign, fraction), lanes(b, 8, 0, 0x7ff8_0000));
    b.set(out, simd(b, 'bitselect', bits, out, nan));
  });
  writeVector(b, 0, out, false);
};

const doublesToSingles: Semantics = (b) => {
  b.requireSse();
  const x = readVector(b, 1, false);
  const out = b.copy(simd(b, 'demote', x));
  const nan = packed(b, 'ne', 4, out, out);
  b.if(simdTest(b, 'anyTrue', nan), () => {
    const quiet = simd(b, 'or', x, quietBit(b, 8));
    const sign = simd(b, 'and', simd(b, 'shrU64', quiet, b.i32(32)), lanes(b, 8, 0x8000_0000));
    const fraction = simd(b, 'and', simd(b, 'shrU64', quiet, b.i32(29)), lanes(b, 8, 0x007f_ffff));
    const wide = simd(b, 'or', simd(b, 'or', sign, fraction), lanes(b, 8, 0x7f80_0000));
    b.set(out, simd(b, 'bitselect', shuffleLanes(b, 4, wide, wide, [0, 2, 0, 2]), out, nan));
  });
  writeVector(b, 0, out, false);
};

const singleToDouble: Semantics = (b) => {
  b.requireSse();
  const x = loadFloat(b, 4, source(b, 1, 4));
  const out = b.copy(convert(b, 'promote', x));
  b.if(compareFloat(b, 8, 'ne', out, out), () => {
    const bits = b.extendU(bitsOf(b, 4, x));
    const sign = b.shl(b.and(bits, b.i64(0x8000_0000 | 0, 0)), b.i64(32));
    const fraction = b.shl(b.and(bits, b.i64(0x007f_ffff)), b.i64(29));
    b.set(out, fromBits(b, 8, b.or(b.or(sign, fraction), b.i64(0, 0x7ff8_0000))));
  });
  storeFloat(b, 8, b.registerPointer(0), out);
};

const doubleToSingle: Semantics = (b) => {
  b.requireSse();
  const x = loadFloat(b, 8, source(b, 1, 8));
  const out = b.copy(convert(b, 'demote', x));
  b.if(compareFloat(b, 4, 'ne', out, out), () => {
    const bits = bitsOf(b, 8, x);
    const sign = b.and(b.wrap(b.shrU(bits, b.i64(32))), b.i32(0x8000_0000 | 0));
    const fraction = b.and(b.wrap(b.shrU(bits, b.i64(29))), b.i32(0x003f_ffff));
    b.set(out, fromBits(b, 4, b.or(b.or(sign, fraction), b.i32(0x7fc0_0000))));
  });
  storeFloat(b, 4, b.registerPointer(0), out);
};

// ---- ROUNDPS to ROUNDSD: immediate bits 1:0 the mode, or MXCSR's if bit 2 is set

function roundingMode(b: Emitter): Value {
  const immediate = imm8(b);
  const own = b.and(immediate, b.i32(3));
  return b.select(b.and(immediate, b.i32(4)), roundingControl(b), own);
}

function roundAll(width: Width): Semantics {
  return (b) => {
    b.requireSse();
    const x = readVector(b, 1, false);
    const rounded = roundPacked(b, width, roundingMode(b), x);
    const nan = packed(b, 'ne', width, x, x);
    writeVector(b, 0, simd(b, 'bitselect', simd(b, 'or', x, quietBit(b, width)), rounded, nan), false);
  };
}

function roundOne(width: Width): Semantics {
  return (b) => {
    b.requireSse();
    const x = loadFloat(b, width, source(b, 1, width));
    const rounded = roundScalar(b, width, roundingMode(b), x);
    const quiet = width === 8 ? b.i64(0, 0x0008_0000) : b.i32(0x0040_0000);
    const bits = b.select(compareFloat(b, width, 'ne', x, x), b.or(bitsOf(b, width, x), quiet), bitsOf(b, width, rounded));
    b.storeSized(b.registerPointer(0), 0, width, bits);
  };
}

export const floatConvertSemantics: Readonly<Record<string, Semantics>> = {
  cvtsi2ss: fromInteger(4), cvtsi2sd: fromInteger(8), cvtpi2ps: fromMmx(4), cvtpi2pd: fromMmx(8),
  cvtdq2ps: doublewordsToSingles, cvtdq2pd: doublewordsToDoubles,
  cvtss2si: toInteger(4, false), cvttss2si: toInteger(4, true), cvtsd2si: toInteger(8, false), cvttsd2si: toInteger(8, true),
  cvtps2dq: packedToDoublewords(4, false), cvttps2dq: packedToDoublewords(4, true),
  cvtpd2dq: packedToDoublewords(8, false), cvttpd2dq: packedToDoublewords(8, true),
  cvtps2pi: toMmx(4, false), cvttps2pi: toMmx(4, true), cvtpd2pi: toMmx(8, false), cvttpd2pi: toMmx(8, true),
  cvtps2pd: singlesToDoubles, cvtpd2ps: doublesToSingles, cvtss2sd: singleToDouble, cvtsd2ss: doubleToSingle,
  roundps: roundAll(4), roundpd: roundAll(8), roundss: roundOne(4), roundsd: roundOne(8),
};
