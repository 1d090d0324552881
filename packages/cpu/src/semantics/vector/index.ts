/** The meaning of the MMX, SSE, AVX, FMA and F16C mnemonics. */
import type { Semantics } from '../emitter.ts';
import { floatCompareSemantics } from './float-compare.ts';
import { floatConvertSemantics } from './float-convert.ts';
import { floatRoundSemantics } from './float-round.ts';
import { fusedSemantics } from './fused.ts';
import { packedFloatSemantics } from './packed-float.ts';
import { packedIntegerSemantics } from './packed-integer.ts';
import { permuteSemantics } from './permute.ts';
import { shuffleSemantics } from './shuffle.ts';
import { vectorMoveSemantics } from './vector-move.ts';
import { vectorShiftSemantics } from './vector-shift.ts';

const legacy: Readonly<Record<string, Semantics>> = {
  ...packedIntegerSemantics, ...packedFloatSemantics, ...floatCompareSemantics, ...floatConvertSemantics, ...floatRoundSemantics,
  ...vectorMoveSemantics, ...vectorShiftSemantics, ...shuffleSemantics,
};

/** What has a VEX form means the same there, with the frames of operand.ts. */
const vex: Readonly<Record<string, Semantics>> = Object.fromEntries(Object.entries(legacy).map(([name, meaning]) => [`v${name}`, meaning]));

export const vectorSemantics: Readonly<Record<string, Semantics>> = { ...legacy, ...vex, ...permuteSemantics, ...fusedSemantics };
