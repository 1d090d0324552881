/**
 * kvm_cpu_exec: around KVM_RUN again and again, serving each exit, until there is something for the vCPU's thread to
 * do. Port and memory-mapped exits are the hot ones: they take no object and no closure.
 */

import {
  EAGAIN,
  EINTR,
  KVM_ENOSYS,
  KVM_EXIT_DEBUG,
  KVM_EXIT_DIRTY_RING_FULL,
  KVM_EXIT_EXCEPTION,
  KVM_EXIT_FAIL_ENTRY,
  KVM_EXIT_HLT,
  KVM_EXIT_HYPERCALL,
  KVM_EXIT_INTERNAL_ERROR,
  KVM_EXIT_INTR,
  KVM_EXIT_IO,
  KVM_EXIT_IOAPIC_EOI,
  KVM_EXIT_IRQ_WINDOW_OPEN,
  KVM_EXIT_MEMORY_FAULT,
  KVM_EXIT_MMIO,
  KVM_EXIT_NMI,
  KVM_EXIT_NOTIFY,
  KVM_EXIT_SET_TPR,
  KVM_EXIT_SHUTDOWN,
  KVM_EXIT_SYSTEM_EVENT,
  KVM_EXIT_TPR_ACCESS,
  KVM_EXIT_UNKNOWN,
  KVM_EXIT_X86_BUS_LOCK,
  KVM_EXIT_X86_RDMSR,
  KVM_EXIT_X86_WRMSR,
  KVM_INTERNAL_ERROR_DELIVERY_EV,
  KVM_INTERNAL_ERROR_EMULATION,
  KVM_INTERNAL_ERROR_SIMUL_EX,
  KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON,
  KVM_NOTIFY_CONTEXT_INVALID,
  KVM_SYSTEM_EVENT_CRASH,
  KVM_SYSTEM_EVENT_RESET,
  KVM_SYSTEM_EVENT_SHUTDOWN,
  errnoName,
  type KvmExit,
} from '@vm/kvm-run';
import { EXIT_GUEST_CRASH, EXIT_SOFTWARE, type ExitCause } from '../../system/exit-status.ts';
import { cpuDumpState } from '../../target/i386/cpu-dump.ts';
import { KVM_PUT_RUNTIME_STATE, kvmArchGetRegisters, kvmArchPutRegisters } from '../../target/i386/kvm/registers.ts';
import type { CpuState } from './cpu-state.ts';
import { KvmError } from './kvm-error.ts';
import { kvmFlushCoalescedMmioBuffer, kvmHandleIo, kvmHandleMmio } from './kvm-io.ts';

// What kvm_cpu_exec returns (exec/cpu-common.h), and 0 for "once more".
export const EXCP_INTERRUPT = 0x10000;
export const EXCP_HLT = 0x10001;
export const EXCP_DEBUG = 0x10002;
const AGAIN = 0;
const STOP = -1;

const SUBERRORS: Readonly<Record<number, string>> = {
  [KVM_INTERNAL_ERROR_EMULATION]: 'emulation failure',
  [KVM_INTERNAL_ERROR_SIMUL_EX]: 'simultaneous exceptions',
  [KVM_INTERNAL_ERROR_DELIVERY_EV]: 'exit while an event was delivered',
  [KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON]: 'unexpected VM exit',
};

/** Runs the guest. Returns EXCP_INTERRUPT, EXCP_HLT, EXCP_DEBUG, or -1 when the vCPU cannot go on (the run state says why). */
export function kvmCpuExec(cpu: CpuState): number {
  if (cpu.halted) return EXCP_HLT;
  const { run } = cpu;
  let result: number;
  do {
    if (cpu.vcpuDirty) kvmArchPutRegisters(cpu, KVM_PUT_RUNTIME_STATE);
    // With an exit asked for, KVM_RUN still completes the instruction whose I/O was served, and comes back at once.
    if (cpu.exitRequest) run.immediateExit = 1;
    const entered = cpu.enter();
    kvmFlushCoalescedMmioBuffer(run, cpu.memory, cpu.ioPorts);
    result = entered < 0 ? runFailed(cpu, entered) : handleExit(cpu);
  } while (result === AGAIN);
  cpu.exitRequest = false;
  run.immediateExit = 0;
  return result;
}

function handleExit(cpu: CpuState): number {
  const { run } = cpu;
  switch (run.exitReason) {
    case KVM_EXIT_IO:
      kvmHandleIo(run, cpu.ioPorts);
      return AGAIN;
    case KVM_EXIT_MMIO:
      kvmHandleMmio(run, cpu.memory);
      return AGAIN;
    case KVM_EXIT_INTR:
    case KVM_EXIT_IRQ_WINDOW_OPEN:
      return EXCP_INTERRUPT;
    default:
      return handleRareExit(cpu, run.readExit());
  }
}

function runFailed(cpu: CpuState, result: number): number {
  if (result === -EINTR || result === -EAGAIN) return EXCP_INTERRUPT;
  return stop(cpu, 'internal-error', EXIT_SOFTWARE, `KVM_RUN failed: ${errnoName(result)}`);
}

function handleRareExit(cpu: CpuState, exit: KvmExit): number {
  switch (exit.reason) {
    case KVM_EXIT_IO:
    case KVM_EXIT_MMIO:
      return AGAIN; // served above
    case KVM_EXIT_INTR:
    case KVM_EXIT_IRQ_WINDOW_OPEN:
      return EXCP_INTERRUPT;
    case KVM_EXIT_HLT:
      cpu.halted = true;
      return EXCP_HLT;
    case KVM_EXIT_SHUTDOWN:
      return tripleFault(cpu);
    case KVM_EXIT_SYSTEM_EVENT:
      return systemEvent(cpu, exit.type, exit.data);
    case KVM_EXIT_INTERNAL_ERROR:
      return internalError(cpu, exit.suberror, exit.data);
    case KVM_EXIT_FAIL_ENTRY:
      return failEntry(cpu, exit.hardwareEntryFailureReason);
    case KVM_EXIT_UNKNOWN:
      return stop(cpu, 'internal-error', EXIT_SOFTWARE, `KVM: unknown exit, hardware reason ${hex(exit.hardwareExitReason)}`);
    case KVM_EXIT_EXCEPTION:
      return stop(cpu, 'internal-error', EXIT_SOFTWARE, `KVM: exception ${exit.exception} exit (error code ${hex(exit.errorCode)})`);
    case KVM_EXIT_DEBUG:
      return EXCP_DEBUG;
    case KVM_EXIT_HYPERCALL:
      cpu.run.view.setBigInt64(HYPERCALL_RET, BigInt(-KVM_ENOSYS), true);
      return AGAIN;
    case KVM_EXIT_X86_RDMSR:
    case KVM_EXIT_X86_WRMSR: // no MSR is served here: the guest gets #GP
      cpu.run.bytes[MSR_ERROR] = 1;
      return AGAIN;
    case KVM_EXIT_NOTIFY:
      if ((exit.flags & KVM_NOTIFY_CONTEXT_INVALID) === 0) return AGAIN;
      return stop(cpu, 'internal-error', EXIT_SOFTWARE, 'KVM: notify exit with a VM context that cannot be used');
    case KVM_EXIT_SET_TPR:
    case KVM_EXIT_TPR_ACCESS:
    case KVM_EXIT_NMI:
    case KVM_EXIT_IOAPIC_EOI:
    case KVM_EXIT_X86_BUS_LOCK:
      return AGAIN;
    case KVM_EXIT_DIRTY_RING_FULL: // dirty rings are never turned on
      return stop(cpu, 'internal-error', EXIT_SOFTWARE, 'KVM: the dirty ring is full');
    case KVM_EXIT_MEMORY_FAULT:
      return stop(cpu, 'internal-error', EXIT_SOFTWARE, `KVM: memory fault at ${hex(exit.gpa)}, ${exit.size} bytes`);
    case -1:
      return stop(cpu, 'internal-error', EXIT_SOFTWARE, `KVM: exit reason ${exit.exitReason} is not known`);
    default:
      return exit satisfies never;
  }
}

/** Offset of `hypercall.ret` and of `msr.error` in struct kvm_run. */
const HYPERCALL_RET = 88;
const MSR_ERROR = 32;

function systemEvent(cpu: CpuState, type: number, data: readonly bigint[]): number {
  switch (type) {
    case KVM_SYSTEM_EVENT_SHUTDOWN:
      cpu.runState.qemuSystemShutdownRequest();
      return EXCP_INTERRUPT;
    case KVM_SYSTEM_EVENT_RESET:
      cpu.runState.qemuSystemResetRequest();
      return EXCP_INTERRUPT;
    case KVM_SYSTEM_EVENT_CRASH:
      return stop(cpu, 'panic', EXIT_GUEST_CRASH, `the guest reported a crash: ${data.map(hex).join(' ')}`);
    default:
      return stop(cpu, 'internal-error', EXIT_SOFTWARE, `KVM: system event ${type} is not known`);
  }
}

function internalError(cpu: CpuState, suberror: number, data: readonly bigint[]): number {
  const extra = data.map((word, i) => `\nextra data[${i}]: ${hex(word)}`).join('');
  const what = SUBERRORS[suberror] ?? 'unknown suberror';
  return stop(cpu, 'internal-error', EXIT_SOFTWARE, `KVM internal error. Suberror: ${suberror} (${what})${extra}`);
}

function failEntry(cpu: CpuState, reason: bigint): number {
  // Bit 31 marks an exit that is a failed entry; the low bits are the basic reason (SDM vol. 3C, 25.9.1).
  const invalidState = (reason & 0xffffn) === 33n ? ': the guest state is not what the hardware allows' : '';
  return stop(cpu, 'internal-error', EXIT_SOFTWARE, `KVM: entry failed, hardware error ${hex(reason)}${invalidState}`);
}

/** The registers are those of the instruction that faulted: shutdown changes none (SDM vol. 3C, 26.2, exit reason 2). */
function tripleFault(cpu: CpuState): number {
  const message = `triple fault on CPU ${cpu.index}: an exception could not be delivered, nor the double fault after it`;
  cpu.runState.tripleFault({ code: EXIT_GUEST_CRASH, cause: 'triple-fault', message, state: dump(cpu) });
  return EXCP_INTERRUPT;
}

/** Ends the machine with the registers as they are now. */
function stop(cpu: CpuState, cause: ExitCause, code: number, message: string): number {
  cpu.runState.exit({ code, cause, message, state: dump(cpu) });
  return STOP;
}

function dump(cpu: CpuState): string {
  try {
    kvmArchGetRegisters(cpu);
    return cpuDumpState(cpu);
  } catch (error) {
    if (error instanceof KvmError) return error.message;
    throw error;
  }
}

const hex = (value: bigint | number): string => `0x${value.toString(16)}`;
