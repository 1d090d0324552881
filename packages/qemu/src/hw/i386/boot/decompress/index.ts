/** Unpacking of kernel payloads: which formats there are, and what undoes each. */

import { gunzipSync } from 'fflate';
import { decompress as unzstd } from 'fzstd';
import { crc32 } from './crc32.ts';
import { CorruptData } from './corrupt-data.ts';
import { decompressLz4Legacy } from './lz4-legacy.ts';
import { decompressXz } from './xz.ts';

export type CompressionFormat = 'gzip' | 'lz4' | 'xz' | 'zstd';
/** Makes `size` bytes out of `input`. */
export type Decompressor = (input: Uint8Array, size: number) => Uint8Array | Promise<Uint8Array>;
export type Decompressors = Readonly<Record<CompressionFormat, Decompressor>>;

const MAGIC: readonly (readonly [CompressionFormat, readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b, 0x08]],
  ['lz4', [0x02, 0x21, 0x4c, 0x18]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
];

/** The format that the bytes begin like. */
export function compressionFormat(bytes: Uint8Array): CompressionFormat | undefined {
  return MAGIC.find(([, magic]) => magic.every((byte, i) => bytes[i] === byte))?.[0];
}

function decompressGzip(input: Uint8Array, size: number): Uint8Array {
  const output = gunzipSync(input, { out: new Uint8Array(size) });
  const trailer = new DataView(input.buffer, input.byteOffset + input.length - 8, 8);
  if (crc32(output) !== trailer.getUint32(0, true)) throw new CorruptData('checksum of the gzip data');
  return output;
}

export const decompressors: Decompressors = {
  gzip: decompressGzip,
  lz4: decompressLz4Legacy,
  xz: decompressXz,
  zstd: (input, size) => unzstd(input, new Uint8Array(size)),
};
