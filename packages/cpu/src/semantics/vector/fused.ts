/** FMA and F16C: by the microcode, since WebAssembly has neither one rounding nor half precision; what is compiled, see fused-native.ts. */
import {
  FLOAT_FMA, FLOAT_FROM_HALF, FLOAT_RESULT, FLOAT_TO_HALF, FMA_NEGATE_ADDEND, FMA_NEGATE_EVEN, FMA_NEGATE_ODD, FMA_NEGATE_PRODUCT,
} from '../../state/float-operation.ts';
import { SCRATCH } from '../../state/layout.ts';
import type { Value } from '../../wasm/function-builder.ts';
import * as op from '../../wasm/opcodes.ts';
import type { Semantics } from '../emitter.ts';
import { allSet, certainNumberOr, certainOr, computeFloat, inexactAllowed, resultParts } from './float-exact.ts';
import { fuse } from './fused-native.ts';
import { imm8, loadParts, readRegister, readVector, source, type Vector, writeVector } from './operand.ts';
import { elements, ofWidth } from './packed-float.ts';
import type { Width } from './scalar.ts';
import { floatLane, loadZero, simd, simdTest, withFloatLane } from './simd.ts';

/** Which signs are changed, by the name's middle (SDM vol. 2C, VFMADD132PD and those after it). */
const VARIANTS: Readonly<Record<string, number>> = {
  madd: 0, msub: FMA_NEGATE_ADDEND, nmadd: FMA_NEGATE_PRODUCT, nmsub: FMA_NEGATE_PRODUCT | FMA_NEGATE_ADDEND,
  maddsub: FMA_NEGATE_EVEN, msubadd: FMA_NEGATE_ODD,
};
/** Operands that are multiplied, then the one that is added. */
const ORDERS: Readonly<Record<string, readonly [number, number, number]>> = { 132: [0, 2, 1], 213: [1, 0, 2], 231: [1, 2, 0] };

/** How an instruction takes its operands: what FLOAT_FMA calls control, and their order. */
interface Fused {
  readonly control: number;
  readonly order: readonly [number, number, number];
  readonly width: Width;
}

function fusedPacked({ control, order: [x, y, z], width }: Fused): Semantics {
  return (b) => {
    b.requireAvx();
    // Memory first: it may fault.
    const operands = [2, 1, 0].map((n) => readVector(b, n)).toReversed();
    const call = {
      operation: ofWidth(FLOAT_FMA, width), count: elements(operands[0]!, width), control: b.i32(control),
      x: operands[x]!, y: operands[y]!, z: operands[z]!,
    };
    if (!b.operandsConstant) {
      computeFloat(b, call);
      writeVector(b, 0, resultParts(b, b.size(0)));
      return;
    }
    const native = call.x.map((part, i) => fuse(b, width, control, part, call.y[i]!, call.z[i]!));
    const certain = native.map((part) => part.certain).reduce((one, other) => simd(b, 'and', one, other));
    writeVector(b, 0, certainOr(b, native.map(({ result }) => result), b.and(allSet(b, width, certain), inexactAllowed(b, true)), call));
  };
}

function fusedScalar({ control, order: [x, y, z], width }: Fused): Semantics {
  return (b) => {
    b.requireAvx();
    const low = (n: number): Value => (b.operand(n).kind === 'reg' ? readRegister(b, n, 16)[0]! : loadZero(b, source(b, n, width), width));
    const operands = [2, 1, 0].map(low).toReversed();
    const number = (n: number): Vector => [floatLane(b, width, operands[n]!)];
    const call = { operation: ofWidth(FLOAT_FMA, width), count: 1, control: b.i32(control), x: number(x), y: number(y), z: number(z) };
    const write = (value: Value): void => writeVector(b, 0, [withFloatLane(b, width, operands[0]!, value)]);
    if (!b.operandsConstant) {
      computeFloat(b, call);
      write(b.load(width === 8 ? op.F64_LOAD : op.F32_LOAD, b.cpu, SCRATCH + FLOAT_RESULT));
      return;
    }
    const { result, certain } = fuse(b, width, control, operands[x]!, operands[y]!, operands[z]!);
    const lowCertain = b.and(simdTest(b, width === 8 ? 'bitmask64' : 'bitmask32', certain), b.i32(1));
    write(certainNumberOr(b, floatLane(b, width, result), b.and(lowCertain, inexactAllowed(b, true)), call));
  };
}

/** VCVTPH2PS: four or eight halves. */
const halvesToSingles: Semantics = (b) => {
  b.requireAvx();
  const size = b.size(0);
  const address = source(b, 1, size / 2);
  const halves = size === 32 ? b.loadV128(address, 0) : loadZero(b, address, 8);
  computeFloat(b, { operation: FLOAT_FROM_HALF, count: size / 4, y: [halves] });
  writeVector(b, 0, resultParts(b, size));
};

const singlesToHalves: Semantics = (b) => {
  b.requireAvx();
  const size = b.size(1);
  const y = loadParts(b, b.registerPointer(1), size);
  const memory = b.operand(0).kind === 'mem';
  // The store's fault comes before the exceptions of the conversion are kept.
  const target = memory ? b.translateWrite(b.address(), size / 2) : null;
  computeFloat(b, { operation: FLOAT_TO_HALF, count: size / 4, control: imm8(b), y });
  const at = b.add(b.cpu, b.i32(SCRATCH + FLOAT_RESULT));
  const result = size === 32 ? b.loadV128(at, 0) : loadZero(b, at, 8);
  if (!target) {
    writeVector(b, 0, [result]);
    return;
  }
  if (size === 32) b.storeV128(target.host, 0, result);
  else b.storeI64(target.host, 0, b.loadI64(at, 0));
  b.commit(target.slow);
};

function allForms(): [string, Semantics][] {
  return Object.entries(VARIANTS).flatMap(([variant, control]) => Object.entries(ORDERS).flatMap(([digits, order]) => {
    const name = `vf${variant}${digits}`;
    const fused = (width: Width): Fused => ({ control, order, width });
    const forms: [string, Semantics][] = [[`${name}ps`, fusedPacked(fused(4))], [`${name}pd`, fusedPacked(fused(8))]];
    // There are no scalar forms that alternate.
    if ((control & (FMA_NEGATE_EVEN | FMA_NEGATE_ODD)) !== 0) return forms;
    return [...forms, [`${name}ss`, fusedScalar(fused(4))], [`${name}sd`, fusedScalar(fused(8))]];
  }));
}

export const fusedSemantics: Readonly<Record<string, Semantics>> = {
  ...Object.fromEntries(allForms()), vcvtph2ps: halvesToSingles, vcvtps2ph: singlesToHalves,
};
