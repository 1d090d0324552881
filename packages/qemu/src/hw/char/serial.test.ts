import { describe, expect, it } from 'vitest';
import { FakeTimers } from '../../../test/fake-timers.ts';
import { SerialState } from './serial.ts';

const [DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR] = [0, 1, 2, 3, 4, 5, 6, 7] as const;
const FCR = IIR;

function make(): { serial: SerialState; sent: number[]; line: () => boolean; timers: FakeTimers; raised: () => number } {
  const sent: number[] = [];
  let level = false;
  let edges = 0;
  const timers = new FakeTimers();
  const irq = (on: boolean): void => {
    level = on;
    if (on) edges++;
  };
  const serial = new SerialState({ irq, timers, backend: { write: (bytes) => sent.push(...bytes) } });
  return { serial, sent, line: () => level, timers, raised: () => edges };
}

/** A port whose driver has raised DTR, RTS and OUT2. */
function makeOpen(): ReturnType<typeof make> {
  const made = make();
  made.serial.write(MCR, 1, 0x0b);
  return made;
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('16550A', () => {
  it.each([
    ['IER', IER, 0x00],
    ['IIR: no interrupt', IIR, 0x01],
    ['LCR', LCR, 0x00],
    ['MCR: OUT2', MCR, 0x08],
    ['LSR: transmitter empty', LSR, 0x60],
    ['MSR: DCD, DSR, CTS', MSR, 0xb0],
    ['SCR', SCR, 0x00],
  ])('%s after reset', (_name, register, value) => {
    expect(make().serial.read(register)).toBe(value);
  });

  it('keeps the divisor behind DLAB', () => {
    const { serial, sent } = makeOpen();
    serial.write(LCR, 1, 0x83);
    serial.write(DATA, 1, 0x34);
    serial.write(IER, 1, 0x12);
    expect([serial.read(DATA), serial.read(IER)]).toEqual([0x34, 0x12]);
    serial.write(LCR, 1, 0x03);
    expect([serial.read(DATA), serial.read(IER), sent.length]).toEqual([0, 0, 0]);
  });

  it('sends at once, and interrupts for the empty holding register until it is named or filled', () => {
    const { serial, sent, line } = makeOpen();
    serial.write(IER, 1, 0x02);
    expect(line()).toBe(true);
    expect(serial.read(IIR)).toBe(0x02);
    expect([serial.read(IIR), line()]).toEqual([0x01, false]);
    serial.write(DATA, 1, 0x41);
    expect([sent, serial.read(LSR), line()]).toEqual([[0x41], 0x60, true]);
  });

  it('raises the interrupt of an empty holding register whenever it is turned on, as the 8250 driver tests', () => {
    const { serial } = makeOpen();
    for (let i = 0; i < 2; i++) {
      serial.write(IER, 1, 0x02);
      expect(serial.read(IIR)).toBe(0x02);
      serial.write(IER, 1, 0x00);
    }
  });

  it('receives one byte at a time without FIFO; the rest waits', () => {
    const { serial, line } = makeOpen();
    serial.write(IER, 1, 0x01);
    serial.input(bytes('ab'));
    expect([serial.read(LSR) & 1, serial.read(IIR), line()]).toEqual([1, 0x04, true]);
    expect(serial.read(DATA)).toBe(0x61);
    expect(serial.read(DATA)).toBe(0x62);
    expect([serial.read(LSR) & 1, line()]).toEqual([0, false]);
  });

  it.each([
    [0x01, 1],
    [0x41, 4],
    [0x81, 8],
    [0xc1, 14],
  ])('with FIFO control 0x%s interrupts at %i bytes', (fcr, trigger) => {
    const { serial, line } = makeOpen();
    serial.write(FCR, 1, fcr);
    serial.write(IER, 1, 0x01);
    for (let i = 1; i <= trigger; i++) {
      expect(line()).toBe(false);
      serial.input(bytes('x'));
    }
    expect([line(), serial.read(IIR)]).toEqual([true, 0xc4]);
  });

  it('tells of characters below the trigger level after four character times', () => {
    const { serial, line, timers } = makeOpen();
    serial.write(FCR, 1, 0xc1);
    serial.write(IER, 1, 0x01);
    serial.write(LCR, 1, 0x03);
    serial.input(bytes('hi'));
    timers.advance(4_000_000);
    expect(line()).toBe(false);
    timers.advance(200_000); // ten bits at 9600 baud, four times: 4.17 ms
    expect([line(), serial.read(IIR)]).toEqual([true, 0xcc]);
    expect([serial.read(DATA), serial.read(DATA), line()]).toEqual([0x68, 0x69, false]);
  });

  it('keeps all input in order through the FIFO, however much comes', () => {
    const { serial } = makeOpen();
    serial.write(FCR, 1, 0x01);
    const text = 'the quick brown fox jumps over the lazy dog';
    serial.input(bytes(text));
    let received = '';
    while (serial.read(LSR) & 1) received += String.fromCharCode(serial.read(DATA));
    expect(received).toBe(text);
    expect(serial.read(LSR) & 0x02).toBe(0);
  });

  it('in loopback hears itself and nothing else, overruns, and loops the modem lines', () => {
    const { serial, sent } = makeOpen();
    serial.write(FCR, 1, 0x01);
    serial.write(MCR, 1, 0x1a);
    expect(serial.read(MSR) & 0xf0).toBe(0x90); // what 8250 autoconfig looks for
    serial.input(bytes('z'));
    for (let i = 0; i < 17; i++) serial.write(DATA, 1, i);
    expect(sent).toEqual([]);
    expect(serial.read(LSR)).toBe(0x63);
    expect(serial.read(LSR)).toBe(0x61);
    for (let i = 0; i < 16; i++) expect(serial.read(DATA)).toBe(i);
    serial.write(MCR, 1, 0x0b);
    expect(serial.read(DATA)).toBe(0x7a);
  });

  // Each brings the receiver into use; what was typed before must survive the FIFOs being set up.
  it.each<[string, [register: number, value: number][], number]>([
    ['a driver that raises DTR and RTS', [[MCR, 0x1a], [MCR, 0x08], [FCR, 0x07], [MCR, 0x0b]], FCR],
    ['a driver that only turns the interrupt on', [[MCR, 0x08], [FCR, 0x07], [IER, 0x01]], FCR],
    ['a guest that polls', [[FCR, 0x07]], LSR],
  ])('keeps what is typed before %s is ready', (_who, writes, look) => {
    const { serial } = make();
    serial.input(bytes('tsc'));
    for (const [register, value] of writes) serial.write(register, 1, value);
    serial.read(look);
    let received = '';
    while (serial.read(LSR) & 1) received += String.fromCharCode(serial.read(DATA));
    expect(received).toBe('tsc');
  });

  it('holds input while the driver keeps DTR and RTS down', () => {
    const { serial } = makeOpen();
    serial.write(MCR, 1, 0x08);
    serial.input(bytes('x'));
    expect(serial.read(LSR) & 1).toBe(0);
    serial.write(MCR, 1, 0x0b);
    expect(serial.read(LSR) & 1).toBe(1);
  });

  it('orders interrupts: line status, received data, holding register', () => {
    const { serial } = makeOpen();
    serial.write(IER, 1, 0x07);
    serial.write(MCR, 1, 0x10);
    serial.write(DATA, 1, 1);
    serial.write(DATA, 1, 2); // overrun without FIFO
    expect(serial.read(IIR) & 0x0f).toBe(0x06);
    serial.read(LSR);
    expect(serial.read(IIR) & 0x0f).toBe(0x04);
    serial.read(DATA);
    expect(serial.read(IIR) & 0x0f).toBe(0x02);
    expect(serial.read(IIR) & 0x0f).toBe(0x01);
  });

  it('empties the FIFO when FIFOs are switched, and forgets interrupts on reset', () => {
    const { serial, line } = makeOpen();
    serial.write(FCR, 1, 0x01);
    serial.write(IER, 1, 0x01);
    serial.input(bytes('abc'));
    serial.write(FCR, 1, 0x00);
    expect(serial.read(LSR) & 1).toBe(0);
    serial.input(bytes('d'));
    expect(line()).toBe(true);
    serial.reset();
    expect([line(), serial.read(IER)]).toEqual([false, 0]);
  });

  it('changes the line only when the level changes', () => {
    const { serial, raised } = makeOpen();
    serial.write(IER, 1, 0x02);
    for (const byte of bytes('hello')) serial.write(DATA, 1, byte);
    expect(raised()).toBeLessThanOrEqual(6);
  });
});
