/** The VM behind the accelerator (accel/kvm/kvm-all.c): opening it, its capabilities, its interrupt lines. */

import {
  EINTR,
  KVM_API_VERSION,
  KVM_CAP_COALESCED_MMIO,
  KVM_CAP_COALESCED_PIO,
  KVM_CAP_DESTROY_MEMORY_REGION_WORKS,
  KVM_CAP_EXT_CPUID,
  KVM_CAP_IMMEDIATE_EXIT,
  KVM_CAP_IRQCHIP,
  KVM_CAP_MP_STATE,
  KVM_CAP_NR_MEMSLOTS,
  KVM_CAP_PIT2,
  KVM_CAP_READONLY_MEM,
  KVM_CAP_SET_IDENTITY_MAP_ADDR,
  KVM_CAP_SET_TSS_ADDR,
  KVM_CAP_USER_MEMORY,
  KVM_CHECK_EXTENSION,
  KVM_CREATE_IRQCHIP,
  KVM_CREATE_PIT2,
  KVM_CREATE_VM,
  KVM_GET_API_VERSION,
  KVM_GET_VCPU_MMAP_SIZE,
  KVM_IRQ_LINE,
  KVM_PIT_SPEAKER_DUMMY,
  KVM_SET_IDENTITY_MAP_ADDR,
  KVM_SET_TSS_ADDR,
  VCPU_MMAP_SIZE,
  allocate,
  kvmIrqLevel,
  kvmPitConfig,
  view,
  type EventFd,
  type HostMemory,
  type IoctlArgument,
  type KvmFile,
  type KvmSystem,
} from '@vm/kvm-run';
import type { QemuIrq } from '../../system/irq.ts';
import { KvmError, checkIoctl, ioctlName } from './kvm-error.ts';

/** What this userspace cannot do without (kvm_required_capabilites, kvm_arch_required_capabilities). */
const REQUIRED: readonly (readonly [capability: number, name: string])[] = [
  [KVM_CAP_USER_MEMORY, 'KVM_CAP_USER_MEMORY'],
  [KVM_CAP_DESTROY_MEMORY_REGION_WORKS, 'KVM_CAP_DESTROY_MEMORY_REGION_WORKS'],
  [KVM_CAP_IMMEDIATE_EXIT, 'KVM_CAP_IMMEDIATE_EXIT'],
  [KVM_CAP_SET_TSS_ADDR, 'KVM_CAP_SET_TSS_ADDR'],
  [KVM_CAP_EXT_CPUID, 'KVM_CAP_EXT_CPUID'],
  [KVM_CAP_MP_STATE, 'KVM_CAP_MP_STATE'],
  [KVM_CAP_IRQCHIP, 'KVM_CAP_IRQCHIP'],
  [KVM_CAP_PIT2, 'KVM_CAP_PIT2'],
];

export interface KvmInitOptions {
  readonly system: KvmSystem;
  readonly memory: HostMemory;
  /** Guest-physical address of the page for real mode's identity map; the three pages after it are the TSS's. */
  readonly identityBase: number;
}

/** KVMState. */
export class KvmState {
  readonly system: KvmSystem;
  readonly vm: KvmFile;
  readonly memory: HostMemory;
  readonly vcpuMmapSize: number;
  readonly memorySlots: number;
  readonly coalescedMmio: boolean;
  readonly coalescedPio: boolean;
  readonly readonlyMem: boolean;
  readonly #descriptors: WeakMap<EventFd, number> = new WeakMap();
  readonly #irqLevel: Uint8Array = allocate(kvmIrqLevel);
  readonly #irqWords: Uint32Array = new Uint32Array(this.#irqLevel.buffer);

  constructor(system: KvmSystem, vm: KvmFile, memory: HostMemory, vcpuMmapSize: number) {
    this.system = system;
    this.vm = vm;
    this.memory = memory;
    this.vcpuMmapSize = vcpuMmapSize;
    this.memorySlots = this.kvmCheckExtension(KVM_CAP_NR_MEMSLOTS) || 32;
    this.coalescedMmio = this.kvmCheckExtension(KVM_CAP_COALESCED_MMIO) > 0;
    this.coalescedPio = this.coalescedMmio && this.kvmCheckExtension(KVM_CAP_COALESCED_PIO) > 0;
    this.readonlyMem = this.kvmCheckExtension(KVM_CAP_READONLY_MEM) > 0;
  }

  /** kvm_check_extension: 0 when there is none. */
  kvmCheckExtension(capability: number): number {
    return Math.max(0, this.system.ioctl(KVM_CHECK_EXTENSION, capability));
  }

  /** kvm_vm_ioctl: the result, negative on error. */
  kvmVmIoctl(code: number, argument?: IoctlArgument): number {
    return this.vm.ioctl(code, argument);
  }

  /** Drives an interrupt line of the in-kernel chips (kvm_set_irq). */
  kvmSetIrq(gsi: number, level: boolean): void {
    this.#irqWords[0] = gsi;
    this.#irqWords[1] = level ? 1 : 0;
    this.vm.ioctl(KVM_IRQ_LINE, this.#irqLevel);
  }

  /** The line of a GSI, for a device. */
  gsi(gsi: number): QemuIrq {
    return (level) => this.kvmSetIrq(gsi, level);
  }

  /** The descriptor under which KVM knows an event counter. */
  descriptorOf(event: EventFd): number {
    const descriptor = this.#descriptors.get(event) ?? this.system.install(event);
    this.#descriptors.set(event, descriptor);
    return descriptor;
  }

  close(): void {
    this.vm.close();
  }
}

/** Opens a VM with the in-kernel irqchip and PIT (kvm_init, kvm_arch_init). */
export function kvmInit(options: KvmInitOptions): KvmState {
  const { system, memory } = options;
  const version = system.ioctl(KVM_GET_API_VERSION, 0);
  if (version !== KVM_API_VERSION)
    throw new KvmError('KVM_GET_API_VERSION', version < 0 ? -version : 0, `version ${version}, not ${KVM_API_VERSION}`);
  for (const [capability, name] of REQUIRED)
    if (system.ioctl(KVM_CHECK_EXTENSION, capability) <= 0) throw new KvmError('KVM_CHECK_EXTENSION', 0, `KVM lacks ${name}`);
  const mmapSize = checkIoctl(KVM_GET_VCPU_MMAP_SIZE, system.ioctl(KVM_GET_VCPU_MMAP_SIZE, 0));
  if (mmapSize < VCPU_MMAP_SIZE) throw new KvmError('KVM_GET_VCPU_MMAP_SIZE', 0, `${mmapSize} bytes, not at least ${VCPU_MMAP_SIZE}`);
  const kvm = new KvmState(system, createVm(system), memory, mmapSize);
  kvmArchInit(kvm, options.identityBase);
  return kvm;
}

function createVm(system: KvmSystem): KvmFile {
  let descriptor: number;
  do descriptor = system.ioctl(KVM_CREATE_VM, 0);
  while (descriptor === -EINTR);
  const vm = system.file(checkIoctl(KVM_CREATE_VM, descriptor));
  if (vm === undefined) throw new KvmError(ioctlName(KVM_CREATE_VM), 0, `descriptor ${descriptor} is no open file`);
  return vm;
}

function kvmArchInit(kvm: KvmState, identityBase: number): void {
  const vmIoctl = (code: number, argument: IoctlArgument): number => checkIoctl(code, kvm.kvmVmIoctl(code, argument));
  if (kvm.kvmCheckExtension(KVM_CAP_SET_IDENTITY_MAP_ADDR) > 0) {
    const address = new Uint8Array(8);
    new DataView(address.buffer).setBigUint64(0, BigInt(identityBase), true);
    vmIoctl(KVM_SET_IDENTITY_MAP_ADDR, address);
  }
  vmIoctl(KVM_SET_TSS_ADDR, identityBase + 0x1000);
  vmIoctl(KVM_CREATE_IRQCHIP, 0);
  const pit = allocate(kvmPitConfig);
  view(kvmPitConfig, pit).flags = KVM_PIT_SPEAKER_DUMMY;
  vmIoctl(KVM_CREATE_PIT2, pit);
}
