/** The meaning of the MMX and SSE mnemonics. */
import type { Semantics } from '../emitter.ts';
import { floatCompareSemantics } from './float-compare.ts';
import { floatConvertSemantics } from './float-convert.ts';
import { floatRoundSemantics } from './float-round.ts';
import { packedFloatSemantics } from './packed-float.ts';
import { packedIntegerSemantics } from './packed-integer.ts';
import { shuffleSemantics } from './shuffle.ts';
import { vectorMoveSemantics } from './vector-move.ts';
import { vectorShiftSemantics } from './vector-shift.ts';

export const vectorSemantics: Readonly<Record<string, Semantics>> = {
  ...packedIntegerSemantics, ...packedFloatSemantics, ...floatCompareSemantics, ...floatConvertSemantics, ...floatRoundSemantics,
  ...vectorMoveSemantics, ...vectorShiftSemantics, ...shuffleSemantics,
};
