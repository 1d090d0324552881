/**
 * What a SystemGuest's state came to, in the words of a table's row: `#GP(18)`, `ok ds=103 ds.limit=fff`. Each word of the
 * expected outcome is looked up in the guest, so that a difference shows both.
 */
import * as L from '../state/layout.ts';
import { REGISTERS, SEGMENTS, type Setup, type SystemGuest } from './system-guest.ts';
import { GDT } from './system-tables.ts';

const FIELDS: Readonly<Record<string, readonly [offset: number, bits: 32 | 64]>> = {
  rip: [L.RIP, 64], cpl: [L.CPL, 32], cr0: [L.CR0, 64], cr2: [L.CR2, 64], cr3: [L.CR3, 64], dr6: [L.DR6, 64], dr7: [L.DR7, 64],
  'gdtr.base': [L.GDTR_BASE, 64], 'gdtr.limit': [L.GDTR_LIMIT, 32], 'idtr.base': [L.IDTR_BASE, 64], 'idtr.limit': [L.IDTR_LIMIT, 32],
  blocking: [L.INTERRUPTIBILITY, 32], code: [L.CODE_MODE, 32], real: [L.REAL_MODE, 32], activity: [L.ACTIVITY, 32],
};
const PARTS: Readonly<Record<string, readonly [offset: number, bits: 32 | 64]>> = {
  base: [L.SEG_BASE, 64], limit: [L.SEG_LIMIT, 32], attr: [L.SEG_ATTR, 32],
};
const MEMORY = /^([bwdq])\[([0-9a-f]+)\]$/;
const TYPE = /^access\[([0-9a-f]+)\]$/;
const STACK = /^stack(16|32|64)$/;

/** The value of a name in hexadecimal; `count` for lists. */
function valueOf(guest: SystemGuest, name: string, count: number): string {
  const field = FIELDS[name];
  if (field) return read(guest, field);
  const register = REGISTERS.indexOf(name as never);
  if (register >= 0) return guest.get(L.GPR + register * 8).toString(16);
  if (name === 'flags') return guest.rflags().toString(16);
  const [segment, part] = name.split('.');
  const index = SEGMENTS.indexOf(segment as never);
  if (index >= 0) {
    const at = L.SEG + index * L.SEG_SIZE;
    const [offset, bits] = part === undefined ? [L.SEG_SELECTOR, 32 as const] : PARTS[part]!;
    return read(guest, [at + offset, bits]);
  }
  return memoryOf(guest, name, count);
}

function read(guest: SystemGuest, [offset, bits]: readonly [number, 32 | 64]): string {
  return (bits === 64 ? guest.get(offset) : guest.get32(offset)).toString(16);
}

function memoryOf(guest: SystemGuest, name: string, count: number): string {
  const { view } = guest.memory;
  const access = TYPE.exec(name);
  if (access) return view.getUint8(GDT + parseInt(access[1]!, 16) + 5).toString(16);
  const memory = MEMORY.exec(name);
  if (memory) {
    const at = parseInt(memory[2]!, 16);
    if (memory[1] === 'q') return view.getBigUint64(at, true).toString(16);
    return (memory[1] === 'b' ? view.getUint8(at) : memory[1] === 'w' ? view.getUint16(at, true) : view.getUint32(at, true)).toString(16);
  }
  const stack = STACK.exec(name);
  if (!stack) throw new Error(`no value is called ${name}`);
  return stackOf(guest, Number(stack[1]) / 8, count);
}

/** `count` elements from the top of the current stack. */
function stackOf(guest: SystemGuest, size: number, count: number): string {
  const mask = guest.get(L.STACK_MASK);
  const base = guest.get32(L.CODE_MODE) === 2 ? 0n : guest.get(L.SEG + L.SS * L.SEG_SIZE + L.SEG_BASE);
  return Array.from({ length: count }, (_, i) => {
    const at = Number(base + ((guest.get(L.RSP) + BigInt(i * size)) & mask));
    const { view } = guest.memory;
    return (size === 2 ? view.getUint16(at, true) : size === 4 ? view.getUint32(at, true) : view.getBigUint64(at, true)).toString(16);
  }).join(',');
}

/** The outcome, in the terms in which `expected` describes it. */
export function outcome(guest: SystemGuest, expected: string): string {
  return expected.split(' ').map((word) => {
    const equals = word.indexOf('=');
    if (equals < 0) return guest.event();
    const name = word.slice(0, equals);
    return `${name}=${valueOf(guest, name, word.split(',').length)}`;
  }).join(' ');
}

/** A row of a table: what it shows, the state before, the instruction's bytes, and the outcome. */
export type Row = readonly [what: string, setup: Setup, code: string, expected: string];

/** Runs a row's instruction; what came out, in the terms of the row. */
export function runRow(guest: SystemGuest, [, setup, code, expected]: Row): string {
  guest.reset(setup);
  guest.run(code);
  return outcome(guest, expected);
}
