import { formatKvmStat } from '../report/kvm-stat.ts';
import { lastReport } from '../report/last-run.ts';
import type { RunFlags } from '../run-options.ts';
import { requireReport, runSession } from '../session.ts';

/** `vm stat`: of the last run, or of a run of its own when its options are given. */
export async function statCommand(flags: RunFlags, givesRun: boolean): Promise<number> {
  if (!givesRun) {
    process.stdout.write(formatKvmStat(requireReport(await lastReport())));
    return 0;
  }
  const { status, report } = await runSession(flags);
  process.stdout.write(formatKvmStat(report));
  return status;
}
