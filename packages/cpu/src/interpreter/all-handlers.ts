import { forms } from '../decode/forms.ts';
import { microcodeName } from '../semantics/complex.ts';
import { type Handler, handlerFor } from './handlers.ts';

/** The handlers of all forms that semantics or microcode execute, each once. */
export function allHandlers(microcodeHas: (name: string) => boolean): Handler[] {
  const byKey = new Map<string, Handler>();
  const microcode = (name: string): string | null => microcodeName(name, microcodeHas);
  for (const form of forms()) {
    for (const mode of form.modes) {
      for (const addressSize of [2, 4, 8]) {
        for (const operandSize of form.operandSize === 0 ? [2, 4, 8] : [form.operandSize]) {
          const handler = handlerFor(form.mnemonic, form.operands, operandSize, addressSize, mode === 64, microcode);
          if (handler && !byKey.has(handler.key)) byKey.set(handler.key, handler);
        }
      }
    }
  }
  return [...byKey.values()];
}
