/**
 * One decoded instruction. The decoder fills an object that the caller owns, so that decoding allocates nothing.
 */

/** What an operand is. */
export const OP_NONE = 0;
export const OP_REG = 1;
export const OP_MEM = 2;
export const OP_IMM = 3;
/** Relative branch target: `imm` is the displacement from the end of the instruction. */
export const OP_REL = 4;
/** Far pointer in the instruction: `imm` is the offset, `selector` the selector. */
export const OP_FAR = 5;

/** Register classes. */
export const RC_GPR = 0; // number 0..15, size 1, 2, 4, 8
/** AH CH DH BH: number 0..3 (the register whose bits 15:8 it is), size 1. */
export const RC_GPR_HIGH = 1;
export const RC_SEG = 2; // ES CS SS DS FS GS
export const RC_CR = 3;
export const RC_DR = 4;
export const RC_ST = 5;
export const RC_MMX = 6;
/** XMM or YMM, told apart by size (16 or 32). */
export const RC_VEC = 7;

export const PFX_LOCK = 1;
/** F3 present and not part of the opcode. */
export const PFX_REP = 2;
/** F2 present and not part of the opcode. */
export const PFX_REPNE = 4;
export const PFX_OPSIZE = 8;
export const PFX_ADDRSIZE = 16;
export const PFX_REX = 32;
export const PFX_VEX = 64;

export class Operand {
  kind: number = OP_NONE;
  /** Bytes: of the register or of the memory operand (0 where it has none, as LEA's). */
  size = 0;
  regClass: number = RC_GPR;
  reg = 0;
}

export class Instruction {
  /** Index into MNEMONICS. */
  mnemonic = 0;
  /** Index of the row of the encoding table. */
  row = 0;
  /** Index of the form: row, operand size, and register or memory (FORMS). */
  form = 0;
  /** Bytes, prefixes included. */
  length = 0;
  /** 16, 32 or 64. */
  mode = 64;
  /** PFX_* bits. */
  prefixes = 0;
  /** Segment override (0..5 in ES CS SS DS FS GS order), or -1. */
  segmentOverride: number = -1;
  /** Bytes: 2, 4 or 8 (after default-64 and forced-64 rules). */
  operandSize = 4;
  /** Bytes: 2, 4 or 8. */
  addressSize = 8;
  /** VEX.L (0 or 1). */
  vectorLength = 0;
  operandCount = 0;
  /** From operandCount on they are OP_NONE. The mem, disp and imm fields mean something only if an operand has them. */
  readonly operands: readonly [Operand, Operand, Operand, Operand] = [
    new Operand(), new Operand(), new Operand(), new Operand(),
  ];
  /** The memory operand, if one operand is OP_MEM. Register numbers, or -1; base 16 is RIP. */
  memBase: number = -1;
  memIndex: number = -1;
  /** 0..3. */
  memScale = 0;
  /** Bytes of the vector register that memIndex names in a gather (16 or 32); 0 for a general register. */
  memIndexSize = 0;
  /** Sign-extended to 64 bits as two halves. */
  dispLo = 0;
  dispHi = 0;
  /** Effective segment of the memory operand (override or default). */
  memSegment = 3;
  /** Immediate, sign-extended (or zero-extended where the manual says so) to 64 bits as two halves. */
  immLo = 0;
  immHi = 0;
  /** Second immediate (ENTER), or the selector of a far pointer. */
  imm2 = 0;
}

/** Whether the instruction has a memory operand. */
export function hasMemory(ins: Instruction): boolean {
  return ins.operands.some((operand) => operand.kind === OP_MEM);
}
