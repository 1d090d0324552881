/** Kernel images made for tests. */

export interface ElfSpec {
  readonly bits?: 32 | 64;
  readonly machine?: number;
  readonly entry: number;
  readonly segments: readonly { readonly address: number; readonly virtual?: number; readonly bytes: Uint8Array; readonly size?: number }[];
  /** Address in a XEN_ELFNOTE_PHYS32_ENTRY note. */
  readonly pvh?: number;
}

const u32 = (value: number): number[] => [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff);

/** An executable: header, program headers, note, segments. */
export function elf(spec: ElfSpec): Uint8Array {
  const bits = spec.bits ?? 64;
  const [headerSize, programSize] = bits === 64 ? [64, 56] : [52, 32];
  const note = spec.pvh === undefined ? [] : [...u32(4), ...u32(4), ...u32(18), 0x58, 0x65, 0x6e, 0, ...u32(spec.pvh)];
  const count = spec.segments.length + (spec.pvh === undefined ? 0 : 1);
  const noteAt = headerSize + count * programSize;
  const bytes = new Uint8Array(noteAt + note.length + spec.segments.reduce((sum, segment) => sum + segment.bytes.length, 0));
  const view = new DataView(bytes.buffer);
  const word = (at64: number, at32: number, value: number): void => {
    if (bits === 64) view.setBigUint64(at64, BigInt(value), true);
    else view.setUint32(at32, value, true);
  };
  bytes.set([0x7f, 0x45, 0x4c, 0x46, bits === 64 ? 2 : 1, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, spec.machine ?? (bits === 64 ? 62 : 3), true);
  word(24, 24, spec.entry);
  word(32, 28, headerSize);
  view.setUint16(bits === 64 ? 54 : 42, programSize, true);
  view.setUint16(bits === 64 ? 56 : 44, count, true);
  const program = (i: number, type: number, offset: number, virtual: number, physical: number, fileSize: number, size: number): void => {
    const at = headerSize + i * programSize;
    view.setUint32(at, type, true);
    word(at + 8, at + 4, offset);
    word(at + 16, at + 8, virtual);
    word(at + 24, at + 12, physical);
    word(at + 32, at + 16, fileSize);
    word(at + 40, at + 20, size);
  };
  let offset = noteAt + note.length;
  spec.segments.forEach((segment, i) => {
    program(i, 1, offset, segment.virtual ?? segment.address, segment.address, segment.bytes.length, segment.size ?? segment.bytes.length);
    bytes.set(segment.bytes, offset);
    offset += segment.bytes.length;
  });
  if (spec.pvh !== undefined) program(count - 1, 4, noteAt, 0, 0, note.length, note.length);
  bytes.set(note, noteAt);
  return bytes;
}

export interface BzImageSpec {
  readonly payload?: Uint8Array;
  readonly version?: number;
  readonly loadflags?: number;
  readonly xloadflags?: number;
  readonly initSize?: number;
  readonly cmdlineSize?: number;
}

const SETUP_SECTS = 1;

/** A bzImage of boot protocol 2.15 whose protected-mode part is 1 KiB of NOPs and the payload. */
export function bzImage(spec: BzImageSpec = {}): Uint8Array {
  const payload = spec.payload ?? new Uint8Array(0);
  const setup = (SETUP_SECTS + 1) * 512;
  const length = Math.ceil((1024 + payload.length) / 16) * 16;
  const bytes = new Uint8Array(setup + length);
  const view = new DataView(bytes.buffer);
  bytes.fill(0x90, setup, setup + 1024);
  bytes.set(payload, setup + 1024);
  bytes[0x1f1] = SETUP_SECTS;
  view.setUint32(0x1f4, length / 16, true);
  view.setUint16(0x1fe, 0xaa55, true);
  bytes[0x201] = 0x6a;
  view.setUint32(0x202, 0x53726448, true);
  view.setUint16(0x206, spec.version ?? 0x20f, true);
  view.setUint16(0x20e, 0x80, true);
  bytes.set(new TextEncoder().encode('6.1.0-test (builder)\0'), 0x280);
  bytes[0x211] = spec.loadflags ?? 1;
  view.setUint32(0x22c, 0x7fffffff, true);
  view.setUint16(0x236, spec.xloadflags ?? 1, true);
  view.setUint32(0x238, spec.cmdlineSize ?? 2047, true);
  view.setUint32(0x248, payload.length === 0 ? 0 : 1024, true);
  view.setUint32(0x24c, payload.length, true);
  view.setBigUint64(0x258, 0x1000000n, true);
  view.setUint32(0x260, spec.initSize ?? 0x200000, true);
  return bytes;
}

/** A payload as the kernel's build makes it: compressed, then the size in four bytes. */
export function withSize(packed: Uint8Array, size: number): Uint8Array {
  return Uint8Array.from([...packed, ...u32(size)]);
}

/** A multiboot header with its checksum. */
export function multibootHeader(flags: number, ...addresses: readonly number[]): Uint8Array {
  return Uint8Array.from([0x1badb002, flags, -(0x1badb002 + flags), ...addresses].flatMap(u32));
}
