/** TSSs for a SystemGuest's tasks (SDM vol. 3A, 9.2.1 and 9.6, figures 9-2 and 9-10), as memory to set up. */
import { CODE16_0, STACK16_0 } from './system-tables.ts';

/** The stack of a task ends here (at 0xa000 of STACK16_0 in a 16-bit one). */
export const TASK_STACK = 0x5_a000;

export interface Task32 {
  readonly cr3?: number;
  readonly eip?: number;
  readonly flags?: number;
  readonly esp?: number;
  readonly es?: number;
  readonly cs?: number;
  readonly ss?: number;
  readonly ds?: number;
  readonly fs?: number;
  readonly gs?: number;
  readonly ldt?: number;
  readonly trap?: number;
}

/** A 32-bit TSS as doublewords: EIP 0x1234, general registers 0xb0 to 0xb7, flat segments of level 0. */
export function task32(at: number, task: Task32): Record<number, number> {
  const values: Record<number, number> = { 0x1c: task.cr3 ?? 0, 0x20: task.eip ?? 0x1234, 0x24: task.flags ?? 2, 0x60: task.ldt ?? 0, 0x64: task.trap ?? 0 };
  for (let i = 0; i < 8; i++) values[0x28 + i * 4] = i === 4 ? (task.esp ?? TASK_STACK) : 0xb0 + i;
  [task.es ?? 0x10, task.cs ?? 8, task.ss ?? 0x10, task.ds ?? 0x10, task.fs ?? 0, task.gs ?? 0].forEach((selector, i) => (values[0x48 + i * 4] = selector));
  return Object.fromEntries(Object.entries(values).map(([offset, value]) => [at + Number(offset), value]));
}

/** A 16-bit TSS as words: IP 0x1234, general registers 0xc0 to 0xc7, a 16-bit stack. */
export function task16(at: number, task: { readonly flags?: number }): Record<number, number> {
  const values: Record<number, number> = { 0xe: 0x1234, 0x10: task.flags ?? 2, 0x22: 0x10, 0x24: CODE16_0, 0x26: STACK16_0, 0x28: 0x10, 0x2a: 0 };
  for (let i = 0; i < 8; i++) values[0x12 + i * 2] = i === 4 ? TASK_STACK & 0xffff : 0xc0 + i;
  return Object.fromEntries(Object.entries(values).map(([offset, value]) => [at + Number(offset), value]));
}
