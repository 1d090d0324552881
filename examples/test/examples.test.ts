/** Each example runs and prints what the READMEs say; the READMEs show the examples as they are. */
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';

const ROOT = resolve(import.meta.dirname, '../..');
const OPTIONS = ['--conditions=@vm/source', '--no-warnings'];
const example = (name: string): string => resolve(ROOT, 'examples/src', name);
const source = (name: string): string => readFileSync(example(name), 'utf8');
const shown = (readme: string): string => readFileSync(resolve(ROOT, readme), 'utf8');

/** The code of an example without its opening comment, as a README shows it. */
function code(name: string): string {
  return source(name).replace(/^\/\*\*[\s\S]*?\*\/\n/, '').trimEnd();
}

describe('the READMEs show the examples as they are', () => {
  test.each([['README.md', 'boot.ts'], ['packages/kvm/README.md', 'kvm-hello.ts'], ['packages/cpu/README.md', 'decode.ts']])('%s: %s', (readme, name) => {
    expect(shown(readme)).toContain(`\`\`\`ts\n${code(name)}\n\`\`\``);
  });
});

describe('the examples run', { timeout: 60_000 }, () => {
  test('kvm-hello.ts prints 4', () => {
    expect(execFileSync(process.execPath, [...OPTIONS, example('kvm-hello.ts')], { encoding: 'utf8', timeout: 50_000 })).toBe('4\n');
  });

  test('decode.ts prints three instructions', () => {
    const text = execFileSync(process.execPath, [...OPTIONS, example('decode.ts')], { encoding: 'utf8', timeout: 50_000 });
    expect(text).toBe('mov rax,qword ptr [rbx+rcx*4+0x10]\nvmlaunch\nret\n');
    expect(shown('packages/cpu/README.md')).toContain(text.trim());
  });

  test('boot.ts boots the monitor, which powers off', () => {
    const kernel = resolve(ROOT, 'apps/vm/guests/monitor.elf');
    const { status, stdout } = spawnSync(process.execPath, [...OPTIONS, example('boot.ts'), kernel], { encoding: 'utf8', input: 'poweroff\rpoweroff\r', timeout: 50_000 });
    expect(stdout).toContain('monitor: 64-bit');
    expect(status).toBe(0);
  });
});
