/**
 * The decoder beside iced-x86 (its npm package, WebAssembly) on the same bytes in the same run: the code of a 64-bit ELF
 * file, decoded from its first byte to its last.
 * `pnpm bench:decode --help` lists the options.
 *
 * Both fill an instruction object that is made once, in the loop that
 * their documentation shows. A second figure has the mnemonic and every operand's kind and register read as well: both
 * decoders leave to the reader what a part means, ours also puts off computing it.
 */
import { readFileSync } from 'node:fs';
import { commandLine, numberOption, readOptions } from '@vm/command-line';
import { codeView, decode, Instruction, OP_REG } from '@vm/cpu/decode';
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

/** Of this thread, in µs: other programs on the machine don't count. */
function cpuTime(): number {
  return process.threadCpuUsage().user;
}

interface Pass {
  readonly instructions: number;
  /** Million instructions a second. */
  readonly mips: number;
}

const instruction = new Instruction();
const icedInstruction = new iced.Instruction();

/** Reads what a decoder filled in. */
type Read = () => void;

function ours(code: Uint8Array, read: Read | null): Pass {
  const view = codeView(code);
  const end = code.length;
  const start = cpuTime();
  let count = 0;
  for (let at = 0; at < end; count++) {
    const length = decode(view, at, end, 64, instruction);
    at += length > 0 ? length : 1;
    if (read !== null && length > 0) read();
  }
  return { instructions: count, mips: count / (cpuTime() - start) };
}

function theirs(code: Uint8Array, read: Read | null): Pass {
  const decoder = new iced.Decoder(64, code, iced.DecoderOptions.None);
  const start = cpuTime();
  let count = 0;
  for (; decoder.canDecode; count++) {
    decoder.decodeOut(icedInstruction);
    if (read !== null) read();
  }
  const mips = count / (cpuTime() - start);
  decoder.free();
  return { instructions: count, mips };
}

/** What the reading passes add up, so that nothing of it is left out. */
let sum = 0;

function readOurs(): void {
  const { operands, operandCount } = instruction;
  sum += instruction.mnemonic;
  for (let i = 0; i < operandCount; i++) sum += operands[i]!.kind === OP_REG ? operands[i]!.reg : 0;
}

function readTheirs(): void {
  sum += icedInstruction.mnemonic;
  const operands = icedInstruction.opCount;
  for (let i = 0; i < operands; i++) sum += icedInstruction.opKind(i) === iced.OpKind.Register ? icedInstruction.opRegister(i) : 0;
}

const options = readOptions<{ code: string; runs: number }>(commandLine('pnpm bench:decode', 'The decoder beside iced-x86 on the same code.')
  .option('--code <file>', 'an x86-64 ELF file', process.execPath)
  .addOption(numberOption('--runs <n>', 'rounds, of which the medians count', 1, 5))
  .option('--json', 'also print one JSON object, as the last line'));
const code = codeOf(options.code);
const passes = [() => ours(code, null), () => theirs(code, null), () => ours(code, readOurs), () => theirs(code, readTheirs)];
const runs: Pass[][] = [];
// The first run warms up.
for (let i = 0; i <= options.runs; i++) runs.push(passes.map((pass) => pass()));
const [mine, other, mineRead, otherRead] = passes.map((_, i) => median(runs.slice(1).map((run) => run[i]!.mips))) as [number, number, number, number];
const [mineCount, otherCount] = [runs[0]![0]!.instructions, runs[0]![1]!.instructions];
// They may differ on what is invalid, so on data among the code.
if (Math.abs(mineCount - otherCount) > mineCount / 1000) throw new Error(`${mineCount} instructions here, ${otherCount} there: not the same work`);
report(
  [
    { name: 'decode', value: mine, unit: 'MIPS', note: `${mineCount} instructions of ${options.code}` },
    { name: 'iced-x86', value: other, unit: 'MIPS', note: `${(mine / other).toFixed(2)} times` },
    { name: 'decode and read', value: mineRead, unit: 'MIPS', note: 'mnemonic and operands' },
    { name: 'iced-x86', value: otherRead, unit: 'MIPS', note: `${(mineRead / otherRead).toFixed(2)} times` },
  ],
  { ours_mips: mine, iced_mips: other, ratio: mine / other, ours_read_mips: mineRead, iced_read_mips: otherRead },
);
