/**
 * The short way of decode against the general path: every opcode with every ModRM byte in every mode, with REX prefixes of
 * all kinds, and random bytes. Whatever decode does itself has the same parts as what decodeGeneral finds.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeGeneral } from './general.ts';
import { codeView, decode, Instruction, OP_NONE } from './index.ts';

type Mode = 16 | 32 | 64;

const MODES: readonly Mode[] = [16, 32, 64];
const EVERY_BYTE: readonly number[] = Array.from({ length: 256 }, (_, i) => i);
const TAIL: readonly number[] = [0x92, 0x34, 0xd6, 0x78, 0x9a, 0xbc, 0xde, 0xf1, 0x11, 0xa2, 0x33, 0x44, 0x55, 0x66, 0x77];

const fast = new Instruction();
const general = new Instruction();

function parts(ins: Instruction): readonly number[] {
  const all = [
    ins.form, ins.length, ins.mode, ins.prefixes, ins.segmentOverride, ins.vectorLength, ins.operandSize, ins.addressSize,
    ins.immLo, ins.immHi,
  ];
  for (const { kind, size, regClass, reg } of ins.operands) if (kind !== OP_NONE) all.push(kind, size, regClass, reg);
  if (ins.memory === null) return all;
  all.push(ins.memBase, ins.memIndex, ins.memScale, ins.memIndexSize, ins.memSegment, ins.dispLo, ins.dispHi);
  return all;
}

/** What differs between the two, in words. */
function differences(bytes: readonly number[], mode: Mode): string[] {
  const code = codeView(Uint8Array.from(bytes));
  const length = decode(code, 0, code.byteLength, mode, fast);
  if (length !== decodeGeneral(code, 0, code.byteLength, mode, general)) return [`${mode}: ${bytes.join()}: length ${length}`];
  if (length <= 0) return [];
  const mine = parts(fast);
  const other = parts(general);
  const same = mine.length === other.length && mine.every((value, i) => value === other[i]);
  return same ? [] : [`${mode}: ${bytes.join()}: ${mine.join()} | ${other.join()}`];
}

test.each(MODES)('every opcode and ModRM byte in %i-bit mode', { timeout: 120_000 }, (mode) => {
  const unequal: string[] = [];
  for (const prefix of mode === 64 ? [[], [0x40], [0x41], [0x42], [0x4c], [0x4f]] : [[]]) {
    for (const map of [[], [0x0f]]) {
      for (const opcode of EVERY_BYTE) {
        for (const modrm of EVERY_BYTE) {
          const sib = (modrm * 37 + opcode * 11) & 0xff;
          unequal.push(...differences([...prefix, ...map, opcode, modrm, sib, ...TAIL], mode));
        }
      }
    }
  }
  expect(unequal.slice(0, 5)).toEqual([]);
});

test('random bytes', () => {
  const bytes = fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 16, maxLength: 48 });
  fc.assert(
    fc.property(bytes, fc.constantFrom(...MODES), (code, mode) => {
      expect(differences(code, mode)).toEqual([]);
    }),
    { numRuns: 20_000 },
  );
});

test('what is read belongs to the instruction decoded last', () => {
  const code = codeView(Uint8Array.from([0x8b, 0x44, 0x8b, 0x10, 0xc3, ...TAIL]));
  const ins = new Instruction();
  expect(decode(code, 0, code.byteLength, 64, ins)).toBe(4);
  expect([ins.memBase, ins.memIndex, ins.dispLo, ins.operands[0].reg]).toEqual([3, 1, 0x10, 0]);
  expect(decode(code, 4, code.byteLength, 64, ins)).toBe(1);
  expect([ins.memory, ins.operandCount, ins.memBase, ins.operands[0].kind]).toEqual([null, 0, -1, 0]);
});
