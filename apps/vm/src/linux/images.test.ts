import { chmod, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { linuxImages } from './images.ts';

// apt-get, apt-cache and dpkg-deb as small scripts, so that each thing that can go wrong does.
const APT_CACHE = `case "$*" in
  *depends*) echo "linux-image-cloud-amd64"; echo "  Depends: linux-image-6.1.0-99-cloud-amd64" ;;
  *show*) [ -e "$FAKE/known" ] && echo "Filename: pool/x" || exit 100 ;;
esac`;
const DPKG_DEB = `mkdir -p "$3/boot" "$3/bin"
case "$2" in *linux-image*) echo kernel > "$3/boot/vmlinuz-6.1.0-99" ;; *) echo busybox > "$3/bin/busybox" ;; esac`;
const APT_GET = `echo "$*" >> "$FAKE/calls"
case "$*" in
  *update*)
    lists=$(echo "$*" | sed 's/.*Dir::State::lists=\\([^ ]*\\).*/\\1/')
    left=$(cat "$FAKE/failures" 2>/dev/null || echo 0)
    [ -e "$FAKE/offline" ] && { echo "E: Failed to fetch http://mirror  Could not connect" >&2; echo "E: Some index files failed" >&2; exit 100; }
    touch "$lists/mirror_main_Packages" "$FAKE/known"
    [ "$left" -gt 0 ] && { echo $((left - 1)) > "$FAKE/failures"; echo "E: Hash Sum mismatch" >&2; exit 100; }
    exit 0 ;;
  *download*) name=\${*##* }; [ -e "$FAKE/broken" ] && { echo "E: Unable to locate package $name" >&2; exit 100; }; touch "./\${name}_1%3a2.3_amd64.deb" ;;
esac`;

describe('linuxImages', () => {
  let scratch: string;
  let lines: string[];
  const progress = (line: string): void => void lines.push(line);
  const flag = (name: string, text = ''): Promise<void> => writeFile(join(scratch, name), text);

  beforeEach(async () => {
    scratch = await mkdtemp(join(tmpdir(), 'vm-images-'));
    lines = [];
    await mkdir(join(scratch, 'bin'));
    for (const [name, script] of [['apt-get', APT_GET], ['apt-cache', APT_CACHE], ['dpkg-deb', DPKG_DEB]] as const) {
      await writeFile(join(scratch, 'bin', name), `#!/bin/sh\n${script}\n`);
      await chmod(join(scratch, 'bin', name), 0o755);
    }
    vi.stubEnv('FAKE', scratch);
    vi.stubEnv('XDG_CACHE_HOME', join(scratch, 'cache'));
    vi.stubEnv('PATH', `${join(scratch, 'bin')}:/usr/bin:/bin`);
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await rm(scratch, { recursive: true, force: true });
  });

  test('fetches once, then answers from the cache, and leaves nothing else behind', async () => {
    const images = await linuxImages({ progress });
    expect(images).toMatchObject({ kernelPackage: 'linux-image-6.1.0-99-cloud-amd64', kernelVersion: '1:2.3', busyboxVersion: '1:2.3' });
    expect(await readFile(images.kernel, 'utf8')).toBe('kernel\n');
    expect((await readFile(images.initrd)).subarray(0, 6).toString()).toBe('070701');
    expect(lines).toEqual(['fetching the package lists', 'fetching linux-image-6.1.0-99-cloud-amd64', 'fetching busybox-static', 'building the initramfs']);
    await rm(join(scratch, 'bin'), { recursive: true });
    expect(await linuxImages({ progress })).toEqual(images);
    expect(await readdir(join(scratch, 'cache', 'vm-monorepo'))).toEqual(['linux']);
  });

  test('asks apt to keep its hands off the system', async () => {
    await linuxImages({ progress });
    const calls = (await readFile(join(scratch, 'calls'), 'utf8')).trim().split('\n');
    for (const call of calls)
      for (const option of ['Dir::State=', 'Dir::State::lists=', 'Dir::State::status=', 'Dir::Cache=', 'Dir::Cache::archives='])
        expect(call).toContain(`-o${option}${join(scratch, 'cache')}`);
  });

  test('tries again when a mirror fails half-way', async () => {
    await flag('failures', '2');
    await linuxImages({ progress });
    expect(lines.filter((line) => line.startsWith('fetching the package lists'))).toHaveLength(3);
  });

  test('goes on with what is there when it fails every time', async () => {
    await flag('failures', '9');
    await expect(linuxImages({ progress })).resolves.toMatchObject({ kernelVersion: '1:2.3' });
  });

  test.each<[string, () => Promise<unknown>, string]>([
    ['offline', () => flag('offline'), 'apt-get could not fetch the package lists: Failed to fetch http://mirror  Could not connect'],
    ['a package that is gone', () => flag('broken'), 'apt-get could not download linux-image-6.1.0-99-cloud-amd64: Unable to locate package linux-image-6.1.0-99-cloud-amd64'],
    ['no apt-get', () => rm(join(scratch, 'bin', 'apt-get')).then(() => vi.stubEnv('PATH', join(scratch, 'bin'))), 'apt-get is not installed'],
  ])('%s: fails with one sentence and an empty cache', async (_what, prepare, message) => {
    await prepare();
    await expect(linuxImages({ progress })).rejects.toThrow(message);
    expect(await readdir(join(scratch, 'cache', 'vm-monorepo'))).toEqual([]);
  });
});
