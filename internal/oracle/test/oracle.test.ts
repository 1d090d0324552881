import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { TEST_JIT } from '@vm/cpu/testing';
import { compare } from '../src/compare.ts';
import { makeCase } from '../src/generate/make-case.ts';
import { Model } from '../src/model.ts';
import { NativeCpu } from '../src/native/native-cpu.ts';
import { reachable } from '../src/reachable.ts';
import { isRecorded, recorded } from '../src/recording.ts';
import { describe as text, run, subjects } from '../src/run.ts';
import type { CaseResult, RunNative, TestCase } from '../src/records.ts';
import * as S from '../src/state.ts';

const TIMEOUT = 300_000;
const CASES = Number(process.env['ORACLE_CASES'] ?? 3);
/** Cases that CI runs are other ones each week: the number of the first. */
const FIRST = Number(process.env['ORACLE_FIRST'] ?? 1000);

const native = NativeCpu.open();
afterAll(() => native?.close());
const model = new Model();

describe.skipIf(native === null)('the model beside the processor at hand', () => {
  test('does the same in cases of every form', { timeout: TIMEOUT }, () => {
    const list = subjects(null);
    const report = run(list, FIRST, CASES, (cases) => native!.run(cases), model);
    expect(report.mismatches.slice(0, 5).map((m) => `${m.subject.name} #${m.number}: ${m.text}`)).toEqual([]);
    expect(report.lost).toEqual([]);
    expect(report.unreachableModes).not.toContain(64);
    expect(report.cases).toBeGreaterThan(report.forms * CASES * 0.98);
    expect(report.unreachable).toBeLessThan(report.cases / 50);
    // Cases that all fault would prove little.
    expect(report.completed / report.cases).toBeGreaterThan(0.75);
  });

  test('is found out when it is wrong', () => {
    const [subject] = subjects(/^64: 01 add r64,r64 o64/);
    const one = makeCase(subject!.form, 64, 1)!;
    const [theirs] = native!.run([one]) as [CaseResult];
    const ours = model.run(one);
    expect(compare(subject!.form, one, ours, theirs)).toBeNull();
    ours.state.setGpr(S.RAX, ours.state.gpr(S.RAX) ^ 1n);
    expect(compare(subject!.form, one, ours, theirs)).toContain('rax');
  });
});

test('leaves out a case where even NOP faults', () => {
  const [subject] = subjects(/^32: 01 add r32,r32 o32/);
  const cases = [0, 1, 2].map((number) => makeCase(subject!.form, 32, number)!);
  // Stands for a system that has no case's state but the second's.
  const asked: TestCase[] = [];
  const system: RunNative = (list) => list.map((one) => {
    asked.push(one);
    return asked.length % 3 === 2 ? { vector: -1, error: 0, cr2: 0n, state: one.state, differences: [] } : asked.length % 3 === 0 ? 'exit 9' : { vector: 13, error: 0, cr2: 0n, state: one.state, differences: [] };
  });
  expect(reachable(cases, system)).toEqual([false, true, false]);
  expect(asked.map(({ code }) => [...code])).toEqual([[0x90], [0x90], [0x90]]);
  const report = run([subject!], 0, 3, (list) => list.map((one) => ({ vector: 13, error: 0x20, cr2: 0n, state: one.state, differences: [] })), model);
  expect(report).toMatchObject({ forms: 0, cases: 0, mismatches: [], unreachableModes: [64, 32, 16] });
});

test('does what was recorded of a processor', { timeout: TIMEOUT }, () => {
  const list = new Map(subjects(null).map((subject) => [subject.name, subject]));
  const wrong: string[] = [];
  const stale: string[] = [];
  const seen = new Set<string>();
  let ran = 0;
  for (const entry of recorded(readFileSync(new URL('../recorded/vectors.bin', import.meta.url)))) {
    const subject = list.get(entry.subject);
    const one = subject && makeCase(subject.form, subject.mode, entry.number);
    if (!one || !isRecorded(entry, one)) {
      stale.push(`${entry.subject} #${entry.number}`);
      continue;
    }
    seen.add(entry.subject);
    ran++;
    const difference = compare(subject.form, one, model.run(one), entry.result(one));
    if (difference !== null) wrong.push(`${entry.subject} #${entry.number}: ${text(one)} ${difference}`);
  }
  expect(wrong.slice(0, 5)).toEqual([]);
  // 16-bit code, what microcode executes and what crosses a page have no regions.
  if (TEST_JIT) expect(model.regions).toBeGreaterThan(ran / 2);
  expect(stale.length, `${stale.length} cases are made otherwise now (${stale[0]}): record again, pnpm conformance --record`).toBe(0);
  expect([...list.keys()].filter((name) => !seen.has(name)).length, 'forms without a recorded case').toBeLessThan(list.size / 50);
});
