/** The bzImage format: the setup header and the compressed kernel in it (Documentation/x86/boot.rst). */

import { LoaderError } from './loader-error.ts';

const SETUP_HEADER = 0x1f1;
const BOOT_FLAG = 0xaa55;
const HEADER_MAGIC = 0x5372_6448; // "HdrS"
const SECTOR = 512;
const LOADED_HIGH = 1;
/** What a setup_sects of 0 stands for. */
const DEFAULT_SETUP_SECTS = 4;
const VERSION_BZIMAGE = 0x200;
const VERSION_INITRD_MAX = 0x203;
const VERSION_RELOCATABLE = 0x205;
const VERSION_CMDLINE_SIZE = 0x206;
const VERSION_PAYLOAD = 0x208;
const VERSION_INIT_SIZE = 0x20a;
const VERSION_XLOADFLAGS = 0x20c;
const XLF_KERNEL_64 = 1;
const DEFAULT_INITRD_MAX = 0x37ff_ffff;
const DEFAULT_CMDLINE_SIZE = 255;

export interface BzImage {
  /** The setup header, from offset 0x1f1 of the file, for boot_params. */
  readonly setupHeader: Uint8Array;
  /** Version of the boot protocol: 0x20f is 2.15. */
  readonly version: number;
  readonly kernelVersion: string;
  /** What is loaded at 1 MiB. */
  readonly protectedMode: Uint8Array;
  /** The compressed kernel. */
  readonly payload: Uint8Array | undefined;
  /** The 64-bit entry is there. */
  readonly entry64: boolean;
  readonly initrdAddrMax: number;
  readonly cmdlineSize: number;
  /** Where it wants to run, and how much room it needs there to unpack itself; 0: not told. */
  readonly prefAddress: number;
  readonly initSize: number;
}

export function isBzImage(bytes: Uint8Array): boolean {
  if (bytes.length < 0x206) return false;
  return new DataView(bytes.buffer, bytes.byteOffset, 0x206).getUint32(0x202, true) === HEADER_MAGIC;
}

const damaged = (why: string): LoaderError => new LoaderError(`the bzImage is damaged (${why})`, 'fetch or build it again');

export function parseBzImage(bytes: Uint8Array): BzImage {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (!isBzImage(bytes) || view.getUint16(0x1fe, true) !== BOOT_FLAG) throw damaged('no boot flag or header magic');
  // The fields below are all in the first two sectors.
  if (bytes.length < 2 * SECTOR) throw damaged(`it ends after ${bytes.length} bytes, within its header`);
  const version = view.getUint16(0x206, true);
  if (version < VERSION_BZIMAGE || (bytes[0x211]! & LOADED_HIGH) === 0)
    throw new LoaderError(`the kernel has boot protocol ${version >> 8}.${version & 0xff} and loads low (zImage)`, 'give a bzImage');
  const setupSize = ((bytes[SETUP_HEADER] || DEFAULT_SETUP_SECTS) + 1) * SECTOR;
  const length = view.getUint32(0x1f4, true) * 16;
  if (bytes.length < setupSize + SECTOR || bytes.length + 15 < setupSize + length)
    throw damaged(`it has ${bytes.length} bytes, its header says ${setupSize + length}`);
  const protectedMode = bytes.subarray(setupSize);
  const headerEnd = Math.min(0x202 + bytes[0x201]!, 0x290, bytes.length);
  return {
    setupHeader: bytes.subarray(SETUP_HEADER, headerEnd),
    version,
    kernelVersion: kernelVersion(bytes, view.getUint16(0x20e, true)),
    protectedMode,
    payload: version >= VERSION_PAYLOAD ? payload(protectedMode, view) : undefined,
    entry64: version >= VERSION_XLOADFLAGS && (view.getUint16(0x236, true) & XLF_KERNEL_64) !== 0,
    initrdAddrMax: version >= VERSION_INITRD_MAX ? view.getUint32(0x22c, true) : DEFAULT_INITRD_MAX,
    cmdlineSize: version >= VERSION_CMDLINE_SIZE ? view.getUint32(0x238, true) : DEFAULT_CMDLINE_SIZE,
    prefAddress: version >= VERSION_INIT_SIZE ? Number(view.getBigUint64(0x258, true)) : version >= VERSION_RELOCATABLE ? 0x100000 : 0,
    initSize: version >= VERSION_INIT_SIZE ? view.getUint32(0x260, true) : 0,
  };
}

function payload(protectedMode: Uint8Array, view: DataView): Uint8Array | undefined {
  const offset = view.getUint32(0x248, true);
  const length = view.getUint32(0x24c, true);
  if (length === 0) return undefined;
  if (offset + length > protectedMode.length) throw damaged('its payload is larger than the file');
  return protectedMode.subarray(offset, offset + length);
}

function kernelVersion(bytes: Uint8Array, pointer: number): string {
  if (pointer === 0) return '';
  const start = pointer + 0x200;
  const end = bytes.indexOf(0, start);
  const text = new TextDecoder().decode(bytes.slice(start, Math.max(start, Math.min(end, start + 128))));
  return text.split(' ')[0] ?? '';
}
