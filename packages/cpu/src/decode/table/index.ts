/** The encoding table: every row of every map, parsed. */
import { parseRow, type EncodingRow } from '../row.ts';
import { MAP_0F38 } from './0f38.ts';
import { MAP_0F3A } from './0f3a.ts';
import { ONE_BYTE } from './one-byte.ts';
import { SSE } from './sse.ts';
import { TWO_BYTE } from './two-byte.ts';
import { VEX_0F } from './vex-0f.ts';
import { VEX_0F38 } from './vex-0f38.ts';
import { VEX_0F3A } from './vex-0f3a.ts';
import { X87 } from './x87.ts';

const TEXT: readonly string[] = [ONE_BYTE, X87, TWO_BYTE, SSE, MAP_0F38, MAP_0F3A, VEX_0F, VEX_0F38, VEX_0F3A];

/** All rows; `Instruction.row` is an index here. */
export const ROWS: readonly EncodingRow[] = TEXT.join('')
  .split('\n')
  .filter((line) => line.trim() !== '')
  .map(parseRow);

/** All mnemonics; `Instruction.mnemonic` is an index here. */
export const MNEMONICS: readonly string[] = [...new Set(ROWS.map((row) => row.mnemonic))];

/** Mnemonic -> index in MNEMONICS. */
export const MNEMONIC_INDEX: ReadonlyMap<string, number> = new Map(MNEMONICS.map((name, index) => [name, index]));

/** Index of a mnemonic; throws for a name that no row has. */
export function mnemonicIndex(name: string): number {
  const index = MNEMONIC_INDEX.get(name);
  if (index === undefined) throw new Error(`no such mnemonic: ${name}`);
  return index;
}
