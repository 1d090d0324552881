import { beforeEach, describe, expect, it } from 'vitest';
import type { Fixture } from '../testing/device-fixture.ts';
import { fixture } from '../testing/device-fixture.ts';
import { KVM_REQ_EVENT } from '../requests.ts';
import type { KvmVcpu } from '../types.ts';
import {
  kvmApicAcceptPicIntr,
  kvmApicHasInterrupt,
  kvmGetApicInterrupt,
  kvmLapicGetCr8,
  kvmLapicGetReg,
  kvmLapicSetTpr,
} from './lapic.ts';
import { kvmApicAcceptEvents, kvmApicSetIrq } from './lapic-accept.ts';
import { newLapicIrq } from './lapic-irq.ts';
import { kvmLapicRegWrite, kvmLapicSetEoi, kvmX2apicMsrRead, kvmX2apicMsrWrite } from './lapic-regs.ts';
import { kvmApicGetState, kvmApicSetBase, kvmApicSetState, kvmCreateLapic, kvmFreeLapic, kvmLapicReset } from './lapic-state.ts';
import {
  kvmCpuHasPendingTimer,
  kvmGetLapicTscdeadlineMsr,
  kvmInjectPendingTimerIrqs,
  kvmLapicExpiredHvTimer,
  kvmSetLapicTscdeadlineMsr,
} from './lapic-timer.ts';
import { kvmCpuGetInterrupt, kvmCpuHasInterrupt, kvmCreateIrqchip } from './irq.ts';
import { kvmPicSetIrq } from './i8259.ts';
import { lapicIoDevice } from './lapic-regs.ts';

const BASE = 0xfee00000;
const ENABLE = 0x800;
const EXTD = 0x400;
let f: Fixture;
let vcpu: KvmVcpu;

const write = (reg: number, value: number, which = 0): void => {
  lapicIoDevice.write(f.vcpus[which]!, BASE + reg, 4, value, 0);
};
const result = new Uint32Array(2);
const read = (reg: number, length = 4, which = 0): number => {
  result.fill(0);
  lapicIoDevice.read(f.vcpus[which]!, BASE + reg, length, result);
  return result[0]!;
};
function interrupt(vector: number, which = 0): void {
  kvmApicSetIrq(f.vcpus[which]!, { ...newLapicIrq(), vector, level: true }, null);
}
const take = (which = 0): number => kvmGetApicInterrupt(f.vcpus[which]!);
/** Delivers the timer's interrupt if it expired, and takes it. */
const timerVector = (): number => {
  if (kvmCpuHasPendingTimer(vcpu)) kvmInjectPendingTimerIrqs(vcpu);
  return take();
};

beforeEach(() => {
  f = fixture({ vcpus: 4 });
  kvmCreateIrqchip(f.kvm);
  for (const each of f.vcpus) kvmCreateLapic(each);
  vcpu = f.vcpus[0]!;
  for (let i = 0; i < 4; i++) write(0xf0, 0x1ff, i);
});

describe('priorities', () => {
  it('takes the highest first, nests by class, and ends in order', () => {
    for (const vector of [0x41, 0x52, 0x4f]) interrupt(vector);
    expect(take()).toBe(0x52);
    expect(read(0xa0)).toBe(0x50);
    expect(take()).toBe(-1);
    interrupt(0x5f);
    // The same class must wait.
    expect(take()).toBe(-1);
    interrupt(0x61);
    expect(take()).toBe(0x61);
    const ended: number[] = [];
    for (;;) {
      kvmLapicSetEoi(vcpu);
      const vector = take();
      if (vector < 0) break;
      ended.push(vector);
    }
    kvmLapicSetEoi(vcpu);
    expect(ended).toEqual([]);
    expect(take()).toBe(0x5f);
  });

  const pprs: [tpr: number, isr: number, ppr: number][] = [
    [0x00, -1, 0x00],
    [0x35, -1, 0x35],
    [0x35, 0x41, 0x40],
    [0x42, 0x41, 0x42],
    [0xff, 0x81, 0xff],
  ];
  it.each(pprs)('TPR %i with vector %i in service gives PPR %i', (tpr, isr, ppr) => {
    if (isr >= 0) {
      interrupt(isr);
      take();
    }
    write(0x80, tpr);
    expect(read(0xa0)).toBe(ppr);
  });

  it('holds interrupts back by the task priority, and asks for an event when it falls', () => {
    write(0x80, 0x50);
    interrupt(0x51);
    expect(kvmApicHasInterrupt(vcpu)).toBe(-1);
    f.took(0, KVM_REQ_EVENT);
    kvmLapicSetTpr(vcpu, 4);
    expect(f.took(0, KVM_REQ_EVENT)).toBe(true);
    expect(kvmLapicGetCr8(vcpu)).toBe(4);
    expect(take()).toBe(0x51);
  });

  it('accepts nothing while disabled by software', () => {
    write(0xf0, 0xff);
    interrupt(0x51);
    expect(take()).toBe(-1);
  });

  it('finds vectors in every word', () => {
    for (let vector = 16; vector < 256; vector++) {
      interrupt(vector);
      expect(take()).toBe(vector);
      kvmLapicSetEoi(vcpu);
    }
    expect(read(0xa0)).toBe(0);
  });
});

describe('registers', () => {
  it('reads 32 bits at 16-byte boundaries and parts of them', () => {
    expect(read(0x30)).toBe(0x00050014);
    expect(read(0x32, 1)).toBe(0x05);
    expect(read(0x34)).toBe(0);
    expect(read(0x30, 8)).toBe(0);
    expect(read(0x40)).toBe(0);
    write(0x81, 0xff);
    expect(read(0x80)).toBe(0);
  });

  it('masks the writable bits of the vector table', () => {
    const table: [number, number][] = [
      [0x320, 0x000700ff],
      [0x330, 0x000107ff],
      [0x340, 0x000107ff],
      [0x350, 0x0001e7ff],
      [0x370, 0x000100ff],
    ];
    for (const [reg, expected] of table) {
      write(reg, 0xffffffff);
      expect(read(reg)).toBe(expected);
    }
    write(0xf0, 0xff);
    for (const [reg] of table) expect(read(reg) & 0x10000).toBe(0x10000);
  });

  it('carries the 8259 over LINT0 in ExtINT mode after reset', () => {
    expect(kvmApicAcceptPicIntr(vcpu)).toBe(true);
    expect(kvmApicAcceptPicIntr(f.vcpus[1]!)).toBe(false);
    kvmPicSetIrq(f.kvm.irq.vpic!, 1, 0, 1);
    interrupt(0x99);
    expect(kvmCpuHasInterrupt(vcpu)).toBe(true);
    expect(kvmCpuGetInterrupt(vcpu)).toBe(1);
    expect(kvmCpuGetInterrupt(vcpu)).toBe(0x99);
    write(0x350, 0x10700);
    expect(kvmApicAcceptPicIntr(vcpu)).toBe(false);
  });

  it('reads all ones when it is off or in x2APIC mode', () => {
    kvmApicSetBase(vcpu, (BASE | 0x100) >>> 0, 0, false);
    expect(read(0x30)).toBe(0xffffffff);
    expect(kvmApicHasInterrupt(vcpu)).toBe(-1);
  });
});

describe('IA32_APIC_BASE', () => {
  const on = (BASE | ENABLE | 0x100) >>> 0;
  const x2 = (on | EXTD) >>> 0;
  const off = (BASE | 0x100) >>> 0;
  const steps: [name: string, from: number, to: number, allowed: boolean][] = [
    ['xAPIC to x2APIC', on, x2, true],
    ['x2APIC to xAPIC', x2, on, false],
    ['x2APIC to off', x2, off, true],
    ['off to x2APIC', off, x2, false],
    ['extended without enabled', on, (BASE | EXTD) >>> 0, false],
    ['reserved bits', on, on | 1, false],
  ];
  it.each(steps)('%s', (_name, from, to, allowed) => {
    kvmApicSetBase(vcpu, from, 0, true);
    expect(kvmApicSetBase(vcpu, to >>> 0, 0, false)).toBe(allowed);
  });

  it('moves the page', () => {
    expect(kvmApicSetBase(vcpu, (0xd0000000 | ENABLE) >>> 0, 1, false)).toBe(true);
    expect(lapicIoDevice.read(vcpu, BASE, 4, result)).toBe(false);
    expect(lapicIoDevice.read(vcpu, 0x1d0000030, 4, result)).toBe(true);
    expect(kvmApicSetBase(vcpu, (BASE | ENABLE) >>> 0, 0x100, false)).toBe(false);
  });
});

describe('interprocessor interrupts', () => {
  const cases: [name: string, high: number, low: number, reached: number[]][] = [
    ['physical', 2 << 24, 0x4041, [2]],
    ['physical broadcast', 0xff000000, 0x4041, [0, 1, 2, 3]],
    ['nobody', 9 << 24, 0x4041, []],
    ['self', 0, 0x44041, [0]],
    ['all including self', 0, 0x84041, [0, 1, 2, 3]],
    ['all but self', 0, 0xc4041, [1, 2, 3]],
    ['logical flat', 0x06000000, 0x4841, [1, 2]],
    ['lowest priority among two', 0x06000000, 0x4941, [2]],
    ['logical broadcast', 0xff000000, 0x4841, [0, 1, 2, 3]],
  ];
  it.each(cases)('%s', (_name, high, low, reached) => {
    for (let i = 0; i < 4; i++) write(0xd0, (1 << i) << 24, i);
    write(0x310, high);
    write(0x300, low);
    expect([0, 1, 2, 3].filter((i) => take(i) === 0x41)).toEqual(reached);
  });

  it('addresses clusters', () => {
    for (let i = 0; i < 4; i++) {
      write(0xe0, 0x0fffffff, i);
      write(0xd0, (((i >> 1) << 4) | (1 << (i & 1))) << 24, i);
    }
    write(0x310, 0x13000000);
    write(0x300, 0x4841);
    expect([0, 1, 2, 3].filter((i) => take(i) === 0x41)).toEqual([2, 3]);
  });

  it('starts a processor by INIT and SIPI', () => {
    const target = f.vcpus[1]!;
    write(0x310, 1 << 24);
    write(0x300, 0x4600 | 0x9a);
    kvmApicAcceptEvents(target);
    expect(f.calls).toEqual([]);
    write(0x300, 0xc500);
    write(0x300, 0x8500);
    kvmApicAcceptEvents(target);
    expect(target.mpState).toBe(2);
    write(0x300, 0x4600 | 0x9a);
    kvmApicAcceptEvents(target);
    expect(f.calls).toEqual(['init 1', 'sipi 1 154']);
    expect(target.mpState).toBe(0);
  });

  it('sends NMIs', () => {
    write(0x310, 3 << 24);
    write(0x300, 0x4400);
    expect(f.calls).toEqual(['nmi 3']);
  });
});

describe('x2APIC', () => {
  beforeEach(() => {
    for (const each of f.vcpus) kvmApicSetBase(each, (BASE | ENABLE | EXTD) >>> 0, 0, true);
  });
  const msr = (reg: number): number => 0x800 + (reg >> 4);
  const rd = (reg: number, which = 0): number =>
    kvmX2apicMsrRead(f.vcpus[which]!, msr(reg), result) ? result[0]! : -1;

  it('has wide identifiers and a logical one made from it', () => {
    expect(rd(0x20, 3)).toBe(3);
    expect(rd(0xd0, 3)).toBe(8);
    expect(rd(0xe0)).toBe(-1);
    expect(rd(0x310)).toBe(-1);
    expect(kvmX2apicMsrWrite(vcpu, msr(0xd0), 1, 0)).toBe(false);
  });

  it('sends by one write, and to itself by the self register', () => {
    expect(kvmX2apicMsrWrite(vcpu, msr(0x300), 0x4041, 2)).toBe(true);
    expect(take(2)).toBe(0x41);
    expect(kvmX2apicMsrWrite(vcpu, msr(0x300), 0x4841, 0x0000000a)).toBe(true);
    expect([take(1), take(3)]).toEqual([0x41, 0x41]);
    expect(kvmX2apicMsrWrite(vcpu, msr(0x3f0), 0x55, 0)).toBe(true);
    expect(take()).toBe(0x55);
    expect(kvmX2apicMsrWrite(vcpu, msr(0x300), 0x2000, 0)).toBe(false);
    expect(kvmX2apicMsrWrite(vcpu, msr(0xb0), 0, 0)).toBe(true);
    expect(kvmX2apicMsrWrite(vcpu, msr(0xb0), 1, 0)).toBe(false);
    expect(kvmX2apicMsrWrite(vcpu, msr(0x280), 1, 0)).toBe(false);
    expect(read(0x30)).toBe(0xffffffff);
  });

  it('takes any register number without harm', () => {
    for (let index = 0x7f0; index < 0x910; index++) {
      kvmX2apicMsrRead(vcpu, index, result);
      kvmX2apicMsrWrite(vcpu, index, 0xffffffff, 0);
    }
  });
});

describe('timer', () => {
  it('fires once in one-shot mode, and counts down by the divisor', () => {
    write(0x320, 0xe1);
    write(0x3e0, 0x3);
    write(0x380, 1_000_000);
    f.advance(8_000_000);
    expect(read(0x390)).toBe(500_000);
    expect(timerVector()).toBe(-1);
    f.advance(8_000_000);
    expect(timerVector()).toBe(0xe1);
    kvmLapicSetEoi(vcpu);
    expect(read(0x390)).toBe(0);
    f.advance(100_000_000);
    expect(timerVector()).toBe(-1);
  });

  it('fires each period in periodic mode, but ticks do not queue up', () => {
    write(0x320, 0x200e1);
    write(0x3e0, 0xb);
    write(0x380, 1_000_000);
    for (let i = 0; i < 3; i++) {
      f.advance(1_000_000);
      expect(timerVector()).toBe(0xe1);
      kvmLapicSetEoi(vcpu);
    }
    f.advance(5_000_000);
    expect(timerVector()).toBe(0xe1);
    kvmLapicSetEoi(vcpu);
    expect(timerVector()).toBe(-1);
    write(0x380, 0);
    f.advance(5_000_000);
    expect(timerVector()).toBe(-1);
  });

  it('limits the rate of a periodic timer', () => {
    write(0x320, 0x200e1);
    write(0x3e0, 0xb);
    write(0x380, 1);
    expect(vcpu.apic!.timer.period).toBe(200_000);
  });

  const deadline = (guestTsc: number): void =>
    kvmSetLapicTscdeadlineMsr(vcpu, guestTsc >>> 0, Math.floor(guestTsc / 2 ** 32));

  it('fires at a guest TSC in deadline mode', () => {
    vcpu.tscOffset = -900_000;
    write(0x320, 0x400e1);
    deadline(150_000);
    kvmGetLapicTscdeadlineMsr(vcpu, result);
    expect(result[0]).toBe(150_000);
    f.advance(49_999);
    expect(timerVector()).toBe(-1);
    f.advance(1);
    expect(timerVector()).toBe(0xe1);
    kvmGetLapicTscdeadlineMsr(vcpu, result);
    expect(result[0]).toBe(0);
    kvmLapicSetEoi(vcpu);
    // A deadline in the past fires at once.
    deadline(1);
    expect(timerVector()).toBe(0xe1);
  });

  it('ignores deadlines in other modes, and a change of mode disarms', () => {
    deadline(2_000_000);
    f.advance(5_000_000);
    expect(timerVector()).toBe(-1);
    write(0x320, 0x400e1);
    deadline(10_000_000);
    write(0x320, 0xe1);
    f.advance(50_000_000);
    expect(timerVector()).toBe(-1);
  });

  it('does not deliver when it is masked', () => {
    write(0x320, 0x100e1);
    write(0x380, 1000);
    f.advance(10_000);
    expect(kvmCpuHasPendingTimer(vcpu)).toBe(false);
    kvmInjectPendingTimerIrqs(vcpu);
    expect(take()).toBe(-1);
  });

  it('rides on the preemption timer where there is one', () => {
    const armed: number[] = [];
    (vcpu.ops as { setHvTimer: (v: KvmVcpu, tsc: number) => number }).setHvTimer = (_v, tsc) => (armed.push(tsc), 0);
    write(0x320, 0x200e1);
    write(0x3e0, 0xb);
    write(0x380, 1_000_000);
    expect(armed).toEqual([2_000_000]);
    expect(f.kvm.hrtimers.next).toBe(Infinity);
    f.advance(1_000_100);
    kvmLapicExpiredHvTimer(vcpu);
    expect(armed).toEqual([2_000_000, 3_000_000]);
    expect(timerVector()).toBe(0xe1);
  });
});

describe('state', () => {
  it('goes on from a saved image', () => {
    write(0x320, 0xe1);
    write(0x3e0, 0xb);
    write(0x380, 1_000_000);
    interrupt(0x71);
    take();
    interrupt(0x42);
    f.advance(400_000);
    const image = new Uint8Array(1024);
    kvmApicGetState(vcpu, image);
    expect(new DataView(image.buffer).getUint32(0x390, true)).toBe(600_000);
    kvmLapicReset(vcpu, false);
    expect(kvmApicSetState(vcpu, image)).toBe(0);
    expect(take()).toBe(-1);
    kvmLapicSetEoi(vcpu);
    expect(take()).toBe(0x42);
    f.advance(599_999);
    expect(timerVector()).toBe(-1);
    f.advance(1);
    expect(timerVector()).toBe(0xe1);
  });

  it('takes any image', () => {
    const image = new Uint8Array(1024).map((_, i) => (i * 73 + 11) & 0xff);
    image.fill(0, 0x20, 0x24);
    expect(kvmApicSetState(vcpu, image)).toBe(0);
    take();
    kvmLapicSetEoi(vcpu);
    f.advance(1_000_000);
  });

  it('keeps base and identifier over INIT', () => {
    write(0x20, 0x07000000);
    kvmLapicReset(vcpu, true);
    expect(read(0x20)).toBe(0x07000000);
    expect(read(0xf0)).toBe(0xff);
    expect(kvmLapicGetReg(vcpu.apic!, 0x320)).toBe(0x10000);
  });

  it('gives its page back', () => {
    const free = f.memory.freePages;
    kvmFreeLapic(f.vcpus[3]!);
    expect(f.memory.freePages).toBe(free + 1);
  });

  it('takes any write to any register', () => {
    for (let i = 0; i < 20000; i++) {
      kvmLapicRegWrite(vcpu.apic!, (i * 0x10) & 0xff0, Math.imul(i, 0x9e3779b1) >>> 0);
      if (i % 16 === 0) take();
      if (i % 64 === 0) f.advance(10_000);
    }
  });
});
