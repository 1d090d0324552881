/**
 * /dev/kvm: the system's file, the table of descriptors, and VMs (virt/kvm/kvm_main.c).
 */

import * as P from '@vm/kvm-run';
import * as V from '@vm/kvm-run/vmx';
import { KvmCoalesced } from './coalesced.ts';
import { supportedCpuid } from './cpuid-supported.ts';
import { bytes, copyIn, tableOf, value, type Handler } from './files/dispatch.ts';
import { checkExtension, KVM_MAX_VCPU_IDS } from './files/extensions.ts';
import { putCpuid } from './files/vcpu-ioctls.ts';
import { vmFile } from './files/vm-file.ts';
import type { VmState } from './files/vm-state.ts';
import { createHostCpu, hardwareDisable, hardwareEnable, type HostTick } from './host/host-cpu.ts';
import { KvmIoBus } from './io-bus.ts';
import { KvmIoeventfds } from './ioeventfd.ts';
import { createKvmIrqState } from './irq/irq-state.ts';
import { kvmDestroyIrqchip } from './irq/irq.ts';
import { KvmIrqfds } from './irq/irqfd.ts';
import { kvmMmuUninitVm } from './mmu/mmu.ts';
import { EMULATED_MSRS, MSRS_TO_SAVE, storedMsrs } from './msr-list.ts';
import { KvmStatistics } from './statistics.ts';
import type { KvmTracer } from './trace.ts';
import type { HostCpu, Kvm, KvmGlobal } from './types.ts';
import { kvmArchVcpuDestroy } from './vcpu.ts';
import { setupVmcsConfig } from './vmx/capabilities.ts';
import { kvmUserReturnMsrCpuOnline } from './vmx/uret-msrs.ts';

export interface KvmOptions {
  readonly memory: P.HostMemory;
  /** The physical CPUs. vCPUs are spread over them in the order of their creation. */
  readonly processors: readonly V.Processor[];
  /**
   * A vCPU that halted waits for an event: sleeps until the processor is asked to look, or its TSC reaches `wakeAtTsc`
   * (Infinity: no timer). Returns false where the thread must not sleep: KVM_RUN then returns -EINTR.
   */
  readonly block?: (processor: V.Processor, wakeAtTsc: number) => boolean;
  /** Called at each tick of a physical CPU's timer; true: KVM_RUN returns -EINTR, as for a pending signal. */
  readonly tick?: HostTick;
  /** Ticks a second, 250 if not given. */
  readonly tickHz?: number;
  readonly tracer?: KvmTracer;
  /** Keeps exit statistics from the start. */
  readonly statistics?: boolean;
  /** Milliseconds since 1970 now. In deterministic mode always given by the caller, or a fixed date. */
  readonly realtime?: number;
}

/** The system's file, with what observers may turn on and off at any time. */
export interface KvmDevice extends P.KvmSystem {
  tracer: KvmTracer | null;
  statistics: KvmStatistics | null;
}

const FIXED_DATE = Date.UTC(2025, 0, 1);
const FIRST_DESCRIPTOR = 3;

const isEvent = (file: P.KvmFile | P.EventFd): file is P.EventFd => 'signal' in file;

class Global implements KvmGlobal {
  readonly memory: P.HostMemory;
  readonly cpus: readonly HostCpu[];
  readonly vmx: KvmGlobal['vmx'];
  readonly block: KvmGlobal['block'];
  readonly realtimeBase: number;
  tracer: KvmTracer | null;
  statistics: KvmStatistics | null;
  readonly #files: (P.KvmFile | P.EventFd | undefined)[] = [];

  constructor(options: KvmOptions) {
    const first = options.processors[0];
    if (first === undefined) throw new RangeError('openKvm: give at least one processor');
    this.memory = options.memory;
    this.vmx = setupVmcsConfig(first);
    this.cpus = options.processors.map((processor, index) => {
      const cpu = createHostCpu(options.memory, processor, index, options.tick ?? null, options.tickHz ?? 250);
      kvmUserReturnMsrCpuOnline(cpu);
      return cpu;
    });
    this.block = options.block ?? null;
    this.tracer = options.tracer ?? null;
    this.statistics = options.statistics === true ? new KvmStatistics() : null;
    const now = options.realtime ?? (first.deterministic ? FIXED_DATE : Date.now());
    this.realtimeBase = now - first.rdtsc() / first.tscKhz;
  }

  install(file: P.KvmFile | P.EventFd): number {
    let descriptor = FIRST_DESCRIPTOR;
    while (this.#files[descriptor] !== undefined) descriptor++;
    this.#files[descriptor] = file;
    return descriptor;
  }

  file(descriptor: number): P.KvmFile | undefined {
    const file = this.#files[descriptor];
    return file === undefined || isEvent(file) ? undefined : file;
  }

  event(descriptor: number): P.EventFd | undefined {
    const file = this.#files[descriptor];
    return file !== undefined && isEvent(file) ? file : undefined;
  }

  /** A file that gives its descriptor back when it is closed. */
  withDescriptor(file: P.KvmFile): number {
    const descriptor = this.install({
      ioctl: (code, argument) => file.ioctl(code, argument),
      mmap: (length, offset) => file.mmap(length, offset),
      close: () => {
        this.#files[descriptor] = undefined;
        return file.close();
      },
    });
    return descriptor;
  }
}

const newKvm = (global: KvmGlobal): Kvm => {
  const apicAccess = (global.vmx.secondary & V.SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES) !== 0;
  return {
    global,
    memory: global.memory,
    vcpus: [],
    memslots: [],
    memslotsGeneration: 0,
    irq: createKvmIrqState(),
    pioBus: new KvmIoBus(),
    mmioBus: new KvmIoBus(),
    fastMmioBus: new KvmIoBus(),
    hrtimers: global.cpus[0]!.hrtimers,
    mmu: null,
    vmDead: false,
    bspVcpuId: 0,
    maxVcpuIds: KVM_MAX_VCPU_IDS,
    disabledQuirks: 0,
    disabledExits: 0,
    exceptionPayloadEnabled: false,
    tripleFaultEvent: false,
    userSpaceMsrMask: 0,
    msrFilterDefaultAllow: true,
    msrFilter: [],
    busLockDetectionEnabled: false,
    notifyWindow: 0,
    notifyVmexitFlags: 0,
    hypercallExitEnabled: 0,
    exitOnEmulationError: false,
    manualDirtyLogProtect: 0,
    dirtyRingSize: 0,
    runningVcpu: null,
    // The guest's clock begins at zero.
    kvmclockOffset: -(global.cpus[0]!.processor.rdtsc() * 1e6) / global.cpus[0]!.processor.tscKhz,
    masterCycleNow: 0,
    masterKernelNs: 0,
    useMasterClock: false,
    lastTscHost: 0,
    lastTscWrite: 0n,
    lastTscKhz: 0,
    curTscOffset: 0n,
    defaultTscKhz: global.cpus[0]!.processor.tscKhz,
    tssAddr: 0,
    identityMapAddr: 0,
    wallClock: 0n,
    wallClockVersion: 0,
    apicAccessPage: apicAccess ? global.memory.allocPages(1) : 0,
  };
};

/** kvm_destroy_vm */
const destroyVm = (kvm: Kvm, vm: VmState): void => {
  vm.irqfds.release();
  vm.ioeventfds.release();
  for (const vcpu of kvm.vcpus) kvmArchVcpuDestroy(vcpu);
  kvm.vcpus.length = 0;
  kvmDestroyIrqchip(kvm);
  kvmMmuUninitVm(kvm);
  if (kvm.apicAccessPage !== 0) kvm.memory.free(kvm.apicAccessPage, 1);
  kvm.vmDead = true;
  for (const cpu of kvm.global.cpus) hardwareDisable(cpu);
};

/** kvm_dev_ioctl_create_vm: `type` must be 0. */
const createVm = (global: Global, type: number): number => {
  if (type !== 0) return -P.EINVAL;
  for (const cpu of global.cpus) hardwareEnable(cpu);
  let kvm: Kvm;
  try {
    kvm = newKvm(global);
  } catch (error) {
    for (const cpu of global.cpus) hardwareDisable(cpu);
    if (error instanceof P.OutOfHostMemory) return -P.ENOMEM;
    throw error;
  }
  // The VM lives as long as its file or a vCPU's is open.
  let users = 1;
  const vm: VmState = {
    kvm,
    irqfds: new KvmIrqfds(kvm),
    ioeventfds: new KvmIoeventfds(kvm),
    coalesced: new KvmCoalesced(kvm),
    install: (file) => global.withDescriptor(file),
    event: (descriptor) => global.event(descriptor),
    get: () => void users++,
    put: () => {
      if (--users === 0) destroyVm(kvm, vm);
    },
  };
  return global.withDescriptor(vmFile(vm));
};

const msrIndexList = (indices: readonly number[], argument: Uint8Array): number => {
  const header = P.view(P.kvmMsrList, argument);
  const room = header.nmsrs;
  header.nmsrs = indices.length;
  if (room < indices.length) return -P.E2BIG;
  if (argument.length < 4 + indices.length * 4) return -P.EFAULT;
  const view = new DataView(argument.buffer, argument.byteOffset, argument.byteLength);
  indices.forEach((index, i) => view.setUint32(4 + i * 4, index, true));
  return 0;
};

const savedMsrs = (): readonly number[] => {
  const stored = storedMsrs.filter((entry) => entry.save).flatMap((entry) => Array.from({ length: entry.count }, (_, i) => entry.index + i));
  return [...new Set([...MSRS_TO_SAVE, ...EMULATED_MSRS, ...stored])].filter((index) => index !== 0x4d0);
};

/** MSRs that describe the host: values that do not depend on a vCPU. */
const FEATURE_MSRS: readonly number[] = [
  V.MSR_IA32_UCODE_REV,
  V.MSR_IA32_ARCH_CAPABILITIES,
];

const getFeatureMsrs = (_global: Global, argument: Uint8Array): number => {
  const { nmsrs } = P.view(P.kvmMsrs, copyIn(argument, P.kvmMsrs.size)!);
  if (nmsrs >= 256) return -P.E2BIG;
  if (argument.length < P.kvmMsrs.size + nmsrs * P.kvmMsrEntry.size) return -P.EFAULT;
  const view = new DataView(argument.buffer, argument.byteOffset, argument.byteLength);
  for (let i = 0; i < nmsrs; i++) {
    const at = P.kvmMsrs.size + i * P.kvmMsrEntry.size;
    const index = view.getUint32(at, true);
    if (!FEATURE_MSRS.includes(index)) return i;
    view.setBigUint64(at + 8, index === V.MSR_IA32_UCODE_REV ? 1n << 32n : 0n, true);
  }
  return nmsrs;
};

const getSupportedCpuid = (global: Global, argument: Uint8Array): number => {
  const { nent } = P.view(P.kvmCpuid2, copyIn(argument, P.kvmCpuid2.size)!);
  return nent < 1 ? -P.E2BIG : putCpuid(supportedCpuid(global.cpus[0]!.processor), argument);
};

const table: ReadonlyMap<number, Handler<Global>> = tableOf<Global>([
  value(P.KVM_GET_API_VERSION, (_global, argument) => (argument === 0 ? P.KVM_API_VERSION : -P.EINVAL)),
  value(P.KVM_CREATE_VM, createVm),
  value(P.KVM_CHECK_EXTENSION, checkExtension),
  value(P.KVM_GET_VCPU_MMAP_SIZE, (_global, argument) => (argument === 0 ? P.VCPU_MMAP_SIZE : -P.EINVAL)),
  bytes(P.KVM_GET_SUPPORTED_CPUID, P.kvmCpuid2.size, getSupportedCpuid),
  // The emulator knows no instruction whose CPUID bit the processor lacks.
  bytes(P.KVM_GET_EMULATED_CPUID, P.kvmCpuid2.size, (_global, argument) => putCpuid([], argument)),
  bytes(P.KVM_GET_MSR_INDEX_LIST, P.kvmMsrList.size, (_global, argument) => msrIndexList(savedMsrs(), argument)),
  bytes(P.KVM_GET_MSR_FEATURE_INDEX_LIST, P.kvmMsrList.size, (_global, argument) => msrIndexList(FEATURE_MSRS, argument)),
  bytes(P.KVM_GET_MSRS, P.kvmMsrs.size, getFeatureMsrs),
  bytes(P.KVM_X86_GET_MCE_CAP_SUPPORTED, 8, (_global, argument) => {
    const cap = new Uint8Array(8);
    // 32 banks, with IA32_MCG_CTL.
    new DataView(cap.buffer).setBigUint64(0, 0x120n, true);
    argument.set(cap);
    return 0;
  }),
]);

/** Opens /dev/kvm on physical CPUs: sets up the host kernel on them. Throws when they lack what KVM needs. */
export const openKvm = (options: KvmOptions): KvmDevice => {
  const global = new Global(options);
  return {
    get tracer(): KvmTracer | null {
      return global.tracer;
    },
    set tracer(tracer: KvmTracer | null) {
      global.tracer = tracer;
    },
    get statistics(): KvmStatistics | null {
      return global.statistics;
    },
    set statistics(statistics: KvmStatistics | null) {
      global.statistics = statistics;
    },
    ioctl: (code, argument) => {
      const handler = table.get(code);
      return handler === undefined ? -P.EINVAL : handler(global, argument);
    },
    mmap: () => -P.ENODEV,
    close: () => 0,
    file: (descriptor) => global.file(descriptor),
    install: (event) => global.install(event),
  };
};
