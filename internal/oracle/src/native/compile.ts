/** Programs of this folder, compiled by the system's compiler when they are asked for. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const COMPILERS = ['cc', 'gcc', 'clang'];

export interface CompiledProgram {
  readonly path: string;
  /** Removes it. */
  close(): void;
}

/** Null where it cannot be had: no compiler, no x86-64 Linux, or `usable` says no to what each compiler made. */
export function compileProgram(source: string, options: readonly string[], usable: (path: string) => boolean): CompiledProgram | null {
  if (process.arch !== 'x64' || process.platform !== 'linux') return null;
  const directory = mkdtempSync(join(tmpdir(), 'vm-oracle-'));
  const path = join(directory, 'program');
  const close = (): void => rmSync(directory, { recursive: true, force: true });
  for (const compiler of COMPILERS) {
    try {
      execFileSync(compiler, [...options, '-o', path, fileURLToPath(new URL(source, import.meta.url))], { stdio: 'ignore' });
      if (usable(path)) return { path, close };
    } catch {
      // The next one.
    }
  }
  close();
  return null;
}
