/** Encodings that are nearly right: LOCK where it is not allowed, VEX fields that must be otherwise, legacy prefixes before VEX. */
import type { Form } from '@vm/cpu/decode';
import type { Random } from '../random.ts';
import type { Mode } from './encode.ts';

/** The bytes with one flaw. What comes of it, both sides must say. */
export function spoil(code: Uint8Array<ArrayBuffer>, form: Form, mode: Mode, random: Random): Uint8Array<ArrayBuffer> {
  if (!form.row.vex) return prepend(code, [0xf0]);
  const at = code.findIndex((byte) => byte === 0xc4 || byte === 0xc5);
  const out = code.slice();
  const fields = at + (code[at] === 0xc5 ? 1 : 2);
  switch (random.below(mode === 64 ? 5 : 4)) {
    case 0: return prepend(code, [random.pick([0xf0, 0x66, 0xf2, 0xf3])]);
    case 1: out[fields] = out[fields]! ^ 0x04; return out; // L
    case 2: out[fields] = out[fields]! ^ (mode === 64 ? 0x78 & (1 << (3 + random.below(4))) : 0x08); return out; // vvvv
    case 3: if (code[at] === 0xc4) out[fields] = out[fields]! ^ 0x80; return out; // W
    default: return out.length > 0 && at >= 0 ? Uint8Array.from([...code.subarray(0, at), 0x40 | random.below(16), ...code.subarray(at)]) : out;
  }
}

function prepend(code: Uint8Array, prefixes: readonly number[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from([...prefixes, ...code]).slice(0, 15);
}
