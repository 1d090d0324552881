/**
 * The decoder beside iced-x86 (its npm package, WebAssembly) on the same bytes in the same run: the code of a 64-bit ELF
 * file, decoded from its first byte to its last.
 *
 *   pnpm bench:decode [--code FILE] [--runs N] [--json]
 *
 * FILE is by default the program that runs this script. Both fill an instruction object that is made once.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { decode, Instruction } from '@vm/cpu/decode';
import * as iced from 'iced-x86';
import { median, report } from './report.ts';

const LONGEST_CODE = 4 << 20;
const SHF_EXECINSTR = 4;
const SHT_PROGBITS = 1;
const EM_X86_64 = 62;

/** The largest section of instructions (ELF-64 specification, section headers), at most 4 MiB of it. */
function codeOf(file: string): Uint8Array {
  const bytes = readFileSync(file);
  if (bytes.readUInt32BE(0) !== 0x7f454c46 || bytes.readUInt16LE(18) !== EM_X86_64) {
    throw new Error(`${file} is no ELF file with x86-64 code: name one with --code`);
  }
  const table = Number(bytes.readBigUInt64LE(0x28));
  let code = bytes.subarray(0, 0);
  for (let i = 0; i < bytes.readUInt16LE(0x3c); i++) {
    const at = table + i * bytes.readUInt16LE(0x3a);
    const executable = (Number(bytes.readBigUInt64LE(at + 8)) & SHF_EXECINSTR) !== 0;
    const [from, size] = [Number(bytes.readBigUInt64LE(at + 24)), Number(bytes.readBigUInt64LE(at + 32))];
    if (bytes.readUInt32LE(at + 4) === SHT_PROGBITS && executable && size > code.length) code = bytes.subarray(from, from + size);
  }
  return Uint8Array.from(code.subarray(0, LONGEST_CODE));
}

/** Million instructions a second. */
type Pass = (code: Uint8Array) => number;

const instruction = new Instruction();

const ours: Pass = (code) => {
  const start = performance.now();
  let count = 0;
  for (let at = 0; at < code.length; count++) {
    const length = decode(code, at, code.length, 64, instruction);
    at += length > 0 ? length : 1;
  }
  return count / (performance.now() - start) / 1000;
};

const theirs: Pass = (code) => {
  const out = new iced.Instruction();
  const decoder = new iced.Decoder(64, code, iced.DecoderOptions.None);
  const start = performance.now();
  let count = 0;
  for (; decoder.canDecode; count++) decoder.decodeOut(out);
  const mips = count / (performance.now() - start) / 1000;
  decoder.free();
  out.free();
  return mips;
};

const { values } = parseArgs({ options: { code: { type: 'string', default: process.execPath }, runs: { type: 'string', default: '5' }, json: { type: 'boolean', default: false } } });
const code = codeOf(values.code);
const pairs: [number, number][] = [];
// The first pair warms up.
for (let i = 0; i <= Number(values.runs); i++) pairs.push([ours(code), theirs(code)]);
const [mine, other] = [0, 1].map((side) => median(pairs.slice(1).map((pair) => pair[side]!))) as [number, number];
report(
  [
    { name: 'decode', value: mine, unit: 'MIPS', note: `${code.length} bytes of ${values.code}` },
    { name: 'iced-x86', value: other, unit: 'MIPS', note: `${(mine / other).toFixed(2)} times` },
  ],
  { ours_mips: mine, iced_mips: other, ratio: mine / other },
);
