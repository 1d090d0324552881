/**
 * How flags come to blocks that are entered from several places. Where a block, or those behind it, overwrite all flags before
 * they read any, only ways out of the region may want the ones that stand at its start: they can stay in locals, and a local
 * tells how (`MERGED`).
 */
import { MNEMONICS } from '../decode/table/index.ts';
import { vectorSemantics } from '../semantics/vector/index.ts';
import { deadFlags, overwritesFlags, passesFlags } from './dead-flags.ts';
import { edgesOf, type Block, type RegionInstruction } from './region.ts';
import type { Shape } from './structure.ts';

type Effect = 'sets' | 'keeps' | 'reads';

/** Compare, and set flags without reading any. */
const COMPARES = new Set(['comiss', 'comisd', 'ucomiss', 'ucomisd', 'ptest'].flatMap((name) => [name, `v${name}`]).concat(['vtestps', 'vtestpd']));
const KEEPS = new Set([
  'push', 'pop', 'call', 'ret', 'jmp', 'leave', 'xchg', 'div', 'idiv',
  'fld', 'fst', 'fstp', 'fild', 'fxch', 'fchs', 'fabs', 'fld1', 'fldz', 'fsqrt',
  ...['add', 'mul', 'sub', 'subr', 'div', 'divr'].flatMap((name) => [`f${name}`, `f${name}p`, `fi${name}`]),
  ...Object.keys(vectorSemantics).filter((name) => !COMPARES.has(name)),
]);

/** What an instruction does to the flags; `dead`: nobody sees those that it sets. */
export function flagEffect(instruction: RegionInstruction, dead: boolean): Effect {
  const { ins, handler } = instruction;
  const name = MNEMONICS[ins.mnemonic]!;
  if (!handler.semantics) return 'reads';
  if (overwritesFlags(instruction) || COMPARES.has(name)) return 'sets';
  const steps = name === 'inc' || name === 'dec' || name === 'rol' || name === 'ror';
  return KEEPS.has(name) || (passesFlags(instruction) && (dead || !steps)) ? 'keeps' : 'reads';
}

/** Whether the flags are read that stand at the start of each block, by position; where the region is left they are not. */
export function flagsRead({ order, position }: Shape): readonly boolean[] {
  const effects = order.map(blockEffect);
  const read = effects.map((effect) => effect === 'reads');
  for (let changed = true; changed;) {
    changed = false;
    for (let at = order.length - 1; at >= 0; at--) {
      if (read[at] || effects[at] !== 'keeps') continue;
      if (!edgesOf(order[at]!).some(({ block }) => block && read[position[block.id]!])) continue;
      read[at] = changed = true;
    }
  }
  return read;
}

function blockEffect(block: Block): Effect {
  const { instructions, terminator } = block;
  const dead = deadFlags(instructions);
  for (const [i, instruction] of instructions.entries()) {
    const effect = flagEffect(instruction, dead[i]!);
    if (effect !== 'keeps') return effect;
  }
  // Whoever goes to an address that is computed brings the flags to the area.
  return terminator.kind === 'jump' || terminator.kind === 'call' || terminator.kind === 'branch' || terminator.kind === 'interpret' ? 'keeps' : 'reads';
}
