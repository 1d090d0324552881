import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const ROOT = resolve(import.meta.dirname, '../../..');
const PACKAGES = ['kvm-run', 'cpu', 'kvm', 'qemu', 'stack'];

interface Outcome {
  readonly code: number;
  readonly output: string;
}

function boundaries(root: string): Promise<Outcome> {
  return new Promise((done) => {
    execFile('node', [join(root, 'tools/boundaries.mjs'), root], { cwd: root }, (error, stdout, stderr) =>
      done({ code: error === null ? 0 : Number(error.code), output: stdout + stderr }));
  });
}

/** A small repository with this one's layers and rules: each package an index.ts, and its real package.json. */
async function plantRepository(root: string): Promise<void> {
  await symlink(join(ROOT, 'node_modules'), join(root, 'node_modules'));
  await cp(join(ROOT, '.dependency-cruiser.cjs'), join(root, '.dependency-cruiser.cjs'));
  await cp(join(ROOT, 'tools/boundaries.mjs'), join(root, 'tools/boundaries.mjs'));
  for (const name of PACKAGES) {
    await put(root, `packages/${name}/package.json`, await readFile(join(ROOT, 'packages', name, 'package.json'), 'utf8'));
    await put(root, `packages/${name}/src/index.ts`, `export const name = '${name}';\n`);
    if (name === 'kvm-run') continue;
    await mkdir(join(root, `packages/${name}/node_modules/@vm`), { recursive: true });
    for (const target of PACKAGES) await symlink(join(root, 'packages', target), join(root, `packages/${name}/node_modules/@vm/${target}`));
  }
  await put(root, 'packages/kvm-run/src/vmx/index.ts', 'export const vmx = 1;\n');
  await put(root, 'packages/kvm/src/index.ts', `export { name } from '@vm/kvm-run';\nexport { vmx } from '@vm/kvm-run/vmx';\n`);
}

async function put(root: string, path: string, text: string): Promise<void> {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), text);
}

describe('boundaries', () => {
  let root: string;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'boundaries-'));
    await plantRepository(root);
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  test('a repository that keeps to its layers passes', async () => {
    expect(await boundaries(root)).toEqual({ code: 0, output: 'boundaries: 6 modules keep to their layers\n' });
  });

  test.each([
    ['the processor imports KVM', 'packages/cpu/src/planted.ts', `export { name } from '@vm/kvm';`, 'layers-know-the-contract-alone'],
    ['KVM imports the processor for its type', 'packages/kvm/src/planted.ts', `import type { name } from '@vm/cpu';\nexport type Name = typeof name;`, 'layers-know-the-contract-alone'],
    ['QEMU imports KVM dynamically', 'packages/qemu/src/planted.ts', `export const kvm = import('@vm/kvm');`, 'layers-know-the-contract-alone'],
    ['QEMU imports the VMX half of the contract', 'packages/qemu/src/planted.ts', `export { vmx } from '@vm/kvm-run/vmx';`, 'qemu-knows-no-vmx'],
    ['a layer goes around by a relative path', 'packages/qemu/src/planted.ts', `export { name } from '../../kvm/src/index.ts';`, 'no-relative-across-packages'],
    ['the processor uses Node', 'packages/cpu/src/planted.ts', `export { readFileSync } from 'node:fs';`, 'core-is-host-neutral'],
    ['an import leads nowhere', 'packages/cpu/src/planted.ts', `export * from './missing.ts';`, 'no-unresolvable'],
    ['modules form a cycle', 'packages/cpu/src/planted.ts', `export * from './planted2.ts';`, 'no-circular'],
  ])('fails when %s', async (_what, path, text, rule) => {
    await put(root, path, `${text}\n`);
    await put(root, 'packages/cpu/src/planted2.ts', `export * from './planted.ts';\nexport const two = 2;\n`);
    if (!path.startsWith('packages/cpu/')) await rm(join(root, 'packages/cpu/src/planted2.ts'));
    const { code, output } = await boundaries(root);
    expect(output).toContain(rule);
    expect(code).toBe(1);
  });

  test.each([
    ['cpu', 'dependencies', '@vm/kvm'], ['kvm', 'devDependencies', '@vm/cpu'], ['qemu', 'peerDependencies', '@vm/kvm'],
    ['kvm-run', 'optionalDependencies', '@vm/cpu'], ['stack', 'dependencies', '@vm/unheard-of'],
  ])('fails when %s declares in %s the package %s', async (name, section, dependency) => {
    const path = `packages/${name}/package.json`;
    const manifest = JSON.parse(await readFile(join(root, path), 'utf8')) as Record<string, Record<string, string>>;
    manifest[section] = { ...manifest[section], [dependency]: 'workspace:*' };
    await put(root, path, JSON.stringify(manifest));
    const { code, output } = await boundaries(root);
    expect(output).toContain(`${path}: ${section} must not have ${dependency}`);
    expect(code).toBe(1);
  });

  test('fails when there is no module to look at', async () => {
    for (const name of PACKAGES) await rm(join(root, `packages/${name}/src`), { recursive: true });
    const { code, output } = await boundaries(root);
    expect(output).toContain('no module was looked at');
    expect(code).toBe(1);
  });
});
