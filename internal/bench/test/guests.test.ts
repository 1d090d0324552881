import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';

const FOLDERS = ['internal/bench/guests', 'apps/vm/guests'].map((folder) => resolve(import.meta.dirname, '../../..', folder));
const sources = FOLDERS.flatMap((folder) => readdirSync(folder).filter((name) => name.endsWith('.asm')).map((name) => ({ folder, name: name.slice(0, -4) })));

function hasNasm(): boolean {
  try {
    execFileSync('nasm', ['-v'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

test.each(sources)('$name.elf is there', ({ folder, name }) => {
  expect(readFileSync(join(folder, `${name}.elf`)).subarray(0, 4)).toEqual(Buffer.from('\x7fELF'));
});

// The bytes are committed so that nobody needs the assembler; who has it checks that they are the source's.
test.skipIf(!hasNasm()).each(sources)('$name.elf is what nasm makes of $name.asm', ({ folder, name }) => {
  const scratch = mkdtempSync(join(tmpdir(), 'guests-'));
  try {
    execFileSync('nasm', ['-f', 'bin', '-o', join(scratch, 'image'), `${name}.asm`], { cwd: folder });
    expect(readFileSync(join(folder, `${name}.elf`)).equals(readFileSync(join(scratch, 'image')))).toBe(true);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
});
