/**
 * The conformance run: `pnpm conformance [--cases N] [--form X] [--first N] [--all] [--report] [--json] [--record]`.
 *
 *     --cases N   cases for each form and mode (default 20)
 *     --form X    only forms whose name (`64: 0f af imul r32,m32 o32`) matches the regular expression
 *     --first N   number of the first case
 *     --all       print every mismatch, not one for each form
 *     --report    the table of what is left out and allowed, with reasons
 *     --json      only the result
 *     --record    write the cases' results to recorded/vectors.bin (default 2 cases)
 *
 * The last line is JSON: forms, cases, mismatches.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { ALLOWANCES } from './differences.ts';
import { EXCLUSIONS } from './generate/scope.ts';
import { NativeCpu } from './native/native-cpu.ts';
import { record } from './recording.ts';
import { run, subjects } from './run.ts';

const { values } = parseArgs({
  options: {
    cases: { type: 'string' }, form: { type: 'string' }, first: { type: 'string', default: '0' },
    all: { type: 'boolean', default: false }, report: { type: 'boolean', default: false }, record: { type: 'boolean', default: false }, json: { type: 'boolean', default: false },
  },
});

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new Error(`--${name} wants a whole number, not ${text}`);
  return value;
}

const native = NativeCpu.open();
if (!native) {
  console.error('No x86-64 Linux with a C compiler (cc, gcc or clang): the recorded vectors are checked by the tests of internal/oracle.');
  process.exit(1);
}
const list = subjects(values.form === undefined ? null : new RegExp(values.form));
if (values.record) {
  const bytes = record(list, positive('cases', values.cases ?? '2'), (cases) => native.run(cases));
  mkdirSync(new URL('../recorded/', import.meta.url), { recursive: true });
  writeFileSync(new URL('../recorded/vectors.bin', import.meta.url), bytes);
  console.log(`${bytes.length} bytes for ${list.length} forms and modes`);
  native.close();
  process.exit(0);
}
const started = Date.now();
const report = run(list, positive('first', values.first), positive('cases', values.cases ?? '20'), (cases) => native.run(cases));
native.close();
const say = (text: string): void => {
  if (!values.json) console.log(text);
};
const shown = new Set<string>();
for (const { subject, number, text } of report.mismatches) {
  if (!values.all && shown.has(subject.name)) continue;
  shown.add(subject.name);
  say(`${subject.name} #${number}: ${text}`);
}
for (const text of report.lost) say(`the harness stopped at ${text}`);
if (report.unreachableModes.length > 0) {
  say(`Not run: this system gives a program no ${report.unreachableModes.join('- and ')}-bit code, nor its descriptors. The tests of internal/oracle check the recorded vectors of it.`);
}
if (report.unreachable > 0) say(`Left out: ${report.unreachable} cases, which begin in a state that this system does not give a program (NOP faults in it).`);
if (values.report) {
  for (const name of report.without) say(`no case: ${name}`);
  for (const { mnemonics, reason } of EXCLUSIONS) say(`not run: ${mnemonics.source}: ${reason}`);
  for (const { name, reason } of ALLOWANCES) say(`allowed: ${name}: ${reason}`);
  say(`${report.completed} of ${report.cases} cases completed without a fault; ${((Date.now() - started) / 1000).toFixed(1)} s`);
}
console.log(JSON.stringify({ forms: report.forms, cases: report.cases, mismatches: report.mismatches.length, unreachable_modes: report.unreachableModes }));
process.exitCode = report.mismatches.length === 0 ? 0 : 2;
