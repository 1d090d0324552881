import { describe, expect, test } from 'vitest';
import { writeCpio } from './cpio.ts';

/** Reads an archive as the kernel's unpacker does: header of 110 bytes, name and data each padded to 4 bytes. */
function readCpio(bytes: Uint8Array): { name: string; mode: number; device: number[]; data: string }[] {
  const text = Buffer.from(bytes).toString('latin1');
  const entries = [];
  for (let at = 0; ;) {
    const field = (index: number): number => Number.parseInt(text.slice(at + 6 + index * 8, at + 14 + index * 8), 16);
    expect(text.slice(at, at + 6)).toBe('070701');
    const nameAt = at + 110;
    const name = text.slice(nameAt, nameAt + field(11) - 1);
    const dataAt = (nameAt + field(11) + 3) & ~3;
    if (name === 'TRAILER!!!') return entries;
    entries.push({ name, mode: field(1), device: [field(9), field(10)], data: text.slice(dataAt, dataAt + field(6)) });
    at = (dataAt + field(6) + 3) & ~3;
  }
}

describe('writeCpio', () => {
  test('entries come back as they went in', () => {
    const bytes = writeCpio([
      { path: 'bin', type: 'directory' },
      { path: 'bin/sh', type: 'symlink', data: 'busybox' },
      { path: 'bin/busybox', type: 'file', mode: 0o755, data: Uint8Array.of(1, 2, 3, 4, 5) },
      { path: 'dev/console', type: 'character', device: [5, 1] },
    ]);
    expect(bytes.length % 512).toBe(0);
    expect(readCpio(bytes)).toEqual([
      { name: 'bin', mode: 0o040755, device: [0, 0], data: '' },
      { name: 'bin/sh', mode: 0o120777, device: [0, 0], data: 'busybox' },
      { name: 'bin/busybox', mode: 0o100755, device: [0, 0], data: '\x01\x02\x03\x04\x05' },
      { name: 'dev/console', mode: 0o020600, device: [5, 1], data: '' },
    ]);
  });

  test('an empty archive is its trailer', () => expect(readCpio(writeCpio([]))).toEqual([]));
});
