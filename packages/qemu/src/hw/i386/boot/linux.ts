/** Linux by its own boot protocol: a bzImage as it is, a bzImage unpacked here, or a vmlinux. */

import { COMMAND_LINE_MAX, HIGH_MEMORY, ZERO_PAGE } from '../layout.ts';
import type { BootImage, LoaderContext, RomBlob } from './boot-image.ts';
import { bootParamsBlobs, type BootParams } from './boot-params.ts';
import { parseBzImage, type BzImage } from './bzimage.ts';
import { compressionFormat, decompressors, type CompressionFormat } from './decompress/index.ts';
import { isElf, parseElf, type ElfImage } from './elf.ts';
import { enterLongMode, enterProtectedMode, longModeTables, protectedModeTables } from './entry.ts';
import { LoaderError } from './loader-error.ts';

const DEFAULT_INITRD_MAX = 0x7fff_ffff;
const DEFAULT_CMDLINE_SIZE = 2047;
const PAGE = 4096;
/** The 64-bit entry of a bzImage, from the start of its protected-mode part. */
const ENTRY_64 = 0x200;
/** An unpacked kernel is no larger than this: what a damaged length may make us allocate. */
const MAX_UNPACKED = 0x2000_0000;

interface Unpacked {
  readonly elf: ElfImage;
  readonly format: CompressionFormat;
}

export async function loadBzImage(context: LoaderContext): Promise<BootImage> {
  const image = parseBzImage(context.options.kernel);
  const unpacked = (context.options.unpack ?? true) ? await unpack(image, context) : undefined;
  if (unpacked === undefined) return packed(image, context);
  const how = `Linux bzImage ${image.kernelVersion}, unpacked (${unpacked.format})`;
  return elfImage(unpacked.elf, context, image, how);
}

export function loadVmlinux(context: LoaderContext): BootImage {
  return elfImage(parseElf(context.options.kernel), context, undefined, 'Linux vmlinux');
}

/** The kernel in a bzImage, or undefined when it is in a format that only the bzImage itself can unpack. */
async function unpack(image: BzImage, context: LoaderContext): Promise<Unpacked | undefined> {
  const { payload } = image;
  const format = payload === undefined ? undefined : compressionFormat(payload);
  if (payload === undefined || format === undefined) return undefined;
  // The build appends the size of the unpacked kernel; gzip ends with it anyway (scripts/Makefile.lib, size_append).
  const size = new DataView(payload.buffer, payload.byteOffset + payload.length - 4, 4).getUint32(0, true);
  const data = format === 'gzip' ? payload : payload.subarray(0, payload.length - 4);
  if (size === 0 || size > MAX_UNPACKED) throw damaged(format, `it says to have ${size} bytes`);
  const decompress = context.options.decompressors?.[format] ?? decompressors[format];
  let bytes: Uint8Array;
  try {
    bytes = await decompress(data, size);
  } catch (error) {
    throw damaged(format, error instanceof Error ? error.message : String(error));
  }
  if (bytes.length !== size) throw damaged(format, `${bytes.length} bytes instead of ${size}`);
  if (!isElf(bytes)) throw damaged(format, 'what is in it is no ELF file');
  return { elf: parseElf(bytes), format };
}

const damaged = (format: string, why: string): LoaderError =>
  new LoaderError(`the compressed kernel (${format}) in the bzImage is damaged (${why})`, 'fetch or build it again');

function elfImage(elf: ElfImage, context: LoaderContext, image: BzImage | undefined, how: string): BootImage {
  const bits = elf.bits === 64 && context.options.entry !== 'linux32' ? 64 : 32;
  if (elf.bits === 64 && bits === 32)
    throw new LoaderError('a 64-bit kernel has no 32-bit Linux entry once unpacked', 'boot it with unpack off');
  const kernel = elf.segments.map((segment, i) => {
    const name = `the kernel (segment ${i})`;
    context.plan.reserve(name, segment.physical, segment.size);
    return { name, address: segment.physical, bytes: segment.bytes, size: segment.size };
  });
  const entry = physicalEntry(elf);
  return finish(context, image, kernel, { bits, rip: entry, description: `${how}, ${bits}-bit entry` });
}

/** Some vmlinux files give the entry as a virtual address: its segment tells the physical one. */
function physicalEntry(elf: ElfImage): number {
  const inPhysical = elf.segments.some((s) => elf.entry >= s.physical && elf.entry < s.physical + s.size);
  if (inPhysical) return elf.entry;
  const holder = elf.segments.find((s) => elf.entry >= s.virtual && elf.entry < s.virtual + s.size);
  if (holder === undefined) throw new LoaderError('the kernel has its entry outside of its segments', 'check the file');
  return holder.physical + (elf.entry - holder.virtual);
}

/** The bzImage loaded as it is: it moves and unpacks itself at its preferred address. */
function packed(image: BzImage, context: LoaderContext): BootImage {
  const bits = image.entry64 && context.options.entry !== 'linux32' ? 64 : 32;
  context.plan.reserve('the kernel', HIGH_MEMORY, image.protectedMode.length);
  const after = Math.max(image.prefAddress, HIGH_MEMORY + image.protectedMode.length);
  if (image.initSize > 0) context.plan.reserve('the unpacked kernel', after, image.initSize - (after - image.prefAddress));
  const kernel: RomBlob = { name: 'the kernel', address: HIGH_MEMORY, bytes: image.protectedMode };
  const rip = bits === 64 ? HIGH_MEMORY + ENTRY_64 : HIGH_MEMORY;
  return finish(context, image, [kernel], { bits, rip, description: `Linux bzImage ${image.kernelVersion}, ${bits}-bit entry` });
}

interface Entry {
  readonly bits: 32 | 64;
  readonly rip: number;
  readonly description: string;
}

function finish(context: LoaderContext, image: BzImage | undefined, kernel: readonly RomBlob[], entry: Entry): BootImage {
  const initrd = placeInitrd(context, image?.initrdAddrMax ?? DEFAULT_INITRD_MAX);
  const seed = context.options.rngSeed;
  const params: BootParams = {
    e820: context.e820,
    rsdp: context.rsdp,
    commandLine: context.options.append ?? '',
    commandLineMax: Math.min(image?.cmdlineSize ?? DEFAULT_CMDLINE_SIZE, COMMAND_LINE_MAX - 1),
    ...(initrd === undefined ? {} : { initrd: { address: initrd.address, size: initrd.bytes.length } }),
    ...(seed === undefined ? {} : { rngSeed: seed }),
    ...(image === undefined ? {} : { setupHeader: image.setupHeader }),
  };
  const tables = entry.bits === 64 ? longModeTables() : protectedModeTables();
  const blobs = [...tables, ...bootParamsBlobs(params), ...kernel, ...(initrd === undefined ? [] : [initrd])];
  const enter = entry.bits === 64 ? enterLongMode : enterProtectedMode;
  return { description: entry.description, blobs, enter: (env) => enter(env, { rip: entry.rip, rsi: ZERO_PAGE }) };
}

function placeInitrd(context: LoaderContext, max: number): RomBlob | undefined {
  const bytes = context.options.initrd;
  if (bytes === undefined || bytes.length === 0) return undefined;
  const address = context.plan.reserveTop('the initrd', bytes.length, max + 1, PAGE);
  return { name: 'the initrd', address, bytes };
}
