import { describe, expect, test } from 'vitest';
import { EventLoop, type Clock, type HostLoop } from './event-loop.ts';

/** A host and a processor whose time the test moves: one tick is a microsecond. */
class Fake implements Clock, HostLoop {
  readonly tscKhz = 1000;
  readonly deterministic: boolean;
  readonly log: string[] = [];
  tsc = 5000;
  #timers: { at: number; callback: () => void }[] = [];

  constructor(deterministic = false) {
    this.deterministic = deterministic;
  }

  rdtsc(): number {
    return this.tsc;
  }
  idleUntil(tsc: number): void {
    this.log.push(`idle ${tsc}`);
    this.tsc = Math.max(this.tsc, tsc);
  }
  readonly turn = (callback: () => void): void => {
    this.log.push('turn');
    queueMicrotask(callback);
  };
  readonly after = (ms: number, callback: () => void): (() => void) => {
    const timer = { at: this.tsc + ms * 1000, callback };
    this.log.push(`after ${ms}`);
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  };
  readonly now = (): number => this.tsc / 1000;

  get pending(): number {
    return this.#timers.length;
  }
  pass(ms: number): void {
    this.tsc += ms * 1000;
    for (const timer of this.#timers.filter(({ at }) => at <= this.tsc)) timer.callback();
  }
}

describe('EventLoop', () => {
  test('a tick is one turn', async () => {
    const fake = new Fake();
    await new EventLoop(fake, fake).waitIoEvent();
    expect(fake.log).toEqual(['turn']);
  });

  test('an idle guest sleeps until its time', async () => {
    const fake = new Fake();
    const loop = new EventLoop(fake, fake);
    expect(loop.block(fake.tsc + 20_000)).toBe(false);
    const waited = loop.waitIoEvent();
    fake.pass(20);
    await waited;
    expect(fake.log).toEqual(['after 20']);
    expect(fake.pending).toBe(0);
  });

  test('less than a millisecond is not slept', async () => {
    const fake = new Fake();
    const loop = new EventLoop(fake, fake);
    loop.block(fake.tsc + 900);
    await loop.waitIoEvent();
    expect(fake.log).toEqual(['turn']);
  });

  test('an event ends the sleep, and takes its timer along', async () => {
    const fake = new Fake();
    const loop = new EventLoop(fake, fake);
    loop.block(Infinity);
    const waited = loop.waitIoEvent();
    expect(fake.log).toEqual([`after ${2 ** 31 - 1}`]);
    loop.wake();
    await waited;
    expect(fake.pending).toBe(0);
  });

  test('an event between going idle and waiting is not lost', async () => {
    const fake = new Fake();
    const loop = new EventLoop(fake, fake);
    loop.block(Infinity);
    loop.wake();
    await loop.waitIoEvent();
    expect(fake.log).toEqual(['turn']);
  });

  test('a device\'s timer ends the sleep and is run', async () => {
    const fake = new Fake();
    const loop = new EventLoop(fake, fake);
    const ran: string[] = [];
    loop.setTimer(7e6, () => ran.push('seven'));
    loop.setTimer(3e6, () => ran.push('three'));
    loop.setTimer(5e6, () => ran.push('never'))();
    loop.block(fake.tsc + 20_000);
    const waited = loop.waitIoEvent();
    expect(fake.log).toEqual(['after 3']);
    fake.pass(3);
    await waited;
    expect(ran).toEqual(['three']);
    fake.pass(10);
    await loop.waitIoEvent();
    expect(ran).toEqual(['three', 'seven']);
  });

  test('a due timer that may have given the guest work keeps it from sleeping', async () => {
    const fake = new Fake();
    const loop = new EventLoop(fake, fake);
    loop.setTimer(1e6, () => undefined);
    fake.pass(2);
    loop.block(Infinity);
    await loop.waitIoEvent();
    expect(fake.log).toEqual(['turn']);
  });

  test('timers at one time run in the order in which they were set; one that is set again waits', async () => {
    const fake = new Fake();
    const loop = new EventLoop(fake, fake);
    const ran: number[] = [];
    const again = (): void => void loop.setTimer(0, () => ran.push(3));
    loop.setTimer(0, () => (ran.push(1), again()));
    loop.setTimer(0, () => ran.push(2));
    await loop.waitIoEvent();
    expect(ran).toEqual([1, 2]);
    await loop.waitIoEvent();
    expect(ran).toEqual([1, 2, 3]);
  });

  test('deterministic time jumps over idleness', async () => {
    const fake = new Fake(true);
    const loop = new EventLoop(fake, fake);
    loop.block(fake.tsc + 1_000_000);
    await loop.waitIoEvent();
    expect(fake.log).toEqual(['idle 1005000', 'turn']);
    expect(loop.now()).toBe(1e9);
    expect(loop.wallClock()).toBe(946_684_801_000);
  });
});
