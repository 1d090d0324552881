/**
 * The vCPU's thread. In the one-thread composition it is an async function of the caller's thread: `waitIoEvent` is
 * where it gives way to everything else; in the threaded one the same function runs in a worker, and `waitIoEvent`
 * waits for the device thread.
 */

import { EXCP_DEBUG, kvmCpuExec } from './kvm-cpu-exec.ts';
import type { CpuState } from './cpu-state.ts';
import { EXIT_SOFTWARE } from '../../system/exit-status.ts';

/** Returns once there may be something to do: a request, an interrupt, a timer, or simply the next turn. */
export type WaitIoEvent = (cpu: CpuState) => Promise<void>;

/** cpu_can_run. */
export function cpuCanRun(cpu: CpuState): boolean {
  return !cpu.stopped && !cpu.runState.pending;
}

/** qemu_kvm_cpu_thread_fn: for the life of the vCPU. */
export async function qemuKvmCpuThreadFn(cpu: CpuState, waitIoEvent: WaitIoEvent): Promise<void> {
  do {
    if (cpuCanRun(cpu) && kvmCpuExec(cpu) === EXCP_DEBUG) qemuHandleGuestDebug(cpu);
    await waitIoEvent(cpu);
  } while (!cpu.unplug || cpuCanRun(cpu));
}

/** cpu_handle_guest_debug: there is no debugger to hand the vCPU to, so the machine stops and shows where. */
function qemuHandleGuestDebug(cpu: CpuState): void {
  const pc = cpu.run.view.getBigUint64(40, true);
  cpu.runState.exit({ code: EXIT_SOFTWARE, cause: 'debug', message: `debug exit at 0x${pc.toString(16)}` });
}
