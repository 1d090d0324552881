import { gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bzImage, elf, multibootHeader, withSize } from '../../../../test/images.ts';
import { X86Env } from '../../../target/i386/env.ts';
import { e820Table, splitRam } from '../e820.ts';
import { ACPI_TABLES, COMMAND_LINE, MULTIBOOT_INFO, MiB, PML4_ADDRESS, PVH_START_INFO, SETUP_DATA, ZERO_PAGE } from '../layout.ts';
import type { BootImage, KernelOptions } from './boot-image.ts';
import { loadKernel } from './load-kernel.ts';
import { LoaderError } from './loader-error.ts';
import { MemoryPlan } from './memory-plan.ts';

const CODE = Uint8Array.of(0xf4, 0xeb, 0xfd);
const linux64 = elf({ entry: 0x1000000, segments: [{ address: 0x1000000, virtual: 0xffff_ffff_8100_0000, bytes: CODE, size: 0x4000 }] });
const linux32 = elf({ bits: 32, entry: 0x1000000, segments: [{ address: 0x1000000, virtual: 0xc1000000, bytes: CODE }] });

async function load(
  options: KernelOptions,
  mib = 64,
): Promise<{ image: BootImage; env: X86Env; memory: Map<string, BootImage['blobs'][number]> }> {
  const e820 = e820Table(splitRam(mib * MiB));
  const image = await loadKernel({ options, e820, plan: new MemoryPlan(e820), rsdp: ACPI_TABLES });
  const env = new X86Env(true);
  image.enter(env);
  return { image, env, memory: new Map(image.blobs.map((blob) => [blob.name, blob])) };
}

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const gzip = (bytes: Uint8Array): Uint8Array => Uint8Array.from(gzipSync(bytes));

describe('Linux', () => {
  it('is unpacked from a bzImage, and entered in 64-bit mode with boot_params', async () => {
    const initrd = new Uint8Array(5000).fill(7);
    const { image, env, memory } = await load({
      kernel: bzImage({ payload: gzip(linux64) }),
      initrd,
      append: 'console=ttyS0',
      rngSeed: Uint8Array.of(1, 2),
    });
    expect(image.description).toBe('Linux bzImage 6.1.0-test, unpacked (gzip), 64-bit entry');
    expect(memory.get('the kernel (segment 0)')).toMatchObject({ address: 0x1000000, bytes: CODE, size: 0x4000 });
    expect([env.regs.rip, env.regs.rsi, env.regs.rflags]).toEqual([0x1000000n, BigInt(ZERO_PAGE), 2n]);
    expect([env.sregs.cr0, env.sregs.cr3, env.sregs.cr4, env.sregs.efer, env.sregs.cs.l, env.sregs.cs.selector]).toEqual([
      0x80000011n,
      BigInt(PML4_ADDRESS),
      0x20n,
      0x500n,
      1,
      0x10,
    ]);
    const zero = view(memory.get('boot parameters')!.bytes);
    const ramdisk = memory.get('the initrd')!;
    expect(ramdisk.address).toBe(64 * MiB - 8192);
    expect([zero.getUint32(0x218, true), zero.getUint32(0x21c, true), zero.getUint32(0x228, true)]).toEqual([
      ramdisk.address,
      5000,
      COMMAND_LINE,
    ]);
    expect([zero.getUint8(0x210), zero.getUint8(0x1e8), zero.getUint32(0x250, true), zero.getUint32(0x70, true)]).toEqual([
      0xff,
      4,
      SETUP_DATA,
      ACPI_TABLES,
    ]);
    expect([zero.getUint32(0x202, true), zero.getUint16(0x206, true)]).toEqual([0x53726448, 0x20f]);
    expect(new TextDecoder().decode(memory.get('command line')!.bytes)).toBe('console=ttyS0');
  });

  it.each([
    ['zstd', withSize(Uint8Array.from(zstdCompressSync(linux64)), linux64.length), 'unpacked (zstd), 64-bit entry'],
    ['gzip, 32 bits', gzip(linux32), 'unpacked (gzip), 32-bit entry'],
    ['bzip2, which it must unpack itself', Uint8Array.of(0x42, 0x5a, 0x68, 0, 0, 0, 0, 0), '64-bit entry'],
  ])('boots from %s', async (_name, payload, description) => {
    const { image } = await load({ kernel: bzImage({ payload }) });
    expect(image.description).toContain(description);
  });

  it.each([
    ['64-bit entry', 1, 'auto', 0x100200n, 1],
    ['32-bit entry, which was asked for', 1, 'linux32', 0x100000n, 0],
    ['32-bit entry of a 32-bit kernel', 0, 'auto', 0x100000n, 0],
  ] as const)('starts a packed bzImage at its %s', async (_name, xloadflags, entry, rip, long) => {
    const { env, memory } = await load({ kernel: bzImage({ payload: gzip(linux64), xloadflags }), unpack: false, entry });
    expect([env.regs.rip, env.sregs.cs.l, env.regs.rsi]).toEqual([rip, long, BigInt(ZERO_PAGE)]);
    expect(memory.get('the kernel')!.address).toBe(0x100000);
  });

  it('makes a setup header for a vmlinux, and finds a virtual entry', async () => {
    const kernel = elf({ bits: 32, entry: 0xc1000010, segments: [{ address: 0x1000000, virtual: 0xc1000000, bytes: new Uint8Array(64) }] });
    const { env, memory } = await load({ kernel, entry: 'linux32' });
    expect([env.regs.rip, env.sregs.cr0]).toEqual([0x1000010n, 0x11n]);
    expect(view(memory.get('boot parameters')!.bytes).getUint16(0x1fe, true)).toBe(0xaa55);
  });

  it('puts an initrd below the kernel when there is no room above', async () => {
    const kernel = elf({ entry: 0x1000000, segments: [{ address: 0x1000000, bytes: CODE, size: 47 * MiB }] });
    const { memory } = await load({ kernel, initrd: new Uint8Array(4 * MiB) });
    expect(memory.get('the initrd')!.address).toBe(12 * MiB);
  });
});

describe('PVH', () => {
  it('is entered in protected mode with start info', async () => {
    const kernel = elf({ entry: 0xffff_8000, pvh: 0x200000, segments: [{ address: 0x200000, bytes: CODE }] });
    const { env, memory } = await load({ kernel, initrd: new Uint8Array(10), append: 'quiet' });
    expect([env.regs.rip, env.regs.rbx, env.sregs.cr0, env.sregs.cs.db, env.sregs.cs.limit]).toEqual([
      0x200000n,
      BigInt(PVH_START_INFO),
      0x11n,
      1,
      0xffff_ffff,
    ]);
    const info = view(memory.get('start info')!.bytes);
    expect([info.getUint32(0, true), info.getUint32(4, true), info.getUint32(12, true), info.getUint32(32, true)]).toEqual([
      0x336ec578,
      1,
      1,
      ACPI_TABLES,
    ]);
    const modules = info.getUint32(16, true) - PVH_START_INFO;
    expect([info.getUint32(modules, true), info.getUint32(modules + 8, true)]).toEqual([memory.get('the initrd')!.address, 10]);
    const map = info.getUint32(40, true) - PVH_START_INFO;
    expect([info.getUint32(48, true), info.getUint32(map + 48, true), info.getUint32(map + 64, true)]).toEqual([4, 0x100000, 1]);
  });
});

describe('multiboot', () => {
  const text = (info: DataView, address: number): string => {
    let result = '';
    for (let at = address - MULTIBOOT_INFO; info.getUint8(at) !== 0; at++) result += String.fromCharCode(info.getUint8(at));
    return result;
  };

  it('starts an ELF kernel with memory map, command line and modules', async () => {
    const kernel = elf({ bits: 32, entry: 0x100010, segments: [{ address: 0x100000, bytes: multibootHeader(3), size: 0x9000 }] });
    const modules = [{ bytes: Uint8Array.of(1, 2, 3), commandLine: 'second x' }];
    const { env, memory } = await load({ kernel, initrd: new Uint8Array(100), modules, kernelName: 'dir/my.elf', append: 'a b' });
    expect([env.regs.rax, env.regs.rbx, env.regs.rip, env.sregs.cr0]).toEqual([0x2badb002n, BigInt(MULTIBOOT_INFO), 0x100010n, 0x11n]);
    expect(env.sregs.idt).toMatchObject({ base: 0n, limit: 0x3ff });
    const info = view(memory.get('multiboot information')!.bytes);
    const word = (at: number): number => info.getUint32(at, true);
    expect([word(0), word(4), word(8), word(20)]).toEqual([0x24d, 639, 63 * 1024, 2]);
    expect([text(info, word(16)), text(info, word(64))]).toEqual(['dir/my.elf a b', '@vm/qemu']);
    const second = word(24) - MULTIBOOT_INFO + 16;
    expect([word(second + 4) - word(second), text(info, word(second + 8))]).toEqual([3, 'second x']);
    const map = word(48) - MULTIBOOT_INFO;
    expect([word(44), word(map), word(map + 4), word(map + 12), word(map + 20)]).toEqual([96, 20, 0, 0x9fc00, 1]);
  });

  it.each([
    ['above it', 0x8000, 0xb000, 0x13000],
    ['below it', 0x10000, 0x8fc00, 0x1000],
  ])('starts a kernel in base memory, with the information %s', async (_where, address, size, expected) => {
    const kernel = elf({ bits: 32, entry: address, segments: [{ address, bytes: multibootHeader(0), size }] });
    const { env, memory } = await load({ kernel, append: 'x' });
    const info = memory.get('multiboot information')!;
    expect([info.address, env.regs.rbx, env.regs.rip]).toEqual([expected, BigInt(expected), BigInt(address)]);
    const commandLine = view(info.bytes).getUint32(16, true) - expected;
    expect(new TextDecoder().decode(info.bytes.subarray(commandLine, commandLine + 9))).toBe('kernel x\0');
  });

  it('starts a kernel by the addresses in its header', async () => {
    const body = new Uint8Array(64);
    body.set(multibootHeader(0x10003, 0x100010, 0x100000, 0x100040, 0x102000, 0x100030), 16);
    const { env, memory } = await load({ kernel: body });
    expect(env.regs.rip).toBe(0x100030n);
    expect(memory.get('the kernel')).toMatchObject({ address: 0x100000, size: 0x2000 });
    expect(memory.get('the kernel')!.bytes).toEqual(body);
  });
});

describe('what cannot be loaded', () => {
  const truncated = bzImage({ payload: gzip(linux64) }).subarray(0, 1500);
  const corrupt = (() => {
    const payload = gzip(linux64);
    payload[payload.length >> 1]! ^= 0xff;
    return bzImage({ payload });
  })();
  const noElf = bzImage({ payload: gzip(new TextEncoder().encode('this is no kernel at all')) });
  const far = elf({ entry: 0, segments: [{ address: 2 ** 33, bytes: CODE }] });
  const low = elf({ entry: 0x7000, segments: [{ address: 0x7000, bytes: CODE }] });
  const large = elf({ entry: 0x1000000, segments: [{ address: 0x1000000, bytes: CODE, size: 100 * MiB }] });
  const cases: readonly (readonly [name: string, options: KernelOptions, message: RegExp])[] = [
    ['an empty file', { kernel: new Uint8Array(0) }, /empty/],
    ['a text', { kernel: new TextEncoder().encode('hello') }, /68 65 6c 6c.*no kernel/],
    ['a bzImage that is cut off', { kernel: truncated }, /damaged .*1500 bytes/],
    ['a bzImage that is cut off in its header', { kernel: truncated.subarray(0, 519) }, /damaged .*519 bytes, within its header/],
    ['a bzImage with a corrupt payload', { kernel: corrupt }, /compressed kernel \(gzip\).*damaged/],
    ['a bzImage with something else in it', { kernel: noElf }, /no ELF file/],
    ['a zImage', { kernel: bzImage({ loadflags: 0 }) }, /zImage/],
    [
      'a kernel for another machine',
      { kernel: elf({ machine: 183, entry: 0, segments: [{ address: 0x100000, bytes: CODE }] }) },
      /machine 183/,
    ],
    ['an ELF file that is cut off', { kernel: linux64.subarray(0, 100) }, /ends before/],
    ['an ELF file without segments', { kernel: elf({ entry: 0, segments: [] }) }, /nothing to load/],
    ['a kernel above all memory', { kernel: far }, /no RAM/],
    ['a kernel over the tables of the loader', { kernel: low }, /overlaps the loader/],
    [
      'a multiboot kernel that fills base memory',
      { kernel: elf({ bits: 32, entry: 0x1000, segments: [{ address: 0x1000, bytes: multibootHeader(0), size: 0x9ec00 }] }) },
      /no room .* below 640 KiB/,
    ],
    ['a kernel larger than memory', { kernel: large }, /needs memory up to 116 MiB, the machine has 64 MiB.*more memory/],
    ['a packed kernel larger than memory', { kernel: bzImage({ initSize: 80 * MiB }) }, /up to 96 MiB/],
    [
      'an initrd larger than memory',
      { kernel: linux64, initrd: new Uint8Array(70 * MiB) },
      /initrd has 70.0 MiB, the largest free piece of memory 48.0 MiB/,
    ],
    [
      'a command line that is too long',
      { kernel: bzImage({ payload: gzip(linux64), cmdlineSize: 10 }), append: 'console=ttyS0' },
      /13 bytes, the kernel takes 10/,
    ],
    ['PVH without its note', { kernel: linux64, entry: 'pvh' }, /no PVH entry/],
    ['multiboot without its header', { kernel: linux64, entry: 'multiboot' }, /no multiboot header/],
    [
      'a 64-bit multiboot kernel',
      { kernel: elf({ entry: 0, segments: [{ address: 0x100000, bytes: multibootHeader(0) }] }) },
      /elf32-i386/,
    ],
    [
      'multiboot demands',
      { kernel: elf({ bits: 32, entry: 0, segments: [{ address: 0x100000, bytes: multibootHeader(0x100) }] }) },
      /demands features 0x103|demands features 0x100/,
    ],
    [
      'multiboot addresses outside of the file',
      { kernel: multibootHeader(0x10000, 0x100000, 0x100000, 0x200000, 0, 0x100000) },
      /loads more than the file has/,
    ],
    [
      'too many module texts',
      { kernel: elf({ bits: 32, entry: 0, segments: [{ address: 0x100000, bytes: multibootHeader(0) }] }), append: 'x'.repeat(70000) },
      /shorten/,
    ],
  ];

  it.each(cases)('%s', async (_name, options, message) => {
    await expect(load(options)).rejects.toThrow(message);
    await expect(load(options)).rejects.toBeInstanceOf(LoaderError);
  });

  it('is told by LoaderError and nothing else, whatever is wrong with the bytes', async () => {
    const images = [
      bzImage({ payload: gzip(linux64) }),
      linux64,
      linux32,
      elf({ entry: 1, pvh: 0x200000, segments: [{ address: 0x200000, bytes: CODE }] }),
    ];
    const damage = fc.array(fc.tuple(fc.nat(0x300), fc.nat(255)), { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...images), damage, fc.boolean(), async (image, changes, cut) => {
        const kernel = image.slice(0, cut ? (changes[0]![0] * image.length) >> 10 : image.length);
        for (const [at, value] of changes) if (at < kernel.length) kernel[at] = value;
        try {
          await load({ kernel });
        } catch (error) {
          expect(error).toBeInstanceOf(LoaderError);
        }
      }),
      { numRuns: 1500 },
    );
  });
});
