/** Which handler executes a decoded instruction, looked up once for each form and size. */
import { forms } from '../decode/forms.ts';
import type { Instruction } from '../decode/instruction.ts';
import { type Handler, handlerFor } from '../interpreter/handlers.ts';

export class HandlerTable {
  readonly #known: (Handler | null | undefined)[] = [];
  readonly #microcode: (name: string) => string | null;

  /** `microcode` names the microcode function of a semantic name, or null. */
  constructor(microcode: (name: string) => string | null) {
    this.#microcode = microcode;
  }

  /** Null: nothing executes it. */
  of(ins: Instruction): Handler | null {
    const at = (ins.form << 5) | ((ins.operandSize >> 2) << 3) | ((ins.addressSize >> 2) << 1) | (ins.mode === 64 ? 1 : 0);
    const known = this.#known[at];
    if (known !== undefined) return known;
    const form = forms()[ins.form]!;
    return (this.#known[at] = handlerFor(form.mnemonic, form.operands, ins.operandSize, ins.addressSize, ins.mode === 64, this.#microcode));
  }
}
