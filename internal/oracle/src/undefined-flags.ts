/** Flags that the manual leaves undefined after an instruction, by what it says in the sections of SDM vol. 2 that are named. */
import type { Form, Instruction } from '@vm/cpu/decode';
import { OP_IMM } from '@vm/cpu/decode';
import { FLAG_AF as AF, FLAG_CF as CF, FLAG_OF as OF, FLAG_PF as PF, FLAG_SF as SF, FLAG_ZF as ZF, FLAGS_ARITHMETIC, RCX, type State } from './state.ts';

interface Rule {
  readonly mnemonics: RegExp;
  /** Where it is said. */
  readonly section: string;
  readonly flags: number | ((operation: Operation) => number);
}

interface Operation {
  readonly form: Form;
  readonly ins: Instruction;
  readonly before: State;
}

/** The count of a shift or rotation after masking: the immediate, or CL. */
function shiftCount({ form, ins, before }: Operation): number {
  const last = ins.operands[ins.operandCount - 1]!;
  const raw = last.kind === OP_IMM ? ins.immLo : Number(before.gpr(RCX) & 0xffn);
  return raw & (form.operands[0]!.size === 8 ? 63 : 31);
}

function shiftFlags(operation: Operation): number {
  const n = shiftCount(operation);
  if (n === 0) return 0;
  const bits = operation.form.operands[0]!.size * 8;
  const carry = n >= bits && operation.form.mnemonic !== 'sar' ? CF : 0;
  return AF | carry | (n === 1 ? 0 : OF);
}

function doubleShiftFlags(operation: Operation): number {
  const n = shiftCount(operation);
  if (n === 0) return 0;
  return n > operation.form.operands[0]!.size * 8 ? FLAGS_ARITHMETIC : AF | (n === 1 ? 0 : OF);
}

const RULES: readonly Rule[] = [
  { mnemonics: /^(and|or|xor|test)$/, section: 'AND, OR, XOR, TEST', flags: AF },
  { mnemonics: /^(andn|blsi|blsr|blsmsk|bzhi)$/, section: 'ANDN, BLSI, BLSR, BLSMSK, BZHI', flags: AF | PF },
  { mnemonics: /^bextr$/, section: 'BEXTR', flags: AF | PF | SF },
  { mnemonics: /^(sal|shl|shr|sar)$/, section: 'SAL/SAR/SHL/SHR', flags: shiftFlags },
  { mnemonics: /^(shld|shrd)$/, section: 'SHLD, SHRD', flags: doubleShiftFlags },
  { mnemonics: /^(rcl|rcr|rol|ror)$/, section: 'RCL/RCR/ROL/ROR', flags: (o) => (shiftCount(o) === 1 ? 0 : OF) },
  { mnemonics: /^(mul|imul)$/, section: 'MUL, IMUL', flags: SF | ZF | AF | PF },
  { mnemonics: /^(div|idiv)$/, section: 'DIV, IDIV', flags: FLAGS_ARITHMETIC },
  { mnemonics: /^bt[src]?$/, section: 'BT, BTC, BTR, BTS', flags: OF | SF | AF | PF },
  { mnemonics: /^bs[fr]$/, section: 'BSF, BSR', flags: CF | OF | SF | AF | PF },
  { mnemonics: /^(tzcnt|lzcnt)$/, section: 'TZCNT, LZCNT', flags: OF | SF | PF | AF },
  { mnemonics: /^(aaa|aas)$/, section: 'AAA, AAS', flags: OF | SF | ZF | PF },
  { mnemonics: /^(aad|aam)$/, section: 'AAD, AAM', flags: OF | AF | CF },
  { mnemonics: /^(daa|das)$/, section: 'DAA, DAS', flags: OF },
];

/** The flags not to be compared. */
export function undefinedFlags(form: Form, ins: Instruction, before: State): number {
  const rule = RULES.find(({ mnemonics }) => mnemonics.test(form.mnemonic));
  if (!rule) return 0;
  return typeof rule.flags === 'number' ? rule.flags : rule.flags({ form, ins, before });
}
