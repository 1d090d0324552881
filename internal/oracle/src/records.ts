/** Cases and results as the native harness reads and writes them (native/harness.c: struct head, struct result). */
import { RIP, STATE_SIZE, State } from './state.ts';

/** Stop after one instruction by a trap instead of by the breakpoint behind it: for whatever branches. */
export const CASE_STEP = 1;
/** Write FS and GS bases: 64-bit code. */
export const CASE_BASES = 2;

const HEAD = 32 + STATE_SIZE;
const RESULT = 24 + STATE_SIZE;
const NO_VECTOR = 0xffff_ffff;

/** Bytes of memory that a case starts with. */
export interface Patch {
  readonly address: number;
  readonly bytes: Uint8Array;
}

export interface TestCase {
  /** Number of the form, or -1. */
  readonly form: number;
  readonly mode: 16 | 32 | 64;
  readonly code: Uint8Array;
  /** Linear address of the first byte. */
  readonly codeAddress: number;
  readonly flags: number;
  readonly state: State;
  readonly patches: readonly Patch[];
}

/** Eight bytes of memory that an instruction changed. */
export interface Difference {
  readonly address: number;
  readonly low: number;
  readonly high: number;
}

export interface CaseResult {
  /** Exception vector, or -1 if the instruction completed. */
  readonly vector: number;
  readonly error: number;
  readonly cr2: bigint;
  readonly state: State;
  readonly differences: readonly Difference[];
}

/** The result of each case; how the harness ended, for a case that took it along. */
export type RunNative = (cases: readonly TestCase[]) => (CaseResult | string)[];

export function caseBytes(c: TestCase): Uint8Array {
  const patches: readonly Patch[] = [{ address: c.codeAddress, bytes: c.code }, ...c.patches];
  let length = HEAD;
  for (const { bytes } of patches) length += 8 + ((bytes.length + 3) & ~3);
  const out = new Uint8Array(length);
  const view = new DataView(out.buffer);
  [length, c.flags, c.codeAddress, c.code.length, patches.length, c.state.u32[RIP / 4]! + c.code.length + 1].forEach((value, i) => view.setUint32(i * 4, value, true));
  out.set(c.state.bytes, 32);
  let at = HEAD;
  for (const { address, bytes } of patches) {
    view.setUint32(at, address, true);
    view.setUint32(at + 4, bytes.length, true);
    out.set(bytes, at + 8);
    at += 8 + ((bytes.length + 3) & ~3);
  }
  return out;
}

/** The whole results in the harness's output. */
export function readResults(output: Uint8Array): CaseResult[] {
  const view = new DataView(output.buffer, output.byteOffset, output.length);
  const results: CaseResult[] = [];
  for (let at = 0; at + RESULT <= output.length;) {
    const length = view.getUint32(at, true);
    if (at + length > output.length) break;
    const vector = view.getUint32(at + 4, true);
    const differences: Difference[] = [];
    for (let d = at + RESULT; d < at + length; d += 12) {
      differences.push({ address: view.getUint32(d, true), low: view.getUint32(d + 4, true), high: view.getUint32(d + 8, true) });
    }
    results.push({
      vector: vector === NO_VECTOR ? -1 : vector,
      error: view.getUint32(at + 8, true),
      cr2: view.getBigUint64(at + 16, true),
      state: new State(output.slice(at + 24, at + RESULT) as Uint8Array<ArrayBuffer>),
      differences,
    });
    at += length;
  }
  return results;
}
