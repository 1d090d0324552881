/** One world switch in full: all that was saved, loaded and restored, in order. */
import type { SwitchStep } from '@vm/kvm-run/vmx';

/**
 * Finds the n-th world switch in the stream of steps. A switch is a way into the guest and the way out of it: it begins
 * with the first step inwards after a way out.
 */
export class SwitchCounter {
  readonly #wanted: number;
  readonly #steps: SwitchStep[] = [];
  #inwards = false;
  #count = 0;

  /** `wanted` counts from 1. */
  constructor(wanted: number) {
    this.#wanted = wanted;
  }

  /** Switches seen, the current one with them. */
  get count(): number {
    return this.#count;
  }

  /** Takes a step; returns those of the wanted switch once it is over, that is when the next one begins. */
  push(step: SwitchStep): readonly SwitchStep[] | undefined {
    const inwards = step.phase === 'entry';
    if (inwards && !this.#inwards) {
      if (this.#count === this.#wanted) return this.#steps;
      this.#count++;
    }
    this.#inwards = inwards;
    if (this.#count === this.#wanted) this.#steps.push(step);
    return undefined;
  }

  /** The wanted switch, when it was the last one of the run. */
  last(): readonly SwitchStep[] | undefined {
    return this.#count === this.#wanted ? this.#steps : undefined;
  }
}

const TITLES: Readonly<Record<string, string>> = { entry: 'into the guest', exit: 'out of the guest' };

export function formatSwitch(number: number, steps: readonly SwitchStep[]): string {
  const width = (pick: (step: SwitchStep) => string): number => steps.reduce((most, step) => Math.max(most, pick(step).length), 0);
  const what = width((step) => step.what);
  const from = width((step) => step.from);
  const to = width((step) => step.to);
  const lines = [`world switch ${number}: ${steps.length} steps`];
  let phase = '';
  let name = '';
  steps.forEach((step, at) => {
    if (step.phase !== phase) {
      lines.push('', TITLES[step.phase] ?? step.phase);
      name = '';
    }
    if (step.step !== name) lines.push(`  ${step.step}`);
    ({ phase, step: name } = step);
    const value = `0x${BigInt.asUintN(64, step.value).toString(16).padStart(16, '0')}`;
    lines.push(`  ${String(at + 1).padStart(5)}  ${step.what.padEnd(what)}  ${step.from.padEnd(from)} -> ${step.to.padEnd(to)}  ${value}`);
  });
  return `${lines.join('\n')}\n`;
}
