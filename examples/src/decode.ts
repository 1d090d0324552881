/** The decoder alone: bytes to text. */
import { codeView, decode, format, Instruction } from '@vm/cpu/decode';

const code = Uint8Array.of(0x48, 0x8b, 0x44, 0x8b, 0x10, 0x0f, 0x01, 0xc2, 0xc3);
const view = codeView(code);
const instruction = new Instruction();
for (let at = 0; at < code.length; at += instruction.length) {
  if (decode(view, at, code.length, 64, instruction) <= 0) break;
  console.log(format(instruction, BigInt(at)));
}
