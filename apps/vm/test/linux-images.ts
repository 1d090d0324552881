/** Linux for the tests that boot it; undefined, with the reason said, only where packages can't be had. */
import { PackagesUnavailable } from '../src/linux/apt.ts';
import { type Architecture, type LinuxImages, linuxImages } from '../src/linux/images.ts';

export async function imagesForTests(architecture?: Architecture): Promise<LinuxImages | undefined> {
  try {
    return await linuxImages({ progress: () => undefined, ...(architecture && { architecture }) });
  } catch (error) {
    if (!(error instanceof PackagesUnavailable)) throw error;
    console.warn(`Linux is not booted in these tests: ${error.message}`);
    return undefined;
  }
}
