import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { NativeXsave } from '../src/native/native-xsave.ts';
import { compareXsave, makeXsaveCase, OPERATIONS, XsaveModel } from '../src/xsave.ts';
import { recordedXsave, recordXsave } from '../src/xsave-recording.ts';

const CASES = Number(process.env['ORACLE_CASES'] ?? 3) * 1000;
const FIRST = Number(process.env['ORACLE_FIRST'] ?? 1000);

const native = NativeXsave.open();
afterAll(() => native?.close());
const model = new XsaveModel();

describe.skipIf(native === null)('the XSAVE family beside the processor at hand', () => {
  test('restores and saves the same, and refuses the same headers', { timeout: 120_000 }, () => {
    const cases = Array.from({ length: CASES }, (_, i) => makeXsaveCase(FIRST + i));
    const theirs = native!.run(cases);
    const wrong: string[] = [];
    const faults = new Map<string, number>();
    cases.forEach((one, i) => {
      const ours = model.run(one);
      const name = OPERATIONS[one.operation]!;
      if (ours.vector >= 0) faults.set(name, (faults.get(name) ?? 0) + 1);
      const difference = compareXsave(one, ours, theirs[i]!);
      if (difference !== null) wrong.push(`#${FIRST + i} ${name} mask ${one.mask} offset ${one.offset}: ${difference}`);
    });
    expect(wrong.slice(0, 5)).toEqual([]);
    // Neither all nor none.
    for (const name of OPERATIONS) {
      expect(faults.get(name), name).toBeGreaterThan(CASES / 400);
      expect(faults.get(name), name).toBeLessThan(CASES / 10);
    }
  });

  test('is found out when it is wrong', () => {
    const one = { ...makeXsaveCase(1), operation: OPERATIONS.indexOf('xsave64'), mask: 7, offset: 0 };
    const [theirs] = native!.run([one]);
    const ours = model.run(one);
    expect(compareXsave(one, ours, theirs!)).toBeNull();
    ours.area[33]! ^= 1;
    expect(compareXsave(one, ours, theirs!)).toContain('area at 33');
  });
});

describe('recorded results', () => {
  test('of a processor are those of the model', () => {
    const wrong: string[] = [];
    let ran = 0;
    for (const { number, test: one, result } of recordedXsave(readFileSync(new URL('../recorded/xsave.bin', import.meta.url)))) {
      expect(result, `case ${number} is made otherwise now: record again, pnpm conformance --record-xsave`).not.toBeNull();
      const difference = compareXsave(one, model.run(one), result!);
      if (difference !== null) wrong.push(`#${number}: ${difference}`);
      ran++;
    }
    expect(wrong.slice(0, 5)).toEqual([]);
    expect(ran).toBeGreaterThan(500);
  });

  test('come back as they were', () => {
    const file = Buffer.from(recordXsave(40, (cases) => cases.map((one) => model.run(one))));
    const back = [...recordedXsave(file)];
    expect(back.map(({ number }) => number)).toEqual(Array.from({ length: 40 }, (_, i) => i));
    for (const { test: one, result } of back) expect(compareXsave(one, model.run(one), result!)).toBeNull();
    file[0]! ^= 1;
    expect(recordedXsave(file).next().value!.result).toBeNull();
  });
});
