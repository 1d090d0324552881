/** The statistics that a run leaves behind for `vm stat`. */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Vm } from '@vm/stack';
import { stateFolder } from '../cache.ts';
import { Failure } from '../failure.ts';
import type { RunFlags } from '../run-options.ts';
import type { ExitReport } from './kvm-stat.ts';

const FILE = 'last-run.json';

export function exitReport(vm: Vm, flags: RunFlags, elapsedMs: number): ExitReport {
  return {
    ended: new Date().toISOString(),
    command: commandLine(flags),
    vcpus: 1,
    elapsed: Math.round(elapsedMs * 1e6),
    instructions: vm.instructions(),
    exits: vm.exits().map(({ name, count, totalNs, minNs, maxNs, squaresNs }) => ({
      reason: name, samples: count, time: totalNs, min: minNs, max: maxNs,
      squares: Math.max(0, squaresNs - (totalNs * totalNs) / count),
    })),
  };
}

function commandLine(flags: RunFlags): string {
  const parts = ['vm', 'run', '--memory', String(flags.memory)];
  for (const name of ['kernel', 'initrd', 'append'] as const) if (flags[name] !== undefined) parts.push(`--${name}`, flags[name]);
  return parts.map((part) => (/^[\w@%+=:,./-]+$/.test(part) ? part : `'${part.replaceAll("'", `'\\''`)}'`)).join(' ');
}

/** Saves the report for `vm stat`, and to `file` when the user named one. */
export async function saveReport(report: ExitReport, file: string | undefined, say: (line: string) => void): Promise<void> {
  const text = `${JSON.stringify(report, null, 2)}\n`;
  if (file !== undefined)
    await writeFile(file, text).catch((error: Error) => {
      throw new Failure(`the statistics could not be written to ${file}: ${error.message}`, { cause: error });
    });
  try {
    const folder = stateFolder();
    await mkdir(folder, { recursive: true });
    const scratch = join(folder, `${FILE}.${process.pid}`);
    await writeFile(scratch, text);
    await rename(scratch, join(folder, FILE));
  } catch (error) {
    say(`the statistics could not be kept for \`vm stat\`: ${(error as Error).message}`);
  }
}

export async function lastReport(): Promise<ExitReport | undefined> {
  try {
    return JSON.parse(await readFile(join(stateFolder(), FILE), 'utf8')) as ExitReport;
  } catch {
    return undefined;
  }
}
