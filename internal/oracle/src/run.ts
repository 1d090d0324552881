/** Cases of forms through both processors. */
import { codeView, decode, type Form, format, forms, Instruction } from '@vm/cpu/decode';
import { compare } from './compare.ts';
import { makeCase } from './generate/make-case.ts';
import { excluded, formName } from './generate/scope.ts';
import { Model } from './model.ts';
import type { CaseResult, TestCase } from './records.ts';

export const MODES = [64, 32, 16] as const;

/** A form in one mode. */
export interface Subject {
  readonly form: Form;
  readonly mode: 16 | 32 | 64;
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
}

export type RunNative = (cases: readonly TestCase[]) => (CaseResult | null)[];

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

/** Runs cases `first` to `first + count - 1` of each subject. */
export function run(list: readonly Subject[], first: number, count: number, native: RunNative, model: Model = new Model()): Report {
  const mismatches: Mismatch[] = [];
  const without: string[] = [];
  let cases = 0;
  let completed = 0;
  let batch: { subject: Subject; number: number; test: TestCase }[] = [];
  const flush = (): void => {
    const results = native(batch.map(({ test }) => test));
    for (const [i, { subject, number, test }] of batch.entries()) {
      const theirs = results[i];
      if (!theirs) continue;
      cases++;
      const ours = model.run(test);
      if (theirs.vector < 0) completed++;
      const text = compare(subject.form, test, ours, theirs);
      if (text !== null) mismatches.push({ subject, number, text: `${describe(test)} ${text}` });
    }
    batch = [];
  };
  for (const subject of list) {
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
  return { forms: list.length - without.length, cases, mismatches, without, completed };
}
