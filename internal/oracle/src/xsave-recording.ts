/**
 * What a processor did with the XSAVE family, kept small: a case is made again from its number, and of its result only what is
 * not in the case takes room, because the case is the dictionary that it is compressed with.
 *
 * The file: u32 check value and u16 length of each case in the order of the numbers, then the compressed bytes (DEFLATE): i32 vector, u32
 * components in use, area, state.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { AREA_SIZE, makeXsaveCase, STATE_SIZE, type XsaveCase, type XsaveResult } from './xsave.ts';

const HEAD = 6;

export type RunXsave = (cases: readonly XsaveCase[]) => XsaveResult[];

export interface RecordedXsave {
  readonly number: number;
  readonly test: XsaveCase;
  /** Null where the case is made otherwise now. */
  readonly result: XsaveResult | null;
}

function dictionaryOf({ state, area }: XsaveCase): Uint8Array {
  return Buffer.concat([area, state]);
}

function checkValue({ operation, mask, offset, state, area }: XsaveCase): number {
  let hash = 0x811c9dc5;
  for (const part of [[operation, mask, offset], state, area]) for (const byte of part) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/** Runs cases 0 to `count` - 1, and writes what comes of them. */
export function recordXsave(count: number, native: RunXsave): Uint8Array {
  const cases = Array.from({ length: count }, (_, number) => makeXsaveCase(number));
  return Buffer.concat(native(cases).flatMap(({ vector, inUse, area, state }, number) => {
    const test = cases[number]!;
    const result = Buffer.concat([Buffer.from(Int32Array.of(vector, inUse).buffer), area, state]);
    const bytes = deflateRawSync(result, { dictionary: dictionaryOf(test), level: 9 });
    const head = Buffer.alloc(HEAD);
    head.writeUInt32LE(checkValue(test), 0);
    head.writeUInt16LE(bytes.length, 4);
    return [head, bytes];
  }));
}

/** The recorded cases in order. */
export function* recordedXsave(file: Buffer): Generator<RecordedXsave> {
  for (let [at, number] = [0, 0]; at < file.length; number++) {
    const test = makeXsaveCase(number);
    const [check, length] = [file.readUInt32LE(at), file.readUInt16LE(at + 4)];
    at += HEAD;
    yield { number, test, result: check === checkValue(test) ? resultOf(file.subarray(at, at + length), test) : null };
    at += length;
  }
}

function resultOf(bytes: Buffer, test: XsaveCase): XsaveResult {
  const result = inflateRawSync(bytes, { dictionary: dictionaryOf(test) });
  return { vector: result.readInt32LE(0), inUse: result.readUInt32LE(4), area: result.subarray(8, 8 + AREA_SIZE), state: result.subarray(8 + AREA_SIZE, 8 + AREA_SIZE + STATE_SIZE) };
}
