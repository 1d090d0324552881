/** What x87 instructions begin with, their operands, and values made from bits. */
import type { Value } from '../../wasm/function-builder.ts';
import * as op from '../../wasm/opcodes.ts';
import type { Emitter } from '../emitter.ts';

const REPLACE_LANE_64 = 30;
const SPLAT_64 = 18;
const EXTRACT_LANE_64 = 29;

/** ST(0). */
export function top(b: Emitter): Value {
  return b.i32(0);
}

/** A register from significand (i64) and sign with exponent (i64). */
export function valueOf(b: Emitter, significand: Value, signExponent: Value): Value {
  const both = b.simd(SPLAT_64, op.V128, [significand]);
  return b.simd(REPLACE_LANE_64, op.V128, [both, signExponent], [1]);
}

export function significandOf(b: Emitter, value: Value): Value {
  return b.simd(EXTRACT_LANE_64, op.I64, [value], [0]);
}

export function signExponentOf(b: Emitter, value: Value): Value {
  return b.simd(EXTRACT_LANE_64, op.I64, [value], [1]);
}

/** A function of microcode/x87/value.ts, which writes the status word. */
export function compute(b: Emitter, name: string, result: op.ValueType, ...values: readonly Value[]): Value {
  b.x87.changedStatus();
  return b.micro(name, result, ...values);
}

/** A memory operand that was read. */
export interface Source {
  readonly bits: Value;
  /** Its address as the data pointer has it. */
  readonly pointer: Value;
}

/** Reads memory operand 0: of two bytes sign-extended as i32, of four as i32, of eight as i64. */
export function readMemory(b: Emitter, size: number): Source {
  const linear = b.address();
  const host = b.translateRead(linear, size);
  const bits = b.loadSized(host, 0, size);
  return { bits: size === 2 ? b.int('extend16S', bits) : bits, pointer: b.dataPointer(linear) };
}

/** Stores at memory operand 0 what `make` gives once the address is known to be good; returns the data pointer. */
export function writeMemory(b: Emitter, size: number, make: () => readonly Value[]): Value {
  const linear = b.address();
  const { host, slow } = b.translateWrite(linear, size);
  const [low, high] = make();
  b.storeSized(host, 0, Math.min(size, 8), low!);
  if (high) b.storeSized(host, 8, 2, high);
  b.commit(slow);
  return b.dataPointer(linear);
}

interface Format {
  /** Bits of the fraction, the greatest biased exponent. */
  readonly fraction: number;
  readonly greatest: number;
  readonly from: string;
  readonly with: string;
  readonly compare: string;
}

const FORMATS: Readonly<Record<number, Format>> = {
  4: { fraction: 23, greatest: 0xff, from: 'x87FromSingle', with: 'x87WithSingle', compare: 'x87CompareSingle' },
  8: { fraction: 52, greatest: 0x7ff, from: 'x87FromDouble', with: 'x87WithDouble', compare: 'x87CompareDouble' },
};

/** The format of a real in memory, by bytes. */
export function formatOf(size: number): Format {
  const format = FORMATS[size];
  if (!format) throw new Error(`no real of ${size} bytes`);
  return format;
}

const BIAS = 0x3fff;

/** The value of a normal real in memory by `normal`, of others by `other`. */
export function ofReal(b: Emitter, size: number, bits: Value, result: op.ValueType, normal: (value: Value) => Value, other: () => Value): Value {
  const { fraction, greatest } = formatOf(size);
  const wide = b.extendU(bits);
  const exponent = b.and(b.shrU(wide, b.i64(fraction)), b.i64(greatest));
  const out = b.temp(result);
  b.if(b.ltU(b.sub(exponent, b.i64(1)), b.i64(greatest - 1)), () => {
    const sign = b.and(b.shrU(wide, b.i64(size * 8 - 16)), b.i64(0x8000));
    const significand = b.or(b.shl(wide, b.i64(63 - fraction)), b.i64(0, 0x8000_0000 | 0));
    b.set(out, normal(valueOf(b, significand, b.add(b.or(exponent, sign), b.i64(BIAS - (greatest >> 1))))));
  }, () => b.set(out, other()));
  return out;
}
