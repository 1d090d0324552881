/** The profile of a run: where guest time went, VM exits, hottest regions of compiled code. */
import type { ProfiledRegion } from '@vm/cpu';
import type { Reading } from './account.ts';
import { type Attribution, PARTS } from './attribution.ts';
import { hex } from './hex.ts';
import type { Symbols } from './symbols.ts';

/** Regions with the same entry, compiled one after the other, counted together. */
export interface HotRegion {
  readonly address: string;
  readonly symbol: string | null;
  readonly mode: number;
  readonly seconds: number;
  /** Of the whole time. */
  readonly share: number;
  /** How often it was entered. */
  readonly runs: number;
  /** Guest instructions that it completed. */
  readonly instructions: number;
  /** Of the last compilation: guest instructions compiled, and bytes of WebAssembly. */
  readonly size: number;
  readonly bytes: number;
}

export interface PerfReport {
  readonly seconds: number;
  readonly samples: number;
  /** Guest instructions completed; of them in compiled code, and interpreted or executed by microcode outside of regions. */
  readonly instructions: number;
  readonly compiled_instructions: number;
  readonly interpreted_instructions: number;
  readonly tlb_misses: number;
  readonly parts: readonly { readonly name: string; readonly seconds: number; readonly share: number }[];
  /** Seconds from the exit to the next entry, in KVM and QEMU, and for HLT idle. */
  readonly exits: readonly { readonly reason: string; readonly count: number; readonly seconds: number }[];
  readonly regions: readonly HotRegion[];
  /** Functions of the microcode, most of them an instruction each: `op_<mnemonic>`. */
  readonly microcode: readonly { readonly name: string; readonly seconds: number; readonly share: number }[];
}

const share = (part: number, whole: number): number => (whole > 0 ? part / whole : 0);

export function buildReport(counted: Reading, times: Attribution, symbols: Symbols | undefined): PerfReport {
  const compiled = counted.regions.reduce((sum, { instructions }) => sum + instructions, 0);
  return {
    seconds: times.seconds, samples: times.samples,
    instructions: counted.instructions, compiled_instructions: compiled, interpreted_instructions: Math.max(0, counted.instructions - compiled),
    tlb_misses: counted.tlbMisses,
    parts: PARTS.map((name) => ({ name, seconds: times.parts.get(name) ?? 0, share: share(times.parts.get(name) ?? 0, times.seconds) })),
    exits: counted.exits.map(({ name, count, totalNs }) => ({ reason: name, count, seconds: totalNs / 1e9 })).toSorted((a, b) => b.seconds - a.seconds),
    regions: hotRegions(counted.regions, times, symbols),
    microcode: [...times.microcode].map(([name, seconds]) => ({ name, seconds, share: share(seconds, times.seconds) })).toSorted((a, b) => b.seconds - a.seconds),
  };
}

function hotRegions(regions: readonly ProfiledRegion[], times: Attribution, symbols: Symbols | undefined): HotRegion[] {
  const byEntry = new Map<string, HotRegion>();
  for (const region of regions) {
    const key = `${region.mode} ${region.entry}`;
    const before = byEntry.get(key);
    const seconds = (before?.seconds ?? 0) + (times.regions.get(region.number) ?? 0);
    byEntry.set(key, {
      address: hex(region.entry), symbol: symbols?.nameOf(region.entry) ?? null, mode: region.mode, seconds, share: share(seconds, times.seconds),
      runs: (before?.runs ?? 0) + region.runs, instructions: (before?.instructions ?? 0) + region.instructions,
      size: region.code.length, bytes: region.module.length,
    });
  }
  return [...byEntry.values()].filter(({ runs, seconds }) => runs > 0 || seconds > 0).toSorted((a, b) => b.seconds - a.seconds || b.instructions - a.instructions);
}

/** Microcode that took less is not listed. */
const SMALLEST_SHARE = 0.001;

const percent = (value: number): string => `${(value * 100).toFixed(2)}%`.padStart(8);
const time = (seconds: number): string => seconds.toFixed(3).padStart(10);
const count = (value: number): string => value.toLocaleString('en-US').replaceAll(',', ' ');

/** The report for people, with the first `top` regions. */
export function formatReport(report: PerfReport, top: number): string {
  const compiled = (share(report.compiled_instructions, report.instructions) * 100).toFixed(1);
  const lines = [
    '', `# ${report.seconds.toFixed(3)} s, ${report.samples} samples`,
    `# ${count(report.instructions)} guest instructions, ${compiled}% of them in compiled code; ${count(report.tlb_misses)} TLB misses`,
    '', '   Share   Seconds  Part',
    ...report.parts.filter(({ seconds }) => seconds > 0).toSorted((a, b) => b.seconds - a.seconds).map(({ name, seconds, share: of }) => `${percent(of)}${time(seconds)}  ${name}`),
    '', ...exitLines(report), '', ...microcodeLines(report, top), ...regionLines(report, top), '',
  ];
  return lines.join('\n');
}

function exitLines({ exits }: PerfReport): string[] {
  if (exits.length === 0) return ['No VM exits'];
  return ['     Count   Seconds  VM exit', ...exits.map(({ reason, count: times, seconds }) => `${String(times).padStart(10)}${time(seconds)}  ${reason}`)];
}

function microcodeLines({ microcode }: PerfReport, top: number): string[] {
  const shown = microcode.filter(({ share: of }) => of >= SMALLEST_SHARE).slice(0, top);
  if (shown.length === 0) return [];
  return ['   Share   Seconds  Microcode', ...shown.map(({ name, seconds, share: of }) => `${percent(of)}${time(seconds)}  ${name}`), ''];
}

function regionLines({ regions }: PerfReport, top: number): string[] {
  if (regions.length === 0) return ['No code was compiled'];
  const shown = regions.slice(0, top);
  const lines = shown.map(({ share: of, seconds, runs, instructions, size, address, symbol }) =>
    `${percent(of)}${time(seconds)}${String(runs).padStart(13)}${String(instructions).padStart(16)}${String(size).padStart(6)}  ${address}${symbol === null ? '' : `  ${symbol}`}`);
  const rest = regions.length - shown.length;
  return ['   Share   Seconds         Runs    Instructions  Size  Compiled region', ...lines, ...(rest > 0 ? [`... and ${rest} more (--top)`] : [])];
}
