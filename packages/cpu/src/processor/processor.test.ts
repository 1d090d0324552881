import { describe, expect, test } from 'vitest';
import { HostMemory } from '@vm/kvm-run';
import * as V from '@vm/kvm-run/vmx';
import { TEST_JIT } from '../testing/test-jit.ts';
import { createProcessor } from './create-processor.ts';

const make = (options: { deterministic?: boolean; id?: number; tscKhz?: number } = {}): ReturnType<typeof createProcessor> =>
  createProcessor({ memory: HostMemory.create(32 << 20), traceArenaBytes: 1 << 20, jit: TEST_JIT, ...options });

describe('reset', () => {
  test('registers have their power-up values', () => {
    const processor = make();
    expect(processor.readCr(0)).toBe(0x60000010);
    expect(processor.readCr(4)).toBe(0);
    expect(processor.readDr(6)).toBe(0xffff0ff0);
    expect(processor.readDr(7)).toBe(0x400);
    expect(processor.readSelector('cs')).toBe(0xf000);
    expect(processor.readBase('cs')).toBe(0xffff0000);
    expect(processor.rdmsr(V.MSR_EFER)).toBe(0);
    expect(processor.rdmsr(V.MSR_IA32_APICBASE)).toBe(0xfee00900);
    expect(make({ id: 1 }).rdmsr(V.MSR_IA32_APICBASE)).toBe(0xfee00800);
    expect(processor.rdmsr(V.MSR_IA32_CR_PAT)).toBe(0x00070406);
  });

  test('dispose gives all memory back', () => {
    const memory = HostMemory.create(32 << 20);
    const free = memory.freePages;
    createProcessor({ memory, traceArenaBytes: 1 << 20, jit: TEST_JIT }).dispose();
    expect(memory.freePages).toBe(free);
  });
});

describe('MSRs', () => {
  const refused: readonly (readonly [string, number, number, number])[] = [
    ['a reserved bit of EFER', V.MSR_EFER, 2, 0],
    ['a wild LSTAR', V.MSR_LSTAR, 0, 0x8000],
    ['an invalid memory type in PAT', V.MSR_IA32_CR_PAT, 2, 0],
    ['an invalid memory type in an MTRR', V.MSR_MTRRphysBase0, 2, 0],
    ['the MTRR capabilities', V.MSR_IA32_MTRRCAP, 0, 0],
    ['x2APIC mode', V.MSR_IA32_APICBASE, 0xfee00c00, 0],
    ['a VMX capability', V.MSR_IA32_VMX_BASIC, 0, 0],
    ['the high half of TSC_AUX', V.MSR_TSC_AUX, 0, 1],
    ['a machine-check status that is not zero', V.MSR_IA32_MC0_CTL + 1, 1, 0],
    ['an unknown MSR', 0x12345, 0, 0],
  ];
  test.each(refused)('WRMSR refuses %s', (_, index, low, high) => {
    expect(make().wrmsr(index, low, high)).toBe(false);
  });

  test('an unknown MSR cannot be read', () => {
    expect(() => make().rdmsr(0x12345)).toThrow('#GP');
  });

  test('writing the TSC moves TSC_ADJUST by as much, and the other way round', () => {
    const processor = make({ deterministic: true });
    expect(processor.wrmsr(V.MSR_IA32_TSC, 1000, 0)).toBe(true);
    expect(processor.rdmsr(V.MSR_IA32_TSC_ADJUST)).toBe(1000);
    expect(processor.wrmsr(V.MSR_IA32_TSC_ADJUST, 400, 0)).toBe(true);
    expect(processor.rdtsc()).toBe(400);
  });

  test('capabilities: what must be one may be one, and the TRUE MSRs only relax', () => {
    const processor = make();
    const pairs = [
      [V.MSR_IA32_VMX_PINBASED_CTLS, V.MSR_IA32_VMX_TRUE_PINBASED_CTLS],
      [V.MSR_IA32_VMX_PROCBASED_CTLS, V.MSR_IA32_VMX_TRUE_PROCBASED_CTLS],
      [V.MSR_IA32_VMX_EXIT_CTLS, V.MSR_IA32_VMX_TRUE_EXIT_CTLS],
      [V.MSR_IA32_VMX_ENTRY_CTLS, V.MSR_IA32_VMX_TRUE_ENTRY_CTLS],
    ] as const;
    for (const [base, relaxed] of pairs) {
      const must = processor.rdmsr(base);
      const may = processor.high;
      const mustTrue = processor.rdmsr(relaxed);
      expect(processor.high).toBe(may);
      expect((must & ~may) >>> 0).toBe(0);
      expect((mustTrue & ~must) >>> 0).toBe(0);
    }
  });
});

describe('CPUID', () => {
  test('vendor, brand and the answer beyond the last leaf', () => {
    const processor = make();
    const out = new Uint32Array(4);
    processor.cpuid(0, 0, out);
    expect(new TextDecoder().decode(Uint32Array.of(out[1]!, out[3]!, out[2]!))).toBe('GenuineIntel');
    const last = new Uint32Array(4);
    processor.cpuid(out[0]!, 0, last);
    processor.cpuid(0x40000000, 0, out);
    expect(out).toEqual(last);
  });

  test('OSPKE follows CR4', () => {
    const processor = make();
    const out = new Uint32Array(4);
    processor.cpuid(7, 0, out);
    expect(out[2]! & 0x18).toBe(8);
    expect(processor.writeCr(4, 1 << 22, 0)).toBe(true);
    processor.cpuid(7, 0, out);
    expect(out[2]! & 0x18).toBe(0x18);
  });

  test('OSXSAVE follows CR4, and leaf 0xd the enabled state', () => {
    const processor = make();
    const out = new Uint32Array(4);
    processor.cpuid(1, 0, out);
    expect(out[2]! & (1 << 27)).toBe(0);
    expect(processor.writeCr(4, 1 << 18, 0)).toBe(true);
    processor.cpuid(1, 0, out);
    expect(out[2]! & (1 << 27)).not.toBe(0);
    expect(processor.xsetbv(3, 0)).toBe(true);
    expect(processor.xsetbv(2, 0)).toBe(false);
    processor.cpuid(0xd, 0, out);
    expect([...out]).toEqual([0x207, 576, 2696, 0]);
    expect(processor.xsetbv(0x207, 0)).toBe(true);
    processor.cpuid(0xd, 0, out);
    expect(out[1]).toBe(2696);
    processor.cpuid(0xd, 9, out);
    expect([...out]).toEqual([8, 2688, 0, 0]);
  });
});

describe('segments', () => {
  test('selectors load from the descriptor tables, with the checks of MOV', () => {
    const memory = HostMemory.create(32 << 20);
    const processor = createProcessor({ memory, traceArenaBytes: 1 << 20, jit: TEST_JIT });
    const gdt = memory.allocPages(1);
    memory.u32.set([0, 0, 0xffff, 0x00af9a00, 0x1234ffff, 0x56cf9278, 0x1000_0067, 0x00008900, 0, 0, 0xffff, 0x00cf1200], gdt >>> 2);
    processor.lgdt(gdt, 0x2f);
    expect(processor.sgdt()).toEqual({ base: gdt, limit: 0x2f });
    expect(processor.loadSelector('ds', 0x10)).toBe(true);
    expect(processor.readBase('ds')).toBe(0x56781234);
    expect(memory.u8[gdt + 0x15]).toBe(0x93);
    expect(processor.loadSelector('ss', 8)).toBe(false);
    expect(processor.loadSelector('cs', 0x10)).toBe(false);
    expect(processor.loadSelector('ds', 0x28)).toBe(false);
    expect(processor.loadSelector('ds', 0x30)).toBe(false);
    expect(processor.loadSelector('tr', 0x18)).toBe(true);
    expect(processor.loadSelector('tr', 0x18)).toBe(false);
    expect(processor.loadSelector('ldtr', 0)).toBe(true);
    expect(processor.loadSelector('cs', 0)).toBe(false);
  });
});

describe('XSAVE and XRSTOR', () => {
  test('PKRU is a component', () => {
    const memory = HostMemory.create(32 << 20);
    const processor = createProcessor({ memory, traceArenaBytes: 1 << 20, jit: TEST_JIT });
    const area = memory.allocPages(2);
    processor.xsetbv(0x207, 0);
    processor.wrpkru(0x89abcdef);
    processor.xsave(area, 0x200);
    expect([memory.u32[(area + 512) >>> 2], memory.u32[(area + 2688) >>> 2]]).toEqual([0x200, 0x89abcdef]);
    processor.wrpkru(1);
    expect(processor.xrstor(area, 7)).toBe(true);
    expect(processor.rdpkru()).toBe(1);
    expect(processor.xrstor(area, 0x200)).toBe(true);
    expect(processor.rdpkru()).toBe(0x89abcdef);
    memory.u32[(area + 512) >>> 2] = 0;
    expect(processor.xrstor(area, 0x200)).toBe(true);
    expect(processor.rdpkru()).toBe(0);
  });

  test('round trip, initial state, and bad headers', () => {
    const memory = HostMemory.create(32 << 20);
    const processor = createProcessor({ memory, traceArenaBytes: 1 << 20, jit: TEST_JIT });
    const area = memory.allocPages(2);
    processor.xsetbv(3, 0);
    const image = new Uint8Array(576).map((_, i) => (i * 7) & 0xff);
    image.set([0x7f, 3, 0x41, 0x28, 0x20, 0, 0, 0], 0);
    image.set([0x80, 0x1f, 0, 0, 0xff, 0xff, 0, 0], 24);
    for (let i = 0; i < 8; i++) image.fill(0, 32 + i * 16 + 10, 32 + i * 16 + 16);
    image.fill(0, 416, 576);
    image[512] = 3;
    memory.write(area, image);
    expect(processor.xrstor(area, 3)).toBe(true);
    processor.xsave(area + 4096, 3);
    const saved = memory.u8.slice(area + 4096, area + 4096 + 576);
    expect(saved).toEqual(image);
    memory.u8[area + 512] = 4;
    expect(processor.xrstor(area, 3)).toBe(false);
    memory.u8[area + 512] = 0;
    expect(processor.xrstor(area, 3)).toBe(true);
    processor.xsave(area + 4096, 3);
    expect(memory.view.getUint16(area + 4096, true)).toBe(0x37f);
    expect(memory.u8.slice(area + 4096 + 160, area + 4096 + 416).every((byte) => byte === 0)).toBe(true);
  });
});

describe('time and interrupts', () => {
  test('deterministic time stands while nothing runs, and passes on request', () => {
    const processor = make({ deterministic: true });
    expect(processor.rdtsc()).toBe(0);
    processor.setLocalTimer(5000, 0xec);
    expect(processor.acknowledgeInterrupt()).toBe(-1);
    processor.idleUntil(5000);
    expect(processor.rdtsc()).toBe(5000);
    expect(processor.acknowledgeInterrupt()).toBe(0xec);
    expect(processor.acknowledgeInterrupt()).toBe(-1);
    processor.idleUntil(Infinity);
    expect(processor.rdtsc()).toBe(5000);
  });

  test('host time runs at tscKhz', () => {
    const processor = make({ tscKhz: 1000 });
    // In this order: the machine may be busy with something else between the two.
    const [from, start] = [processor.rdtsc(), performance.now()];
    while (performance.now() - start < 5);
    const ticks = processor.rdtsc() - from;
    expect(ticks).toBeGreaterThan(4500);
    expect(ticks).toBeLessThan(500_000);
  });

  test('the highest vector comes first', () => {
    const processor = make();
    for (const vector of [0x20, 0xff, 0x81]) V.raiseInterrupt(processor.memory.i32, processor.pendingVectors, vector);
    expect([1, 2, 3, 4].map(() => processor.acknowledgeInterrupt())).toEqual([0xff, 0x81, 0x20, -1]);
    processor.setInterruptFlag(true);
    expect(processor.interruptFlag).toBe(true);
  });
});
