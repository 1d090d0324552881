/**
 * The state of one emulated instruction (struct x86_emulate_ctxt of arch/x86/kvm/kvm_emulate.h). One object a vCPU,
 * used again for each instruction. 64-bit values are two unsigned halves.
 */

import { kvmGetRflags, kvmRegisterReadHi, kvmRegisterReadLo, kvmRegisterWrite } from '../cache-regs.ts';
import type { KvmVcpu } from '../types.ts';
import type { Opcode } from './opcodes.ts';

// ---- results of the emulator's steps
export const X86EMUL_CONTINUE = 0;
/** The instruction is not one that is emulated. */
export const X86EMUL_UNHANDLEABLE = 1;
/** It faulted; the exception is in the context. */
export const X86EMUL_PROPAGATE_FAULT = 2;
/** Userspace must give data first. */
export const X86EMUL_IO_NEEDED = 5;

export const X86EMUL_MODE_REAL = 0;
export const X86EMUL_MODE_VM86 = 1;
export const X86EMUL_MODE_PROT16 = 2;
export const X86EMUL_MODE_PROT32 = 3;
export const X86EMUL_MODE_PROT64 = 4;

export const OP_NONE = 0;
export const OP_REG = 1;
export const OP_MEM = 2;
export const OP_IMM = 3;
export const OP_XMM = 4;

/** Bytes that string input reads ahead (struct read_cache). */
export const READ_CACHE_SIZE = 1024;

/** One operand. */
export class Operand {
  type: number = OP_NONE;
  bytes = 0;
  /** Register number; `high` selects AH, CH, DH, BH. */
  reg = 0;
  high = false;
  /** Segment and effective address of memory. */
  seg = 0;
  eaLo = 0;
  eaHi = 0;
  /** The value; of 16-byte operands the low eight bytes, the rest is in `x`. */
  lo = 0;
  hi = 0;
  x2 = 0;
  x3 = 0;
}

export class EmulateCtxt {
  readonly vcpu: KvmVcpu;

  // ---- before decoding
  mode: number = X86EMUL_MODE_REAL;
  cpl = 0;
  rflags = 2;
  /** RIP of the instruction, and after it. */
  ripLo = 0;
  ripHi = 0;
  nextLo = 0;
  nextHi = 0;
  /** The guest-physical address that the exit gave for the memory operand, -1 for none. */
  gpa = -1;

  // ---- decoding
  readonly insn: Uint8Array = new Uint8Array(16);
  /** Bytes in `insn`, and the next to decode. */
  fetched = 0;
  pos = 0;
  rc: number = X86EMUL_CONTINUE;
  opBytes = 4;
  adBytes = 4;
  rex = 0;
  lock = false;
  /** 0, 0xf2 or 0xf3. */
  rep = 0;
  segOverride = -1;
  opcode = 0;
  modrm = 0;
  ripRelative = false;
  op: Opcode | null = null;
  readonly dst: Operand = new Operand();
  readonly src: Operand = new Operand();
  readonly src2: Operand = new Operand();

  // ---- registers: general registers as the instruction sees and changes them
  readonly regs: Uint32Array = new Uint32Array(32);
  regsValid = 0;
  regsDirty = 0;

  // ---- memory and port reads that userspace has answered, for when the instruction runs again
  readonly memRead: Uint8Array = new Uint8Array(64);
  memPos = 0;
  memEnd = 0;
  readonly ioRead: Uint8Array = new Uint8Array(READ_CACHE_SIZE);
  ioPos = 0;
  ioEnd = 0;
  /** Bytes of a write. */
  readonly memWrite: Uint8Array = new Uint8Array(READ_CACHE_SIZE);
  /** Bytes of MMIO fragments, and where each fragment's begin. */
  readonly mmioBytes: Uint8Array = new Uint8Array(64);
  readonly mmioAt: Int32Array = new Int32Array(2);
  /** Result of linearize. */
  laLo = 0;
  laHi = 0;

  // ---- the exception
  haveException = false;
  vector = 0;
  hasErrorCode = false;
  errorCode = 0;
  addressLo = 0;
  addressHi = 0;

  /** The source operand, a register, is written too (xchg, xadd). */
  writeSrc = false;
  /** The destination is not written after all (a comparison that failed). */
  skipWrite = false;

  /** Elements that one step of a string instruction moved. */
  stringCount = 1;
  /** A repeated string instruction has not come to its end: RIP stays. */
  restart = false;

  constructor(vcpu: KvmVcpu) {
    this.vcpu = vcpu;
  }
}

export function ctxtOf(vcpu: KvmVcpu): EmulateCtxt {
  return (vcpu.emulate ??= new EmulateCtxt(vcpu)) as EmulateCtxt;
}

/** init_emulate_ctxt's part that the mode does not need: forgets the instruction before. */
export function resetCtxt(c: EmulateCtxt): void {
  c.regsValid = 0;
  c.regsDirty = 0;
  c.rflags = kvmGetRflags(c.vcpu);
  c.ripLo = kvmRegisterReadLo(c.vcpu, 16);
  c.ripHi = kvmRegisterReadHi(c.vcpu, 16);
  c.fetched = 0;
  c.pos = 0;
  c.rc = X86EMUL_CONTINUE;
  c.memPos = 0;
  c.memEnd = 0;
  c.ioPos = 0;
  c.ioEnd = 0;
  c.haveException = false;
}

export function regLo(c: EmulateCtxt, reg: number): number {
  if ((c.regsValid & (1 << reg)) === 0) loadReg(c, reg);
  return c.regs[reg * 2]!;
}

export function regHi(c: EmulateCtxt, reg: number): number {
  if ((c.regsValid & (1 << reg)) === 0) loadReg(c, reg);
  return c.regs[reg * 2 + 1]!;
}

function loadReg(c: EmulateCtxt, reg: number): void {
  c.regs[reg * 2] = kvmRegisterReadLo(c.vcpu, reg);
  c.regs[reg * 2 + 1] = kvmRegisterReadHi(c.vcpu, reg);
  c.regsValid |= 1 << reg;
}

/** Writes all 64 bits. */
export function setReg(c: EmulateCtxt, reg: number, lo: number, hi: number): void {
  c.regs[reg * 2] = lo;
  c.regs[reg * 2 + 1] = hi;
  c.regsValid |= 1 << reg;
  c.regsDirty |= 1 << reg;
}

/** Writes the low `bytes` bytes: 32-bit writes clear the high half, narrower ones keep the rest. */
export function assignReg(c: EmulateCtxt, reg: number, bytes: number, lo: number, hi: number): void {
  if (bytes === 8) setReg(c, reg, lo, hi);
  else if (bytes === 4) setReg(c, reg, lo, 0);
  else {
    const mask = bytes === 2 ? 0xffff : 0xff;
    setReg(c, reg, (regLo(c, reg) & ~mask) | (lo & mask), regHi(c, reg));
  }
}

/** writeback_registers. */
export function writebackRegisters(c: EmulateCtxt): void {
  for (let dirty = c.regsDirty; dirty !== 0; dirty &= dirty - 1) {
    const reg = 31 - Math.clz32(dirty & -dirty);
    kvmRegisterWrite(c.vcpu, reg, c.regs[reg * 2]!, c.regs[reg * 2 + 1]!);
  }
  c.regsDirty = 0;
}

// ---- exceptions

export function emulateException(c: EmulateCtxt, vector: number, errorCode: number, hasErrorCode: boolean): number {
  c.haveException = true;
  c.vector = vector;
  c.errorCode = errorCode;
  c.hasErrorCode = hasErrorCode;
  return X86EMUL_PROPAGATE_FAULT;
}

export function emulateGp(c: EmulateCtxt): number {
  return emulateException(c, 13, 0, true);
}

export function emulateSs(c: EmulateCtxt): number {
  return emulateException(c, 12, 0, true);
}

export function emulateUd(c: EmulateCtxt): number {
  return emulateException(c, 6, 0, false);
}

export function emulatePf(c: EmulateCtxt, errorCode: number, addressLo: number, addressHi: number): number {
  c.addressLo = addressLo;
  c.addressHi = addressHi;
  return emulateException(c, 14, errorCode, true);
}
