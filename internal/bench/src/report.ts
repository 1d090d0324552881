/** How benchmarks report: a table for people, and with --json one object as the last line. */

export interface Row {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** What the figure is to be held against. */
  readonly note?: string;
}

export function median(values: readonly number[]): number {
  if (values.length === 0) return Number.NaN;
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Three significant digits, without an exponent. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return '-';
  if (value === 0) return '0';
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(Math.min(digits, 6));
}

export function formatTable(rows: readonly Row[]): string {
  const name = Math.max(...rows.map((row) => row.name.length));
  const value = Math.max(...rows.map((row) => figure(row.value).length));
  const unit = Math.max(...rows.map((row) => row.unit.length));
  return rows.map((row) => `${row.name.padEnd(name)}  ${figure(row.value).padStart(value)} ${row.unit.padEnd(unit)}  ${row.note ?? ''}`.trimEnd()).join('\n');
}

/** Prints the table, and with --json on the command line the object; figures that could not be had are null. */
export function report(rows: readonly Row[], json: Readonly<Record<string, unknown>>): void {
  console.log(formatTable(rows));
  if (process.argv.includes('--json')) console.log(JSON.stringify(json));
}
