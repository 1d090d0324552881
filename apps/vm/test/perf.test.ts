import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { PerfReport } from '../src/perf/report.ts';
import { BENCH_GUESTS, MONITOR, VmProcess, vm } from './vm-process.ts';

/** 20.2 million rounds of nine instructions; prints S and E around most of them. */
const LOOP = ['perf', '--kernel', join(BENCH_GUESTS, 'interpreter.elf'), '--memory', '32', '--isa-debug-exit'];
const LOOP_INSTRUCTIONS = 9 * 20_200_000;

let scratch: string;
let environment: NodeJS.ProcessEnv;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'vm-perf-'));
  environment = { XDG_STATE_HOME: scratch };
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

async function reportOf(args: readonly string[]): Promise<PerfReport & { wasm?: string }> {
  const file = join(scratch, 'report.json');
  await vm([...args, '--json', '--output', file], environment);
  return JSON.parse(await readFile(file, 'utf8')) as PerfReport;
}

describe('vm perf', () => {
  test('finds the hot loop of a guest, its code and its WebAssembly', async () => {
    const report = await reportOf(LOOP);
    const [hottest] = report.regions;
    expect(report.instructions).toBeGreaterThan(LOOP_INSTRUCTIONS);
    expect(report.compiled_instructions + report.interpreted_instructions).toBe(report.instructions);
    expect(hottest!.instructions).toBeGreaterThan(LOOP_INSTRUCTIONS * 0.9);
    expect(hottest!.mode).toBe(64);
    // The loop's nine, and what lies behind it.
    expect(hottest!.size).toBeGreaterThanOrEqual(9);
    expect(report.parts.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1);
    expect(report.parts.find(({ name }) => name === 'compiled code')!.seconds).toBeGreaterThan(0);
    expect(report.exits.find(({ reason }) => reason === 'IO_INSTRUCTION')!.count).toBe(3);

    const symbols = join(scratch, 'symbols');
    await writeFile(symbols, `${BigInt(hottest!.address).toString(16).padStart(16, '0')} t hot_loop\n`);
    const module = join(scratch, 'region.wasm');
    const { code, stdout } = await vm([...LOOP, '--symbols', symbols, '--wasm', hottest!.address, '--wasm-output', module], environment);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^SE\n# [\d.]+ s, \d+ samples\n# [\d ]+ guest instructions, [\d.]+% of them in compiled code; \d+ TLB misses$/m);
    expect(stdout).toMatch(new RegExp(`%.* ${hottest!.size} {2}${hottest!.address} {2}hot_loop$`, 'm'));
    expect(stdout).toMatch(/^ {2}0x[0-9a-f]+ {2}48 8b 14 f3 {13}mov rdx,qword ptr \[rbx\+rsi\*8\]$/m);
    expect(() => new WebAssembly.Module(readFileSync(module))).not.toThrow();

    const { wasm } = await reportOf([...LOOP, '--wasm', hottest!.address]);
    expect(wasm).toMatch(/^\(module \$region-\d+[\s\S]*\(loop|^\(module \$region-\d+[\s\S]* loop/);
  });

  test('measures between two texts that the guest prints', async () => {
    const report = await reportOf([...LOOP, '--from', 'S', '--until', 'E']);
    // Measuring begins a little after the guest printed S. The rounds before are not in it, nor what comes after E.
    expect(report.instructions).toBeGreaterThan(LOOP_INSTRUCTIONS * 0.5);
    expect(report.instructions).toBeLessThan(LOOP_INSTRUCTIONS);
  });

  test('ends after a time', async () => {
    const machine = new VmProcess(['perf', '--kernel', MONITOR, '--memory', '32', '--duration', '0.5'], environment);
    const { code, stdout } = await machine.end();
    expect(code).toBe(0);
    expect(stdout).toMatch(/ idle$/m);
  });

  test('says what nothing came of', async () => {
    const never = await vm([...LOOP, '--from', 'never'], environment);
    expect(never).toMatchObject({ code: 1, stderr: expect.stringMatching(/^vm: the guest did not print "never": nothing was measured$/m) as string });
    const nowhere = await vm([...LOOP, '--no-jit', '--wasm', '1234'], environment);
    expect(nowhere.stderr).toMatch(/^vm: --wasm 0x1234: no compiled region has code there/m);
    expect(nowhere.stdout).toContain('No code was compiled');
  });

  test.each<[string[], number, RegExp]>([
    [['--wasm', 'main'], 2, /hexadecimal address/],
    [['--duration', '0'], 2, /seconds above 0/],
    [['--frequency', '1000000'], 2, /whole number from 1 to 20000/],
    [['--from', ''], 2, /must not be empty/],
    [['--wasm-output', 'x'], 1, /^vm: --wasm-output needs --wasm/],
    [['--symbols', MONITOR], 1, /^vm: symbols .*: no line is an address, a type and a name/],
  ])('%j is refused', async (options, status, message) => {
    expect(await vm([...LOOP, ...options], environment)).toMatchObject({ code: status, stderr: expect.stringMatching(message) as string });
  });
});
