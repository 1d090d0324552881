/** How the x87 stack moves in a region, as far as instructions say; the code of a region measures by it where ST(0) lies. */
import { RC_MMX, OP_REG } from '../decode/instruction.ts';
import { MNEMONICS } from '../decode/table/index.ts';
import { x87Semantics } from '../semantics/x87/index.ts';
import { edgesOf, type RegionInstruction } from './region.ts';
import type { Shape } from './structure.ts';

const PUSHES = /^f(i|b)?ld(1|l2t|l2e|pi|lg2|ln2|z)?$|^f(ptan|xtract|sincos|decstp)$/;
const POPS_TWICE = /^fu?compp$/;
const POPS = /^f(?!nop$|decstp$|.*pp$).*p$|^f(yl2x|yl2xp1|patan)$/;

/** Pushes less pops of an instruction. */
export function stackEffect(mnemonic: string): number {
  if (PUSHES.test(mnemonic)) return 1;
  if (POPS_TWICE.test(mnemonic)) return -2;
  return POPS.test(mnemonic) ? -1 : 0;
}

const EFFECTS: Int8Array = Int8Array.from(MNEMONICS, stackEffect);

/** The depth at which each block is entered, by position: as one of the ways to it has it. */
export function x87Depths({ order, position }: Shape): number[] {
  const depths: (number | undefined)[] = [0];
  order.forEach((block, at) => {
    const depth = block.instructions.reduce((sum, { ins }) => sum + EFFECTS[ins.mnemonic]!, depths[at] ?? 0);
    for (const { block: next } of edgesOf(block)) if (next && position[next.id]! >= 0) depths[position[next.id]!] ??= depth;
  });
  return order.map((_, at) => depths[at] ?? 0);
}

/** Whether a mnemonic works on the x87 stack, by number. */
const IS_X87: Uint8Array = Uint8Array.from(MNEMONICS, (name) => (name in x87Semantics ? 1 : 0));

function usesMmx({ ins }: RegionInstruction): boolean {
  return ins.operands.some((operand, n) => n < ins.operandCount && operand.kind === OP_REG && operand.regClass === RC_MMX);
}

/** How a region has its x87 stack: not at all, in locals, or in the area because MMX works on the same registers there. */
export function x87Place({ order }: Shape): 'none' | 'locals' | 'area' {
  if (!order.some((block) => block.instructions.some(({ ins }) => IS_X87[ins.mnemonic] === 1))) return 'none';
  return order.some((block) => block.instructions.some(usesMmx)) ? 'area' : 'locals';
}
