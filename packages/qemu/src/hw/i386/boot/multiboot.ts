/** Multiboot 1 (the GNU Multiboot Specification 0.6.96), after hw/i386/multiboot.c: ELF kernels and those with addresses in their header. */

import { E820_ENTRY_SIZE } from '../e820.ts';
import { BOOT_TABLES_END, EBDA_START, HIGH_MEMORY, KiB, MULTIBOOT_INFO, MULTIBOOT_INFO_SIZE } from '../layout.ts';
import type { BootImage, BootModule, LoaderContext, RomBlob } from './boot-image.ts';
import { EM_X86_64, isElf, parseElf } from './elf.ts';
import { enterProtectedMode, protectedModeTables } from './entry.ts';
import { LoaderError } from './loader-error.ts';

const HEADER_MAGIC = 0x1bad_b002;
const BOOTLOADER_MAGIC = 0x2bad_b002;
/** The header is in the first 8 KiB, four-byte aligned. */
const SEARCH_LIMIT = 8192;
const HEADER_SIZE = 12;
const ADDRESSES_SIZE = 32;
const BOOT_LOADER_NAME = '@vm/qemu';

const HEADER_PAGE_ALIGN = 1 << 0;
const HEADER_MEMORY_INFO = 1 << 1;
const HEADER_HAS_ADDRESSES = 1 << 16;
/** Bits 0 to 15 are demands; one that is not known means: do not boot. Video (bit 2) is tolerated, as QEMU does. */
const HEADER_KNOWN = HEADER_PAGE_ALIGN | HEADER_MEMORY_INFO | (1 << 2);

// struct multiboot_info
const INFO_FLAGS = 0;
const INFO_MEM_LOWER = 4;
const INFO_MEM_UPPER = 8;
const INFO_CMDLINE = 16;
const INFO_MODS_COUNT = 20;
const INFO_MODS_ADDR = 24;
const INFO_MMAP_LENGTH = 44;
const INFO_MMAP_ADDR = 48;
const INFO_BOOT_LOADER_NAME = 64;
const INFO_SIZE = 116;
const FLAG_MEMORY = 1 << 0;
const FLAG_CMDLINE = 1 << 2;
const FLAG_MODS = 1 << 3;
const FLAG_MMAP = 1 << 6;
const FLAG_BOOT_LOADER_NAME = 1 << 9;
const MODULE_SIZE = 16;
const MMAP_ENTRY_SIZE: number = E820_ENTRY_SIZE + 4;
const PAGE = 4096;

export interface MultibootHeader {
  /** Offset in the file. */
  readonly offset: number;
  readonly flags: number;
}

/** Looks for a header whose magic, flags and checksum add up to zero. */
export function findMultibootHeader(bytes: Uint8Array): MultibootHeader | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = Math.min(bytes.length, SEARCH_LIMIT) - HEADER_SIZE;
  for (let offset = 0; offset <= end; offset += 4) {
    if (view.getUint32(offset, true) !== HEADER_MAGIC) continue;
    const flags = view.getUint32(offset + 4, true);
    if ((HEADER_MAGIC + flags + view.getUint32(offset + 8, true)) >>> 0 === 0) return { offset, flags };
  }
  return undefined;
}

interface Program {
  readonly entry: number;
  readonly blobs: readonly RomBlob[];
}

export function loadMultiboot(context: LoaderContext): BootImage {
  const { kernel } = context.options;
  const header = findMultibootHeader(kernel);
  if (header === undefined) throw new LoaderError('the kernel has no multiboot header', 'boot it by another entry');
  if ((header.flags & 0xffff & ~HEADER_KNOWN) !== 0)
    throw new LoaderError(
      `the multiboot kernel demands features 0x${(header.flags & 0xffff).toString(16)}`,
      'only alignment and memory information are offered',
    );
  const program = header.flags & HEADER_HAS_ADDRESSES ? fromAddresses(kernel, header) : fromElf(kernel);
  context.plan.reserve("the loader's own area", 0, BOOT_TABLES_END);
  for (const blob of program.blobs) context.plan.reserve(blob.name, blob.address, blob.size ?? blob.bytes.length);
  const modules = placeModules(context);
  const info = buildInfo(context, modules);
  return {
    description: `multiboot kernel${header.flags & HEADER_HAS_ADDRESSES ? '' : ' (ELF)'}`,
    blobs: [...protectedModeTables(), info, ...program.blobs, ...modules.map((module) => module.blob)],
    enter: (env) => enterProtectedMode(env, { rip: program.entry, rax: BOOTLOADER_MAGIC, rbx: info.address }),
  };
}

function fromElf(kernel: Uint8Array): Program {
  if (!isElf(kernel))
    throw new LoaderError(
      'the multiboot kernel is no ELF file and has no addresses in its header',
      'set bit 16 of its flags, or link it as ELF',
    );
  const elf = parseElf(kernel);
  if (elf.machine === EM_X86_64 && elf.bits === 64)
    throw new LoaderError('multiboot starts 32-bit kernels, and this is x86-64', 'convert it: objcopy -O elf32-i386');
  const blobs = elf.segments.map((segment, i) => ({
    name: `the kernel (segment ${i})`,
    address: segment.physical,
    bytes: segment.bytes,
    size: segment.size,
  }));
  return { entry: elf.entry, blobs };
}

/** The "a.out kludge": the header itself says what to load where. */
function fromAddresses(kernel: Uint8Array, header: MultibootHeader): Program {
  const damaged = (why: string): LoaderError =>
    new LoaderError(`the multiboot header is wrong (${why})`, 'check how the kernel was linked');
  if (header.offset + ADDRESSES_SIZE > kernel.length) throw damaged('the file ends inside of it');
  const view = new DataView(kernel.buffer, kernel.byteOffset + header.offset, ADDRESSES_SIZE);
  const [headerAddress, loadAddress, loadEnd, bssEnd, entry] = [12, 16, 20, 24, 28].map((at) => view.getUint32(at, true)) as [
    number,
    number,
    number,
    number,
    number,
  ];
  const start = header.offset - (headerAddress - loadAddress);
  if (headerAddress < loadAddress || start < 0) throw damaged('its load address does not fit its place in the file');
  const length = loadEnd === 0 ? kernel.length - start : loadEnd - loadAddress;
  if (length <= 0 || start + length > kernel.length) throw damaged('it loads more than the file has');
  if (bssEnd !== 0 && bssEnd < loadAddress + length) throw damaged('its end of bss is before its end of data');
  const size = bssEnd === 0 ? length : bssEnd - loadAddress;
  return { entry, blobs: [{ name: 'the kernel', address: loadAddress, bytes: kernel.subarray(start, start + length), size }] };
}

interface Placed {
  readonly module: BootModule;
  readonly blob: RomBlob;
}

function placeModules(context: LoaderContext): Placed[] {
  const { initrd, modules = [] } = context.options;
  const all: BootModule[] = initrd === undefined ? [...modules] : [{ bytes: initrd, commandLine: 'initrd' }, ...modules];
  return all.map((module, i) => {
    const name = `module ${i}`;
    const address = context.plan.reserveTop(name, Math.max(1, module.bytes.length), Infinity, PAGE);
    return { module, blob: { name, address, bytes: module.bytes } };
  });
}

/** In base memory, as GRUB and QEMU do it, where the kernel leaves room. */
function placeInfo(context: LoaderContext, size: number): number {
  const place = (from: number): number | undefined => context.plan.reserveBottom('multiboot information', size, from, EBDA_START);
  const address = place(MULTIBOOT_INFO) ?? place(BOOT_TABLES_END);
  if (address === undefined)
    throw new LoaderError(`the kernel leaves no room for ${size} bytes of multiboot information below 640 KiB`, 'build it for another address');
  return address;
}

/** multiboot_info, module list, memory map and strings, all in one blob. */
function buildInfo(context: LoaderContext, modules: readonly Placed[]): RomBlob {
  const encoder = new TextEncoder();
  // Kernels skip the first word, their own name (load_multiboot gives it to them, as GRUB did).
  const { kernelName = 'kernel', append = '' } = context.options;
  const texts = [`${kernelName} ${append}`, BOOT_LOADER_NAME, ...modules.map((placed) => placed.module.commandLine)];
  const strings = texts.map((text) => encoder.encode(`${text}\0`));
  const modsAt = INFO_SIZE;
  const mmapAt = modsAt + modules.length * MODULE_SIZE;
  const stringsAt = mmapAt + context.e820.length * MMAP_ENTRY_SIZE;
  const total = stringsAt + strings.reduce((sum, text) => sum + text.length, 0);
  if (total > MULTIBOOT_INFO_SIZE)
    throw new LoaderError(
      `command lines and modules need ${total} bytes of information, ${MULTIBOOT_INFO_SIZE} are the most`,
      'shorten them',
    );
  const address = placeInfo(context, total);
  const bytes = new Uint8Array(total);
  const view = new DataView(bytes.buffer);
  let at = stringsAt;
  const addresses = strings.map((text) => {
    bytes.set(text, at);
    at += text.length;
    return address + at - text.length;
  });
  const high = context.e820.find((entry) => entry.address === HIGH_MEMORY);
  const words: readonly (readonly [number, number])[] = [
    [INFO_FLAGS, FLAG_MEMORY | FLAG_CMDLINE | FLAG_MODS | FLAG_MMAP | FLAG_BOOT_LOADER_NAME],
    [INFO_MEM_LOWER, EBDA_START / KiB],
    [INFO_MEM_UPPER, Math.floor((high?.size ?? 0) / KiB)],
    [INFO_CMDLINE, addresses[0]!],
    [INFO_MODS_COUNT, modules.length],
    [INFO_MODS_ADDR, address + modsAt],
    [INFO_MMAP_LENGTH, context.e820.length * MMAP_ENTRY_SIZE],
    [INFO_MMAP_ADDR, address + mmapAt],
    [INFO_BOOT_LOADER_NAME, addresses[1]!],
  ];
  for (const [offset, value] of words) view.setUint32(offset, value, true);
  modules.forEach((placed, i) => {
    const entry = modsAt + i * MODULE_SIZE;
    view.setUint32(entry, placed.blob.address, true);
    view.setUint32(entry + 4, placed.blob.address + placed.blob.bytes.length, true);
    view.setUint32(entry + 8, addresses[2 + i]!, true);
  });
  // Each entry begins with its size, which does not count itself.
  context.e820.forEach((entry, i) => {
    const to = mmapAt + i * MMAP_ENTRY_SIZE;
    view.setUint32(to, E820_ENTRY_SIZE, true);
    view.setBigUint64(to + 4, BigInt(entry.address), true);
    view.setBigUint64(to + 12, BigInt(entry.size), true);
    view.setUint32(to + 20, entry.type, true);
  });
  return { name: 'multiboot information', address, bytes };
}
