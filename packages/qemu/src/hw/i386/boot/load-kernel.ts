/** Finds out what kind of kernel it is, and loads it by that kind's protocol. */

import type { BootImage, LoaderContext } from './boot-image.ts';
import { isBzImage } from './bzimage.ts';
import { isElf, parseElf } from './elf.ts';
import { loadBzImage, loadVmlinux } from './linux.ts';
import { LOADER_AREA_END } from '../layout.ts';
import { LoaderError } from './loader-error.ts';
import { findMultibootHeader, loadMultiboot } from './multiboot.ts';
import { loadPvh } from './pvh.ts';

/** As QEMU does it: multiboot first, then ELF (by its PVH entry when it has one), then bzImage. */
export async function loadKernel(context: LoaderContext): Promise<BootImage> {
  const { kernel, entry = 'auto' } = context.options;
  if (kernel.length === 0) throw new LoaderError('the kernel file is empty', 'give a bzImage, a vmlinux or a multiboot kernel');
  if (entry === 'multiboot' || (entry === 'auto' && findMultibootHeader(kernel) !== undefined)) return loadMultiboot(context);
  context.plan.reserve("the loader's own area", 0, LOADER_AREA_END);
  if (isElf(kernel)) {
    if (entry === 'pvh' || (entry === 'auto' && parseElf(kernel).pvhEntry !== undefined)) return loadPvh(context);
    return loadVmlinux(context);
  }
  if (isBzImage(kernel)) {
    if (entry === 'pvh') throw new LoaderError('a bzImage has no PVH entry', 'give the vmlinux that is in it');
    return await loadBzImage(context);
  }
  const start = Array.from(kernel.subarray(0, 4), (byte) => byte.toString(16).padStart(2, '0')).join(' ');
  throw new LoaderError(
    `the file (${kernel.length} bytes, beginning with ${start}) is no kernel`,
    'give a bzImage, a vmlinux or a multiboot kernel',
  );
}
