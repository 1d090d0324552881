/**
 * Stages the interpreter from the built package, and writes its module over dist/interpreter/stage.js: a program that starts a
 * processor then has it at once.
 */
import { rename, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';

const dist = resolve(import.meta.dirname, '../dist');
const { allHandlers } = await import(resolve(dist, 'interpreter/all-handlers.js'));
const { generateInterpreter } = await import(resolve(dist, 'interpreter/generate.js'));
const { FIRST_INSTRUCTION_HANDLER } = await import(resolve(dist, 'interpreter/handlers.js'));
const { microcodeModule } = await import(resolve(dist, 'microcode/instantiate.js'));

const exported = new Set(WebAssembly.Module.exports(microcodeModule()).map(({ name }) => name));
const { bytes, numbers } = generateInterpreter(allHandlers((name) => exported.has(name)));
const keys = [...numbers.keys()];
if (keys.some((key, i) => numbers.get(key) !== FIRST_INSTRUCTION_HANDLER + i || key.includes('\n')))
  throw new Error('the numbers of handlers are not in the order of their keys');

const text = `// Written by tools/stage-interpreter.mjs.
import { decodeBase64 } from '../microcode/base64.js';
const KEYS = ${JSON.stringify(keys.join('\n'))};
const BYTES = '${Buffer.from(bytes).toString('base64')}';
export function stageInterpreter() {
  const numbers = new Map(KEYS.split('\\n').map((key, i) => [key, ${FIRST_INSTRUCTION_HANDLER} + i]));
  return { bytes: decodeBase64(BYTES), numbers };
}
`;
const out = resolve(dist, 'interpreter/stage.js');
// By rename, so that a reader never sees half a file.
const part = `${out}.${process.pid}`;
await writeFile(part, text);
await rename(part, out);
