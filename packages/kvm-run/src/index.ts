/**
 * The contract between userspace (QEMU's part), KVM, and the processor: the shared kvm_run structure, ioctl codes and
 * structures, host memory. What only KVM and the processor share is in `@vm/kvm-run/vmx`.
 */

export { PAGE_SIZE, PAGE_SHIFT, MAX_PAGES, PAGE_HAS_CODE, HostMemory, OutOfHostMemory } from './memory/host-memory.ts';
export type { CodeWriteListener } from './memory/host-memory.ts';
export type { EventFd, IoctlArgument, KvmFile, KvmSystem } from './kvm-file.ts';
export { createEventFd } from './event-fd.ts';
export * from './errno.ts';
export * from './exits.ts';
export * from './flags.ts';
export * from './para.ts';
export * from './ioctls.ts';
export * from './capabilities.ts';
export {
  KVM_COALESCED_MMIO_MAX,
  KVM_COALESCED_MMIO_PAGE_OFFSET,
  KVM_DIRTY_LOG_PAGE_OFFSET,
  KVM_PIO_PAGE_OFFSET,
  KVM_RUN_SIZE,
  KvmRun,
  VCPU_MMAP_SIZE,
  kvmRunOffsets,
} from './kvm-run.ts';
export { readExit } from './kvm-exit.ts';
export type { IoExit, KvmExit, MmioExit, MsrExit } from './kvm-exit.ts';
export { allocate, bytesOf, view } from './structs/layout.ts';
export type { Field, Layout, ScalarType, View } from './structs/layout.ts';
export { structs } from './structs/registry.ts';
export type { Structs } from './structs/registry.ts';
export {
  kvmRegs,
  kvmSegment,
  kvmDtable,
  kvmSregs,
  kvmSregs2,
  kvmFpu,
  kvmXsave,
  kvmXcr,
  kvmXcrs,
  kvmDebugregs,
  kvmTranslation,
  kvmOneReg,
  kvmRegList,
} from './structs/regs.ts';
export {
  kvmMsrEntry,
  kvmMsrs,
  kvmMsrList,
  kvmMsrFilterRange,
  kvmMsrFilter,
  kvmCpuidEntry,
  kvmCpuid,
  kvmCpuidEntry2,
  kvmCpuid2,
  kvmPmuEventFilter,
  kvmX86Mce,
} from './structs/msrs.ts';
export {
  kvmMemoryRegion,
  kvmUserspaceMemoryRegion,
  kvmMemoryAlias,
  kvmDirtyLog,
  kvmClearDirtyLog,
  kvmDirtyGfn,
  kvmEncRegion,
} from './structs/memory.ts';
export {
  kvmIrqLevel,
  kvmPicState,
  kvmIoapicState,
  kvmIrqchip,
  kvmLapicState,
  kvmPitConfig,
  kvmPitChannelState,
  kvmPitState,
  kvmPitState2,
  kvmReinjectControl,
  kvmIrqRoutingIrqchip,
  kvmIrqRoutingMsi,
  kvmIrqRoutingEntry,
  kvmIrqRouting,
  kvmIrqfd,
  kvmMsi,
  kvmInterrupt,
  kvmMpState,
  kvmTprAccessCtl,
  kvmVapicAddr,
} from './structs/irqchip.ts';
export {
  kvmVcpuEventsException,
  kvmVcpuEventsInterrupt,
  kvmVcpuEventsNmi,
  kvmVcpuEventsSmi,
  kvmVcpuEventsTripleFault,
  kvmVcpuEvents,
  kvmGuestDebugArch,
  kvmGuestDebug,
  kvmDebugExitArch,
  kvmSyncRegs,
  kvmNestedState,
  kvmSignalMask,
} from './structs/events.ts';
export {
  kvmCoalescedMmioZone,
  kvmCoalescedMmio,
  kvmCoalescedMmioRing,
  kvmIoeventfd,
} from './structs/io.ts';
export {
  kvmEnableCap,
  kvmClockData,
  kvmCreateDevice,
  kvmDeviceAttr,
  kvmHypervEventfd,
  kvmXenHvmConfig,
} from './structs/system.ts';
