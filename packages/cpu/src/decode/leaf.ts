/**
 * Leaves: rows of the encoding table with all sizes settled. A row such as `add Ev,Gv` has one leaf for each operand
 * size; the dispatch tables of the decoder end in leaf numbers.
 */
import { OP_FAR, OP_IMM, OP_MEM, OP_REG, OP_REL } from './instruction.ts';
import {
  IMM_NONE,
  IMM_U16_U8,
  resolveOperand,
  rmForms,
  SRC_FAR,
  SRC_FIXED,
  SRC_IMM,
  SRC_IMM2,
  SRC_MOFFS,
  SRC_REL,
  tellsSize,
  tellsWordSize,
  usesModrm,
  type ResolvedOperand,
} from './operand.ts';
import { PREFIX_ANY, type EncodingRow } from './row.ts';

/** A state of mode, prefixes and VEX fields that selects rows and settles sizes. */
export interface DispatchContext {
  readonly mode64: boolean;
  /** By prefixes alone, before default-64 and forced-64 rules. */
  readonly operandSize: number;
  readonly vectorLength: number;
}

export const LEAF_MODRM = 1;
export const LEAF_LOCK = 2; // LOCK allowed if the destination is memory
export const LEAF_MOD3 = 4; // ModRM.mod is taken as 3
export const LEAF_BY_ADDRESS_SIZE = 8; // the leaf for address size 2; those for 4 and 8 follow
export const LEAF_BY_REX_B = 16; // the next leaf is taken with REX.B
export const LEAF_REP_IN_OPCODE = 32; // F3 or F2 is part of the opcode
export const LEAF_VVVV = 64; // VEX.vvvv is an operand
export const LEAF_VSIB = 128;

export interface Leaf {
  readonly row: EncodingRow;
  readonly flags: number;
  /** 2, 4 or 8; 0 where the operand size does not matter. */
  readonly operandSize: number;
  readonly operands: readonly ResolvedOperand[];
  readonly immediate: number;
  /** Forms by ModRM.mod: index in FORMS with a register, with memory; -1 where there is none. */
  readonly registerForm: number;
  readonly memoryForm: number;
}

/** An operand of a form. */
export interface FormOperand {
  readonly kind: 'reg' | 'mem' | 'imm' | 'rel' | 'far';
  /** Bytes. */
  readonly size: number;
  /** RC_* of a register (RC_GPR for byte registers whether high or low), else 0. */
  readonly regClass: number;
  /** The number of a register that the opcode implies, else -1. */
  readonly fixed: number;
}

/** One row of the encoding table with its operand size and the choice between register and memory made. */
export interface Form {
  /** Position in FORMS; `Instruction.form`. */
  readonly index: number;
  readonly row: EncodingRow;
  readonly mnemonic: string;
  readonly operands: readonly FormOperand[];
  /** 2, 4 or 8; 0 where the operand size does not matter to the instruction. */
  readonly operandSize: number;
  /** Mnemonic, kinds, classes and sizes: forms that differ only in encoding share it. */
  readonly key: string;
  /** Modes of 16, 32, 64 that have it. */
  readonly modes: readonly number[];
}

const REGISTER_LETTERS: readonly string[] = ['r', 'r', 'sreg', 'cr', 'dr', 'st', 'mm', 'v'];
const KIND_OF_SOURCE: Readonly<Record<number, FormOperand['kind']>> = {
  [SRC_IMM]: 'imm',
  [SRC_IMM2]: 'imm',
  [SRC_REL]: 'rel',
  [SRC_FAR]: 'far',
  [SRC_MOFFS]: 'mem',
};

/** Key of an operand: `r32`, `v128`, `sreg`, `m64`, `m`, `imm`, `rel`, `far`. */
function operandKey(kind: number, regClass: number, size: number): string {
  if (kind === OP_REG) {
    const letters = REGISTER_LETTERS[regClass] as string;
    return letters === 'r' || letters === 'v' ? `${letters}${size * 8}` : letters;
  }
  if (kind === OP_MEM) return size === 0 ? 'm' : `m${size * 8}`;
  return kind === OP_IMM ? 'imm' : kind === OP_REL ? 'rel' : 'far';
}

const OP_OF_KIND: Readonly<Record<FormOperand['kind'], number>> = {
  reg: OP_REG, mem: OP_MEM, imm: OP_IMM, rel: OP_REL, far: OP_FAR,
};

/** Key of a form: `add r32,m32`; `jmp rel o64` and `ret o64` where no operand tells the size though it matters. */
function composeKey(mnemonic: string, operands: readonly string[], hiddenSize: number): string {
  const head = operands.length === 0 ? mnemonic : `${mnemonic} ${operands.join(',')}`;
  return hiddenSize === 0 ? head : `${head} o${hiddenSize * 8}`;
}

/** Operand size that the row settles on in this context. */
function effectiveSize(row: EncodingRow, context: DispatchContext): number {
  let size = context.operandSize;
  if (row.attributes.has('z') && size === 8) size = 4;
  if (!context.mode64) return size;
  if (row.attributes.has('f64')) return 8;
  return row.attributes.has('d64') && size === 4 ? 8 : size;
}

/** Whether the operand size selects the row or shows in its operands. */
function sizeMatters(row: EncodingRow): boolean {
  return row.sizes !== 14 || row.attributes.has('sz') || row.operands.some(tellsSize);
}

function wordMatters(row: EncodingRow): boolean {
  const narrows = ((row.sizes >> 1) & 1) !== ((row.sizes >> 2) & 1);
  return narrows || row.attributes.has('sz') || row.operands.some(tellsWordSize);
}

function leafSize(row: EncodingRow, context: DispatchContext): number {
  if (!sizeMatters(row)) return 0;
  const size = effectiveSize(row, context);
  return size === 2 && !wordMatters(row) ? 4 : size;
}

/** Whether the row exists in this context. */
export function rowApplies(row: EncodingRow, context: DispatchContext): boolean {
  if (row.attributes.has(context.mode64 ? 'i64' : 'm64')) return false;
  if (row.vectorLength >= 0 && row.vectorLength !== context.vectorLength) return false;
  return (row.sizes & effectiveSize(row, context)) !== 0;
}

function flagsOf(row: EncodingRow): number {
  const has = (attribute: string, flag: number): number => (row.attributes.has(attribute) ? flag : 0);
  const modrm = row.digit >= 0 || row.modrm >= 0 || row.attributes.has('reg') || row.operands.some(usesModrm);
  return (
    (modrm ? LEAF_MODRM : 0) |
    has('lock', LEAF_LOCK) |
    has('mod3', LEAF_MOD3) |
    has('vsib', LEAF_VSIB) |
    (row.prefix === PREFIX_ANY ? 0 : LEAF_REP_IN_OPCODE) |
    (row.operands.some((operand) => operand.letter === 'H' || operand.letter === 'B') ? LEAF_VVVV : 0)
  );
}

function formOperand(operand: ResolvedOperand, isRm: boolean, memory: boolean): FormOperand {
  const kind = KIND_OF_SOURCE[operand.source] ?? (isRm && memory ? 'mem' : 'reg');
  return {
    kind,
    size: kind === 'mem' ? operand.memorySize : operand.size,
    regClass: kind === 'reg' ? operand.regClass : 0,
    fixed: operand.source === SRC_FIXED ? operand.fixed : -1,
  };
}

/** Collects the leaves and forms that the dispatch tables refer to, each once. */
export class LeafTable {
  readonly leaves: Leaf[] = [];
  readonly forms: Form[] = [];
  readonly #leafByKey = new Map<string, number>();
  readonly #formByKey = new Map<string, number>();

  /** Leaf of a row in a context that it applies to. */
  leafOf(row: EncodingRow, context: DispatchContext): number {
    const operandSize = leafSize(row, context);
    const sizes = { ...context, operandSize: effectiveSize(row, context) };
    const operands = row.operands.map((operand, position) => resolveOperand(operand, position, sizes));
    const key = `${row.index} ${operandSize} ${operands.map((operand) => Object.values(operand).join('.')).join(' ')}`;
    const known = this.#leafByKey.get(key);
    const leaf = known ?? this.leaves.length;
    const forms = this.#formsOf(row, operands, operandSize, context.mode64);
    if (known !== undefined) return known;
    this.#leafByKey.set(key, leaf);
    this.leaves.push({ row, flags: flagsOf(row), operandSize, operands, immediate: immediateOf(operands), ...forms });
    return leaf;
  }

  /** Appends a copy of a leaf, for runs of leaves that follow one another. */
  append(leaf: number, flags: number): number {
    const original = this.leaves[leaf] as Leaf;
    this.leaves.push({ ...original, flags: original.flags | flags });
    return this.leaves.length - 1;
  }

  #formsOf(
    row: EncodingRow,
    operands: readonly ResolvedOperand[],
    operandSize: number,
    mode64: boolean,
  ): { registerForm: number; memoryForm: number } {
    const choices = row.operands.reduce((all, operand) => all | rmForms(operand), 0) || 1;
    const form = (memory: boolean): number => this.#form(row, operands, operandSize, memory, mode64);
    const registers = (choices & 1) !== 0 || row.attributes.has('mod3');
    return { registerForm: registers ? form(false) : -1, memoryForm: (choices & 2) !== 0 ? form(true) : -1 };
  }

  #form(
    row: EncodingRow,
    resolved: readonly ResolvedOperand[],
    operandSize: number,
    memory: boolean,
    mode64: boolean,
  ): number {
    const operands = resolved.map((operand, i) =>
      formOperand(operand, rmForms(row.operands[i] as (typeof row.operands)[number]) !== 0, memory),
    );
    const keys = operands.map((operand) => operandKey(OP_OF_KIND[operand.kind], operand.regClass, operand.size));
    const shown = operands.length === 0 || operands.some(({ kind }) => kind === 'reg' || kind === 'mem');
    const hidden = row.attributes.has('sz') || !shown ? operandSize : 0;
    const key = composeKey(row.mnemonic, keys, hidden);
    const identity = `${row.index} ${operandSize} ${key}`;
    const modes = (mode64 ? [64] : [16, 32]).filter(() => row.addressSize !== (mode64 ? 2 : 8));
    const known = this.#formByKey.get(identity);
    if (known !== undefined) {
      const form = this.forms[known] as Form;
      const all = [16, 32, 64].filter((mode) => form.modes.includes(mode) || modes.includes(mode));
      this.forms[known] = { ...form, modes: all };
      return known;
    }
    const index = this.forms.length;
    this.#formByKey.set(identity, index);
    this.forms.push({ index, row, mnemonic: row.mnemonic, operands, operandSize, key, modes });
    return index;
  }
}

function immediateOf(operands: readonly ResolvedOperand[]): number {
  let immediate = IMM_NONE;
  for (const operand of operands) {
    if (operand.immediate === IMM_U16_U8 || immediate === IMM_NONE) immediate = operand.immediate;
  }
  return immediate;
}
