/** FMA and F16C: both always computed by the microcode, since WebAssembly has neither one rounding nor half precision. */
import {
  FLOAT_FMA, FLOAT_FROM_HALF, FLOAT_RESULT, FLOAT_TO_HALF, FMA_NEGATE_ADDEND, FMA_NEGATE_EVEN, FMA_NEGATE_ODD, FMA_NEGATE_PRODUCT,
} from '../../state/float-operation.ts';
import { SCRATCH } from '../../state/layout.ts';
import type { Semantics } from '../emitter.ts';
import { computeFloat, resultParts } from './float-exact.ts';
import { imm8, loadParts, readVector, source, writeVector } from './operand.ts';
import { elements, ofWidth } from './packed-float.ts';
import { loadFloat, type Width } from './scalar.ts';
import { loadZero, zero } from './simd.ts';

/** Which signs are changed, by the name's middle (SDM vol. 2C, VFMADD132PD and those after it). */
const VARIANTS: Readonly<Record<string, number>> = {
  madd: 0, msub: FMA_NEGATE_ADDEND, nmadd: FMA_NEGATE_PRODUCT, nmsub: FMA_NEGATE_PRODUCT | FMA_NEGATE_ADDEND,
  maddsub: FMA_NEGATE_EVEN, msubadd: FMA_NEGATE_ODD,
};
/** Operands that are multiplied, then the one that is added. */
const ORDERS: Readonly<Record<string, readonly [number, number, number]>> = { 132: [0, 2, 1], 213: [1, 0, 2], 231: [1, 2, 0] };

function fusedPacked(control: number, [x, y, z]: readonly [number, number, number], width: Width): Semantics {
  return (b) => {
    b.requireAvx();
    // Memory first: it may fault.
    const operands = [2, 1, 0].map((n) => readVector(b, n)).toReversed();
    const size = b.size(0);
    computeFloat(b, {
      operation: ofWidth(FLOAT_FMA, width), count: elements(operands[0]!, width), control: b.i32(control),
      x: operands[x]!, y: operands[y]!, z: operands[z]!,
    });
    writeVector(b, 0, resultParts(b, size));
  };
}

function fusedScalar(control: number, [x, y, z]: readonly [number, number, number], width: Width): Semantics {
  return (b) => {
    b.requireAvx();
    const operands = [2, 1, 0].map((n) => loadFloat(b, width, source(b, n, width))).toReversed();
    computeFloat(b, {
      operation: ofWidth(FLOAT_FMA, width), count: 1, control: b.i32(control), x: [operands[x]!], y: [operands[y]!], z: [operands[z]!],
    });
    const pointer = b.registerPointer(0);
    b.storeSized(pointer, 0, width, b.loadSized(b.cpu, SCRATCH + FLOAT_RESULT, width));
    b.storeV128(pointer, 16, zero(b));
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
    const forms: [string, Semantics][] = [[`${name}ps`, fusedPacked(control, order, 4)], [`${name}pd`, fusedPacked(control, order, 8)]];
    // There are no scalar forms that alternate.
    if ((control & (FMA_NEGATE_EVEN | FMA_NEGATE_ODD)) !== 0) return forms;
    return [...forms, [`${name}ss`, fusedScalar(control, order, 4)], [`${name}sd`, fusedScalar(control, order, 8)]];
  }));
}

export const fusedSemantics: Readonly<Record<string, Semantics>> = {
  ...Object.fromEntries(allForms()), vcvtph2ps: halvesToSingles, vcvtps2ph: singlesToHalves,
};
