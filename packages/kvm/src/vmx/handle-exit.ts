/**
 * Row 12 of the way out: the special cases, then the handler of the exit reason (vmx_handle_exit and
 * kvm_vmx_exit_handlers of arch/x86/kvm/vmx/vmx.c). Handlers return 1: enter again; 0: kvm_run is filled, userspace
 * works; negative: an error number for userspace.
 */

import {
  KVM_EXIT_FAIL_ENTRY,
  KVM_EXIT_X86_BUS_LOCK,
  KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON,
  KVM_RUN_X86_BUS_LOCK,
} from '@vm/kvm-run';
import * as V from '@vm/kvm-run/vmx';
import { kvmEmulateCpuid } from '../cpuid.ts';
import { kvmEmulateHalt } from '../halt.ts';
import { kvmEmulateHypercall } from '../hypercalls.ts';
import { internalError, kvmPrepareEventVectoringExit } from '../internal-error.ts';
import type { KvmVcpu } from '../types.ts';
import { handleApicAccess, handleApicEoiInduced, handleApicWrite, handleTprBelowThreshold } from './exits/apic.ts';
import * as E from './exits/exception.ts';
import * as I from './exits/instruction.ts';
import { handleIo } from './exits/io.ts';
import { guestPhysicalAddress, handleEptMisconfig, handleEptViolation, handlePmlFull } from './exits/memory.ts';
import { handleRdmsr, handleWrmsr } from './exits/msr.ts';
import { handleVmxInstruction } from './exits/nested.ts';
import { handleCr, handleDesc, handleDr, handleXsetbv } from './exits/registers.ts';
import { handleTaskSwitch } from './exits/task-switch.ts';
import * as T from './exits/timer.ts';
import { vmxFlushPmlBuffer } from './pml.ts';

export type ExitHandler = (vcpu: KvmVcpu) => number;

/** kvm_vmx_exit_handlers, as reason and handler. */
const HANDLERS: readonly (readonly [reason: number, handler: ExitHandler])[] = [
  [V.EXIT_REASON_EXCEPTION_NMI, E.handleExceptionNmi],
  [V.EXIT_REASON_EXTERNAL_INTERRUPT, E.handleExternalInterrupt],
  [V.EXIT_REASON_TRIPLE_FAULT, E.handleTripleFault],
  [V.EXIT_REASON_NMI_WINDOW, E.handleNmiWindow],
  [V.EXIT_REASON_IO_INSTRUCTION, handleIo],
  [V.EXIT_REASON_CR_ACCESS, handleCr],
  [V.EXIT_REASON_DR_ACCESS, handleDr],
  [V.EXIT_REASON_CPUID, kvmEmulateCpuid],
  [V.EXIT_REASON_MSR_READ, handleRdmsr],
  [V.EXIT_REASON_MSR_WRITE, handleWrmsr],
  [V.EXIT_REASON_INTERRUPT_WINDOW, E.handleInterruptWindow],
  [V.EXIT_REASON_HLT, kvmEmulateHalt],
  [V.EXIT_REASON_INVD, I.handleInvd],
  [V.EXIT_REASON_INVLPG, I.handleInvlpg],
  [V.EXIT_REASON_RDPMC, I.handleRdpmc],
  [V.EXIT_REASON_RDTSC, I.handleRdtsc],
  [V.EXIT_REASON_RDTSCP, I.handleRdtscp],
  [V.EXIT_REASON_VMCALL, kvmEmulateHypercall],
  [V.EXIT_REASON_VMCLEAR, handleVmxInstruction],
  [V.EXIT_REASON_VMLAUNCH, handleVmxInstruction],
  [V.EXIT_REASON_VMPTRLD, handleVmxInstruction],
  [V.EXIT_REASON_VMPTRST, handleVmxInstruction],
  [V.EXIT_REASON_VMREAD, handleVmxInstruction],
  [V.EXIT_REASON_VMRESUME, handleVmxInstruction],
  [V.EXIT_REASON_VMWRITE, handleVmxInstruction],
  [V.EXIT_REASON_VMOFF, handleVmxInstruction],
  [V.EXIT_REASON_VMON, handleVmxInstruction],
  [V.EXIT_REASON_INVEPT, handleVmxInstruction],
  [V.EXIT_REASON_INVVPID, handleVmxInstruction],
  [V.EXIT_REASON_TPR_BELOW_THRESHOLD, handleTprBelowThreshold],
  [V.EXIT_REASON_APIC_ACCESS, handleApicAccess],
  [V.EXIT_REASON_APIC_WRITE, handleApicWrite],
  [V.EXIT_REASON_EOI_INDUCED, handleApicEoiInduced],
  [V.EXIT_REASON_WBINVD, I.handleWbinvd],
  [V.EXIT_REASON_XSETBV, handleXsetbv],
  [V.EXIT_REASON_TASK_SWITCH, handleTaskSwitch],
  [V.EXIT_REASON_MCE_DURING_VMENTRY, E.handleMachineCheck],
  [V.EXIT_REASON_GDTR_IDTR, handleDesc],
  [V.EXIT_REASON_LDTR_TR, handleDesc],
  [V.EXIT_REASON_EPT_VIOLATION, handleEptViolation],
  [V.EXIT_REASON_EPT_MISCONFIG, handleEptMisconfig],
  [V.EXIT_REASON_PAUSE_INSTRUCTION, I.handlePause],
  [V.EXIT_REASON_MWAIT_INSTRUCTION, I.handleMwait],
  [V.EXIT_REASON_MONITOR_TRAP_FLAG, T.handleMonitorTrap],
  [V.EXIT_REASON_MONITOR_INSTRUCTION, I.handleMonitor],
  [V.EXIT_REASON_XSAVES, I.handleXsaves],
  [V.EXIT_REASON_XRSTORS, I.handleXrstors],
  [V.EXIT_REASON_PML_FULL, handlePmlFull],
  [V.EXIT_REASON_PCOMMIT, I.handlePcommit],
  [V.EXIT_REASON_PREEMPTION_TIMER, T.handlePreemptionTimer],
  [V.EXIT_REASON_RDRAND, I.handleMissing],
  [V.EXIT_REASON_RDSEED, I.handleMissing],
  [V.EXIT_REASON_INVPCID, I.handleInvpcid],
  [V.EXIT_REASON_VMFUNC, I.handleMissing],
  [V.EXIT_REASON_ENCLS, I.handleMissing],
  [V.EXIT_REASON_UMWAIT, I.handleUmwait],
  [V.EXIT_REASON_TPAUSE, I.handleUmwait],
  [V.EXIT_REASON_BUS_LOCK, T.handleBusLock],
  [V.EXIT_REASON_NOTIFY, T.handleNotify],
];

const tableOf = (rows: typeof HANDLERS): readonly (ExitHandler | null)[] => {
  const table: (ExitHandler | null)[] = Array.from({ length: V.EXIT_REASONS }, () => null);
  for (const [reason, handler] of rows) table[reason] = handler;
  return table;
};

/** By basic exit reason; null: KVM does not expect it. */
export const kvmVmxExitHandlers: readonly (ExitHandler | null)[] = tableOf(HANDLERS);

/** Reasons that may come while an event is being delivered. */
const mayInterruptDelivery = (basic: number): boolean =>
  basic === V.EXIT_REASON_EXCEPTION_NMI ||
  basic === V.EXIT_REASON_EPT_VIOLATION ||
  basic === V.EXIT_REASON_PML_FULL ||
  basic === V.EXIT_REASON_APIC_ACCESS ||
  basic === V.EXIT_REASON_TASK_SWITCH ||
  basic === V.EXIT_REASON_NOTIFY;

const failEntry = (vcpu: KvmVcpu, reason: number): number => {
  const { run } = vcpu;
  run.exitReason = KVM_EXIT_FAIL_ENTRY;
  run.view.setBigUint64(32, BigInt(reason), true);
  run.view.setUint32(40, vcpu.cpu.index, true);
  return 0;
};

const handle = (vcpu: KvmVcpu): number => {
  const reason = vcpu.exitReason;
  const basic = reason & V.VMX_BASIC_EXIT_REASON_MASK;
  if (vcpu.pmlAddress !== 0) vmxFlushPmlBuffer(vcpu);
  if (vcpu.fail !== 0) return failEntry(vcpu, vcpu.processor.vmread(V.VM_INSTRUCTION_ERROR));
  if ((reason & V.VMX_EXIT_REASONS_FAILED_VMENTRY) !== 0) return failEntry(vcpu, reason);
  if ((vcpu.idtVectoringInfo & V.VECTORING_INFO_VALID_MASK) !== 0 && !mayInterruptDelivery(basic))
    return kvmPrepareEventVectoringExit(vcpu, basic === V.EXIT_REASON_EPT_MISCONFIG ? guestPhysicalAddress(vcpu) : -1);
  const handler = kvmVmxExitHandlers[basic];
  if (handler === null || handler === undefined)
    return internalError(vcpu, KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON, [reason, vcpu.cpu.index]);
  return handler(vcpu);
};

/** vmx_handle_exit */
export const vmxHandleExit = (vcpu: KvmVcpu): number => {
  const result = handle(vcpu);
  if ((vcpu.exitReason & T.V_BUS_LOCK_DETECTED) === 0 || vcpu.fail !== 0) return result;
  if (result > 0) vcpu.run.exitReason = KVM_EXIT_X86_BUS_LOCK;
  vcpu.run.flags |= KVM_RUN_X86_BUS_LOCK;
  return 0;
};
