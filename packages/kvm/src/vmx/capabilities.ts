/**
 * What the processor's VMX can do, and the controls that KVM chooses from it (setup_vmcs_config in
 * arch/x86/kvm/vmx/vmx.c; SDM vol. 3D, appendix A).
 */

import * as V from '@vm/kvm-run/vmx';
import type { VmxCapabilities } from '../types.ts';

/** The processor lacks a feature of VMX that KVM cannot do without. */
export class VmxUnsupported extends Error {
  constructor(control: string, missing: number) {
    super(`the processor does not support required VMX controls: ${control} 0x${(missing >>> 0).toString(16)}`);
    this.name = 'VmxUnsupported';
  }
}

interface Wanted {
  readonly name: string;
  readonly msr: number;
  readonly required: number;
  readonly optional: number;
}

const PIN: Wanted = {
  name: 'pin-based',
  msr: V.MSR_IA32_VMX_PINBASED_CTLS,
  required: V.PIN_BASED_EXT_INTR_MASK | V.PIN_BASED_NMI_EXITING,
  optional: V.PIN_BASED_VIRTUAL_NMIS | V.PIN_BASED_VMX_PREEMPTION_TIMER,
};

const CPU: Wanted = {
  name: 'processor-based',
  msr: V.MSR_IA32_VMX_PROCBASED_CTLS,
  required:
    V.CPU_BASED_HLT_EXITING |
    V.CPU_BASED_UNCOND_IO_EXITING |
    V.CPU_BASED_MOV_DR_EXITING |
    V.CPU_BASED_USE_TSC_OFFSETTING |
    V.CPU_BASED_MWAIT_EXITING |
    V.CPU_BASED_MONITOR_EXITING |
    V.CPU_BASED_RDPMC_EXITING |
    V.CPU_BASED_INTR_WINDOW_EXITING |
    V.CPU_BASED_ACTIVATE_SECONDARY_CONTROLS,
  optional:
    V.CPU_BASED_TPR_SHADOW |
    V.CPU_BASED_USE_MSR_BITMAPS |
    V.CPU_BASED_NMI_WINDOW_EXITING |
    V.CPU_BASED_CR8_LOAD_EXITING |
    V.CPU_BASED_CR8_STORE_EXITING |
    V.CPU_BASED_MONITOR_TRAP_FLAG |
    V.CPU_BASED_PAUSE_EXITING,
};

const SECONDARY: Wanted = {
  name: 'secondary processor-based',
  msr: V.MSR_IA32_VMX_PROCBASED_CTLS2,
  required: V.SECONDARY_EXEC_ENABLE_EPT | V.SECONDARY_EXEC_UNRESTRICTED_GUEST,
  optional:
    V.SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES |
    V.SECONDARY_EXEC_WBINVD_EXITING |
    V.SECONDARY_EXEC_ENABLE_VPID |
    V.SECONDARY_EXEC_PAUSE_LOOP_EXITING |
    V.SECONDARY_EXEC_DESC |
    V.SECONDARY_EXEC_ENABLE_RDTSCP |
    V.SECONDARY_EXEC_ENABLE_INVPCID |
    V.SECONDARY_EXEC_RDRAND_EXITING |
    V.SECONDARY_EXEC_RDSEED_EXITING |
    V.SECONDARY_EXEC_ENABLE_PML |
    V.SECONDARY_EXEC_ENABLE_XSAVES |
    V.SECONDARY_EXEC_ENABLE_USR_WAIT_PAUSE |
    V.SECONDARY_EXEC_BUS_LOCK_DETECTION |
    V.SECONDARY_EXEC_NOTIFY_VM_EXITING,
};

const EXIT: Wanted = {
  name: 'VM-exit',
  msr: V.MSR_IA32_VMX_EXIT_CTLS,
  required:
    V.VM_EXIT_SAVE_DEBUG_CONTROLS |
    V.VM_EXIT_ACK_INTR_ON_EXIT |
    V.VM_EXIT_HOST_ADDR_SPACE_SIZE |
    V.VM_EXIT_LOAD_IA32_EFER,
  optional: V.VM_EXIT_LOAD_IA32_PAT,
};

const ENTRY: Wanted = {
  name: 'VM-entry',
  msr: V.MSR_IA32_VMX_ENTRY_CTLS,
  required: V.VM_ENTRY_LOAD_DEBUG_CONTROLS | V.VM_ENTRY_LOAD_IA32_EFER,
  optional: V.VM_ENTRY_LOAD_IA32_PAT | V.VM_ENTRY_IA32E_MODE,
};

/** adjust_vmx_controls: low half: bits that must be 1; high half: bits that may be 1. */
const adjust = (processor: V.Processor, wanted: Wanted): number => {
  const must = processor.rdmsr(wanted.msr);
  const may = processor.high;
  const controls = (((wanted.required | wanted.optional) & may) | must) >>> 0;
  const missing = wanted.required & ~controls;
  if (missing !== 0) throw new VmxUnsupported(wanted.name, missing);
  return controls;
};

/** setup_vmcs_config: reads the capability MSRs. Throws VmxUnsupported. */
export const setupVmcsConfig = (processor: V.Processor): VmxCapabilities => {
  const cpuBased = adjust(processor, CPU);
  const eptCaps = processor.rdmsr(V.MSR_IA32_VMX_EPT_VPID_CAP);
  const vpidCaps = processor.high;
  const secondary = adjust(processor, SECONDARY);
  return {
    revision: processor.rdmsr(V.MSR_IA32_VMX_BASIC) & 0x7fffffff,
    pinBased: adjust(processor, PIN),
    cpuBased,
    secondary,
    pml: (secondary & V.SECONDARY_EXEC_ENABLE_PML) !== 0,
    exit: adjust(processor, EXIT),
    entry: (adjust(processor, ENTRY) & ~V.VM_ENTRY_IA32E_MODE) >>> 0,
    eptCaps,
    vpidCaps,
    preemptionTimerShift: processor.rdmsr(V.MSR_IA32_VMX_MISC) & 0x1f,
    cr0Fixed0: processor.rdmsr(V.MSR_IA32_VMX_CR0_FIXED0),
    cr0Fixed1: processor.rdmsr(V.MSR_IA32_VMX_CR0_FIXED1),
    cr4Fixed0: processor.rdmsr(V.MSR_IA32_VMX_CR4_FIXED0),
    cr4Fixed1: processor.rdmsr(V.MSR_IA32_VMX_CR4_FIXED1),
  };
};
