/** Operands of the encoding table: from the notation of a row to what the decoder fetches for given sizes. */
import { RC_CR, RC_DR, RC_GPR, RC_MMX, RC_SEG, RC_ST, RC_VEC } from './kinds.ts';

/** Where an operand comes from. */
export const SRC_RM = 0; // ModRM.rm: register (with REX.B) or memory
export const SRC_RM8 = 1; // the same for byte registers: AH..BH without REX
export const SRC_RM_PLAIN = 2; // the same without REX.B: MMX, ST
export const SRC_REG = 3; // ModRM.reg with REX.R
export const SRC_REG8 = 4;
export const SRC_REG_PLAIN = 5;
export const SRC_OPCODE = 6;
export const SRC_OPCODE8 = 7;
export const SRC_VVVV = 8;
export const SRC_IS4 = 9;
export const SRC_FIXED = 10;
export const SRC_IMM = 11;
export const SRC_IMM2 = 12;
export const SRC_REL = 13;
export const SRC_FAR = 14;
export const SRC_MOFFS = 15;
export const SRC_SEG = 16; // ModRM.reg, 0..5
export const SRC_SEG_LOAD = 17; // the same as a destination: CS is invalid
export const SRC_CR = 18; // 0, 2, 3, 4, 8
export const SRC_DR = 19; // 0..7

/** Immediate bytes of an instruction. */
export const IMM_NONE = 0;
export const IMM_U8 = 1;
export const IMM_S8 = 2;
export const IMM_U16 = 3;
export const IMM_S16 = 4;
export const IMM_S32 = 5;
export const IMM_64 = 6;
export const IMM_U16_U8 = 7; // ENTER
export const IMM_FAR16 = 8;
export const IMM_FAR32 = 9;
export const IMM_MOFFS = 10;
export const IMM_ONE = 11; // no bytes: the constant 1 of shifts

/** What the size of an operand may depend on. */
export interface SizeContext {
  readonly mode64: boolean;
  /** Operand size in bytes, after the default-64 and forced-64 rules. */
  readonly operandSize: number;
  /** VEX.L. */
  readonly vectorLength: number;
}

export interface OperandNotation {
  readonly letter: string;
  readonly registerType: string;
  readonly memoryType: string;
  readonly text: string;
}

export interface ResolvedOperand {
  readonly source: number;
  readonly regClass: number;
  /** Bytes as a register, immediate or displacement. */
  readonly size: number;
  readonly memorySize: number;
  /** Register number of SRC_FIXED. */
  readonly fixed: number;
  /** IMM_*. */
  readonly immediate: number;
}

interface FixedRegister {
  readonly regClass: number;
  readonly number: number;
  readonly type: string;
}

const gpr = (number: number, type: string): FixedRegister => ({ regClass: RC_GPR, number, type });
const seg = (number: number): FixedRegister => ({ regClass: RC_SEG, number, type: 'w' });

const FIXED: ReadonlyMap<string, FixedRegister> = new Map([
  ['AL', gpr(0, 'b')],
  ['AX', gpr(0, 'w')],
  ['eAX', gpr(0, 'z')],
  ['rAX', gpr(0, 'v')],
  ['CL', gpr(1, 'b')],
  ['DX', gpr(2, 'w')],
  ['ES', seg(0)],
  ['CS', seg(1)],
  ['SS', seg(2)],
  ['DS', seg(3)],
  ['FS', seg(4)],
  ['GS', seg(5)],
  ['ST0', { regClass: RC_ST, number: 0, type: 't' }],
]);

/** Suffix -> bytes for operand size 2, 4, 8. */
const BY_OPERAND_SIZE: Readonly<Record<string, readonly [number, number, number]>> = {
  v: [2, 4, 8],
  bs: [2, 4, 8], // a byte sign-extended to the operand size
  z: [2, 4, 4],
  y: [4, 4, 8],
  p: [4, 6, 10], // far pointer
  a: [4, 8, 16], // BOUND's pair
  env: [14, 28, 28], // x87 environment
  fst: [94, 108, 108], // x87 state
};
/** Suffixes that tell operand sizes of 16 and 32 bits apart. */
const TELLS_16_FROM_32: ReadonlySet<string> = new Set(['v', 'bs', 'z', 'p', 'a', 'env', 'fst']);
/** Suffix -> bytes for VEX.L 0, 1. */
const BY_VECTOR_LENGTH: Readonly<Record<string, readonly [number, number]>> = {
  x: [16, 32],
  h: [8, 16], // half, a quarter and an eighth of the vector
  f: [4, 8],
  e: [2, 4],
};
const CONSTANT: Readonly<Record<string, number>> = {
  '': 0, b: 1, bb: 1, '2b': 1, w: 2, d: 4, q: 8, t: 10, dq: 16, qq: 32,
};

/** Bytes of an operand with this suffix. */
export function sizeOf(type: string, context: SizeContext): number {
  const bySize = BY_OPERAND_SIZE[type];
  if (bySize) return bySize[context.operandSize === 8 ? 2 : context.operandSize === 4 ? 1 : 0];
  const byLength = BY_VECTOR_LENGTH[type];
  if (byLength) return byLength[context.vectorLength === 1 ? 1 : 0];
  if (type === 'n') return context.mode64 ? 8 : 4; // the mode's native size
  if (type === 's') return context.mode64 ? 10 : 6; // pseudo-descriptor
  const size = CONSTANT[type] ?? Number(type);
  if (Number.isNaN(size)) throw new Error(`encoding table: unknown operand suffix ${type}`);
  return size;
}

export function parseOperand(text: string): OperandNotation {
  const fixed = FIXED.get(text);
  if (fixed) return { letter: 'fixed', registerType: fixed.type, memoryType: '', text };
  if (text === '1') return { letter: '1', registerType: 'b', memoryType: '', text };
  if (text === 'STi') return { letter: 'STi', registerType: 't', memoryType: '', text };
  const [types = '', memoryType] = text.slice(1).split('.');
  return { letter: text.charAt(0), registerType: types, memoryType: memoryType ?? types, text };
}

/** Whether the operand's width depends on the operand size. */
export function tellsSize(operand: OperandNotation): boolean {
  return operand.registerType in BY_OPERAND_SIZE || operand.memoryType in BY_OPERAND_SIZE;
}

/** Whether the operand's width tells 16-bit from 32-bit operand size. */
export function tellsWordSize(operand: OperandNotation): boolean {
  return TELLS_16_FROM_32.has(operand.registerType) || TELLS_16_FROM_32.has(operand.memoryType);
}

/** Register and memory forms that an operand's letter allows: bit 0 register, bit 1 memory; 0 where ModRM.rm is not used. */
export function rmForms(operand: OperandNotation): number {
  if ('EWQ'.includes(operand.letter)) return 3;
  if (operand.letter === 'R' || operand.letter === 'U' || operand.letter === 'N' || operand.letter === 'STi') return 1;
  return operand.letter === 'M' || operand.letter === 'X' ? 2 : 0;
}

/** Whether the operand is encoded in a ModRM byte. */
export function usesModrm(operand: OperandNotation): boolean {
  return rmForms(operand) !== 0 || 'GVPSCD'.includes(operand.letter);
}

const REGISTER_CLASS: Readonly<Record<string, number>> = {
  E: RC_GPR, R: RC_GPR, G: RC_GPR, Z: RC_GPR, B: RC_GPR, M: RC_GPR,
  W: RC_VEC, U: RC_VEC, V: RC_VEC, H: RC_VEC, L: RC_VEC,
  Q: RC_MMX, N: RC_MMX, P: RC_MMX,
  S: RC_SEG, C: RC_CR, D: RC_DR, STi: RC_ST,
};

function immediateKind(operand: OperandNotation, size: number): number {
  switch (operand.registerType) {
    case 'b':
    case '2b':
      return IMM_U8;
    case 'bs':
    case 'bb':
      return IMM_S8;
    case 'w':
      return IMM_U16;
    case 'v':
      return size === 8 ? IMM_64 : size === 4 ? IMM_S32 : IMM_S16;
    default:
      return size === 2 ? IMM_S16 : IMM_S32;
  }
}

function resolveImmediate(operand: OperandNotation, context: SizeContext): ResolvedOperand {
  // An Iz is as wide as the operation, though at most 32 bits of it are in the instruction.
  const size = sizeOf(operand.registerType === 'z' ? 'v' : operand.registerType, context);
  const source = operand.registerType === '2b' ? SRC_IMM2 : SRC_IMM;
  const immediate = source === SRC_IMM2 ? IMM_U16_U8 : immediateKind(operand, sizeOf(operand.registerType, context));
  return { source, regClass: 0, size, memorySize: 0, fixed: 0, immediate };
}

function resolveRelative(operand: OperandNotation, context: SizeContext): ResolvedOperand {
  const size = sizeOf(operand.registerType, context);
  const immediate = size === 1 ? IMM_S8 : size === 2 ? IMM_S16 : IMM_S32;
  return { source: SRC_REL, regClass: 0, size, memorySize: 0, fixed: 0, immediate };
}

function registerSource(operand: OperandNotation, size: number, first: boolean): number {
  const byte = size === 1;
  switch (operand.letter) {
    case 'E':
    case 'R':
      return byte ? SRC_RM8 : SRC_RM;
    case 'M':
    case 'X':
    case 'W':
    case 'U':
      return SRC_RM;
    case 'Q':
    case 'N':
    case 'STi':
      return SRC_RM_PLAIN;
    case 'G':
      return byte ? SRC_REG8 : SRC_REG;
    case 'V':
      return SRC_REG;
    case 'P':
      return SRC_REG_PLAIN;
    case 'Z':
      return byte ? SRC_OPCODE8 : SRC_OPCODE;
    case 'H':
    case 'B':
      return SRC_VVVV;
    case 'L':
      return SRC_IS4;
    case 'S':
      return first ? SRC_SEG_LOAD : SRC_SEG;
    case 'C':
      return SRC_CR;
    case 'D':
      return SRC_DR;
    default:
      throw new Error(`encoding table: unknown operand ${operand.text}`);
  }
}

/** Vector registers are whole registers even where the operation reads a part of them. */
function registerSize(operand: OperandNotation, size: number): number {
  return 'WUVHL'.includes(operand.letter) ? Math.max(size, 16) : size;
}

/** Resolves the operand at `position` for given sizes. */
export function resolveOperand(operand: OperandNotation, position: number, context: SizeContext): ResolvedOperand {
  const { letter } = operand;
  if (letter === 'I') return resolveImmediate(operand, context);
  if (letter === 'J') return resolveRelative(operand, context);
  const size = sizeOf(operand.registerType, context);
  const plain = { regClass: 0, size, memorySize: 0, fixed: 0, immediate: IMM_NONE };
  if (letter === '1') return { ...plain, source: SRC_IMM, immediate: IMM_ONE };
  if (letter === 'A') {
    return { ...plain, source: SRC_FAR, immediate: context.operandSize === 2 ? IMM_FAR16 : IMM_FAR32 };
  }
  if (letter === 'O') return { ...plain, source: SRC_MOFFS, memorySize: size, immediate: IMM_MOFFS };
  const fixed = FIXED.get(operand.text);
  if (fixed) return { ...plain, source: SRC_FIXED, regClass: fixed.regClass, fixed: fixed.number };
  return {
    ...plain,
    source: registerSource(operand, size, position === 0),
    regClass: REGISTER_CLASS[letter] ?? RC_GPR,
    size: registerSize(operand, size),
    memorySize: sizeOf(operand.memoryType, context),
    immediate: letter === 'L' ? IMM_U8 : IMM_NONE,
  };
}
