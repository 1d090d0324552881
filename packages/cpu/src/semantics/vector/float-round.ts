/** Rounding to integral values: ROUNDPS to ROUNDSD. */
import { MXCSR } from '../../state/layout.ts';
import { FLOAT_ROUND } from '../../state/float-operation.ts';
import type { Value } from '../../wasm/function-builder.ts';
import * as op from '../../wasm/opcodes.ts';
import type { Emitter, Semantics } from '../emitter.ts';
import { allSet, certainNumberOr, certainOr, inexactAllowed, packed } from './float-exact.ts';
import { imm8, readVector, requireXmm, secondSource, writeVector, readFloat, writeFloat } from './operand.ts';
import { elements, ofWidth } from './packed-float.ts';
import { compareFloat, float, type FloatOp, type Width } from './scalar.ts';
import { simd } from './simd.ts';

const MODES = ['nearest', 'floor', 'ceil', 'trunc'] as const satisfies readonly FloatOp[];

/** A value rounded by one of four functions, chosen when the code runs. */
function byMode(b: Emitter, mode: Value, type: op.ValueType, round: (name: (typeof MODES)[number]) => Value): Value {
  const out = b.temp(type);
  const pair = (first: number): void => b.if(b.and(mode, b.i32(1)), () => b.set(out, round(MODES[first + 1]!)), () => b.set(out, round(MODES[first]!)));
  b.if(b.and(mode, b.i32(2)), () => pair(2), () => pair(0));
  return out;
}

/** Immediate bits 1:0 are the mode, or MXCSR's if bit 2 is set. */
function roundingMode(b: Emitter): Value {
  const immediate = imm8(b);
  const control = b.and(b.shrU(b.loadI32(b.cpu, MXCSR), b.i32(13)), b.i32(3));
  return b.select(b.and(immediate, b.i32(4)), control, b.and(immediate, b.i32(3)));
}

function roundAll(width: Width): Semantics {
  return (b) => {
    requireXmm(b);
    const y = readVector(b, 1);
    const mode = roundingMode(b);
    const results = y.map((part) => byMode(b, mode, op.V128, (name) => packed(b, name, width, part)));
    const numbers = y.map((part) => packed(b, 'eq', width, part, part)).reduce((one, other) => simd(b, 'and', one, other));
    const certain = b.and(allSet(b, width, numbers), inexactAllowed(b, false, true));
    writeVector(b, 0, certainOr(b, results, certain, { operation: ofWidth(FLOAT_ROUND, width), count: elements(y, width), control: imm8(b), y }));
  };
}

function roundOne(width: Width): Semantics {
  return (b) => {
    requireXmm(b);
    const y = readFloat(b, secondSource(b), width);
    const result = byMode(b, roundingMode(b), width === 8 ? op.F64 : op.F32, (name) => float(b, width, name, y));
    const certain = b.and(compareFloat(b, width, 'eq', y, y), inexactAllowed(b, false, true));
    const rounded = certainNumberOr(b, result, certain, { operation: ofWidth(FLOAT_ROUND, width), count: 1, control: imm8(b), y: [y] });
    writeFloat(b, width, rounded);
  };
}

export const floatRoundSemantics: Readonly<Record<string, Semantics>> = {
  roundps: roundAll(4), roundpd: roundAll(8), roundss: roundOne(4), roundsd: roundOne(8),
};
