/**
 * Which handler runs which instruction form. Handler numbers: first the few that are not instructions, then those that
 * stand inside the interpreter's function, then those that it calls.
 */
import { RC_CR, RC_DR, RC_GPR_HIGH, RC_GPR, RC_SEG } from '../decode/instruction.ts';
import type { FormShape, OperandShape, Semantics } from '../semantics/emitter.ts';
import { SEMANTICS } from '../semantics/registry.ts';

/** Goes on at another trace. HANDLER_EXIT_TRACE (0), HANDLER_HEAT (2) and HANDLER_REGION (3) are in state/record.ts. */
export const HANDLER_GOTO = 1;
/** As HANDLER_ADDRESS, for 32-bit addresses of 32-bit code about which nothing else is special: in place where the segment limits nothing. */
export const HANDLER_ADDRESS_32 = 4;
/** Checks that the second page of an instruction that crosses pages is still where it was. */
export const HANDLER_CHECK_PAGE = 5;
/** Computes the linear address of a legacy-mode memory operand into EA. */
export const HANDLER_ADDRESS = 6;
/** Raises #UD. */
export const HANDLER_UNDEFINED = 7;
/** Raises #GP(0): an instruction of more than fifteen bytes. */
export const HANDLER_TOO_LONG = 8;
export const FIRST_INSTRUCTION_HANDLER = 9;

export interface Handler {
  readonly key: string;
  readonly shape: FormShape;
  /** Null: all is left to the microcode. */
  readonly semantics: Semantics | null;
  /** The microcode function that executes the instruction, or what its semantics leave to it. */
  readonly microcode: string | null;
  readonly inline: boolean;
}

/** Mnemonics whose stack or branch behaviour differs between 64-bit code and legacy code. */
const STACK_MNEMONICS = new Set(['push', 'pop', 'call', 'ret', 'leave']);
/** All that differ between the two: also in what targets are valid, and in the number of vector registers. */
const MODE_MNEMONICS = new Set([...STACK_MNEMONICS, 'jmp', 'vzeroupper', 'vzeroall']);
/** Mnemonics whose counter has the width of addresses. */
const COUNTER_MNEMONICS = new Map([
  ['loop', 'loop'], ['loope', 'loope'], ['loopne', 'loopne'], ['jcxz', 'jcxz'], ['jecxz', 'jcxz'], ['jrcxz', 'jcxz'],
]);

/** The name under which semantics know the instruction. */
export function semanticName(mnemonic: string, operands: readonly OperandShape[], operandSize: number, addressSize: number): string {
  const counter = COUNTER_MNEMONICS.get(mnemonic);
  if (counter) return `${counter}${addressSize}`;
  if (mnemonic === 'crc32') return operands[1]!.size === 1 ? 'crc32_1' : 'crc32';
  if (mnemonic === 'lea') return `lea${addressSize}`;
  if ((mnemonic === 'jmp' || mnemonic === 'call') && isFar(operands[0]!, operandSize)) return `${mnemonic}_far`;
  if (mnemonic === 'mov' || mnemonic === 'push' || mnemonic === 'pop') {
    const special = operands.findIndex((o) => o.kind === 'reg' && (o.regClass === RC_CR || o.regClass === RC_DR || o.regClass === RC_SEG));
    if (special >= 0) return specialMove(mnemonic, operands[special]!.regClass, special === 0);
  }
  return mnemonic;
}

/** A far pointer in the instruction, or in memory: a selector more than the offset. */
function isFar(operand: OperandShape, operandSize: number): boolean {
  return operand.kind === 'far' || (operand.kind === 'mem' && operand.size === operandSize + 2);
}

function specialMove(mnemonic: string, regClass: number, toSpecial: boolean): string {
  const kind = regClass === RC_CR ? 'cr' : regClass === RC_DR ? 'dr' : 'seg';
  if (mnemonic !== 'mov') return `${mnemonic}_${kind}`;
  return toSpecial ? `mov_to_${kind}` : `mov_from_${kind}`;
}

/** Two forms with the same key run the same handler. */
export function handlerKey(name: string, operands: readonly OperandShape[], operandSize: number, long: boolean): string {
  let key = name;
  for (const operand of operands) {
    const regClass = operand.regClass === RC_GPR_HIGH ? RC_GPR : operand.regClass;
    key += operand.kind === 'reg' ? ` r${regClass}.${operand.size}` : ` ${operand.kind[0]}${operand.kind === 'imm' ? '' : operand.size}`;
  }
  if (MODE_MNEMONICS.has(name)) key += ` ${operandSize}${long ? ' long' : ''}`;
  else if (operands.some((o) => o.kind === 'rel') && operandSize === 2) key += ' 16';
  return key;
}

/** Forms whose handlers stand inside the interpreter's function: those that most executed instructions have. */
const INLINE: readonly [RegExp, readonly number[]][] = [
  [/^(mov|add|sub|cmp|and|or|xor|test)$/, [1, 4, 8]],
  [/^(lea[48]|movzx|movsx|movsxd|inc|dec|imul|shl|shr|sar|neg|not|cdqe|cmov(b|ae|e|ne|be|a|s|ns|l|ge|le|g)|adc|sbb|bt|rol|ror|xchg)$/, [4, 8]],
  [/^jmp$/, [4, 8]],
  [/^(j(o|no|b|ae|e|ne|be|a|s|ns|p|np|l|ge|le|g)|set(e|ne|b|ae|l|g|a|be)|nop|endbr64)$/, [1, 2, 4, 8]],
];

/** The same of x87 instructions. */
const INLINE_X87 = /^(fld|fstp?|fild|fistp|fxch|fld1|fldz|fchs|fabs|fsqrt|f(add|subr?|mul|divr?)p?|fu?comip?)$/;

export function isInline(name: string, shape: FormShape): boolean {
  if (INLINE_X87.test(name)) return true;
  const first = shape.operands[0];
  if (STACK_MNEMONICS.has(name)) return shape.operandSize === (shape.long ? 8 : 4);
  if (name.startsWith('j') && first?.kind === 'rel') return shape.operandSize !== 2;
  const size = first ? first.size : 8;
  if (shape.operands.some((o) => o.kind === 'reg' && o.regClass !== RC_GPR && o.regClass !== RC_GPR_HIGH)) return false;
  return INLINE.some(([pattern, sizes]) => pattern.test(name) && (sizes.includes(size) || first?.kind === 'rel' || name === 'nop'));
}

/** A handler for the form, or null where nothing executes it. */
export function handlerFor(
  mnemonic: string, operands: readonly OperandShape[], operandSize: number, addressSize: number, long: boolean,
  microcode: (name: string) => string | null,
): Handler | null {
  const name = semanticName(mnemonic, operands, operandSize, addressSize);
  const key = handlerKey(name, operands, operandSize, long);
  const shape: FormShape = { mnemonic: name, operands, operandSize, long };
  const semantics = SEMANTICS.get(name) ?? null;
  const microcodeName = microcode(name);
  if (semantics) return { key, shape, semantics, microcode: microcodeName, inline: isInline(name, shape) };
  return microcodeName === null ? null : { key: name, shape, semantics: null, microcode: microcodeName, inline: false };
}
