/** The processor that we run on: the harness, compiled when it is asked for, runs batches of cases in a process of its own. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LDT, pristine, REGIONS } from '../address-space.ts';
import { caseBytes, readResults, type CaseResult, type TestCase } from '../records.ts';

const COMPILERS = ['cc', 'gcc', 'clang'];
const OPTIONS = ['-O2', '-ffreestanding', '-fno-stack-protector', '-fno-pic', '-no-pie', '-static', '-nostdlib'];
/** A batch that takes longer hangs in a case. */
const TIMEOUT = 30_000;

export class NativeCpu {
  readonly #directory: string;
  readonly #program: string;
  readonly #setup: Uint8Array = setupRecord();
  /** Cases at which the harness ended, with the reason. */
  readonly lost: { case: TestCase; reason: string }[] = [];

  private constructor(directory: string, program: string) {
    this.#directory = directory;
    this.#program = program;
  }

  /** Null where it cannot be had: no compiler, or no x86-64 Linux. */
  static open(): NativeCpu | null {
    if (process.arch !== 'x64' || process.platform !== 'linux') return null;
    const directory = mkdtempSync(join(tmpdir(), 'vm-oracle-'));
    const program = join(directory, 'harness');
    const source = fileURLToPath(new URL('harness.c', import.meta.url));
    for (const compiler of COMPILERS) {
      try {
        execFileSync(compiler, [...OPTIONS, '-o', program, source], { stdio: 'ignore' });
        const cpu = new NativeCpu(directory, program);
        if (cpu.#usable()) return cpu;
      } catch {
        // The next one.
      }
    }
    rmSync(directory, { recursive: true });
    return null;
  }

  close(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #usable(): boolean {
    return spawnSync(this.#program, { input: this.#setup, timeout: TIMEOUT }).status === 0;
  }

  /** The result of each case, or null for a case that took the harness with it. */
  run(cases: readonly TestCase[]): (CaseResult | null)[] {
    const results: (CaseResult | null)[] = [];
    while (results.length < cases.length) {
      const rest = cases.slice(results.length);
      const input = Buffer.concat([this.#setup, ...rest.map(caseBytes)]);
      const child = spawnSync(this.#program, { input, maxBuffer: 2 ** 31 - 1, timeout: TIMEOUT, killSignal: 'SIGKILL' });
      const got = readResults(child.stdout);
      results.push(...got);
      if (got.length === rest.length) break;
      this.lost.push({ case: rest[got.length]!, reason: child.signal ?? `exit ${child.status}` });
      results.push(null);
    }
    return results;
  }
}

/** Regions with their contents, then descriptors as modify_ldt takes them (struct user_desc). */
function setupRecord(): Uint8Array {
  const parts: Uint8Array[] = [new Uint8Array(Uint32Array.of(REGIONS.length, LDT.length).buffer)];
  for (const region of REGIONS) {
    const flags = (region.writable ? 1 : 0) | (region.executable ? 2 : 0) | (region.writable ? 4 : 0);
    parts.push(new Uint8Array(Uint32Array.of(region.address, region.length, flags).buffer), pristine(region));
  }
  LDT.forEach((d, i) => {
    const bits = (d.wide ? 1 : 0) | (d.contents << 1) | (d.readExecuteOnly ? 8 : 0) | (d.pages ? 16 : 0) | (d.notPresent ? 32 : 0) | 64;
    parts.push(new Uint8Array(Uint32Array.of(i + 1, d.base, d.limit, bits).buffer));
  });
  return Buffer.concat(parts);
}
