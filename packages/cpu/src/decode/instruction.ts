/** One decoded instruction. The decoder fills an object that the caller owns, so that decoding allocates nothing. */
import * as dispatch from './dispatch.ts';
import * as kinds from './kinds.ts';
import * as packed from './packed.ts';
import * as packing from './packing.ts';

export * from './kinds.ts';
export { Operand } from './packed.ts';

// Named again for speed: see decoder.ts.
const { FORM_DATA } = dispatch;
const { FORM_REP_IN_OPCODE, FORM_WORDS } = packing;
const { PFX_REP, PFX_REPNE, PFX_REX, PFX_VEX } = kinds;
const { BITS_FORM, BITS_LENGTH_SHIFT, BITS_PREFIXES_SHIFT, BITS_MODE_SHIFT, BITS_SEGMENT_SHIFT, BITS_DERIVED } = packed;
const { derive, WIDE_VECTOR_LENGTH_SHIFT } = packed;

/**
 * All parts are of the instruction that was decoded last. Operands, memory and immediate are computed when one of them is
 * first read: what is kept across a decode is out of date, `operands` too.
 */
export class Instruction implements packed.PackedInstruction {
  /** The decoder's, as the next five: see PackedInstruction. */
  bits = 0;
  head = 0;
  rex = 0;
  tail = 0;
  immediate = 0;
  wide = 0;
  readonly #parts = new packed.Parts();

  #derived(): packed.Parts {
    if (this.bits >= 0) {
      derive(this, this.#parts);
      this.bits |= BITS_DERIVED;
    }
    return this.#parts;
  }

  /** Index of the form: row, operand size, and register or memory (forms()). */
  get form(): number {
    return this.bits & BITS_FORM;
  }

  /** Index of the row of the encoding table. */
  get row(): number {
    return (FORM_DATA[this.form * FORM_WORDS + 1] as number) & 0xffff;
  }

  /** Index into MNEMONICS. */
  get mnemonic(): number {
    return (FORM_DATA[this.form * FORM_WORDS + 1] as number) >> 16;
  }

  /** Bytes, prefixes included. */
  get length(): number {
    return (this.bits >> BITS_LENGTH_SHIFT) & 15;
  }

  /** 16, 32 or 64. */
  get mode(): number {
    return (this.bits >> BITS_MODE_SHIFT) & 0x70;
  }

  /** PFX_* bits. */
  get prefixes(): number {
    const legacy = (this.bits >> BITS_PREFIXES_SHIFT) & 0x7f;
    const prefixes = (legacy & PFX_VEX) === 0 && this.rex !== 0 ? legacy | PFX_REX : legacy;
    const inOpcode = ((FORM_DATA[this.form * FORM_WORDS] as number) & FORM_REP_IN_OPCODE) !== 0;
    return inOpcode ? prefixes & ~(PFX_REP | PFX_REPNE) : prefixes;
  }

  /** Segment override (0..5 in ES CS SS DS FS GS order), or -1. */
  get segmentOverride(): number {
    return ((this.bits >> BITS_SEGMENT_SHIFT) & 7) - 1;
  }

  /** VEX.L (0 or 1). */
  get vectorLength(): number {
    const vex = ((this.bits >> BITS_PREFIXES_SHIFT) & PFX_VEX) !== 0;
    return vex ? (this.wide >> WIDE_VECTOR_LENGTH_SHIFT) & 1 : 0;
  }

  /** Bytes: 2, 4 or 8 (after default-64 and forced-64 rules). */
  get operandSize(): number {
    return this.#derived().operandSize;
  }

  /** Bytes: 2, 4 or 8. */
  get addressSize(): number {
    return this.#derived().addressSize;
  }

  get operandCount(): number {
    return ((FORM_DATA[this.form * FORM_WORDS] as number) >> 20) & 7;
  }

  /** From operandCount on they are OP_NONE. The mem, disp and imm parts mean something only if an operand has them. */
  get operands(): packed.Parts['operands'] {
    return this.#derived().operands;
  }

  /** The operand that is OP_MEM. */
  get memory(): packed.Operand | null {
    const place = (FORM_DATA[this.form * FORM_WORDS] as number) >> 23;
    return place === 0 ? null : (this.operands[place - 1] as packed.Operand);
  }

  /** Register number of the memory operand, or -1; 16 is RIP. */
  get memBase(): number {
    return this.#derived().memBase;
  }

  /** Register number, or -1. */
  get memIndex(): number {
    return this.#derived().memIndex;
  }

  /** 0..3. */
  get memScale(): number {
    return this.#derived().memScale;
  }

  /** Bytes of the vector register that memIndex names in a gather (16 or 32); 0 for a general register. */
  get memIndexSize(): number {
    return this.#derived().memIndexSize;
  }

  /** Effective segment of the memory operand (override or default). */
  get memSegment(): number {
    return this.#derived().memSegment;
  }

  /** The displacement, sign-extended to 64 bits as two halves. */
  get dispLo(): number {
    return this.#derived().dispLo;
  }

  get dispHi(): number {
    return this.#derived().dispHi;
  }

  /** Immediate, sign-extended (or zero-extended where the manual says so) to 64 bits as two halves. */
  get immLo(): number {
    return this.#derived().immLo;
  }

  get immHi(): number {
    return this.#derived().immHi;
  }

  /** Second immediate (ENTER), or the selector of a far pointer. */
  get imm2(): number {
    return this.#derived().imm2;
  }
}
