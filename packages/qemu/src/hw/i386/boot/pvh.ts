/** The PVH protocol: a 32-bit entry with struct hvm_start_info in EBX (xen/include/public/arch-x86/hvm/start_info.h). */

import { E820_ENTRY_SIZE } from '../e820.ts';
import { COMMAND_LINE, COMMAND_LINE_MAX, PVH_START_INFO } from '../layout.ts';
import type { BootImage, LoaderContext, RomBlob } from './boot-image.ts';
import { parseElf } from './elf.ts';
import { enterProtectedMode, protectedModeTables } from './entry.ts';
import { LoaderError } from './loader-error.ts';

const START_MAGIC = 0x336e_c578;
const START_INFO_VERSION = 1;
const START_INFO_SIZE = 56;
const MODULE_SIZE = 32;
/** Address, size, type, reserved. */
const MEMMAP_ENTRY_SIZE: number = E820_ENTRY_SIZE + 4;
const PAGE = 4096;

export function loadPvh(context: LoaderContext): BootImage {
  const elf = parseElf(context.options.kernel);
  const entry = elf.pvhEntry;
  if (entry === undefined)
    throw new LoaderError('the kernel has no PVH entry (no XEN_ELFNOTE_PHYS32_ENTRY note)', 'boot it by another entry');
  const kernel: RomBlob[] = elf.segments.map((segment, i) => {
    const name = `the kernel (segment ${i})`;
    context.plan.reserve(name, segment.physical, segment.size);
    return { name, address: segment.physical, bytes: segment.bytes, size: segment.size };
  });
  const modules = (context.options.initrd?.length ?? 0) > 0 ? [placeInitrd(context)] : [];
  const text = new TextEncoder().encode(context.options.append ?? '');
  if (text.length >= COMMAND_LINE_MAX)
    throw new LoaderError(`the command line has ${text.length} bytes, ${COMMAND_LINE_MAX - 1} are the most`, 'shorten it');
  const blobs = [
    ...protectedModeTables(),
    { name: 'start info', address: PVH_START_INFO, bytes: startInfo(context, modules) },
    { name: 'command line', address: COMMAND_LINE, bytes: text, size: text.length + 1 },
    ...kernel,
    ...modules,
  ];
  return {
    description: `${elf.bits}-bit ELF kernel, PVH entry`,
    blobs,
    enter: (env) => enterProtectedMode(env, { rip: entry, rbx: PVH_START_INFO }),
  };
}

function placeInitrd(context: LoaderContext): RomBlob {
  const bytes = context.options.initrd!;
  return { name: 'the initrd', address: context.plan.reserveTop('the initrd', bytes.length, Infinity, PAGE), bytes };
}

/** hvm_start_info, then the module list, then the memory map. */
function startInfo(context: LoaderContext, modules: readonly RomBlob[]): Uint8Array {
  const memmap = START_INFO_SIZE + modules.length * MODULE_SIZE;
  const bytes = new Uint8Array(memmap + context.e820.length * MEMMAP_ENTRY_SIZE);
  const view = new DataView(bytes.buffer);
  const u64 = (at: number, value: number): void => view.setBigUint64(at, BigInt(value), true);
  view.setUint32(0, START_MAGIC, true);
  view.setUint32(4, START_INFO_VERSION, true);
  view.setUint32(12, modules.length, true);
  u64(16, modules.length > 0 ? PVH_START_INFO + START_INFO_SIZE : 0);
  u64(24, COMMAND_LINE);
  u64(32, context.rsdp);
  u64(40, PVH_START_INFO + memmap);
  view.setUint32(48, context.e820.length, true);
  modules.forEach((module, i) => {
    u64(START_INFO_SIZE + i * MODULE_SIZE, module.address);
    u64(START_INFO_SIZE + i * MODULE_SIZE + 8, module.bytes.length);
  });
  context.e820.forEach((entry, i) => {
    const at = memmap + i * MEMMAP_ENTRY_SIZE;
    u64(at, entry.address);
    u64(at + 8, entry.size);
    view.setUint32(at + 16, entry.type, true);
  });
  return bytes;
}
