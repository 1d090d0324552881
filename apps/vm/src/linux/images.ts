/** The kernel and initramfs of the default boot: made once of Debian's packages, then taken from the cache. */
import { createHash } from 'node:crypto';
import { copyFile, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheFolder, fillFolder, withScratch } from '../cache.ts';
import { Apt, PackagesUnavailable } from './apt.ts';
import { INITRAMFS_RECIPE, buildInitramfs } from './initramfs.ts';

const KERNEL_META = 'linux-image-cloud-amd64';
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
}

/** The images; throws PackagesUnavailable when they are not in the cache and packages can't be had. */
export async function linuxImages(options: FetchOptions): Promise<LinuxImages> {
  const cached = options.refresh === true ? undefined : await cachedImages();
  return cached ?? fetchImages(options.progress);
}

// Folders are named by what they are made of, so that a change of the recipe makes new ones.
function recipe(): string {
  return createHash('sha256').update(INITRAMFS_RECIPE).digest('hex').slice(0, 12);
}

async function cachedImages(): Promise<LinuxImages | undefined> {
  const folder = join(cacheFolder(), 'linux');
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

async function fetchImages(progress: (line: string) => void): Promise<LinuxImages> {
  const target = await withScratch(async (scratch) => {
    const apt = await Apt.open(join(scratch, 'apt'), KERNEL_META, progress);
    const kernelPackage = await apt.firstDependency(KERNEL_META);
    const root = join(scratch, 'root');
    const kernelVersion = await apt.unpack(kernelPackage, root);
    const busyboxVersion = await apt.unpack(BUSYBOX, root);
    progress('building the initramfs');
    const folder = join(cacheFolder(), 'linux', `${kernelPackage}_${kernelVersion}_${busyboxVersion}-${recipe()}`.replaceAll('/', '-'));
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
