import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ExitReport } from '../src/report/kvm-stat.ts';
import { imagesForTests } from './linux-images.ts';
import { BENCH_GUESTS, vm } from './vm-process.ts';

const images = await imagesForTests();
const CPUID = ['--kernel', join(BENCH_GUESTS, 'cpuid.elf'), '--memory', '32', '--isa-debug-exit'];
const PIO = ['--kernel', join(BENCH_GUESTS, 'pio.elf'), '--memory', '32', '--isa-debug-exit'];

let scratch: string;
let environment: NodeJS.ProcessEnv;
beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'vm-observe-'));
  environment = { XDG_STATE_HOME: scratch };
});
afterEach(() => rm(scratch, { recursive: true, force: true }));

describe('vm stat', () => {
  test('accounts for every exit of the last run', async () => {
    const file = join(scratch, 'exits.json');
    expect(await vm(['run', ...CPUID, '--exit-stats', file], environment)).toMatchObject({ code: 1 });
    const report = JSON.parse(await readFile(file, 'utf8')) as ExitReport;
    const samples = (reason: string): number => report.exits.find((exit) => exit.reason === reason)?.samples ?? 0;
    expect(samples('CPUID')).toBe(101_000);
    // Two marks and the exit from the machine, each an OUT.
    expect(samples('IO_INSTRUCTION')).toBe(3);
    const { code, stdout } = await vm(['stat'], environment);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^ {15}CPUID {5}101000 .*%.*us.*us.*us \( \+- .*% \)$/m);
    const total = report.exits.reduce((sum, exit) => sum + exit.samples, 0);
    expect(stdout).toContain(`Total Samples:${total}, `);
  });

  test('runs the options after the separator and prints at the end', async () => {
    const { code, stdout } = await vm(['stat', '--', ...PIO], environment);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^SE[\s\S]*IO_INSTRUCTION {5}101003 /);
  });
});

describe('vm trace', () => {
  test('writes a line an exit', async () => {
    const file = join(scratch, 'trace');
    await vm(['trace', ...PIO, '--output', file], environment);
    const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
    expect(lines.every((line) => /^ +vm-\d+ +\[000\] \.{5} +\d+\.\d{6}: kvm_exit: vcpu 0 reason \w+ rip 0x[0-9a-f]+ info1 0x[0-9a-f]{16} info2 0x[0-9a-f]{16} intr_info 0x[0-9a-f]{8} error_code 0x[0-9a-f]{8}$/.test(line))).toBe(true);
    // Port 3ff, one byte, in (SDM vol. 3C, table 28-5).
    expect(lines.filter((line) => line.includes('reason IO_INSTRUCTION') && line.includes('info1 0x0000000003ff0008'))).toHaveLength(101_000);
  });

  test('takes the tracepoints that are asked for', async () => {
    const file = join(scratch, 'trace');
    await vm(['trace', ...PIO, '--events', 'kvm_pio,kvm_userspace_exit', '--output', file], environment);
    const text = await readFile(file, 'utf8');
    expect(text).toContain(': kvm_pio: pio_write at 0x3f8 size 1 count 1 val 0x53');
    expect(text).toContain(': kvm_userspace_exit: reason KVM_EXIT_IO (2)');
    expect(text).not.toContain('kvm_exit:');
  });

  test('shows one world switch in full, in order', async () => {
    const { code, stdout } = await vm(['trace', ...CPUID, '--switch', '100'], environment);
    expect(code).toBe(0);
    const order = ['vmx_vcpu_run', 'load guest state', 'save guest state', 'load host state'];
    const places = order.map((step) => stdout.indexOf(step));
    expect(places.every((place, i) => place > (places[i - 1] ?? -1))).toBe(true);
    for (const field of ['GUEST_RIP', 'GUEST_CR3', 'HOST_RIP', 'VM_EXIT_REASON', 'GUEST_RFLAGS']) expect(stdout).toContain(field);
  });

  test('says how many switches there were when there were fewer', async () => {
    const { code, stderr } = await vm(['trace', ...CPUID, '--switch', '999999999'], environment);
    expect(stderr).toMatch(/^vm: there were \d+ world switches, not 999999999$/m);
    expect(code).toBe(1);
  });
});

describe('deterministic mode', () => {
  const trace = async (name: string, options: readonly string[]): Promise<string> => {
    const file = join(scratch, name);
    await vm(['trace', '--deterministic', '--events', 'all', '--output', file, ...options], environment);
    return (await readFile(file, 'utf8')).replaceAll(/^ +vm-\d+ +/gm, '');
  };

  test('two runs of a small guest give the same trace, times included', async () => {
    const first = await trace('a', PIO);
    expect(first.length).toBeGreaterThan(1_000_000);
    expect(await trace('b', PIO) === first).toBe(true);
  });

  test.skipIf(images === undefined)('two boots of Linux give the same exits', async () => {
    const options = ['--kernel', images?.kernel ?? '', '--append', 'console=ttyS0 panic=-1', '--no-reboot', '--events', 'kvm_exit'];
    const first = await trace('a', options);
    expect(first.split('\n').length).toBeGreaterThan(10_000);
    expect(await trace('b', options) === first).toBe(true);
  });
});
