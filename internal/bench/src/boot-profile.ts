/**
 * Where the time of a Linux boot goes: V8's CPU profile of `vm run` from the start of the process to power-off at the prompt,
 * as self time by function in shares of the samples in which the thread was busy.
 * `pnpm bench:profile --help` lists the options.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { commandLine, numberOption, readOptions } from '@vm/command-line';
import { type CpuProfile, sharesOf } from './profile.ts';
import { report } from './report.ts';
import { PROMPT, TIMEOUT, VM } from './vm-process.ts';

const INTERVAL_US = '500';

const options = readOptions<{ jit: boolean; top: number }>(commandLine('pnpm bench:profile', 'Where the time of a Linux boot goes, by function.')
  .option('--no-jit', 'only interpret the guest\'s code')
  .addOption(numberOption('--top <n>', 'functions to print', 1, 25))
  .option('--json', 'also print one JSON object, as the last line'));

/** Boots, powers off at the prompt, and returns the profile that Node wrote. */
async function profileBoot(folder: string): Promise<CpuProfile> {
  const flags = ['--cpu-prof', '--cpu-prof-interval', INTERVAL_US, '--cpu-prof-dir', folder];
  await new Promise<void>((done, fail) => {
    const child = spawn(process.execPath, [...flags, VM, 'run', ...(options.jit ? [] : ['--no-jit'])], { stdio: ['pipe', 'pipe', 'inherit'] });
    const timer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT);
    let output = '';
    let asked = false;
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-4096);
      if (asked || !PROMPT.test(output)) return;
      asked = true;
      child.stdin.write('poweroff -f\n');
    });
    child.on('error', fail);
    child.on('close', (code) => {
      clearTimeout(timer);
      if (code === 0 && asked) done();
      else fail(new Error(`the boot ended with ${code ?? 'a signal'}; its last words:\n${output.slice(-1500)}`));
    });
  });
  const file = (await readdir(folder)).find((name) => name.endsWith('.cpuprofile'));
  if (file === undefined) throw new Error('Node wrote no profile');
  return JSON.parse(await readFile(join(folder, file), 'utf8')) as CpuProfile;
}

const folder = await mkdtemp(join(tmpdir(), 'boot-profile-'));
try {
  const { busyMs, kinds, functions } = sharesOf(await profileBoot(folder));
  const percent = (share: number): number => share * 100;
  const longest = functions.find(({ kind }) => kind === 'js');
  report([
    { name: 'busy', value: busyMs, unit: 'ms' },
    ...Object.entries(kinds).map(([name, share]) => ({ name: `all ${name}`, value: percent(share), unit: '%' })),
    ...functions.slice(0, options.top).map(({ kind, name, share }) => ({ name: `${kind.padEnd(8)}${name}`, value: percent(share), unit: '%' })),
  ], {
    busy_ms: busyMs, ...Object.fromEntries(Object.entries(kinds).map(([name, share]) => [`${name}_percent`, percent(share)])),
    longest_js: longest?.name ?? null, longest_js_percent: percent(longest?.share ?? 0),
  });
} finally {
  await rm(folder, { recursive: true });
}
