/** CMPPS to CMPSD, COMISS to UCOMISD, with VEX predicates of five bits. */
import { FLOAT_COMPARE, FLOAT_ORDER } from '../../state/float-operation.ts';
import type { Value } from '../../wasm/function-builder.ts';
import type { Emitter, Semantics } from '../emitter.ts';
import { all, allSet, certainNumberOr, certainOr, isNotDenormal, packed, plainLanes } from './float-exact.ts';
import { firstSource, isVex, readVector, requireXmm, secondSource, writeVector, readFloat, writeFloat } from './operand.ts';
import { elements, ofWidth } from './packed-float.ts';
import { compareFloat, type Width, fromBits } from './scalar.ts';
import { simd } from './simd.ts';

/** Of predicates 0 to 15, bit by bit: those that hold when x is greater, less, equal (SDM vol. 2A, table 3-1). */
const HOLDS_GREATER = 0b1111_0000_1111_0000;
const HOLDS_LESS = 0b1001_0110_1001_0110;
const HOLDS_EQUAL = 0b1010_0101_1010_0101;

/** The predicate; the legacy instructions have eight. */
function predicate(b: Emitter): Value {
  return b.and(b.wrap(b.immediate()), b.i32(isVex(b) ? 31 : 7));
}

/** Whether the predicate is one of those, as i32. */
function isOneOf(b: Emitter, chosen: Value, set: number): Value {
  return b.and(b.shrU(b.i32(set), b.and(chosen, b.i32(15))), b.i32(1));
}

/** Ones where the predicate holds, of vectors without NaNs. */
function holds(b: Emitter, width: Width, chosen: Value, x: Value, y: Value): Value {
  const spread = (set: number): Value => simd(b, 'splat32', b.sub(b.i32(0), isOneOf(b, chosen, set)));
  const pairs = [['gt', HOLDS_GREATER], ['lt', HOLDS_LESS], ['eq', HOLDS_EQUAL]] as const;
  const masks = pairs.map(([name, set]) => simd(b, 'and', packed(b, name, width, x, y), spread(set)));
  return masks.reduce((one, other) => simd(b, 'or', one, other));
}

function comparePacked(width: Width): Semantics {
  return (b) => {
    requireXmm(b);
    const y = readVector(b, secondSource(b));
    const x = readVector(b, firstSource(b));
    const control = predicate(b);
    const results = x.map((part, i) => holds(b, width, control, part, y[i]!));
    const plain = [...x, ...y].map((part) => plainLanes(b, width, part));
    const certain = allSet(b, width, plain.reduce((one, other) => simd(b, 'and', one, other)));
    writeVector(b, 0, certainOr(b, results, certain, { operation: ofWidth(FLOAT_COMPARE, width), count: elements(x, width), control, x, y }));
  };
}

/** The same for the low element: 0 or all ones. */
function compareScalar(width: Width): Semantics {
  return (b) => {
    requireXmm(b);
    const y = readFloat(b, secondSource(b), width);
    const x = readFloat(b, firstSource(b), width);
    const control = predicate(b);
    const relations = [['gt', HOLDS_GREATER], ['lt', HOLDS_LESS], ['eq', HOLDS_EQUAL]] as const;
    const found = relations.map(([name]) => compareFloat(b, width, name, x, y));
    const held = relations.map(([, set], i) => b.and(found[i]!, isOneOf(b, control, set)));
    const mask = b.sub(b.i32(0), held.reduce((one, other) => b.or(one, other)));
    const certain = all(b, [found.reduce((one, other) => b.or(one, other)), isNotDenormal(b, width, x), isNotDenormal(b, width, y)]);
    const native = width === 8 ? b.extendS(mask) : mask;
    const result = certainNumberOr(b, native, certain, { operation: ofWidth(FLOAT_COMPARE, width), count: 1, control, x: [x], y: [y] });
    writeFloat(b, width, fromBits(b, width, result));
  };
}

/** ZF, PF and CF from the comparison; all three when unordered (SDM vol. 2A, COMISD). COMISD signals quiet NaNs. */
function compareToFlags(width: Width, signals: boolean): Semantics {
  return (b) => {
    requireXmm(b);
    const y = readFloat(b, 1, width);
    const x = readFloat(b, 0, width);
    const [greater, less, equal] = (['gt', 'lt', 'eq'] as const).map((name) => compareFloat(b, width, name, x, y));
    const certain = all(b, [b.or(b.or(greater!, less!), equal!), isNotDenormal(b, width, x), isNotDenormal(b, width, y)]);
    // FLOAT_ORDER: 0 greater, 1 less, 2 equal, 3 unordered: bit 0 is CF, bit 1 ZF, both PF.
    const native = b.or(less!, b.shl(equal!, b.i32(1)));
    const call = { operation: ofWidth(FLOAT_ORDER, width), count: 1, control: b.i32(signals ? 1 : 0), x: [x], y: [y] };
    const order = certainNumberOr(b, native, certain, call);
    const none = b.i32(0);
    const [cf, zf] = [b.and(order, b.i32(1)), b.shrU(order, b.i32(1))];
    b.flagsAll({ zf, pf: b.and(cf, zf), cf, af: none, sf: none, of: none });
  };
}

export const floatCompareSemantics: Readonly<Record<string, Semantics>> = {
  cmpps: comparePacked(4), cmppd: comparePacked(8), cmpss: compareScalar(4), cmpsd: compareScalar(8),
  comiss: compareToFlags(4, true), ucomiss: compareToFlags(4, false), comisd: compareToFlags(8, true), ucomisd: compareToFlags(8, false),
};
