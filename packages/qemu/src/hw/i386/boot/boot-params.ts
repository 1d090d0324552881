/** struct boot_params, the zero page, as a boot loader fills it in (Documentation/x86/zero-page.rst, asm/bootparam.h). */

import { E820_ENTRY_SIZE, encodeE820, type E820Entry } from '../e820.ts';
import { COMMAND_LINE, HIGH_MEMORY, KiB, SETUP_DATA, ZERO_PAGE } from '../layout.ts';
import type { RomBlob } from './boot-image.ts';
import { LoaderError } from './loader-error.ts';

const BOOT_PARAMS_SIZE = 4096;
const ACPI_RSDP_ADDR = 0x070;
const ALT_MEM_K = 0x1e0;
const E820_ENTRIES = 0x1e8;
const SETUP_HEADER = 0x1f1;
const VID_MODE = 0x1fa;
const BOOT_FLAG = 0x1fe;
const HEADER = 0x202;
const VERSION = 0x206;
const TYPE_OF_LOADER = 0x210;
const LOADFLAGS = 0x211;
const CODE32_START = 0x214;
const RAMDISK_IMAGE = 0x218;
const RAMDISK_SIZE = 0x21c;
const HEAP_END_PTR = 0x224;
const CMD_LINE_PTR = 0x228;
const KERNEL_ALIGNMENT = 0x230;
const CMDLINE_SIZE = 0x238;
const SETUP_DATA_PTR = 0x250;
const E820_TABLE = 0x2d0;
const E820_MAX_ENTRIES = 128;

const LOADED_HIGH = 0x01;
const KASLR_FLAG = 0x02;
const CAN_USE_HEAP = 0x80;
/** A loader without a number of its own. */
const LOADER_UNDEFINED = 0xff;
const VIDEO_MODE_NORMAL = 0xffff;
const SETUP_RNG_SEED = 9;
const SETUP_DATA_HEADER = 16;

export interface BootParams {
  readonly e820: readonly E820Entry[];
  readonly rsdp: number;
  readonly commandLine: string;
  /** Longest command line that the kernel takes, without the end. */
  readonly commandLineMax: number;
  readonly initrd?: { readonly address: number; readonly size: number };
  readonly rngSeed?: Uint8Array;
  /** The setup header of a bzImage; without it, for a bare vmlinux, one is made. */
  readonly setupHeader?: Uint8Array;
}

/** The zero page, the command line and setup data. */
export function bootParamsBlobs(params: BootParams): RomBlob[] {
  const text = new TextEncoder().encode(params.commandLine);
  if (text.length > params.commandLineMax)
    throw new LoaderError(`the command line has ${text.length} bytes, the kernel takes ${params.commandLineMax}`, 'shorten it');
  if (text.includes(0)) throw new LoaderError('the command line has a NUL in it', 'take it out');
  const blobs: RomBlob[] = [
    { name: 'boot parameters', address: ZERO_PAGE, bytes: zeroPage(params) },
    { name: 'command line', address: COMMAND_LINE, bytes: text, size: text.length + 1 },
  ];
  if (params.rngSeed !== undefined) blobs.push({ name: 'random seed', address: SETUP_DATA, bytes: rngSeed(params.rngSeed) });
  return blobs;
}

function zeroPage(params: BootParams): Uint8Array {
  const bytes = new Uint8Array(BOOT_PARAMS_SIZE);
  const view = new DataView(bytes.buffer);
  if (params.setupHeader !== undefined) bytes.set(params.setupHeader, SETUP_HEADER);
  else makeHeader(view, params);
  bytes[TYPE_OF_LOADER] = LOADER_UNDEFINED;
  bytes[LOADFLAGS] = ((bytes[LOADFLAGS]! | LOADED_HIGH | CAN_USE_HEAP) & ~KASLR_FLAG) >>> 0;
  view.setUint16(HEAP_END_PTR, 0xfe00, true);
  view.setUint16(VID_MODE, VIDEO_MODE_NORMAL, true);
  view.setUint32(CODE32_START, HIGH_MEMORY, true);
  view.setUint32(CMD_LINE_PTR, COMMAND_LINE, true);
  view.setUint32(RAMDISK_IMAGE, params.initrd?.address ?? 0, true);
  view.setUint32(RAMDISK_SIZE, params.initrd?.size ?? 0, true);
  view.setBigUint64(SETUP_DATA_PTR, params.rngSeed === undefined ? 0n : BigInt(SETUP_DATA), true);
  view.setBigUint64(ACPI_RSDP_ADDR, BigInt(params.rsdp), true);
  memoryMap(bytes, view, params.e820);
  return bytes;
}

function makeHeader(view: DataView, params: BootParams): void {
  view.setUint16(BOOT_FLAG, 0xaa55, true);
  view.setUint32(HEADER, 0x5372_6448, true);
  view.setUint16(VERSION, 0x20f, true);
  view.setUint32(KERNEL_ALIGNMENT, 0x0100_0000, true);
  view.setUint32(CMDLINE_SIZE, params.commandLineMax, true);
}

function memoryMap(bytes: Uint8Array, view: DataView, e820: readonly E820Entry[]): void {
  const table = e820.slice(0, E820_MAX_ENTRIES);
  bytes[E820_ENTRIES] = table.length;
  bytes.set(encodeE820(table), E820_TABLE);
  const high = table.find((entry) => entry.address === HIGH_MEMORY);
  view.setUint32(ALT_MEM_K, Math.floor((high?.size ?? 0) / KiB), true);
  if (E820_TABLE + table.length * E820_ENTRY_SIZE > BOOT_PARAMS_SIZE) throw new RangeError('the e820 table leaves the zero page');
}

/** struct setup_data: next, type, length, bytes. */
function rngSeed(seed: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(SETUP_DATA_HEADER + seed.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(8, SETUP_RNG_SEED, true);
  view.setUint32(12, seed.length, true);
  bytes.set(seed, SETUP_DATA_HEADER);
  return bytes;
}
