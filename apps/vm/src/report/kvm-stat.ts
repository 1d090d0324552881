/** The report of VM exits, in the layout of `perf kvm stat report` (Linux, tools/perf/builtin-kvm.c). */

/** Exits of one reason. Times are of the host's handling, from the exit to the next entry, in nanoseconds. */
export interface ExitRecord {
  readonly reason: string;
  readonly samples: number;
  readonly time: number;
  readonly min: number;
  readonly max: number;
  /** Sum of the squared differences from the mean. */
  readonly squares: number;
}

/** What a run leaves behind for `vm stat`. */
export interface ExitReport {
  /** When the run ended, ISO 8601. */
  readonly ended: string;
  /** The command line that was run. */
  readonly command: string;
  readonly vcpus: number;
  /** Wall-clock time of the run, in nanoseconds. */
  readonly elapsed: number;
  /** Instructions that the guest executed. */
  readonly instructions: number;
  readonly exits: readonly ExitRecord[];
}

const microseconds = (nanoseconds: number): string => (nanoseconds / 1000).toFixed(2);
const percent = (part: number, whole: number): string => (whole === 0 ? 0 : (part / whole) * 100).toFixed(2);

/** Standard error of the mean as a percentage of the mean (kvm_event_rel_stddev). */
function relativeDeviation({ samples, time, squares }: ExitRecord): number {
  if (samples < 2 || time === 0) return 0;
  return (Math.sqrt(squares / (samples - 1) / samples) / (time / samples)) * 100;
}

export function formatKvmStat(report: ExitReport): string {
  const samples = report.exits.reduce((sum, exit) => sum + exit.samples, 0);
  const time = report.exits.reduce((sum, exit) => sum + exit.time, 0);
  const lines = ['', '', 'Analyze events for all VMs, all VCPUs:', ''];
  lines.push(`${'VM-EXIT'.padStart(20)} ${'Samples'.padStart(10)} ${'Samples%'.padStart(9)} ${'Time%'.padStart(9)} ${'Min Time'.padStart(11)} ${'Max Time'.padStart(11)} ${'Avg time'.padStart(16)} `, '');
  for (const exit of report.exits.toSorted((a, b) => b.samples - a.samples || b.time - a.time)) {
    const average = exit.samples === 0 ? 0 : exit.time / exit.samples;
    lines.push([
      exit.reason.padStart(20), String(exit.samples).padStart(10), `${percent(exit.samples, samples).padStart(8)}%`,
      `${percent(exit.time, time).padStart(8)}%`, `${microseconds(exit.min).padStart(9)}us`, `${microseconds(exit.max).padStart(9)}us`,
      `${microseconds(average).padStart(9)}us ( +-${relativeDeviation(exit).toFixed(2).padStart(7)}% )`,
    ].join(' '));
  }
  lines.push('', `Total Samples:${samples}, Total events handled time:${microseconds(time)}us.`, '', '');
  return lines.join('\n');
}
