/**
 * x86 decoder: bytes to instructions, in 16, 32 and 64-bit modes.
 *
 *     const instruction = new Instruction();
 *     const length = decode(codeView(bytes), 0, bytes.length, 64, instruction);
 *     if (length > 0) console.log(format(instruction, 0x1000n));
 */
export { codeView, decode } from './decoder.ts';
export { DECODE_INVALID, DECODE_TOO_LONG, DECODE_TRUNCATED } from './general.ts';
export { format, registerName } from './format.ts';
export { formKey, forms } from './forms.ts';
export * from './instruction.ts';
export type { Form, FormOperand } from './form.ts';
export type { OperandNotation } from './operand.ts';
export type { EncodingRow } from './row.ts';
export { MNEMONIC_INDEX, mnemonicIndex, MNEMONICS, ROWS } from './table/index.ts';
