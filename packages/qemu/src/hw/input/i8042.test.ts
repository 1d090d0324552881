import { describe, expect, it } from 'vitest';
import { I8042State } from './i8042.ts';

function make(): {
  command: (byte: number) => void;
  data: (byte: number) => void;
  replies: () => number[];
  line: () => boolean;
  resets: () => number;
  a20: boolean[];
} {
  let level = false;
  let resets = 0;
  const a20: boolean[] = [];
  const i8042 = new I8042State({ irq: (on) => (level = on), a20: (on) => a20.push(on), reset: () => resets++ });
  const replies = (): number[] => {
    const bytes: number[] = [];
    while (i8042.command.read(0, 1) & 1) bytes.push(i8042.data.read(0, 1));
    return bytes;
  };
  return {
    command: (byte) => i8042.command.write(0, 1, byte),
    data: (byte) => i8042.data.write(0, 1, byte),
    replies,
    line: () => level,
    resets: () => resets,
    a20,
  };
}

describe('keyboard controller', () => {
  it.each([
    ['self test', [0xaa], [], [0x55]],
    ['interface test', [0xab], [], [0x00]],
    ['read mode', [0x20], [], [0x03]],
    ['output port: A20 open, not in reset', [0xd0], [], [0xcf]],
    ['keyboard echo', [], [0xee], [0xee]],
    ['keyboard identity', [], [0xf2], [0xfa, 0xab, 0x83]],
    ['keyboard reset', [], [0xff], [0xfa, 0xaa]],
    ['LEDs and their parameter', [], [0xed, 0x07], [0xfa, 0xfa]],
    ['unknown keyboard command', [], [0x01], [0xfe]],
    ['unknown controller command', [0x11], [], []],
  ] as const)('%s', (_name, commands, data, expected) => {
    const device = make();
    commands.forEach(device.command);
    data.forEach(device.data);
    expect(device.replies()).toEqual(expected);
    expect(device.line()).toBe(false);
  });

  it.each([
    ['pulse the reset line', (d: ReturnType<typeof make>) => d.command(0xfe), 1],
    ['pulse nothing', (d: ReturnType<typeof make>) => d.command(0xff), 0],
    ['write the output port with reset low', (d: ReturnType<typeof make>) => (d.command(0xd1), d.data(0xde)), 1],
  ])('%s', (_name, act, resets) => {
    const device = make();
    act(device);
    expect(device.resets()).toBe(resets);
  });

  it('drives the A20 gate', () => {
    const { command, data, a20 } = make();
    command(0xdd);
    command(0xdf);
    command(0xd1);
    data(0xdd);
    expect(a20).toEqual([false, true, false]);
  });

  it('drops answers that nobody reads', () => {
    const device = make();
    for (let i = 0; i < 1000; i++) device.command(0xaa);
    expect(device.replies()).toHaveLength(16);
  });
});
