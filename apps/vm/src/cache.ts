/** Where the program keeps what it can make again (cache) and what it remembers (state), after the XDG base directories. */
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

const FOLDER = 'vm-monorepo';
const SCRATCH = 'scratch-';

function base(variable: string, fallback: string): string {
  const set = process.env[variable];
  // The specification tells to ignore relative paths.
  return set !== undefined && isAbsolute(set) ? set : join(homedir(), fallback);
}

export function cacheFolder(): string {
  return join(base('XDG_CACHE_HOME', '.cache'), FOLDER);
}

export function stateFolder(): string {
  return join(base('XDG_STATE_HOME', join('.local', 'state')), FOLDER);
}

/**
 * Calls `fill` with an empty folder and moves it to `target` when it is full, so that `target` is there wholly or not at
 * all. When another process was faster, its folder stays.
 */
export async function fillFolder(target: string, fill: (folder: string) => Promise<void>): Promise<void> {
  await withScratch(async (scratch) => {
    const folder = join(scratch, 'new');
    await mkdir(folder);
    await fill(folder);
    await mkdir(join(target, '..'), { recursive: true });
    try {
      await rename(folder, target);
    } catch (error) {
      if (!['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
  });
}

/** Calls `use` with an empty folder in the cache and removes it afterwards, and those that killed processes left. */
export async function withScratch<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const cache = cacheFolder();
  await mkdir(cache, { recursive: true });
  await removeAbandoned(cache);
  const folder = await mkdtemp(join(cache, `${SCRATCH}${process.pid}-`));
  try {
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function removeAbandoned(cache: string): Promise<void> {
  for (const name of await readdir(cache)) {
    const pid = Number(new RegExp(`^${SCRATCH}(\\d+)-`).exec(name)?.[1] ?? Number.NaN);
    if (Number.isNaN(pid) || isAlive(pid)) continue;
    await rm(join(cache, name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
