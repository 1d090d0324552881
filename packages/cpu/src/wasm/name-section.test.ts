import { expect, test } from 'vitest';
import { ModuleBuilder } from './module-builder.ts';
import { nameSection, withNames } from './name-section.ts';
import * as op from './opcodes.ts';

function sections(bytes: Uint8Array<ArrayBuffer>): ArrayBuffer[] {
  return (WebAssembly.Module as unknown as { customSections(module: WebAssembly.Module, name: string): ArrayBuffer[] }).customSections(new WebAssembly.Module(bytes), 'name');
}

/** () -> i32: 7, exported under a name. */
function builder(): ModuleBuilder {
  const module = new ModuleBuilder();
  module.exportFunction('seven', module.addFunction({ params: [], results: [op.I32] }, Uint8Array.of(0, 0x41, 7, 0x0b)));
  return module;
}

test('module and functions get names', () => {
  // Module name "m"; one function, 0, "f".
  const content = [0, 2, 1, 0x6d, 1, 4, 1, 0, 1, 0x66];
  expect([...nameSection('m', new Map([[0, 'f']]))]).toEqual([0, 5 + content.length, 4, 0x6e, 0x61, 0x6d, 0x65, ...content]);
});

test('exported functions are named as their exports', () => {
  const bytes = builder().finish();
  expect(sections(bytes)).toEqual([]);
  const [names] = sections(withNames(bytes, 'numbers'));
  expect([...new Uint8Array(names!)]).toEqual([0, 8, 7, ...new TextEncoder().encode('numbers'), 1, 8, 1, 0, 5, ...new TextEncoder().encode('seven')]);
});

test('a builder names its module', () => {
  const module = builder();
  module.name = 'region-1';
  const [names] = sections(module.finish());
  expect(new TextDecoder().decode(names)).toContain('region-1');
});
