import { describe, expect, it } from 'vitest';
import { FakeTimers } from '../../../test/fake-timers.ts';
import { AcpiPmState, PM1A_CNT, PM_TMR, ResetControl } from './acpi-pm.ts';

function make(): { pm: AcpiPmState; timers: FakeTimers; line: () => boolean; shutdowns: () => number } {
  const timers = new FakeTimers();
  let level = false;
  let shutdowns = 0;
  const pm = new AcpiPmState({ sci: (on) => (level = on), timers, shutdown: () => shutdowns++ });
  return { pm, timers, line: () => level, shutdowns: () => shutdowns };
}

describe('ACPI power management', () => {
  it.each([
    ['S5 by one word', [[4, 2, 0x2000 | (5 << 10)]], 1],
    [
      'S5 as Linux writes it: type first, then enable',
      [
        [4, 2, 5 << 10],
        [4, 2, 0x2000 | (5 << 10)],
      ],
      1,
    ],
    [
      'S5 byte by byte',
      [
        [4, 1, 0],
        [5, 1, 0x34],
      ],
      1,
    ],
    ['the type alone', [[4, 2, 5 << 10]], 0],
    ['a state that is not offered', [[4, 2, 0x2000 | (1 << 10)]], 0],
  ] as const)('%s', (_name, writes, shutdowns) => {
    const device = make();
    for (const [offset, size, value] of writes) device.pm.write(offset, size, value);
    expect(device.shutdowns()).toBe(shutdowns);
    expect(device.pm.read(PM1A_CNT, 2) & 0x2001).toBe(1);
  });

  it('counts 24 bits at 3.579545 MHz', () => {
    const { pm, timers } = make();
    timers.advance(1e9);
    expect(pm.read(PM_TMR, 4)).toBe(3_579_545);
    timers.advance(4e9);
    expect(pm.read(PM_TMR, 4)).toBe((5 * 3_579_545) % 2 ** 24);
  });

  it('interrupts for the timer when its top bit changes, until the status is cleared', () => {
    const { pm, timers, line } = make();
    pm.write(2, 2, 0x0001);
    timers.advance(2.4e9);
    expect([line(), pm.read(0, 2)]).toEqual([true, 1]);
    pm.write(0, 2, 0x0001);
    expect([line(), pm.read(0, 2)]).toEqual([false, 0]);
    timers.advance(2.4e9);
    expect(line()).toBe(true);
  });

  it('tells of the power button by SCI', () => {
    const { pm, line } = make();
    pm.powerButton();
    expect(line()).toBe(false);
    pm.write(2, 2, 0x0100);
    expect([line(), pm.read(0, 4)]).toEqual([true, 0x0100_0100]);
    pm.reset();
    expect([line(), pm.read(0, 4)]).toEqual([false, 0]);
  });

  it.each([
    [0x06, 1],
    [0x0e, 1],
    [0x02, 0],
  ])('reset register: 0x%s', (value, expected) => {
    let resets = 0;
    const control = new ResetControl(() => resets++);
    control.write(0, 1, value);
    expect(resets).toBe(expected);
  });
});
