import { describe, expect, it } from 'vitest';
import { KvmIoBus, NR_IOBUS_DEVS } from './io-bus.ts';
import type { KvmIoDevice } from './io-bus.ts';

function device(log: string[], name: string, takes: (low: number) => boolean = () => true): KvmIoDevice {
  return {
    read: (_vcpu, address, length, result) => {
      log.push(`${name} r ${address.toString(16)} ${length}`);
      result[0] = 0x1234;
      return true;
    },
    write: (_vcpu, address, length, low) => {
      if (!takes(low)) return false;
      log.push(`${name} w ${address.toString(16)} ${length} ${low}`);
      return true;
    },
  };
}

describe('KvmIoBus', () => {
  it('finds the device of an address, and none outside or across the end', () => {
    const bus = new KvmIoBus();
    const log: string[] = [];
    bus.register(0x3f8, 8, device(log, 'serial'));
    bus.register(0x40, 4, device(log, 'pit'));
    expect(bus.read(null, 0x43, 1)).toBe(true);
    expect(bus.result[0]).toBe(0x1234);
    expect(bus.write(null, 0x3ff, 1, 7, 0)).toBe(true);
    expect(bus.write(null, 0x3ff, 2, 7, 0)).toBe(false);
    expect(bus.read(null, 0x44, 1)).toBe(false);
    expect(bus.read(null, 0x3f, 1)).toBe(false);
    expect(log).toEqual(['pit r 43 1', 'serial w 3ff 1 7']);
  });

  it('asks all devices of one address, and takes one off again', () => {
    const bus = new KvmIoBus();
    const log: string[] = [];
    const one = device(log, 'one', (low) => low === 1);
    bus.register(0xfe000000, 4, one);
    bus.register(0xfe000000, 4, device(log, 'two', (low) => low === 2));
    bus.register(0xfe000000, 0, device(log, 'any', (low) => low === 3));
    for (const value of [2, 1, 3, 4]) bus.write(null, 0xfe000000, 4, value, 0);
    expect(log).toEqual(['two w fe000000 4 2', 'one w fe000000 4 1', 'any w fe000000 4 3']);
    expect(bus.unregister(one)).toBe(true);
    expect(bus.write(null, 0xfe000000, 4, 1, 0)).toBe(false);
    expect(bus.devices).toBe(2);
  });

  it('finds a wide range behind narrow ones inside it', () => {
    const bus = new KvmIoBus();
    const log: string[] = [];
    bus.register(0x1000, 0x1000, device(log, 'zone'));
    bus.register(0x1010, 4, device(log, 'a', () => false));
    bus.register(0x1020, 4, device(log, 'b', () => false));
    expect(bus.write(null, 0x1020, 4, 9, 0)).toBe(true);
    expect(bus.write(null, 0x1f00, 8, 9, 0)).toBe(true);
    expect(log).toEqual(['zone w 1020 4 9', 'zone w 1f00 8 9']);
  });

  it('is full at its limit', () => {
    const bus = new KvmIoBus();
    for (let i = 0; i < NR_IOBUS_DEVS; i++) expect(bus.register(i, 1, device([], 'x'))).toBe(true);
    expect(bus.register(5000, 1, device([], 'x'))).toBe(false);
  });
});
