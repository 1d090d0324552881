import { expect, test } from 'vitest';
import { sharesOf } from '../src/profile.ts';

test('self time is in shares of the busy time, whoever called', () => {
  const frame = (functionName: string, url = '', lineNumber = 0) => ({ functionName, url, lineNumber });
  const { busyMs, kinds, functions } = sharesOf({
    nodes: [
      { id: 1, callFrame: frame('(idle)') }, { id: 2, callFrame: frame('(garbage collector)') }, { id: 3, callFrame: frame('wasm-function[7]', 'wasm://wasm/0a') },
      { id: 4, callFrame: frame('find', 'file:///x/y/dist/a.js', 11) }, { id: 5, callFrame: frame('find', 'file:///x/y/dist/a.js', 11) }, { id: 6, callFrame: frame('(program)') },
    ],
    samples: [1, 3, 4, 5, 2, 6, 3], timeDeltas: [5000, 500, 100, 100, 100, 100, 100],
  });
  expect(busyMs).toBe(1);
  expect(kinds).toEqual({ wasm: 0.6, js: 0.2, gc: 0.1, program: 0.1 });
  expect(functions.slice(0, 2)).toEqual([
    { kind: 'wasm', name: 'wasm-function[7] /wasm/0a:1', ms: 0.6, share: 0.6 }, { kind: 'js', name: 'find y/dist/a.js:12', ms: 0.2, share: 0.2 },
  ]);
  expect(functions).toHaveLength(4);
});
