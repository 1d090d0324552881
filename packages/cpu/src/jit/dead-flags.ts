/**
 * Which instructions of a block set flags that nobody can see: they are overwritten before anything reads them, and before
 * anything that may leave the region, where the flags must be true.
 */
import { OP_IMM } from '../decode/instruction.ts';
import { MNEMONICS } from '../decode/table/index.ts';
import type { RegionInstruction } from './region.ts';

/** Sets all six flags, and reads none. */
const SETS_ALL = new Set(['add', 'sub', 'cmp', 'and', 'or', 'xor', 'test', 'neg', 'imul']);
/** The same with a count that is not zero. */
const SHIFTS = new Set(['shl', 'sal', 'shr', 'sar']);
/** Sets some flags and keeps the others, or touches none. */
const PASSES = new Set([
  'mov', 'movzx', 'movsx', 'movsxd', 'lea', 'not', 'bswap', 'nop', 'cdqe', 'cwde', 'cbw', 'cdq', 'cqo', 'inc', 'dec', 'rol', 'ror',
]);

/** For each instruction, whether its flags are dead. */
export function deadFlags(instructions: readonly RegionInstruction[]): boolean[] {
  const dead: boolean[] = [];
  let after = false;
  for (let i = instructions.length - 1; i >= 0; i--) {
    dead[i] = after;
    after = deadBefore(instructions[i]!, after);
  }
  return dead;
}

/** Whether a block overwrites the flags that it begins with in this way. */
export function flagsDeadAtStart(instructions: readonly RegionInstruction[]): boolean {
  return instructions.reduceRight((after, instruction) => deadBefore(instruction, after), false);
}

function deadBefore(instruction: RegionInstruction, after: boolean): boolean {
  const { ins, handler } = instruction;
  const name = MNEMONICS[ins.mnemonic]!;
  const addressOnly = name === 'lea' || name === 'nop';
  if (!handler.semantics || (!addressOnly && ins.memory !== null)) return false;
  return overwritesFlags(instruction) || (passesFlags(instruction) && after);
}

/** Sets all flags where it completes, and reads none. */
export function overwritesFlags({ ins }: RegionInstruction): boolean {
  const name = MNEMONICS[ins.mnemonic]!;
  if (SHIFTS.has(name)) return ins.operands[1].kind === OP_IMM && (ins.immLo & (ins.operandSize === 8 ? 63 : 31)) !== 0;
  return SETS_ALL.has(name);
}

/** Reads no flags but what it keeps. */
export function passesFlags({ ins }: RegionInstruction): boolean {
  return PASSES.has(MNEMONICS[ins.mnemonic]!);
}
