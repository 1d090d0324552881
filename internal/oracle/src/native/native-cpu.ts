/** The processor that we run on: the harness, compiled when it is asked for, runs batches of cases in a process of its own. */
import { spawnSync } from 'node:child_process';
import { LDT, pristine, REGIONS } from '../address-space.ts';
import { caseBytes, readResults, type CaseResult, type TestCase } from '../records.ts';
import { compileProgram, type CompiledProgram } from './compile.ts';

const OPTIONS = ['-O2', '-ffreestanding', '-fno-stack-protector', '-fno-pic', '-no-pie', '-static', '-nostdlib'];
/** A batch that takes longer hangs in a case. */
const TIMEOUT = 30_000;

export class NativeCpu {
  readonly #program: CompiledProgram;
  readonly #setup: Uint8Array = setupRecord();

  private constructor(program: CompiledProgram) {
    this.#program = program;
  }

  /** Null where it cannot be had: no compiler, or no x86-64 Linux. */
  static open(): NativeCpu | null {
    const input = setupRecord();
    const program = compileProgram('harness.c', OPTIONS, (path) => spawnSync(path, { input, timeout: TIMEOUT }).status === 0);
    return program && new NativeCpu(program);
  }

  close(): void {
    this.#program.close();
  }

  /** The result of each case; how the harness ended, for a case that took it along. */
  run(cases: readonly TestCase[]): (CaseResult | string)[] {
    const results: (CaseResult | string)[] = [];
    while (results.length < cases.length) {
      const rest = cases.slice(results.length);
      const input = Buffer.concat([this.#setup, ...rest.map(caseBytes)]);
      const child = spawnSync(this.#program.path, { input, maxBuffer: 2 ** 31 - 1, timeout: TIMEOUT, killSignal: 'SIGKILL' });
      const got = readResults(child.stdout);
      results.push(...got);
      if (got.length === rest.length) break;
      results.push(child.signal ?? `exit ${child.status}`);
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
