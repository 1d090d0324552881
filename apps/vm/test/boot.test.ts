import { afterEach, describe, expect, test } from 'vitest';
import { SAMPLE_SHA256 } from '../src/linux/initramfs.ts';
import { imagesForTests } from './linux-images.ts';
import { PROMPT, VmProcess } from './vm-process.ts';

const images = await imagesForTests();

describe.skipIf(images === undefined)('Debian\'s cloud kernel with BusyBox', () => {
  let machine: VmProcess | undefined;
  afterEach(() => {
    machine?.kill();
  });

  test('boots without arguments to a shell that works, and powers off with 0', async () => {
    machine = new VmProcess([]);
    await machine.until(PROMPT);
    expect(await machine.shell('uname -a')).toMatch(/^Linux vm 6\.1\.0-\d+-cloud-amd64 #1 SMP .* x86_64 GNU\/Linux$/m);
    const cpuinfo = await machine.shell('cat /proc/cpuinfo');
    expect(cpuinfo).toMatch(/^processor\t: 0$[\s\S]*^flags\t\t: fpu .*\blm\b/m);
    // What Linux uses beyond what it finds: each of these it has turned on by itself.
    const flags = new Set(/^flags\t\t: (.*)$/m.exec(cpuinfo)?.[1]?.trim().split(' '));
    expect(['pcid', 'invpcid', 'pku', 'ospke', 'smep', 'smap', 'umip', 'fsgsbase', 'xsaves', 'xgetbv1'].filter((flag) => !flags.has(flag))).toEqual([]);
    expect(await machine.shell('sha256sum /root/million-a.txt')).toContain(`${SAMPLE_SHA256}  /root/million-a.txt`);
    expect(await machine.shell('seq 1 1000 | grep 7 | sort -r | head -n 3 | tr "\\n" ,; echo')).toContain('997,987,979,');
    expect(await machine.shell('echo $((6 * 7)) > /tmp/a && cat /tmp/a')).toContain('42');
    expect(await machine.shell('sleep 1000 & jobs; kill %1; echo job control')).toMatch(/Running\s+sleep 1000[\s\S]*job control/);
    expect(await machine.shell('dmesg | grep -c "Hypervisor detected: KVM"')).toMatch(/^1$/m);
    machine.type('poweroff\n');
    expect(await machine.end()).toMatchObject({ code: 0 });
  });

  test.each([64, 2048])('boots with %d MiB', async (memory) => {
    machine = new VmProcess(['run', '--memory', String(memory)]);
    await machine.until(PROMPT);
    const total = Number(/MemTotal:\s+(\d+) kB/.exec(await machine.shell('cat /proc/meminfo'))?.[1]);
    expect(total / 1024).toBeGreaterThan(memory * 0.4);
    expect(total / 1024).toBeLessThan(memory);
    machine.type('poweroff -f\n');
    expect(await machine.end()).toMatchObject({ code: 0 });
  });

  test('time goes by as it does outside', async () => {
    machine = new VmProcess(['run', '--kernel', images!.kernel, '--initrd', images!.initrd, '--append', 'console=ttyS0 quiet']);
    await machine.until(PROMPT);
    const start = performance.now();
    await machine.shell('sleep 2');
    const elapsed = performance.now() - start;
    expect(elapsed).toBeGreaterThan(1900);
    expect(elapsed).toBeLessThan(4000);
    const now = Number((await machine.shell('date +%s')).trim().split('\n').at(-1));
    expect(Math.abs(now - Date.now() / 1000)).toBeLessThan(5);
    machine.type('reboot -f\n');
    await machine.until(PROMPT);
    machine.type('poweroff -f\n');
    expect(await machine.end()).toMatchObject({ code: 0 });
  });

  test('a kernel that panics and resets ends the machine with --no-reboot', async () => {
    machine = new VmProcess(['run', '--kernel', images!.kernel, '--append', 'console=ttyS0 panic=-1', '--no-reboot']);
    machine.child.stdin.end();
    const { code, stdout } = await machine.end(120_000);
    expect(stdout).toContain('Kernel panic - not syncing: VFS: Unable to mount root fs');
    expect(code).toBe(0);
  });

  test('a kernel that unpacks itself boots as well', async () => {
    machine = new VmProcess(['run', '--no-unpack', '--kernel', images!.kernel, '--initrd', images!.initrd, '--append', 'console=ttyS0']);
    await machine.until(PROMPT);
    machine.type('poweroff -f\n');
    expect(await machine.end()).toMatchObject({ code: 0 });
  });
});
