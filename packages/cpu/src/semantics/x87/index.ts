/**
 * The meaning of the x87 mnemonics that programs use all the time, while all exceptions are masked and none is pending; the
 * microcode has all of them in all circumstances (`Emitter.leaveToMicrocode`).
 */
import type { Semantics } from '../emitter.ts';
import { x87ArithmeticSemantics } from './arithmetic.ts';
import { x87CompareSemantics } from './compare.ts';
import { x87ControlSemantics } from './control.ts';
import { x87MoveSemantics } from './move.ts';

export const x87Semantics: Readonly<Record<string, Semantics>> = {
  ...x87ArithmeticSemantics, ...x87CompareSemantics, ...x87ControlSemantics, ...x87MoveSemantics,
};
