/**
 * The LZ4 legacy frame, which the kernel's build makes (`lz4 -l`): a magic number, then blocks of up to 8 MiB
 * uncompressed, each with its compressed size in front (lz4 doc/lz4_Frame_format.md, "Legacy frame", and
 * lz4_Block_format.md). There is no checksum: what a block says is checked against its bounds instead.
 */

import { CorruptData } from './corrupt-data.ts';

export const LZ4_LEGACY_MAGIC = 0x184c2102;
const MIN_MATCH = 4;
const RUN = 15;

export function decompressLz4Legacy(input: Uint8Array, size: number): Uint8Array {
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  const output = new Uint8Array(size);
  let from = 4;
  let to = 0;
  while (to < size) {
    if (from + 4 > input.length) throw new CorruptData(`LZ4 data end after ${to} of ${size} bytes`);
    const length = view.getUint32(from, true);
    from += 4;
    if (length === LZ4_LEGACY_MAGIC) continue; // frames may follow one another
    if (length === 0 || from + length > input.length) throw new CorruptData(`LZ4 block of ${length} bytes leaves the data`);
    to = block(input, from, from + length, output, to);
    from += length;
  }
  return output;
}

/** Decodes one block; returns the end of what it made. */
function block(input: Uint8Array, start: number, end: number, output: Uint8Array, at: number): number {
  let from = start;
  let to = at;
  while (from < end) {
    const token = input[from++]!;
    let literals = token >> 4;
    if (literals === RUN) {
      let more = 255;
      while (more === 255 && from < end) literals += more = input[from++]!;
    }
    if (from + literals > end || to + literals > output.length) throw new CorruptData('LZ4 literals leave their block');
    if (literals > 32) output.set(input.subarray(from, from + literals), to);
    else for (let i = 0; i < literals; i++) output[to + i] = input[from + i]!;
    from += literals;
    to += literals;
    if (from >= end) break; // the last sequence has no match
    const distance = input[from]! | ((input[from + 1] ?? 0) << 8);
    from += 2;
    let length = token & RUN;
    if (length === RUN) {
      let more = 255;
      while (more === 255 && from < end) length += more = input[from++]!;
    }
    length += MIN_MATCH;
    if (distance === 0 || distance > to || to + length > output.length) throw new CorruptData('LZ4 match points outside of the output');
    copyMatch(output, to, distance, length);
    to += length;
  }
  return to;
}

/** The source may overlap the destination: bytes are then repeated. */
function copyMatch(output: Uint8Array, to: number, distance: number, length: number): void {
  if (distance >= length && length > 32) output.copyWithin(to, to - distance, to - distance + length);
  else for (let i = 0; i < length; i++) output[to + i] = output[to + i - distance]!;
}
