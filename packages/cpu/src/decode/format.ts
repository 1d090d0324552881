/**
 * Intel syntax, as `lock cmpxchg dword ptr fs:[rax+rcx*4+0x10],ebx`. Numbers are hexadecimal; immediates are shown in the
 * width of the operation, branch targets as addresses. Instructions with implicit operands (string instructions) show
 * none: an override appears in front of them.
 */
import {
  OP_FAR,
  OP_IMM,
  OP_MEM,
  OP_REG,
  PFX_LOCK,
  PFX_REP,
  PFX_REPNE,
  RC_CR,
  RC_DR,
  RC_GPR_HIGH,
  RC_MMX,
  RC_SEG,
  RC_ST,
  RC_VEC,
  type Instruction,
  type Operand,
} from './instruction.ts';
import { MNEMONICS, ROWS } from './table/index.ts';

const SEGMENTS: readonly string[] = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'];
const LEGACY_NAMES: readonly string[] = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'];
const LOW_BYTES: readonly string[] = ['al', 'cl', 'dl', 'bl', 'spl', 'bpl', 'sil', 'dil'];
const HIGH_BYTES: readonly string[] = ['ah', 'ch', 'dh', 'bh'];
const NEW_SUFFIX: Readonly<Record<number, string>> = { 1: 'b', 2: 'w', 4: 'd', 8: '' };
const LEGACY_PREFIX: Readonly<Record<number, string>> = { 2: '', 4: 'e', 8: 'r' };
const SIZE_NAMES: Readonly<Record<number, string>> = {
  1: 'byte', 2: 'word', 4: 'dword', 6: 'fword', 8: 'qword', 10: 'tbyte', 16: 'xmmword', 32: 'ymmword',
};
const SIMPLE_CLASSES: Readonly<Record<number, string>> = { [RC_CR]: 'cr', [RC_DR]: 'dr', [RC_MMX]: 'mm' };
/** String instructions that compare: their F3 reads REPE. */
const COMPARING = /^(?:cmps|scas)/;
const STRING = /^(?:(?:movs|cmps)(?:[bwq]|d_string)|(?:stos|lods|scas|ins|outs)[bwdq])$/;

function generalName(number: number, size: number): string {
  if (number >= 8) return `r${number}${NEW_SUFFIX[size]}`;
  return size === 1 ? (LOW_BYTES[number] as string) : `${LEGACY_PREFIX[size]}${LEGACY_NAMES[number]}`;
}

function vectorName(number: number, size: number): string {
  return `${size === 32 ? 'y' : 'x'}mm${number}`;
}

/** Name of the register of a register operand. */
export function registerName({ regClass, reg, size }: Operand): string {
  const simple = SIMPLE_CLASSES[regClass];
  if (simple !== undefined) return `${simple}${reg}`;
  if (regClass === RC_GPR_HIGH) return HIGH_BYTES[reg] as string;
  if (regClass === RC_SEG) return SEGMENTS[reg] as string;
  if (regClass === RC_ST) return `st(${reg})`;
  return regClass === RC_VEC ? vectorName(reg, size) : generalName(reg, size);
}

function wide(low: number, high: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low >>> 0);
}

function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}

function memoryText(instruction: Instruction, size: number): string {
  const { memBase, memIndex, memScale, memIndexSize, addressSize, segmentOverride, dispLo, dispHi } = instruction;
  const terms: string[] = [];
  if (memBase === 16) terms.push(addressSize === 8 ? 'rip' : 'eip');
  else if (memBase >= 0) terms.push(generalName(memBase, addressSize));
  if (memIndex >= 0) {
    const name = memIndexSize === 0 ? generalName(memIndex, addressSize) : vectorName(memIndex, memIndexSize);
    terms.push(memScale === 0 ? name : `${name}*${1 << memScale}`);
  }
  const disp = wide(dispLo, dispHi);
  const sum = terms.join('+');
  const tail =
    sum === '' ? hex(BigInt.asUintN(addressSize * 8, disp)) : disp === 0n ? '' : disp < 0n ? `-${hex(-disp)}` : `+${hex(disp)}`;
  const width = SIZE_NAMES[size] === undefined ? '' : `${SIZE_NAMES[size]} ptr `;
  const segment = segmentOverride < 0 ? '' : `${SEGMENTS[segmentOverride]}:`;
  return `${width}${segment}[${sum}${tail}]`;
}

function immediateText(instruction: Instruction, operand: Operand, position: number): string {
  const second = ROWS[instruction.row]?.operands[position]?.registerType === '2b';
  const value = second ? BigInt(instruction.imm2) : wide(instruction.immLo, instruction.immHi);
  return hex(BigInt.asUintN(operand.size * 8, value));
}

function operandText(instruction: Instruction, position: number, address: bigint): string {
  const operand = instruction.operands[position] as Operand;
  const immediate = wide(instruction.immLo, instruction.immHi);
  switch (operand.kind) {
    case OP_REG:
      return registerName(operand);
    case OP_MEM:
      return memoryText(instruction, operand.size);
    case OP_IMM:
      return immediateText(instruction, operand, position);
    case OP_FAR:
      return `${hex(BigInt(instruction.imm2))}:${hex(immediate)}`;
    default:
      return hex(BigInt.asUintN(instruction.operandSize * 8, address + BigInt(instruction.length) + immediate));
  }
}

/** Prefixes that no operand shows. */
function prefixText({ prefixes, segmentOverride, addressSize, mode }: Instruction, mnemonic: string): string {
  const words: string[] = [];
  if ((prefixes & PFX_LOCK) !== 0) words.push('lock');
  if ((prefixes & PFX_REPNE) !== 0) words.push('repne');
  if ((prefixes & PFX_REP) !== 0) words.push(COMPARING.test(mnemonic) ? 'repe' : 'rep');
  if (STRING.test(mnemonic)) {
    if (addressSize !== mode >> 3) words.push(`addr${addressSize * 8}`);
    if (segmentOverride >= 0) words.push(SEGMENTS[segmentOverride] as string);
  }
  return words.map((word) => `${word} `).join('');
}

/** Text of a decoded instruction at an address. */
export function format(instruction: Instruction, address: bigint = 0n): string {
  const mnemonic = MNEMONICS[instruction.mnemonic] as string;
  const operands: string[] = [];
  for (let i = 0; i < instruction.operandCount; i++) operands.push(operandText(instruction, i, address));
  const head = `${prefixText(instruction, mnemonic)}${mnemonic.replace('_string', '')}`;
  return operands.length === 0 ? head : `${head} ${operands.join(',')}`;
}
