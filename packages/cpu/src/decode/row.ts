/**
 * The notation of the encoding table, and its parser. One row is one line:
 *
 *     [vex] [np|66|f3|f2] [0f|0f38|0f3a] opcode[+] [/digit|=modrm] mnemonic operands attributes...
 *
 * - `np` asks for no mandatory prefix, `66` `f3` `f2` for that one; without any of them every prefix is accepted unless
 *   another row names it. `+`: the low three bits of the opcode are a register. `/digit`: ModRM.reg; `=modrm`: the byte.
 * - Operands in the notation of SDM vol. 2D, appendix A.2, are a letter for where and a suffix for how wide, as `Ev,Gv`.
 *   Here additionally: `.` and a second suffix give the width in memory where it differs from that in a register
 *   (`Ev.w`); `Rv` `Nq` `Udq` are r/m as a register only, `M` memory only; `Zv` is the register in the opcode, `Hx` `By`
 *   are VEX.vvvv, `Lx` is imm8[7:4]; `Ibs` a byte sign-extended to the operand size, `Ibb` a byte of a byte operation,
 *   `I2b` the second immediate;
 *   `Xx.d` is a gather's memory: elements `d`, the index a vector `x`. Upper-case names (`AL`, `ES`, `ST0`) are fixed registers, `1` the constant.
 *   Suffixes: see `sizeOf` in operand.ts.
 * - Attributes: `lock` allowed; `i64` not in 64-bit mode; `m64` only there; `d64` operand size defaults to 64 there,
 *   `f64` is forced to it; `o16` `o32` `o64` only with these operand sizes; `a16` `a32` `a64` only with that address size;
 *   `z` REX.W does not matter; `sz` operand size matters though no operand shows it; `reg` ModRM.mod is 3, `mod3` it is taken as 3;
 *   `rexb` another row is meant if REX.B is set;
 *   `l0` `l1` `w0` `w1` VEX fields; `vsib` vector index. The last word may be the CPUID feature.
 */
import { parseOperand, type OperandNotation } from './operand.ts';

export const PREFIX_ANY = -1;
export const PREFIX_NONE = 0;
export const PREFIX_66 = 1;
export const PREFIX_F3 = 2;
export const PREFIX_F2 = 3;

/** One row of the encoding table. */
export interface EncodingRow {
  /** Position in the table; `Instruction.row`. */
  readonly index: number;
  readonly vex: boolean;
  /** 0 one-byte, 1 0F, 2 0F38, 3 0F3A. */
  readonly map: number;
  /** PREFIX_*. */
  readonly prefix: number;
  readonly opcode: number;
  /** The opcode's low three bits are a register. */
  readonly plusRegister: boolean;
  /** ModRM.reg, or -1. */
  readonly digit: number;
  /** The whole ModRM byte, or -1. */
  readonly modrm: number;
  readonly mnemonic: string;
  readonly operands: readonly OperandNotation[];
  /** The operands as written in the table. */
  readonly notation: string;
  readonly attributes: ReadonlySet<string>;
  /** CPUID feature, or 'base'. */
  readonly feature: string;
  /** Operand sizes in bytes that select this row, as a bit mask (2 | 4 | 8). */
  readonly sizes: number;
  /** The address size that selects this row, or 0. */
  readonly addressSize: number;
  /** VEX.L and VEX.W that select this row, or -1. */
  readonly vectorLength: number;
  readonly w: number;
}

const PREFIXES: readonly string[] = ['np', '66', 'f3', 'f2'];
const MAPS: readonly string[] = ['', '0f', '0f38', '0f3a'];
const ATTRIBUTES: ReadonlySet<string> = new Set(
  'lock i64 m64 d64 f64 o16 o32 o64 a16 a32 a64 z sz mod3 reg rexb l0 l1 w0 w1 vsib'.split(' '),
);

function take(words: string[], choices: readonly string[]): number {
  const found = choices.indexOf(words[0] ?? '');
  if (found >= 0) words.shift();
  return found;
}

function next(words: string[], line: string): string {
  const word = words.shift();
  if (word === undefined) throw new Error(`encoding table: short row: ${line}`);
  return word;
}

function bitChoice(attributes: ReadonlySet<string>, zero: string, one: string): number {
  if (attributes.has(zero)) return 0;
  return attributes.has(one) ? 1 : -1;
}

function sizeMask(attributes: ReadonlySet<string>, letter: string): number {
  return (
    (attributes.has(`${letter}16`) ? 2 : 0) |
    (attributes.has(`${letter}32`) ? 4 : 0) |
    (attributes.has(`${letter}64`) ? 8 : 0)
  );
}

/** Parses one row. */
export function parseRow(line: string, index: number): EncodingRow {
  const words = line.trim().split(/\s+/);
  const vex = take(words, ['vex']) === 0;
  const prefix = take(words, PREFIXES);
  const map = Math.max(take(words, MAPS), 0);
  const opcode = next(words, line);
  const constraint = /^[/=]/.test(words[0] ?? '') ? next(words, line) : '';
  const mnemonic = next(words, line);
  const notation = next(words, line).replace(/^-$/, '');
  const attributes = new Set(words.filter((word) => ATTRIBUTES.has(word)));
  return {
    index,
    vex,
    map,
    prefix,
    opcode: Number.parseInt(opcode, 16),
    plusRegister: opcode.endsWith('+'),
    digit: constraint.startsWith('/') ? Number(constraint.slice(1)) : -1,
    modrm: constraint.startsWith('=') ? Number.parseInt(constraint.slice(1), 16) : -1,
    mnemonic,
    operands: notation === '' ? [] : notation.split(',').map(parseOperand),
    notation,
    attributes,
    feature: words.find((word) => !ATTRIBUTES.has(word)) ?? 'base',
    sizes: sizeMask(attributes, 'o') || 14,
    addressSize: sizeMask(attributes, 'a'),
    vectorLength: bitChoice(attributes, 'l0', 'l1'),
    w: bitChoice(attributes, 'w0', 'w1'),
  };
}
