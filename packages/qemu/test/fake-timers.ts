import type { TimerService } from '../src/system/timer.ts';

interface Pending {
  readonly deadline: number;
  readonly callback: () => void;
}

/** Clocks that stand still until the test moves them. */
export class FakeTimers implements TimerService {
  #now = 0;
  readonly #start: number;
  #pending: Pending[] = [];

  /** `wallClock`: milliseconds since 1970 at the start. */
  constructor(wallClock: number = Date.UTC(2026, 10, 22, 23, 59, 58)) {
    this.#start = wallClock;
  }

  now(): number {
    return this.#now;
  }

  wallClock(): number {
    return this.#start + this.#now / 1e6;
  }

  setTimer(deadline: number, callback: () => void): () => void {
    const entry = { deadline, callback };
    this.#pending.push(entry);
    return () => {
      this.#pending = this.#pending.filter((other) => other !== entry);
    };
  }

  get pending(): number {
    return this.#pending.length;
  }

  /** Lets time pass, and calls back what is due, in order. */
  advance(nanoseconds: number): void {
    const end = this.#now + nanoseconds;
    for (;;) {
      const due = this.#pending.filter((entry) => entry.deadline <= end).toSorted((a, b) => a.deadline - b.deadline)[0];
      if (due === undefined) break;
      this.#pending = this.#pending.filter((entry) => entry !== due);
      this.#now = Math.max(this.#now, due.deadline);
      due.callback();
    }
    this.#now = end;
  }
}
