/**
 * The processor that the tests run on, as the reference for instructions: a small C program, compiled where gcc and an
 * x86-64 Linux are at hand, executes single instructions on given state.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** An instruction and the state that it starts from. RDI points at `memory`, RCX is zero. */
export interface NativeCase {
  readonly code: readonly number[];
  /** FXSAVE image, in the 64-bit format. */
  readonly fx: Uint8Array;
  /** 128 bytes. */
  readonly memory: Uint8Array;
  readonly rax: bigint;
  readonly rdx: bigint;
  readonly rflags: bigint;
}

export interface NativeResult {
  readonly fx: Uint8Array;
  readonly memory: Uint8Array;
  readonly rax: bigint;
  readonly rcx: bigint;
  readonly rflags: bigint;
}

const INPUT = 680;
const OUTPUT = 664;

export class NativeProcessor {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /** Null where it cannot be had: no gcc, or another processor architecture. */
  static open(): NativeProcessor | null {
    if (process.arch !== 'x64' || process.platform !== 'linux') return null;
    const directory = mkdtempSync(join(tmpdir(), 'vm-native-'));
    const source = fileURLToPath(new URL('native.c', import.meta.url));
    try {
      execFileSync('gcc', ['-O1', '-o', join(directory, 'native'), source], { stdio: 'ignore' });
      return new NativeProcessor(directory);
    } catch {
      rmSync(directory, { recursive: true });
      return null;
    }
  }

  close(): void {
    rmSync(this.#directory, { recursive: true });
  }

  run(cases: readonly NativeCase[]): NativeResult[] {
    const input = new Uint8Array(cases.length * INPUT);
    const view = new DataView(input.buffer);
    for (const [i, c] of cases.entries()) {
      const at = i * INPUT;
      input.set(c.fx, at);
      input.set(c.memory, at + 512);
      view.setBigUint64(at + 640, c.rax, true);
      view.setBigUint64(at + 648, c.rdx, true);
      view.setBigUint64(at + 656, c.rflags, true);
      input.fill(0x90, at + 664, at + 680);
      input.set(c.code, at + 664);
    }
    const child = spawnSync(join(this.#directory, 'native'), { input, maxBuffer: 2 ** 31 - 1 });
    if (child.status !== 0 || child.stdout.length !== cases.length * OUTPUT) {
      const done = Math.floor(child.stdout.length / OUTPUT);
      const code = cases[done]?.code.map((b) => b.toString(16)).join(' ');
      throw new Error(`the reference stopped (${child.signal ?? child.status}) at ${code}`);
    }
    const bytes = new Uint8Array(child.stdout);
    const out = new DataView(bytes.buffer);
    return cases.map((_, i) => {
      const at = i * OUTPUT;
      return {
        fx: bytes.subarray(at, at + 512),
        memory: bytes.subarray(at + 512, at + 640),
        rax: out.getBigUint64(at + 640, true),
        rcx: out.getBigUint64(at + 648, true),
        rflags: out.getBigUint64(at + 656, true),
      };
    });
  }
}
