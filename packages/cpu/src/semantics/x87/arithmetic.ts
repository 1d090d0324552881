/** FADD, FSUB, FMUL, FDIV in all their forms, FSQRT and FRNDINT. */
import { X87_ADD, X87_DIV, X87_DIVR, X87_MUL, X87_SUB, X87_SUBR } from '../../state/float-operation.ts';
import type { Value } from '../../wasm/function-builder.ts';
import * as op from '../../wasm/opcodes.ts';
import type { Emitter, Semantics } from '../emitter.ts';
import { compute, formatOf, ofReal, readMemory, top } from './operand.ts';

interface Operation {
  readonly name: string;
  readonly reversed: boolean;
  readonly number: number;
}

const OPERATIONS: Readonly<Record<string, Operation>> = {
  add: { name: 'x87Add', reversed: false, number: X87_ADD },
  mul: { name: 'x87Mul', reversed: false, number: X87_MUL },
  sub: { name: 'x87Sub', reversed: false, number: X87_SUB },
  subr: { name: 'x87Sub', reversed: true, number: X87_SUBR },
  div: { name: 'x87Div', reversed: false, number: X87_DIV },
  divr: { name: 'x87Div', reversed: true, number: X87_DIVR },
};

function apply(b: Emitter, { name, reversed }: Operation, x: Value, y: Value): Value {
  return reversed ? compute(b, name, op.V128, y, x) : compute(b, name, op.V128, x, y);
}

/** ST(operand 0) := ST(operand 0) op ST(operand 1). */
function withRegister(b: Emitter, operation: Operation, pops: boolean): void {
  const [target, source] = [b.stackRegister(0), b.stackRegister(1)];
  b.x87.requireUsed(target);
  b.x87.requireUsed(source);
  b.x87.set(target, apply(b, operation, b.x87.get(target), b.x87.get(source)));
  b.x87.setPointers(null);
  if (pops) b.x87.pop();
}

function real(operation: Operation): Semantics {
  return (b) => {
    b.requireX87();
    if (b.operand(0).kind === 'reg') return withRegister(b, operation, false);
    const size = b.size(0);
    b.x87.requireUsed(top(b));
    const { bits, pointer } = readMemory(b, size);
    const x = b.x87.get(top(b));
    const result = ofReal(b, size, bits, op.V128, (y) => apply(b, operation, x, y),
      () => compute(b, formatOf(size).with, op.V128, x, bits, b.i32(operation.number)));
    b.x87.set(top(b), result);
    b.x87.setPointers(pointer);
  };
}

function integer(operation: Operation): Semantics {
  return (b) => {
    b.requireX87();
    b.x87.requireUsed(top(b));
    const { bits, pointer } = readMemory(b, b.size(0));
    const y = b.micro('x87FromInteger', op.V128, b.extendS(bits));
    b.x87.set(top(b), apply(b, operation, b.x87.get(top(b)), y));
    b.x87.setPointers(pointer);
  };
}

function popping(operation: Operation): Semantics {
  return (b) => {
    b.requireX87();
    withRegister(b, operation, true);
  };
}

/** ST(0) := f(ST(0)). */
function unary(name: string): Semantics {
  return (b) => {
    b.requireX87();
    b.x87.requireUsed(top(b));
    b.x87.set(top(b), compute(b, name, op.V128, b.x87.get(top(b))));
    b.x87.setPointers(null);
  };
}

export const x87ArithmeticSemantics: Readonly<Record<string, Semantics>> = {
  ...Object.fromEntries(Object.entries(OPERATIONS).flatMap(([name, operation]) => [
    [`f${name}`, real(operation)], [`fi${name}`, integer(operation)], [`f${name}p`, popping(operation)],
  ])),
  fsqrt: unary('x87Sqrt'), frndint: unary('x87Round'),
};
