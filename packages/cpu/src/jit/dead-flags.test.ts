import { expect, test } from 'vitest';
import { codeView, decode } from '../decode/decoder.ts';
import { Instruction } from '../decode/instruction.ts';
import type { Handler } from '../interpreter/handlers.ts';
import { deadFlags } from './dead-flags.ts';
import type { RegionInstruction } from './region.ts';

const handler = { semantics: (): void => {} } as unknown as Handler;

function instructions(...codes: readonly (readonly number[])[]): RegionInstruction[] {
  return codes.map((code) => {
    const ins = new Instruction();
    expect(decode(codeView(Uint8Array.from(code)), 0, code.length, 64, ins)).toBe(code.length);
    return { ins, offset: 0, handler };
  });
}

const ROL = [0xc1, 0xc0, 5];
const ADD = [0x01, 0xd8];
const LOAD = [0x8b, 0x03];
const JZ = [0x74, 0];

test.each([
  ['overwritten at once', [ROL, ADD], [true, false]],
  ['overwritten after a move', [ROL, [0x89, 0xc8], ADD, JZ], [true, true, false, false]],
  ['a load may leave in between', [ROL, LOAD, ADD], [false, true, false]],
  ['a branch reads', [ADD, JZ], [false, false]],
  ['a shift by CL may leave them', [ADD, [0xd3, 0xe0], ADD], [false, true, false]],
  ['a shift by zero leaves them', [ADD, [0xc1, 0xe0, 32], ADD], [false, true, false]],
  ['a shift sets them all', [ADD, [0xc1, 0xe0, 3]], [true, false]],
  ['ADC reads', [ADD, [0x11, 0xd8]], [false, false]],
])('%s', (_name, codes, expected) => {
  expect(deadFlags(instructions(...codes))).toEqual(expected);
});
