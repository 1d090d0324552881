/**
 * The .xz container (The .xz File Format, version 1.2) with LZMA2, alone or behind the x86 filter, which is what the
 * kernel's build makes for i386 (scripts/xz_wrap.sh).
 */

import { crc32 } from './crc32.ts';
import { CorruptData } from './corrupt-data.ts';
import { undoBcjX86 } from './bcj-x86.ts';
import { LzmaDecoder } from './lzma.ts';

const STREAM_MAGIC: readonly number[] = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00];
const STREAM_HEADER_SIZE = 12;
const FILTER_X86 = 0x04;
const FILTER_LZMA2 = 0x21;
const CHECK_CRC32 = 1;
/** Bytes of the check after each block, by the type in the stream's flags. */
const CHECK_SIZES: readonly number[] = [0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64];

export function decompressXz(input: Uint8Array, size: number): Uint8Array {
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  if (input.length < STREAM_HEADER_SIZE || STREAM_MAGIC.some((byte, i) => input[i] !== byte)) throw new CorruptData('no xz stream');
  if (crc32(input.subarray(6, 8)) !== view.getUint32(8, true)) throw new CorruptData('checksum of the xz stream header');
  const check = input[7]! & 0x0f;
  const output = new Uint8Array(size);
  let at = STREAM_HEADER_SIZE;
  let made = 0;
  while (at < input.length && input[at] !== 0) {
    const header = blockHeader(input, view, at);
    const decoder = new LzmaDecoder(output);
    decoder.position = decoder.dictionaryStart = made;
    const dataEnd = lzma2(decoder, input, header.end);
    const checkAt = header.end + Math.ceil((dataEnd - header.end) / 4) * 4;
    const decoded = output.subarray(made, decoder.position);
    if (header.x86) undoBcjX86(decoded);
    at = checkAt + CHECK_SIZES[check]!;
    if (at > input.length) throw new CorruptData('xz data end inside of a block');
    if (check === CHECK_CRC32 && crc32(decoded) !== view.getUint32(checkAt, true)) throw new CorruptData('checksum of an xz block');
    made = decoder.position;
  }
  if (at >= input.length) throw new CorruptData('xz data end before their index');
  if (made !== size) throw new CorruptData(`xz data have ${made} bytes, not ${size}`);
  return output;
}

interface BlockHeader {
  readonly end: number;
  readonly x86: boolean;
}

function blockHeader(input: Uint8Array, view: DataView, at: number): BlockHeader {
  const size = (input[at]! + 1) * 4;
  const end = at + size;
  if (end > input.length) throw new CorruptData('xz block header leaves the data');
  if (crc32(input.subarray(at, end - 4)) !== view.getUint32(end - 4, true)) throw new CorruptData('checksum of an xz block header');
  const flags = input[at + 1]!;
  const cursor = { at: at + 2 };
  if (flags & 0x40) variableInteger(input, cursor, end);
  if (flags & 0x80) variableInteger(input, cursor, end);
  const filters: number[] = [];
  for (let i = 0; i <= (flags & 3); i++) {
    filters.push(variableInteger(input, cursor, end));
    const properties = variableInteger(input, cursor, end);
    cursor.at += properties;
  }
  const x86 = filters[0] === FILTER_X86;
  const rest = x86 ? filters.slice(1) : filters;
  if (rest.length !== 1 || rest[0] !== FILTER_LZMA2) throw new CorruptData(`xz filters ${filters.join(', ')} are not supported`);
  return { end, x86 };
}

function variableInteger(input: Uint8Array, cursor: { at: number }, end: number): number {
  let value = 0;
  for (let i = 0; i < 9 && cursor.at < end; i++) {
    const byte = input[cursor.at++]!;
    value += (byte & 0x7f) * 2 ** (7 * i);
    if ((byte & 0x80) === 0) return value;
  }
  throw new CorruptData('an xz integer does not end');
}

/** Decodes LZMA2 chunks from `at` to the end marker; returns where it ended. */
function lzma2(decoder: LzmaDecoder, input: Uint8Array, start: number): number {
  let at = start;
  for (;;) {
    const control = input[at++];
    if (control === undefined) throw new CorruptData('LZMA2 data do not end');
    if (control === 0) return at;
    if (control < 0x80 && control > 2) throw new CorruptData(`LZMA2 control 0x${control.toString(16)}`);
    if (at + 5 > input.length) throw new CorruptData('LZMA2 data end inside of a chunk');
    if (control === 1 || control >= 0xe0) decoder.dictionaryStart = decoder.position;
    const low = (input[at]! << 8) | input[at + 1]!;
    if (control < 0x80) {
      at += 2;
      if (at + low + 1 > input.length) throw new CorruptData('LZMA2 data end inside of a chunk');
      decoder.copyUncompressed(input, at, at + low + 1);
      at += low + 1;
      continue;
    }
    const unpacked = ((control & 0x1f) << 16) + low + 1;
    const packed = ((input[at + 2]! << 8) | input[at + 3]!) + 1;
    at += 4;
    if (control >= 0xc0) decoder.setProperties(input[at++]!);
    if (control >= 0xa0) decoder.resetState();
    if (at + packed > input.length) throw new CorruptData('LZMA2 data end inside of a chunk');
    decoder.decode(input, at, at + packed, unpacked);
    at += packed;
  }
}
