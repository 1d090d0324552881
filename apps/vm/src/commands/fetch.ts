import { linuxImages } from '../linux/images.ts';

/** `vm fetch`: the images of the default boot, and where they are. */
export async function fetchCommand(flags: { readonly refresh?: boolean; readonly json?: boolean }): Promise<number> {
  const images = await linuxImages({ progress: (line) => process.stderr.write(`vm: ${line}\n`), refresh: flags.refresh === true });
  if (flags.json === true) process.stdout.write(`${JSON.stringify(images)}\n`);
  else process.stdout.write(`kernel  ${images.kernel}\ninitrd  ${images.initrd}\n${images.kernelPackage} ${images.kernelVersion}, BusyBox ${images.busyboxVersion}\n`);
  return 0;
}
