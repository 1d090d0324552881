import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BENCH_GUESTS, MONITOR, VmProcess, vm } from './vm-process.ts';

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'vm-usage-'));
  await writeFile(join(scratch, 'text'), 'this is no kernel\n'.repeat(1000));
  await writeFile(join(scratch, 'empty'), '');
  await writeFile(join(scratch, 'cut'), (await readFile(MONITOR)).subarray(0, 600));
  await writeFile(join(scratch, 'large'), new Uint8Array(40 * 2 ** 20));
  await mkdir(join(scratch, 'folder'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));
const at = (name: string): string => join(scratch, name);
const environment = (): NodeJS.ProcessEnv => ({ XDG_STATE_HOME: scratch });

describe('a command line that makes no sense ends with 2 and says why', () => {
  test.each<[string, string[], RegExp]>([
    ['unknown option', ['run', '--kernle', 'x'], /unknown option '--kernle'[\s\S]*Did you mean --kernel\?/],
    ['an option as QEMU writes it', ['run', '-kernel', 'x'], /unknown option '-kernel': write --kernel/],
    ['unknown command', ['rnu'], /too many arguments|unknown command/],
    ['memory that is no number', ['run', '--memory', 'lots'], /'lots' is invalid.*whole number of MiB/],
    ['memory too small', ['run', '--memory', '8'], /8 MiB is too little: give 16 or more/],
    ['memory too large', ['run', '--memory', '9999999'], /9999999 MiB is too much: give \d+ or less/],
    ['negative memory', ['run', '--memory=-5'], /whole number/],
    ['missing value', ['run', '--kernel'], /argument missing/],
    ['a switch that is none', ['trace', '--switch', '0'], /counted from 1/],
  ])('%s', async (_what, args, message) => {
    const { code, stderr } = await vm(args, environment());
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
  });

  test('help and version end with 0', async () => {
    expect(await vm(['--help'])).toMatchObject({ code: 0, stdout: expect.stringMatching(/run[\s\S]*stat[\s\S]*trace/) as string });
    expect(await vm(['--version'])).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) as string });
  });
});

describe('input that cannot be used ends with 1 and says why, in one line', () => {
  test.each<[string, () => string[], RegExp]>([
    ['missing kernel', () => ['run', '--kernel', at('none')], /^vm: kernel .*none: no such file\n$/],
    ['empty kernel', () => ['run', '--kernel', at('empty')], /^vm: kernel .*empty: it is empty\n$/],
    ['folder as kernel', () => ['run', '--kernel', at('folder')], /^vm: kernel .*folder: it is a directory\n$/],
    ['text as kernel', () => ['run', '--kernel', at('text')], /^vm: .*(kernel|format|magic).*\n$/i],
    ['kernel cut short', () => ['run', '--kernel', at('cut')], /^vm: .+\n$/],
    ['missing initrd', () => ['run', '--kernel', MONITOR, '--initrd', at('none')], /^vm: initrd .*none: no such file\n$/],
    ['initrd larger than memory', () => ['run', '--kernel', MONITOR, '--memory', '32', '--initrd', at('large')], /^vm: initrd .*large: its 40 MiB do not fit in the guest's 32 MiB of memory\n$/],
    ['missing module', () => ['run', '--kernel', MONITOR, '--module', `${at('none')} words`], /^vm: module .*none: no such file\n$/],
    ['output that can\'t be written', () => ['trace', '--kernel', MONITOR, '--output', join(at('folder'), 'a/b')], /^vm: the trace can't be written to .*\n$/],
  ])('%s', async (_what, args, message) => {
    const { code, stderr } = await vm(args(), environment());
    expect(stderr).toMatch(message);
    expect(code).toBe(1);
  });

  test('statistics of a run that never was', async () => {
    const { code, stderr } = await vm(['stat'], { XDG_STATE_HOME: at('nowhere') });
    expect(stderr).toMatch(/^vm: there was no run yet/);
    expect(code).toBe(1);
  });
});

test('isa-debug-exit ends with the guest\'s status', async () => {
  const machine = new VmProcess(['run', '--kernel', join(BENCH_GUESTS, 'cpuid.elf'), '--isa-debug-exit', '--memory', '32'], environment());
  expect(await machine.end()).toMatchObject({ code: 1, stdout: 'SE' });
});
