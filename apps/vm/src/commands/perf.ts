import { writeFile } from 'node:fs/promises';
import type { ProfiledRegion } from '@vm/cpu';
import type { Vm } from '@vm/stack';
import { Failure } from '../failure.ts';
import { difference, type Reading, readCounters } from '../perf/account.ts';
import { attribute } from '../perf/attribution.ts';
import { hex } from '../perf/hex.ts';
import { disassemble, webAssemblyText } from '../perf/listing.ts';
import { buildReport, formatReport, type PerfReport } from '../perf/report.ts';
import { Sampler } from '../perf/sampler.ts';
import { parseSymbols, type Symbols } from '../perf/symbols.ts';
import { readInput, type RunFlags } from '../run-options.ts';
import { runSession } from '../session.ts';
import { TextWatch } from '../terminal/text-watch.ts';

export interface PerfFlags extends RunFlags {
  duration?: number;
  from?: string;
  until?: string;
  frequency: number;
  top: number;
  annotate: number;
  wasm?: bigint;
  wasmOutput?: string;
  symbols?: string;
  output?: string;
  json?: boolean;
}

const LARGEST_SYMBOLS = 1 << 28;

/** `vm perf`: samples a run, and says where guest time went. */
export async function perfCommand(flags: PerfFlags): Promise<number> {
  const symbols = await readSymbols(flags.symbols);
  if (flags.wasmOutput !== undefined && flags.wasm === undefined) throw new Failure('--wasm-output needs --wasm, which says of which region');
  const sampling = new Sampling(flags);
  const { status } = await runSession(flags, { machine: { profile: true }, observe: (vm) => sampling.attach(vm), output: (bytes) => sampling.output(bytes) });
  const { report, regions } = sampling.finish(symbols);
  // What was measured is not lost when there is nothing at the address.
  const wasm = flags.wasm === undefined ? undefined : regionAt(regions, flags.wasm);
  const text = wasm === undefined || flags.wasmOutput !== undefined ? undefined : await webAssemblyText(wasm.module);
  if (flags.json === true) await write(flags.output, `${JSON.stringify({ ...report, ...(text === undefined ? {} : { wasm: text }) })}\n`);
  else await write(flags.output, [formatReport(report, flags.top), ...annotations(report, regions, flags.annotate), text ?? ''].join('\n'));
  if (flags.wasm === undefined) return status;
  if (wasm === undefined) throw new Failure(`--wasm ${hex(flags.wasm)}: no compiled region has code there; the report lists where regions begin`);
  if (flags.wasmOutput !== undefined) await write(flags.wasmOutput, wasm.module);
  return status;
}

/** From the start of the run, or from a text that the guest prints, until a time has passed, another text comes or the run ends. */
class Sampling {
  readonly #flags: PerfFlags;
  readonly #sampler: Sampler;
  readonly #from: TextWatch | undefined;
  readonly #until: TextWatch | undefined;
  #vm!: Vm;
  #before: Reading | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(flags: PerfFlags) {
    this.#flags = flags;
    this.#sampler = new Sampler(flags.frequency);
    this.#from = flags.from === undefined ? undefined : new TextWatch(flags.from);
    this.#until = flags.until === undefined ? undefined : new TextWatch(flags.until);
  }

  attach(vm: Vm): void {
    this.#vm = vm;
    if (this.#from === undefined) this.#start();
  }

  output(bytes: Uint8Array): void {
    if (this.#before === undefined) {
      if (this.#from?.saw(bytes) === true) this.#start();
    } else if (this.#until?.saw(bytes) === true) this.#vm.stop();
  }

  #start(): void {
    this.#before = readCounters(this.#vm);
    this.#sampler.start();
    const { duration } = this.#flags;
    if (duration !== undefined) this.#timer = setTimeout(() => this.#vm.stop(), duration * 1000);
  }

  finish(symbols: Symbols | undefined): { report: PerfReport; regions: readonly ProfiledRegion[] } {
    clearTimeout(this.#timer);
    if (this.#before === undefined) throw new Failure(`the guest did not print ${JSON.stringify(this.#flags.from)}: nothing was measured`);
    const times = attribute(this.#sampler.stop());
    const counted = difference(this.#before, readCounters(this.#vm));
    return { report: buildReport(counted, times, symbols), regions: counted.regions };
  }
}

async function readSymbols(path: string | undefined): Promise<Symbols | undefined> {
  if (path === undefined) return undefined;
  const symbols = parseSymbols(new TextDecoder().decode(await readInput('symbols', path, LARGEST_SYMBOLS)));
  if (symbols === undefined) throw new Failure(`symbols ${path}: no line is an address, a type and a name, as in System.map or /proc/kallsyms`);
  return symbols;
}

/** The region that was compiled last of those with this entry, or with an instruction at the address. */
function regionAt(regions: readonly ProfiledRegion[], address: bigint): ProfiledRegion | undefined {
  return regions.findLast(({ entry }) => entry === address) ?? regions.findLast(({ code }) => code.some((line) => line.address === address));
}

function annotations(report: PerfReport, regions: readonly ProfiledRegion[], most: number): string[] {
  return report.regions.slice(0, most).map(({ address, symbol }) =>
    [symbol === null ? address : `${address}  ${symbol}`, ...disassemble(regionAt(regions, BigInt(address))!), ''].join('\n'));
}

async function write(path: string | undefined, content: string | Uint8Array): Promise<void> {
  if (path === undefined) return void process.stdout.write(content);
  await writeFile(path, content).catch((error: Error) => {
    throw new Failure(`${path} can't be written: ${error.message}`, { cause: error });
  });
}
