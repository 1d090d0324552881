/**
 * Assembles the guests: `node tools/assemble.ts` writes NAME.bin.ts beside each NAME.asm. Tests read those files, so that
 * nobody needs an assembler to run them; a test compares where nasm is installed.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LAYOUT } from '../src/layout.ts';

export const GUESTS: string = join(import.meta.dirname, '..', 'guests');

/** Names of the guests' sources, without the extension. */
export const guestNames = (): string[] =>
  readdirSync(GUESTS).filter((name) => name.endsWith('.asm')).map((name) => name.slice(0, -4)).toSorted();

export const hasNasm = (): boolean => {
  try {
    execFileSync('nasm', ['-v'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};

const BYTES_A_LINE = 90;
/** nasm's map: real address, virtual address, name. */
const SYMBOL = /^\s*[0-9A-F]+\s+([0-9A-F]+)\s+(\S+)$/;

const symbolsOf = (map: string): [string, number][] =>
  map.split('\n').flatMap((line): [string, number][] => {
    const match = SYMBOL.exec(line);
    return match === null || match[2]!.startsWith('..@') ? [] : [[match[2]!, Number.parseInt(match[1]!, 16)]];
  });

/** The text of NAME.bin.ts. */
export const assemble = (name: string): string => {
  const folder = mkdtempSync(join(tmpdir(), 'guest-'));
  try {
    const [binary, map] = [join(folder, 'binary'), join(folder, 'map')];
    const defines = Object.entries(LAYOUT).map(([key, value]) => `-D${key}=${value}`);
    execFileSync('nasm', [
      '-f', 'bin', '-Werror', '-I', `${GUESTS}/`, ...defines, '--before', `[map symbols ${map}]`, '-o', binary, `${GUESTS}/${name}.asm`,
    ]);
    const base64 = readFileSync(binary).toString('base64').match(new RegExp(`.{1,${BYTES_A_LINE}}`, 'g')) ?? [];
    const symbols = symbolsOf(readFileSync(map, 'latin1'));
    return [
      `/** Made from ${name}.asm by tools/assemble.ts. */`,
      "import type { GuestImage } from '../src/guest-image.ts';",
      '',
      `export const ${name.replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase())}: GuestImage = {`,
      '  base64:',
      ...base64.map((line, i) => `    '${line}'${i === base64.length - 1 ? ',' : ' +'}`),
      '  symbols: {',
      ...symbols.map(([symbol, value]) => `    '${symbol}': 0x${value.toString(16)},`),
      '  },',
      '};',
      '',
    ].join('\n');
  } finally {
    rmSync(folder, { recursive: true });
  }
};

if (import.meta.main) for (const name of guestNames()) writeFileSync(join(GUESTS, `${name}.bin.ts`), assemble(name));
