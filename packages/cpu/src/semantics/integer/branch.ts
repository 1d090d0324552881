import type { Value } from '../../wasm/function-builder.ts';
import type { Emitter, Semantics } from '../emitter.ts';
import { popValue, pushValue, stackPlace } from './stack.ts';

const RCX = 1;
const RSP = 4;
const GP = 13;

/** Condition codes in the order of their opcodes. */
const CONDITIONS = ['o', 'no', 'b', 'ae', 'e', 'ne', 'be', 'a', 's', 'ns', 'p', 'np', 'l', 'ge', 'le', 'g'] as const;

const jmp: Semantics = (b) => {
  if (b.operand(0).kind === 'rel') {
    requireTarget16(b, null);
    b.jumpRelative(null);
  } else {
    const target = b.copy(zeroExtended(b, b.read(0)));
    requireTarget(b, target);
    b.jumpIndirect(target);
  }
};

/** #GP(0) at the branch itself for a target that is not canonical (SDM vol. 2: JMP, CALL, RET), or beyond CS's limit. */
function requireTarget(b: Emitter, target: Value): void {
  if (b.form.long) {
    if (b.form.operandSize === 8) b.raise(GP, 0, b.isNotCanonical(target));
    return;
  }
  const limit = b.codeLimit();
  if (limit) b.raise(GP, 0, b.int('gtU', target, limit));
}

/**
 * The same for the relative target, if the condition holds: before anything is changed. Compiled regions have made sure of it at their entry.
 */
function requireRelativeTarget(b: Emitter, condition: Value | null): void {
  if (b.operandsConstant) return;
  const wild = b.isBeyondCode(b.relativeTarget());
  b.raise(GP, 0, condition ? b.and(condition, wild) : wild);
}

/** Other relative jumps are checked where they leave their page (interpreter/generate.ts). */
function requireTarget16(b: Emitter, condition: Value | null): void {
  if (b.form.operandSize === 2) requireRelativeTarget(b, condition);
}

function zeroExtended(b: Emitter, value: Value): Value {
  return b.extendU(value);
}

const call: Semantics = (b) => {
  const size = b.form.operandSize;
  if (b.operand(0).kind === 'rel') {
    requireRelativeTarget(b, null);
    pushValue(b, size, returnAddress(b, size));
    b.jumpRelative(null);
    return;
  }
  const target = b.copy(zeroExtended(b, b.read(0)));
  requireTarget(b, target);
  pushValue(b, size, returnAddress(b, size));
  b.jumpIndirect(target);
};

function returnAddress(b: Emitter, size: number): Value {
  return size === 8 ? b.nextRip() : b.mask(size, b.wrap(b.nextRip()));
}

const ret: Semantics = (b) => {
  const size = b.form.operandSize;
  const { value, pointer } = popValue(b, size);
  const released = b.form.operands[0]?.kind === 'imm'
    ? stackPlace(b, b.and(b.immediate(), b.i64(0xffff)), pointer).pointer : pointer;
  const target = b.copy(zeroExtended(b, value));
  requireTarget(b, target);
  b.writeGpr(RSP, 8, released);
  b.jumpIndirect(target);
};

function conditionalJump(code: number): Semantics {
  return (b) => {
    requireTarget16(b, b.form.operandSize === 2 ? b.condition(code) : null);
    b.jumpRelative(b.condition(code));
  };
}

function setByte(code: number): Semantics {
  return (b) => b.write(0, b.condition(code));
}

/** CMOVcc: the source is read in any case, and a 32-bit destination is extended in any case. */
function conditionalMove(code: number): Semantics {
  return (b) => {
    const source = b.read(1);
    const old = b.read(0);
    b.write(0, b.select(b.condition(code), source, old));
  };
}

/** The counter of LOOP and JCXZ has the width of addresses. */
function loopWith(addressSize: number, condition: 'none' | 'equal' | 'not-equal'): Semantics {
  return (b) => {
    const next = b.sub(b.readGpr(RCX, addressSize), b.constant(addressSize, 1));
    const masked = b.mask(addressSize, next);
    const more = b.eqz(b.eqz(masked));
    const taken = condition === 'none' ? more : b.and(more, b.condition(condition === 'equal' ? 4 : 5));
    requireRelativeTarget(b, taken);
    b.writeGpr(RCX, addressSize, masked);
    b.jumpRelative(taken);
  };
}

function jumpIfCounterZero(addressSize: number): Semantics {
  return (b) => {
    const taken = b.eqz(b.readGpr(RCX, addressSize));
    requireRelativeTarget(b, taken);
    b.jumpRelative(taken);
  };
}

const branches: Record<string, Semantics> = { jmp, call, ret };
CONDITIONS.forEach((name, code) => {
  branches[`j${name}`] = conditionalJump(code);
  branches[`set${name}`] = setByte(code);
  branches[`cmov${name}`] = conditionalMove(code);
});
/** Mnemonics with the address size in bytes appended, as the translator names them. */
for (const size of [2, 4, 8]) {
  branches[`loop${size}`] = loopWith(size, 'none');
  branches[`loope${size}`] = loopWith(size, 'equal');
  branches[`loopne${size}`] = loopWith(size, 'not-equal');
  branches[`jcxz${size}`] = jumpIfCounterZero(size);
}

export const branchSemantics: Readonly<Record<string, Semantics>> = branches;
