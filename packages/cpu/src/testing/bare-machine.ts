/** A processor without virtualization for tests: 64-bit code on an identity map, as the driver alone runs it. */
import { HostMemory } from '@vm/kvm-run';
import { instantiateMicrocode } from '../microcode/instantiate.ts';
import type { JitOptions } from '../jit/jit.ts';
import { JitProfile } from '../jit/profile.ts';
import { Driver, type DriverEnd, POLL_STEP } from '../processor/driver.ts';
import * as L from '../state/layout.ts';
import { TEST_JIT } from './test-jit.ts';

export interface BareMachine {
  readonly memory: HostMemory;
  readonly area: number;
  /** Address of the memory that programs may use. */
  readonly ram: number;
  readonly driver: Driver;
  readonly profile: JitProfile | null;
  get(offset: number): bigint;
  set(offset: number, value: bigint): void;
  set32(offset: number, value: number): void;
  get32(offset: number): number;
  /** Event that is pending, or -1. */
  event(): number;
  /** RFLAGS as the microcode composes them. */
  rflags(): bigint;
  setRflags(value: bigint): void;
  /** Calls a function of the microcode. */
  ex(name: string, ...args: (number | bigint)[]): number | bigint;
  /** To be called after a change of CR0, CR4, EFER or segments. */
  updateMode(): void;
  /** Runs so many instructions, one at a time. */
  step(count: number): DriverEnd;
}

/**
 * `bytes` of memory besides the processor's own; with `step` each slice is one instruction. Exceptions end the run and stay pending, unless
 * it `delivers` events as the processor does.
 */
export function bareMachine(bytes: number, step = false, jit: JitOptions | null = TEST_JIT, profiled = false, delivers = false): BareMachine {
  const memory = HostMemory.create(bytes + (32 << 20));
  const area = memory.allocPages(Math.ceil(L.AREA_SIZE / 4096));
  const microcode = instantiateMicrocode(memory, area, { readClock: () => 0, cpuTrace: () => undefined });
  let stepping = step;
  const profile = profiled ? new JitProfile(memory) : null;
  const poll = delivers ? microcode.exports['pollEvents'] as () => number : (): number => 0;
  const pollEvents = (): number => poll() || (stepping ? POLL_STEP : 0);
  const events = delivers ? { pollEvents } : { deliver: () => L.ST_SHUTDOWN, pollEvents };
  const driver = new Driver(memory, area, { ...microcode, exports: { ...microcode.exports, ...events } },
    { budget: (longest) => longest, halted: () => false }, 8 << 20, jit, profile);
  memory.onCodeWrite((address, length) => driver.codeWritten(address, length));
  const tables = memory.allocPages(2);
  const ram = memory.allocPages(bytes >>> 12, 512);
  const { view } = memory;
  const get = (offset: number): bigint => view.getBigUint64(area + offset, true);
  const set = (offset: number, value: bigint): void => view.setBigUint64(area + offset, BigInt.asUintN(64, value), true);
  const get32 = (offset: number): number => view.getInt32(area + offset, true);
  const set32 = (offset: number, value: number): void => view.setInt32(area + offset, value, true);
  set32(L.PAGE_FLAGS, memory.pageFlags);
  set32(L.HOST_PAGES, memory.pages);
  set32(L.EVENT_VECTOR, -1);
  set32(L.EXIT_REASON, -1);
  set32(L.RFLAGS_REST, 2);
  set32(L.CURRENT_VMCS, -1);
  view.setBigUint64(tables, BigInt(tables + 4096) | 7n, true);
  for (let gib = 0; gib < 4; gib++) view.setBigUint64(tables + 4096 + gib * 8, (BigInt(gib) << 30n) | 0x87n, true);
  set(L.CR3, BigInt(tables));
  set(L.CR0, 0x8000_0033n);
  set(L.CR4, 0x620n);
  set(L.MSR_EFER, 0xd01n);
  for (let segment = 0; segment < 8; segment++) {
    set32(L.SEG + segment * L.SEG_SIZE + L.SEG_LIMIT, -1);
    set32(L.SEG + segment * L.SEG_SIZE + L.SEG_ATTR, segment === L.CS ? 0xa09b : 0xc093);
  }
  const exports = microcode.exports;
  exports['updateMode']!();
  exports['flushTlb']!();
  return {
    memory, area, ram, driver, profile, get, set, get32, set32,
    event: () => get32(L.EVENT_VECTOR),
    rflags: () => BigInt.asUintN(64, exports['getRflags']!() as bigint),
    ex: (name, ...args) => exports[name]!(...args),
    setRflags: (value) => void exports['setRflags']!(value, -1n),
    updateMode: () => void exports['updateMode']!(),
    step: (count) => {
      stepping = true;
      const end = driver.run(count);
      stepping = step;
      return end;
    },
  };
}
