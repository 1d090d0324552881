/** The forms of the encoding table: what an engine must implement, and keys that tie decoded instructions to it. */
import { FORMS } from './dispatch.ts';
import type { Form } from './form.ts';
import type { Instruction } from './instruction.ts';

/** Every row x operand size x register or memory. `Instruction.form` is the position. */
export function forms(): readonly Form[] {
  return FORMS;
}

/** The key of the form of a decoded instruction. */
export function formKey(instruction: Instruction): string {
  return (FORMS[instruction.form] as Form).key;
}
