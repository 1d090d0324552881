/**
 * Carrying out a decoded instruction: operands in, the work, operands out, and the repetition of string instructions
 * (x86_emulate_insn of arch/x86/kvm/emulate.c). Nothing of the guest's state changes before all that can fail has been done,
 * but that repeated instructions may stop between two elements.
 */

import { X86_EFLAGS_DF, X86_EFLAGS_RF } from '../x86-bits.ts';
import { segmentedRead, segmentedWrite } from './access.ts';
import { ZF } from './alu.ts';
import type { EmulateCtxt, Operand } from './ctxt.ts';
import {
  assignReg,
  emulateGp,
  OP_IMM,
  OP_MEM,
  OP_NONE,
  OP_REG,
  OP_XMM,
  regHi,
  regLo,
  writebackRegisters,
  X86EMUL_CONTINUE,
} from './ctxt.ts';
import { checkVector, readXmm, writeXmm } from './execute-vector.ts';
import type { Opcode } from './opcodes.ts';

const RCX = 1;
const RSI = 6;
const RDI = 7;
/** Elements after which a repeated instruction lets the guest take interrupts. */
const MAX_ITERATIONS = 1024;

/**
 * x86_emulate_insn: X86EMUL_*. With X86EMUL_CONTINUE the registers in the context are to be written back; `restart` then says that
 * RIP stays, for the rest of a repeated instruction.
 */
export function executeInsn(c: EmulateCtxt): number {
  const op = c.op!;
  c.restart = false;
  if (op.vector) {
    const rc = checkVector(c);
    if (rc !== X86EMUL_CONTINUE) return rc;
  }
  if (!op.string) return step(c, op);
  return c.rep === 0 ? stringStep(c, op) : repeat(c, op);
}

function repeat(c: EmulateCtxt, op: Opcode): number {
  for (let i = 0; i < MAX_ITERATIONS; i += c.stringCount) {
    if (countIsZero(c)) {
      c.rflags &= ~X86_EFLAGS_RF;
      return X86EMUL_CONTINUE;
    }
    const rc = stringStep(c, op);
    if (rc !== X86EMUL_CONTINUE) return rc;
    increment(c, RCX, -c.stringCount);
    if (countIsZero(c) || comparisonEnds(c)) {
      c.rflags &= ~X86_EFLAGS_RF;
      return X86EMUL_CONTINUE;
    }
    writebackRegisters(c);
    c.memPos = 0;
    c.memEnd = 0;
    // The address that the exit gave was the first element's.
    c.gpa = -1;
    // Userspace must act first, or string input has used up what it read ahead.
    if (c.vcpu.mmioNeeded || c.vcpu.pioCount !== 0) break;
  }
  c.restart = true;
  return X86EMUL_CONTINUE;
}

function countIsZero(c: EmulateCtxt): boolean {
  const lo = regLo(c, RCX);
  if (c.adBytes === 2) return (lo & 0xffff) === 0;
  return lo === 0 && (c.adBytes === 4 || regHi(c, RCX) === 0);
}

/** CMPS and SCAS end when ZF differs from what REPE (F3) or REPNE (F2) asks for. */
function comparisonEnds(c: EmulateCtxt): boolean {
  if ((c.opcode & 0xf6) !== 0xa6) return false;
  return ((c.rflags & ZF) !== 0) !== (c.rep === 0xf3);
}

/** One element: addresses from RSI and RDI, which move on. */
function stringStep(c: EmulateCtxt, op: Opcode): number {
  c.stringCount = 1;
  const { operands } = op;
  for (let i = 0; i < 2 && i < operands.length; i++) {
    const { kind } = operands[i]!;
    if (kind === 'X' || kind === 'Y') setStringAddress(c, i === 0 ? c.dst : c.src, kind === 'X' ? RSI : RDI);
  }
  const rc = step(c, op);
  if (rc !== X86EMUL_CONTINUE) return rc;
  for (let i = 0; i < 2 && i < operands.length; i++) {
    const { kind } = operands[i]!;
    if (kind !== 'X' && kind !== 'Y') continue;
    const bytes = (i === 0 ? c.dst : c.src).bytes * c.stringCount;
    increment(c, kind === 'X' ? RSI : RDI, (c.rflags & X86_EFLAGS_DF) !== 0 ? -bytes : bytes);
  }
  return X86EMUL_CONTINUE;
}

function setStringAddress(c: EmulateCtxt, operand: Operand, reg: number): void {
  const lo = regLo(c, reg);
  operand.eaLo = c.adBytes === 2 ? lo & 0xffff : lo;
  operand.eaHi = c.adBytes === 8 ? regHi(c, reg) : 0;
}

/** register_address_increment: within the address size. */
function increment(c: EmulateCtxt, reg: number, by: number): void {
  const sum = regLo(c, reg) + by;
  const carry = sum > 0xffffffff ? 1 : sum < 0 ? -1 : 0;
  assignReg(c, reg, c.adBytes, sum >>> 0, (regHi(c, reg) + carry) >>> 0);
}

/** One round: read, do, write. */
function step(c: EmulateCtxt, op: Opcode): number {
  c.writeSrc = false;
  c.skipWrite = false;
  const portString = op.string && op.operands[1]!.kind === 'D';
  let rc = readOperand(c, c.src, op);
  if (rc === X86EMUL_CONTINUE) rc = readOperand(c, c.src2, op);
  if (rc === X86EMUL_CONTINUE && !op.mov && !portString) rc = readOperand(c, c.dst, op);
  if (rc !== X86EMUL_CONTINUE) return rc;
  rc = op.execute(c);
  if (rc !== X86EMUL_CONTINUE) return rc;
  if (!op.noWrite && !c.skipWrite) rc = writeOperand(c, c.dst, op);
  if (rc === X86EMUL_CONTINUE && c.writeSrc) rc = writeOperand(c, c.src, op);
  return rc;
}

// ---- operands

function load(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

function misaligned(op: Opcode, operand: Operand): boolean {
  return op.aligned && operand.bytes === 16 && (operand.eaLo & 15) !== 0;
}

function readOperand(c: EmulateCtxt, operand: Operand, op: Opcode): number {
  switch (operand.type) {
    case OP_NONE:
    case OP_IMM:
      return X86EMUL_CONTINUE;
    case OP_REG:
      readRegister(c, operand);
      return X86EMUL_CONTINUE;
    case OP_XMM:
      readXmm(c, operand);
      return X86EMUL_CONTINUE;
    default:
      if (misaligned(op, operand)) return emulateGp(c);
      return readMemory(c, operand);
  }
}

function readRegister(c: EmulateCtxt, operand: Operand): void {
  const lo = regLo(c, operand.reg);
  operand.hi = 0;
  switch (operand.bytes) {
    case 1:
      operand.lo = (operand.high ? lo >>> 8 : lo) & 0xff;
      break;
    case 2:
      operand.lo = lo & 0xffff;
      break;
    case 8:
      operand.lo = lo;
      operand.hi = regHi(c, operand.reg);
      break;
    default:
      operand.lo = lo;
  }
}

function readMemory(c: EmulateCtxt, operand: Operand): number {
  const { bytes } = operand;
  const at = segmentedRead(c, operand.seg, operand.eaLo, operand.eaHi, bytes);
  if (at < 0) return -at;
  const from = c.memRead;
  operand.hi = 0;
  if (bytes === 1) operand.lo = from[at]!;
  else if (bytes === 2) operand.lo = from[at]! | (from[at + 1]! << 8);
  else operand.lo = load(from, at);
  if (bytes >= 8) operand.hi = load(from, at + 4);
  if (bytes === 16) {
    operand.x2 = load(from, at + 8);
    operand.x3 = load(from, at + 12);
  }
  return X86EMUL_CONTINUE;
}

function store(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value & 0xff;
  bytes[at + 1] = (value >>> 8) & 0xff;
  bytes[at + 2] = (value >>> 16) & 0xff;
  bytes[at + 3] = value >>> 24;
}

function writeOperand(c: EmulateCtxt, operand: Operand, op: Opcode): number {
  switch (operand.type) {
    case OP_REG:
      writeRegister(c, operand);
      return X86EMUL_CONTINUE;
    case OP_XMM:
      writeXmm(c, operand);
      return X86EMUL_CONTINUE;
    case OP_MEM:
      if (misaligned(op, operand)) return emulateGp(c);
      store(c.memWrite, 0, operand.lo);
      store(c.memWrite, 4, operand.hi);
      if (operand.bytes === 16) {
        store(c.memWrite, 8, operand.x2);
        store(c.memWrite, 12, operand.x3);
      }
      return segmentedWrite(c, operand.seg, operand.eaLo, operand.eaHi, operand.bytes);
    default:
      return X86EMUL_CONTINUE;
  }
}

function writeRegister(c: EmulateCtxt, operand: Operand): void {
  if (operand.high) {
    const lo = regLo(c, operand.reg);
    assignReg(c, operand.reg, 2, (lo & 0xff) | ((operand.lo & 0xff) << 8), 0);
  } else assignReg(c, operand.reg, operand.bytes, operand.lo, operand.hi);
}
