/** From the options of a run to a machine: which files, and Linux or the monitor when none is named. */
import { readFile } from 'node:fs/promises';
import type { VmModule, VmOptions } from '@vm/stack';
import { PackagesUnavailable } from './linux/apt.ts';
import { linuxImages } from './linux/images.ts';
import { type RunFlags, defaultAppend, parseModule, readInput } from './run-options.ts';

const MONITOR = new URL('../guests/monitor.elf', import.meta.url);
const MIB = 2 ** 20;

export interface PreparedMachine {
  readonly options: VmOptions;
  /** What is going to run, for the user. */
  readonly title: string;
}

/** Reads what the options name. `say` is told of steps that take time, and of what the user did not ask for. */
export async function prepareMachine(flags: RunFlags, say: (line: string) => void): Promise<PreparedMachine> {
  const machine: VmOptions = {
    kernel: new Uint8Array(0),
    memory: flags.memory,
    unpack: flags.unpack,
    deterministic: flags.deterministic === true,
    jit: flags.jit && (flags.jitThreshold === undefined ? {} : { threshold: flags.jitThreshold }),
    isaDebugExit: flags.isaDebugExit === true,
    noReboot: !flags.reboot,
  };
  if (flags.kernel === undefined) return prepareDefault(flags, machine, say);
  const limit = flags.memory * MIB;
  const kernel = await readInput('kernel', flags.kernel, limit);
  const given = { ...machine, kernel, kernelName: flags.kernel, ...(flags.append === undefined ? {} : { append: flags.append }) };
  return { title: flags.kernel, options: { ...given, ...(await readInitrd(flags, limit)), ...(await readModules(flags, limit)) } };
}

async function readInitrd(flags: RunFlags, limit: number): Promise<{ initrd?: Uint8Array }> {
  return flags.initrd === undefined ? {} : { initrd: await readInput('initrd', flags.initrd, limit) };
}

async function readModules(flags: RunFlags, limit: number): Promise<{ modules?: readonly VmModule[] }> {
  if (flags.module === undefined) return {};
  const modules: VmModule[] = [];
  for (const { path, commandLine } of flags.module.map(parseModule))
    modules.push({ bytes: await readInput('module', path, limit), commandLine: commandLine === '' ? path : `${path} ${commandLine}` });
  return { modules };
}

async function prepareDefault(flags: RunFlags, machine: VmOptions, say: (line: string) => void): Promise<PreparedMachine> {
  const append = flags.append ?? defaultAppend(flags.memory);
  const limit = flags.memory * MIB;
  try {
    const images = await linuxImages({ progress: say });
    const { initrd } = await readInitrd(flags, limit);
    return {
      title: `${images.kernelPackage} ${images.kernelVersion} with BusyBox ${images.busyboxVersion}`,
      options: { ...machine, append, kernel: await readFile(images.kernel), initrd: initrd ?? (await readFile(images.initrd)) },
    };
  } catch (error) {
    if (!(error instanceof PackagesUnavailable)) throw error;
    say(`Linux can't be had (${error.message}): booting the small monitor that comes with this program instead`);
    return { title: 'the monitor', options: { ...machine, kernel: await readFile(MONITOR) } };
  }
}
