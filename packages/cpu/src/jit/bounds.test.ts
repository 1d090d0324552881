/** What compiled code owes to those outside: exact counts, prompt exits, and memory that does not grow. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, test } from 'vitest';
import * as V from '@vm/kvm-run/vmx';
import * as L from '../state/layout.ts';
import { bareMachine, type BareMachine } from '../testing/bare-machine.ts';
import { le32 } from '../testing/random-code/assembler.ts';
import { VmxGuest } from '../testing/vmx-guest.ts';
import type { JitOptions } from './jit.ts';

const HLT = 0xf4;
const UD2 = [0x0f, 0x0b];
/** The longest way through a region without a look at the budget. */
const LONGEST_OVERRUN = 2500;
const EAGER: JitOptions = { threshold: 0, entries: 1, regions: 1000 };
const LATER: JitOptions = { threshold: 100, entries: 5, regions: 1000 };

const guests: VmxGuest[] = [];
afterEach(() => {
  for (const guest of guests.splice(0)) guest.processor.dispose();
});

function guestOf(jit: JitOptions | null, code: readonly number[]): VmxGuest {
  const guest = new VmxGuest({ jit });
  guests.push(guest);
  guest.code(code);
  return guest;
}

/** mov ecx, n; head: body; dec ecx; jnz head; what follows */
function loop(n: number, body: readonly number[], after: readonly number[]): number[] {
  return [0xb9, ...le32(n), ...body, 0xff, 0xc9, 0x0f, 0x85, ...le32(-(body.length + 8)), ...after];
}

/** call +1; jmp +9 (over the function: add eax, 3; xor edx, eax; ret; nops) */
const CALLING = [0xe8, 2, 0, 0, 0, 0xeb, 6, 0x83, 0xc0, 3, 0x31, 0xc2, 0xc3];
/** Work of different kinds that comes back to where it began. */
const BODIES: Readonly<Record<string, readonly number[]>> = {
  'nothing else': [],
  'stores to the stack': [0x50, 0x48, 0x01, 0x04, 0x24, 0x58],
  'a call': CALLING,
  'microcode in the middle': [0x9c, 0x5a, 0x0f, 0xc7, 0xf8],
  'string instructions': [0x51, 0x48, 0x8d, 0x7c, 0x24, 0xc0, 0xb9, 2, 0, 0, 0, 0xf3, 0xaa, 0x59],
  'a branch that is seldom taken': [0xf6, 0xc1, 7, 0x75, 2, 0xff, 0xc2],
};

describe('the count of instructions is exact', () => {
  type Exit = readonly [name: string, code: readonly number[], reason: number, prepare?: (guest: VmxGuest) => void];
  const exits: readonly Exit[] = [
    ['CPUID', [0x0f, 0xa2], V.EXIT_REASON_CPUID],
    ['HLT', [HLT], V.EXIT_REASON_HLT],
    ['OUT', [0xe6, 0x80], V.EXIT_REASON_IO_INSTRUCTION],
    // mov rax, [0x400000]: the guest's tables end below
    ['#PF', [0x48, 0x8b, 0x04, 0x25, 0, 0, 0x40, 0], V.EXIT_REASON_EXCEPTION_NMI, (guest) => guest.write(V.EXCEPTION_BITMAP, 1 << 14)],
    ['#DE', [0x31, 0xdb, 0xf7, 0xf3], V.EXIT_REASON_EXCEPTION_NMI, (guest) => guest.write(V.EXCEPTION_BITMAP, 1)],
    ['#UD', UD2, V.EXIT_REASON_EXCEPTION_NMI, (guest) => guest.write(V.EXCEPTION_BITMAP, 1 << 6)],
  ];
  const cases = Object.entries(BODIES).flatMap(([name, body]) => exits.map((exit) => [name, exit[0], body, exit] as const));

  test.each(cases)('after %s, at %s', (_name, _exit, body, [, code, reason, prepare]) => {
    const counts = [null, EAGER, LATER].map((jit) => {
      const guest = guestOf(jit, loop(300, body, code));
      prepare?.(guest);
      expect(guest.run()).toBe(reason);
      if (jit) expect(guest.parts.driver.jit!.statistics.regions).toBeGreaterThan(0);
      return [guest.processor.instructionCount(), guest.read(V.GUEST_RIP), guest.gpr(0), guest.gpr(2)];
    });
    expect(counts[1]).toEqual(counts[0]);
    expect(counts[2]).toEqual(counts[0]);
    expect(counts[0]![0]).toBeGreaterThan(600);
  });
});

describe('a guest that never ends is left soon', () => {
  const FOREVER = 0x7fff_ffff;

  test.each(Object.entries(BODIES))('by the VMX-preemption timer: %s', (_name, body) => {
    for (const ticks of [1, 3, 50, 2000, 30_000]) {
      const guest = guestOf(EAGER, loop(FOREVER, body, [HLT]));
      guest.set(V.PIN_BASED_VM_EXEC_CONTROL, V.PIN_BASED_VMX_PREEMPTION_TIMER);
      const shift = guest.processor.rdmsr(V.MSR_IA32_VMX_MISC) & 31;
      // What runs first is compiled: the second time nothing is.
      for (let time = 0; time < 2; time++) {
        guest.write(V.VMX_PREEMPTION_TIMER_VALUE, ticks);
        const before = guest.processor.instructionCount();
        expect(guest.run()).toBe(V.EXIT_REASON_PREEMPTION_TIMER);
        const ran = guest.processor.instructionCount() - before;
        expect(ran).toBeGreaterThanOrEqual((ticks - 1) * 2 ** shift);
        expect(ran).toBeLessThan((ticks + 1) * 2 ** shift + LONGEST_OVERRUN);
      }
    }
  });

  test.each(Object.entries(BODIES))('by an interrupt that another thread raises: %s', async (_name, body) => {
    const guest = guestOf(EAGER, loop(FOREVER, body, [HLT]));
    guest.set(V.PIN_BASED_VM_EXEC_CONTROL, V.PIN_BASED_EXT_INTR_MASK);
    const worker = new Worker(RAISER, {
      eval: true, workerData: { buffer: guest.memory.buffer, vectors: guest.processor.pendingVectors, requests: guest.parts.area + L.REQUESTS },
    });
    await new Promise((ready) => worker.once('message', ready));
    worker.postMessage('go');
    // Without the interrupt this would take half a minute.
    expect(guest.run()).toBe(V.EXIT_REASON_EXTERNAL_INTERRUPT);
    expect(guest.read(V.VM_EXIT_INTR_INFO) & 0xff).toBe(0x51);
    await worker.terminate();
  });
});

/** Raises vector 0x51 a little after it was told to go. */
const RAISER = `
const { parentPort, workerData: { buffer, vectors, requests } } = require('node:worker_threads');
const i32 = new Int32Array(buffer);
parentPort.once('message', () => setTimeout(() => {
  Atomics.or(i32, (vectors >>> 2) + (0x51 >> 5), 1 << (0x51 & 31));
  Atomics.or(i32, requests >>> 2, 4);
}, 20));
parentPort.postMessage('ready');
`;

describe('regions are bounded', () => {
  const REGIONS = 16;
  const PROGRAMS = 120;

  /** Program number i: ebx = i + 1, added so many times; each lies in its own place. */
  function run(m: BareMachine, i: number): void {
    m.memory.write(m.ram + i * 0x100, Uint8Array.from(loop(50, [0x81, 0xc3, ...le32(i + 1)], UD2)));
    m.set(L.RIP, BigInt(m.ram + i * 0x100));
    m.set(L.RBX, 0n);
    m.driver.run();
    expect(m.get(L.RBX)).toBe(BigInt(50 * (i + 1)));
  }

  function alive(m: BareMachine): object[] {
    const { table } = m.driver.jit!;
    return Array.from({ length: table.length }, (_, i): object | null => table.get(i) as object | null).filter((region) => region !== null);
  }

  test('old ones go, what comes back is compiled again, and all compute right', async () => {
    const m = bareMachine(1 << 20, false, { ...EAGER, regions: REGIONS });
    const first: WeakRef<object>[] = [];
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < PROGRAMS; i++) {
        run(m, i);
        if (i === REGIONS - 4 && round === 0) first.push(...alive(m).map((region) => new WeakRef(region)));
        expect(alive(m).length).toBeLessThanOrEqual(REGIONS);
      }
    }
    expect(first.length).toBeGreaterThan(0);
    expect(m.driver.jit!.statistics.flushes).toBeGreaterThan((3 * PROGRAMS) / REGIONS - 2);
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    await new Promise((done) => setTimeout(done));
    collect();
    expect(first.filter((region) => region.deref() !== undefined)).toEqual([]);
  });
});
