import { expect, test } from 'vitest';
import { appendFor, ProgramLines, PROGRAMS, repeated } from '../src/guest-programs.ts';

test('the lines of the programs are found however the console cuts them', () => {
  const seen: string[] = [];
  const lines = new ProgramLines({ begins: (name) => void seen.push(`+${name}`), gives: (name, checksum) => void seen.push(`-${name} ${checksum}`) });
  for (const text of ['[    0.1] nbody-sse2 beg', 'ins\r', '\nnbody-sse2 gives 00c0', 'ffee\r\nhash begins\r\nhash gives nothing\n']) lines.print(text);
  expect(seen).toEqual(['+nbody-sse2', '-nbody-sse2 00c0ffee', '+hash']);
});

test('names', () => {
  expect(appendFor(['hash', 'copy'])).toMatch(/ rdinit=\/programs -- hash copy$/);
  expect(PROGRAMS.map((name) => repeated(name, 'i386')).every((text) => /^[\w-]+:[1-9]\d*$/.test(text))).toBe(true);
});
