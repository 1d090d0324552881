/** x87 comparisons. */
import { FSW } from '../../state/layout.ts';
import type { Value } from '../../wasm/function-builder.ts';
import * as op from '../../wasm/opcodes.ts';
import type { Emitter, Semantics } from '../emitter.ts';
import { compute, formatOf, ofReal, readMemory, top, valueOf } from './operand.ts';

/** C3, C2, C1 and C0 of the status word, and where each lies. */
const CONDITION_CODES = 0x4700;
const C0_BIT = 8;
const C2_BIT = 10;
const C3_BIT = 14;

/** What a comparison does with its result and the stack. */
interface Kind {
  readonly quiet: boolean;
  readonly pops: number;
  readonly toFlags: boolean;
}

function compareValues(b: Emitter, { quiet }: Kind, x: Value, y: Value): Value {
  return compute(b, 'x87Compare', op.I32, x, y, b.i32(quiet ? 1 : 0));
}

/** Condition codes to the status word, or to ZF, PF and CF (SDM vol. 2A, FCOMI). */
function conclude(b: Emitter, kind: Kind, codes: Value, pointer: Value | null): void {
  if (kind.toFlags) {
    const bit = (n: number): Value => b.and(b.shrU(codes, b.i32(n)), b.i32(1));
    const none = b.i32(0);
    b.flagsAll({ zf: bit(C3_BIT), pf: bit(C2_BIT), cf: bit(C0_BIT), af: none, sf: none, of: none });
  } else {
    b.x87.changedStatus();
    b.storeI32(b.cpu, FSW, b.or(b.and(b.loadI32(b.cpu, FSW), b.i32(~CONDITION_CODES)), codes));
  }
  b.x87.setPointers(pointer);
  for (let i = 0; i < kind.pops; i++) b.x87.pop();
}

/** ST(0) with ST(i): of FCOMPP and FUCOMPP ST(1), else operand 1. */
function withRegister(kind: Kind): Semantics {
  return (b) => {
    b.requireX87();
    const other = b.form.operands.length === 0 ? b.i32(1) : b.stackRegister(1);
    b.x87.requireUsed(top(b));
    b.x87.requireUsed(other);
    conclude(b, kind, compareValues(b, kind, b.x87.get(top(b)), b.x87.get(other)), null);
  };
}

function withReal(kind: Kind): Semantics {
  const registers = withRegister(kind);
  return (b) => {
    if (b.operand(0).kind === 'reg') return registers(b);
    b.requireX87();
    b.x87.requireUsed(top(b));
    const size = b.size(0);
    const { bits, pointer } = readMemory(b, size);
    const x = b.x87.get(top(b));
    const codes = ofReal(b, size, bits, op.I32, (y) => compareValues(b, kind, x, y), () => compute(b, formatOf(size).compare, op.I32, x, bits));
    conclude(b, kind, codes, pointer);
  };
}

function withInteger(kind: Kind): Semantics {
  return (b) => {
    b.requireX87();
    b.x87.requireUsed(top(b));
    const { bits, pointer } = readMemory(b, b.size(0));
    const y = b.micro('x87FromInteger', op.V128, b.extendS(bits));
    conclude(b, kind, compareValues(b, kind, b.x87.get(top(b)), y), pointer);
  };
}

/** FTST. */
function withZero(b: Emitter): void {
  b.requireX87();
  b.x87.requireUsed(top(b));
  const kind = { quiet: false, pops: 0, toFlags: false };
  conclude(b, kind, compareValues(b, kind, b.x87.get(top(b)), valueOf(b, b.i64(0), b.i64(0))), null);
}

const ordered = (pops: number, toFlags = false): Kind => ({ quiet: false, pops, toFlags });
const unordered = (pops: number, toFlags = false): Kind => ({ quiet: true, pops, toFlags });

export const x87CompareSemantics: Readonly<Record<string, Semantics>> = {
  fcom: withReal(ordered(0)), fcomp: withReal(ordered(1)), fcompp: withRegister(ordered(2)), ficom: withInteger(ordered(0)), ficomp: withInteger(ordered(1)),
  fucom: withRegister(unordered(0)), fucomp: withRegister(unordered(1)), fucompp: withRegister(unordered(2)), ftst: withZero,
  fcomi: withRegister(ordered(0, true)), fcomip: withRegister(ordered(1, true)), fucomi: withRegister(unordered(0, true)), fucomip: withRegister(unordered(1, true)),
};
