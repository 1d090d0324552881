import { expect, test } from 'vitest';
import { codeView, decode } from '../decode/decoder.ts';
import { Instruction } from '../decode/instruction.ts';
import type { Handler } from '../interpreter/handlers.ts';
import { flagEffect, flagsRead } from './flag-flow.ts';
import type { Block, Edge, RegionInstruction, Terminator } from './region.ts';
import { shapeOf } from './structure.ts';

const compiled = { semantics: (): void => {} } as unknown as Handler;
const microcode = { semantics: null } as unknown as Handler;

function instruction(code: readonly number[], handler = compiled): RegionInstruction {
  const ins = new Instruction();
  expect(decode(codeView(Uint8Array.from(code)), 0, code.length, 64, ins)).toBe(code.length);
  return { ins, offset: 0, handler };
}

const ADD_MEMORY = [0x01, 0x03];
const LOAD = [0x8b, 0x03];
const INC = [0xff, 0xc0];
const ADC = [0x11, 0xd8];
const ADDSD = [0xf2, 0x0f, 0x58, 0xc1];
const UCOMISD = [0x66, 0x0f, 0x2e, 0xc1];

test.each([
  ['ADD to memory', ADD_MEMORY, false, 'sets'], ['a load', LOAD, false, 'keeps'], ['ADC', ADC, false, 'reads'],
  ['INC keeps CF', INC, false, 'reads'], ['INC whose flags are dead', INC, true, 'keeps'],
  ['a shift by CL', [0xd3, 0xe0], false, 'reads'], ['ADDSD', ADDSD, false, 'keeps'], ['UCOMISD', UCOMISD, false, 'sets'],
  ['SETZ', [0x0f, 0x94, 0xc0], false, 'reads'], ['CMC', [0xf5], false, 'reads'],
])('%s', (_name, code, dead, expected) => {
  expect(flagEffect(instruction(code), dead)).toBe(expected);
});

test('microcode may look at all flags', () => {
  expect(flagEffect(instruction(ADD_MEMORY, microcode), false)).toBe('reads');
});

function graph(codes: readonly (readonly number[])[], ends: (edge: (to: number) => Edge) => readonly Terminator[]): readonly boolean[] {
  const blocks: Block[] = codes.map((code, id) => ({ id, offset: id, instructions: [instruction(code)], terminator: { kind: 'system' } }));
  const edge = (to: number): Edge => ({ offset: to, block: blocks[to] ?? null });
  ends(edge).forEach((end, i) => (blocks[i]!.terminator = end));
  return flagsRead(shapeOf(blocks[0]!, blocks.length));
}

test('what a block keeps is read by those behind it, not where the region is left', () => {
  expect(graph([LOAD, ADC], (edge) => [{ kind: 'branch', taken: edge(-1), next: edge(1) }, { kind: 'jump', target: edge(-1) }])).toEqual([true, true]);
  expect(graph([LOAD, ADD_MEMORY], (edge) => [{ kind: 'branch', taken: edge(-1), next: edge(1) }, { kind: 'jump', target: edge(-1) }])).toEqual([false, false]);
  expect(graph([LOAD], (edge) => [{ kind: 'branch', taken: edge(0), next: edge(-1) }])).toEqual([false]);
  expect(graph([LOAD], () => [{ kind: 'indirect', targets: [], after: null }])).toEqual([true]);
});
