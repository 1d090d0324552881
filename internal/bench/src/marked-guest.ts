import { readFile } from 'node:fs/promises';
import { createVm, type VmOptions } from '@vm/stack';

const wallSeconds = (): number => performance.now() / 1000;

/** Runs one of the guests in ../guests and takes the time, by the given clock in seconds, between its marks: the bytes S and E on its serial port. */
export async function secondsBetweenMarks(guest: string, options: Pick<VmOptions, 'jit'> = {}, clock: () => number = wallSeconds): Promise<number> {
  const kernel = await readFile(new URL(`../guests/${guest}.elf`, import.meta.url));
  const marks = new Map<string, number>();
  const vm = await createVm({
    kernel, memory: 32, isaDebugExit: true, ...options,
    console: (bytes) => {
      for (const byte of bytes) marks.set(String.fromCharCode(byte), clock());
    },
  });
  const end = await vm.run();
  const from = marks.get('S');
  const to = marks.get('E');
  if (from === undefined || to === undefined) throw new Error(`guest ${guest}: it ended without its marks: ${end.message}`);
  return to - from;
}
