/** ELF executables, 32 and 64 bits, for x86: program headers and notes (System V ABI; Tool Interface Standard 1.2). */

import { LoaderError } from './loader-error.ts';

const ELF_MAGIC = 0x464c457f;
const ELFCLASS32 = 1;
const ELFCLASS64 = 2;
const ELFDATA2LSB = 1;
const ELF32_HEADER = 52;
const ELF64_HEADER = 64;
const ET_EXEC = 2;
const ET_DYN = 3;
export const EM_386 = 3;
export const EM_X86_64 = 62;
const PT_LOAD = 1;
const PT_NOTE = 4;
const XEN_ELFNOTE_PHYS32_ENTRY = 18;
/** More than any kernel has; a bound on what a corrupt header can make us read. */
const MAX_PROGRAM_HEADERS = 256;

export interface ElfSegment {
  readonly physical: number;
  readonly virtual: number;
  readonly bytes: Uint8Array;
  readonly size: number;
}

export interface ElfImage {
  readonly bits: 32 | 64;
  readonly machine: number;
  readonly entry: number;
  readonly segments: readonly ElfSegment[];
  /** Entry of the PVH protocol, when a note gives one. */
  readonly pvhEntry: number | undefined;
}

interface ProgramHeader {
  readonly type: number;
  readonly offset: number;
  readonly virtual: number;
  readonly physical: number;
  readonly fileSize: number;
  readonly memorySize: number;
}

export function isElf(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true) === ELF_MAGIC;
}

const bad = (why: string): LoaderError => new LoaderError(`the ELF kernel is damaged (${why})`, 'check the file');

export function parseElf(bytes: Uint8Array): ElfImage {
  if (bytes.length < ELF32_HEADER) throw bad('it ends inside of its header');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const elfClass = bytes[4]!;
  if (bytes[5] !== ELFDATA2LSB || (elfClass !== ELFCLASS32 && elfClass !== ELFCLASS64)) throw bad('its class or byte order is none of x86');
  const is64 = elfClass === ELFCLASS64;
  if (bytes.length < (is64 ? ELF64_HEADER : ELF32_HEADER)) throw bad('it ends inside of its header');
  const type = view.getUint16(16, true);
  const machine = view.getUint16(18, true);
  if (machine !== EM_386 && machine !== EM_X86_64)
    throw new LoaderError(`the ELF kernel is for machine ${machine}, not x86`, 'give one for i386 or x86-64');
  if (type !== ET_EXEC && type !== ET_DYN) throw new LoaderError('the ELF file is no executable', 'give a linked kernel');
  const headers = programHeaders(view, is64);
  const loads = headers.filter((header) => header.type === PT_LOAD && header.memorySize > 0);
  if (loads.length === 0) throw bad('it has nothing to load');
  const segments = loads.map((header) => segment(bytes, header));
  const notes = headers.filter((header) => header.type === PT_NOTE);
  return {
    bits: is64 ? 64 : 32,
    machine,
    entry: is64 ? u64(view, 24) : view.getUint32(24, true),
    segments,
    pvhEntry: pvhEntry(view, notes),
  };
}

/** 64-bit fields as doubles: kernel addresses lose low bits there, but they are used modulo what is exact or not at all. */
const u64 = (view: DataView, at: number): number => view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;

function programHeaders(view: DataView, is64: boolean): ProgramHeader[] {
  const [offset, size, count] = is64
    ? [u64(view, 32), view.getUint16(54, true), view.getUint16(56, true)]
    : [view.getUint32(28, true), view.getUint16(42, true), view.getUint16(44, true)];
  const needed = is64 ? 56 : 32;
  if (count > MAX_PROGRAM_HEADERS || size < needed) throw bad('its program headers make no sense');
  if (offset + count * size > view.byteLength) throw bad('it ends before its program headers');
  return Array.from({ length: count }, (_, i) => (is64 ? header64(view, offset + i * size) : header32(view, offset + i * size)));
}

function header64(view: DataView, at: number): ProgramHeader {
  return {
    type: view.getUint32(at, true),
    offset: u64(view, at + 8),
    virtual: u64(view, at + 16),
    physical: u64(view, at + 24),
    fileSize: u64(view, at + 32),
    memorySize: u64(view, at + 40),
  };
}

function header32(view: DataView, at: number): ProgramHeader {
  return {
    type: view.getUint32(at, true),
    offset: view.getUint32(at + 4, true),
    virtual: view.getUint32(at + 8, true),
    physical: view.getUint32(at + 12, true),
    fileSize: view.getUint32(at + 16, true),
    memorySize: view.getUint32(at + 20, true),
  };
}

function segment(bytes: Uint8Array, header: ProgramHeader): ElfSegment {
  if (header.fileSize > header.memorySize) throw bad('a segment is larger in the file than in memory');
  if (header.offset + header.fileSize > bytes.length) throw bad('it ends before its segments');
  return {
    physical: header.physical,
    virtual: header.virtual,
    bytes: bytes.subarray(header.offset, header.offset + header.fileSize),
    size: header.memorySize,
  };
}

/** Looks for Xen's note with the 32-bit physical entry (xen/include/public/elfnote.h). */
function pvhEntry(view: DataView, notes: readonly ProgramHeader[]): number | undefined {
  for (const note of notes) {
    const end = Math.min(note.offset + note.fileSize, view.byteLength);
    for (let at = note.offset; at + 12 <= end;) {
      const nameSize = view.getUint32(at, true);
      const descSize = view.getUint32(at + 4, true);
      const type = view.getUint32(at + 8, true);
      const desc = at + 12 + Math.ceil(nameSize / 4) * 4;
      const next = desc + Math.ceil(descSize / 4) * 4;
      if (next > end) break;
      if (type === XEN_ELFNOTE_PHYS32_ENTRY && descSize >= 4 && isXen(view, at + 12, nameSize)) return view.getUint32(desc, true);
      at = next;
    }
  }
  return undefined;
}

const isXen = (view: DataView, at: number, size: number): boolean => size === 4 && view.getUint32(at, true) === 0x006e6558;
