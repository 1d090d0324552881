import { type Architecture, linuxImages } from '../linux/images.ts';

export interface FetchFlags {
  readonly refresh?: boolean;
  readonly json?: boolean;
  readonly arch?: Architecture;
}

/** `vm fetch`: the images of the default boot, or those of another architecture, and where they are. */
export async function fetchCommand(flags: FetchFlags): Promise<number> {
  const images = await linuxImages({
    progress: (line) => process.stderr.write(`vm: ${line}\n`), refresh: flags.refresh === true, architecture: flags.arch ?? 'amd64',
  });
  if (flags.json === true) process.stdout.write(`${JSON.stringify(images)}\n`);
  else process.stdout.write(`kernel  ${images.kernel}\ninitrd  ${images.initrd}\n${images.kernelPackage} ${images.kernelVersion}, BusyBox ${images.busyboxVersion}\n`);
  return 0;
}
