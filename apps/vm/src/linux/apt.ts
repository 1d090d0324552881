/**
 * Debian packages without root: apt-get with folders of its own for its lists, archives and state, so that neither
 * privileges nor the system's own package state are needed or touched.
 */
import { spawn } from 'node:child_process';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
const UPDATE_TRIES = 3;

/** Packages could not be had; the message is one sentence that says why. */
export class PackagesUnavailable extends Error {
  constructor(why: string, options?: ErrorOptions) {
    super(why, options);
    this.name = 'PackagesUnavailable';
  }
}

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class Apt {
  readonly #folder: string;
  readonly #progress: (line: string) => void;
  #options: readonly string[];

  private constructor(folder: string, architecture: string, progress: (line: string) => void) {
    this.#folder = folder;
    this.#progress = progress;
    this.#options = [
      `APT::Architecture=${architecture}`, `APT::Architectures=${architecture}`, 'APT::Sandbox::User=root', 'Acquire::Retries=1',
      'Acquire::Languages=none', 'Acquire::http::Timeout=15', 'Acquire::https::Timeout=15', `Dir::State=${folder}/state`,
      `Dir::State::lists=${folder}/lists`, `Dir::State::status=${folder}/status`, `Dir::Cache=${folder}/cache`,
      `Dir::Cache::archives=${folder}/archives`,
    ];
  }

  /** An apt state in `folder`, with fresh package lists of Debian's architecture in which `wanted` is known. */
  static async open(folder: string, architecture: string, wanted: string, progress: (line: string) => void): Promise<Apt> {
    const apt = new Apt(folder, architecture, progress);
    for (const name of ['state', 'lists/partial', 'cache', 'archives/partial']) await mkdir(join(folder, name), { recursive: true });
    await writeFile(join(folder, 'status'), '');
    let failure = await apt.#update();
    if (await apt.#knows(wanted)) return apt;
    if (failure === undefined && (await apt.#useDebian())) failure = await apt.#update();
    if (await apt.#knows(wanted)) return apt;
    throw new PackagesUnavailable(failure ?? `none of apt's sources has the package ${wanted}`);
  }

  /** The first package that a meta-package depends on, e.g. the kernel that linux-image-cloud-amd64 stands for. */
  async firstDependency(meta: string): Promise<string> {
    const { stdout } = await this.#run('apt-cache', ['depends', '--important', meta]);
    const name = /^\s*\|?Depends: ([a-z0-9][a-z0-9.+-]+)/m.exec(stdout)?.[1];
    if (name === undefined) throw new PackagesUnavailable(`the package ${meta} does not say which package it stands for`);
    return name;
  }

  /** Downloads a package, unpacks it into `target`, and returns its version. */
  async unpack(name: string, target: string): Promise<string> {
    this.#progress(`fetching ${name}`);
    const folder = join(this.#folder, 'download', name);
    await mkdir(folder, { recursive: true });
    const outcome = await this.#run('apt-get', ['download', name], folder);
    const file = (await readdir(folder)).find((entry) => entry.endsWith('.deb'));
    if (outcome.code !== 0 || file === undefined)
      throw new PackagesUnavailable(`apt-get could not download ${name}: ${firstError(outcome)}`);
    await mkdir(target, { recursive: true });
    const unpacked = await run('dpkg-deb', ['-x', join(folder, file), target]);
    if (unpacked.code !== 0) throw new PackagesUnavailable(`dpkg-deb could not unpack ${file}: ${firstError(unpacked)}`);
    return decodeURIComponent(file.split('_')[1] ?? '');
  }

  // A mirror that is being synchronised can fail half-way. What a last failed try brought may still be enough; when not
  // a single list came, there is no network to try again on. Returns why the last try failed, if it did.
  async #update(): Promise<string | undefined> {
    let failure: string | undefined;
    for (let attempt = 1; attempt <= UPDATE_TRIES; attempt++) {
      this.#progress(attempt === 1 ? 'fetching the package lists' : `fetching the package lists again (try ${attempt} of ${UPDATE_TRIES})`);
      const outcome = await this.#run('apt-get', ['update', '-oAPT::Update::Error-Mode=any']);
      if (outcome.code === 0) return undefined;
      failure = `apt-get could not fetch the package lists: ${firstError(outcome)}`;
      if (!(await readdir(join(this.#folder, 'lists'))).some((name) => name.includes('_'))) return failure;
    }
    return failure;
  }

  async #knows(name: string): Promise<boolean> {
    const { code, stdout } = await this.#run('apt-cache', ['show', '--no-all-versions', name]);
    return code === 0 && stdout.includes('Filename:');
  }

  // The system's sources are not Debian's (or are none): use Debian's own, if its keys are here to check them.
  async #useDebian(): Promise<boolean> {
    if (!existsSync(KEYRING)) return false;
    const sources = join(this.#folder, 'sources.list');
    await writeFile(sources, `deb [signed-by=${KEYRING}] http://deb.debian.org/debian bookworm main\n`);
    this.#options = [...this.#options, `Dir::Etc::sourcelist=${sources}`, 'Dir::Etc::sourceparts=/dev/null'];
    return true;
  }

  #run(program: string, args: readonly string[], cwd?: string): Promise<Outcome> {
    return run(program, [...this.#options.map((option) => `-o${option}`), ...args], cwd);
  }
}

/** The first thing that went wrong, without the tag that apt puts before it. */
function firstError({ stderr, code }: Outcome): string {
  const lines = stderr.split('\n').filter((line) => line.trim() !== '');
  const line = lines.find((text) => text.startsWith('E:')) ?? lines.find((text) => text.startsWith('W:')) ?? lines.at(-1);
  return (line ?? `it ended with ${code}`).replace(/^[EW]: /, '').trim();
}

function run(program: string, args: readonly string[], cwd?: string): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' },
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.on('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'ENOENT' ? `${program} is not installed` : `${program} could not be started: ${error.message}`;
      reject(new PackagesUnavailable(why, { cause: error }));
    });
    child.on('close', (code) => resolve({ code: code ?? 1, stdout, stderr }));
  });
}
