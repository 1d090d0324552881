import type { Layout } from './layout.ts';
import {
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
} from './regs.ts';
import {
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
} from './msrs.ts';
import {
  kvmMemoryRegion,
  kvmUserspaceMemoryRegion,
  kvmMemoryAlias,
  kvmDirtyLog,
  kvmClearDirtyLog,
  kvmDirtyGfn,
  kvmEncRegion,
} from './memory.ts';
import {
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
} from './irqchip.ts';
import {
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
} from './events.ts';
import {
  kvmCoalescedMmioZone,
  kvmCoalescedMmio,
  kvmCoalescedMmioRing,
  kvmIoeventfd,
} from './io.ts';
import {
  kvmEnableCap,
  kvmClockData,
  kvmCreateDevice,
  kvmDeviceAttr,
  kvmHypervEventfd,
  kvmXenHvmConfig,
} from './system.ts';

/** Every structure's layout under the kernel's name of the structure; nested structures refer to each other by it. */
export interface Structs {
  readonly kvm_regs: typeof kvmRegs;
  readonly kvm_segment: typeof kvmSegment;
  readonly kvm_dtable: typeof kvmDtable;
  readonly kvm_sregs: typeof kvmSregs;
  readonly kvm_sregs2: typeof kvmSregs2;
  readonly kvm_fpu: typeof kvmFpu;
  readonly kvm_xsave: typeof kvmXsave;
  readonly kvm_xcr: typeof kvmXcr;
  readonly kvm_xcrs: typeof kvmXcrs;
  readonly kvm_debugregs: typeof kvmDebugregs;
  readonly kvm_translation: typeof kvmTranslation;
  readonly kvm_one_reg: typeof kvmOneReg;
  readonly kvm_reg_list: typeof kvmRegList;
  readonly kvm_msr_entry: typeof kvmMsrEntry;
  readonly kvm_msrs: typeof kvmMsrs;
  readonly kvm_msr_list: typeof kvmMsrList;
  readonly kvm_msr_filter_range: typeof kvmMsrFilterRange;
  readonly kvm_msr_filter: typeof kvmMsrFilter;
  readonly kvm_cpuid_entry: typeof kvmCpuidEntry;
  readonly kvm_cpuid: typeof kvmCpuid;
  readonly kvm_cpuid_entry2: typeof kvmCpuidEntry2;
  readonly kvm_cpuid2: typeof kvmCpuid2;
  readonly kvm_pmu_event_filter: typeof kvmPmuEventFilter;
  readonly kvm_x86_mce: typeof kvmX86Mce;
  readonly kvm_memory_region: typeof kvmMemoryRegion;
  readonly kvm_userspace_memory_region: typeof kvmUserspaceMemoryRegion;
  readonly kvm_memory_alias: typeof kvmMemoryAlias;
  readonly kvm_dirty_log: typeof kvmDirtyLog;
  readonly kvm_clear_dirty_log: typeof kvmClearDirtyLog;
  readonly kvm_dirty_gfn: typeof kvmDirtyGfn;
  readonly kvm_enc_region: typeof kvmEncRegion;
  readonly kvm_irq_level: typeof kvmIrqLevel;
  readonly kvm_pic_state: typeof kvmPicState;
  readonly kvm_ioapic_state: typeof kvmIoapicState;
  readonly kvm_irqchip: typeof kvmIrqchip;
  readonly kvm_lapic_state: typeof kvmLapicState;
  readonly kvm_pit_config: typeof kvmPitConfig;
  readonly kvm_pit_channel_state: typeof kvmPitChannelState;
  readonly kvm_pit_state: typeof kvmPitState;
  readonly kvm_pit_state2: typeof kvmPitState2;
  readonly kvm_reinject_control: typeof kvmReinjectControl;
  readonly kvm_irq_routing_irqchip: typeof kvmIrqRoutingIrqchip;
  readonly kvm_irq_routing_msi: typeof kvmIrqRoutingMsi;
  readonly kvm_irq_routing_entry: typeof kvmIrqRoutingEntry;
  readonly kvm_irq_routing: typeof kvmIrqRouting;
  readonly kvm_irqfd: typeof kvmIrqfd;
  readonly kvm_msi: typeof kvmMsi;
  readonly kvm_interrupt: typeof kvmInterrupt;
  readonly kvm_mp_state: typeof kvmMpState;
  readonly kvm_tpr_access_ctl: typeof kvmTprAccessCtl;
  readonly kvm_vapic_addr: typeof kvmVapicAddr;
  readonly kvm_vcpu_events_exception: typeof kvmVcpuEventsException;
  readonly kvm_vcpu_events_interrupt: typeof kvmVcpuEventsInterrupt;
  readonly kvm_vcpu_events_nmi: typeof kvmVcpuEventsNmi;
  readonly kvm_vcpu_events_smi: typeof kvmVcpuEventsSmi;
  readonly kvm_vcpu_events_triple_fault: typeof kvmVcpuEventsTripleFault;
  readonly kvm_vcpu_events: typeof kvmVcpuEvents;
  readonly kvm_guest_debug_arch: typeof kvmGuestDebugArch;
  readonly kvm_guest_debug: typeof kvmGuestDebug;
  readonly kvm_debug_exit_arch: typeof kvmDebugExitArch;
  readonly kvm_sync_regs: typeof kvmSyncRegs;
  readonly kvm_nested_state: typeof kvmNestedState;
  readonly kvm_signal_mask: typeof kvmSignalMask;
  readonly kvm_coalesced_mmio_zone: typeof kvmCoalescedMmioZone;
  readonly kvm_coalesced_mmio: typeof kvmCoalescedMmio;
  readonly kvm_coalesced_mmio_ring: typeof kvmCoalescedMmioRing;
  readonly kvm_ioeventfd: typeof kvmIoeventfd;
  readonly kvm_enable_cap: typeof kvmEnableCap;
  readonly kvm_clock_data: typeof kvmClockData;
  readonly kvm_create_device: typeof kvmCreateDevice;
  readonly kvm_device_attr: typeof kvmDeviceAttr;
  readonly kvm_hyperv_eventfd: typeof kvmHypervEventfd;
  readonly kvm_xen_hvm_config: typeof kvmXenHvmConfig;
}

export const structs: Structs & Readonly<Record<string, Layout>> = {
  kvm_regs: kvmRegs,
  kvm_segment: kvmSegment,
  kvm_dtable: kvmDtable,
  kvm_sregs: kvmSregs,
  kvm_sregs2: kvmSregs2,
  kvm_fpu: kvmFpu,
  kvm_xsave: kvmXsave,
  kvm_xcr: kvmXcr,
  kvm_xcrs: kvmXcrs,
  kvm_debugregs: kvmDebugregs,
  kvm_translation: kvmTranslation,
  kvm_one_reg: kvmOneReg,
  kvm_reg_list: kvmRegList,
  kvm_msr_entry: kvmMsrEntry,
  kvm_msrs: kvmMsrs,
  kvm_msr_list: kvmMsrList,
  kvm_msr_filter_range: kvmMsrFilterRange,
  kvm_msr_filter: kvmMsrFilter,
  kvm_cpuid_entry: kvmCpuidEntry,
  kvm_cpuid: kvmCpuid,
  kvm_cpuid_entry2: kvmCpuidEntry2,
  kvm_cpuid2: kvmCpuid2,
  kvm_pmu_event_filter: kvmPmuEventFilter,
  kvm_x86_mce: kvmX86Mce,
  kvm_memory_region: kvmMemoryRegion,
  kvm_userspace_memory_region: kvmUserspaceMemoryRegion,
  kvm_memory_alias: kvmMemoryAlias,
  kvm_dirty_log: kvmDirtyLog,
  kvm_clear_dirty_log: kvmClearDirtyLog,
  kvm_dirty_gfn: kvmDirtyGfn,
  kvm_enc_region: kvmEncRegion,
  kvm_irq_level: kvmIrqLevel,
  kvm_pic_state: kvmPicState,
  kvm_ioapic_state: kvmIoapicState,
  kvm_irqchip: kvmIrqchip,
  kvm_lapic_state: kvmLapicState,
  kvm_pit_config: kvmPitConfig,
  kvm_pit_channel_state: kvmPitChannelState,
  kvm_pit_state: kvmPitState,
  kvm_pit_state2: kvmPitState2,
  kvm_reinject_control: kvmReinjectControl,
  kvm_irq_routing_irqchip: kvmIrqRoutingIrqchip,
  kvm_irq_routing_msi: kvmIrqRoutingMsi,
  kvm_irq_routing_entry: kvmIrqRoutingEntry,
  kvm_irq_routing: kvmIrqRouting,
  kvm_irqfd: kvmIrqfd,
  kvm_msi: kvmMsi,
  kvm_interrupt: kvmInterrupt,
  kvm_mp_state: kvmMpState,
  kvm_tpr_access_ctl: kvmTprAccessCtl,
  kvm_vapic_addr: kvmVapicAddr,
  kvm_vcpu_events_exception: kvmVcpuEventsException,
  kvm_vcpu_events_interrupt: kvmVcpuEventsInterrupt,
  kvm_vcpu_events_nmi: kvmVcpuEventsNmi,
  kvm_vcpu_events_smi: kvmVcpuEventsSmi,
  kvm_vcpu_events_triple_fault: kvmVcpuEventsTripleFault,
  kvm_vcpu_events: kvmVcpuEvents,
  kvm_guest_debug_arch: kvmGuestDebugArch,
  kvm_guest_debug: kvmGuestDebug,
  kvm_debug_exit_arch: kvmDebugExitArch,
  kvm_sync_regs: kvmSyncRegs,
  kvm_nested_state: kvmNestedState,
  kvm_signal_mask: kvmSignalMask,
  kvm_coalesced_mmio_zone: kvmCoalescedMmioZone,
  kvm_coalesced_mmio: kvmCoalescedMmio,
  kvm_coalesced_mmio_ring: kvmCoalescedMmioRing,
  kvm_ioeventfd: kvmIoeventfd,
  kvm_enable_cap: kvmEnableCap,
  kvm_clock_data: kvmClockData,
  kvm_create_device: kvmCreateDevice,
  kvm_device_attr: kvmDeviceAttr,
  kvm_hyperv_eventfd: kvmHypervEventfd,
  kvm_xen_hvm_config: kvmXenHvmConfig,
};
