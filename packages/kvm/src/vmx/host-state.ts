/**
 * Host state around the guest: what VM entry and exit do not save is saved by hand (vmx_prepare_switch_to_guest, in
 * older kernels vmx_save_host_state, and vmx_prepare_switch_to_host), and the host-state area of the VMCS says what VM
 * exit loads (SDM vol. 3C, 25.5, 28.5).
 */

import * as V from '@vm/kvm-run/vmx';
import { GDT_LIMIT, HOST_KERNEL_CS, HOST_KERNEL_DS, HOST_TSS } from '../host/tables.ts';
import type { HostCpu, KvmVcpu, SavedHostState } from '../types.ts';
import { reportSwitch } from './switch-report.ts';
import { SLOT_KERNEL_GS_BASE, vmxLoadUretMsrs } from './uret-msrs.ts';

/** vmx_set_constant_host_state: what stays the same for the life of the host kernel. */
export const vmxSetConstantHostState = (vcpu: KvmVcpu): void => {
  const { processor, cpu } = vcpu;
  processor.vmwrite(V.HOST_CR0, processor.readCr(0), 0);
  processor.vmwrite(V.HOST_CR3, cpu.cr3, 0);
  processor.vmwrite(V.HOST_CR4, cpu.cr4, 0);
  processor.vmwrite(V.HOST_CS_SELECTOR, HOST_KERNEL_CS, 0);
  processor.vmwrite(V.HOST_SS_SELECTOR, HOST_KERNEL_DS, 0);
  processor.vmwrite(V.HOST_DS_SELECTOR, 0, 0);
  processor.vmwrite(V.HOST_ES_SELECTOR, 0, 0);
  processor.vmwrite(V.HOST_TR_SELECTOR, HOST_TSS, 0);
  processor.vmwrite(V.HOST_TR_BASE, cpu.tss, 0);
  processor.vmwrite(V.HOST_GDTR_BASE, cpu.gdt, 0);
  processor.vmwrite(V.HOST_IDTR_BASE, cpu.idt, 0);
  processor.vmwrite(V.HOST_RIP, cpu.text, 0);
  processor.vmwrite(V.HOST_RSP, cpu.tss, 0);
  processor.vmwrite(V.HOST_IA32_SYSENTER_CS, processor.rdmsr(V.MSR_IA32_SYSENTER_CS), 0);
  const esp = processor.rdmsr(V.MSR_IA32_SYSENTER_ESP);
  processor.vmwrite(V.HOST_IA32_SYSENTER_ESP, esp, processor.high);
  const eip = processor.rdmsr(V.MSR_IA32_SYSENTER_EIP);
  processor.vmwrite(V.HOST_IA32_SYSENTER_EIP, eip, processor.high);
  const efer = processor.rdmsr(V.MSR_EFER);
  processor.vmwrite(V.HOST_IA32_EFER, efer, processor.high);
  const pat = processor.rdmsr(V.MSR_IA32_CR_PAT);
  processor.vmwrite(V.HOST_IA32_PAT, pat, processor.high);
};

const reportSaved = (cpu: HostCpu, saved: SavedHostState): void => {
  const report = (what: string, low: number, high: number): void =>
    reportSwitch(cpu.processor, 'entry', 'vmx_save_host_state', what, 'processor', 'host state', low, high);
  report('LDTR', saved.ldtSel, 0);
  report('FS', saved.fsSel, 0);
  report('GS', saved.gsSel, 0);
  report('FS_BASE', saved.fsBaseLo, saved.fsBaseHi);
  report('GS_BASE', saved.gsBaseLo, saved.gsBaseHi);
  report('IA32_KERNEL_GS_BASE', saved.kernelGsBaseLo, saved.kernelGsBaseHi);
};

/** vmx_set_host_fs_gs: writes the host-state area where it differs from what the VMCS has. */
const setHostFsGs = (vcpu: KvmVcpu, saved: SavedHostState): void => {
  const { processor, hostState } = vcpu;
  if (saved.fsSel !== hostState.fsSel) processor.vmwrite(V.HOST_FS_SELECTOR, (hostState.fsSel = saved.fsSel) & ~7, 0);
  if (saved.gsSel !== hostState.gsSel) processor.vmwrite(V.HOST_GS_SELECTOR, (hostState.gsSel = saved.gsSel) & ~7, 0);
  if (saved.fsBaseLo !== hostState.fsBaseLo || saved.fsBaseHi !== hostState.fsBaseHi) {
    hostState.fsBaseLo = saved.fsBaseLo;
    hostState.fsBaseHi = saved.fsBaseHi;
    processor.vmwrite(V.HOST_FS_BASE, saved.fsBaseLo, saved.fsBaseHi);
  }
  if (saved.gsBaseLo !== hostState.gsBaseLo || saved.gsBaseHi !== hostState.gsBaseHi) {
    hostState.gsBaseLo = saved.gsBaseLo;
    hostState.gsBaseHi = saved.gsBaseHi;
    processor.vmwrite(V.HOST_GS_BASE, saved.gsBaseLo, saved.gsBaseHi);
  }
};

/** vmx_save_host_state (vmx_prepare_switch_to_guest): once for each time the vCPU is put on the CPU. */
export const vmxSaveHostState = (vcpu: KvmVcpu): void => {
  if (!vcpu.guestUretMsrsLoaded) vmxLoadUretMsrs(vcpu);
  if (vcpu.guestStateLoaded) return;
  const { processor, cpu } = vcpu;
  const saved = cpu.savedHostState;
  saved.ldtSel = processor.readSelector('ldtr');
  saved.fsSel = processor.readSelector('fs');
  saved.gsSel = processor.readSelector('gs');
  saved.fsBaseLo = processor.readBase('fs');
  saved.fsBaseHi = processor.high;
  saved.gsBaseLo = processor.readBase('gs');
  saved.gsBaseHi = processor.high;
  saved.kernelGsBaseLo = processor.rdmsr(V.MSR_KERNEL_GS_BASE);
  saved.kernelGsBaseHi = processor.high;
  if (processor.switchObserver !== null) reportSaved(cpu, saved);
  setHostFsGs(vcpu, saved);
  const low = vcpu.msrs[SLOT_KERNEL_GS_BASE * 2]!;
  const high = vcpu.msrs[SLOT_KERNEL_GS_BASE * 2 + 1]!;
  processor.wrmsr(V.MSR_KERNEL_GS_BASE, low, high);
  if (processor.switchObserver !== null)
    reportSwitch(processor, 'entry', 'vmx_save_host_state', 'IA32_KERNEL_GS_BASE', 'vcpu', 'processor', low, high);
  vcpu.guestStateLoaded = true;
};

/** vmx_prepare_switch_to_host: the vCPU leaves the CPU. */
export const vmxPrepareSwitchToHost = (vcpu: KvmVcpu): void => {
  if (!vcpu.guestStateLoaded) return;
  const { processor, cpu } = vcpu;
  const saved = cpu.savedHostState;
  const low = processor.rdmsr(V.MSR_KERNEL_GS_BASE);
  const high = processor.high;
  vcpu.msrs[SLOT_KERNEL_GS_BASE * 2] = low;
  vcpu.msrs[SLOT_KERNEL_GS_BASE * 2 + 1] = high;
  // VM exit loads LDTR as unusable, and FS and GS selectors without their RPL and TI (SDM vol. 3C, 28.5.2).
  if (saved.ldtSel !== 0) processor.loadSelector('ldtr', saved.ldtSel);
  if ((saved.fsSel & 7) !== 0) {
    processor.loadSelector('fs', saved.fsSel);
    processor.writeBase('fs', saved.fsBaseLo, saved.fsBaseHi);
  }
  if ((saved.gsSel & 7) !== 0) {
    processor.loadSelector('gs', saved.gsSel);
    processor.writeBase('gs', saved.gsBaseLo, saved.gsBaseHi);
  }
  processor.wrmsr(V.MSR_KERNEL_GS_BASE, saved.kernelGsBaseLo, saved.kernelGsBaseHi);
  // VM exit made the GDT's limit 0xffff (28.5.2).
  processor.lgdt(cpu.gdt, GDT_LIMIT);
  if (processor.switchObserver !== null) {
    const step = 'vmx_prepare_switch_to_host';
    reportSwitch(processor, 'exit', step, 'IA32_KERNEL_GS_BASE', 'processor', 'vcpu', low, high);
    const { kernelGsBaseLo, kernelGsBaseHi } = saved;
    reportSwitch(processor, 'exit', step, 'IA32_KERNEL_GS_BASE', 'host state', 'processor', kernelGsBaseLo, kernelGsBaseHi);
  }
  vcpu.guestStateLoaded = false;
  vcpu.guestUretMsrsLoaded = false;
};
