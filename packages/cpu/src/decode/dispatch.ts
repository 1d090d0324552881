/**
 * The decoder's tables: the encoding table flattened once, at module load, into typed arrays.
 *
 * An entry of a dispatch table is a leaf (>= 0), -1 for an undefined opcode, or -2 - g: group g, whose 72 slots select a
 * leaf by the ModRM byte: eight by ModRM.reg for memory operands, then sixty-four by the low six bits for registers.
 */
import { LeafTable, LEAF_BY_ADDRESS_SIZE, LEAF_BY_REX_B, rowApplies, type DispatchContext, type Form, type Leaf } from './leaf.ts';
import { PREFIX_ANY, type EncodingRow } from './row.ts';
import { rmForms, type ResolvedOperand } from './operand.ts';
import { MNEMONIC_INDEX, ROWS } from './table/index.ts';

export const GROUP_SLOTS = 72;
/** Operands of a leaf are at leaf * 4. */
export const LEAF_OPERANDS = 4;

/** Contexts of the legacy table, in index order. */
const LEGACY_CONTEXTS: readonly DispatchContext[] = [
  { mode64: false, operandSize: 2, vectorLength: 0 },
  { mode64: false, operandSize: 4, vectorLength: 0 },
  { mode64: true, operandSize: 2, vectorLength: 0 },
  { mode64: true, operandSize: 4, vectorLength: 0 },
  { mode64: true, operandSize: 8, vectorLength: 0 },
];

interface VexContext extends DispatchContext {
  readonly w: number;
}

/** Index bits: 64-bit mode, W, L. W widens general registers in 64-bit mode alone (SDM vol. 2A, 2.3.5.3). */
const VEX_CONTEXTS: readonly VexContext[] = Array.from({ length: 8 }, (_, i) => ({
  mode64: (i & 4) !== 0,
  w: (i >> 1) & 1,
  vectorLength: i & 1,
  operandSize: (i & 6) === 6 ? 8 : 4,
}));

/** Index of a dispatch table: context, mandatory prefix, map, opcode. */
export function dispatchIndex(context: number, prefix: number, map: number, opcode: number): number {
  return (context << 12) | (prefix << 10) | (map << 8) | opcode;
}

/** Whether a row accepts ModRM slot `slot` of a group. */
function acceptsSlot(row: EncodingRow, slot: number): boolean {
  const memory = slot < 8;
  const reg = memory ? slot : (slot - 8) >> 3;
  if (row.modrm >= 0) return slot - 8 + 0xc0 === row.modrm;
  if (row.digit >= 0 && row.digit !== reg) return false;
  if (row.attributes.has('mod3')) return true;
  if (row.attributes.has('reg')) return !memory;
  const forms = row.operands.reduce((all, operand) => all | rmForms(operand), 0) || 3;
  return (forms & (memory ? 2 : 1)) !== 0;
}

/** A row that names more of the encoding goes before one that names less. */
function rank(row: EncodingRow): number {
  return (row.modrm >= 0 ? 4 : 0) + (row.prefix === PREFIX_ANY ? 0 : 2) + (row.digit >= 0 ? 1 : 0);
}

function needsGroup(row: EncodingRow): boolean {
  for (let slot = 0; slot < GROUP_SLOTS; slot++) if (!acceptsSlot(row, slot)) return true;
  return false;
}

class DispatchBuilder {
  readonly leaves = new LeafTable();
  readonly groups: number[] = [];
  readonly #groupByContent = new Map<string, number>();

  entry(rows: readonly EncodingRow[], context: DispatchContext): number {
    if (rows.length === 0) return -1;
    const best = Math.max(...rows.map(rank));
    const top = rows.filter((row) => rank(row) === best);
    const first = top[0] as EncodingRow;
    if (first.addressSize !== 0) return this.#run(top, context, LEAF_BY_ADDRESS_SIZE);
    const plus = rows.find((row) => row.plusRegister);
    if (plus && rows.length > 1) return this.#run([first, plus], context, LEAF_BY_REX_B);
    if (!rows.some(needsGroup)) {
      if (top.length > 1) throw new Error(`encoding table: ${top.map((row) => row.mnemonic).join(' and ')} collide`);
      return this.leaves.leafOf(first, context);
    }
    return this.#group(rows, context);
  }

  /** Leaves that follow one another, for a choice that the decoder makes by adding to the leaf. */
  #run(rows: readonly EncodingRow[], context: DispatchContext, flags: number): number {
    const originals = rows.map((row) => this.leaves.leafOf(row, context));
    const copies = originals.map((leaf, i) => this.leaves.append(leaf, i === 0 ? flags : 0));
    return copies[0] as number;
  }

  #group(rows: readonly EncodingRow[], context: DispatchContext): number {
    const slots: number[] = [];
    for (let slot = 0; slot < GROUP_SLOTS; slot++) {
      const accepting = rows.filter((row) => acceptsSlot(row, slot));
      const best = Math.max(...accepting.map(rank));
      const chosen = accepting.filter((row) => rank(row) === best);
      if (chosen.length > 1) throw new Error(`encoding table: ${chosen.map((row) => row.mnemonic).join(' and ')} collide`);
      slots.push(chosen[0] ? this.leaves.leafOf(chosen[0], context) : -1);
    }
    const content = slots.join();
    let group = this.#groupByContent.get(content);
    if (group === undefined) {
      group = this.groups.length / GROUP_SLOTS;
      this.groups.push(...slots);
      this.#groupByContent.set(content, group);
    }
    return -2 - group;
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

function candidates(rows: readonly EncodingRow[], prefix: number, context: DispatchContext, w: number): EncodingRow[] {
  return rows.filter(
    (row) =>
      (row.prefix === PREFIX_ANY || row.prefix === prefix) && (row.w < 0 || row.w === w) && rowApplies(row, context),
  );
}

const builder = new DispatchBuilder();
const byOpcode = rowsByOpcode();

function flatten(contexts: readonly DispatchContext[], firstMap: number): Int16Array {
  const table = new Int16Array(contexts.length << 12).fill(-1);
  for (const [key, rows] of byOpcode) {
    const map = (key >> 8) - firstMap;
    if (map < 0 || map > 3) continue;
    contexts.forEach((context, i) => {
      const w = 'w' in context ? (context as VexContext).w : -1;
      for (let prefix = 0; prefix < 4; prefix++) {
        table[dispatchIndex(i, prefix, map, key & 255)] = builder.entry(candidates(rows, prefix, context, w), context);
      }
    });
  }
  return table;
}

/** Legacy opcodes, by context 0..4 (see LEGACY_CONTEXTS). */
export const LEGACY: Int16Array = flatten(LEGACY_CONTEXTS, 0);
/** VEX opcodes, by context 64-bit mode << 2 | W << 1 | L. */
export const VEX: Int16Array = flatten(VEX_CONTEXTS, 4);
export const GROUPS: Int16Array = Int16Array.from(builder.groups);

const LEAVES: readonly Leaf[] = builder.leaves.leaves;
/** All forms; `Instruction.form` is an index here. */
export const FORMS: readonly Form[] = builder.leaves.forms;

const column = (value: (leaf: Leaf) => number): Int16Array => Int16Array.from(LEAVES, value);

/** Row -> index in MNEMONICS. */
export const ROW_MNEMONIC: Int16Array = Int16Array.from(ROWS, (row) => MNEMONIC_INDEX.get(row.mnemonic) as number);
export const LEAF_ROW: Int16Array = column((leaf) => leaf.row.index);
export const LEAF_FLAGS: Int16Array = column((leaf) => leaf.flags);
export const LEAF_OPERAND_SIZE: Int16Array = column((leaf) => leaf.operandSize);
export const LEAF_IMMEDIATE: Int16Array = column((leaf) => leaf.immediate);
export const LEAF_OPERAND_COUNT: Int16Array = column((leaf) => leaf.operands.length);
export const LEAF_REGISTER_FORM: Int16Array = column((leaf) => leaf.registerForm);
export const LEAF_MEMORY_FORM: Int16Array = column((leaf) => leaf.memoryForm);

function operandColumn(value: (operand: ResolvedOperand) => number): Int16Array {
  const table = new Int16Array(LEAVES.length * LEAF_OPERANDS);
  LEAVES.forEach((leaf, i) => leaf.operands.forEach((operand, j) => (table[i * LEAF_OPERANDS + j] = value(operand))));
  return table;
}

export const OPERAND_SOURCE: Int16Array = operandColumn((operand) => operand.source);
export const OPERAND_CLASS: Int16Array = operandColumn((operand) => operand.regClass);
export const OPERAND_SIZE: Int16Array = operandColumn((operand) => operand.size);
export const OPERAND_MEMORY_SIZE: Int16Array = operandColumn((operand) => operand.memorySize);
export const OPERAND_FIXED: Int16Array = operandColumn((operand) => operand.fixed);
