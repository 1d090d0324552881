import { createEventFd, EBUSY, EINVAL, ENOENT } from '@vm/kvm-run';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Fixture } from '../testing/device-fixture.ts';
import { fixture } from '../testing/device-fixture.ts';
import { kvmCreateIrqchip, vcpuScanIoapic } from './irq.ts';
import { kvmSendUserspaceMsi, kvmSetIrq, kvmSetIrqRouting } from './irq-routing.ts';
import { KvmIrqfds } from './irqfd.ts';
import { kvmGetApicInterrupt } from './lapic.ts';
import { kvmLapicRegWrite, kvmLapicSetEoi } from './lapic-regs.ts';
import { kvmCreateLapic } from './lapic-state.ts';

let f: Fixture;
const take = (vcpu = 0): number => kvmGetApicInterrupt(f.vcpus[vcpu]!);

function routing(entries: readonly (readonly number[])[], nr = entries.length): Uint8Array {
  const bytes = new Uint8Array(8 + entries.length * 48);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, nr, true);
  entries.forEach(([gsi, type, ...u], i) => {
    view.setUint32(8 + i * 48, gsi!, true);
    view.setUint32(12 + i * 48, type!, true);
    u.forEach((value, j) => view.setUint32(24 + i * 48 + j * 4, value, true));
  });
  return bytes;
}

beforeEach(() => {
  f = fixture({ vcpus: 2 });
  kvmCreateIrqchip(f.kvm);
  for (const vcpu of f.vcpus) {
    kvmCreateLapic(vcpu);
    kvmLapicRegWrite(vcpu.apic!, 0xf0, 0x1ff);
  }
});

describe('KVM_SET_GSI_ROUTING', () => {
  it('routes a GSI to a message, and to pins', () => {
    expect(kvmSetIrqRouting(f.kvm, routing([[40, 2, 0xfee01000, 0, 0x4055], [5, 1, 2, 9], [5, 1, 0, 5]]))).toBe(0);
    expect(kvmSetIrq(f.kvm, 0, 40, 1, false)).toBe(1);
    expect(take(1)).toBe(0x55);
    expect(kvmSetIrq(f.kvm, 0, 40, 0, false)).toBe(-1);
    expect(kvmSetIrq(f.kvm, 0, 4, 1, false)).toBe(-1);
    kvmSetIrq(f.kvm, 0, 5, 1, false);
    expect(f.kvm.irq.vioapic!.irr).toBe(1 << 9);
    expect(f.kvm.irq.vpic!.chips[0].irr).toBe(1 << 5);
  });

  const wrong: [name: string, bytes: Uint8Array][] = [
    ['short', new Uint8Array(4)],
    ['fewer entries than said', routing([[1, 1, 2, 1]], 2)],
    ['too many', routing([[1, 1, 2, 1]], 5000)],
    ['pin of the 8259', routing([[1, 1, 0, 8]])],
    ['pin of the IOAPIC', routing([[1, 1, 2, 24]])],
    ['chip', routing([[1, 1, 3, 0]])],
    ['type', routing([[1, 9, 0, 0]])],
    ['GSI', routing([[4096, 1, 2, 0]])],
    ['two messages', routing([[1, 2, 0, 0, 0], [1, 2, 0, 0, 0]])],
    ['two pins of a chip', routing([[1, 1, 2, 1], [1, 1, 2, 2]])],
  ];
  it.each(wrong)('refuses: %s', (_name, bytes) => {
    const before = f.kvm.irq.routes;
    expect(kvmSetIrqRouting(f.kvm, bytes)).toBe(-EINVAL);
    expect(f.kvm.irq.routes).toBe(before);
  });
});

it('KVM_SIGNAL_MSI reaches its destination', () => {
  expect(kvmSendUserspaceMsi(f.kvm, { addressLow: 0xfee01000, addressHigh: 0, data: 0x61 })).toBe(1);
  expect(take(1)).toBe(0x61);
  expect(kvmSendUserspaceMsi(f.kvm, { addressLow: 0xfee07000, addressHigh: 0, data: 0x61 })).toBe(0);
  expect(kvmSendUserspaceMsi(f.kvm, { addressLow: 0xfee03004, addressHigh: 0, data: 0x62 })).toBe(-1);
});

describe('irqfd', () => {
  it('raises an edge per signal', () => {
    kvmSetIrqRouting(f.kvm, routing([[30, 2, 0xfee00000, 0, 0x71]]));
    const irqfds = new KvmIrqfds(f.kvm);
    const event = createEventFd();
    event.signal();
    expect(irqfds.ioctl(event, 30, 0, undefined)).toBe(0);
    expect(take()).toBe(0x71);
    expect(irqfds.ioctl(event, 30, 0, undefined)).toBe(-EBUSY);
    kvmLapicSetEoi(f.vcpus[0]!);
    event.signal();
    expect(take()).toBe(0x71);
    kvmLapicSetEoi(f.vcpus[0]!);
    expect(irqfds.ioctl(event, 30, 1, undefined)).toBe(0);
    expect(irqfds.ioctl(event, 30, 1, undefined)).toBe(-ENOENT);
    event.signal();
    expect(take()).toBe(-1);
    expect(irqfds.ioctl(event, 30, 4, undefined)).toBe(-EINVAL);
  });

  it('keeps a level until the guest ends it, then asks the device again', () => {
    const irqfds = new KvmIrqfds(f.kvm);
    const [event, resample] = [createEventFd(), createEventFd()];
    let asked = 0;
    resample.listen(() => asked++);
    const ioapic = f.kvm.irq.vioapic!;
    ioapic.redirtbl[20] = 0x3a | 0x8000;
    expect(irqfds.ioctl(event, 10, 2, resample)).toBe(0);
    vcpuScanIoapic(f.vcpus[0]!);
    event.signal();
    expect(ioapic.irr).toBe(1 << 10);
    expect(take()).toBe(0x3a);
    expect(asked).toBe(0);
    kvmLapicSetEoi(f.vcpus[0]!);
    expect(asked).toBe(1);
    expect(ioapic.irr).toBe(0);
    expect(take()).toBe(-1);
    irqfds.release();
    expect(f.kvm.irq.ackNotifiers).toHaveLength(0);
  });
});
