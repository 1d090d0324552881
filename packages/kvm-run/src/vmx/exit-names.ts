import * as reasons from './exit-reasons.ts';

/** Names as the kernel's tracepoints print them: the constant without EXIT_REASON_. */
export const EXIT_REASON_NAMES: readonly (string | undefined)[] = names();

function names(): (string | undefined)[] {
  const list: (string | undefined)[] = Array.from({ length: reasons.EXIT_REASONS }, () => undefined);
  for (const [name, value] of Object.entries(reasons))
    if (name.startsWith('EXIT_REASON_')) list[value] = name.slice('EXIT_REASON_'.length);
  return list;
}

/** The name of the basic reason in an exit-reason field. */
export function exitReasonName(reason: number): string {
  const basic = reason & reasons.VMX_BASIC_EXIT_REASON_MASK;
  return EXIT_REASON_NAMES[basic] ?? `UNKNOWN_${basic}`;
}
