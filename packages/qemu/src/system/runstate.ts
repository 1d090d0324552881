/**
 * Requests to the machine as a whole (system/runstate.c): a device, a vCPU or the user makes them at any moment, and the
 * main loop carries them out between two rounds of the vCPU. The first request to end wins.
 */

import { EXIT_POWEROFF, type ExitStatus } from './exit-status.ts';

export class RunState {
  #exit: ExitStatus | undefined;
  #reset = false;
  readonly #notify: () => void;

  /** `notify` makes the vCPUs leave the guest, and the main loop look. */
  constructor(notify: () => void) {
    this.#notify = notify;
  }

  get exitRequested(): ExitStatus | undefined {
    return this.#exit;
  }

  get pending(): boolean {
    return this.#exit !== undefined || this.#reset;
  }

  /** qemu_system_reset_request. */
  qemuSystemResetRequest(): void {
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
