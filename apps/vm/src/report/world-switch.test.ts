import { expect, test } from 'vitest';
import type { SwitchStep } from '@vm/kvm-run/vmx';
import { SwitchCounter, formatSwitch } from './world-switch.ts';

const step = (phase: string, name: string, what: string, value: bigint): SwitchStep => ({ phase, step: name, what, from: 'VMCS', to: 'processor', value });
const STREAM = [
  step('entry', 'vmx_vcpu_run', 'RIP', 1n), step('entry', 'load guest state', 'CR3', 2n), step('exit', 'save guest state', 'RIP', 3n),
  step('entry', 'vmx_vcpu_run', 'RIP', 4n), step('exit', 'save guest state', 'RIP', 5n), step('exit', 'load host state', 'RIP', 6n),
  step('entry', 'vmx_vcpu_run', 'RIP', 7n),
];

function find(wanted: number): { steps: bigint[] | undefined; at: number } {
  const counter = new SwitchCounter(wanted);
  for (const [at, one] of STREAM.entries()) {
    const steps = counter.push(one);
    if (steps !== undefined) return { steps: steps.map(({ value }) => value), at };
  }
  return { steps: counter.last()?.map(({ value }) => value), at: STREAM.length };
}

test.each([[1, [1n, 2n, 3n], 3], [2, [4n, 5n, 6n], 6], [3, [7n], 7], [4, undefined, 7]])('switch %d', (wanted, steps, at) => expect(find(wanted)).toEqual({ steps, at }));

test('is printed by phase and function, in order', () => {
  expect(formatSwitch(1, STREAM.slice(0, 3))).toBe(`world switch 1: 3 steps

into the guest
  vmx_vcpu_run
      1  RIP  VMCS -> processor  0x0000000000000001
  load guest state
      2  CR3  VMCS -> processor  0x0000000000000002

out of the guest
  save guest state
      3  RIP  VMCS -> processor  0x0000000000000003
`);
});
