import type { RunFlags } from '../run-options.ts';
import { runSession } from '../session.ts';

/** `vm run`. */
export async function runCommand(flags: RunFlags): Promise<number> {
  return (await runSession(flags)).status;
}
