import { SEG, SEG_BASE, SEG_SIZE, SS, STACK_HIGH, STACK_LOW, STACK_MASK } from '../../state/layout.ts';
import type { Value } from '../../wasm/function-builder.ts';
import type { Emitter, Semantics } from '../emitter.ts';

const RSP = 4;
const RBP = 5;
const SS_VECTOR = 12;

/** The stack pointer, and the linear address of a place relative to it. */
interface StackPlace {
  readonly pointer: Value;
  /** The offset in the stack segment. */
  readonly offset: Value;
  readonly linear: Value;
}

/** The stack pointer moved by `delta` bytes, within SS and with its width where the stack is not flat. */
export function stackPlace(b: Emitter, delta: number | Value, from: Value = b.readGpr(RSP, 8)): StackPlace {
  const by = typeof delta === 'number' ? b.i64(delta) : delta;
  if (b.flatStack) {
    const place = b.form.long ? moveBy(b, from, by) : b.extendU(moveBy(b, b.wrap(from), b.wrap(by)));
    return { pointer: place, offset: place, linear: place };
  }
  const moved = moveBy(b, from, by);
  const mask = b.loadI64(b.cpu, STACK_MASK);
  const base = b.loadI64(b.cpu, SEG + SS * SEG_SIZE + SEG_BASE);
  const offset = b.and(moved, mask);
  const linear = b.and(b.add(base, offset), b.i64(-1, 0));
  // Bits of RSP above the stack's width stay.
  const kept = b.and(from, b.xor(mask, b.i64(-1)));
  return { pointer: b.or(offset, kept), offset, linear };
}

function moveBy(b: Emitter, from: Value, by: Value): Value {
  return by.local < 0 && by.lo === 0 ? from : b.add(from, by);
}

/** #SS(0) where `size` bytes at the place are not within the stack segment. */
function requireStack(b: Emitter, { offset }: StackPlace, size: number): void {
  if (b.flatStack) return;
  const below = b.int('gtU', b.loadI64(b.cpu, STACK_LOW), offset);
  const above = b.int('gtU', b.add(offset, b.i64(size - 1)), b.loadI64(b.cpu, STACK_HIGH));
  b.raise(SS_VECTOR, 0, b.or(below, above));
}

/** Pushes a value: the store first, so that a fault leaves RSP as it was. */
export function pushValue(b: Emitter, size: number, value: Value): void {
  const place = stackPlace(b, -size);
  requireStack(b, place, size);
  b.storeLinear(place.linear, size, value);
  b.writeGpr(RSP, 8, place.pointer);
}

/** The value on top of the stack, and RSP past it (to be written when nothing can fault any more). */
export function popValue(b: Emitter, size: number): { readonly value: Value; readonly pointer: Value } {
  const old = b.readGpr(RSP, 8);
  const place = stackPlace(b, 0, old);
  requireStack(b, place, size);
  const value = b.loadLinear(place.linear, size);
  return { value, pointer: stackPlace(b, size, old).pointer };
}

const push: Semantics = (b) => {
  const size = b.form.operandSize;
  const value = b.readAs(0, size);
  pushValue(b, size, value);
};

/** POP: RSP is increased before a memory destination's address is formed and before a register is written (SDM: POP). */
const pop: Semantics = (b) => {
  const size = b.form.operandSize;
  if (b.operand(0).kind === 'reg') {
    const { value, pointer } = popValue(b, size);
    b.writeGpr(RSP, 8, pointer);
    b.write(0, value);
    return;
  }
  const old = b.readGpr(RSP, 8);
  const { value, pointer } = popValue(b, size);
  b.writeGpr(RSP, 8, pointer);
  const linear = b.copy(b.address());
  b.writeGpr(RSP, 8, old);
  b.storeLinear(linear, size, value);
  b.writeGpr(RSP, 8, pointer);
};

const leave: Semantics = (b) => {
  const size = b.form.operandSize;
  const old = b.readGpr(RSP, 8);
  const frame = b.readGpr(RBP, 8);
  const from = b.flatStack ? frame : mergeStack(b, frame, old);
  const place = stackPlace(b, 0, from);
  requireStack(b, place, size);
  const value = b.loadLinear(place.linear, size);
  const pointer = stackPlace(b, size, from).pointer;
  b.writeGpr(RSP, 8, pointer);
  b.writeGpr(RBP, size, value);
};

function mergeStack(b: Emitter, value: Value, old: Value): Value {
  const mask = b.loadI64(b.cpu, STACK_MASK);
  return b.or(b.and(value, mask), b.and(old, b.xor(mask, b.i64(-1))));
}

export const stackSemantics: Readonly<Record<string, Semantics>> = { push, pop, leave };
