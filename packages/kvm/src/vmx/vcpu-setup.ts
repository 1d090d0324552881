/** Making, resetting and loading the VMCS of a vCPU (vmx_vcpu_create, init_vmcs, vmx_vcpu_reset, vmx_vcpu_load). */

import {
  KVM_MSR_FILTER_READ,
  KVM_MSR_FILTER_WRITE,
  KVM_X86_DISABLE_EXITS_HLT,
  KVM_X86_DISABLE_EXITS_MWAIT,
  KVM_X86_DISABLE_EXITS_PAUSE,
} from '@vm/kvm-run';
import * as V from '@vm/kvm-run/vmx';
import { guestCpuidHas, guestHasXsaves } from '../cpuid.ts';
import { kvmMsrAllowed } from '../msr-filter.ts';
import { apicX2apicMode, kvmApicPresent } from '../irq/lapic.ts';
import type { KvmVcpu } from '../types.ts';
import { VCPU_SREG_CS, VCPU_SREG_LDTR, VCPU_SREG_SS, VCPU_SREG_TR } from '../types.ts';
import * as B from '../x86-bits.ts';
import { execControlsSet, pinControlsSet, secondaryControlsSet, vmEntryControlsSet, vmExitControlsSet } from './controls.ts';
import { vmxSetCr0, vmxSetCr3, vmxSetCr4, vmxSetEfer, vmxSetGuestHostMasks } from './cr.ts';
import { vmxUpdateExceptionBitmap } from './exception-bitmap.ts';
import { vmxPrepareSwitchToHost, vmxSetConstantHostState } from './host-state.ts';
import { kvmSetGdt, kvmSetIdt, kvmSetSegment } from './segment.ts';
import { SLOT_PAT } from './uret-msrs.ts';

const AR_CODE = 0x9b;
const AR_DATA = 0x93;
const AR_LDT = 0x82;
const AR_TSS = 0x8b;
const DEFAULT_PAT_LO = 0x00070406;
const DEFAULT_PAT_HI = 0x00070406;
const PLE_GAP = 128;
const PLE_WINDOW = 4096;

/** MSRs that the guest reaches without exits (vmx_possible_passthrough_msrs): the VMCS or the switch keeps them apart. */
const PASSTHROUGH_MSRS = [
  V.MSR_FS_BASE,
  V.MSR_GS_BASE,
  V.MSR_KERNEL_GS_BASE,
  V.MSR_IA32_SYSENTER_CS,
  V.MSR_IA32_SYSENTER_ESP,
  V.MSR_IA32_SYSENTER_EIP,
] as const;

/** Half of the bitmap that is about writes. */
const WRITES = 2048;

/** Clears the bit of an MSR: 1 KiB each of low reads, high reads, low writes, high writes (25.6.9). */
const allowMsr = (vcpu: KvmVcpu, index: number, half: number): void => {
  const high = index >= 0xc0000000 ? 1024 : 0;
  const bit = index & 0x1fff;
  const at = vcpu.msrBitmap + half + high + (bit >> 3);
  const { u8 } = vcpu.memory;
  u8[at] = u8[at]! & ~(1 << (bit & 7));
};

/** vmx_msr_filter_changed: an MSR that the filter denies must exit. */
export const vmxMsrFilterChanged = (vcpu: KvmVcpu): void => {
  const { kvm } = vcpu;
  vcpu.memory.u8.fill(0xff, vcpu.msrBitmap, vcpu.msrBitmap + 4096);
  for (const index of PASSTHROUGH_MSRS) {
    if (kvmMsrAllowed(kvm, index, KVM_MSR_FILTER_READ)) allowMsr(vcpu, index, 0);
    if (kvmMsrAllowed(kvm, index, KVM_MSR_FILTER_WRITE)) allowMsr(vcpu, index, WRITES);
  }
  if (kvmMsrAllowed(kvm, V.MSR_IA32_TSC, KVM_MSR_FILTER_READ)) allowMsr(vcpu, V.MSR_IA32_TSC, 0);
};

const initMsrBitmap = (vcpu: KvmVcpu): void => {
  vmxMsrFilterChanged(vcpu);
  vcpu.processor.vmwrite(V.MSR_BITMAP, vcpu.msrBitmap, 0);
};

/** vmx_exec_control */
const vmxExecControl = (vcpu: KvmVcpu): number => {
  let controls =
    vcpu.kvm.global.vmx.cpuBased &
    ~(
      V.CPU_BASED_RDTSC_EXITING |
      V.CPU_BASED_USE_IO_BITMAPS |
      V.CPU_BASED_MONITOR_TRAP_FLAG |
      V.CPU_BASED_PAUSE_EXITING |
      V.CPU_BASED_INTR_WINDOW_EXITING |
      V.CPU_BASED_NMI_WINDOW_EXITING |
      V.CPU_BASED_CR3_LOAD_EXITING |
      V.CPU_BASED_CR3_STORE_EXITING |
      V.CPU_BASED_INVLPG_EXITING
    );
  // The TPR shadow takes CR8 when the local APIC is here; without it userspace must hear of each change.
  if (vcpu.apic === null) controls &= ~V.CPU_BASED_TPR_SHADOW;
  if ((controls & V.CPU_BASED_TPR_SHADOW) !== 0) controls &= ~(V.CPU_BASED_CR8_LOAD_EXITING | V.CPU_BASED_CR8_STORE_EXITING);
  const { disabledExits } = vcpu.kvm;
  if ((disabledExits & KVM_X86_DISABLE_EXITS_MWAIT) !== 0)
    controls &= ~(V.CPU_BASED_MWAIT_EXITING | V.CPU_BASED_MONITOR_EXITING);
  if ((disabledExits & KVM_X86_DISABLE_EXITS_HLT) !== 0) controls &= ~V.CPU_BASED_HLT_EXITING;
  return controls >>> 0;
};

const APIC_SECONDARY = V.SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES;
/** Features that exit while the guest's CPUID lacks them, and those that must be enabled to exist. */
const CPUID_CONTROLS = [
  { control: V.SECONDARY_EXEC_RDRAND_EXITING, feature: [1, 'ecx', 30], exiting: true },
  { control: V.SECONDARY_EXEC_RDSEED_EXITING, feature: [7, 'ebx', 18], exiting: true },
  { control: V.SECONDARY_EXEC_ENABLE_RDTSCP, feature: [0x80000001, 'edx', 27], exiting: false },
  { control: V.SECONDARY_EXEC_ENABLE_INVPCID, feature: [7, 'ebx', 10], exiting: false },
] as const;

/** vmx_secondary_exec_control; again after KVM_SET_CPUID2. */
export const vmxSecondaryExecControl = (vcpu: KvmVcpu): number => {
  const { kvm } = vcpu;
  let controls = kvm.global.vmx.secondary & ~V.SECONDARY_EXEC_DESC & ~V.SECONDARY_EXEC_ENABLE_PML;
  if (vcpu.apic === null || kvm.apicAccessPage === 0 || !kvmApicPresent(vcpu) || apicX2apicMode(vcpu.apic))
    controls &= ~APIC_SECONDARY;
  if ((kvm.disabledExits & KVM_X86_DISABLE_EXITS_PAUSE) !== 0) controls &= ~V.SECONDARY_EXEC_PAUSE_LOOP_EXITING;
  if (!kvm.busLockDetectionEnabled) controls &= ~V.SECONDARY_EXEC_BUS_LOCK_DETECTION;
  if (kvm.notifyVmexitFlags === 0) controls &= ~V.SECONDARY_EXEC_NOTIFY_VM_EXITING;
  for (const { control, feature, exiting } of CPUID_CONTROLS)
    if (guestCpuidHas(vcpu, feature) === exiting) controls &= ~control;
  if (!guestHasXsaves(vcpu)) controls &= ~V.SECONDARY_EXEC_ENABLE_XSAVES;
  // UMWAIT is not in the CPUID that KVM supports.
  controls &= ~V.SECONDARY_EXEC_ENABLE_USR_WAIT_PAUSE;
  if ((vcpu.secondaryControls & V.SECONDARY_EXEC_ENABLE_PML) !== 0) controls |= V.SECONDARY_EXEC_ENABLE_PML;
  return controls >>> 0;
};

/** vmx_set_virtual_apic_mode: the APIC's page is virtualized only while the APIC is in that mode. */
export const vmxSetVirtualApicMode = (vcpu: KvmVcpu): void => secondaryControlsSet(vcpu, vmxSecondaryExecControl(vcpu));

/** init_vmcs */
const initVmcs = (vcpu: KvmVcpu): void => {
  const { processor, kvm } = vcpu;
  const { vmx } = kvm.global;
  processor.vmwrite(V.VMCS_LINK_POINTER, 0xffffffff, 0xffffffff);
  pinControlsSet(vcpu, vmx.pinBased);
  execControlsSet(vcpu, vmxExecControl(vcpu));
  secondaryControlsSet(vcpu, vmxSecondaryExecControl(vcpu));
  vmExitControlsSet(vcpu, vmx.exit);
  vmEntryControlsSet(vcpu, vmx.entry);
  if ((vcpu.secondaryControls & V.SECONDARY_EXEC_PAUSE_LOOP_EXITING) !== 0) {
    processor.vmwrite(V.PLE_GAP, PLE_GAP, 0);
    processor.vmwrite(V.PLE_WINDOW, PLE_WINDOW, 0);
  }
  if ((vcpu.secondaryControls & V.SECONDARY_EXEC_NOTIFY_VM_EXITING) !== 0) processor.vmwrite(V.NOTIFY_WINDOW, kvm.notifyWindow, 0);
  processor.vmwrite(V.PAGE_FAULT_ERROR_CODE_MASK, 0, 0);
  processor.vmwrite(V.PAGE_FAULT_ERROR_CODE_MATCH, 0, 0);
  processor.vmwrite(V.CR3_TARGET_COUNT, 0, 0);
  processor.vmwrite(V.VM_EXIT_MSR_STORE_COUNT, 0, 0);
  processor.vmwrite(V.VM_EXIT_MSR_LOAD_COUNT, 0, 0);
  processor.vmwrite(V.VM_ENTRY_MSR_LOAD_COUNT, 0, 0);
  vmxSetConstantHostState(vcpu);
  initMsrBitmap(vcpu);
  // VMX_XSS_EXIT_BITMAP: IA32_XSS is zero in guests, nothing to exit for.
  if ((vmx.secondary & V.SECONDARY_EXEC_ENABLE_XSAVES) !== 0) processor.vmwrite(V.XSS_EXIT_BITMAP, 0, 0);
  processor.vmwrite(V.TSC_OFFSET, 0, 0);
  processor.vmwrite(V.VIRTUAL_PROCESSOR_ID, (vcpu.secondaryControls & V.SECONDARY_EXEC_ENABLE_VPID) !== 0 ? vcpu.vpid : 0, 0);
  if (vcpu.apic !== null && (vcpu.execControls & V.CPU_BASED_TPR_SHADOW) !== 0) {
    processor.vmwrite(V.VIRTUAL_APIC_PAGE_ADDR, vcpu.apic.regs, 0);
    processor.vmwrite(V.TPR_THRESHOLD, 0, 0);
  }
  if (kvm.apicAccessPage !== 0) processor.vmwrite(V.APIC_ACCESS_ADDR, kvm.apicAccessPage, 0);
  vcpu.msrs[SLOT_PAT * 2] = DEFAULT_PAT_LO;
  vcpu.msrs[SLOT_PAT * 2 + 1] = DEFAULT_PAT_HI;
  processor.vmwrite(V.GUEST_IA32_PAT, DEFAULT_PAT_LO, DEFAULT_PAT_HI);
  vmxSetGuestHostMasks(vcpu);
};

/** State of segments and tables after reset (SDM vol. 3A, table 10-1). */
const resetSegments = (vcpu: KvmVcpu): void => {
  for (let segment = 0; segment < 6; segment++) kvmSetSegment(vcpu, segment, 0, 0, 0, 0xffff, AR_DATA);
  kvmSetSegment(vcpu, VCPU_SREG_CS, 0xf000, 0xffff0000, 0, 0xffff, AR_CODE);
  kvmSetSegment(vcpu, VCPU_SREG_SS, 0, 0, 0, 0xffff, AR_DATA);
  kvmSetSegment(vcpu, VCPU_SREG_LDTR, 0, 0, 0, 0xffff, AR_LDT);
  kvmSetSegment(vcpu, VCPU_SREG_TR, 0, 0, 0, 0xffff, AR_TSS);
  kvmSetGdt(vcpu, 0, 0, 0xffff);
  kvmSetIdt(vcpu, 0, 0, 0xffff);
};

/** vmx_vcpu_reset: the VMCS's part of RESET and INIT. */
export const vmxVcpuReset = (vcpu: KvmVcpu, initEvent: boolean): void => {
  const { processor } = vcpu;
  if (!initEvent) initVmcs(vcpu);
  vcpu.hvDeadlineTsc = Infinity;
  resetSegments(vcpu);
  processor.vmwrite(V.GUEST_SYSENTER_CS, 0, 0);
  processor.vmwrite(V.GUEST_SYSENTER_ESP, 0, 0);
  processor.vmwrite(V.GUEST_SYSENTER_EIP, 0, 0);
  processor.vmwrite(V.GUEST_IA32_DEBUGCTL, 0, 0);
  processor.vmwrite(V.GUEST_ACTIVITY_STATE, V.GUEST_ACTIVITY_ACTIVE, 0);
  processor.vmwrite(V.GUEST_INTERRUPTIBILITY_INFO, 0, 0);
  processor.vmwrite(V.GUEST_PENDING_DBG_EXCEPTIONS, 0, 0);
  processor.vmwrite(V.VM_ENTRY_INTR_INFO_FIELD, 0, 0);
  vcpu.nmiKnownUnmasked = false;
  vcpu.lastTprThreshold = 0;
  // INIT keeps the caching bits of CR0.
  const caching = initEvent ? vcpu.cr0 & (B.X86_CR0_CD | B.X86_CR0_NW) : B.X86_CR0_CD | B.X86_CR0_NW;
  vcpu.efer = 0;
  vcpu.cr0 = B.X86_CR0_ET;
  vmxSetEfer(vcpu, 0);
  vmxSetCr0(vcpu, (B.X86_CR0_ET | caching) >>> 0);
  vmxSetCr3(vcpu, 0, 0);
  vmxSetCr4(vcpu, 0);
  vmxUpdateExceptionBitmap(vcpu);
};

/** vmx_vcpu_create: the VMCS region and the MSR bitmap. Throws OutOfHostMemory. */
export const vmxVcpuCreate = (vcpu: KvmVcpu): void => {
  vcpu.vmcs = vcpu.memory.allocPages(1);
  vcpu.msrBitmap = vcpu.memory.allocPages(1);
  vcpu.u32[vcpu.vmcs >>> 2] = vcpu.kvm.global.vmx.revision;
  vcpu.vpid = (vcpu.vmcs >>> 12) & 0xffff;
  vcpu.processor.vmclear(vcpu.vmcs);
  vcpu.launched = false;
};

/** vmx_vcpu_load: makes the VMCS current on the vCPU's CPU. */
export const vmxVcpuLoad = (vcpu: KvmVcpu): void => {
  const { cpu } = vcpu;
  if (cpu.currentVcpu === vcpu) return;
  vcpu.processor.vmptrld(vcpu.vmcs);
  cpu.currentVcpu = vcpu;
};

/** vmx_vcpu_put */
export const vmxVcpuPut = (vcpu: KvmVcpu): void => vmxPrepareSwitchToHost(vcpu);

/** vmx_vcpu_free */
export const vmxVcpuFree = (vcpu: KvmVcpu): void => {
  const { cpu } = vcpu;
  if (cpu.currentVcpu === vcpu) cpu.currentVcpu = null;
  vcpu.processor.vmclear(vcpu.vmcs);
  vcpu.memory.free(vcpu.vmcs, 1);
  vcpu.memory.free(vcpu.msrBitmap, 1);
  if (vcpu.pmlAddress !== 0) vcpu.memory.free(vcpu.pmlAddress, 1);
};

/** vmx_flush_tlb_guest: what the processor caches under the vCPU's VPID. */
export const vmxFlushTlbGuest = (vcpu: KvmVcpu): void => {
  if ((vcpu.secondaryControls & V.SECONDARY_EXEC_ENABLE_VPID) !== 0)
    vcpu.processor.invvpid(V.VMX_VPID_EXTENT_SINGLE_CONTEXT, vcpu.vpid, 0, 0);
};

/** vmx_flush_tlb_current: what it caches from the EPT tables of the vCPU. */
export const vmxFlushTlbCurrent = (vcpu: KvmVcpu): void => {
  if (vcpu.eptpLo !== 0) vcpu.processor.invept(V.VMX_EPT_EXTENT_CONTEXT, vcpu.eptpLo, vcpu.eptpHi);
};

/** vmx_load_mmu_pgd */
export const vmxLoadMmuPgd = (vcpu: KvmVcpu): void => {
  vcpu.processor.vmwrite(V.EPT_POINTER, vcpu.eptpLo, vcpu.eptpHi);
};

