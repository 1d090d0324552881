/** XSAVE and its kin on the processor that we run on (xsave.c). */
import { spawnSync } from 'node:child_process';
import { AREA_SIZE, STATE_SIZE, type XsaveCase, type XsaveResult } from '../xsave.ts';
import { compileProgram, type CompiledProgram } from './compile.ts';

const HEADER = 16;
const INPUT = HEADER + STATE_SIZE + AREA_SIZE;
const OUTPUT = 8 + AREA_SIZE + STATE_SIZE;
const TIMEOUT = 30_000;

export class NativeXsave {
  readonly #program: CompiledProgram;

  private constructor(program: CompiledProgram) {
    this.#program = program;
  }

  /** Null where it cannot be had: no compiler, no x86-64 Linux, or a processor without XSAVEC, XGETBV(1) or AVX. */
  static open(): NativeXsave | null {
    const program = compileProgram('xsave.c', ['-O1'], (path) => runs(path));
    return program && new NativeXsave(program);
  }

  close(): void {
    this.#program.close();
  }

  run(cases: readonly XsaveCase[]): XsaveResult[] {
    const input = new Uint8Array(cases.length * INPUT);
    cases.forEach((c, i) => {
      input.set(new Uint8Array(Uint32Array.of(c.operation, c.mask, c.offset, 0).buffer), i * INPUT);
      input.set(c.state, i * INPUT + HEADER);
      input.set(c.area, i * INPUT + HEADER + STATE_SIZE);
    });
    const child = spawnSync(this.#program.path, { input, maxBuffer: 2 ** 31 - 1, timeout: TIMEOUT, killSignal: 'SIGKILL' });
    const { stdout } = child;
    if (stdout.length !== cases.length * OUTPUT)
      throw new Error(`the program stopped (${child.signal ?? child.status}) at case ${Math.floor(stdout.length / OUTPUT)}`);
    return cases.map((_, i) => {
      const bytes = new Uint8Array(stdout.subarray(i * OUTPUT, (i + 1) * OUTPUT));
      const view = new DataView(bytes.buffer);
      return { vector: view.getInt32(0, true), inUse: view.getUint32(4, true), area: bytes.subarray(8, 8 + AREA_SIZE), state: bytes.subarray(8 + AREA_SIZE) };
    });
  }
}

/** One case of each instruction: none may be #UD, which ends the program or gives vector 6. */
function runs(path: string): boolean {
  const input = new Uint8Array(INPUT * 8);
  for (let i = 0; i < 8; i++) {
    input[i * INPUT] = i;
    // FCW and MXCSR of the state and of the area.
    for (const at of [HEADER, HEADER + STATE_SIZE]) {
      input.set([0x7f, 3], i * INPUT + at);
      input.set([0x80, 0x1f], i * INPUT + at + 24);
    }
  }
  const { status, stdout } = spawnSync(path, { input, timeout: TIMEOUT });
  if (status !== 0 || stdout.length !== OUTPUT * 8) return false;
  return Array.from({ length: 8 }, (_, i) => stdout.readInt32LE(i * OUTPUT)).every((vector) => vector < 0);
}
