import { describe, expect, test } from 'vitest';
import type { Value } from '../wasm/function-builder.ts';
import { I32, I64, type ValueType } from '../wasm/opcodes.ts';
import { type Sum, Symbols } from './symbols.ts';

const local = (number: number, type: ValueType): Value => ({ type, local: number, lo: 0, hi: 0 });
const constant = (number: number): Sum => ({ unknown: 0, constant: number });

describe('sums', () => {
  test('constants are values of their own', () => {
    const symbols = new Symbols();
    expect(symbols.of({ type: I64, local: -1, lo: -8, hi: -1 })).toEqual(constant(-8));
    expect(symbols.of({ type: I64, local: -1, lo: -8, hi: 0 })).toEqual(constant(0xffff_fff8));
    expect(symbols.of({ type: I64, local: -1, lo: 0, hi: 1 })).toBeNull();
    expect(symbols.of({ type: I32, local: -1, lo: -8, hi: 0 })).toEqual(constant(-8));
  });

  test('the same parts give the same unknown', () => {
    const symbols = new Symbols();
    const [x, y] = [symbols.name(local(1, I64)), symbols.name(local(2, I64))];
    const first = symbols.add(symbols.add(x, symbols.shiftLeft(y, 3, I64)!, I64)!, constant(16), I64)!;
    const second = symbols.add(x, symbols.shiftLeft(symbols.add(y, constant(1), I64)!, 3, I64)!, I64)!;
    expect(second.unknown).toBe(first.unknown);
    expect(second.constant - first.constant).toBe(-8);
    expect(symbols.add(x, y, I64)!.unknown).not.toBe(first.unknown);
  });

  test('a local that was written is another value', () => {
    const symbols = new Symbols();
    const before = symbols.name(local(1, I64));
    symbols.set(1, null);
    expect(symbols.name(local(1, I64)).unknown).not.toBe(before.unknown);
  });

  test('32 bits that wrap are not 64 bits that do not', () => {
    const symbols = new Symbols();
    const x = symbols.name(local(1, I64));
    const low = symbols.wrap(x);
    expect(low.unknown).not.toBe(x.unknown);
    // ecx + 8, zero-extended; and rcx = ecx zero-extended, plus 8.
    const wrapped = symbols.add(low, constant(8), I32)!;
    const carried = symbols.add(low, constant(8), I64)!;
    expect(carried.unknown).not.toBe(wrapped.unknown);
    expect(symbols.wrap(wrapped)).toEqual(wrapped);
  });
});
