/** Guest instructions a second in the programs of ../programs: they run in Linux in this process, and the machine counts. */
import { readFile } from 'node:fs/promises';
import { createVm, type VmOptions } from '@vm/stack';
import { appendFor, fetchImages, initrdOfPrograms, ProgramLines } from './guest-programs.ts';
import { threadSeconds } from './thread-clock.ts';

export interface ProgramSpeed {
  readonly name: string;
  /** Million guest instructions; an iteration of a string instruction counts as the machine counts it. */
  readonly millions: number;
  /** Of the thread's processor time, so that other load on the machine counts little. */
  readonly seconds: number;
}

/** One run of each program, kernel included, on an amd64 kernel. */
export async function programSpeeds(names: readonly string[], options: Pick<VmOptions, 'jit'> = {}): Promise<ProgramSpeed[]> {
  const speeds: ProgramSpeed[] = [];
  let began = threadSeconds();
  let before = 0;
  const lines = new ProgramLines({
    begins: () => {
      began = threadSeconds();
      before = vm.instructions();
    },
    gives: (name) => {
      speeds.push({ name, millions: (vm.instructions() - before) / 1e6, seconds: threadSeconds() - began });
      if (speeds.length === names.length) vm.stop();
    },
  });
  const decoder = new TextDecoder();
  const [kernel, initrd] = await Promise.all([readFile(fetchImages('amd64').kernel), readFile(initrdOfPrograms('amd64'))]);
  const vm = await createVm({
    kernel, initrd, memory: 512, noReboot: true, append: appendFor(names), ...options, console: (bytes) => lines.print(decoder.decode(bytes.slice())),
  });
  const end = await vm.run();
  vm.close();
  if (speeds.length < names.length) throw new Error(`the machine ended before its programs (${end.message}); its last words:\n${lines.last}`);
  return speeds;
}
