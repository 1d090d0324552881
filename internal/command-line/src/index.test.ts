import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Command, commandLine, namesOf, numberOption, Option, readOptions } from './index.ts';

let written = '';
beforeEach(() => {
  written = '';
  const keep = (text: string | Uint8Array): boolean => {
    written += String(text);
    return true;
  };
  vi.spyOn(process.stdout, 'write').mockImplementation(keep);
  vi.spyOn(process.stderr, 'write').mockImplementation(keep);
  vi.spyOn(process, 'exit').mockImplementation((code) => {
    throw new Error(`exit ${String(code)}`);
  });
});
afterEach(() => vi.restoreAllMocks());

const thing = (): Command => commandLine('pnpm thing', 'Does it.').addOption(numberOption('--runs <n>', 'rounds', 1, 3))
  .addOption(new Option('--only <names>', 'some').argParser(namesOf(['hash', 'sieve'])));
const read = (...argv: string[]): object => readOptions(thing(), argv);

test('options have their defaults, or what is given', () => {
  expect(read()).toEqual({ runs: 3 });
  expect(read('--runs', '7', '--only', 'sieve,hash')).toEqual({ runs: 7, only: ['sieve', 'hash'] });
});

test('--help names the command and its options, and is no error', () => {
  expect(() => read('--help')).toThrow('exit 0');
  expect(written).toContain('Usage: pnpm thing');
  expect(written).toMatch(/--runs <n> +rounds \(default: 3\)/);
});

test.each([
  [['--runs', '0'], "option '--runs <n>' argument '0' is invalid. Give a whole number of 1 or more."],
  [['--runs', '1.5'], 'Give a whole number of 1 or more.'],
  [['--runs', ''], 'Give a whole number of 1 or more.'],
  [['--only', 'hash,hsah'], '"hsah" is none of hash, sieve.'],
  [['--only', ''], '"" is none of hash, sieve.'],
  [['--run', '2'], "unknown option '--run'"],
  [['more'], 'too many arguments'],
])('%j makes no sense', (argv, message) => {
  expect(() => read(...argv)).toThrow('exit 2');
  expect(written).toContain(message);
  expect(written).toContain('--help');
});
