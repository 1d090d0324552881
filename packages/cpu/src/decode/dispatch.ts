/**
 * The decoder's tables: the encoding table flattened once, at module load, into typed arrays.
 *
 * A dispatch table is indexed by context, mandatory prefix, map and opcode. Its entry, combined by AND with the ModRM byte's
 * word of MODRM (addressing.ts), gives the slot (what is left of SELECT_MASK is added to the first one), the bytes from
 * ModRM to the end of the displacement, and the bytes of the immediate. The slot holds the form's number; UNDEFINED where
 * the encoding is undefined; or SPECIAL minus the number where more than the entry must be looked at.
 */
import * as addressing from './addressing.ts';
import { FormTable, rowApplies, type DispatchContext, type Form } from './form.ts';
import { IMM_ONE, rmForms, usesModrm } from './operand.ts';
import * as packing from './packing.ts';
import { PREFIX_ANY, type EncodingRow } from './row.ts';
import { MNEMONIC_INDEX, ROWS } from './table/index.ts';

/** One slot. */
const BY_NOTHING = 0;
/** Two slots: memory, register. */
const BY_MOD = 1;
/** Eight slots by ModRM.reg for memory, then sixty-four by the low six bits for registers. */
const BY_MODRM = 2;
const SLOTS_OF_KIND: readonly number[] = [1, 2, 72];
/** What of a MODRM word chooses the slot, by kind. With BY_MODRM every slot is there twice, for bit 0 counts. */
const SELECT_OF_KIND: readonly number[] = [0, 1, addressing.SELECT_MASK];

export const UNDEFINED = -1;
export const SPECIAL = -2;

/** Contexts of the legacy table, in index order: mode >> 5 without prefixes, and the next with REX.W. */
const LEGACY_CONTEXTS: readonly DispatchContext[] = [
  { id: 0, mode64: false, operandSize: 2, vectorLength: 0, w: -1 },
  { id: 1, mode64: false, operandSize: 4, vectorLength: 0, w: -1 },
  { id: 2, mode64: true, operandSize: 4, vectorLength: 0, w: -1 },
  { id: 3, mode64: true, operandSize: 8, vectorLength: 0, w: -1 },
  { id: 4, mode64: true, operandSize: 2, vectorLength: 0, w: -1 },
];

/** Index bits: 64-bit mode, W, L. W widens general registers in 64-bit mode alone (SDM vol. 2A, 2.3.5.3). */
const VEX_CONTEXTS: readonly DispatchContext[] = Array.from({ length: 8 }, (_, i) => ({
  id: 8 + i,
  mode64: (i & 4) !== 0,
  w: (i >> 1) & 1,
  vectorLength: i & 1,
  operandSize: (i & 6) === 6 ? 8 : 4,
}));

function rmChoicesOf(row: EncodingRow): number {
  if (row.attributes.has('reg') || row.modrm >= 0xc0) return 1;
  if (row.attributes.has('mod3')) return 3;
  return row.operands.reduce((all, operand) => all | rmForms(operand), 0) || 3;
}

function rankOf(row: EncodingRow): number {
  return (row.modrm >= 0 ? 4 : 0) + (row.prefix === PREFIX_ANY ? 0 : 2) + (row.digit >= 0 ? 1 : 0);
}

function usesModrmByte(row: EncodingRow): boolean {
  return row.attributes.has('reg') || row.operands.some(usesModrm);
}

/** By row: forms of ModRM.rm that it has, bit 0 register, bit 1 memory. */
const RM_CHOICES: Uint8Array = Uint8Array.from(ROWS, rmChoicesOf);
/** By row: a row that names more of the encoding goes before one that names less. */
const RANK: Uint8Array = Uint8Array.from(ROWS, rankOf);

/** Whether a row accepts a slot of a kind of entry. */
function accepts(row: EncodingRow, kind: number, slot: number): boolean {
  const choices = RM_CHOICES[row.index] as number;
  if (kind !== BY_MODRM) return kind === BY_NOTHING || ((choices >> (1 - slot)) & 1) === 1;
  const memory = slot < 8;
  if (row.modrm >= 0) return slot - 8 + 0xc0 === row.modrm;
  if (row.digit >= 0 && row.digit !== (memory ? slot : (slot - 8) >> 3)) return false;
  return (choices & (memory ? 2 : 1)) !== 0;
}

/** The row of the highest rank that accepts a slot; two of the same rank are a mistake of the table. */
function choose(rows: readonly EncodingRow[], kind: number, slot: number): EncodingRow | undefined {
  let chosen: EncodingRow | undefined;
  let equal: EncodingRow | undefined;
  let best = -1;
  for (const row of rows) {
    const rank = RANK[row.index] as number;
    if (rank < best || !accepts(row, kind, slot)) continue;
    equal = rank === best ? row : undefined;
    chosen = row;
    best = rank;
  }
  if (equal) throw new Error(`encoding table: another row collides with ${equal.mnemonic} ${equal.notation}`);
  return chosen;
}

class DispatchBuilder {
  readonly table = new FormTable();
  /** Form numbers, UNDEFINED among them, before it is known which are special. */
  readonly entries: { readonly kind: number; readonly forms: readonly number[] }[] = [{ kind: BY_NOTHING, forms: [UNDEFINED] }];
  readonly #entryByContent = new Map<string, number>();

  /** Number of the entry for the rows that share context, prefix, map and opcode. */
  entry(rows: readonly EncodingRow[], context: DispatchContext): number {
    if (rows.length === 0) return 0;
    if (rows.some((row) => row.addressSize !== 0)) return this.#store(BY_NOTHING, rows, context);
    const plus = rows.find((row) => row.plusRegister);
    // 90 is NOP or PAUSE, but an exchange with R8 if REX.B is set: two slots.
    if (plus && rows.length > 1) {
      return this.#store(BY_NOTHING, [choose(rows.filter((row) => row !== plus), BY_NOTHING, 0), plus], context);
    }
    let kind = BY_NOTHING;
    for (const row of rows) {
      if (row.digit >= 0 || row.modrm >= 0) kind = BY_MODRM;
      else if (kind === BY_NOTHING && usesModrmByte(row)) kind = BY_MOD;
    }
    const slots: (EncodingRow | undefined)[] = [];
    for (let slot = 0; slot < (SLOTS_OF_KIND[kind] as number); slot++) slots.push(choose(rows, kind, slot));
    return this.#store(kind, slots, context);
  }

  #store(kind: number, slots: readonly (EncodingRow | undefined)[], context: DispatchContext): number {
    const memorySlots = kind === BY_NOTHING ? 0 : kind === BY_MOD ? 1 : 8;
    const forms = slots.map((row, slot) => {
      if (!row) return UNDEFINED;
      return this.table.formOf(row, context, slot < memorySlots && !row.attributes.has('mod3'));
    });
    const content = `${kind} ${forms.join()}`;
    let entry = this.#entryByContent.get(content);
    if (entry === undefined) {
      entry = this.entries.push({ kind, forms }) - 1;
      this.#entryByContent.set(content, entry);
    }
    return entry;
  }
}

/** Rows by VEX or not, map and opcode. */
function rowsByOpcode(): Map<number, EncodingRow[]> {
  const byOpcode = new Map<number, EncodingRow[]>();
  for (const row of ROWS) {
    for (let low = 0; low < (row.plusRegister ? 8 : 1); low++) {
      const key = ((row.vex ? 4 : 0) + row.map) * 256 + row.opcode + low;
      const rows = byOpcode.get(key) ?? [];
      rows.push(row);
      byOpcode.set(key, rows);
    }
  }
  return byOpcode;
}

const builder = new DispatchBuilder();

/** Index of a dispatch table: context << 12 | mandatory prefix << 10 | map << 8 | opcode. */
function flatten(contexts: readonly DispatchContext[], firstMap: number): Int32Array {
  const table = new Int32Array(contexts.length << 12);
  for (const [key, all] of rowsByOpcode()) {
    const opcode = key - (firstMap << 8);
    if (opcode < 0 || opcode >= 1024) continue;
    contexts.forEach((context, i) => {
      const rows = all.filter((row) => rowApplies(row, context));
      if (rows.length === 0) return; // entry 0: undefined
      const anyPrefix = rows.filter((row) => row.prefix === PREFIX_ANY);
      const ordinary = builder.entry(anyPrefix, context);
      for (let prefix = 0; prefix < 4; prefix++) {
        const named = rows.filter((row) => row.prefix === prefix);
        const entry = named.length === 0 ? ordinary : builder.entry([...anyPrefix, ...named], context);
        table[(i << 12) | (prefix << 10) | opcode] = entry;
      }
    });
  }
  return table;
}

const legacy = flatten(LEGACY_CONTEXTS, 0);
const vex = flatten(VEX_CONTEXTS, 4);

/** All forms; `Instruction.form` is an index here. */
export const FORMS: readonly Form[] = builder.table.forms.map(({ form }) => form);
/** The forms packed for the decoder (packing.ts). */
export const FORM_DATA: Int32Array = packing.packForms(builder.table.forms, MNEMONIC_INDEX);

const SPECIAL_FLAGS = packing.FORM_BY_ADDRESS_SIZE | packing.FORM_BY_REX_B | packing.FORM_MOD3 | packing.FORM_SYSTEM_REGISTER;

/** Bytes of a form's immediate, or -1 where the form is special whatever the entry says. */
function immediateBytes(form: number): number {
  const flags = FORM_DATA[form * packing.FORM_WORDS] as number;
  const word = FORM_DATA[form * packing.FORM_WORDS + 2] as number;
  if ((flags & SPECIAL_FLAGS) !== 0) return -1;
  if ((flags & packing.FORM_IRREGULAR_IMMEDIATE) === 0) return word & 15;
  return word === IMM_ONE ? 0 : -1;
}

/** The number of bytes that most of an opcode's forms have as their immediate. */
function commonImmediate(forms: readonly number[]): number {
  const counts = new Map<number, number>();
  for (const form of forms) {
    const bytes = form < 0 ? -1 : immediateBytes(form);
    if (bytes >= 0) counts.set(bytes, (counts.get(bytes) ?? 0) + 1);
  }
  return [...counts].toSorted((a, b) => b[1] - a[1])[0]?.[0] ?? 0;
}

const slots: number[] = [];

/** The word of an entry, with its slots made. */
function packEntry({ kind, forms }: (typeof builder.entries)[number]): number {
  const immediate = commonImmediate(forms);
  const first = slots.length;
  for (const form of forms) {
    const slot = form < 0 ? UNDEFINED : immediateBytes(form) === immediate ? form : SPECIAL - form;
    slots.push(slot);
    if (kind === BY_MODRM) slots.push(slot);
  }
  const modrm = forms.some((form) => form >= 0 && ((FORM_DATA[form * packing.FORM_WORDS] as number) & packing.FORM_MODRM) !== 0);
  const bytes = modrm ? addressing.SIB_WITHOUT_DISPLACEMENT | (addressing.LENGTH_MASK << addressing.LENGTH_SHIFT) : 0;
  const select = SELECT_OF_KIND[kind] as number;
  return select | bytes | (immediate << addressing.IMMEDIATE_SHIFT) | (first << addressing.SLOT_SHIFT);
}

const words = builder.entries.map(packEntry);

/** Legacy opcodes; contexts: see LEGACY_CONTEXTS. */
export const LEGACY: Int32Array = legacy.map((entry) => words[entry] as number);
/** VEX opcodes; contexts 64-bit mode << 2 | W << 1 | L. */
export const VEX: Int32Array = vex.map((entry) => words[entry] as number);
/** Slots of both. */
export const SLOTS: Int16Array = Int16Array.from(slots);
if (slots.length > 0x7fff || FORMS.length > 0x1fff) throw new Error('encoding table: too large for the packed words');
