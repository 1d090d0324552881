import { beforeEach, describe, expect, it } from 'vitest';
import type { Fixture } from '../testing/device-fixture.ts';
import { fixture } from '../testing/device-fixture.ts';
import { kvmGetIoapic, kvmIoapicSetIrq, kvmSetIoapic } from './ioapic.ts';
import type { KvmIoapic } from './ioapic.ts';
import { EFAULT, EINVAL, ENXIO } from '@vm/kvm-run';
import {
  kvmCreateIrqchip,
  kvmDestroyIrqchip,
  kvmVmIoctlGetIrqchip,
  kvmVmIoctlSetIrqchip,
  vcpuScanIoapic,
} from './irq.ts';
import { kvmGetApicInterrupt } from './lapic.ts';
import { kvmLapicRegWrite, kvmLapicSetEoi } from './lapic-regs.ts';
import { kvmCreateLapic } from './lapic-state.ts';
import { kvmSetIrq, kvmVmIoctlIrqLine } from './irq-routing.ts';
import { kvmRegisterIrqAckNotifier } from './irq-notifier.ts';

const BASE = 0xfec00000;
const LEVEL = 0x8000;
const MASKED = 0x10000;
let f: Fixture;
let ioapic: KvmIoapic;

function writeReg(reg: number, value: number): void {
  f.kvm.mmioBus.write(null, BASE, 4, reg, 0);
  f.kvm.mmioBus.write(null, BASE + 0x10, 4, value, 0);
}

function readReg(reg: number): number {
  f.kvm.mmioBus.write(null, BASE, 4, reg, 0);
  f.kvm.mmioBus.read(null, BASE + 0x10, 4);
  return f.kvm.mmioBus.result[0]!;
}

function redirect(pin: number, low: number, high = 0): void {
  writeReg(0x10 + pin * 2 + 1, high);
  writeReg(0x10 + pin * 2, low);
}

const take = (vcpu = 0): number => kvmGetApicInterrupt(f.vcpus[vcpu]!);
const eoi = (vcpu = 0): void => {
  vcpuScanIoapic(f.vcpus[vcpu]!);
  kvmLapicSetEoi(f.vcpus[vcpu]!);
};

beforeEach(() => {
  f = fixture({ vcpus: 4 });
  kvmCreateIrqchip(f.kvm);
  ioapic = f.kvm.irq.vioapic!;
  for (const vcpu of f.vcpus) {
    kvmCreateLapic(vcpu);
    kvmLapicRegWrite(vcpu.apic!, 0xf0, 0x1ff);
  }
});

describe('ioapic', () => {
  it('has identifier, version, and masked entries', () => {
    writeReg(0, 0xff000000);
    expect(readReg(0)).toBe(0x0f000000);
    expect(readReg(1)).toBe(0x00170011);
    for (let pin = 0; pin < 24; pin++) expect(readReg(0x10 + pin * 2)).toBe(MASKED);
    expect(readReg(0x40)).toBe(0xffffffff);
  });

  it('delivers an edge once', () => {
    redirect(4, 0x34);
    expect(kvmIoapicSetIrq(ioapic, 4, 0, 1, false)).toBe(1);
    expect(kvmIoapicSetIrq(ioapic, 4, 0, 1, false)).toBe(0);
    expect(take()).toBe(0x34);
    eoi();
    expect(take()).toBe(-1);
    kvmIoapicSetIrq(ioapic, 4, 0, 0, false);
    kvmIoapicSetIrq(ioapic, 4, 0, 1, false);
    expect(take()).toBe(0x34);
  });

  it('holds a level until its end, and delivers again while the line is up', () => {
    redirect(9, 0x39 | LEVEL);
    kvmIoapicSetIrq(ioapic, 9, 0, 1, false);
    expect(readReg(0x10 + 18) & 0x4000).toBe(0x4000);
    expect(take()).toBe(0x39);
    expect(kvmIoapicSetIrq(ioapic, 9, 0, 1, false)).toBe(-1);
    eoi();
    expect(take()).toBe(0x39);
    kvmIoapicSetIrq(ioapic, 9, 0, 0, false);
    eoi();
    expect(take()).toBe(-1);
    expect(readReg(0x10 + 18) & 0x4000).toBe(0);
  });

  it('clears remote IRR when an entry becomes edge-triggered', () => {
    redirect(9, 0x39 | LEVEL);
    kvmIoapicSetIrq(ioapic, 9, 0, 1, false);
    writeReg(0x10 + 18, 0x39 | MASKED);
    writeReg(0x10 + 18, 0x39 | LEVEL | MASKED);
    expect(readReg(0x10 + 18)).toBe(0x39 | LEVEL | MASKED);
  });

  it('delivers a waiting level when it is unmasked', () => {
    redirect(10, 0x3a | LEVEL | MASKED);
    kvmIoapicSetIrq(ioapic, 10, 0, 1, false);
    expect(take()).toBe(-1);
    redirect(10, 0x3a | LEVEL);
    expect(take()).toBe(0x3a);
  });

  it('addresses a physical, a logical and the lowest-priority destination', () => {
    redirect(1, 0x31, 2 << 24);
    kvmIoapicSetIrq(ioapic, 1, 0, 1, false);
    expect([take(0), take(1), take(2)]).toEqual([-1, -1, 0x31]);
    f.vcpus.forEach((vcpu, i) => kvmLapicRegWrite(vcpu.apic!, 0xd0, (1 << i) << 24));
    redirect(2, 0x42 | 0x800, 0x0a << 24);
    kvmIoapicSetIrq(ioapic, 2, 0, 1, false);
    expect(f.vcpus.map((_, i) => take(i))).toEqual([-1, 0x42, -1, 0x42]);
    redirect(3, 0x51 | 0x800 | 0x100, 0x0f << 24);
    kvmIoapicSetIrq(ioapic, 3, 0, 1, false);
    expect(f.vcpus.map((_, i) => take(i))).toEqual([-1, 0x51, -1, -1]);
  });

  it('tells the acknowledge of a GSI', () => {
    const acked: number[] = [];
    kvmRegisterIrqAckNotifier(f.kvm, { gsi: 5, irqAcked: () => acked.push(5) });
    redirect(5, 0x35);
    kvmSetIrq(f.kvm, 0, 5, 1, false);
    take();
    expect(acked).toEqual([]);
    eoi();
    expect(acked).toEqual([5]);
  });

  it('says that a tick of the clock merged while the last has not ended', () => {
    redirect(8, 0x38);
    f.kvm.irq.vpic = null;
    expect(kvmVmIoctlIrqLine(f.kvm, 8, 1, true)).toBe(1);
    kvmVmIoctlIrqLine(f.kvm, 8, 0, true);
    expect(kvmVmIoctlIrqLine(f.kvm, 8, 1, true)).toBe(0);
    kvmVmIoctlIrqLine(f.kvm, 8, 0, true);
    take();
    eoi();
    expect(kvmVmIoctlIrqLine(f.kvm, 8, 1, true)).toBe(1);
  });

  it('slows down a level that storms', () => {
    redirect(9, 0x39 | LEVEL);
    kvmIoapicSetIrq(ioapic, 9, 0, 1, false);
    vcpuScanIoapic(f.vcpus[0]!);
    let rounds = 0;
    while (take() === 0x39 && rounds < 20000) {
      kvmLapicSetEoi(f.vcpus[0]!);
      rounds++;
    }
    expect(rounds).toBe(10000);
    f.advance(10_000_000);
    expect(take()).toBe(0x39);
  });

  it('saves and restores, and delivers what was pending', () => {
    redirect(9, 0x39 | LEVEL | MASKED);
    kvmIoapicSetIrq(ioapic, 9, 0, 1, false);
    const image = new DataView(new ArrayBuffer(216));
    kvmGetIoapic(ioapic, image);
    expect(image.getUint32(16, true)).toBe(1 << 9);
    expect(Number(image.getBigUint64(0, true))).toBe(BASE);
    image.setUint32(24 + 9 * 8, 0x39 | LEVEL, true);
    kvmSetIoapic(ioapic, image);
    expect(take()).toBe(0x39);
  });
});

describe('KVM_GET_IRQCHIP and KVM_SET_IRQCHIP', () => {
  it('take the image of the chip that is named', () => {
    const bytes = new Uint8Array(520);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, 2, true);
    expect(kvmVmIoctlGetIrqchip(f.kvm, bytes)).toBe(0);
    expect(view.getUint32(8, true)).toBe(BASE);
    view.setUint32(20, 0x0b, true);
    expect(kvmVmIoctlSetIrqchip(f.kvm, bytes)).toBe(0);
    expect(ioapic.id).toBe(0x0b);
    view.setUint32(0, 1, true);
    expect(kvmVmIoctlGetIrqchip(f.kvm, bytes)).toBe(0);
    expect(bytes[8 + 15]).toBe(0xde);
    view.setUint32(0, 3, true);
    expect(kvmVmIoctlGetIrqchip(f.kvm, bytes)).toBe(-EINVAL);
    expect(kvmVmIoctlSetIrqchip(f.kvm, bytes.subarray(0, 519))).toBe(-EFAULT);
    kvmDestroyIrqchip(f.kvm);
    expect(kvmVmIoctlGetIrqchip(f.kvm, bytes)).toBe(-ENXIO);
    expect(f.kvm.mmioBus.devices + f.kvm.pioBus.devices).toBe(0);
  });
});
