import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A compiled C program of this folder. */
export interface NativeProgram {
  readonly path: string;
  close(): void;
}

/** Compiles a C file of this folder; null where there is no gcc, or no x86-64 Linux to run it on. */
export function compileNative(source: string): NativeProgram | null {
  if (process.arch !== 'x64' || process.platform !== 'linux') return null;
  const directory = mkdtempSync(join(tmpdir(), 'vm-native-'));
  const path = join(directory, 'program');
  const close = (): void => rmSync(directory, { recursive: true, force: true });
  try {
    execFileSync('gcc', ['-O1', '-o', path, fileURLToPath(new URL(source, import.meta.url))], { stdio: 'ignore' });
    return { path, close };
  } catch {
    close();
    return null;
  }
}
