/**
 * The ioctl codes of KVM for x86, as linux/kvm.h of Linux 6.1 defines them: direction, size of the argument's structure,
 * type 0xAE and number in one u32. Low bytes repeat between the levels of files, whole codes do not.
 */

import { kvmGuestDebug, kvmNestedState, kvmSignalMask, kvmVcpuEvents } from './structs/events.ts';
import { kvmCoalescedMmioZone, kvmIoeventfd } from './structs/io.ts';
import { kvmInterrupt, kvmIrqLevel, kvmIrqRouting, kvmIrqchip, kvmIrqfd, kvmLapicState, kvmMpState, kvmMsi, kvmPitConfig, kvmPitState, kvmPitState2, kvmTprAccessCtl, kvmVapicAddr } from './structs/irqchip.ts';
import { kvmClearDirtyLog, kvmDirtyLog, kvmEncRegion, kvmMemoryAlias, kvmMemoryRegion, kvmUserspaceMemoryRegion } from './structs/memory.ts';
import { kvmCpuid, kvmCpuid2, kvmMsrFilter, kvmMsrList, kvmMsrs, kvmPmuEventFilter, kvmX86Mce } from './structs/msrs.ts';
import { kvmDebugregs, kvmFpu, kvmOneReg, kvmRegList, kvmRegs, kvmSregs, kvmSregs2, kvmTranslation, kvmXcrs, kvmXsave } from './structs/regs.ts';
import { kvmClockData, kvmCreateDevice, kvmDeviceAttr, kvmEnableCap, kvmHypervEventfd, kvmXenHvmConfig } from './structs/system.ts';

const KVMIO = 0xae;
const ioc = (direction: number, nr: number, size: number): number => ((direction << 30) | (size << 16) | (KVMIO << 8) | nr) >>> 0;
const _IO = (nr: number): number => ioc(0, nr, 0);
const _IOW = (nr: number, size: number): number => ioc(1, nr, size);
const _IOR = (nr: number, size: number): number => ioc(2, nr, size);
const _IOWR = (nr: number, size: number): number => ioc(3, nr, size);

/** Bytes of the structure that a code says it passes. */
export const ioctlSize = (code: number): number => (code >>> 16) & 0x3fff;
/** True: the kernel reads the structure (userspace writes). The kernel's headers have a few the wrong way round. */
export const ioctlWrites = (code: number): boolean => (code >>> 30 & 1) !== 0;
/** True: the kernel writes the structure. */
export const ioctlReads = (code: number): boolean => (code >>> 30 & 2) !== 0;

// ---- ioctls of /dev/kvm
export const KVM_GET_API_VERSION: number = _IO(0x00);
export const KVM_CREATE_VM: number = _IO(0x01);
export const KVM_GET_MSR_INDEX_LIST: number = _IOWR(0x02, kvmMsrList.size);
export const KVM_CHECK_EXTENSION: number = _IO(0x03);
export const KVM_GET_VCPU_MMAP_SIZE: number = _IO(0x04);
export const KVM_GET_SUPPORTED_CPUID: number = _IOWR(0x05, kvmCpuid2.size);
export const KVM_GET_EMULATED_CPUID: number = _IOWR(0x09, kvmCpuid2.size);
export const KVM_GET_MSR_FEATURE_INDEX_LIST: number = _IOWR(0x0a, kvmMsrList.size);

// ---- ioctls of VM files
export const KVM_SET_MEMORY_REGION: number = _IOW(0x40, kvmMemoryRegion.size);
export const KVM_CREATE_VCPU: number = _IO(0x41);
export const KVM_GET_DIRTY_LOG: number = _IOW(0x42, kvmDirtyLog.size);
export const KVM_SET_MEMORY_ALIAS: number = _IOW(0x43, kvmMemoryAlias.size);
export const KVM_SET_NR_MMU_PAGES: number = _IO(0x44);
export const KVM_GET_NR_MMU_PAGES: number = _IO(0x45);
export const KVM_SET_USER_MEMORY_REGION: number = _IOW(0x46, kvmUserspaceMemoryRegion.size);
export const KVM_SET_TSS_ADDR: number = _IO(0x47);
export const KVM_SET_IDENTITY_MAP_ADDR: number = _IOW(0x48, 8);
export const KVM_CREATE_IRQCHIP: number = _IO(0x60);
export const KVM_IRQ_LINE: number = _IOW(0x61, kvmIrqLevel.size);
export const KVM_GET_IRQCHIP: number = _IOWR(0x62, kvmIrqchip.size);
export const KVM_SET_IRQCHIP: number = _IOR(0x63, kvmIrqchip.size);
export const KVM_CREATE_PIT: number = _IO(0x64);
export const KVM_GET_PIT: number = _IOWR(0x65, kvmPitState.size);
export const KVM_SET_PIT: number = _IOR(0x66, kvmPitState.size);
export const KVM_IRQ_LINE_STATUS: number = _IOWR(0x67, kvmIrqLevel.size);
export const KVM_REGISTER_COALESCED_MMIO: number = _IOW(0x67, kvmCoalescedMmioZone.size);
export const KVM_UNREGISTER_COALESCED_MMIO: number = _IOW(0x68, kvmCoalescedMmioZone.size);
export const KVM_SET_GSI_ROUTING: number = _IOW(0x6a, kvmIrqRouting.size);
export const KVM_REINJECT_CONTROL: number = _IO(0x71);
export const KVM_IRQFD: number = _IOW(0x76, kvmIrqfd.size);
export const KVM_CREATE_PIT2: number = _IOW(0x77, kvmPitConfig.size);
export const KVM_SET_BOOT_CPU_ID: number = _IO(0x78);
export const KVM_IOEVENTFD: number = _IOW(0x79, kvmIoeventfd.size);
export const KVM_XEN_HVM_CONFIG: number = _IOW(0x7a, kvmXenHvmConfig.size);
export const KVM_SET_CLOCK: number = _IOW(0x7b, kvmClockData.size);
export const KVM_GET_CLOCK: number = _IOR(0x7c, kvmClockData.size);
export const KVM_GET_PIT2: number = _IOR(0x9f, kvmPitState2.size);
export const KVM_SET_PIT2: number = _IOW(0xa0, kvmPitState2.size);
export const KVM_SIGNAL_MSI: number = _IOW(0xa5, kvmMsi.size);
export const KVM_SET_PMU_EVENT_FILTER: number = _IOW(0xb2, kvmPmuEventFilter.size);
export const KVM_MEMORY_ENCRYPT_OP: number = _IOWR(0xba, 8);
export const KVM_MEMORY_ENCRYPT_REG_REGION: number = _IOR(0xbb, kvmEncRegion.size);
export const KVM_MEMORY_ENCRYPT_UNREG_REGION: number = _IOR(0xbc, kvmEncRegion.size);
export const KVM_HYPERV_EVENTFD: number = _IOW(0xbd, kvmHypervEventfd.size);
export const KVM_CLEAR_DIRTY_LOG: number = _IOWR(0xc0, kvmClearDirtyLog.size);
export const KVM_X86_SET_MSR_FILTER: number = _IOW(0xc6, kvmMsrFilter.size);
export const KVM_RESET_DIRTY_RINGS: number = _IO(0xc7);
export const KVM_CREATE_DEVICE: number = _IOWR(0xe0, kvmCreateDevice.size);

// ---- ioctls of VM and vCPU files
export const KVM_SET_TSC_KHZ: number = _IO(0xa2);
export const KVM_ENABLE_CAP: number = _IOW(0xa3, kvmEnableCap.size);
export const KVM_GET_TSC_KHZ: number = _IO(0xa3);
export const KVM_GET_STATS_FD: number = _IO(0xce);

// ---- ioctls of vCPU files
export const KVM_RUN: number = _IO(0x80);
export const KVM_GET_REGS: number = _IOR(0x81, kvmRegs.size);
export const KVM_SET_REGS: number = _IOW(0x82, kvmRegs.size);
export const KVM_GET_SREGS: number = _IOR(0x83, kvmSregs.size);
export const KVM_SET_SREGS: number = _IOW(0x84, kvmSregs.size);
export const KVM_TRANSLATE: number = _IOWR(0x85, kvmTranslation.size);
export const KVM_INTERRUPT: number = _IOW(0x86, kvmInterrupt.size);
export const KVM_GET_MSRS: number = _IOWR(0x88, kvmMsrs.size);
export const KVM_SET_MSRS: number = _IOW(0x89, kvmMsrs.size);
export const KVM_SET_CPUID: number = _IOW(0x8a, kvmCpuid.size);
export const KVM_SET_SIGNAL_MASK: number = _IOW(0x8b, kvmSignalMask.size);
export const KVM_GET_FPU: number = _IOR(0x8c, kvmFpu.size);
export const KVM_SET_FPU: number = _IOW(0x8d, kvmFpu.size);
export const KVM_GET_LAPIC: number = _IOR(0x8e, kvmLapicState.size);
export const KVM_SET_LAPIC: number = _IOW(0x8f, kvmLapicState.size);
export const KVM_SET_CPUID2: number = _IOW(0x90, kvmCpuid2.size);
export const KVM_GET_CPUID2: number = _IOWR(0x91, kvmCpuid2.size);
export const KVM_TPR_ACCESS_REPORTING: number = _IOWR(0x92, kvmTprAccessCtl.size);
export const KVM_SET_VAPIC_ADDR: number = _IOW(0x93, kvmVapicAddr.size);
export const KVM_GET_MP_STATE: number = _IOR(0x98, kvmMpState.size);
export const KVM_SET_MP_STATE: number = _IOW(0x99, kvmMpState.size);
export const KVM_NMI: number = _IO(0x9a);
export const KVM_SET_GUEST_DEBUG: number = _IOW(0x9b, kvmGuestDebug.size);
export const KVM_X86_SETUP_MCE: number = _IOW(0x9c, 8);
export const KVM_X86_GET_MCE_CAP_SUPPORTED: number = _IOR(0x9d, 8);
export const KVM_X86_SET_MCE: number = _IOW(0x9e, kvmX86Mce.size);
export const KVM_GET_VCPU_EVENTS: number = _IOR(0x9f, kvmVcpuEvents.size);
export const KVM_SET_VCPU_EVENTS: number = _IOW(0xa0, kvmVcpuEvents.size);
export const KVM_GET_DEBUGREGS: number = _IOR(0xa1, kvmDebugregs.size);
export const KVM_SET_DEBUGREGS: number = _IOW(0xa2, kvmDebugregs.size);
export const KVM_GET_XSAVE: number = _IOR(0xa4, kvmXsave.size);
export const KVM_SET_XSAVE: number = _IOW(0xa5, kvmXsave.size);
export const KVM_GET_XCRS: number = _IOR(0xa6, kvmXcrs.size);
export const KVM_SET_XCRS: number = _IOW(0xa7, kvmXcrs.size);
export const KVM_GET_ONE_REG: number = _IOW(0xab, kvmOneReg.size);
export const KVM_SET_ONE_REG: number = _IOW(0xac, kvmOneReg.size);
export const KVM_KVMCLOCK_CTRL: number = _IO(0xad);
export const KVM_GET_REG_LIST: number = _IOWR(0xb0, kvmRegList.size);
export const KVM_SMI: number = _IO(0xb7);
export const KVM_GET_NESTED_STATE: number = _IOWR(0xbe, kvmNestedState.size);
export const KVM_SET_NESTED_STATE: number = _IOW(0xbf, kvmNestedState.size);
export const KVM_GET_SUPPORTED_HV_CPUID: number = _IOWR(0xc1, kvmCpuid2.size);
export const KVM_GET_SREGS2: number = _IOR(0xcc, kvmSregs2.size);
export const KVM_SET_SREGS2: number = _IOW(0xcd, kvmSregs2.size);
export const KVM_GET_XSAVE2: number = _IOR(0xcf, kvmXsave.size);

// ---- ioctls of device files
export const KVM_SET_DEVICE_ATTR: number = _IOW(0xe1, kvmDeviceAttr.size);
export const KVM_GET_DEVICE_ATTR: number = _IOW(0xe2, kvmDeviceAttr.size);
export const KVM_HAS_DEVICE_ATTR: number = _IOW(0xe3, kvmDeviceAttr.size);

/** Names by code, for messages and traces. */
export const ioctlNames: ReadonlyMap<number, string> = new Map<number, string>(
  Object.entries({
    KVM_GET_API_VERSION,
    KVM_CREATE_VM,
    KVM_GET_MSR_INDEX_LIST,
    KVM_CHECK_EXTENSION,
    KVM_GET_VCPU_MMAP_SIZE,
    KVM_GET_SUPPORTED_CPUID,
    KVM_GET_EMULATED_CPUID,
    KVM_GET_MSR_FEATURE_INDEX_LIST,
    KVM_SET_MEMORY_REGION,
    KVM_CREATE_VCPU,
    KVM_GET_DIRTY_LOG,
    KVM_SET_MEMORY_ALIAS,
    KVM_SET_NR_MMU_PAGES,
    KVM_GET_NR_MMU_PAGES,
    KVM_SET_USER_MEMORY_REGION,
    KVM_SET_TSS_ADDR,
    KVM_SET_IDENTITY_MAP_ADDR,
    KVM_CREATE_IRQCHIP,
    KVM_IRQ_LINE,
    KVM_GET_IRQCHIP,
    KVM_SET_IRQCHIP,
    KVM_CREATE_PIT,
    KVM_GET_PIT,
    KVM_SET_PIT,
    KVM_IRQ_LINE_STATUS,
    KVM_REGISTER_COALESCED_MMIO,
    KVM_UNREGISTER_COALESCED_MMIO,
    KVM_SET_GSI_ROUTING,
    KVM_REINJECT_CONTROL,
    KVM_IRQFD,
    KVM_CREATE_PIT2,
    KVM_SET_BOOT_CPU_ID,
    KVM_IOEVENTFD,
    KVM_XEN_HVM_CONFIG,
    KVM_SET_CLOCK,
    KVM_GET_CLOCK,
    KVM_RUN,
    KVM_GET_REGS,
    KVM_SET_REGS,
    KVM_GET_SREGS,
    KVM_SET_SREGS,
    KVM_TRANSLATE,
    KVM_INTERRUPT,
    KVM_GET_MSRS,
    KVM_SET_MSRS,
    KVM_SET_CPUID,
    KVM_SET_SIGNAL_MASK,
    KVM_GET_FPU,
    KVM_SET_FPU,
    KVM_GET_LAPIC,
    KVM_SET_LAPIC,
    KVM_SET_CPUID2,
    KVM_GET_CPUID2,
    KVM_TPR_ACCESS_REPORTING,
    KVM_SET_VAPIC_ADDR,
    KVM_GET_MP_STATE,
    KVM_SET_MP_STATE,
    KVM_NMI,
    KVM_SET_GUEST_DEBUG,
    KVM_X86_SETUP_MCE,
    KVM_X86_GET_MCE_CAP_SUPPORTED,
    KVM_X86_SET_MCE,
    KVM_GET_PIT2,
    KVM_GET_VCPU_EVENTS,
    KVM_SET_PIT2,
    KVM_SET_VCPU_EVENTS,
    KVM_GET_DEBUGREGS,
    KVM_SET_DEBUGREGS,
    KVM_SET_TSC_KHZ,
    KVM_ENABLE_CAP,
    KVM_GET_TSC_KHZ,
    KVM_GET_XSAVE,
    KVM_SET_XSAVE,
    KVM_SIGNAL_MSI,
    KVM_GET_XCRS,
    KVM_SET_XCRS,
    KVM_GET_ONE_REG,
    KVM_SET_ONE_REG,
    KVM_KVMCLOCK_CTRL,
    KVM_GET_REG_LIST,
    KVM_SET_PMU_EVENT_FILTER,
    KVM_SMI,
    KVM_MEMORY_ENCRYPT_OP,
    KVM_MEMORY_ENCRYPT_REG_REGION,
    KVM_MEMORY_ENCRYPT_UNREG_REGION,
    KVM_HYPERV_EVENTFD,
    KVM_GET_NESTED_STATE,
    KVM_SET_NESTED_STATE,
    KVM_CLEAR_DIRTY_LOG,
    KVM_GET_SUPPORTED_HV_CPUID,
    KVM_X86_SET_MSR_FILTER,
    KVM_RESET_DIRTY_RINGS,
    KVM_GET_SREGS2,
    KVM_SET_SREGS2,
    KVM_GET_STATS_FD,
    KVM_GET_XSAVE2,
    KVM_CREATE_DEVICE,
    KVM_SET_DEVICE_ATTR,
    KVM_GET_DEVICE_ATTR,
    KVM_HAS_DEVICE_ATTR,
  }).map(([name, code]) => [code, name]),
);
