import { resolve } from 'node:path';

/** The command line, built. */
export const VM: string = resolve(import.meta.dirname, '../../../apps/vm/dist/main.js');

/** BusyBox's prompt at the end of what the guest printed. */
export const PROMPT: RegExp = /(^|\n)[~/] # /;

/** After so many milliseconds a machine is given up. */
export const TIMEOUT = 300_000;
