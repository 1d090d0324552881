import type { Semantics } from './emitter.ts';
import { aluSemantics } from './integer/alu.ts';
import { bitSemantics } from './integer/bit.ts';
import { branchSemantics } from './integer/branch.ts';
import { flagSemantics } from './integer/flag.ts';
import { moveSemantics } from './integer/move.ts';
import { multiplySemantics } from './integer/multiply.ts';
import { shiftSemantics } from './integer/shift.ts';
import { stackSemantics } from './integer/stack.ts';
import { vectorSemantics } from './vector/index.ts';
import { x87Semantics } from './x87/index.ts';

/** The meaning of each mnemonic that is not microcode. */
export const SEMANTICS: ReadonlyMap<string, Semantics> = new Map(
  [
    aluSemantics, moveSemantics, shiftSemantics, multiplySemantics, bitSemantics, stackSemantics,
    branchSemantics, flagSemantics, vectorSemantics, x87Semantics,
  ].flatMap((group) => Object.entries(group)),
);
