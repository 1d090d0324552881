/**
 * The conformance run: cases of every instruction form beside the processor at hand. `pnpm conformance --help` lists the options; the last
 * line is JSON: forms, cases, mismatches.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { commandLine, InvalidArgumentError, numberOption, Option, readOptions } from '@vm/command-line';
import { ALLOWANCES } from './differences.ts';
import { EXCLUSIONS } from './generate/scope.ts';
import { NativeCpu } from './native/native-cpu.ts';
import { NativeXsave } from './native/native-xsave.ts';
import { record } from './recording.ts';
import { run, subjects } from './run.ts';
import { recordXsave } from './xsave-recording.ts';

interface Options {
  readonly cases?: number;
  readonly form?: RegExp;
  readonly first: number;
  readonly all?: boolean;
  readonly report?: boolean;
  readonly json?: boolean;
  readonly record?: boolean;
  readonly recordXsave?: boolean;
}

const CASES = 20;
const RECORDED_CASES = 2;
const RECORDED_XSAVE_CASES = 1000;

function expression(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

const options = readOptions<Options>(commandLine('pnpm conformance', 'Generated cases of every instruction form, on the model and on the processor at hand.')
  .addOption(numberOption('--cases <n>', `cases for each form and mode (default: ${CASES}, with --record ${RECORDED_CASES})`, 1))
  .addOption(new Option('--form <expression>', 'only forms whose name ("64: 0f af imul r32,m32 o32") matches the regular expression').argParser(expression))
  .addOption(numberOption('--first <n>', 'number of the first case', 0, 0))
  .option('--all', 'print every mismatch, not one for each form')
  .option('--report', 'also print what is left out and allowed, with reasons')
  .option('--json', 'print only the result')
  .option('--record', 'write what the processor does to recorded/vectors.bin, for where there is no compiler')
  .option('--record-xsave', 'the same of the XSAVE family, to recorded/xsave.bin'));

const RECORDED = new URL('../recorded/', import.meta.url);
if (options.recordXsave) {
  const xsave = NativeXsave.open();
  if (!xsave) {
    console.error('No x86-64 Linux with a C compiler (cc, gcc or clang) on a processor with XSAVEC and AVX.');
    process.exit(1);
  }
  const bytes = recordXsave(options.cases ?? RECORDED_XSAVE_CASES, (cases) => xsave.run(cases));
  xsave.close();
  writeFileSync(new URL('xsave.bin', RECORDED), bytes);
  console.log(`${bytes.length} bytes`);
  process.exit(0);
}
const native = NativeCpu.open();
if (!native) {
  console.error('No x86-64 Linux with a C compiler (cc, gcc or clang): the recorded vectors are checked by the tests of internal/oracle.');
  process.exit(1);
}
const list = subjects(options.form ?? null);
if (options.record) {
  const bytes = record(list, options.cases ?? RECORDED_CASES, (cases) => native.run(cases));
  mkdirSync(RECORDED, { recursive: true });
  writeFileSync(new URL('vectors.bin', RECORDED), bytes);
  console.log(`${bytes.length} bytes for ${list.length} forms and modes`);
  native.close();
  process.exit(0);
}
const started = Date.now();
const report = run(list, options.first, options.cases ?? CASES, (cases) => native.run(cases));
native.close();
const say = (text: string): void => {
  if (!options.json) console.log(text);
};
const shown = new Set<string>();
for (const { subject, number, text } of report.mismatches) {
  if (!options.all && shown.has(subject.name)) continue;
  shown.add(subject.name);
  say(`${subject.name} #${number}: ${text}`);
}
for (const text of report.lost) say(`the harness stopped at ${text}`);
if (report.unreachableModes.length > 0) {
  say(`Not run: this system gives a program no ${report.unreachableModes.join('- and ')}-bit code, nor its descriptors. The tests of internal/oracle check the recorded vectors of it.`);
}
if (report.unreachable > 0) say(`Left out: ${report.unreachable} cases, which begin in a state that this system does not give a program (NOP faults in it).`);
if (options.report) {
  for (const name of report.without) say(`no case: ${name}`);
  for (const { mnemonics, reason } of EXCLUSIONS) say(`not run: ${mnemonics.source}: ${reason}`);
  for (const { name, reason } of ALLOWANCES) say(`allowed: ${name}: ${reason}`);
  say(`${report.completed} of ${report.cases} cases completed without a fault; ${((Date.now() - started) / 1000).toFixed(1)} s`);
}
console.log(JSON.stringify({ forms: report.forms, cases: report.cases, mismatches: report.mismatches.length, unreachable_modes: report.unreachableModes }));
process.exitCode = report.mismatches.length === 0 ? 0 : 2;
