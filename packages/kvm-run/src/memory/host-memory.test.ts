import { expect, test } from 'vitest';
import { HostMemory, OutOfHostMemory, PAGE_HAS_CODE, PAGE_SIZE } from './host-memory.ts';

test('pages are page-aligned, zeroed, distinct, and come back after free', () => {
  const memory = HostMemory.create(4 << 20);
  const free = memory.freePages;
  const a = memory.allocPages(3);
  const b = memory.allocPages(1, 16);
  expect(a % PAGE_SIZE).toBe(0);
  expect(b % (16 * PAGE_SIZE)).toBe(0);
  expect(b < a || b >= a + 3 * PAGE_SIZE).toBe(true);
  expect(memory.freePages).toBe(free - 4);
  memory.u8[a] = 9;
  memory.free(a, 3);
  memory.free(b, 1);
  expect(memory.freePages).toBe(free);
  expect(memory.u8[a]).toBe(0);
  expect(() => memory.free(a, 1)).toThrow(RangeError);
});

test('address zero is never handed out, and exhaustion is an error of its own', () => {
  const memory = HostMemory.create(1 << 20);
  while (memory.freePages > 0) expect(memory.allocPages(1)).toBeGreaterThan(0);
  expect(() => memory.allocPages(1)).toThrow(OutOfHostMemory);
});

test('nonsense is refused', () => {
  expect(() => HostMemory.create(0)).toThrow(RangeError);
  expect(() => HostMemory.create(2 ** 33)).toThrow(RangeError);
  const memory = HostMemory.create(1 << 20);
  expect(() => memory.allocPages(0)).toThrow(RangeError);
  expect(() => HostMemory.attach(new WebAssembly.Memory({ initial: 16, maximum: 16, shared: true }))).toThrow(RangeError);
});

test('an attached view shares allocator and bytes', () => {
  const memory = HostMemory.create(1 << 20);
  const other = HostMemory.attach(memory.memory);
  const page = other.allocPages(1);
  other.u32[page >> 2] = 42;
  expect(memory.u32[page >> 2]).toBe(42);
  expect(memory.allocPages(1)).not.toBe(page);
});

test('outside writes to pages with code are told to processors, others are not', () => {
  const memory = HostMemory.create(1 << 20);
  const page = memory.allocPages(2);
  const told: [number, number][] = [];
  const stop = memory.onCodeWrite((address, length) => told.push([address, length]));
  memory.write(page, Uint8Array.of(1, 2));
  memory.u8[memory.pageFlags + page / PAGE_SIZE + 1] = PAGE_HAS_CODE;
  memory.write(page + PAGE_SIZE - 1, Uint8Array.of(1, 2));
  memory.fill(page + PAGE_SIZE, 4, 0xcc);
  stop();
  memory.fill(page + PAGE_SIZE, 4, 0);
  expect(told).toEqual([
    [page + PAGE_SIZE - 1, 2],
    [page + PAGE_SIZE, 4],
  ]);
});
