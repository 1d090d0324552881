/** The kernel and initramfs of the default boot: made once of Debian's packages, then taken from the cache. */
import { createHash } from 'node:crypto';
import { copyFile, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheFolder, fillFolder, withScratch } from '../cache.ts';
import { Apt, PackagesUnavailable } from './apt.ts';
import { INITRAMFS_RECIPE, buildInitramfs } from './initramfs.ts';

/** Debian's architectures, with the package that stands for the kernel of each. */
const KERNEL_META = { amd64: 'linux-image-cloud-amd64', i386: 'linux-image-686' } as const;
export type Architecture = keyof typeof KERNEL_META;
export const ARCHITECTURES: readonly string[] = Object.keys(KERNEL_META);
const BUSYBOX = 'busybox-static';
const MANIFEST = 'manifest.json';

/** What is in an image folder's manifest.json. */
interface Manifest {
  readonly kernelPackage: string;
  readonly kernelVersion: string;
  readonly busyboxVersion: string;
}

export interface LinuxImages extends Manifest {
  /** Paths of the bzImage and of the initramfs. */
  readonly kernel: string;
  readonly initrd: string;
}

export interface FetchOptions {
  /** Told of each step that takes time. */
  readonly progress: (line: string) => void;
  /** Fetches the packages again although there are images in the cache. */
  readonly refresh?: boolean;
  /** Of kernel and BusyBox; amd64 by default. */
  readonly architecture?: Architecture;
}

/** The images; throws PackagesUnavailable when they are not in the cache and packages can't be had. */
export async function linuxImages(options: FetchOptions): Promise<LinuxImages> {
  const architecture = options.architecture ?? 'amd64';
  const cached = options.refresh === true ? undefined : await cachedImages(architecture);
  return cached ?? fetchImages(architecture, options.progress);
}

// Folders are named by what they are made of, so that a change of the recipe makes new ones.
function recipe(): string {
  return createHash('sha256').update(INITRAMFS_RECIPE).digest('hex').slice(0, 12);
}

function folderOf(architecture: Architecture): string {
  return join(cacheFolder(), architecture === 'amd64' ? 'linux' : `linux-${architecture}`);
}

async function cachedImages(architecture: Architecture): Promise<LinuxImages | undefined> {
  const folder = folderOf(architecture);
  const names = await readdir(folder).catch(() => []);
  const newest = names.filter((name) => name.endsWith(`-${recipe()}`)).sort(byVersion).at(-1);
  return newest === undefined ? undefined : readImages(join(folder, newest)).catch(() => undefined);
}

function byVersion(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true });
}

async function readImages(folder: string): Promise<LinuxImages> {
  const manifest = JSON.parse(await readFile(join(folder, MANIFEST), 'utf8')) as Manifest;
  return { ...manifest, kernel: join(folder, 'vmlinuz'), initrd: join(folder, 'initrd.img') };
}

async function fetchImages(architecture: Architecture, progress: (line: string) => void): Promise<LinuxImages> {
  const target = await withScratch(async (scratch) => {
    const meta = KERNEL_META[architecture];
    const apt = await Apt.open(join(scratch, 'apt'), architecture, meta, progress);
    const kernelPackage = await apt.firstDependency(meta);
    const root = join(scratch, 'root');
    const kernelVersion = await apt.unpack(kernelPackage, root);
    const busyboxVersion = await apt.unpack(BUSYBOX, root);
    progress('building the initramfs');
    const folder = join(folderOf(architecture), `${kernelPackage}_${kernelVersion}_${busyboxVersion}-${recipe()}`.replaceAll('/', '-'));
    await fillFolder(folder, async (made) => {
      const boot = join(root, 'boot');
      const kernel = (await readdir(boot)).find((name) => name.startsWith('vmlinuz-'));
      if (kernel === undefined) throw new PackagesUnavailable(`the package ${kernelPackage} holds no kernel`);
      await copyFile(join(boot, kernel), join(made, 'vmlinuz'));
      await writeFile(join(made, 'initrd.img'), buildInitramfs(await readFile(join(root, 'bin', 'busybox'))));
      await writeFile(join(made, MANIFEST), `${JSON.stringify({ kernelPackage, kernelVersion, busyboxVersion }, null, 2)}\n`);
    });
    return folder;
  });
  return readImages(target);
}
