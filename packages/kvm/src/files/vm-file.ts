/** The file of a VM (kvm_vm_ioctl, kvm_arch_vm_ioctl). */

import * as P from '@vm/kvm-run';
import { kvmVmIoctlGetClock, kvmVmIoctlSetClock } from '../clock.ts';
import { kvmVmIoctlClearDirtyLog, kvmVmIoctlGetDirtyLog } from '../dirty-log.ts';
import { kvmDirtyRingPush, kvmVmIoctlResetDirtyPages } from '../dirty-ring.ts';
import { kvmCreateIrqchip, irqchipInKernel, picInKernel } from '../irq/irq.ts';
import { kvmSendUserspaceMsi, kvmSetIrqRouting, kvmVmIoctlIrqLine } from '../irq/irq-routing.ts';
import { kvmCreatePit, kvmGetPit, kvmPitSetReinject, kvmSetPit } from '../irq/i8254.ts';
import { kvmGetPic, kvmSetPic } from '../irq/i8259.ts';
import { kvmGetIoapic, kvmSetIoapic } from '../irq/ioapic.ts';
import { kvmSetMemoryRegion } from '../memslots.ts';
import { kvmArchCommitMemoryRegion } from '../mmu/mmu.ts';
import { kvmVmIoctlSetMsrFilter } from '../msr-filter.ts';
import { KVM_REQ_UPDATE_CPU_DIRTY_LOGGING, kvmMakeRequest } from '../requests.ts';
import type { Kvm } from '../types.ts';
import { kvmArchVcpuCreate } from '../vcpu.ts';
import { bytes, copyIn, exchanges, reads, tableOf, value, writes, type Handler } from './dispatch.ts';
import { kvmVmIoctlEnableCap } from './enable-cap.ts';
import { checkExtension, KVM_MAX_VCPUS } from './extensions.ts';
import { vcpuFile } from './vcpu-file.ts';
import type { VmState } from './vm-state.ts';

const createVcpu = (vm: VmState, id: number): number => {
  const { kvm } = vm;
  if (!Number.isInteger(id) || id < 0 || id >= kvm.maxVcpuIds) return -P.EINVAL;
  if (kvm.vcpus.length >= KVM_MAX_VCPUS) return -P.EINVAL;
  if (kvm.vcpus.some((vcpu) => vcpu.vcpuId === id)) return -P.EEXIST;
  const { cpus } = kvm.global;
  try {
    const vcpu = kvmArchVcpuCreate(kvm, id, cpus[kvm.vcpus.length % cpus.length]!);
    vm.get();
    return vm.install(vcpuFile(vm, vcpu));
  } catch (error) {
    if (error instanceof P.OutOfHostMemory) return -P.ENOMEM;
    throw error;
  }
};

const setUserMemoryRegion = (vm: VmState, region: P.View<typeof P.kvmUserspaceMemoryRegion>): number => {
  const { kvm } = vm;
  return kvmSetMemoryRegion(kvm, region, (change) => {
    kvmArchCommitMemoryRegion(kvm, change);
    const logged = (((change.old?.flags ?? 0) | (change.now?.flags ?? 0)) & P.KVM_MEM_LOG_DIRTY_PAGES) !== 0;
    if (logged) for (const vcpu of kvm.vcpus) kvmMakeRequest(KVM_REQ_UPDATE_CPU_DIRTY_LOGGING, vcpu);
  }, (slot, offset) => kvmDirtyRingPush(kvm, slot, offset));
};

const createIrqchip = ({ kvm }: VmState): number => {
  if (irqchipInKernel(kvm)) return -P.EEXIST;
  if (kvm.vcpus.length > 0) return -P.EINVAL;
  return kvmCreateIrqchip(kvm) ? 0 : -P.ENOMEM;
};

const createPit = ({ kvm }: VmState, flags: number): number => {
  if (kvm.irq.vpit !== null) return -P.EEXIST;
  if (!picInKernel(kvm)) return -P.ENOENT;
  return kvmCreatePit(kvm, flags) === null ? -P.ENOMEM : 0;
};

const dataView = (array: Uint8Array): DataView => new DataView(array.buffer, array.byteOffset, array.byteLength);

const getIrqchip = ({ kvm }: VmState, chip: P.View<typeof P.kvmIrqchip>): number => {
  const { vpic, vioapic } = kvm.irq;
  if (vpic === null || vioapic === null) return -P.ENXIO;
  chip.chip.fill(0);
  if (chip.chip_id === P.KVM_IRQCHIP_IOAPIC) kvmGetIoapic(vioapic, dataView(chip.chip));
  else if (chip.chip_id <= P.KVM_IRQCHIP_PIC_SLAVE) kvmGetPic(vpic, chip.chip_id as 0 | 1, chip.chip);
  else return -P.EINVAL;
  return 0;
};

const setIrqchip = ({ kvm }: VmState, chip: P.View<typeof P.kvmIrqchip>): number => {
  const { vpic, vioapic } = kvm.irq;
  if (vpic === null || vioapic === null) return -P.ENXIO;
  if (chip.chip_id === P.KVM_IRQCHIP_IOAPIC) kvmSetIoapic(vioapic, dataView(chip.chip));
  else if (chip.chip_id <= P.KVM_IRQCHIP_PIC_SLAVE) kvmSetPic(vpic, chip.chip_id as 0 | 1, chip.chip);
  else return -P.EINVAL;
  return 0;
};

const withPit = (vm: VmState, action: (pit: NonNullable<Kvm['irq']['vpit']>) => void): number => {
  const { vpit } = vm.kvm.irq;
  if (vpit === null) return -P.ENXIO;
  action(vpit);
  return 0;
};

/** kvm_vm_ioctl_irq_line: with KVM_IRQ_LINE_STATUS what became of it goes back. */
const irqLine = (vm: VmState, line: P.View<typeof P.kvmIrqLevel>, status: boolean): number => {
  const result = kvmVmIoctlIrqLine(vm.kvm, line.irq, line.level, status);
  if (result === -P.ENXIO) return result;
  if (status) line.irq = result >>> 0;
  return 0;
};

const setGsiRouting = (vm: VmState, argument: Uint8Array): number => {
  const { kvm } = vm;
  if (!irqchipInKernel(kvm)) return -P.EINVAL;
  const header = P.view(P.kvmIrqRouting, copyIn(argument, P.kvmIrqRouting.size)!);
  if (header.nr > 4096 || header.flags !== 0) return -P.EINVAL;
  const copy = copyIn(argument, P.kvmIrqRouting.size + header.nr * P.kvmIrqRoutingEntry.size);
  return copy === null ? -P.EFAULT : kvmSetIrqRouting(kvm, copy);
};

const irqfd = (vm: VmState, args: P.View<typeof P.kvmIrqfd>): number => {
  if (!irqchipInKernel(vm.kvm)) return -P.EINVAL;
  const event = vm.event(args.fd);
  if (event === undefined) return -P.EBADF;
  const resample = (args.flags & P.KVM_IRQFD_FLAG_RESAMPLE) !== 0 ? vm.event(args.resamplefd) : undefined;
  return vm.irqfds.ioctl(event, args.gsi, args.flags, resample);
};

const ioeventfd = (vm: VmState, args: P.View<typeof P.kvmIoeventfd>): number => {
  const event = vm.event(args.fd);
  return event === undefined ? -P.EBADF : vm.ioeventfds.ioctl(args, event);
};

const signalMsi = (vm: VmState, msi: P.View<typeof P.kvmMsi>): number => {
  if (!irqchipInKernel(vm.kvm) || msi.flags !== 0) return -P.EINVAL;
  return kvmSendUserspaceMsi(vm.kvm, { addressLow: msi.address_lo, addressHigh: msi.address_hi, data: msi.data });
};

const setBootCpuId = ({ kvm }: VmState, id: number): number => {
  if (kvm.vcpus.length > 0) return -P.EBUSY;
  kvm.bspVcpuId = id;
  return 0;
};

/** KVM_SET_TSC_KHZ on a VM: the frequency that vCPUs begin with. The processor cannot scale it. */
const setTscKhz = ({ kvm }: VmState, khz: number): number => {
  const host = kvm.global.cpus[0]!.processor.tscKhz;
  if (kvm.vcpus.length > 0) return -P.EINVAL;
  if (khz !== 0 && Math.abs(khz - host) > host * 250e-6) return -P.EINVAL;
  kvm.defaultTscKhz = khz === 0 ? host : khz;
  return 0;
};

const setIdentityMapAddr = ({ kvm }: VmState, argument: Uint8Array): number => {
  if (kvm.vcpus.length > 0) return -P.EINVAL;
  kvm.identityMapAddr = Number(dataView(argument).getBigUint64(0, true));
  return 0;
};

const createDevice = (): number =>
  // None of the device types exists on x86 but VFIO's, and there are no devices to pass through.
  -P.ENODEV;

const table: ReadonlyMap<number, Handler<VmState>> = tableOf<VmState>([
  value(P.KVM_CREATE_VCPU, createVcpu),
  value(P.KVM_CHECK_EXTENSION, (vm, capability) => checkExtension(vm.kvm.global, capability)),
  reads(P.KVM_ENABLE_CAP, P.kvmEnableCap, (vm, args) => kvmVmIoctlEnableCap(vm.kvm, args)),
  reads(P.KVM_SET_USER_MEMORY_REGION, P.kvmUserspaceMemoryRegion, setUserMemoryRegion),
  reads(P.KVM_GET_DIRTY_LOG, P.kvmDirtyLog, (vm, log) => kvmVmIoctlGetDirtyLog(vm.kvm, log)),
  reads(P.KVM_CLEAR_DIRTY_LOG, P.kvmClearDirtyLog, (vm, log) => kvmVmIoctlClearDirtyLog(vm.kvm, log)),
  reads(P.KVM_REGISTER_COALESCED_MMIO, P.kvmCoalescedMmioZone, (vm, zone) => vm.coalesced.register(zone)),
  reads(P.KVM_UNREGISTER_COALESCED_MMIO, P.kvmCoalescedMmioZone, (vm, zone) => vm.coalesced.unregister(zone)),
  reads(P.KVM_IRQFD, P.kvmIrqfd, irqfd),
  reads(P.KVM_IOEVENTFD, P.kvmIoeventfd, ioeventfd),
  reads(P.KVM_SIGNAL_MSI, P.kvmMsi, signalMsi),
  reads(P.KVM_IRQ_LINE, P.kvmIrqLevel, (vm, line) => irqLine(vm, line, false)),
  exchanges(P.KVM_IRQ_LINE_STATUS, P.kvmIrqLevel, (vm, line) => irqLine(vm, line, true)),
  bytes(P.KVM_SET_GSI_ROUTING, P.kvmIrqRouting.size, setGsiRouting),
  exchanges(P.KVM_CREATE_DEVICE, P.kvmCreateDevice, createDevice),
  value(P.KVM_SET_TSS_ADDR, ({ kvm }, address) => {
    if (address > 0xfffffffd * 4096) return -P.EINVAL;
    kvm.tssAddr = address;
    return 0;
  }),
  bytes(P.KVM_SET_IDENTITY_MAP_ADDR, 8, setIdentityMapAddr),
  value(P.KVM_SET_NR_MMU_PAGES, (_vm, pages) => (pages < 64 ? -P.EINVAL : 0)),
  value(P.KVM_GET_NR_MMU_PAGES, () => 0),
  value(P.KVM_CREATE_IRQCHIP, createIrqchip),
  value(P.KVM_CREATE_PIT, (vm) => createPit(vm, P.KVM_PIT_SPEAKER_DUMMY)),
  reads(P.KVM_CREATE_PIT2, P.kvmPitConfig, (vm, config) => createPit(vm, config.flags)),
  exchanges(P.KVM_GET_IRQCHIP, P.kvmIrqchip, getIrqchip),
  reads(P.KVM_SET_IRQCHIP, P.kvmIrqchip, setIrqchip),
  writes(P.KVM_GET_PIT, P.kvmPitState, (vm, _pit, image) => withPit(vm, (pit) => kvmGetPit(pit, dataView(image)))),
  bytes(P.KVM_SET_PIT, P.kvmPitState.size, (vm, image) =>
    withPit(vm, (pit) => kvmSetPit(pit, dataView(copyIn(image, P.kvmPitState.size)!))),
  ),
  writes(P.KVM_GET_PIT2, P.kvmPitState2, (vm, _pit, image) => withPit(vm, (pit) => kvmGetPit(pit, dataView(image)))),
  bytes(P.KVM_SET_PIT2, P.kvmPitState2.size, (vm, image) =>
    withPit(vm, (pit) => kvmSetPit(pit, dataView(copyIn(image, P.kvmPitState2.size)!))),
  ),
  bytes(P.KVM_REINJECT_CONTROL, P.kvmReinjectControl.size, (vm, control) =>
    withPit(vm, (pit) => kvmPitSetReinject(pit, control[0] !== 0)),
  ),
  value(P.KVM_SET_BOOT_CPU_ID, setBootCpuId),
  reads(P.KVM_SET_CLOCK, P.kvmClockData, (vm, data) => kvmVmIoctlSetClock(vm.kvm, data)),
  writes(P.KVM_GET_CLOCK, P.kvmClockData, (vm, data) => kvmVmIoctlGetClock(vm.kvm, data)),
  value(P.KVM_RESET_DIRTY_RINGS, ({ kvm }) => kvmVmIoctlResetDirtyPages(kvm)),
  value(P.KVM_SET_TSC_KHZ, setTscKhz),
  value(P.KVM_GET_TSC_KHZ, ({ kvm }) => kvm.defaultTscKhz),
  reads(P.KVM_X86_SET_MSR_FILTER, P.kvmMsrFilter, (vm, filter) => kvmVmIoctlSetMsrFilter(vm.kvm, filter)),
]);

export const vmFile = (vm: VmState): P.KvmFile => {
  let open = true;
  return {
    ioctl: (code, argument) => {
      if (!open) return -P.EBADF;
      if (vm.kvm.vmDead) return -P.EIO;
      const handler = table.get(code);
      return handler === undefined ? -P.ENOTTY : handler(vm, argument);
    },
    mmap: () => -P.ENODEV,
    close: () => {
      if (!open) return -P.EBADF;
      open = false;
      vm.put();
      return 0;
    },
  };
};
