/**
 * From instruction bytes to operands (x86_decode_insn of arch/x86/kvm/emulate.c; SDM vol. 2A, ch. 2). Bytes are fetched
 * from the guest as they are needed; the first step that fails leaves its result in `rc`, and decoding runs on over zeros.
 */

import { kvmSegmentSelector } from '../vmx/segment.ts';
import { fetchInsn } from './access.ts';
import type { EmulateCtxt, Operand } from './ctxt.ts';
import {
  emulateUd,
  OP_IMM,
  OP_MEM,
  OP_NONE,
  OP_REG,
  OP_XMM,
  regHi,
  regLo,
  X86EMUL_CONTINUE,
  X86EMUL_MODE_PROT32,
  X86EMUL_MODE_PROT64,
  X86EMUL_UNHANDLEABLE,
} from './ctxt.ts';
import type { Opcode, OpcodeSlot, OperandSpec } from './opcodes.ts';
import { oneByteOpcodes, prefixedOpcodes, threeByteOpcodes, twoByteOpcodes } from './opcodes.ts';

const REX_W = 8;
const REX_R = 4;
const REX_X = 2;
const REX_B = 1;
const SEG_SS = 2;
const SEG_DS = 3;
const NO_BASE = -1;
const RSP = 4;
const RBP = 5;

function byte(c: EmulateCtxt): number {
  if (c.rc !== X86EMUL_CONTINUE) return 0;
  if (c.pos >= c.fetched && !fetchInsn(c)) return 0;
  return c.insn[c.pos++]!;
}

function half(c: EmulateCtxt): number {
  const low = byte(c);
  return low | (byte(c) << 8);
}

/** Signed. */
function dword(c: EmulateCtxt): number {
  const low = half(c);
  return low | (half(c) << 16);
}

/** x86_decode_insn: X86EMUL_CONTINUE when the instruction is one that the emulator carries out. */
export function decodeInsn(c: EmulateCtxt): number {
  const sixteen = c.mode < X86EMUL_MODE_PROT32;
  c.opBytes = sixteen ? 2 : 4;
  c.adBytes = sixteen ? 2 : c.mode === X86EMUL_MODE_PROT64 ? 8 : 4;
  c.op = null;
  c.ripRelative = false;
  c.src.type = OP_NONE;
  c.src2.type = OP_NONE;
  c.dst.type = OP_NONE;
  const operandSize = prefixes(c);
  if ((c.rex & REX_W) !== 0) c.opBytes = 8;
  const op = lookup(c, operandSize);
  if (c.rc !== X86EMUL_CONTINUE) return c.rc;
  if (op === null) return X86EMUL_UNHANDLEABLE;
  c.op = op;
  if (op.stack && c.mode === X86EMUL_MODE_PROT64 && c.opBytes === 4) c.opBytes = 8;
  decodeOperands(c, op);
  if (c.rc !== X86EMUL_CONTINUE) return c.rc;
  const next = c.ripLo + c.pos;
  c.nextLo = next >>> 0;
  c.nextHi = c.mode === X86EMUL_MODE_PROT64 ? (c.ripHi + (next > 0xffffffff ? 1 : 0)) >>> 0 : 0;
  if (c.ripRelative) addRip(c);
  if (c.lock && (!op.lock || c.dst.type !== OP_MEM)) return emulateUd(c);
  return X86EMUL_CONTINUE;
}

/** Legacy prefixes and REX; true when there was an operand-size prefix. */
function prefixes(c: EmulateCtxt): boolean {
  let operandSize = false;
  const defaultOp = c.opBytes;
  const defaultAd = c.adBytes;
  c.rex = 0;
  c.lock = false;
  c.rep = 0;
  c.segOverride = -1;
  for (;;) {
    const b = byte(c);
    if (c.rc !== X86EMUL_CONTINUE) return operandSize;
    if (c.mode === X86EMUL_MODE_PROT64 && (b & 0xf0) === 0x40) {
      c.rex = b;
      continue;
    }
    if (b === 0x66) {
      operandSize = true;
      c.opBytes = defaultOp ^ 6;
    } else if (b === 0x67) c.adBytes = defaultAd === 8 ? 4 : defaultAd ^ 6;
    else if (b === 0xf0) c.lock = true;
    else if (b === 0xf2 || b === 0xf3) c.rep = b;
    else if ((b & 0xe7) === 0x26) c.segOverride = c.mode === X86EMUL_MODE_PROT64 ? c.segOverride : (b >> 3) & 3;
    else if (b === 0x64 || b === 0x65) c.segOverride = b & 7;
    else {
      c.opcode = b;
      return operandSize;
    }
    // REX counts only right before the opcode.
    c.rex = 0;
  }
}

function lookup(c: EmulateCtxt, operandSize: boolean): Opcode | null {
  if (c.opcode !== 0x0f) return choose(c, oneByteOpcodes[c.opcode]!);
  c.opcode = byte(c);
  if (c.opcode === 0x38) {
    c.opcode = byte(c);
    return c.rep !== 0 ? null : choose(c, threeByteOpcodes[c.opcode]!);
  }
  // F2 and F3 come before 66 as a mandatory prefix.
  const key = operandSize && c.rep === 0 ? -1 : (c.rep << 8) | c.opcode;
  const prefixed = prefixedOpcodes.get(key);
  if (prefixed !== undefined) return prefixed === null ? null : choose(c, prefixed);
  const op = choose(c, twoByteOpcodes[c.opcode]!);
  return op !== null && op.vector && c.rep !== 0 ? null : op;
}

function choose(c: EmulateCtxt, slot: OpcodeSlot): Opcode | null {
  if (slot === null) return null;
  if (!isGroup(slot)) {
    if (slot.modrm) c.modrm = byte(c);
    return slot;
  }
  c.modrm = byte(c);
  return slot[(c.modrm >> 3) & 7] ?? null;
}

function isGroup(slot: Opcode | readonly (Opcode | null)[]): slot is readonly (Opcode | null)[] {
  return Array.isArray(slot);
}

// ---- operands

function widthOf(c: EmulateCtxt, width: string): number {
  switch (width) {
    case 'b':
      return 1;
    case 'w':
      return 2;
    case 'd':
      return 4;
    case 'q':
      return 8;
    case 'x':
      return 16;
    case 'z':
      return Math.min(c.opBytes, 4);
    case 'y':
      return c.opBytes === 8 ? 8 : 4;
    case 'p':
      return c.opBytes === 8 ? 16 : 8;
    default:
      return c.opBytes;
  }
}

/** ModRM's memory operand comes first in the bytes, immediates last: the order of the operands in the table fits. */
function decodeOperands(c: EmulateCtxt, op: Opcode): void {
  const { operands } = op;
  for (let i = 0; i < operands.length; i++) {
    const spec = operands[i]!;
    if (spec.kind === 'E' || spec.kind === 'M' || spec.kind === 'W') decodeRm(c, spec, operandAt(c, i));
  }
  for (let i = 0; i < operands.length; i++) decodeOther(c, operands[i]!, operandAt(c, i));
  if (op.bits) adjustBitAddress(c);
  // cmpxchg16b is more than an operand holds.
  if (c.dst.type === OP_MEM && c.dst.bytes > 8 && !op.vector) c.rc = X86EMUL_UNHANDLEABLE;
}

function operandAt(c: EmulateCtxt, i: number): Operand {
  return i === 0 ? c.dst : i === 1 ? c.src : c.src2;
}

function setRegister(c: EmulateCtxt, operand: Operand, reg: number, bytes: number): void {
  operand.type = OP_REG;
  operand.bytes = bytes;
  operand.high = bytes === 1 && c.rex === 0 && reg >= 4;
  operand.reg = operand.high ? reg - 4 : reg;
}

function decodeRm(c: EmulateCtxt, spec: OperandSpec, operand: Operand): void {
  const bytes = widthOf(c, spec.width);
  if (c.modrm < 0xc0) {
    operand.type = OP_MEM;
    operand.bytes = bytes;
    decodeAddress(c, operand);
    return;
  }
  const rm = (c.modrm & 7) | ((c.rex & REX_B) !== 0 ? 8 : 0);
  if (spec.kind === 'M') c.rc = X86EMUL_UNHANDLEABLE;
  else if (spec.kind === 'W') setVector(operand, rm, bytes);
  else setRegister(c, operand, rm, bytes);
}

function setVector(operand: Operand, reg: number, bytes: number): void {
  operand.type = OP_XMM;
  operand.reg = reg;
  operand.bytes = bytes;
}

function decodeOther(c: EmulateCtxt, spec: OperandSpec, operand: Operand): void {
  const bytes = widthOf(c, spec.width);
  const reg = ((c.modrm >> 3) & 7) | ((c.rex & REX_R) !== 0 ? 8 : 0);
  switch (spec.kind) {
    case 'G':
      return setRegister(c, operand, reg, bytes);
    case 'V':
      return setVector(operand, reg, bytes);
    case 'A':
      setRegister(c, operand, 0, bytes);
      return;
    case 'I':
      return decodeImmediate(c, spec.width, operand);
    case 'O':
      return decodeOffset(c, operand, bytes);
    case 'X':
    case 'Y':
      operand.type = OP_MEM;
      operand.bytes = bytes;
      operand.seg = spec.kind === 'Y' ? 0 : c.segOverride >= 0 ? c.segOverride : SEG_DS;
      return;
    case 'C':
      return setRegister(c, operand, 1, 1);
    case 'D':
      return setRegister(c, operand, 2, 2);
    case '1':
      return setImmediate(operand, 1, 1, 0);
    case 'S':
      return decodeSegment(c, operand);
    default:
  }
}

function setImmediate(operand: Operand, bytes: number, lo: number, hi: number): void {
  operand.type = OP_IMM;
  operand.bytes = bytes;
  operand.lo = lo >>> 0;
  operand.hi = hi >>> 0;
}

/** Immediates are sign-extended to 64 bits, but plain bytes are not. */
function decodeImmediate(c: EmulateCtxt, width: string, operand: Operand): void {
  if (width === 'b') {
    setImmediate(operand, 1, byte(c), 0);
    return;
  }
  const value = width === 's' ? (byte(c) << 24) >> 24 : c.opBytes === 2 ? (half(c) << 16) >> 16 : dword(c);
  setImmediate(operand, c.opBytes, value, value >> 31);
}

function decodeSegment(c: EmulateCtxt, operand: Operand): void {
  const seg = (c.modrm >> 3) & 7;
  if (seg > 5) {
    c.rc = emulateUd(c);
    return;
  }
  setImmediate(operand, 2, kvmSegmentSelector(c.vcpu, seg), 0);
}

/** Absolute address of the address size. */
function decodeOffset(c: EmulateCtxt, operand: Operand, bytes: number): void {
  operand.type = OP_MEM;
  operand.bytes = bytes;
  operand.seg = c.segOverride >= 0 ? c.segOverride : SEG_DS;
  operand.eaLo = c.adBytes === 2 ? half(c) : dword(c) >>> 0;
  operand.eaHi = c.adBytes === 8 ? dword(c) >>> 0 : 0;
}

// ---- addresses (SDM vol. 2A, tables 2-1 to 2-3)

/** Base, index and default segment of 16-bit addressing, by rm. */
const MODRM16: readonly (readonly [base: number, index: number, seg: number])[] = [
  [3, 6, SEG_DS],
  [3, 7, SEG_DS],
  [5, 6, SEG_SS],
  [5, 7, SEG_SS],
  [6, NO_BASE, SEG_DS],
  [7, NO_BASE, SEG_DS],
  [5, NO_BASE, SEG_SS],
  [3, NO_BASE, SEG_DS],
];

function decodeAddress(c: EmulateCtxt, operand: Operand): void {
  operand.eaLo = 0;
  operand.eaHi = 0;
  operand.seg = SEG_DS;
  if (c.adBytes === 2) address16(c, operand);
  else address32(c, operand);
  if (c.segOverride >= 0) operand.seg = c.segOverride;
}

function addSigned(operand: Operand, value: number): void {
  addHalves(operand, value >>> 0, (value >> 31) >>> 0);
}

function addHalves(operand: Operand, lo: number, hi: number): void {
  const sum = operand.eaLo + lo;
  operand.eaLo = sum >>> 0;
  operand.eaHi = (operand.eaHi + hi + (sum > 0xffffffff ? 1 : 0)) >>> 0;
}

function maskAddress(c: EmulateCtxt, operand: Operand): void {
  if (c.adBytes === 8) return;
  operand.eaHi = 0;
  if (c.adBytes === 2) operand.eaLo &= 0xffff;
}

function displacement(c: EmulateCtxt, mod: number): number {
  return mod === 1 ? (byte(c) << 24) >> 24 : mod === 2 ? (c.adBytes === 2 ? half(c) : dword(c)) : 0;
}

function address16(c: EmulateCtxt, operand: Operand): void {
  const mod = c.modrm >> 6;
  const rm = c.modrm & 7;
  if (mod === 0 && rm === 6) {
    operand.eaLo = half(c);
    return;
  }
  const [base, index, seg] = MODRM16[rm]!;
  operand.seg = seg;
  addHalves(operand, regLo(c, base), 0);
  if (index >= 0) addHalves(operand, regLo(c, index), 0);
  addSigned(operand, displacement(c, mod));
  maskAddress(c, operand);
}

function address32(c: EmulateCtxt, operand: Operand): void {
  const mod = c.modrm >> 6;
  const rm = c.modrm & 7;
  if (rm === RSP) decodeSib(c, operand, mod);
  else if (mod === 0 && rm === RBP) {
    addSigned(operand, dword(c));
    c.ripRelative = c.mode === X86EMUL_MODE_PROT64;
  } else addBase(c, operand, rm | ((c.rex & REX_B) !== 0 ? 8 : 0), rm);
  addSigned(operand, displacement(c, mod));
  maskAddress(c, operand);
}

function addBase(c: EmulateCtxt, operand: Operand, reg: number, low: number): void {
  addHalves(operand, regLo(c, reg), regHi(c, reg));
  if (reg === low && (low === RBP || low === RSP)) operand.seg = SEG_SS;
}

function decodeSib(c: EmulateCtxt, operand: Operand, mod: number): void {
  const sib = byte(c);
  const base = sib & 7;
  const index = ((sib >> 3) & 7) | ((c.rex & REX_X) !== 0 ? 8 : 0);
  if (base === RBP && mod === 0) addSigned(operand, dword(c));
  else addBase(c, operand, base | ((c.rex & REX_B) !== 0 ? 8 : 0), base);
  if (index === RSP) return;
  let lo = regLo(c, index);
  let hi = regHi(c, index);
  const scale = sib >> 6;
  if (scale > 0) {
    hi = ((hi << scale) | (lo >>> (32 - scale))) >>> 0;
    lo = (lo << scale) >>> 0;
  }
  addHalves(operand, lo, hi);
}

/** RIP-relative addresses count from the next instruction. */
function addRip(c: EmulateCtxt): void {
  for (const operand of [c.dst, c.src, c.src2]) {
    if (operand.type !== OP_MEM) continue;
    addHalves(operand, c.nextLo, c.nextHi);
    maskAddress(c, operand);
  }
}

/** bt and relatives with a register: the bit offset is signed and moves the address by whole operands. */
function adjustBitAddress(c: EmulateCtxt): void {
  const { dst, src } = c;
  if (dst.type !== OP_MEM) return;
  const bits = BigInt.asIntN(dst.bytes * 8, (BigInt(regHi(c, src.reg)) << 32n) | BigInt(regLo(c, src.reg)));
  const offset = (bits & ~BigInt(dst.bytes * 8 - 1)) >> 3n;
  addHalves(dst, Number(offset & 0xffffffffn), Number((offset >> 32n) & 0xffffffffn));
  maskAddress(c, dst);
}
