/** How a machine ended. `code` is for the process that ran it. */
export interface ExitStatus {
  readonly code: number;
  readonly cause: ExitCause;
  readonly message: string;
  /** Registers of the processor when it could not go on. */
  readonly state?: string;
}

export type ExitCause = 'poweroff' | 'reset' | 'debug-exit' | 'triple-fault' | 'panic' | 'internal-error' | 'debug' | 'stopped';

/** Exit codes: sysexits.h where it has a meaning. isa-debug-exit has its own, always odd. */
export const EXIT_POWEROFF = 0;
/** The machine's options do not make sense. */
export const EXIT_USAGE = 64;
/** A kernel or initrd is corrupt, or does not fit. */
export const EXIT_DATA = 65;
/** KVM or the processor failed. */
export const EXIT_SOFTWARE = 70;
/** The guest crashed: triple fault, or a panic that it reported. */
export const EXIT_GUEST_CRASH = 72;

/** The options of a machine contradict each other or ask for what cannot be had. */
export class MachineError extends Error {
  readonly exitCode: number = EXIT_USAGE;

  constructor(message: string) {
    super(message);
    this.name = 'MachineError';
  }
}
