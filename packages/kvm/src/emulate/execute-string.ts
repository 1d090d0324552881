/** Port instructions, and string input and output, which move many elements in one exit where they can. */

import { emulatorPioIn, emulatorPioOut } from '../pio.ts';
import { X86_EFLAGS_DF } from '../x86-bits.ts';
import { bulkRead, bulkWrite, segmentedRead } from './access.ts';
import type { EmulateCtxt, Operand } from './ctxt.ts';
import { READ_CACHE_SIZE, regLo, regHi, X86EMUL_CONTINUE, X86EMUL_IO_NEEDED, X86EMUL_PROPAGATE_FAULT } from './ctxt.ts';

const RCX = 1;

/** Elements that are left, as far as one chunk may go: not past the page of the memory operand, forward only. */
function chunk(c: EmulateCtxt, memory: Operand): number {
  if (c.rep === 0 || (c.rflags & X86_EFLAGS_DF) !== 0) return 1;
  const size = memory.bytes;
  const mask = c.adBytes === 2 ? 0xffff : 0xffffffff;
  const left = c.adBytes === 8 && regHi(c, RCX) !== 0 ? READ_CACHE_SIZE : (regLo(c, RCX) & mask) >>> 0;
  const room = Math.floor((4096 - (memory.eaLo & 0xfff)) / size);
  return Math.max(1, Math.min(left, room, READ_CACHE_SIZE / size));
}

/** pio_in_emulated: fills the read-ahead cache when it is empty; false: userspace must answer. */
function refill(c: EmulateCtxt, size: number, port: number, count: number): boolean {
  if (c.ioPos !== c.ioEnd) return true;
  c.ioPos = 0;
  c.ioEnd = 0;
  if (!emulatorPioIn(c.vcpu, size, port, c.ioRead, 0, count)) return false;
  c.ioEnd = size * count;
  return true;
}

function take(c: EmulateCtxt, operand: Operand): void {
  const { bytes } = operand;
  let value = 0;
  for (let i = bytes - 1; i >= 0; i--) value = (value << 8) | c.ioRead[c.ioPos + i]!;
  operand.lo = value >>> 0;
  operand.hi = 0;
  c.ioPos += bytes;
}

export function portIn(c: EmulateCtxt): number {
  if (!refill(c, c.dst.bytes, c.src.lo & 0xffff, 1)) return X86EMUL_IO_NEEDED;
  take(c, c.dst);
  return X86EMUL_CONTINUE;
}

export function portOut(c: EmulateCtxt): number {
  const { bytes, lo } = c.dst;
  for (let i = 0; i < 4; i++) c.memWrite[i] = (lo >>> (i * 8)) & 0xff;
  emulatorPioOut(c.vcpu, bytes, c.src.lo & 0xffff, c.memWrite, 0, 1);
  return X86EMUL_CONTINUE;
}

/** One element, or as many as the page takes when it is memory. */
export function ins(c: EmulateCtxt): number {
  const { dst } = c;
  if (!refill(c, dst.bytes, c.src.lo & 0xffff, chunk(c, dst))) return X86EMUL_IO_NEEDED;
  const length = c.ioEnd - c.ioPos;
  if (length > dst.bytes && c.rep !== 0) {
    for (let i = 0; i < length; i++) c.memWrite[i] = c.ioRead[c.ioPos + i]!;
    if (bulkWrite(c, dst.seg, dst.eaLo, dst.eaHi, length)) {
      c.ioPos = c.ioEnd;
      c.stringCount = length / dst.bytes;
      c.skipWrite = true;
      return X86EMUL_CONTINUE;
    }
    if (c.haveException) return X86EMUL_PROPAGATE_FAULT;
  }
  take(c, dst);
  return X86EMUL_CONTINUE;
}

export function outs(c: EmulateCtxt): number {
  const { dst } = c;
  const port = c.src.lo & 0xffff;
  const count = chunk(c, dst);
  if (count > 1 && bulkRead(c, dst.seg, dst.eaLo, dst.eaHi, count * dst.bytes)) {
    c.stringCount = count;
    emulatorPioOut(c.vcpu, dst.bytes, port, c.memWrite, 0, count);
    return X86EMUL_CONTINUE;
  }
  if (c.haveException) return X86EMUL_PROPAGATE_FAULT;
  const at = segmentedRead(c, dst.seg, dst.eaLo, dst.eaHi, dst.bytes);
  if (at < 0) return -at;
  for (let i = 0; i < dst.bytes; i++) c.memWrite[i] = c.memRead[at + i]!;
  emulatorPioOut(c.vcpu, dst.bytes, port, c.memWrite, 0, 1);
  return X86EMUL_CONTINUE;
}
