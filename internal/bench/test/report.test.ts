import { describe, expect, test } from 'vitest';
import { figure, formatTable, median } from '../src/report.ts';

describe('median', () => {
  test.each([[[3, 1, 2], 2], [[4, 1, 2, 3], 2.5], [[7], 7]])('%j is %d', (values, expected) => expect(median(values)).toBe(expected));
  test('of nothing is no number', () => expect(median([])).toBeNaN());
});

test.each([[1234.5, '1235'], [12.345, '12.3'], [1.2345, '1.23'], [0.012345, '0.0123'], [0, '0'], [Number.NaN, '-']])('figure(%d)', (value, expected) =>
  expect(figure(value)).toBe(expected));

test('columns line up', () => {
  expect(formatTable([{ name: 'a', value: 1, unit: 's' }, { name: 'long', value: 100, unit: 'MIPS', note: 'x' }])).toBe('a     1.00 s\nlong   100 MIPS  x');
});
