import { afterAll, describe, expect, test } from 'vitest';
import { codeView, decode } from '../../decode/decoder.ts';
import { forms } from '../../decode/forms.ts';
import { Instruction, OP_MEM, OP_REG, RC_GPR, RC_MMX } from '../../decode/instruction.ts';
import type { Form } from '../../decode/form.ts';
import * as L from '../../state/layout.ts';
import { bareMachine, type BareMachine } from '../../testing/bare-machine.ts';
import { NativeProcessor, type NativeCase, type NativeResult } from '../../testing/native.ts';
import { Random, randomImage } from '../../testing/x87.ts';
import { vectorSemantics } from './index.ts';

/** Vector instructions in microcode. */
const MICROCODED = /^(aes|sha|pclmul|pcmp[ei]str|maskmov)/;

const CASES = Number(process.env['SSE_CASES'] ?? 5);
const FLAGS = 0x8d5n;
/** What the manual leaves to the processor within 1.5 * 2^-12. */
const APPROXIMATE = /^(rcp|rsqrt)[ps]s$/;
/** Instructions that look at MXCSR's rounding control without rounding a significand. */
const ROUNDS = /^(cvt.*(2s?i|2pi|2dq)|round)/;

const SINGLES = [0, 0x80000000, 1, 0x807fffff, 0x00800000, 0x3f800000, 0xbf800000, 0x3fc00000, 0x40200000, 0x4b000001, 0xcb000000, 0x4effffff,
  0x4f000000, 0xcf000000, 0x5f000000, 0xdf000000, 0x7f7fffff, 0x7f800000, 0xff800000, 0x7f800001, 0x7fc00000, 0xffc12345, 0xff812345];
const DOUBLES = [0n, 1n, 0x8000000000000000n, 0x000fffffffffffffn, 0x3ff0000000000000n, 0xbfe0000000000000n, 0x3ff8000000000000n,
  0x4004000000000000n, 0x41dfffffffc00000n, 0x41e0000000000000n, 0xc1e0000000000000n, 0xc1e0000000200000n, 0x43e0000000000000n,
  0xc3e0000000000000n, 0x7fefffffffffffffn, 0x7ff0000000000000n, 0xfff0000000000000n, 0x7ff0000000000001n, 0x7ff8000000012345n,
  0xfff8000000000000n, 0xfff4000000000000n, 0x36a0000000000000n, 0x47efffffe0000000n, 0x47effffff0000000n, 0x3810000000000000n];
const PATTERNS = [0n, 0xffffffffffffffffn, 0x8080808080808080n, 0x7f7f7f7f7f7f7f7fn, 0x8000800080008000n, 0x8000000080000000n,
  0x7fff7fff7fff7fffn, 0x0001000100010001n, 0x0000000000000005n, 0x0000000000000011n, 0x00000000000000ffn];

function quadword(random: Random): bigint {
  const kind = random.below(5);
  if (kind === 0) return random.pick(DOUBLES);
  if (kind === 1) return (BigInt(random.pick(SINGLES)) << 32n) | BigInt(random.pick(SINGLES));
  if (kind === 2) return random.pick(PATTERNS);
  // Numbers of moderate size, single or double.
  if (kind === 3) return random.below(2) === 0 ? 0x3fe0000000000000n + (random.u64() >> 8n)
    : BigInt(0x3f000000 + (random.next() >>> 6)) * 0x100000001n ^ (random.u64() & 0x8000ffff8000ffffn);
  return random.u64();
}

/** A form's bytes with RAX as the only general register and [RDI] as the only memory. */
function encode(form: Form, random: Random, ins: Instruction): number[] | null {
  const { row } = form;
  const head: number[] = [];
  if (row.prefix > 0) head.push([0, 0x66, 0xf3, 0xf2][row.prefix]!);
  else if (form.operandSize === 2) head.push(0x66);
  if (form.operandSize === 8) head.push(0x48);
  head.push(0x0f);
  if (row.map === 2) head.push(0x38);
  if (row.map === 3) head.push(0x3a);
  head.push(row.opcode);
  for (let attempt = 0; attempt < 600; attempt++) {
    const modrm = form.operands.some((o) => o.kind === 'mem') ? (random.below(8) << 3) | 7 : 0xc0 | random.below(64);
    const bytes = [...head, row.digit >= 0 ? (modrm & 0xc7) | (row.digit << 3) : modrm, random.below(256)];
    while (bytes.length < 16) bytes.push(0x90);
    const length = decode(codeView(Uint8Array.from(bytes)), 0, 16, 64, ins);
    if (length <= 0 || ins.form !== form.index || !usable(ins)) continue;
    return bytes.slice(0, length);
  }
  return null;
}

function usable(ins: Instruction): boolean {
  return ins.operands.every((o, i) => i >= ins.operandCount || o.kind !== OP_REG || o.regClass !== RC_GPR || o.reg === 0)
    && (!ins.operands.some((o, i) => i < ins.operandCount && o.kind === OP_MEM) || (ins.memBase === 7 && ins.memIndex < 0));
}

function makeCase(form: Form, code: number[], random: Random): NativeCase {
  const fx = randomImage(random, true);
  const view = new DataView(fx.buffer);
  if (ROUNDS.test(form.mnemonic)) view.setUint32(24, 0x1f80 | (random.below(4) << 13), true);
  for (let at = 160; at < 416; at += 8) view.setBigUint64(at, quadword(random), true);
  if (random.below(4) === 0) fx.copyWithin(176, 160, 176);
  const mmx = form.operands.some((o) => o.kind === 'reg' && o.regClass === RC_MMX);
  if (mmx) for (let at = 32; at < 160; at += 16) view.setBigUint64(at, quadword(random), true);
  const memory = new Uint8Array(128);
  const words = new DataView(memory.buffer);
  for (let at = 0; at < 128; at += 8) words.setBigUint64(at, quadword(random), true);
  const rax = random.below(2) === 0 ? quadword(random) : BigInt(random.below(20));
  return { code, fx, memory, rax, rdx: BigInt.asUintN(64, BigInt(random.below(40) - 20)), rflags: 2n | (BigInt(random.next()) & FLAGS) };
}

function runModel(m: BareMachine, input: NativeCase, codeAt: number): NativeResult {
  const data = m.ram + 0x10_0000;
  const image = new DataView(input.fx.buffer);
  const { memory: host, area } = m;
  const top = (image.getUint16(2, true) >> 11) & 7;
  host.u8.set(input.memory, data);
  m.set32(L.FCW, image.getUint16(0, true));
  m.set32(L.FSW, image.getUint16(2, true) & 0xc7ff);
  m.set32(L.FTOP, top);
  m.set32(L.FTAG, image.getUint8(4));
  m.set32(L.MXCSR, image.getInt32(24, true));
  for (let i = 0; i < 8; i++) host.u8.set(input.fx.subarray(32 + i * 16, 42 + i * 16), area + L.FPR + ((top + i) & 7) * 16);
  for (let i = 0; i < 16; i++) host.u8.set(input.fx.subarray(160 + i * 16, 176 + i * 16), area + L.XMM + i * L.XMM_SIZE);
  m.set(L.RAX, input.rax);
  m.set(L.RDI, BigInt(data));
  m.set(L.RCX, 0n);
  m.set(L.RDX, input.rdx);
  m.setRflags(input.rflags);
  m.set32(L.EVENT_VECTOR, -1);
  m.set(L.RIP, BigInt(codeAt));
  m.driver.run(1);
  expect(m.event(), 'an exception').toBe(-1);
  const fx = new Uint8Array(512);
  const out = new DataView(fx.buffer);
  const newTop = m.get32(L.FTOP);
  out.setUint16(0, m.get32(L.FCW), true);
  out.setUint16(2, m.get32(L.FSW) | (newTop << 11), true);
  out.setUint8(4, m.get32(L.FTAG));
  for (let i = 0; i < 8; i++) {
    const at = area + L.FPR + ((newTop + i) & 7) * 16;
    fx.set(host.u8.subarray(at, at + 10), 32 + i * 16);
  }
  for (let i = 0; i < 16; i++) {
    const at = area + L.XMM + i * L.XMM_SIZE;
    fx.set(host.u8.subarray(at, at + 16), 160 + i * 16);
  }
  return { fx, memory: host.u8.slice(data, data + 128), rax: m.get(L.RAX), rcx: m.get(L.RCX), rflags: m.rflags() };
}

const hex = (bytes: Uint8Array): string => Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).reverse().join('');

/** Takes over approximations that are near enough. */
function align(ours: Uint8Array, theirs: Uint8Array): void {
  const a = new Float32Array(ours.buffer, ours.byteOffset + 160, 64);
  const b = new Float32Array(theirs.slice(160, 416).buffer);
  for (let i = 0; i < 64; i++) if (Math.abs(a[i]! - b[i]!) <= Math.abs(b[i]!) * 2 ** -11) a[i] = b[i]!;
}

function difference(ours: NativeResult, theirs: NativeResult): string | null {
  for (let at = 160; at < 416; at += 16) {
    const [a, b] = [hex(ours.fx.subarray(at, at + 16)), hex(theirs.fx.subarray(at, at + 16))];
    if (a !== b) return `xmm${(at - 160) / 16}: ${a}, the processor has ${b}`;
  }
  const state = (r: NativeResult): string => `${hex(r.fx.subarray(2, 5))} ${hex(r.fx.subarray(32, 160))}`;
  if (state(ours) !== state(theirs)) return `x87: ${state(ours)}, the processor has ${state(theirs)}`;
  if (ours.rcx !== theirs.rcx) return `rcx: ${ours.rcx.toString(16)}, the processor has ${theirs.rcx.toString(16)}`;
  if (ours.rax !== theirs.rax) return `rax: ${ours.rax.toString(16)}, the processor has ${theirs.rax.toString(16)}`;
  if (((ours.rflags ^ theirs.rflags) & FLAGS) !== 0n) return `flags: ${(ours.rflags & FLAGS).toString(16)}, the processor has ${(theirs.rflags & FLAGS).toString(16)}`;
  if (hex(ours.memory) !== hex(theirs.memory)) return `memory: ${hex(ours.memory)}, the processor has ${hex(theirs.memory)}`;
  return null;
}

const native = NativeProcessor.open();
afterAll(() => native?.close());

describe.skipIf(native === null)('vector instructions do what the processor does', () => {
  const machine = bareMachine(16 << 20, true);
  const tested = forms().filter((f) => !f.row.vex && f.row.map > 0 && f.modes.includes(64) && (f.mnemonic in vectorSemantics || MICROCODED.test(f.mnemonic)));
  const names = [...new Set(tested.map((f) => f.mnemonic))];
  let codeAt = machine.ram;

  test.for(names)('%s', (name) => {
    const random = new Random(0x51ed270b + names.indexOf(name));
    const ins = new Instruction();
    const cases: { form: Form; input: NativeCase; codeAt: number }[] = [];
    for (const form of tested.filter((f) => f.mnemonic === name)) {
      for (let n = 0; n < CASES; n++) {
        const code = encode(form, random, ins);
        if (!code) continue;
        machine.memory.write(codeAt, Uint8Array.from([...code, 0x90]));
        for (let k = 0; k < 6; k++) cases.push({ form, input: makeCase(form, code, random), codeAt });
        codeAt += 16;
      }
    }
    expect(cases.length).toBeGreaterThan(0);
    const results = native!.run(cases.map((c) => c.input));
    const wrong: string[] = [];
    for (const [i, c] of cases.entries()) {
      const ours = runModel(machine, c.input, c.codeAt);
      if (APPROXIMATE.test(name)) align(ours.fx, results[i]!.fx);
      const found = difference(ours, results[i]!);
      if (!found) continue;
      const from = [0, 1, 2, 3, 4, 5, 6, 7].map((r) => `\n  xmm${r} ${hex(c.input.fx.subarray(160 + r * 16, 176 + r * 16))} mm ${hex(c.input.fx.subarray(32 + r * 16, 40 + r * 16))}`).join('');
      wrong.push(`${c.form.key} [${c.input.code.map((x) => x.toString(16)).join(' ')}] ${found} mem ${hex(c.input.memory.subarray(0, 16))} rax ${c.input.rax.toString(16)} ${from}`);
    }
    expect(wrong.length, `${wrong.length} of ${cases.length} differ: ${wrong[0]}`).toBe(0);
  });
});
