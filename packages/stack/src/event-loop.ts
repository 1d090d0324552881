/**
 * One thread for all: the guest runs inside KVM_RUN until a tick of the host's timer, a device's timer or an idle guest
 * brings it back here; then the caller's event loop turns, which brings input and timers, and KVM_RUN is called again.
 *
 * Time is the processor's own (its TSC), also for the devices: so in deterministic mode, where the TSC counts
 * instructions, an idle guest costs no time at all and its timers come in the same order at the same instructions.
 */
import type { TimerService } from '@vm/qemu';

/** The part of a processor that tells and passes time. */
export interface Clock {
  rdtsc(): number;
  readonly tscKhz: number;
  readonly deterministic: boolean;
  /** Lets time pass up to `tsc` when time is deterministic. */
  idleUntil(tsc: number): void;
}

/** What the host's own event loop gives. */
export interface HostLoop {
  /** Calls back in the next turn of the event loop. */
  readonly turn: (callback: () => void) => void;
  /** Calls back after `ms` milliseconds; returns what cancels it. */
  readonly after: (ms: number, callback: () => void) => () => void;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

interface Timer {
  /** In nanoseconds. */
  readonly deadline: number;
  readonly callback: () => void;
}

/** The longest delay that hosts' timers take. */
const LONGEST_MS = 2 ** 31 - 1;
/** The start of deterministic time: 2000-01-01 UTC. */
const DETERMINISTIC_EPOCH = 946_684_800_000;

export class EventLoop implements TimerService {
  readonly #clock: Clock;
  readonly #host: HostLoop;
  readonly #start: number;
  /** Sorted by deadline, the next one last. */
  readonly #timers: Timer[] = [];
  /** TSC at which the idle guest wants to be woken; undefined while it is not idle. */
  #idleUntil: number | undefined;
  #woken = false;
  #resume: (() => void) | undefined;

  constructor(clock: Clock, host: HostLoop = hostLoop()) {
    this.#clock = clock;
    this.#host = host;
    this.#start = clock.rdtsc();
  }

  now(): number {
    return ((this.#clock.rdtsc() - this.#start) * 1e6) / this.#clock.tscKhz;
  }

  wallClock(): number {
    return this.#clock.deterministic ? DETERMINISTIC_EPOCH + this.now() / 1e6 : this.#host.now();
  }

  setTimer(deadline: number, callback: () => void): () => void {
    const timer: Timer = { deadline, callback };
    let at = this.#timers.length;
    while (at > 0 && this.#timers[at - 1]!.deadline <= deadline) at--;
    this.#timers.splice(at, 0, timer);
    return () => {
      const found = this.#timers.indexOf(timer);
      if (found >= 0) this.#timers.splice(found, 1);
    };
  }

  /** KVM's `block`: the vCPU has nothing to do until then. This thread can't sleep, so KVM_RUN is to come back. */
  block(wakeAtTsc: number): boolean {
    this.#idleUntil = wakeAtTsc;
    return false;
  }

  /** Something happened that the guest may be waiting for. */
  wake(): void {
    this.#woken = true;
    this.#resume?.();
  }

  /** QEMU's qemu_wait_io_event: a turn of the event loop, or as many as the guest is idle for. */
  async waitIoEvent(): Promise<void> {
    const idleUntil = this.#idleUntil;
    this.#idleUntil = undefined;
    if (idleUntil === undefined || this.#runTimers() > 0 || this.#woken) await this.#turn();
    else await this.#idle(Math.min(idleUntil, this.#nextTimer()));
    this.#woken = false;
    this.#runTimers();
  }

  #turn(): Promise<void> {
    return new Promise((resolve) => this.#host.turn(resolve));
  }

  #idle(until: number): Promise<void> {
    if (this.#clock.deterministic && until !== Infinity) {
      this.#clock.idleUntil(until);
      return this.#turn();
    }
    const ms = Math.floor((until - this.#clock.rdtsc()) / this.#clock.tscKhz);
    // Less than the host's timers can tell: come back at once, and find the guest idle again until it is time.
    if (ms < 1) return this.#turn();
    return new Promise((resolve) => {
      const cancel = this.#host.after(Math.min(ms, LONGEST_MS), () => this.#resume?.());
      this.#resume = () => {
        this.#resume = undefined;
        cancel();
        resolve();
      };
    });
  }

  /** TSC of the next device timer. */
  #nextTimer(): number {
    const next = this.#timers.at(-1);
    return next === undefined ? Infinity : this.#start + (next.deadline * this.#clock.tscKhz) / 1e6;
  }

  /** Runs the timers that are due; a timer that they set anew waits for the next round. */
  #runTimers(): number {
    if (this.#timers.length === 0) return 0;
    const now = this.now();
    const due: Timer[] = [];
    while (this.#timers.length > 0 && this.#timers.at(-1)!.deadline <= now) due.push(this.#timers.pop()!);
    for (const timer of due) timer.callback();
    return due.length;
  }
}

/** The host's event loop: setImmediate where there is one (Node), a message to ourselves elsewhere (browsers). */
export function hostLoop(): HostLoop {
  return {
    turn: typeof setImmediate === 'function' ? (callback) => void setImmediate(callback) : messageTurn(),
    after: (ms, callback) => {
      const timer = setTimeout(callback, ms);
      return () => clearTimeout(timer);
    },
    now: () => Date.now(),
  };
}

function messageTurn(): HostLoop['turn'] {
  const channel = new MessageChannel();
  const waiting: (() => void)[] = [];
  channel.port1.addEventListener('message', () => waiting.shift()?.());
  channel.port1.start();
  return (callback) => {
    waiting.push(callback);
    channel.port2.postMessage(0);
  };
}
