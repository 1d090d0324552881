/** CMPPS to CMPSD, COMISS to UCOMISD. */
import type { Value } from '../../wasm/function-builder.ts';
import * as op from '../../wasm/opcodes.ts';
import type { Emitter, Semantics } from '../emitter.ts';
import { imm8, readVector, source, writeVector } from './operand.ts';
import { packed } from './packed-float.ts';
import { compareFloat, loadFloat, type Width } from './scalar.ts';
import { simd } from './simd.ts';

/** Lanes of ones where the predicate holds: immediate bits 1:0 equal, less, less or equal, unordered; bit 2 negates. */
function packedPredicate(b: Emitter, width: Width, x: Value, y: Value): Value {
  const immediate = imm8(b);
  const result = b.temp(op.V128);
  const bit = (mask: number): Value => b.and(immediate, b.i32(mask));
  b.if(bit(2), () => b.if(bit(1), () => {
    b.set(result, simd(b, 'or', packed(b, 'ne', width, x, x), packed(b, 'ne', width, y, y)));
  }, () => b.set(result, packed(b, 'le', width, x, y))),
  () => b.if(bit(1), () => b.set(result, packed(b, 'lt', width, x, y)), () => b.set(result, packed(b, 'eq', width, x, y))));
  return simd(b, 'xor', result, simd(b, 'splat32', b.sub(b.i32(0), b.shrU(bit(4), b.i32(2)))));
}

function comparePacked(width: Width): Semantics {
  return (b) => {
    b.requireSse();
    const y = readVector(b, 1, false);
    const x = readVector(b, 0, false);
    writeVector(b, 0, packedPredicate(b, width, x, y), false);
  };
}

/** The same for the low element: 0 or all ones. */
function compareScalar(width: Width): Semantics {
  return (b) => {
    b.requireSse();
    const y = loadFloat(b, width, source(b, 1, width));
    const pointer = b.registerPointer(0);
    const x = loadFloat(b, width, pointer);
    const immediate = imm8(b);
    const unordered = b.or(compareFloat(b, width, 'ne', x, x), compareFloat(b, width, 'ne', y, y));
    const bit = (mask: number): Value => b.and(immediate, b.i32(mask));
    const high = b.select(bit(1), unordered, compareFloat(b, width, 'le', x, y));
    const low = b.select(bit(1), compareFloat(b, width, 'lt', x, y), compareFloat(b, width, 'eq', x, y));
    const holds = b.xor(b.select(bit(2), high, low), b.shrU(bit(4), b.i32(2)));
    const mask = b.sub(b.i32(0), holds);
    b.storeSized(pointer, 0, width, width === 8 ? b.extendS(mask) : mask);
  };
}

/** ZF, PF and CF from the comparison; all three when unordered (SDM vol. 2A, COMISD). */
function compareToFlags(width: Width): Semantics {
  return (b) => {
    b.requireSse();
    const y = loadFloat(b, width, source(b, 1, width));
    const x = loadFloat(b, width, b.registerPointer(0));
    const unordered = b.or(compareFloat(b, width, 'ne', x, x), compareFloat(b, width, 'ne', y, y));
    const none = b.i32(0);
    b.flagsAll({
      zf: b.or(compareFloat(b, width, 'eq', x, y), unordered), pf: unordered,
      cf: b.or(compareFloat(b, width, 'lt', x, y), unordered), af: none, sf: none, of: none,
    });
  };
}

export const floatCompareSemantics: Readonly<Record<string, Semantics>> = {
  cmpps: comparePacked(4), cmppd: comparePacked(8), cmpss: compareScalar(4), cmpsd: compareScalar(8),
  comiss: compareToFlags(4), ucomiss: compareToFlags(4), comisd: compareToFlags(8), ucomisd: compareToFlags(8),
};
