import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { MONITOR, VmProcess } from './vm-process.ts';

const PROMPT = /> $/;

describe('the monitor', () => {
  let machine: VmProcess;
  let scratch: string;
  beforeEach(async () => {
    scratch = await mkdtemp(join(tmpdir(), 'vm-monitor-'));
  });
  afterEach(async () => {
    machine.kill();
    await rm(scratch, { recursive: true, force: true });
  });

  test('boots where Linux can\'t be had, and the program says so', async () => {
    // An empty cache, and a PATH without apt-get.
    machine = new VmProcess([], { XDG_CACHE_HOME: scratch, PATH: scratch });
    await machine.until(/monitor: 64-bit, on the serial port/);
    expect(machine.stderr).toMatch(/^vm: Linux can't be had \(apt-get is not installed\): booting the small monitor .* instead$/m);
    await machine.until(PROMPT);
    machine.type('poweroff\r');
    expect(await machine.end()).toMatchObject({ code: 0 });
  });

  test('answers its commands', async () => {
    machine = new VmProcess(['run', '--kernel', MONITOR, '--memory', '48'], { XDG_STATE_HOME: scratch });
    await machine.until(PROMPT);
    machine.type('help\r');
    expect(await machine.until(PROMPT)).toMatch(/cpuid[\s\S]*poweroff/);
    machine.type('cpuid\r');
    expect(await machine.until(PROMPT)).toMatch(/^\w{12}, highest leaf [0-9a-f]{16}/m);
    machine.type('memory\r');
    expect(await machine.until(PROMPT)).toContain('48 MiB');
    machine.type('nonsense\r');
    expect(await machine.until(PROMPT)).toContain('unknown command');
    machine.type('reboot\r');
    await machine.until(/monitor: 64-bit/);
    await machine.until(PROMPT);
    machine.type('poweroff\r');
    expect(await machine.end()).toMatchObject({ code: 0 });
  });

  test('the end of standard input does not end it', async () => {
    machine = new VmProcess(['run', '--kernel', MONITOR], { XDG_STATE_HOME: scratch });
    machine.child.stdin.end('tsc\r');
    expect(await machine.until(/tsc\s+[0-9a-f]{16}\s+> $/)).toBeTruthy();
    await new Promise((done) => setTimeout(done, 500));
    expect(machine.child.exitCode).toBeNull();
    machine.child.kill('SIGTERM');
    expect(await machine.end()).toMatchObject({ code: 143 });
  });

  test('more typed at once than the UART holds is not lost', async () => {
    machine = new VmProcess(['run', '--kernel', MONITOR], { XDG_STATE_HOME: scratch });
    await machine.until(PROMPT);
    machine.type('nonsense\r'.repeat(50));
    for (let i = 0; i < 50; i++) await machine.until(/> nonsense\r\nunknown command|^nonsense\r\nunknown command/);
    machine.type('poweroff\r');
    expect(await machine.end()).toMatchObject({ code: 0 });
  });

  test.each([['SIGINT', 130], ['SIGHUP', 129], ['SIGTERM', 143]] as const)('%s ends it with %d', async (signal, status) => {
    machine = new VmProcess(['run', '--kernel', MONITOR], { XDG_STATE_HOME: scratch });
    await machine.until(PROMPT);
    machine.child.kill(signal);
    expect(await machine.end()).toMatchObject({ code: status });
  });
});
