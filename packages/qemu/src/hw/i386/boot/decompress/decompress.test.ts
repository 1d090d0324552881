import { gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compressionFormat, decompressors, type CompressionFormat } from './index.ts';

/** Calls and jumps to absolute targets: what the x86 filter is for. */
function callsAndJumps(): Uint8Array {
  const bytes = new Uint8Array(512);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < 512; i += 8) {
    bytes[i] = i % 3 ? 0xe8 : 0xe9;
    view.setInt32(i + 1, ((i * 7) % 200) - i - 5, true);
    bytes.set([0x90, 0xe8, i & 255], i + 5);
  }
  return bytes;
}

/** callsAndJumps() by xz --check=crc32 --x86 --lzma2=preset=9,dict=1MiB,lc=2,lp=1,pb=1. */
const XZ_X86 = [
  '/Td6WFoAAAFpIt42AgEEACEBEACLIW9J4AH/AO44AHSAMK9+DGWWVVKRoWX4G6/z6vWXn9iCFX2LjoKpyQH1amhdlUOkSlD7RF2dL5+R5mabK2',
  '6KEx4dVMVZf6Ng0ohTbPTkzSBx6K2FSDcR2LHd/YRUZ6vMJIpHdHbiIfqfq+0PFsMZPXbnNYKO2GKbbWuUASG4Wl9qcYeXnamS7BSAs6k9zrMD',
  'x8IaMolBBx6lFJ967WO0Yeo+TPViZeNk8vt1XDO9liN54Ygs29BboKIhmf3VZJXV6V+tMZ6azmhIV3ym99aCiMxl50+Hk8RAWmik48f3yDpc6/',
  'dclnv8mq3RkWV7W2/I+TKUlzfduGMAAAD2/qqLAAGGAoAEAACfbiybPjANiwIAAAAAAVla',
].join('');
/** callsAndJumps() by lz4 -l. */
const LZ4_LEGACY = [
  'AiFMGIkBAADxA+n7////kOgA6CsAAACQ6AjoWwgAMRDpiwgAMRjo8yAAMSDoIxAAMSjpUwgAMTDogwgAMTjo6yAAMUDpGxAAMUjoSwgAMVDosx',
  'gAMVjp4wgAMWDoExgAMWjoQwgAMXDpqxgAMXjo2wgAMYDoCxgAMYjpcxAAMZDoowgAMZjo0wgAMaDpAyAAMajoaxAAMbDomwgAMbjpywgAMcDo',
  'MwgAMcjoYwgAMdDpkwgAMdjowwgAMeDoKwgAMejpWwgAMfDoiwgAMfjouwgAMQDpIwgAMQjoUwgAMRDogwgAQBjp6/4gATEg6BsQADEo6EsIAD',
  'Ew6XsIADE46OMgADFA6BMQADFI6UMIADFQ6KsYADFY6NsIADFg6QsYADFo6DsIADFw6KMYADF46dMIADGA6AMYADGI6GsQADGQ6ZsIADGY6MsI',
  'ADGg6PsIADGo6WMIADGw6JMIADG46MMIADHA6fMIADHI6FsIADHQ6IsIADHY6bsIADHg6CMIADHo6FMIAJDw6YP+//+Q6Pg=',
].join('');
/** The lines 1 to 300, by xz with a CRC-64, which is not checked. */
const XZ_PLAIN = [
  '/Td6WFoAAATm1rRGAgAhARYAAAB0L+Wj4ARDAQJdABiCgo8iTvimVffwmaUlDZBFkVpRtJvKrNwFMuyFUp+xSG3v3OhLuWG64JxTf5jIqVQO/D',
  '0q0wbXZkQ9VmSmzT3Xxx9E9BjfAgs/4sbGe+Hnf3lEHHm3Qq5luBu1DoThmoIGIzlaf3KqQ/qlmh+SwL5FcXlK1ZPGkAo5rZxlhyq2GjjH4ZMX',
  'ytA+CeqwUvAQYCbAXl8QkQ25eXh9l0Jg0KY4d+Ej6LsoT4hSLXVYJj9m/eKc69OvYdk1ev/7YrE8fJMc8mS4TRyFKrFcAAY2AUrrvAVI71xotT',
  'xxgZ4sbORnBs+FKnUJGYy8F0QNzTxpxjbEnpzS7js1Ej6TUpedidqbMQAAAGc3dbfmK+6BAAGeAsQIAABn2MVpscRn+wIAAAAABFla',
].join('');

const base64 = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'base64'));
const lines = new TextEncoder().encode(Array.from({ length: 300 }, (_, i) => `${i + 1}\n`).join(''));
const text = new TextEncoder().encode('a text that repeats, a text that repeats, a text that repeats; '.repeat(500));

const CASES: readonly (readonly [name: string, CompressionFormat, Uint8Array, Uint8Array])[] = [
  ['gzip', 'gzip', Uint8Array.from(gzipSync(text)), text],
  ['zstd', 'zstd', Uint8Array.from(zstdCompressSync(text)), text],
  ['lz4, legacy frame', 'lz4', base64(LZ4_LEGACY), callsAndJumps()],
  ['xz with the x86 filter', 'xz', base64(XZ_X86), callsAndJumps()],
  ['xz', 'xz', base64(XZ_PLAIN), lines],
];

describe.each(CASES)('%s', (_name, format, packed, expected) => {
  it('is recognised and unpacked', async () => {
    expect(compressionFormat(packed)).toBe(format);
    expect(await decompressors[format](packed, expected.length)).toEqual(expected);
  });

  it('is refused when it is cut off', async () => {
    await expect(async () => decompressors[format](packed.subarray(0, packed.length >> 1), expected.length)).rejects.toThrow();
  });

  it('survives any damage', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(packed.length - 1), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
        const damaged = packed.slice();
        damaged[at]! ^= flip;
        try {
          const bytes = await decompressors[format](damaged, expected.length);
          expect(bytes.length).toBeLessThanOrEqual(expected.length);
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
        }
      }),
      { numRuns: 300 },
    );
  });
});

it.each(['xz with the x86 filter', 'gzip'])('notices a flipped bit in %s by its checksum', async (name) => {
  const [, format, packed, expected] = CASES.find(([other]) => other === name)!;
  const damaged = packed.slice();
  damaged[packed.length >> 1]! ^= 1;
  await expect(async () => decompressors[format](damaged, expected.length)).rejects.toThrow();
});
