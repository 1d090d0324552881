/** Breakpoints of the processor that the tests run on: a child process under ptrace, compiled where gcc and Linux are at hand. */
import { spawnSync } from 'node:child_process';
import { compileNative, type NativeProgram } from './native-program.ts';

/** INT3 behind the code ends it. Code, data and stack lie from 0x10000 to 0x39fff. */
export interface NativeBreakpointCase {
  readonly codeAt: number;
  readonly code: readonly number[];
  readonly addresses: readonly number[];
  readonly dr7: number;
  readonly rdi: number;
  readonly rsi: number;
  readonly rcx: number;
  readonly rsp: number;
}

export interface NativeBreakpointResult {
  readonly rip: number;
  readonly dr6: number;
  readonly rcx: number;
  readonly rdi: number;
  readonly rflags: number;
}

const INPUT = 120;
const OUTPUT = 48;
const SIGTRAP = 5n;
const INT3 = 0xcc;

export class NativeBreakpoints {
  readonly #program: NativeProgram;

  private constructor(program: NativeProgram) {
    this.#program = program;
  }

  /** Null where it cannot be had: no gcc, no x86-64 Linux, or debug registers that ptrace does not reach. */
  static open(): NativeBreakpoints | null {
    const program = compileNative('native-breakpoint.c');
    if (program === null) return null;
    const native = new NativeBreakpoints(program);
    const one = { codeAt: 0x10000, code: [0x88, 0x07], addresses: [0x30000], dr7: 0x10001, rdi: 0x30000, rsi: 0, rcx: 0, rsp: 0x20000 };
    if (native.#run([one])?.[0]?.rip === 0x10002) return native;
    native.close();
    return null;
  }

  close(): void {
    this.#program.close();
  }

  run(one: NativeBreakpointCase): NativeBreakpointResult {
    const result = this.#run([one])?.[0];
    if (result === undefined) throw new Error('the traced process did not stop where it should');
    return result;
  }

  #run(cases: readonly NativeBreakpointCase[]): NativeBreakpointResult[] | null {
    const input = new Uint8Array(cases.length * INPUT);
    const view = new DataView(input.buffer);
    cases.forEach((c, i) => {
      const words = [c.codeAt, ...[0, 1, 2, 3].map((n) => c.addresses[n] ?? 0), c.dr7, c.rdi, c.rsi, c.rcx, c.rsp, 0x202];
      words.forEach((word, n) => view.setBigUint64(i * INPUT + n * 8, BigInt(word >>> 0), true));
      input.fill(INT3, i * INPUT + 88, (i + 1) * INPUT);
      input.set(c.code, i * INPUT + 88);
    });
    const { status, stdout } = spawnSync(this.#program.path, { input, timeout: 10_000, killSignal: 'SIGKILL' });
    if (status !== 0 || stdout.length !== cases.length * OUTPUT) return null;
    const results = cases.map((_, i) => {
      const [rip, dr6, rcx, rdi, rflags] = [0, 8, 16, 24, 32].map((at) => Number(stdout.readBigUInt64LE(i * OUTPUT + at)));
      return { rip: rip!, dr6: dr6!, rcx: rcx!, rdi: rdi!, rflags: rflags!, signal: stdout.readBigInt64LE(i * OUTPUT + 40) };
    });
    return results.every(({ signal }) => signal === SIGTRAP) ? results : null;
  }
}
