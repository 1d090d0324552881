/**
 * Requests to the machine as a whole (system/runstate.c): a device, a vCPU or the user makes them at any moment, and the
 * main loop carries them out between two rounds of the vCPU. The first request to end wins.
 */

import { EXIT_POWEROFF, type ExitStatus } from './exit-status.ts';

/** What a reset and a triple fault do: start over, or end the machine (QEMU's -action). */
export interface RunActions {
  readonly reboot: 'reset' | 'stop';
  readonly tripleFault: 'reset' | 'stop';
}

export class RunState {
  #exit: ExitStatus | undefined;
  #reset = false;
  readonly #notify: () => void;
  readonly #actions: RunActions;
  #lastTripleFault: ExitStatus | undefined;

  /** `notify` makes the vCPUs leave the guest, and the main loop look. */
  constructor(actions: RunActions, notify: () => void) {
    this.#actions = actions;
    this.#notify = notify;
  }

  /** The last triple fault, with the registers that led to it. */
  get lastTripleFault(): ExitStatus | undefined {
    return this.#lastTripleFault;
  }

  get exitRequested(): ExitStatus | undefined {
    return this.#exit;
  }

  get pending(): boolean {
    return this.#exit !== undefined || this.#reset;
  }

  /** qemu_system_reset_request. */
  qemuSystemResetRequest(): void {
    if (this.#actions.reboot === 'stop') return this.exit({ code: EXIT_POWEROFF, cause: 'reset', message: 'the guest reset the machine' });
    this.#reset = true;
    this.#notify();
  }

  /** A processor shut down because it could not even deliver a double fault. */
  tripleFault(status: ExitStatus): void {
    this.#lastTripleFault = status;
    if (this.#actions.tripleFault === 'stop') return this.exit(status);
    this.#reset = true;
    this.#notify();
  }

  /** qemu_system_shutdown_request: the machine is to end as if its power were off. */
  qemuSystemShutdownRequest(message = 'the guest powered off'): void {
    this.exit({ code: EXIT_POWEROFF, cause: 'poweroff', message });
  }

  /** Ends the machine. */
  exit(status: ExitStatus): void {
    this.#exit ??= status;
    this.#notify();
  }

  /** qemu_reset_requested: takes the request. */
  takeReset(): boolean {
    const requested = this.#reset;
    this.#reset = false;
    return requested;
  }

  /** Forgets how the last run ended, so that the machine can run again. */
  clear(): void {
    this.#exit = undefined;
    this.#reset = false;
  }
}
