import { describe, expect, it } from 'vitest';
import { FakeTimers } from '../../../test/fake-timers.ts';
import { MC146818RtcState } from './mc146818rtc.ts';

function make(): {
  rtc: MC146818RtcState;
  get: (register: number) => number;
  set: (register: number, value: number) => void;
  line: () => boolean;
  timers: FakeTimers;
} {
  const timers = new FakeTimers(Date.UTC(2026, 10, 22, 23, 59, 58)); // a Sunday
  let level = false;
  const rtc = new MC146818RtcState((on) => (level = on), timers);
  const get = (register: number): number => {
    rtc.write(0, 1, register);
    return rtc.read(1);
  };
  const set = (register: number, value: number): void => {
    rtc.write(0, 1, register);
    rtc.write(1, 1, value);
  };
  return { rtc, get, set, line: () => level, timers };
}

const SECOND = 1e9;
const DATE = [0x32, 9, 8, 7, 6, 4, 2, 0] as const;

describe('MC146818', () => {
  it.each([
    ['BCD, 24 hours', 0x02, [0x20, 0x26, 0x11, 0x22, 0x01, 0x23, 0x59, 0x58]],
    ['binary, 24 hours', 0x06, [20, 26, 11, 22, 1, 23, 59, 58]],
    ['BCD, 12 hours', 0x00, [0x20, 0x26, 0x11, 0x22, 0x01, 0x91, 0x59, 0x58]],
    ['binary, 12 hours', 0x04, [20, 26, 11, 22, 1, 0x80 | 11, 59, 58]],
  ])('tells the time in %s', (_name, registerB, expected) => {
    const { get, set } = make();
    set(0x0b, registerB);
    expect(DATE.map(get)).toEqual(expected);
  });

  it('goes over midnight with the injected clock', () => {
    const { get, timers } = make();
    timers.advance(3 * SECOND);
    expect(DATE.map(get)).toEqual([0x20, 0x26, 0x11, 0x23, 0x02, 0x00, 0x00, 0x01]);
  });

  it('stands still while SET is on, and goes on from what was written', () => {
    const { get, set, timers } = make();
    set(0x0b, 0x82);
    for (const [register, value] of [
      [0, 0x30],
      [2, 0x45],
      [4, 0x12],
      [7, 0x01],
      [8, 0x02],
      [9, 0x30],
      [0x32, 0x20],
    ] as const)
      set(register, value);
    timers.advance(10 * SECOND);
    expect(get(0)).toBe(0x30);
    set(0x0b, 0x02);
    timers.advance(31 * SECOND);
    expect(DATE.map(get)).toEqual([0x20, 0x30, 0x02, 0x01, 0x06, 0x12, 0x46, 0x01]);
  });

  it('shows the update in progress shortly before each second', () => {
    const { get, timers } = make();
    expect(get(0x0a) & 0x80).toBe(0);
    timers.advance(SECOND - 200_000);
    expect(get(0x0a) & 0x80).toBe(0x80);
    timers.advance(300_000);
    expect(get(0x0a) & 0x80).toBe(0);
  });

  it('sets the update flag each second, with an interrupt when asked', () => {
    const { get, set, line, timers } = make();
    timers.advance(1.5 * SECOND);
    expect(get(0x0c)).toBe(0x10);
    set(0x0b, 0x12);
    timers.advance(SECOND);
    expect(line()).toBe(true);
    expect(get(0x0c) & 0x90).toBe(0x90); // midnight rings the alarm of 00:00:00 too
    expect([line(), get(0x0c)]).toEqual([false, 0]);
  });

  it.each([
    ['exactly', 0x00, 0x00, 0x00],
    ["don't care", 0xc0, 0xff, 0xc0],
  ])('rings the alarm %s', (_name, seconds, minutes, hours) => {
    const { get, set, line, timers } = make();
    set(1, seconds);
    set(3, minutes);
    set(5, hours);
    set(0x0b, 0x22);
    timers.advance(2.1 * SECOND);
    expect(line()).toBe(true);
    expect(get(0x0c) & 0xa0).toBe(0xa0);
  });

  it('ticks periodically at the rate in register A, without piling up', () => {
    const { get, set, line, timers } = make();
    set(0x0a, 0x26); // 1024 Hz
    set(0x0b, 0x42);
    timers.advance(SECOND / 1024 + 1);
    expect([line(), get(0x0c)]).toEqual([true, 0xc0]);
    let ticks = 0;
    for (let i = 0; i < 1024; i++) {
      timers.advance(SECOND / 1024);
      if (get(0x0c) & 0x40) ticks++;
    }
    expect(ticks).toBeGreaterThan(1020);
    set(0x0b, 0x02);
    expect(timers.pending).toBe(0);
  });

  it('takes nonsense for a date without harm', () => {
    const { get, set, timers } = make();
    for (let register = 0; register < 128; register++) set(register, 0xff);
    timers.advance(5 * SECOND);
    for (let register = 0; register < 128; register++) expect(get(register)).toBeGreaterThanOrEqual(0);
  });

  it('keeps CMOS memory over a reset, and drops interrupts', () => {
    const { rtc, get, set, line, timers } = make();
    set(0x40, 0x5a);
    set(0x0b, 0x12);
    timers.advance(2 * SECOND);
    rtc.reset();
    expect([line(), get(0x40), get(0x0b), get(0x0d)]).toEqual([false, 0x5a, 0x02, 0x80]);
  });
});
