/**
 * MSRs that differ between host and guest but that the host kernel itself does not need: they are loaded with the
 * guest's values before entry, and the host's come back only on the return to userspace (user-return MSRs of
 * arch/x86/kvm/x86.c, vmx_setup_uret_msrs).
 */

import { MSR_CSTAR, MSR_LSTAR, MSR_STAR, MSR_SYSCALL_MASK, MSR_TSC_AUX } from '@vm/kvm-run/vmx';
import type { HostCpu, KvmVcpu } from '../types.ts';
import { reportSwitch } from './switch-report.ts';

/** Slots in `vcpu.msrs` and in the CPU's tables: pairs of halves. */
export const uretMsrs: readonly { readonly index: number; readonly name: string }[] = [
  { index: MSR_STAR, name: 'IA32_STAR' },
  { index: MSR_LSTAR, name: 'IA32_LSTAR' },
  { index: MSR_CSTAR, name: 'IA32_CSTAR' },
  { index: MSR_SYSCALL_MASK, name: 'IA32_FMASK' },
  { index: MSR_TSC_AUX, name: 'IA32_TSC_AUX' },
];
/** Slots of `vcpu.msrs` beyond those: the guest's IA32_KERNEL_GS_BASE and IA32_PAT. */
export const SLOT_KERNEL_GS_BASE = 5;
export const SLOT_PAT = 6;

/** The slot of a user-return MSR, or -1. */
export const uretSlot = (index: number): number => {
  for (let slot = 0; slot < uretMsrs.length; slot++) if (uretMsrs[slot]!.index === index) return slot;
  return -1;
};

/** kvm_setup_user_return_msrs: notes the host's values. */
export const kvmUserReturnMsrCpuOnline = (cpu: HostCpu): void => {
  for (let slot = 0; slot < uretMsrs.length; slot++) {
    cpu.uretHost[slot * 2] = cpu.processor.rdmsr(uretMsrs[slot]!.index);
    cpu.uretHost[slot * 2 + 1] = cpu.processor.high;
  }
  cpu.uretValues.set(cpu.uretHost);
};

/** Writes the MSR unless it holds the value already. */
const load = (cpu: HostCpu, slot: number, low: number, high: number): boolean => {
  const at = slot * 2;
  if (cpu.uretValues[at] === low && cpu.uretValues[at + 1] === high) return false;
  cpu.uretValues[at] = low;
  cpu.uretValues[at + 1] = high;
  cpu.processor.wrmsr(uretMsrs[slot]!.index, low, high);
  return true;
};

/** The guest's values, before entry (kvm_set_user_return_msr for each). */
export const vmxLoadUretMsrs = (vcpu: KvmVcpu): void => {
  const { cpu, msrs } = vcpu;
  for (let slot = 0; slot < uretMsrs.length; slot++) {
    const low = msrs[slot * 2]!;
    const high = msrs[slot * 2 + 1]!;
    if (!load(cpu, slot, low, high)) continue;
    cpu.uretRegistered = true;
    if (cpu.processor.switchObserver !== null)
      reportSwitch(cpu.processor, 'entry', 'kvm_set_user_return_msr', uretMsrs[slot]!.name, 'vcpu', 'processor', low, high);
  }
  vcpu.guestUretMsrsLoaded = true;
};

/** kvm_on_user_return: the host's values. */
export const kvmOnUserReturn = (cpu: HostCpu): void => {
  if (!cpu.uretRegistered) return;
  cpu.uretRegistered = false;
  for (let slot = 0; slot < uretMsrs.length; slot++) {
    const low = cpu.uretHost[slot * 2]!;
    const high = cpu.uretHost[slot * 2 + 1]!;
    if (load(cpu, slot, low, high) && cpu.processor.switchObserver !== null)
      reportSwitch(cpu.processor, 'exit', 'kvm_on_user_return', uretMsrs[slot]!.name, 'host', 'processor', low, high);
  }
};
