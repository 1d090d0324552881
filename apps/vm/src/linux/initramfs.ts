/** The root file system that the default boot gives Linux: BusyBox, its init, and a shell on the console. */
import type { CpioEntry } from './cpio.ts';
import { writeCpio } from './cpio.ts';

/** Content of /root/million-a.txt: the long message of FIPS 180-4's SHA-256 examples, whose digest everybody knows. */
export const SAMPLE_TEXT: string = 'a'.repeat(1_000_000);
export const SAMPLE_SHA256 = 'cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0';

// PID 1. Mounts what BusyBox and the shell expect, then becomes BusyBox's init, which reaps, and serves `poweroff`.
const INIT = `#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
/bin/busybox mkdir -p /dev/pts
/bin/busybox mount -t devpts devpts /dev/pts
/bin/busybox --install -s
hostname vm
exec /sbin/init
`;

// cttyhack finds the active console, so that the shell has a controlling terminal and with it job control.
const INITTAB = `::sysinit:/bin/cat /etc/motd
::respawn:/bin/cttyhack /bin/sh -l
::ctrlaltdel:/sbin/reboot
::shutdown:/bin/umount -a -r
`;

const MOTD = `
BusyBox on Linux. \`poweroff\` ends the machine.

`;

const PROFILE = `export PATH=/sbin:/usr/sbin:/bin:/usr/bin HOME=/root TERM=\${TERM:-vt100}
`;

/** Changes whenever the initramfs made of the same BusyBox would differ. */
export const INITRAMFS_RECIPE: string = [INIT, INITTAB, MOTD, PROFILE, SAMPLE_SHA256].join('\0');

/** The initramfs with this static BusyBox. It is not compressed: unpacking would cost the guest more than reading. */
export function buildInitramfs(busybox: Uint8Array): Uint8Array<ArrayBuffer> {
  const directories = ['bin', 'sbin', 'usr', 'usr/bin', 'usr/sbin', 'dev', 'etc', 'proc', 'root', 'run', 'sys', 'tmp'];
  const entries: CpioEntry[] = [
    ...directories.map((path): CpioEntry => ({ path, type: 'directory', mode: path === 'tmp' ? 0o1777 : 0o755 })),
    { path: 'dev/console', type: 'character', device: [5, 1] },
    { path: 'dev/null', type: 'character', mode: 0o666, device: [1, 3] },
    { path: 'bin/busybox', type: 'file', mode: 0o755, data: busybox },
    { path: 'bin/sh', type: 'symlink', data: 'busybox' },
    { path: 'init', type: 'file', mode: 0o755, data: INIT },
    { path: 'etc/inittab', type: 'file', data: INITTAB },
    { path: 'etc/motd', type: 'file', data: MOTD },
    { path: 'etc/profile', type: 'file', data: PROFILE },
    { path: 'etc/passwd', type: 'file', data: 'root::0:0:root:/root:/bin/sh\n' },
    { path: 'etc/group', type: 'file', data: 'root:x:0:\n' },
    { path: 'root/million-a.txt', type: 'file', data: SAMPLE_TEXT },
    { path: 'root/SHA256SUMS', type: 'file', data: `${SAMPLE_SHA256}  /root/million-a.txt\n` },
  ];
  return writeCpio(entries);
}
