/** The clocks of a machine. The core packages have none of their own: the host gives them. */
export interface TimerService {
  /** Nanoseconds of guest time since an arbitrary start; never goes back. */
  now(): number;
  /** Milliseconds since 1970-01-01 UTC, the base of the real-time clock. */
  wallClock(): number;
  /** Calls back once, when `now()` has reached `deadline` or later; returns what cancels it. */
  setTimer(deadline: number, callback: () => void): () => void;
}

export const NANOSECONDS_PER_SECOND = 1_000_000_000;

/** A timer that is armed and disarmed over and over (timer_mod, timer_del). */
export class QemuTimer {
  readonly #service: TimerService;
  readonly #callback: () => void;
  #cancel: (() => void) | undefined;

  constructor(service: TimerService, callback: () => void) {
    this.#service = service;
    this.#callback = callback;
  }

  get pending(): boolean {
    return this.#cancel !== undefined;
  }

  mod(deadline: number): void {
    this.del();
    this.#cancel = this.#service.setTimer(deadline, () => {
      this.#cancel = undefined;
      this.#callback();
    });
  }

  del(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
