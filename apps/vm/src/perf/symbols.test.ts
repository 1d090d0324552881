import { expect, test } from 'vitest';
import { parseSymbols } from './symbols.ts';

const TEXT = `ffffffff81000000 T _text
0000000000001000 A absolute
ffffffff81000040 t start_cpu
ffffffff82000000 D data
ffffffffc0000000 t probe\t[virtio]
no symbol at all
`;

test.each([
  [0xffffffff81000000n, '_text'], [0xffffffff8100003fn, '_text+0x3f'], [0xffffffff81000040n, 'start_cpu'], [0xffffffff82000001n, 'start_cpu+0xffffc1'],
  [0xffffffffc0000010n, 'probe [virtio]+0x10'], [0x2000n, undefined],
])('%i is %s', (address, name) => expect(parseSymbols(TEXT)!.nameOf(address)).toBe(name));

test('a text without symbols gives none', () => expect(parseSymbols('hello\n')).toBeUndefined());
