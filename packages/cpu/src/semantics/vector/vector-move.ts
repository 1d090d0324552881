/** Loads, stores and moves of vector registers, whole or in part. */
import type { Value } from '../../wasm/function-builder.ts';
import * as op from '../../wasm/opcodes.ts';
import type { Emitter, Semantics } from '../emitter.ts';
import {
  enterMmx, isMmx, readGeneral, readVector, require, requireAligned, requireMmx, requireXmm, source, storeParts, usesMmx, vectorSize, writeMmx, writeVector, loadParts, readLow, readFloat, writeFloat, writeHalf, readHalf,
} from './operand.ts';
import { loadZero, shuffleLanes, simd, type SimdName, zero, withLane } from './simd.ts';
import { storeFloat } from './scalar.ts';

/** Whole registers; `aligned`: memory must be, VEX or not. */
function whole(aligned: boolean): Semantics {
  return (b) => {
    requireXmm(b);
    const size = vectorSize(b);
    const value = b.operand(1).kind === 'reg' ? readVector(b, 1, size) : loadParts(b, source(b, 1, size, aligned), size);
    if (b.operand(0).kind === 'reg') {
      writeVector(b, 0, value);
      return;
    }
    const linear = b.address();
    if (aligned) requireAligned(b, linear, size);
    storeParts(b, linear, value);
  };
}

/** MOVSS, MOVSD: a load clears what is above, a move between registers keeps it. */
function scalar(size: 4 | 8): Semantics {
  return (b) => {
    requireXmm(b);
    if (b.operand(1).kind === 'mem') {
      writeVector(b, 0, [loadZero(b, source(b, 1, size), size)]);
      return;
    }
    const value = readFloat(b, b.form.operands.length - 1, size);
    if (b.operand(0).kind === 'reg') {
      writeFloat(b, size, value);
      return;
    }
    const { host, slow } = b.translateWrite(b.address(), size);
    storeFloat(b, size, host, value);
    b.commit(slow);
  };
}

/** MOVLPS, MOVHPS: eight bytes between memory and the lower or upper half of a register. */
function half(which: 0 | 1): Semantics {
  return (b) => {
    requireXmm(b);
    if (b.operand(0).kind === 'mem') b.storeLinear(b.address(), 8, readHalf(b, 1, which));
    else writeHalf(b, which, b.loadI64(source(b, b.form.operands.length - 1, 8), 0));
  };
}

/** MOVHLPS, MOVLHPS: a half of one register to the other half of another. */
function crossHalf(from: 0 | 1, to: 0 | 1): Semantics {
  return (b) => {
    requireXmm(b);
    writeHalf(b, to, readHalf(b, b.form.operands.length - 1, from));
  };
}

/** MOVD and MOVQ: a vector or MMX register takes 4 or 8 bytes with zeros above, or gives them. */
const moveBits: Semantics = (b) => {
  require(b);
  const size = bitsSize(b);
  const value = readGeneral(b, 1, size);
  const target = b.operand(0);
  if (target.kind === 'mem') b.storeLinear(b.address(), size, value);
  if (usesMmx(b)) enterMmx(b);
  if (target.kind === 'mem') return;
  if (isMmx(b, 0)) writeMmx(b, 0, b.extendU(value));
  else if (target.size === 16) writeVector(b, 0, [lowOnly(b, b.extendU(value))]);
  else b.write(0, value);
};

/** MOVQ2DQ, MOVDQ2Q. */
const moveBetween: Semantics = (b) => {
  requireMmx(b);
  b.requireSse();
  const value = b.loadI64(b.registerPointer(1), 0);
  enterMmx(b);
  if (isMmx(b, 0)) writeMmx(b, 0, value);
  else writeVector(b, 0, [lowOnly(b, value)]);
};

function bitsSize(b: Emitter): 4 | 8 {
  return b.form.operands.some((o) => o.size === 4) ? 4 : 8;
}

/** Eight bytes with zeros above. */
function lowOnly(b: Emitter, value: Value): Value {
  return withLane(b, 8, zero(b), 0, value);
}

/** MOVNTQ. */
const storeMmx: Semantics = (b) => {
  requireMmx(b);
  const value = b.loadI64(b.registerPointer(1), 0);
  b.storeLinear(b.address(), 8, value);
  enterMmx(b);
};

/** MOVDDUP: the low quadword of each sixteen bytes twice. */
const duplicate: Semantics = (b) => {
  requireXmm(b);
  if (vectorSize(b) === 16) writeVector(b, 0, [simd(b, 'splat64', readLow(b, 1, 8))]);
  else writeVector(b, 0, readVector(b, 1).map((part) => shuffleLanes(b, 8, part, part, [0, 0])));
};

/** PMOVSX, PMOVZX: by steps that each double the elements, from the low `bytes` for each sixteen of the destination. */
function extend(bytes: 2 | 4 | 8, ...steps: readonly SimdName[]): Semantics {
  return (b) => {
    requireXmm(b);
    const size = b.size(0);
    if (size === 16 && b.operand(1).kind === 'reg') {
      // Only the low elements matter to the steps.
      writeVector(b, 0, [steps.reduce((value, step) => simd(b, step, value), readVector(b, 1, 16)[0]!)]);
      return;
    }
    const address = source(b, 1, (bytes * size) / 16, false);
    const parts: Value[] = [];
    for (let at = 0; at < size / 16; at++) {
      const from = at === 0 ? address : b.add(address, b.i32(at * bytes));
      const low = bytes === 2 ? simd(b, 'splat16', b.load(op.I32_LOAD16_U, from, 0)) : loadZero(b, from, bytes);
      parts.push(steps.reduce((value, step) => simd(b, step, value), low));
    }
    writeVector(b, 0, parts);
  };
}

export const vectorMoveSemantics: Readonly<Record<string, Semantics>> = {
  movups: whole(false), movupd: whole(false), movdqu: whole(false), lddqu: whole(false),
  movaps: whole(true), movapd: whole(true), movdqa: whole(true),
  movntps: whole(true), movntpd: whole(true), movntdq: whole(true), movntdqa: whole(true), movntq: storeMmx,
  movss: scalar(4), movsd: scalar(8), movlps: half(0), movlpd: half(0), movhps: half(1), movhpd: half(1),
  movhlps: crossHalf(1, 0), movlhps: crossHalf(0, 1), movd: moveBits, movq: moveBits,
  movq2dq: moveBetween, movdq2q: moveBetween, movddup: duplicate,
  pmovsxbw: extend(8, 'extendLowS8'), pmovsxbd: extend(4, 'extendLowS8', 'extendLowS16'),
  pmovsxbq: extend(2, 'extendLowS8', 'extendLowS16', 'extendLowS32'), pmovsxwd: extend(8, 'extendLowS16'),
  pmovsxwq: extend(4, 'extendLowS16', 'extendLowS32'), pmovsxdq: extend(8, 'extendLowS32'),
  pmovzxbw: extend(8, 'extendLowU8'), pmovzxbd: extend(4, 'extendLowU8', 'extendLowU16'),
  pmovzxbq: extend(2, 'extendLowU8', 'extendLowU16', 'extendLowU32'), pmovzxwd: extend(8, 'extendLowU16'),
  pmovzxwq: extend(4, 'extendLowU16', 'extendLowU32'), pmovzxdq: extend(8, 'extendLowU32'),
};

