/** Loads, stores, exchange, constants and sign of x87 registers. */
import type { Value } from '../../wasm/function-builder.ts';
import * as op from '../../wasm/opcodes.ts';
import type { Emitter, Semantics } from '../emitter.ts';
import { simd } from '../vector/simd.ts';
import { compute, formatOf, ofReal, readMemory, significandOf, signExponentOf, top, valueOf, writeMemory } from './operand.ts';

const EXTENDED = 10;

function push(b: Emitter, value: Value, pointer: Value | null): void {
  b.x87.clearC1();
  b.x87.setPointers(pointer);
  b.x87.push();
  b.x87.set(top(b), value);
}

function load(b: Emitter): void {
  b.requireX87();
  if (b.operand(0).kind === 'reg') {
    const from = b.stackRegister(0);
    b.x87.requireUsed(from);
    b.x87.requireRoom();
    push(b, b.x87.get(from), null);
    return;
  }
  b.x87.requireRoom();
  const size = b.size(0);
  if (size === EXTENDED) {
    const linear = b.address();
    const host = b.translateRead(linear, size);
    const value = valueOf(b, b.loadI64(host, 0), b.load(op.I64_LOAD16_U, host, 8));
    push(b, value, b.dataPointer(linear));
    return;
  }
  const { bits, pointer } = readMemory(b, size);
  const value = ofReal(b, size, bits, op.V128, (normal) => normal, () => b.micro(formatOf(size).from, op.V128, bits));
  push(b, value, pointer);
}

function loadInteger(b: Emitter): void {
  b.requireX87();
  b.x87.requireRoom();
  const { bits, pointer } = readMemory(b, b.size(0));
  push(b, b.micro('x87FromInteger', op.V128, b.extendS(bits)), pointer);
}

function constant(significand: (b: Emitter) => Value, signExponent: number): Semantics {
  return (b) => {
    b.requireX87();
    b.x87.requireRoom();
    push(b, valueOf(b, significand(b), b.i64(signExponent)), null);
  };
}

function store(pops: boolean): Semantics {
  return (b) => {
    b.requireX87();
    b.x87.requireUsed(top(b));
    if (b.operand(0).kind === 'reg') {
      b.x87.clearC1();
      b.x87.set(b.stackRegister(0), b.x87.get(top(b)));
      b.x87.setPointers(null);
    } else {
      const value = b.x87.get(top(b));
      b.x87.setPointers(writeMemory(b, b.size(0), () => narrowed(b, value, b.size(0))));
    }
    if (pops) b.x87.pop();
  };
}

/** What is stored of a value in `size` bytes. */
function narrowed(b: Emitter, value: Value, size: number): readonly Value[] {
  if (size === 8) return [compute(b, 'x87ToDouble', op.I64, value)];
  if (size === 4) return [compute(b, 'x87ToSingle', op.I32, value)];
  b.x87.clearC1();
  return [significandOf(b, value), b.wrap(signExponentOf(b, value))];
}

function storeInteger(pops: boolean, truncates: boolean): Semantics {
  return (b) => {
    b.requireX87();
    b.x87.requireUsed(top(b));
    const size = b.size(0);
    const value = b.x87.get(top(b));
    const pointer = writeMemory(b, size, () => {
      const integer = compute(b, 'x87ToInteger', op.I64, value, b.i32(size), b.i32(truncates ? 1 : 0));
      return [size === 8 ? integer : b.wrap(integer)];
    });
    b.x87.setPointers(pointer);
    if (pops) b.x87.pop();
  };
}

function exchange(b: Emitter): void {
  b.requireX87();
  const other = b.stackRegister(1);
  b.x87.requireUsed(top(b));
  b.x87.requireUsed(other);
  b.x87.clearC1();
  const [x, y] = [b.x87.get(top(b)), b.x87.get(other)];
  b.x87.set(top(b), y);
  b.x87.set(other, x);
  b.x87.setPointers(null);
}

/** Changes the sign: also of NaNs, without exceptions. */
function sign(f: (b: Emitter, value: Value) => Value): Semantics {
  return (b) => {
    b.requireX87();
    b.x87.requireUsed(top(b));
    b.x87.clearC1();
    b.x87.set(top(b), f(b, b.x87.get(top(b))));
    b.x87.setPointers(null);
  };
}

/** ST(0) := ST(i), if the condition (as in Jcc opcodes) holds. */
function moveIf(condition: number): Semantics {
  return (b) => {
    b.requireX87();
    const from = b.stackRegister(1);
    b.x87.requireUsed(top(b));
    b.x87.requireUsed(from);
    b.x87.set(top(b), b.select(b.condition(condition), b.x87.get(from), b.x87.get(top(b))));
    b.x87.setPointers(null);
  };
}

function signBit(b: Emitter): Value {
  return valueOf(b, b.i64(0), b.i64(0x8000));
}

export const x87MoveSemantics: Readonly<Record<string, Semantics>> = {
  fld: load, fild: loadInteger, fxch: exchange,
  fld1: constant((b) => b.i64(0, 0x8000_0000 | 0), 0x3fff), fldz: constant((b) => b.i64(0), 0),
  fst: store(false), fstp: store(true), fist: storeInteger(false, false), fistp: storeInteger(true, false), fisttp: storeInteger(true, true),
  fchs: sign((b, value) => simd(b, 'xor', value, signBit(b))), fabs: sign((b, value) => simd(b, 'andnot', value, signBit(b))),
  fcmovb: moveIf(2), fcmovnb: moveIf(3), fcmove: moveIf(4), fcmovne: moveIf(5), fcmovbe: moveIf(6), fcmovnbe: moveIf(7),
  fcmovu: moveIf(10), fcmovnu: moveIf(11),
};
