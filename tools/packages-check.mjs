// Packs each published package as it would go to the registry, and checks the tarball: publint (exports, files, formats)
// and Are The Types Wrong (types as a user's TypeScript resolves them). Packages must have been built.
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';

const run = promisify(execFile);

async function pack(folder, target) {
  await run('pnpm', ['pack', '--pack-destination', target], { cwd: folder });
  const tarball = (await readdir(target)).find((name) => name.endsWith('.tgz'));
  if (tarball === undefined) throw new Error(`${folder}: pnpm pack made no tarball`);
  return join(target, tarball);
}

async function problemsOf(folder) {
  const target = await mkdtemp(join(tmpdir(), 'packages-check-'));
  try {
    const tarball = await pack(folder, target);
    const bytes = await readFile(tarball);
    const { messages, pkg } = await publint({ pack: { tarball: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) }, strict: true });
    const problems = messages.map((message) => `publint: ${formatMessage(message, pkg, { color: false })}`);
    await run('attw', ['--profile', 'esm-only', '--format', 'ascii', '--no-color', tarball]).catch((error) => problems.push(`attw: ${error.stdout || error.message}`));
    return problems;
  } finally {
    await rm(target, { recursive: true, force: true });
  }
}

const root = resolve(import.meta.dirname, '..');
let failed = false;
const packages = await readdir(join(root, 'packages'));
if (packages.length === 0) throw new Error('packages/ is empty: nothing was checked');
for (const name of packages) {
  const problems = await problemsOf(join(root, 'packages', name));
  console.log(`packages/${name}: ${problems.length === 0 ? 'clean' : `${problems.length} problems`}`);
  for (const problem of problems) console.error(`  ${problem}`);
  failed ||= problems.length > 0;
}
process.exitCode = failed ? 1 : 0;
