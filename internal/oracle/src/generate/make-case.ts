/** A test case of a form: bytes, a state in which its operands are somewhere sensible (or just not), memory. */
import { type Form, type Instruction, MNEMONICS, OP_MEM, OP_REG, RC_GPR, RC_MMX, RC_VEC } from '@vm/cpu/decode';
import { CODE, CODE_END, CODE_START, DATA, DATA_RO, DATA_RW, DATA_RW_LENGTH, local, STACK, STACK_LENGTH } from '../address-space.ts';
import { segmentOf } from '../descriptors.ts';
import { Random, seedOf } from '../random.ts';
import { CASE_BASES, CASE_STEP, type Patch, type TestCase } from '../records.ts';
import * as S from '../state.ts';
import { encode, type Encoded, isBranch, type Mode } from './encode.ts';
import { aimFar, isFar } from './far.ts';
import { codeOffset, setImplicit } from './implicit.ts';
import { initialState } from './initial-state.ts';
import { formName } from './scope.ts';
import { spoil } from './spoil.ts';
import { extended, integer, quadword } from './values.ts';

const PLACING_ATTEMPTS = 20;
const DATA_BYTES = 96;

/** Case `n` of a form in a mode; null if none can be made. The same arguments always give the same case. */
export function makeCase(form: Form, mode: Mode, n: number): TestCase | null {
  const random = new Random(seedOf(formName(form, mode)) + Math.imul(n + 1, 0x85ebca6b));
  for (let attempt = 0; attempt < PLACING_ATTEMPTS; attempt++) {
    const encoded = encode(form, mode, random);
    if (!encoded) return null;
    const made = place(form, mode, encoded, random);
    if (made) return made;
  }
  return null;
}

function place(form: Form, mode: Mode, encoded: Encoded, random: Random): TestCase | null {
  const { ins } = encoded;
  const code = encoded.bytes;
  const state = initialState(stateOptions(form, mode), random);
  if (mode === 16 && state.selector(S.SS) === local('data16') && namesWideStackPointer(ins)) return null;
  setImplicit(form.mnemonic, state, mode, random);
  relateOperands(form, ins, mode, state, random);
  // Single steps stop within strings and gathers.
  const atEnd = random.oneIn(60) && !/^(pushf|movs|stos|lods|scas|cmps|ins|outs|vp?gather)/.test(form.mnemonic);
  const codeAddress = atEnd ? CODE_END - code.length + (random.oneIn(2) ? random.below(code.length) : 0) : CODE_START;
  state.set(S.RIP, BigInt(codeAddress - (mode === 16 ? CODE : 0)));
  const patches: Patch[] = stackPatches(form, mode, state, random);
  const memory = ins.operands.find((o, i) => i < ins.operandCount && o.kind === OP_MEM);
  let target = 0;
  if (memory) {
    target = dataAddress(memory.size, random);
    if (!reach(target, mode, encoded, code, state, codeAddress, random)) return null;
    const patch = dataPatch(form, target, random);
    if (patch) patches.push(patch);
  } else patches.push(dataPatch(form, DATA_RW + 0x800 + random.below(0x700), random)!);
  const far = isFar(form);
  if (far) patches.push(...aimFar(form, mode, encoded, code, state, target, random));
  else if (isBranch(form)) aimBranch(form, mode, encoded, code, state, random);
  const stepped = far || isBranch(form) || atEnd;
  const final = !stepped && random.oneIn(24) ? spoil(code, form, mode, random) : code;
  // What lies behind the last page cannot be there.
  const there = final.slice(0, CODE_END - codeAddress);
  return { form: form.index, mode, code: there, codeAddress, flags: flagsOf(mode, stepped), state, patches };
}

/** With a 16-bit stack segment the kernel cannot restore the upper half of ESP (espfix), so nothing may read it. */
function namesWideStackPointer(ins: Instruction): boolean {
  const named = ins.operands.some((o, i) => i < ins.operandCount && o.kind === OP_REG && o.regClass === RC_GPR && o.reg === S.RSP && o.size === 4);
  return named || (ins.addressSize === 4 && ins.memBase === S.RSP) || /^(popa|pusha|enter|leave)d?$/.test(MNEMONICS[ins.mnemonic]!);
}

function flagsOf(mode: Mode, stepped: boolean): number {
  return (mode === 64 ? CASE_BASES : 0) | (stepped ? CASE_STEP : 0);
}

function stateOptions(form: Form, mode: Mode): Parameters<typeof initialState>[0] {
  const vector = form.row.vex || form.operands.some(({ regClass, kind }) => kind === 'reg' && regClass === RC_VEC) || /^(ldmxcsr|stmxcsr|fx)/.test(form.mnemonic);
  const mmx = form.operands.some(({ regClass, kind }) => kind === 'reg' && regClass === RC_MMX) || form.mnemonic === 'emms';
  const x87 = form.row.map === 0 && !form.row.vex && form.row.opcode >= 0xd8 && form.row.opcode <= 0xdf;
  return { mode, x87: x87 || /^(fx|fwait|wait)/.test(form.mnemonic), mmx, vector };
}

function setRegister(state: S.State, mode: Mode, register: number, value: bigint): void {
  state.setGpr(register, mode === 64 ? value : BigInt.asUintN(32, value));
}

/** Operands that mean something to one another. */
function relateOperands(form: Form, ins: Instruction, mode: Mode, state: S.State, random: Random): void {
  if (/^bt[src]?$/.test(form.mnemonic) && form.operands[0]?.kind === 'mem' && ins.operands[1].kind === OP_REG)
    setRegister(state, mode, ins.operands[1].reg, BigInt(random.below(4000) - 2000));
  if (/^v?p?(gather)/.test(form.mnemonic)) setGatherIndex(ins, state, random);
  if (form.mnemonic.startsWith('cmpxchg') && ins.operands[0].kind === OP_REG && random.oneIn(2)) state.setGpr(S.RAX, state.gpr(ins.operands[0].reg & 15));
}

function setGatherIndex(ins: Instruction, state: S.State, random: Random): void {
  const wide = /gatherq/.test(MNEMONICS[ins.mnemonic]!);
  for (let i = 0; i < 32; i += wide ? 8 : 4) {
    const at = (i < 16 ? S.XMM + ins.memIndex * 16 + i : S.YMM_HIGH + ins.memIndex * 16 + i - 16);
    const value = random.below(128) - 64;
    if (wide) state.view.setBigInt64(at, BigInt(value), true);
    else state.view.setInt32(at, value, true);
  }
}

/** Mostly plain addresses; some at the edges of pages, misaligned, read-only, absent or not canonical. */
function dataAddress(size: number, random: Random): number {
  const kind = random.below(40);
  const extent = Math.max(size, 1);
  if (kind === 0) return DATA_RW - 1 - random.below(extent);
  if (kind === 1) return DATA_RW + DATA_RW_LENGTH - random.below(extent + 1);
  if (kind === 2) return DATA_RO + random.below(0x1000 - DATA_BYTES);
  if (kind === 3) return DATA + 0x800 + random.below(64);
  if (kind < 7) return DATA_RW + 0x1000 - random.below(extent + 2);
  const aligned = random.below(2) === 0 || size >= 16 ? random.below(64) * 32 : random.below(2048);
  const off = size >= 16 && random.oneIn(5) ? random.below(32) : 0;
  return DATA_RW + 0x400 + aligned + off;
}

/** Sets the address registers, or writes the displacement, so that the operand is at the address. */
function reach(target: number, mode: Mode, encoded: Encoded, code: Uint8Array, state: S.State, codeAddress: number, random: Random): boolean {
  const { ins, dispAt, dispSize } = encoded;
  const bits = ins.addressSize * 8;
  const base = mode === 64 ? [S.FS, S.GS].includes(ins.memSegment) ? state.get(ins.memSegment === S.FS ? S.FS_BASE : S.GS_BASE) : 0n
    : BigInt(segmentOf(state.selector(ins.memSegment)).base);
  const effective = BigInt.asUintN(bits, BigInt(target) - base);
  const disp = (BigInt(ins.dispHi) << 32n) | BigInt(ins.dispLo >>> 0);
  const vectorIndex = ins.memIndexSize !== 0;
  const hasIndex = ins.memIndex >= 0 && !vectorIndex;
  const view = new DataView(code.buffer, code.byteOffset);
  if (ins.memBase === 16 || (ins.memBase < 0 && !hasIndex)) {
    if (dispAt < 0) return false;
    const next = ins.memBase === 16 ? BigInt(codeAddress + code.length) : 0n;
    const value = effective - next;
    if (dispSize === 8) view.setBigInt64(dispAt, BigInt.asIntN(64, value), true);
    else if (dispSize === 4) view.setInt32(dispAt, Number(BigInt.asIntN(32, value)), true);
    else view.setInt16(dispAt, Number(BigInt.asIntN(16, value)), true);
    return true;
  }
  if (hasIndex && ins.memIndex === ins.memBase) return false;
  // A bit offset that is part of the address would move both.
  const bitOffset = ins.operands[1];
  if (MNEMONICS[ins.mnemonic]!.startsWith('bt') && bitOffset.kind === OP_REG && [ins.memBase, ins.memIndex].includes(bitOffset.reg)) return false;
  if (ins.memBase < 0) {
    state.setGpr(ins.memIndex, upper(mode, bits, BigInt.asUintN(bits, effective - disp) >> BigInt(ins.memScale), random));
    return true;
  }
  if (hasIndex && random.oneIn(2)) setRegister(state, mode, ins.memIndex, BigInt(random.below(256) - 128));
  const index = hasIndex ? state.gpr(ins.memIndex) << BigInt(ins.memScale) : 0n;
  let value = BigInt.asUintN(bits, effective - disp - index);
  if (bits === 64 && random.oneIn(60)) value ^= 1n << 62n;
  state.setGpr(ins.memBase, upper(mode, bits, value, random));
  return true;
}

/** Bits that the address size ignores are sometimes there. */
function upper(mode: Mode, bits: number, value: bigint, random: Random): bigint {
  const width = mode === 64 ? 64 : 32;
  if (bits >= width || random.oneIn(2)) return BigInt.asUintN(width, value);
  return BigInt.asUintN(width, value | (random.u64() << BigInt(bits)));
}

/** Operand values; the read-only page keeps what it has. */
function dataPatch(form: Form, target: number, random: Random): Patch | null {
  const region = [[DATA_RW, DATA_RW + DATA_RW_LENGTH], [STACK, STACK + STACK_LENGTH]].find(([from, to]) => target + DATA_BYTES > from! && target < to!);
  if (!region) return null;
  const from = Math.max(target, region[0]!);
  const bytes = new Uint8Array(DATA_BYTES);
  const view = new DataView(bytes.buffer);
  const float = form.row.map === 0 && form.row.opcode >= 0xd8;
  for (let at = 0; at < DATA_BYTES; at += 8) view.setBigUint64(at, form.row.map > 0 || form.row.vex || float ? quadword(random) : integer(random) & 0xffff_ffff_ffff_ffffn, true);
  if (float && form.operands[0]?.size === 10) {
    const [significand, exponent] = extended(random);
    view.setBigUint64(0, significand, true);
    view.setUint16(8, exponent, true);
  }
  if (form.mnemonic === 'fbld' && !random.oneIn(4)) for (let i = 0; i < 9; i++) bytes[i] = (random.below(10) << 4) | random.below(10);
  return { address: from, bytes: bytes.subarray(0, Math.min(DATA_BYTES, region[1]! - from)) };
}

/** Bytes around the stack pointer: for RET the address to return to. */
function stackPatches(form: Form, mode: Mode, state: S.State, random: Random): Patch[] {
  if (form.mnemonic !== 'ret') return [];
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, codeOffset(mode, random) ^ (random.oneIn(20) ? 1n << 60n : 0n), true);
  const address = Number(state.gpr(S.RSP)) + (mode === 16 ? DATA : 0);
  return address >= STACK && address + 8 <= STACK + STACK_LENGTH ? [{ address, bytes }] : [];
}

/** A branch goes to where there is code. */
function aimBranch(form: Form, mode: Mode, { ins, immAt }: Encoded, code: Uint8Array, state: S.State, random: Random): void {
  const first = form.operands[0];
  if (!first) return;
  const view = new DataView(code.buffer, code.byteOffset);
  if (first.kind === 'rel' && first.size > 1) {
    const to = random.below(0x700) - 0x380;
    if (first.size === 2) view.setInt16(immAt, to, true);
    else view.setInt32(immAt, to, true);
  }
  if (first.kind === 'reg' && ins.operands[0].kind === OP_REG) state.setGpr(ins.operands[0].reg, codeOffset(mode, random) ^ (random.oneIn(20) && mode === 64 ? 1n << 59n : 0n));
}

