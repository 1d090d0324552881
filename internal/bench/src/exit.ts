/**
 * What a VM exit costs: a loop of CPUID, which KVM answers, and one of port reads, which go to a device of QEMU's and
 * back; beside the same CPUID loop on the machine under us, where there is a C compiler.
 * `pnpm bench:exit --help` lists the options.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { commandLine, numberOption, readOptions } from '@vm/command-line';
import { secondsBetweenMarks } from './marked-guest.ts';
import { median, report } from './report.ts';

/** Rounds of the loops in ../guests. */
const ROUNDS = 100_000;
const NATIVE = `
#include <cpuid.h>
#include <stdio.h>
#include <time.h>
int main(void) {
  unsigned a, b, c, d;
  struct timespec from, to;
  clock_gettime(CLOCK_MONOTONIC, &from);
  for (int i = 0; i < ${ROUNDS}; i++) __cpuid(0, a, b, c, d);
  clock_gettime(CLOCK_MONOTONIC, &to);
  printf("%f\\n", ((to.tv_sec - from.tv_sec) * 1e6 + (to.tv_nsec - from.tv_nsec) / 1e3) / ${ROUNDS});
}
`;

const options = readOptions<{ runs: number }>(commandLine('pnpm bench:exit', 'What a VM exit costs that KVM answers, and one that a device does.')
  .addOption(numberOption('--runs <n>', 'rounds, of which the median counts', 1, 5))
  .option('--json', 'also print one JSON object, as the last line'));

/** Microseconds of a CPUID on this machine, or NaN without a C compiler or on another architecture. */
function nativeCpuid(): number {
  if (process.arch !== 'x64') return Number.NaN;
  const folder = mkdtempSync(join(tmpdir(), 'bench-exit-'));
  try {
    writeFileSync(join(folder, 'cpuid.c'), NATIVE);
    execFileSync('cc', ['-O2', '-o', join(folder, 'cpuid'), join(folder, 'cpuid.c')], { stdio: 'ignore' });
    return Number(execFileSync(join(folder, 'cpuid'), { encoding: 'utf8' }));
  } catch {
    return Number.NaN;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const runs = { cpuid: [] as number[], pio: [] as number[], native: [] as number[] };
for (let run = 0; run < options.runs; run++) {
  runs.cpuid.push(((await secondsBetweenMarks('cpuid')) * 1e6) / ROUNDS);
  runs.pio.push(((await secondsBetweenMarks('pio')) * 1e6) / ROUNDS);
  runs.native.push(nativeCpuid());
}
const cpuid = median(runs.cpuid);
const pio = median(runs.pio);
const native = median(runs.native);
report(
  [
    { name: 'cpuid, answered by KVM', value: cpuid, unit: 'us' },
    { name: 'port read, answered by a device', value: pio, unit: 'us' },
    { name: 'cpuid on this machine', value: native, unit: 'us', note: Number.isNaN(native) ? 'no C compiler here, or not an x86-64' : '' },
  ],
  { cpuid_us: cpuid, pio_us: pio, native_cpuid_us: Number.isNaN(native) ? null : native },
);
