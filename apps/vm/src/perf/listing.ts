/** A region's guest code as text, and its WebAssembly. */
import { codeView, decode, format, Instruction } from '@vm/cpu/decode';
import type { ProfiledRegion } from '@vm/cpu';
import wabt from 'wabt';
import { hex } from './hex.ts';

const BYTES_WIDTH = 22;
const FEATURES = {
  readDebugNames: true, threads: true, simd: true, tail_call: true, bulk_memory: true, sign_extension: true, sat_float_to_int: true, relaxed_simd: true,
  reference_types: true,
};

/** A line an instruction: address, bytes, Intel syntax. An empty line stands where the code goes on elsewhere. */
export function disassemble({ code, mode }: ProfiledRegion): string[] {
  const lines: string[] = [];
  const instruction = new Instruction();
  let next: bigint | undefined;
  for (const { address, bytes } of code) {
    if (next !== undefined && address !== next) lines.push('');
    next = address + BigInt(bytes.length);
    const text = decode(codeView(bytes), 0, bytes.length, mode, instruction) > 0 ? format(instruction, address) : '(bad)';
    lines.push(`  ${hex(address)}  ${Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ').padEnd(BYTES_WIDTH)}  ${text}`.trimEnd());
  }
  return lines;
}

/** The module in WebAssembly's text format. */
export async function webAssemblyText(module: Uint8Array): Promise<string> {
  const toolkit = await wabt();
  const read = toolkit.readWasm(module, FEATURES);
  try {
    return read.toText({ foldExprs: false, inlineExport: true });
  } finally {
    read.destroy();
  }
}
