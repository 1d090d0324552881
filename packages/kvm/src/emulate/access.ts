/**
 * Memory as an emulated instruction reaches it: through segments and paging to slots of memory, to devices of KVM, or
 * to userspace as MMIO (emulator_read_write and __linearize of arch/x86/kvm).
 */

import { KVM_EXIT_MMIO, KVM_MEM_READONLY, PAGE_SIZE } from '@vm/kvm-run';
import { kvmLapicInRange } from '../irq/lapic-state.ts';
import { apicMmioRead, apicMmioWrite } from '../irq/lapic-regs.ts';
import { gfnToMemslot, markPageDirtyInSlot } from '../memslots.ts';
import { kvmMmuGvaToGpa, kvmWalkFault, UNMAPPED_GVA } from '../mmu/walk.ts';
import type { KvmMemorySlot, KvmVcpu } from '../types.ts';
import { u64 } from '../trace.ts';
import { kvmSegmentAttr, kvmSegmentBase, kvmSegmentLimit } from '../vmx/segment.ts';
import { PFERR_FETCH_MASK, PFERR_USER_MASK, PFERR_WRITE_MASK, X86_CR4_LA57 } from '../x86-bits.ts';
import type { EmulateCtxt } from './ctxt.ts';
import {
  emulateGp,
  emulatePf,
  emulateSs,
  X86EMUL_CONTINUE,
  X86EMUL_IO_NEEDED,
  X86EMUL_MODE_PROT64,
  X86EMUL_MODE_REAL,
  X86EMUL_PROPAGATE_FAULT,
  X86EMUL_UNHANDLEABLE,
} from './ctxt.ts';

const SEG_CS = 1;
const SEG_SS = 2;
const SEG_FS = 4;
const AR_UNUSABLE = 0x10000;
const AR_CODE = 8;
const AR_EXPAND_DOWN = 4;
/** Writable of data, readable of code. */
const AR_RW = 2;
const AR_DB = 0x4000;

// ---- segmentation

/** __linearize: segment and effective address to `laLo`, `laHi`; checks limit and rights. */
export function linearize(
  c: EmulateCtxt,
  seg: number,
  eaLo: number,
  eaHi: number,
  size: number,
  write: boolean,
  fetch: boolean,
): number {
  if (c.mode === X86EMUL_MODE_PROT64) return linearize64(c, seg, eaLo, eaHi, size);
  const { vcpu } = c;
  const attr = kvmSegmentAttr(vcpu, seg);
  const ea = eaLo >>> 0;
  if ((attr & AR_UNUSABLE) !== 0 || !accessAllowed(c, attr, write, fetch)) return badSegment(c, seg);
  let limit = kvmSegmentLimit(vcpu, seg);
  if ((attr & (AR_CODE | AR_EXPAND_DOWN)) === AR_EXPAND_DOWN) {
    if (ea <= limit) return badSegment(c, seg);
    limit = (attr & AR_DB) !== 0 ? 0xffffffff : 0xffff;
  }
  if (ea + size - 1 > limit) return badSegment(c, seg);
  c.laLo = (kvmSegmentBase(vcpu, seg) + ea) >>> 0;
  c.laHi = 0;
  return X86EMUL_CONTINUE;
}

function accessAllowed(c: EmulateCtxt, attr: number, write: boolean, fetch: boolean): boolean {
  const code = (attr & AR_CODE) !== 0;
  if (write) return (attr & AR_RW) !== 0 && (!code || c.mode === X86EMUL_MODE_REAL);
  return fetch || !code || (attr & AR_RW) !== 0;
}

function badSegment(c: EmulateCtxt, seg: number): number {
  return seg === SEG_SS ? emulateSs(c) : emulateGp(c);
}

/** 64-bit mode: only FS and GS have a base, and addresses must be canonical. */
function linearize64(c: EmulateCtxt, seg: number, eaLo: number, eaHi: number, size: number): number {
  let lo = eaLo >>> 0;
  let hi = eaHi >>> 0;
  if (seg >= SEG_FS) {
    const sum = lo + kvmSegmentBase(c.vcpu, seg);
    const baseHi = c.vcpu.processor.high;
    lo = sum >>> 0;
    hi = (hi + baseHi + (sum > 0xffffffff ? 1 : 0)) >>> 0;
  }
  c.laLo = lo;
  c.laHi = hi;
  const bits = (c.vcpu.cr4 & X86_CR4_LA57) !== 0 ? 57 : 48;
  const lastHi = (hi + (lo + size - 1 > 0xffffffff ? 1 : 0)) >>> 0;
  return isCanonical(hi, bits) && isCanonical(lastHi, bits) ? X86EMUL_CONTINUE : badSegment(c, seg);
}

function isCanonical(hi: number, bits: number): boolean {
  const shift = 64 - bits;
  return ((hi << shift) >> shift) >>> 0 === hi >>> 0;
}

// ---- translation

/** Guest-physical address of a linear one, or UNMAPPED_GVA with the page fault in the context. */
function translate(c: EmulateCtxt, laLo: number, laHi: number, access: number): number {
  const gpa = kvmMmuGvaToGpa(c.vcpu, laLo, laHi, access | (c.cpl === 3 ? PFERR_USER_MASK : 0));
  if (gpa !== UNMAPPED_GVA) return gpa;
  const fault = kvmWalkFault(c.vcpu);
  emulatePf(c, fault.errorCode, fault.addressLo, fault.addressHi);
  return UNMAPPED_GVA;
}

function memoryAt(vcpu: KvmVcpu, gpa: number, write: boolean): KvmMemorySlot | undefined {
  const slot = gfnToMemslot(vcpu.kvm, Math.floor(gpa / PAGE_SIZE));
  return slot !== undefined && write && (slot.flags & KVM_MEM_READONLY) !== 0 ? undefined : slot;
}

function hostAddress(slot: KvmMemorySlot, gpa: number): number {
  return slot.userspaceAddr + (gpa - slot.baseGfn * PAGE_SIZE);
}

/** kvm_fetch_guest_virt: instruction bytes at CS:RIP into `insn`, as far as the page goes. False: the rest of `rc` tells. */
export function fetchInsn(c: EmulateCtxt): boolean {
  const have = c.fetched;
  const sum = c.ripLo + have;
  const eaHi = (c.ripHi + (sum > 0xffffffff ? 1 : 0)) >>> 0;
  c.rc = linearize(c, SEG_CS, sum >>> 0, eaHi, 1, false, true);
  if (c.rc !== X86EMUL_CONTINUE) return false;
  const gpa = translate(c, c.laLo, c.laHi, PFERR_FETCH_MASK);
  if (gpa === UNMAPPED_GVA) {
    c.rc = X86EMUL_PROPAGATE_FAULT;
    return false;
  }
  const slot = gfnToMemslot(c.vcpu.kvm, Math.floor(gpa / PAGE_SIZE));
  const length = Math.min(15 - have, PAGE_SIZE - (c.laLo & 0xfff));
  // Code in device memory cannot be fetched from here; and no instruction is longer than 15 bytes.
  if (slot === undefined || length <= 0) {
    c.rc = length <= 0 ? emulateGp(c) : X86EMUL_UNHANDLEABLE;
    return false;
  }
  const from = hostAddress(slot, gpa);
  const u8 = c.vcpu.memory.u8;
  for (let i = 0; i < length; i++) c.insn[have + i] = u8[from + i]!;
  c.fetched = have + length;
  return true;
}

// ---- reads and writes

/**
 * segmented_read: `size` bytes of memory into the read cache, at the returned offset of `memRead`; negative: -X86EMUL_*. A read that
 * userspace answered before is taken from the cache.
 */
export function segmentedRead(c: EmulateCtxt, seg: number, eaLo: number, eaHi: number, size: number): number {
  const rc = linearize(c, seg, eaLo, eaHi, size, false, false);
  if (rc !== X86EMUL_CONTINUE) return -rc;
  if (c.memPos >= c.memEnd) {
    if (c.memEnd + size > c.memRead.length) return -X86EMUL_UNHANDLEABLE;
    const read = emulatorReadWrite(c, c.laLo, c.laHi, size, c.memRead, c.memEnd, false);
    if (read !== X86EMUL_CONTINUE) return -read;
    c.memEnd += size;
  }
  c.memPos += size;
  return c.memPos - size;
}

/** segmented_write: `size` bytes of `memWrite`. */
export function segmentedWrite(c: EmulateCtxt, seg: number, eaLo: number, eaHi: number, size: number): number {
  const rc = linearize(c, seg, eaLo, eaHi, size, true, false);
  if (rc !== X86EMUL_CONTINUE) return rc;
  return emulatorReadWrite(c, c.laLo, c.laHi, size, c.memWrite, 0, true);
}

/**
 * String input and output move a chunk within one page at once when that is memory: the bytes of `memWrite`. False: it
 * is not memory, or it faulted (`haveException`).
 */
export function bulkWrite(c: EmulateCtxt, seg: number, eaLo: number, eaHi: number, length: number): boolean {
  return bulk(c, seg, eaLo, eaHi, length, true);
}

export function bulkRead(c: EmulateCtxt, seg: number, eaLo: number, eaHi: number, length: number): boolean {
  return bulk(c, seg, eaLo, eaHi, length, false);
}

function bulk(c: EmulateCtxt, seg: number, eaLo: number, eaHi: number, length: number, write: boolean): boolean {
  if (linearize(c, seg, eaLo, eaHi, length, write, false) !== X86EMUL_CONTINUE) return false;
  if ((c.laLo & 0xfff) + length > PAGE_SIZE) return false;
  const gpa = translate(c, c.laLo, c.laHi, write ? PFERR_WRITE_MASK : 0);
  if (gpa === UNMAPPED_GVA) return false;
  const slot = memoryAt(c.vcpu, gpa, write);
  if (slot !== undefined) accessMemory(c.vcpu, slot, gpa, length, c.memWrite, 0, write);
  return slot !== undefined;
}

/** emulator_read_write: an access may cross a page, and be MMIO in one part or both. */
function emulatorReadWrite(
  c: EmulateCtxt,
  laLo: number,
  laHi: number,
  size: number,
  bytes: Uint8Array,
  at: number,
  write: boolean,
): number {
  const { vcpu } = c;
  if (!write && vcpu.mmioReadCompleted) return readCompleted(c, bytes, at, size);
  vcpu.mmioNrFragments = 0;
  const first = Math.min(size, PAGE_SIZE - (laLo & 0xfff));
  let rc = onePage(c, laLo, laHi, first, bytes, at, write);
  if (rc !== X86EMUL_CONTINUE) return rc;
  if (first < size) {
    const sum = laLo + first;
    const nextHi = (laHi + (sum > 0xffffffff ? 1 : 0)) >>> 0;
    rc = onePage(c, sum >>> 0, nextHi, size - first, bytes, at + first, write);
    if (rc !== X86EMUL_CONTINUE) return rc;
  }
  if (vcpu.mmioNrFragments === 0) return X86EMUL_CONTINUE;
  vcpu.mmioNeeded = true;
  vcpu.mmioIsWrite = write;
  vcpu.mmioCurFragment = 0;
  // What devices of KVM gave of a read stays; fragments fill in the rest.
  for (let i = 0; i < size; i++) c.mmioBytes[i] = bytes[at + i]!;
  for (let i = 0; i < vcpu.mmioNrFragments; i++) c.mmioAt[i] = c.mmioAt[i]! - at;
  exitMmio(c);
  return write ? X86EMUL_CONTINUE : X86EMUL_IO_NEEDED;
}

/** read_prepare: the fragments' data are there. */
function readCompleted(c: EmulateCtxt, bytes: Uint8Array, at: number, size: number): number {
  for (let i = 0; i < size; i++) bytes[at + i] = c.mmioBytes[i]!;
  c.vcpu.mmioReadCompleted = false;
  if (c.vcpu.tracer !== null) {
    const value = u64(word(c.mmioBytes, 0, 4), size > 4 ? word(c.mmioBytes, 4, size - 4) : 0);
    c.vcpu.tracer.event('kvm_mmio', c.vcpu.vcpuId, 'read', size, u64(c.laLo, c.laHi), value);
  }
  return X86EMUL_CONTINUE;
}

function onePage(
  c: EmulateCtxt,
  laLo: number,
  laHi: number,
  size: number,
  bytes: Uint8Array,
  at: number,
  write: boolean,
): number {
  const { vcpu } = c;
  let gpa = c.gpa;
  if (gpa < 0 || gpa % PAGE_SIZE !== (laLo & 0xfff) || !usesOneAddress(c)) {
    gpa = translate(c, laLo, laHi, write ? PFERR_WRITE_MASK : 0);
    if (gpa === UNMAPPED_GVA) return X86EMUL_PROPAGATE_FAULT;
  }
  const slot = memoryAt(vcpu, gpa, write);
  if (slot !== undefined) {
    accessMemory(vcpu, slot, gpa, size, bytes, at, write);
    return X86EMUL_CONTINUE;
  }
  const handled = accessDevices(vcpu, gpa, size, bytes, at, write);
  if (handled === size) return X86EMUL_CONTINUE;
  const fragment = vcpu.mmioNrFragments++;
  vcpu.mmioGpa[fragment] = gpa + handled;
  vcpu.mmioLen[fragment] = size - handled;
  c.mmioAt[fragment] = at + handled;
  return X86EMUL_CONTINUE;
}

/** emulator_can_use_gpa: with two memory operands the exit's address may be either's. */
function usesOneAddress(c: EmulateCtxt): boolean {
  return c.op !== null && !c.op.twoMem;
}

function accessMemory(
  vcpu: KvmVcpu,
  slot: KvmMemorySlot,
  gpa: number,
  size: number,
  bytes: Uint8Array,
  at: number,
  write: boolean,
): void {
  const host = hostAddress(slot, gpa);
  const u8 = vcpu.memory.u8;
  if (!write) {
    for (let i = 0; i < size; i++) bytes[at + i] = u8[host + i]!;
    return;
  }
  for (let i = 0; i < size; i++) u8[host + i] = bytes[at + i]!;
  vcpu.memory.wrote(host, size);
  markPageDirtyInSlot(slot, Math.floor(gpa / PAGE_SIZE));
}

// ---- devices of KVM

function word(bytes: Uint8Array, at: number, length: number): number {
  let value = 0;
  for (let i = Math.min(length, 4) - 1; i >= 0; i--) value = (value << 8) | bytes[at + i]!;
  return value >>> 0;
}

/** vcpu_mmio_read, vcpu_mmio_write: up to eight bytes at a time to the local APIC or the MMIO bus; how many were served. */
function accessDevices(
  vcpu: KvmVcpu,
  gpa: number,
  size: number,
  bytes: Uint8Array,
  at: number,
  write: boolean,
): number {
  let handled = 0;
  while (handled < size) {
    const n = Math.min(8, size - handled);
    const served = write
      ? deviceWrite(vcpu, gpa + handled, n, bytes, at + handled)
      : deviceRead(vcpu, gpa + handled, n, bytes, at + handled);
    if (!served) break;
    handled += n;
  }
  return handled;
}

function deviceWrite(vcpu: KvmVcpu, gpa: number, n: number, bytes: Uint8Array, at: number): boolean {
  const low = word(bytes, at, n);
  const high = n > 4 ? word(bytes, at + 4, n - 4) : 0;
  const served =
    (kvmLapicInRange(vcpu, gpa) && apicMmioWrite(vcpu.apic!, gpa, n, low)) ||
    vcpu.kvm.mmioBus.write(vcpu, gpa, n, low, high);
  if (vcpu.tracer !== null) vcpu.tracer.event('kvm_mmio', vcpu.vcpuId, 'write', n, BigInt(gpa), u64(low, high));
  return served;
}

function deviceRead(vcpu: KvmVcpu, gpa: number, n: number, bytes: Uint8Array, at: number): boolean {
  const bus = vcpu.kvm.mmioBus;
  const { result } = bus;
  result[0] = 0;
  result[1] = 0;
  const served =
    (kvmLapicInRange(vcpu, gpa) && apicMmioRead(vcpu.apic!, gpa, n, result)) || bus.read(vcpu, gpa, n);
  if (!served) {
    if (vcpu.tracer !== null) vcpu.tracer.event('kvm_mmio', vcpu.vcpuId, 'unsatisfied-read', n, BigInt(gpa), 0n);
    return false;
  }
  for (let i = 0; i < n; i++) bytes[at + i] = (result[i >> 2]! >>> ((i & 3) * 8)) & 0xff;
  if (vcpu.tracer !== null)
    vcpu.tracer.event('kvm_mmio', vcpu.vcpuId, 'read', n, BigInt(gpa), u64(result[0]!, result[1]!));
  return true;
}

// ---- MMIO in userspace

/** Fills kvm_run with the current fragment, up to eight bytes of it. */
export function exitMmio(c: EmulateCtxt): void {
  const { vcpu } = c;
  const { run } = vcpu;
  const fragment = vcpu.mmioCurFragment;
  const length = Math.min(8, vcpu.mmioLen[fragment]!);
  run.exitReason = KVM_EXIT_MMIO;
  run.setMmio(vcpu.mmioGpa[fragment]!, length, vcpu.mmioIsWrite ? 1 : 0);
  const data = run.mmioDataOffset;
  for (let i = 0; i < 8; i++)
    run.bytes[data + i] = vcpu.mmioIsWrite && i < length ? c.mmioBytes[c.mmioAt[fragment]! + i]! : 0;
}

/** The part of complete_emulated_mmio that takes the answer: true when all fragments are done. */
export function nextMmioFragment(c: EmulateCtxt): boolean {
  const { vcpu } = c;
  const { run } = vcpu;
  const fragment = vcpu.mmioCurFragment;
  const length = Math.min(8, vcpu.mmioLen[fragment]!);
  if (!vcpu.mmioIsWrite) {
    const at = c.mmioAt[fragment]!;
    for (let i = 0; i < length; i++) c.mmioBytes[at + i] = run.bytes[run.mmioDataOffset + i]!;
  }
  if (vcpu.mmioLen[fragment]! <= 8) vcpu.mmioCurFragment++;
  else {
    vcpu.mmioGpa[fragment] = vcpu.mmioGpa[fragment]! + length;
    vcpu.mmioLen[fragment] = vcpu.mmioLen[fragment]! - length;
    c.mmioAt[fragment] = c.mmioAt[fragment]! + length;
  }
  if (vcpu.mmioCurFragment < vcpu.mmioNrFragments) return false;
  vcpu.mmioNeeded = false;
  return true;
}
