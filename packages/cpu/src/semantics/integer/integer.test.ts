import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { codeView, decode } from '../../decode/decoder.ts';
import { forms } from '../../decode/forms.ts';
import { Instruction, OP_IMM, OP_MEM, OP_REG, RC_GPR_HIGH } from '../../decode/instruction.ts';
import type { Form } from '../../decode/form.ts';
import * as L from '../../state/layout.ts';
import { bareMachine, type BareMachine } from '../../testing/bare-machine.ts';
import { compileNative, type NativeProgram } from '../../testing/native-program.ts';
import { aluSemantics } from './alu.ts';
import { bitSemantics } from './bit.ts';
import { branchSemantics } from './branch.ts';
import { flagSemantics } from './flag.ts';
import { moveSemantics } from './move.ts';
import { multiplySemantics } from './multiply.ts';
import { shiftSemantics } from './shift.ts';

const MEMORY = 0x1000_0000;
/** Register order of the harness: RSP last. */
const ORDER = [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 4];
const STATE = 17 * 8 + 128 + 8;
const INPUT = STATE + 16;
const CASES_PER_FORM = Number(process.env['CASES'] ?? 24);
const [CF, PF, AF, ZF, SF, OF] = [1n, 4n, 16n, 64n, 128n, 2048n];
const ALL = CF | PF | AF | ZF | SF | OF;

/** Flags that the manual leaves undefined, by mnemonic. */
const UNDEFINED: Readonly<Record<string, bigint>> = {
  and: AF, or: AF, xor: AF, test: AF, andn: AF | PF, blsi: AF | PF, blsr: AF | PF, blsmsk: AF | PF, bzhi: AF | PF,
  bextr: AF | PF | SF, shl: AF | OF, sal: AF | OF, shr: AF | OF, sar: AF | OF, shld: AF | OF | CF, shrd: AF | OF | CF, rol: OF, ror: OF, rcl: OF, rcr: OF,
  mul: SF | ZF | AF | PF, imul: SF | ZF | AF | PF, div: ALL, idiv: ALL,
  bt: OF | SF | AF | PF, bts: OF | SF | AF | PF, btr: OF | SF | AF | PF, btc: OF | SF | AF | PF,
  bsf: CF | OF | SF | AF | PF, bsr: CF | OF | SF | AF | PF, tzcnt: OF | SF | AF | PF, lzcnt: OF | SF | AF | PF,
};
const INTERESTING = [0n, 1n, 0x7fn, 0x80n, 0xffn, 0x7fffn, 0x8000n, 0xffffn, 0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn,
  0x7fff_ffff_ffff_ffffn, 0x8000_0000_0000_0000n, 0xffff_ffff_ffff_ffffn];

function testedMnemonics(): Set<string> {
  const names = [aluSemantics, moveSemantics, shiftSemantics, multiplySemantics, bitSemantics].flatMap((g) => Object.keys(g));
  const conditions = Object.keys(branchSemantics).filter((n) => n.startsWith('set') || n.startsWith('cmov'));
  const flags = Object.keys(flagSemantics).filter((n) => /^(c[ml]c|stc|lahf|sahf|cld|std|nop)$/.test(n));
  return new Set([...names, ...conditions, ...flags, 'lea']);
}

/** A small generator with a seed, so that a failure comes back. */
function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 8;
  };
}

/** Bytes that decode to the form, by trial: prefixes, opcode, and random ModRM and rest. */
function encode(form: Form, next: () => number, ins: Instruction): number[] | null {
  const { row } = form;
  for (let attempt = 0; attempt < 400; attempt++) {
    const bytes: number[] = [];
    if (row.vex) {
      const map = row.map;
      bytes.push(0xc4, 0xe0 | map | 0, ((next() & 15) << 3) | (form.operandSize === 8 ? 0x80 : 0) | (row.prefix > 0 ? row.prefix : 0));
    } else {
      if (form.operandSize === 2 && row.prefix !== 1) bytes.push(0x66);
      if (row.prefix > 0) bytes.push([0, 0x66, 0xf3, 0xf2][row.prefix]!);
      if (form.operandSize === 8 || (next() & 3) === 0) bytes.push(0x40 | (form.operandSize === 8 ? 8 : 0) | (next() & 7));
      if (row.map > 0) bytes.push(0x0f);
      if (row.map === 2) bytes.push(0x38);
      if (row.map === 3) bytes.push(0x3a);
    }
    bytes.push(row.opcode | (row.plusRegister ? next() & 7 : 0));
    const modrm = next() & 0xff;
    bytes.push(row.digit >= 0 ? (modrm & 0xc7) | (row.digit << 3) : modrm);
    while (bytes.length < 16) bytes.push(next() & 0xff);
    const length = decode(codeView(Uint8Array.from(bytes)), 0, 16, 64, ins);
    if (length > 0 && ins.form === form.index && usable(ins)) return bytes.slice(0, length);
  }
  return null;
}

/** The memory operand must be one that registers can put into the test's page; RSP stays out of it. */
function usable(ins: Instruction): boolean {
  if (ins.addressSize !== 8 || ins.segmentOverride >= 0 || ins.prefixes & 1) return false;
  for (let i = 0; i < ins.operandCount; i++) {
    const operand = ins.operands[i]!;
    if (operand.kind === OP_MEM && (ins.memBase < 0 || ins.memBase === 16 || ins.memBase === ins.memIndex)) return false;
    if (operand.kind === OP_REG && operand.regClass > RC_GPR_HIGH) return false;
  }
  return true;
}

interface Case {
  readonly form: Form;
  readonly code: number[];
  readonly input: DataView;
}

function makeCase(form: Form, next: () => number, ins: Instruction): Case | null {
  const code = encode(form, next, ins);
  if (!code) return null;
  const value = (): bigint => {
    if (next() & 1) return INTERESTING[next() % INTERESTING.length]!;
    return (BigInt(next()) << 44n) ^ (BigInt(next()) << 22n) ^ BigInt(next());
  };
  const regs = ORDER.map(() => BigInt.asUintN(64, value()));
  const input = new DataView(new ArrayBuffer(INPUT));
  for (let i = 0; i < 128; i += 8) input.setBigUint64(136 + i, BigInt.asUintN(64, value()), true);
  const memory = [0, 1, 2, 3].some((i) => i < ins.operandCount && ins.operands[i]!.kind === OP_MEM);
  if (memory) {
    if (ins.mnemonic >= 0 && /^bt[src]?$/.test(form.mnemonic) && ins.operands[1].kind === OP_REG)
      regs[ORDER.indexOf(ins.operands[1].reg)] = BigInt(next() & 255);
    const disp = (BigInt(ins.dispHi) << 32n) | BigInt(ins.dispLo >>> 0);
    const index = ins.memIndex >= 0 ? regs[ORDER.indexOf(ins.memIndex)]! << BigInt(ins.memScale) : 0n;
    regs[ORDER.indexOf(ins.memBase)] = BigInt.asUintN(64, BigInt(MEMORY + 48 + (next() & 15)) - disp - index);
    // A source that is also the base keeps the address; indices of bit strings then need the other way round.
    if (/^bt[src]?$/.test(form.mnemonic) && ins.operands[1].kind !== OP_IMM && ins.operands[1].reg === ins.memBase) return null;
    if (/^bt[src]?$/.test(form.mnemonic) && ins.operands[1].kind !== OP_IMM && ins.operands[1].reg === ins.memIndex) return null;
  }
  regs.forEach((r, i) => input.setBigUint64(i * 8, r, true));
  input.setBigUint64(128, 0x202n | (BigInt(next()) & ALL), true);
  new Uint8Array(input.buffer).fill(0x90, STATE);
  new Uint8Array(input.buffer).set(code, STATE);
  return { form, code, input };
}

/** What processors do differently, or the manual leaves undefined altogether. */
function vendorSpecific(c: Case): boolean {
  const { mnemonic, key } = c.form;
  // 0F 0D with a register is #UD on some processors.
  if (mnemonic === 'nop' && c.code.includes(0x0d)) return true;
  // Whether a register destination is written (and so zero-extended) when the comparison fails.
  if (key === 'cmpxchg r32,r32') return true;
  if (!/^sh[lr]d [rm]16/.test(key)) return false;
  const count = key.endsWith('imm') ? c.code.at(-1)! : c.input.getUint8(8);
  return (count & 31) > 16;
}

/** The same case on the model. */
function runModel(m: BareMachine, c: Case): DataView {
  const out = new DataView(c.input.buffer.slice(0, STATE));
  const bytes = new Uint8Array(c.input.buffer);
  m.memory.write(m.ram, bytes.subarray(STATE, STATE + 16));
  m.memory.write(MEMORY, bytes.subarray(136, 136 + 128));
  ORDER.forEach((r, i) => m.set(L.GPR + r * 8, c.input.getBigUint64(i * 8, true)));
  m.setRflags(c.input.getBigUint64(128, true));
  m.set32(L.EVENT_VECTOR, -1);
  m.set(L.RIP, BigInt(m.ram));
  m.driver.run(1);
  ORDER.forEach((r, i) => out.setBigUint64(i * 8, m.get(L.GPR + r * 8), true));
  out.setBigUint64(128, m.rflags(), true);
  new Uint8Array(out.buffer).set(m.memory.u8.subarray(MEMORY, MEMORY + 128), 136);
  out.setBigInt64(264, BigInt(m.event()), true);
  if (m.event() < 0) expect(m.get(L.RIP), hex(c.code)).toBe(BigInt(m.ram + c.code.length));
  return out;
}

function hex(code: readonly number[]): string {
  return code.map((b) => b.toString(16).padStart(2, '0')).join(' ');
}

function difference(c: Case, ours: DataView, real: DataView): string | null {
  const at = (what: string, x: bigint, y: bigint): string =>
    `${c.form.key} [${hex(c.code)}] ${what}: ${x.toString(16)}, the processor has ${y.toString(16)}`;
  const vectors = [ours.getBigInt64(264, true), real.getBigInt64(264, true)] as const;
  if (vectors[0] !== vectors[1]) return at('vector', BigInt.asUintN(64, vectors[0]), BigInt.asUintN(64, vectors[1]));
  if (vectors[0] >= 0n) return null;
  for (let i = 0; i < 16; i++) {
    const x = ours.getBigUint64(i * 8, true);
    const y = real.getBigUint64(i * 8, true);
    if (x !== y) return at(`register ${ORDER[i]}`, x, y);
  }
  const mask = ALL & ~(UNDEFINED[c.form.mnemonic] ?? 0n);
  const flags = [ours.getBigUint64(128, true) & mask, real.getBigUint64(128, true) & mask] as const;
  if (flags[0] !== flags[1]) return at(`flags (from ${c.input.getBigUint64(128, true).toString(16)})`, flags[0], flags[1]);
  for (let i = 0; i < 128; i += 8) {
    const x = ours.getBigUint64(136 + i, true);
    const y = real.getBigUint64(136 + i, true);
    if (x !== y) return at(`memory ${i}`, x, y);
  }
  return null;
}

describe('integer instructions against the processor of this machine', () => {
  let native: NativeProgram | null;
  let machine: BareMachine;
  beforeAll(() => {
    native = compileNative('native-gpr.c');
    machine = bareMachine(320 << 20, true);
  });
  afterAll(() => native?.close());

  test('every form', (context) => {
    if (!native) return context.skip('no C compiler for x86-64 here');
    const names = testedMnemonics();
    const ins = new Instruction();
    const next = random(Number(process.env['SEED'] ?? 7));
    const cases: Case[] = [];
    const missing: string[] = [];
    for (const form of forms()) {
      if (!names.has(form.mnemonic) || !form.modes.includes(64)) continue;
      if (form.operands.some((o) => o.kind === 'reg' && o.regClass !== 0)) continue;
      if (form.operands.some((o) => o.size === 1 && o.kind === 'imm' && form.mnemonic === 'nop')) continue;
      let made = 0;
      for (let i = 0; i < CASES_PER_FORM; i++) {
        const c = makeCase(form, next, ins);
        if (c) made++;
        if (c) cases.push(c);
      }
      if (made === 0) missing.push(form.key);
    }
    const input = new Uint8Array(cases.length * INPUT);
    cases.forEach((c, i) => input.set(new Uint8Array(c.input.buffer), i * INPUT));
    const child = spawnSync(native.path, { input, maxBuffer: 2 ** 31 - 1 });
    expect(child.stdout.length).toBe(cases.length * STATE);
    const failures: string[] = [];
    cases.forEach((c, i) => {
      const real = new DataView(child.stdout.buffer, child.stdout.byteOffset + i * STATE, STATE);
      const ours = runModel(machine, c);
      const found = vendorSpecific(c) ? null : difference(c, ours, real);
      if (found) failures.push(found);
    });
    if (process.env['VERBOSE']) console.log(`${cases.length} cases; without a case: ${missing.join('; ')}`);
    const byForm = new Map(failures.map((f) => [f.split(' [')[0]!, f]));
    expect([...byForm.values()].slice(0, 60)).toEqual([]);
    expect(cases.length).toBeGreaterThan(5000);
  }, 60_000);
});
