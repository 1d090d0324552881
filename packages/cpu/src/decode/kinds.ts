/** What the fields of a decoded instruction may be. */

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
