import { afterEach, describe, expect, test } from 'vitest';
import { imagesForTests } from './linux-images.ts';
import { PROMPT, VmProcess } from './vm-process.ts';

const images = await imagesForTests('i386');
const BOOT_TIMEOUT = 150_000;

describe.skipIf(images === undefined)('Debian\'s i386 kernel with a 32-bit BusyBox', () => {
  let machine: VmProcess | undefined;
  afterEach(() => {
    machine?.kill();
  });

  test('boots to a shell in which 32-bit programs run, and powers off with 0', { timeout: BOOT_TIMEOUT + 60_000 }, async () => {
    machine = new VmProcess(['run', '--kernel', images!.kernel, '--initrd', images!.initrd, '--append', 'console=ttyS0 quiet']);
    await machine.until(PROMPT, BOOT_TIMEOUT);
    expect(await machine.shell('uname -a')).toMatch(/^Linux vm 6\.1\.0-\d+-686 #1 SMP .* i686 GNU\/Linux$/m);
    expect(await machine.shell('seq 1 1000 | sha256sum')).toContain('67d4ff71d43921d5739f387da09746f405e425b07d727e4c69d029461d1f051f');
    machine.type('poweroff\n');
    expect(await machine.end()).toMatchObject({ code: 0 });
  });
});
