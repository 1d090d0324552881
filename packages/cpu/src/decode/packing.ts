/**
 * What the decoder must know of a form, packed into words of one Int32Array, FORM_WORDS for each form:
 *
 *     0  FORM_* flags, operand size << 16 (0: as prefixes say), operand count << 20, memory operand's position + 1 << 23
 *     1  row, mnemonic << 16
 *     2  immediate: bytes, sign-extension shift << 4; or IMM_*
 *     3  immediate: the bits to keep; gathers: bytes of the index register
 *     4  operands: kind, class << 3, size << 6, then the register number: field shift << 16, mask << 21, constant << 25
 *
 * Register numbers come from one word of fields, four bits each: ModRM.rm with REX.B, ModRM.reg with REX.R, the opcode's
 * low bits with REX.B, VEX.vvvv, and imm8[7:4].
 */
import type { EncodedForm } from './form.ts';
import { OP_OF_KIND } from './form.ts';
import * as operand from './operand.ts';
import type { ResolvedOperand } from './operand.ts';
import { PREFIX_ANY, type EncodingRow } from './row.ts';

export const FORM_WORDS = 8;

export const FORM_MODRM = 1;
/** LOCK is allowed; only on forms with a memory destination. */
export const FORM_LOCK = 2;
/** F3 or F2 is part of the opcode. */
export const FORM_REP_IN_OPCODE = 4;
/** VEX.vvvv is an operand. */
export const FORM_VVVV = 8;
export const FORM_VSIB = 16;
/** ModRM.mod is taken as 3. */
export const FORM_MOD3 = 32;
/** The form depends on the address size: three slots. */
export const FORM_BY_ADDRESS_SIZE = 64;
/** The form depends on REX.B: two slots. */
export const FORM_BY_REX_B = 128;
/** The immediate is one of IMMEDIATE_*, in word 2. */
export const FORM_IRREGULAR_IMMEDIATE = 256;
/** A byte register may be AH to BH. */
export const FORM_BYTE_REGISTER = 512;
/** Not every register number exists: segment, control, debug. */
export const FORM_SYSTEM_REGISTER = 1024;
export const FORM_IS4 = 2048;

const SHIFT_RM = 0;
const SHIFT_REG = 4;
const SHIFT_OPCODE = 8;
const SHIFT_VVVV = 12;
const SHIFT_IS4 = 16;

interface NumberField {
  readonly shift: number;
  readonly mask: number;
}

/** Where the register number of a source is. */
const NUMBER_FIELD: Readonly<Record<number, NumberField>> = {
  [operand.SRC_RM]: { shift: SHIFT_RM, mask: 15 },
  [operand.SRC_RM8]: { shift: SHIFT_RM, mask: 15 },
  [operand.SRC_RM_PLAIN]: { shift: SHIFT_RM, mask: 7 },
  [operand.SRC_REG]: { shift: SHIFT_REG, mask: 15 },
  [operand.SRC_REG8]: { shift: SHIFT_REG, mask: 15 },
  [operand.SRC_REG_PLAIN]: { shift: SHIFT_REG, mask: 7 },
  [operand.SRC_OPCODE]: { shift: SHIFT_OPCODE, mask: 15 },
  [operand.SRC_OPCODE8]: { shift: SHIFT_OPCODE, mask: 15 },
  [operand.SRC_VVVV]: { shift: SHIFT_VVVV, mask: 15 },
  [operand.SRC_IS4]: { shift: SHIFT_IS4, mask: 15 },
  [operand.SRC_SEG]: { shift: SHIFT_REG, mask: 7 },
  [operand.SRC_SEG_LOAD]: { shift: SHIFT_REG, mask: 7 },
  [operand.SRC_CR]: { shift: SHIFT_REG, mask: 15 },
  [operand.SRC_DR]: { shift: SHIFT_REG, mask: 15 },
};

const BYTE_SOURCES: readonly number[] = [operand.SRC_RM8, operand.SRC_REG8, operand.SRC_OPCODE8];
const SYSTEM_SOURCES: readonly number[] = [operand.SRC_SEG, operand.SRC_SEG_LOAD, operand.SRC_CR, operand.SRC_DR];

/** Regular immediates: bytes, shift of the sign extension, the bits to keep. */
const REGULAR_IMMEDIATES: Readonly<Record<number, readonly [number, number, number]>> = {
  [operand.IMM_NONE]: [0, 0, 0],
  [operand.IMM_U8]: [1, 0, 0xff],
  [operand.IMM_S8]: [1, 24, 0xff],
  [operand.IMM_U16]: [2, 0, 0xffff],
  [operand.IMM_S16]: [2, 16, 0xffff],
  [operand.IMM_S32]: [4, 0, -1],
};

function immediateOf(encoding: readonly ResolvedOperand[]): number {
  const kinds = encoding.map(({ immediate }) => immediate).filter((kind) => kind !== operand.IMM_NONE);
  return kinds.find((kind) => kind === operand.IMM_U16_U8) ?? kinds[0] ?? operand.IMM_NONE;
}

/** Words 2 and 3. */
function packImmediate(kind: number): readonly [number, number] {
  const regular = REGULAR_IMMEDIATES[kind];
  if (!regular) return [kind, 0];
  const [bytes, shift, mask] = regular;
  return [bytes | (shift << 4), mask];
}

function rowFlags(row: EncodingRow): number {
  const has = (attribute: string, flag: number): number => (row.attributes.has(attribute) ? flag : 0);
  const modrm =
    row.digit >= 0 || row.modrm >= 0 || row.attributes.has('reg') || row.operands.some(operand.usesModrm);
  return (
    (modrm ? FORM_MODRM : 0) |
    has('mod3', FORM_MOD3) |
    has('vsib', FORM_VSIB) |
    has('rexb', FORM_BY_REX_B) |
    (row.addressSize === 0 ? 0 : FORM_BY_ADDRESS_SIZE) |
    (row.prefix === PREFIX_ANY ? 0 : FORM_REP_IN_OPCODE)
  );
}

function flagsOf({ form, memory, encoding }: EncodedForm): number {
  const uses = (sources: readonly number[], flag: number): number =>
    encoding.some(({ source }) => sources.includes(source)) ? flag : 0;
  return (
    rowFlags(form.row) |
    (memory && form.row.attributes.has('lock') ? FORM_LOCK : 0) |
    (REGULAR_IMMEDIATES[immediateOf(encoding)] ? 0 : FORM_IRREGULAR_IMMEDIATE) |
    uses(BYTE_SOURCES, FORM_BYTE_REGISTER) |
    uses(SYSTEM_SOURCES, FORM_SYSTEM_REGISTER) |
    uses([operand.SRC_VVVV], FORM_VVVV) |
    uses([operand.SRC_IS4], FORM_IS4)
  );
}

function packOperand(kind: number, regClass: number, size: number, { source, fixed }: ResolvedOperand): number {
  const { shift, mask } = (kind === OP_OF_KIND.reg ? NUMBER_FIELD[source] : undefined) ?? { shift: 0, mask: 0 };
  return kind | (regClass << 3) | (size << 6) | (shift << 16) | (mask << 21) | (fixed << 25);
}

/** Packs the forms. */
export function packForms(forms: readonly EncodedForm[], mnemonics: ReadonlyMap<string, number>): Int32Array {
  const words = new Int32Array(forms.length * FORM_WORDS);
  forms.forEach((encoded, i) => {
    const { form, encoding } = encoded;
    const at = i * FORM_WORDS;
    const memory = form.operands.findIndex(({ kind }) => kind === 'mem') + 1;
    words[at] = flagsOf(encoded) | (form.operandSize << 16) | (form.operands.length << 20) | (memory << 23);
    words[at + 1] = form.row.index | ((mnemonics.get(form.mnemonic) ?? 0) << 16);
    const [immediate, mask] = packImmediate(immediateOf(encoding));
    words[at + 2] = immediate;
    words[at + 3] = mask | (form.operands.find(({ indexSize }) => indexSize !== 0)?.indexSize ?? 0);
    form.operands.forEach(({ kind, regClass, size }, j) => {
      words[at + 4 + j] = packOperand(OP_OF_KIND[kind], regClass, size, encoding[j] as ResolvedOperand);
    });
  });
  return words;
}
