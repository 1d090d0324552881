/**
 * Forms: rows of the encoding table with the operand size and the choice between register and memory settled. A row
 * such as `add Ev,Gv` has six. The dispatch tables of the decoder end in form numbers.
 */
import { OP_FAR, OP_IMM, OP_MEM, OP_REG, OP_REL } from './kinds.ts';
import {
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
  type OperandNotation,
  type ResolvedOperand,
} from './operand.ts';
import type { EncodingRow } from './row.ts';

/** A state of mode, prefixes and VEX fields that selects rows and settles sizes. */
export interface DispatchContext {
  /** Distinguishes the contexts. */
  readonly id: number;
  readonly mode64: boolean;
  /** By prefixes alone, before default-64 and forced-64 rules. */
  readonly operandSize: number;
  readonly vectorLength: number;
  /** VEX.W, or -1. */
  readonly w: number;
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
  /** Whether it is a far pointer in memory: offset, then selector. */
  readonly far: boolean;
  /** Bytes of the vector register that is the index of a gather's memory operand, else 0. */
  readonly indexSize: number;
}

/** One row of the encoding table with its operand size and the choice between register and memory made. */
export interface Form {
  /** Position in forms(); `Instruction.form`. */
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

/** A form and how its operands are encoded. */
export interface EncodedForm {
  readonly form: Form;
  readonly memory: boolean;
  readonly encoding: readonly ResolvedOperand[];
}

const REGISTER_LETTERS: readonly string[] = ['r', 'r', 'sreg', 'cr', 'dr', 'st', 'mm', 'v'];
const KIND_OF_SOURCE: Readonly<Record<number, FormOperand['kind']>> = {
  [SRC_IMM]: 'imm',
  [SRC_IMM2]: 'imm',
  [SRC_REL]: 'rel',
  [SRC_FAR]: 'far',
  [SRC_MOFFS]: 'mem',
};
/** FormOperand kinds as Operand kinds. */
export const OP_OF_KIND: Readonly<Record<FormOperand['kind'], number>> = {
  reg: OP_REG, mem: OP_MEM, imm: OP_IMM, rel: OP_REL, far: OP_FAR,
};

/** Key of an operand: `r32`, `v128`, `sreg`, `m64`, `m`, `m16:32`, `m32[v128]`, `imm`, `rel`, `far`. */
function operandKey({ kind, regClass, size, far, indexSize }: FormOperand): string {
  if (far) return `m16:${size * 8 - 16}`;
  if (indexSize !== 0) return `m${size * 8}[v${indexSize * 8}]`;
  if (kind === 'mem') return size === 0 ? 'm' : `m${size * 8}`;
  if (kind !== 'reg') return kind;
  const letters = REGISTER_LETTERS[regClass] as string;
  return letters === 'r' || letters === 'v' ? `${letters}${size * 8}` : letters;
}

/** Key of a form: `add r32,m32`; `jmp rel o64` and `ret o64` where no operand tells the size though it matters. */
function formKeyOf(row: EncodingRow, operands: readonly FormOperand[], operandSize: number): string {
  const head = operands.length === 0 ? row.mnemonic : `${row.mnemonic} ${operands.map(operandKey).join(',')}`;
  const shown = operands.length === 0 || operands.some(({ kind }) => kind === 'reg' || kind === 'mem');
  const hidden = row.attributes.has('sz') || !shown ? operandSize : 0;
  return hidden === 0 ? head : `${head} o${hidden * 8}`;
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

function formSize(row: EncodingRow, context: DispatchContext): number {
  if (!sizeMatters(row)) return 0;
  const size = effectiveSize(row, context);
  return size === 2 && !wordMatters(row) ? 4 : size;
}

/** Whether the row exists in this context. */
export function rowApplies(row: EncodingRow, context: DispatchContext): boolean {
  if (row.attributes.has(context.mode64 ? 'i64' : 'm64')) return false;
  if (row.vectorLength >= 0 && row.vectorLength !== context.vectorLength) return false;
  if (row.w >= 0 && row.w !== context.w) return false;
  return (row.sizes & effectiveSize(row, context)) !== 0;
}

function formOperand(operand: ResolvedOperand, notation: OperandNotation, memory: boolean): FormOperand {
  const kind = KIND_OF_SOURCE[operand.source] ?? (memory && rmForms(notation) !== 0 ? 'mem' : 'reg');
  return {
    kind,
    size: kind === 'mem' ? operand.memorySize : operand.size,
    regClass: kind === 'reg' ? operand.regClass : 0,
    fixed: operand.source === SRC_FIXED ? operand.fixed : -1,
    far: notation.letter === 'M' && notation.registerType === 'p',
    indexSize: notation.letter === 'X' ? operand.size : 0,
  };
}

/** Collects the forms that the dispatch tables refer to, each once. */
export class FormTable {
  readonly forms: EncodedForm[] = [];
  readonly #byContext = new Map<number, number>();
  readonly #byIdentity = new Map<string, number>();

  /** Number of the form of a row in a context that it applies to. */
  formOf(row: EncodingRow, context: DispatchContext, memory: boolean): number {
    const key = (row.index * 16 + context.id) * 2 + (memory ? 1 : 0);
    let form = this.#byContext.get(key);
    if (form === undefined) {
      form = this.#make(row, context, memory);
      this.#byContext.set(key, form);
    }
    return form;
  }

  #make(row: EncodingRow, context: DispatchContext, memory: boolean): number {
    const operandSize = formSize(row, context);
    const sizes = { ...context, operandSize: effectiveSize(row, context) };
    const encoding = row.operands.map((operand, i) => resolveOperand(operand, i, sizes));
    const operands = row.operands.map((notation, i) => formOperand(encoding[i] as ResolvedOperand, notation, memory));
    const key = formKeyOf(row, operands, operandSize);
    const identity = `${row.index} ${operandSize} ${key}`;
    const modes = (context.mode64 ? [64] : [16, 32]).filter(() => row.addressSize !== (context.mode64 ? 2 : 8));
    const index = this.#byIdentity.get(identity) ?? this.forms.length;
    const known = this.forms[index];
    const all = [16, 32, 64].filter((mode) => modes.includes(mode) || known?.form.modes.includes(mode) === true);
    const form = { index, row, mnemonic: row.mnemonic, operands, operandSize, key, modes: all };
    this.#byIdentity.set(identity, index);
    this.forms[index] = { form, memory, encoding };
    return index;
  }
}
