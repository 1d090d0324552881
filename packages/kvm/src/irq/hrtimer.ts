/**
 * High-resolution timers on one physical CPU's TSC: a sorted queue whose head programs the CPU's local timer. What
 * kernel/time/hrtimer.c is to KVM. Times are host TSC ticks, as doubles.
 */

export interface HrTimerClock {
  rdtsc(): number;
  readonly tscKhz: number;
}

/** A timer that a queue may hold; `fire` is made once, when the owner is made. */
export class HrTimer {
  /** Host TSC at which the timer fires. */
  expires = 0;
  queued = false;
  /** Runs at or after expiry; returns the next expiry, or -1 to stay off. */
  readonly fire: () => number;

  constructor(fire: () => number) {
    this.fire = fire;
  }
}

/** Rounds of expiry work that one call of `run` may do, so that a timer that is always late cannot hang the host. */
const MAX_ROUNDS = 64;

export class HrTimerQueue {
  readonly #clock: HrTimerClock;
  readonly #arm: (tsc: number) => void;
  readonly #timers: HrTimer[] = [];
  #running = false;

  /** `arm` programs the local timer of the physical CPU; Infinity disarms it. */
  constructor(clock: HrTimerClock, arm: (tsc: number) => void) {
    this.#clock = clock;
    this.#arm = arm;
  }

  now(): number {
    return this.#clock.rdtsc();
  }

  get khz(): number {
    return this.#clock.tscKhz;
  }

  ticks(nanoseconds: number): number {
    return (nanoseconds * this.#clock.tscKhz) / 1e6;
  }

  nanoseconds(ticks: number): number {
    return (ticks * 1e6) / this.#clock.tscKhz;
  }

  /** Expiry of the earliest timer, Infinity without one. */
  get next(): number {
    return this.#timers.length > 0 ? this.#timers[0]!.expires : Infinity;
  }

  start(timer: HrTimer, expires: number): void {
    if (timer.queued) this.#remove(timer);
    timer.expires = expires;
    this.#insert(timer);
    if (!this.#running && this.#timers[0] === timer) this.#arm(expires);
  }

  /** True when the timer was queued. */
  cancel(timer: HrTimer): boolean {
    if (!timer.queued) return false;
    const head = this.#timers[0] === timer;
    this.#remove(timer);
    if (head && !this.#running) this.#arm(this.next);
    return true;
  }

  /** hrtimer_interrupt: fires all that is due, and programs the local timer for the rest. */
  run(): void {
    if (this.#running) return;
    this.#running = true;
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const timer = this.#timers[0];
      if (timer === undefined || timer.expires > this.#clock.rdtsc()) break;
      this.#remove(timer);
      const again = timer.fire();
      if (again >= 0 && !timer.queued) {
        timer.expires = again;
        this.#insert(timer);
      }
    }
    this.#running = false;
    this.#arm(this.next);
  }

  #insert(timer: HrTimer): void {
    const timers = this.#timers;
    let at = timers.length;
    while (at > 0 && timers[at - 1]!.expires > timer.expires) at--;
    timers.splice(at, 0, timer);
    timer.queued = true;
  }

  #remove(timer: HrTimer): void {
    const at = this.#timers.indexOf(timer);
    if (at >= 0) this.#timers.splice(at, 1);
    timer.queued = false;
  }
}
