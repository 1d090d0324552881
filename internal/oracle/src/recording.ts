/**
 * What a processor did in cases, kept small: a case is made again from its form and number, so that only its result is
 * kept, as the bytes in which it differs from the state before, and a check value of the case itself.
 *
 * The file is compressed (Brotli): first a JSON line with the subjects and their counts, then for each case: u32 check
 * value, i8 vector, u32 error code, u64 CR2 (page faults only), u16 number of state bytes (u16 offset, u8 value each), u16
 * number of memory words (u32 address, u64).
 */
import { brotliCompressSync, brotliDecompressSync, constants } from 'node:zlib';
import { makeCase } from './generate/make-case.ts';
import { MODES, reachable, reachableModes } from './reachable.ts';
import { caseBytes, type CaseResult, type Difference, type RunNative, type TestCase } from './records.ts';
import type { Subject } from './run.ts';
import { FX, STATE_SIZE, State, XMM } from './state.ts';

const PAGE_FAULT = 14;
/** Words of the FXSAVE image that are not compared: FOP, FIP, FDP, and what lies behind the registers. */
const IGNORED: readonly (readonly [number, number])[] = [[FX + 6, FX + 24], [XMM + 256, FX + 512]];

export interface Recorded {
  readonly subject: string;
  readonly number: number;
  readonly check: number;
  readonly result: (test: TestCase) => CaseResult;
}

function checkValue(test: TestCase): number {
  let hash = 0x811c9dc5;
  for (const byte of caseBytes(test)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

class Output {
  readonly #parts: Buffer[] = [];

  u8(value: number): void { this.#parts.push(Buffer.of(value & 0xff)); }

  u16(value: number): void {
    this.#parts.push(Buffer.of(value & 0xff, (value >> 8) & 0xff));
  }

  u32(value: number): void {
    this.#parts.push(Buffer.from(Uint32Array.of(value).buffer));
  }

  u64(value: bigint): void {
    this.#parts.push(Buffer.from(BigUint64Array.of(value).buffer));
  }

  bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

function writeResult(out: Output, test: TestCase, result: CaseResult): void {
  out.u32(checkValue(test));
  out.u8(result.vector);
  out.u32(result.error);
  if (result.vector === PAGE_FAULT) out.u64(result.cr2);
  const changed: number[] = [];
  for (let at = 0; at < STATE_SIZE; at++) {
    const ignored = IGNORED.some(([from, to]) => at >= from && at < to);
    if (!ignored && result.state.bytes[at] !== test.state.bytes[at]) changed.push(at);
  }
  out.u16(changed.length);
  for (const at of changed) {
    out.u16(at);
    out.u8(result.state.bytes[at]!);
  }
  out.u16(result.differences.length);
  for (const { address, low, high } of result.differences) {
    out.u32(address);
    out.u32(low);
    out.u32(high);
  }
}

/** Runs `count` cases of each subject, and writes what comes of them. Throws where a mode or a case's state can't be had. */
export function record(list: readonly Subject[], count: number, native: RunNative): Uint8Array {
  const modes = reachableModes(native);
  const missing = MODES.filter((mode) => !modes.includes(mode));
  if (missing.length > 0) throw new Error(`the system has no ${missing.join('- and ')}-bit code: record on one that has`);
  const index: Record<string, number[]> = {};
  const tests: { test: TestCase; name: string }[] = [];
  for (const { name, form, mode } of list) {
    const numbers: number[] = [];
    for (let number = 0; number < count; number++) {
      const test = makeCase(form, mode, number);
      if (!test) continue;
      tests.push({ test, name });
      numbers.push(number);
    }
    index[name] = numbers;
  }
  const there = reachable(tests.map(({ test }) => test), native);
  const absent = there.indexOf(false);
  if (absent >= 0) throw new Error(`the system does not give a program the state of a case of ${tests[absent]!.name}: record on one that does`);
  const out = new Output();
  for (const [i, result] of native(tests.map(({ test }) => test)).entries()) {
    if (typeof result === 'string') throw new Error(`the harness does not survive a case of ${tests[i]!.name}: ${result}`);
    writeResult(out, tests[i]!.test, result);
  }
  const head = Buffer.from(`${JSON.stringify(index)}\n`);
  return brotliCompressSync(Buffer.concat([head, out.bytes()]), { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 24 } });
}

/** The recorded cases in order. */
export function* recorded(file: Uint8Array): Generator<Recorded> {
  const bytes = brotliDecompressSync(file);
  const end = bytes.indexOf(10);
  const index = JSON.parse(bytes.toString('utf8', 0, end)) as Record<string, number[]>;
  let at = end + 1;
  for (const [subject, numbers] of Object.entries(index)) {
    for (const number of numbers) {
      const from = at;
      const check = bytes.readUInt32LE(at);
      const vector = bytes.readInt8(at + 4);
      at += vector === PAGE_FAULT ? 17 : 9;
      const states = at;
      at += 2 + bytes.readUInt16LE(at) * 3;
      const words = at;
      at += 2 + bytes.readUInt16LE(at) * 12;
      yield { subject, number, check, result: (test) => readResult(bytes, from, states, words, test) };
    }
  }
}

function readResult(bytes: Buffer, at: number, states: number, words: number, test: TestCase): CaseResult {
  const vector = bytes.readInt8(at + 4);
  const state: State = test.state.copy();
  for (let i = 0; i < bytes.readUInt16LE(states); i++) state.bytes[bytes.readUInt16LE(states + 2 + i * 3)] = bytes[states + 4 + i * 3]!;
  const differences: Difference[] = [];
  for (let i = 0; i < bytes.readUInt16LE(words); i++) {
    const word = words + 2 + i * 12;
    differences.push({ address: bytes.readUInt32LE(word), low: bytes.readInt32LE(word + 4), high: bytes.readInt32LE(word + 8) });
  }
  return { vector, error: bytes.readUInt32LE(at + 5), cr2: vector === PAGE_FAULT ? bytes.readBigUInt64LE(at + 9) : 0n, state, differences };
}

/** Whether the case is the one that was recorded: generators and encodings may have changed since. */
export function isRecorded(entry: Recorded, test: TestCase): boolean {
  return checkValue(test) === entry.check;
}
