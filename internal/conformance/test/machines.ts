/** The machines of a test, closed after it. */
import { afterEach } from 'vitest';
import { setGate } from '../src/guest-state.ts';
import { Machine, type MachineOptions } from '../src/machine.ts';

const machines: Machine[] = [];
afterEach(() => {
  for (const made of machines.splice(0)) made.close();
});

export function machine(entry: string, options: MachineOptions = {}): Machine {
  const made = new Machine({ entry, ...options });
  machines.push(made);
  return made;
}

/** Points a vector at a handler of the guest. */
export function gate(m: Machine, vector: number, handler: string): void {
  setGate(m, m.mode, vector, m.symbol(handler));
}
