// Checks the layers: what each module imports (the rules of .dependency-cruiser.cjs), what each package.json declares
// (the table below), and that no import leaves its package by a relative path.
// Use: node tools/boundaries.mjs [root]
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { isAbsolute, join, relative, resolve } from 'node:path';
import { cruise } from 'dependency-cruiser';

const GROUPS = ['packages', 'apps', 'internal'];
const SECTIONS = ['dependencies', 'devDependencies', 'peerDependencies', 'optionalDependencies'];
/** Workspace packages that each published package may declare. */
const LAYERS = {
  'kvm-run': [],
  cpu: ['@vm/kvm-run'],
  kvm: ['@vm/kvm-run'],
  qemu: ['@vm/kvm-run'],
  stack: ['@vm/kvm-run', '@vm/cpu', '@vm/kvm', '@vm/qemu'],
};

/** Folders of the workspace packages, as `packages/cpu`. */
export function workspacePackages(root) {
  return GROUPS.flatMap((group) => (existsSync(join(root, group)) ? readdirSync(join(root, group)) : [])
    .map((name) => `${group}/${name}`))
    .filter((folder) => existsSync(join(root, folder, 'package.json')));
}

/** What is declared but must not be, one sentence each. */
export function declaredViolations(root) {
  const folders = workspacePackages(root);
  const manifests = new Map(folders.map((folder) => [folder, JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'))]));
  const namesIn = (group) => [...manifests].filter(([folder]) => folder.startsWith(`${group}/`)).map(([, { name }]) => name);
  const workspace = new Set([...manifests.values()].map(({ name }) => name));
  const violations = [];
  for (const [folder, manifest] of manifests) {
    const [group, name] = folder.split('/');
    // What is published is for all; what is internal is for what is internal.
    const allowed = group === 'packages' ? LAYERS[name] : group === 'internal' ? [...namesIn('packages'), ...namesIn('internal')] : namesIn('packages');
    if (allowed === undefined) {
      violations.push(`${folder}: not in the table of layers in tools/boundaries.mjs`);
      continue;
    }
    for (const section of SECTIONS)
      for (const dependency of Object.keys(manifest[section] ?? {}))
        if ((workspace.has(dependency) || dependency.startsWith('@vm/')) && !allowed.includes(dependency))
          violations.push(`${folder}/package.json: ${section} must not have ${dependency}`);
  }
  return violations;
}

/** Modules looked at, and the imports that break a rule, one sentence each. */
export async function importViolations(root) {
  const config = createRequire(import.meta.url)(resolve(root, '.dependency-cruiser.cjs'));
  const folders = workspacePackages(root).map((folder) => join(folder, 'src')).filter((folder) => existsSync(join(root, folder)));
  const { output } = await cruise(folders, { ...config.options, ruleSet: { forbidden: config.forbidden }, validate: true, baseDir: root, outputType: 'json' });
  const { modules, summary } = typeof output === 'string' ? JSON.parse(output) : output;
  const violations = summary.violations.map(({ from, to, rule }) => `${from} -> ${to}: ${rule.name}`);
  for (const module of modules)
    for (const dependency of module.dependencies ?? [])
      if (leavesPackage(root, module.source, dependency)) violations.push(`${module.source} -> ${dependency.resolved}: no-relative-across-packages`);
  return { modules: modules.filter(({ source }) => folders.some((folder) => source.startsWith(`${folder}/`))).length, violations };
}

function leavesPackage(root, source, { module, resolved, couldNotResolve }) {
  if (!module.startsWith('.') || couldNotResolve) return false;
  const owner = source.split('/').slice(0, 2).join('/');
  const from = relative(join(root, owner), resolve(root, resolved));
  return from.startsWith('..') || isAbsolute(from);
}

async function main(root) {
  const { modules, violations } = await importViolations(root);
  const all = [...declaredViolations(root), ...violations];
  if (modules === 0) all.push('no module was looked at');
  for (const violation of all) console.error(`boundaries: ${violation}`);
  if (all.length === 0) console.log(`boundaries: ${modules} modules keep to their layers`);
  process.exitCode = all.length === 0 ? 0 : 1;
}

if (import.meta.main ?? process.argv[1] === import.meta.filename) await main(resolve(process.argv[2] ?? '.'));
