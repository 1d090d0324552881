import { afterAll, describe, expect, test } from 'vitest';
import { X87 } from '../decode/table/x87.ts';
import { NativeProcessor, type NativeCase, type NativeResult } from '../testing/native.ts';
import { formOf, Random, randomImage, X87Machine, type X87Form } from '../testing/x87.ts';

const CASES = Number(process.env['X87_CASES'] ?? 150);

/** Within one unit of the last place of the reference: no two processors agree on these bit by bit. */
const APPROXIMATE = new Set(['f2xm1', 'fyl2x', 'fyl2xp1', 'fptan', 'fsin', 'fcos', 'fsincos', 'fpatan']);

function memoryFor(form: X87Form, random: Random): Uint8Array {
  const memory = new Uint8Array(128);
  const view = new DataView(memory.buffer);
  for (let i = 0; i < 128; i += 4) view.setUint32(i, random.next(), true);
  if (form.mnemonic === 'fbld') {
    for (let i = 0; i < 9; i++) view.setUint8(i, random.below(10) * 16 + random.below(10));
    view.setUint8(9, random.below(2) * 0x80);
  } else if (form.size === 10) {
    view.setUint16(8, random.pick([0, 1, 0x3fff, 0x7fff, 0x8000, 0xffff, random.below(65536)]), true);
  } else if (form.size === 4) {
    const specials = [0, 0x80000000, 1, 0x7fffff, 0x800000, 0x3f800000, 0x7f800000, 0xff800000, 0x7f800001, 0x7fc00000, 0xffc12345];
    view.setUint32(0, random.pick([...specials, random.next(), random.next(), random.below(100), -random.below(100)]), true);
  } else if (form.size === 8) {
    const high = [0, 0x80000000, 0x3ff00000, 0x7ff00000, 0xfff00000, 0x7ff80000, 0x000fffff, 0x00100000, random.next(), random.next()];
    view.setUint32(0, random.pick([0, 0, 1, random.next()]), true);
    view.setUint32(4, random.pick(high), true);
  } else if (form.size === 28 || form.size === 108) {
    view.setUint16(0, random.next() & 0x1fff, true);
  }
  return memory;
}

function show(fx: Uint8Array): string {
  const view = new DataView(fx.buffer, fx.byteOffset, 512);
  const hex = (n: number, digits: number): string => n.toString(16).padStart(digits, '0');
  const registers = Array.from({ length: 8 }, (_, i) =>
    `${hex(view.getUint16(40 + i * 16, true), 4)}:${view.getBigUint64(32 + i * 16, true).toString(16).padStart(16, '0')}`);
  return `cw=${hex(view.getUint16(0, true), 4)} sw=${hex(view.getUint16(2, true), 4)} tags=${hex(view.getUint8(4), 2)} ${registers.join(' ')}`;
}

const FLAGS = 0x8d5n;
/** FCOMI clears C1 (SDM vol. 2A), AMD leaves it; after FFREE it is undefined. */
const C1_UNDEFINED = /^f(u?comip?|freep?)$/;

/** What can be compared of a result; the rest is undefined or differs between makers. */
function comparable(form: X87Form, result: NativeResult): string {
  const memory = result.memory.slice();
  if (C1_UNDEFINED.test(form.mnemonic)) result.fx[3]! &= ~2;
  if (form.mnemonic === 'fnstenv' || form.mnemonic === 'fnsave') memory.fill(0, 12, 28);
  const hex = Array.from(memory.subarray(0, form.size), (b) => b.toString(16).padStart(2, '0')).join('');
  return `${show(result.fx)} ax=${(result.rax & 0xffffn).toString(16)} flags=${(result.rflags & FLAGS).toString(16)} ${hex}`;
}

/** Distance of two registers in units of the last place. */
function distance(a: Uint8Array, b: Uint8Array, i: number): bigint {
  const x = new DataView(a.buffer, a.byteOffset + 32 + i * 16, 10);
  const y = new DataView(b.buffer, b.byteOffset + 32 + i * 16, 10);
  const value = (v: DataView): bigint => (BigInt(v.getUint16(8, true)) << 63n) + (v.getBigUint64(0, true) & (2n ** 63n - 1n));
  const d = value(x) - value(y);
  return d < 0n ? -d : d;
}

const native = NativeProcessor.open();
afterAll(() => native?.close());

describe.skipIf(native === null)('x87 instructions do what the processor does', () => {
  const machine = new X87Machine();
  const forms = X87.trim().split('\n').map((line) => [0, 1, 3].map((i) => formOf(line, i)!));
  const names = [...new Set(forms.map((f) => f[0]!.mnemonic))].filter((name) => machine.has(name));

  test.for(names)('%s', (name) => {
    const random = new Random(0x9e3779b9 + names.indexOf(name));
    const list = forms.filter((f) => f[0]!.mnemonic === name).flat();
    const cases: { form: X87Form; input: NativeCase }[] = [];
    for (let n = 0; n < CASES; n++) {
      const form = random.pick(list);
      cases.push({
        form,
        input: {
          code: form.code,
          fx: randomImage(random, n % 3 !== 0),
          memory: memoryFor(form, random),
          rax: 0x1234n,
          rdx: 0n,
          rflags: 2n | (BigInt(random.next()) & FLAGS),
        },
      });
    }
    const results = native!.run(cases.map((c) => c.input));
    const wrong: string[] = [];
    for (const [i, c] of cases.entries()) {
      const ours = machine.run(c.form, c.input);
      const theirs = results[i]!;
      if (differsByMaker(c.form, c.input, ours)) continue;
      if (APPROXIMATE.has(name)) align(ours.fx, theirs.fx);
      const a = comparable(c.form, ours);
      const b = comparable(c.form, theirs);
      if (a !== b) wrong.push(`${c.form.code.map((x) => x.toString(16)).join(' ')}\n from ${show(c.input.fx)} ${Buffer.from(c.input.memory.subarray(0, c.form.size)).toString('hex')}\n got  ${a}\n want ${b}`);
    }
    expect(wrong.length, `${wrong.length} of ${cases.length} differ:\n${wrong.slice(0, 3).join('\n')}`).toBe(0);
  });
});

/** What the manual leaves open; and AMD completes a load with an unmasked denormal operand; SDM vol. 1, 8.5.2 says that it leaves the stack alone. */
function differsByMaker(form: X87Form, input: NativeCase, ours: NativeResult): boolean {
  const unmasked = ~input.fx[0]! & ours.fx[2]!;
  if (form.mnemonic === 'fld') return form.size !== 0 && (unmasked & 2) !== 0;
  // Outside the range that the manual gives, the result is undefined.
  const exponent = new DataView(input.fx.buffer).getUint16(40, true) & 0x7fff;
  if (form.mnemonic === 'f2xm1') return exponent > 0x3ffe;
  return form.mnemonic === 'fyl2xp1' && exponent > 0x3ffc;
}

/** Takes over registers that are no more than one unit apart, and C1, which follows the rounding. */
function align(ours: Uint8Array, theirs: Uint8Array): void {
  for (let i = 0; i < 2; i++) {
    if (distance(ours, theirs, i) > 1n) continue;
    ours.set(theirs.subarray(32 + i * 16, 42 + i * 16), 32 + i * 16);
  }
  ours[3] = (ours[3]! & ~2) | (theirs[3]! & 2);
}
