import { describe, expect, test } from 'vitest';
import { EscapeFilter } from './escape.ts';

function feed(...chunks: string[]): string[] {
  const filter = new EscapeFilter();
  const seen: string[] = [];
  for (const chunk of chunks)
    filter.push(Buffer.from(chunk, 'latin1'), (bytes) => seen.push(Buffer.from(bytes).toString('latin1')), (command) => seen.push(`<${command}>`));
  return seen;
}

describe('EscapeFilter', () => {
  test.each<[string, string[], string[]]>([
    ['plain bytes', ['ls\r'], ['ls\r']],
    ['leave', ['\x01x'], ['<leave>']],
    ['upper case, in two reads', ['\x01', 'X'], ['<leave>']],
    ['between bytes', ['ab\x01hcd'], ['ab', '<help>', 'cd']],
    ['Ctrl-A itself', ['a\x01\x01b'], ['a', '\x01b']],
    ['Ctrl-A itself does not escape again', ['\x01\x01x'], ['\x01x']],
    ['unknown command', ['a\x01zb'], ['a', 'b']],
    ['two in a row', ['\x01s\x01?'], ['<statistics>', '<help>']],
    ['Ctrl-C goes to the guest', ['\x03'], ['\x03']],
  ])('%s', (_name, chunks, expected) => expect(feed(...chunks)).toEqual(expected));
});
