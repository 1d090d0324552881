/** V8's sampling profiler, in this process: which function runs, looked at so many times a second. */
import { type Profiler, Session } from 'node:inspector';

export type CpuProfile = Profiler.Profile;

export class Sampler {
  readonly #session = new Session();
  readonly #frequency: number;
  #running = false;

  /** `frequency`: samples a second. */
  constructor(frequency: number) {
    this.#frequency = frequency;
  }

  get running(): boolean {
    return this.#running;
  }

  start(): void {
    this.#session.connect();
    this.#post('Profiler.enable');
    this.#session.post('Profiler.setSamplingInterval', { interval: Math.max(1, Math.round(1e6 / this.#frequency)) }, check);
    this.#post('Profiler.start');
    this.#running = true;
  }

  /** The samples since `start`. */
  stop(): CpuProfile {
    this.#running = false;
    let profile: CpuProfile | undefined;
    // A session in its own thread answers before post() returns.
    this.#session.post('Profiler.stop', (error, result) => {
      check(error);
      profile = result.profile;
    });
    this.#session.disconnect();
    if (profile === undefined) throw new Error('the profiler gave no answer');
    return profile;
  }

  #post(method: 'Profiler.enable' | 'Profiler.start'): void {
    this.#session.post(method, check);
  }
}

function check(error: Error | null): void {
  if (error !== null) throw error;
}
