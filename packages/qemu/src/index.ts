/** QEMU's part: the vCPU thread around KVM_RUN, the memory API, device models, loaders, and the microvm machine. */

export { Microvm, createMicrovm } from './hw/i386/microvm.ts';
export type { MicrovmOptions } from './hw/i386/microvm-options.ts';
export type { MicrovmDevices } from './hw/i386/microvm-devices.ts';
export { EXIT_DATA, EXIT_GUEST_CRASH, EXIT_POWEROFF, EXIT_SOFTWARE, EXIT_USAGE, MachineError } from './system/exit-status.ts';
export type { ExitCause, ExitStatus } from './system/exit-status.ts';
export { RunState } from './system/runstate.ts';
export type { RunActions } from './system/runstate.ts';
export { CharBuffer, CharInput } from './system/chardev.ts';
export type { CharBackend, CharFrontend } from './system/chardev.ts';
export { NANOSECONDS_PER_SECOND, QemuTimer } from './system/timer.ts';
export type { TimerService } from './system/timer.ts';
export { qemuIrqOnChange, unconnectedIrq } from './system/irq.ts';
export type { QemuIrq } from './system/irq.ts';
export { MemoryRegion } from './system/memory-region.ts';
export type { AccessSizes, MemoryRegionEventFd, MemoryRegionKind, MemoryRegionOps, Range, Subregion } from './system/memory-region.ts';
export { FlatView, generateFlatView } from './system/flat-view.ts';
export type { FlatCoalesced, FlatEventFd, FlatRange } from './system/flat-view.ts';
export { AddressSpace } from './system/address-space.ts';
export type { MemoryListener, UnassignedAccesses } from './system/address-space.ts';
export { IO_PORTS, IoPortSpace } from './system/io-port-space.ts';

export { KvmState, kvmInit } from './accel/kvm/kvm-all.ts';
export type { KvmInitOptions } from './accel/kvm/kvm-all.ts';
export { KvmError } from './accel/kvm/kvm-error.ts';
export { KvmMemoryListener, kvmIoListener } from './accel/kvm/kvm-memory-listener.ts';
export { CpuState } from './accel/kvm/cpu-state.ts';
export type { CpuOptions } from './accel/kvm/cpu-state.ts';
export { EXCP_DEBUG, EXCP_HLT, EXCP_INTERRUPT, kvmCpuExec } from './accel/kvm/kvm-cpu-exec.ts';
export { kvmFlushCoalescedMmioBuffer, kvmHandleIo, kvmHandleMmio } from './accel/kvm/kvm-io.ts';
export { cpuCanRun, qemuKvmCpuThreadFn } from './accel/kvm/kvm-cpus.ts';
export type { WaitIoEvent } from './accel/kvm/kvm-cpus.ts';
export { X86Env, setSegment } from './target/i386/env.ts';
export type { SegmentAttributes, SegmentView } from './target/i386/env.ts';
export { cpuDumpState } from './target/i386/cpu-dump.ts';
export { kvmArchSetCpuid, kvmGetSupportedCpuid } from './target/i386/kvm/cpuid.ts';
export type { CpuidEntry, CpuidOptions } from './target/i386/kvm/cpuid.ts';
export {
  KVM_PUT_RESET_STATE,
  KVM_PUT_RUNTIME_STATE,
  cpuSynchronizeState,
  kvmArchGetRegisters,
  kvmArchPutRegisters,
} from './target/i386/kvm/registers.ts';

export { SerialState } from './hw/char/serial.ts';
export type { SerialOptions } from './hw/char/serial.ts';
export { MC146818RtcState } from './hw/rtc/mc146818rtc.ts';
export { I8042State } from './hw/input/i8042.ts';
export type { I8042Options } from './hw/input/i8042.ts';
export { FwCfgState } from './hw/nvram/fw-cfg.ts';
export { AcpiPmState, ResetControl } from './hw/acpi/acpi-pm.ts';
export type { AcpiPmOptions } from './hw/acpi/acpi-pm.ts';

export { LoaderError } from './hw/i386/boot/loader-error.ts';
export { MemoryPlan } from './hw/i386/boot/memory-plan.ts';
export { loadKernel } from './hw/i386/boot/load-kernel.ts';
export type { BootImage, BootModule, KernelEntry, KernelOptions, LoaderContext, RomBlob } from './hw/i386/boot/boot-image.ts';
export { compressionFormat, decompressors } from './hw/i386/boot/decompress/index.ts';
export type { CompressionFormat, Decompressor, Decompressors } from './hw/i386/boot/decompress/index.ts';
export { e820Table, splitRam } from './hw/i386/e820.ts';
export type { E820Entry, RamSplit } from './hw/i386/e820.ts';
