/** Cases of forms through both processors. */
import { codeView, decode, type Form, format, forms, Instruction } from '@vm/cpu/decode';
import { compare } from './compare.ts';
import type { Mode } from './generate/encode.ts';
import { makeCase } from './generate/make-case.ts';
import { excluded, formName } from './generate/scope.ts';
import { Model } from './model.ts';
import { isReachable, keepBases, MODES, reachable, reachableModes } from './reachable.ts';
import type { CaseResult, RunNative, TestCase } from './records.ts';

/** A form in one mode. */
export interface Subject {
  readonly form: Form;
  readonly mode: Mode;
  readonly name: string;
}

export interface Mismatch {
  readonly subject: Subject;
  readonly number: number;
  readonly text: string;
}

export interface Report {
  readonly forms: number;
  readonly cases: number;
  readonly mismatches: readonly Mismatch[];
  /** Subjects for which no case could be made. */
  readonly without: readonly string[];
  /** Cases that completed without a fault. */
  readonly completed: number;
  /** Cases at which the harness ended, and how. */
  readonly lost: readonly string[];
  /** Modes that the system under us has no code in. */
  readonly unreachableModes: readonly Mode[];
  /** Cases that begin in a state that the system under us does not give a program. */
  readonly unreachable: number;
}

/** What can be run in user mode, of forms whose name matches. */
export function subjects(pattern: RegExp | null): Subject[] {
  const list: Subject[] = [];
  for (const form of forms()) {
    if (excluded(form) !== null) continue;
    for (const mode of MODES) {
      const name = formName(form, mode);
      if (form.modes.includes(mode) && (pattern === null || pattern.test(name))) list.push({ form, mode, name });
    }
  }
  return list;
}

/** The case as one would write it, for reports. */
export function describe({ code, mode, codeAddress }: TestCase): string {
  const ins = new Instruction();
  const bytes = Array.from(code, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
  return decode(codeView(code), 0, code.length, mode, ins) > 0 ? `${format(ins, BigInt(codeAddress))} [${bytes}]` : `invalid [${bytes}]`;
}

const BATCH = 4000;

interface Numbered {
  readonly subject: Subject;
  readonly number: number;
  readonly test: TestCase;
}

/** Runs cases `first` to `first + count - 1` of each subject in a mode that can be had. */
export function run(list: readonly Subject[], first: number, count: number, native: RunNative, model: Model = new Model()): Report {
  const modes = reachableModes(native);
  const mismatches: Mismatch[] = [];
  const without: string[] = [];
  const lost: string[] = [];
  let cases = 0;
  let completed = 0;
  let unreachable = 0;
  let batch: Numbered[] = [];
  const flush = (): void => {
    const results = native(batch.map(({ test }) => test));
    const differing: (Numbered & { text: string; ours: CaseResult; theirs: CaseResult })[] = [];
    for (const [i, one] of batch.entries()) {
      const theirs = results[i]!;
      if (typeof theirs === 'string') {
        lost.push(`${one.subject.name} #${one.number}: ${describe(one.test)} ${theirs}`);
        continue;
      }
      cases++;
      if (theirs.vector < 0) completed++;
      const ours = model.run(one.test);
      const text = compare(one.subject.form, one.test, ours, theirs);
      if (text !== null) differing.push({ ...one, text, ours, theirs });
    }
    const tests = differing.map(({ test }) => test);
    const reached = reachable(tests, native);
    const kept = keepBases(tests, differing.map(({ ours }) => ours.state), native);
    for (const [i, { subject, number, test, text, ours, theirs }] of differing.entries()) {
      if (reached[i] && (kept[i] || ours.vector >= 0 || theirs.vector >= 0)) mismatches.push({ subject, number, text: `${describe(test)} ${text}` });
      else unreachable++;
    }
    batch = [];
  };
  const there = list.filter(({ form, mode }) => isReachable(form, mode, modes));
  for (const subject of there) {
    let made = 0;
    for (let number = first; number < first + count; number++) {
      const test = makeCase(subject.form, subject.mode, number);
      if (!test) continue;
      made++;
      batch.push({ subject, number, test });
      if (batch.length >= BATCH) flush();
    }
    if (made === 0) without.push(subject.name);
  }
  flush();
  return {
    forms: there.length - without.length, cases: cases - unreachable, mismatches, without, completed, lost, unreachable,
    unreachableModes: MODES.filter((mode) => !modes.includes(mode)),
  };
}
