/** WebAssembly's scalar floating-point operators over the emitter, for both widths. */
import type { Value } from '../../wasm/function-builder.ts';
import * as op from '../../wasm/opcodes.ts';
import type { Emitter } from '../emitter.ts';

/** Bytes: 4 single, 8 double precision. */
export type Width = 4 | 8;

/** Opcodes for single and double precision. */
const OPCODES = {
  ceil: [0x8d, 0x9b], floor: [0x8e, 0x9c], trunc: [0x8f, 0x9d], nearest: [0x90, 0x9e], sqrt: [0x91, 0x9f],
  add: [0x92, 0xa0], sub: [0x93, 0xa1], mul: [0x94, 0xa2], div: [0x95, 0xa3],
} as const;
export type FloatOp = keyof typeof OPCODES;

const COMPARISONS = { eq: [0x5b, 0x61], ne: [0x5c, 0x62], lt: [0x5d, 0x63], gt: [0x5e, 0x64], le: [0x5f, 0x65], ge: [0x60, 0x66] } as const;

/** Opcode bytes of conversions. */
const CONVERSIONS = {
  f32FromI32: [0xb2], f32FromI64: [0xb4], f32FromBits: [0xbe], demote: [0xb6],
  f64FromI32: [0xb7], f64FromI64: [0xb9], f64FromBits: [0xbf], promote: [0xbb],
  i32FromF32: [0xfc, 0], i32FromF64: [0xfc, 2], i32Bits: [0xbc],
  i64FromF32: [0xfc, 4], i64FromF64: [0xfc, 6], i64Bits: [0xbd],
} as const;
export type Conversion = keyof typeof CONVERSIONS;

function resultType(name: Conversion): op.ValueType {
  if (name === 'demote' || name.startsWith('f32')) return op.F32;
  if (name === 'promote' || name.startsWith('f64')) return op.F64;
  return name.startsWith('i64') ? op.I64 : op.I32;
}

export function float(b: Emitter, width: Width, name: FloatOp, ...values: readonly Value[]): Value {
  return b.raw([OPCODES[name][width === 8 ? 1 : 0]], width === 8 ? op.F64 : op.F32, ...values);
}

export function compareFloat(b: Emitter, width: Width, name: keyof typeof COMPARISONS, x: Value, y: Value): Value {
  return b.raw([COMPARISONS[name][width === 8 ? 1 : 0]], op.I32, x, y);
}

export function convert(b: Emitter, name: Conversion, value: Value): Value {
  return b.raw(CONVERSIONS[name], resultType(name), value);
}

export function loadFloat(b: Emitter, width: Width, address: Value): Value {
  return b.load(width === 8 ? op.F64_LOAD : op.F32_LOAD, address, 0);
}

export function storeFloat(b: Emitter, width: Width, address: Value, value: Value): void {
  b.store(width === 8 ? op.F64_STORE : op.F32_STORE, address, 0, value);
}

/** A constant. */
export function floatConstant(b: Emitter, width: Width, value: number): Value {
  const view = new DataView(new ArrayBuffer(8));
  if (width === 8) {
    view.setFloat64(0, value, true);
    return convert(b, 'f64FromBits', b.i64(view.getInt32(0, true), view.getInt32(4, true)));
  }
  view.setFloat32(0, value, true);
  return convert(b, 'f32FromBits', b.i32(view.getInt32(0, true)));
}

/** The bits of a value, and back. */
export function bitsOf(b: Emitter, width: Width, value: Value): Value {
  return convert(b, width === 8 ? 'i64Bits' : 'i32Bits', value);
}

export function fromBits(b: Emitter, width: Width, bits: Value): Value {
  return convert(b, width === 8 ? 'f64FromBits' : 'f32FromBits', bits);
}
