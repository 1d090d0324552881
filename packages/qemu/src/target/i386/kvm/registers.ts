/** Registers to and from KVM (target/i386/kvm/kvm.c: kvm_arch_put_registers, kvm_arch_get_registers). */

import {
  KVM_GET_DEBUGREGS,
  KVM_GET_MP_STATE,
  KVM_GET_REGS,
  KVM_GET_SREGS,
  KVM_GET_VCPU_EVENTS,
  KVM_GET_XCRS,
  KVM_GET_XSAVE,
  KVM_SET_DEBUGREGS,
  KVM_SET_MP_STATE,
  KVM_SET_REGS,
  KVM_SET_SREGS,
  KVM_SET_VCPU_EVENTS,
  KVM_SET_XCRS,
  KVM_SET_XSAVE,
  KVM_VCPUEVENT_VALID_NMI_PENDING,
  KVM_VCPUEVENT_VALID_SHADOW,
  bytesOf,
} from '@vm/kvm-run';
import type { CpuState } from '../../../accel/kvm/cpu-state.ts';
import { checkIoctl } from '../../../accel/kvm/kvm-error.ts';
import type { X86Env } from '../env.ts';

/** What changed while the vCPU was out of KVM_RUN: general and system registers. */
export const KVM_PUT_RUNTIME_STATE = 1;
/** All of it: the vCPU starts over. */
export const KVM_PUT_RESET_STATE = 2;

type Transfer = readonly [get: number, set: number, bytes: (env: X86Env) => Uint8Array, level: number];

/**
 * In the order in which KVM wants to be told: system registers first, because they decide what general registers may
 * hold; XCR0 before the state that it enables; events last, since setting registers drops what was pending.
 */
const TRANSFERS: readonly Transfer[] = [
  [KVM_GET_SREGS, KVM_SET_SREGS, (env) => bytesOf(env.sregs), KVM_PUT_RUNTIME_STATE],
  [KVM_GET_REGS, KVM_SET_REGS, (env) => bytesOf(env.regs), KVM_PUT_RUNTIME_STATE],
  [KVM_GET_XCRS, KVM_SET_XCRS, (env) => bytesOf(env.xcrs), KVM_PUT_RESET_STATE],
  [KVM_GET_XSAVE, KVM_SET_XSAVE, (env) => env.xsave, KVM_PUT_RESET_STATE],
  [KVM_GET_MP_STATE, KVM_SET_MP_STATE, (env) => bytesOf(env.mpState), KVM_PUT_RESET_STATE],
  [KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS, (env) => bytesOf(env.debugregs), KVM_PUT_RESET_STATE],
  [KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS, (env) => bytesOf(env.events), KVM_PUT_RESET_STATE],
];

export function kvmArchPutRegisters(cpu: CpuState, level: number): void {
  cpu.env.events.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
  for (const [, set, bytes, needed] of TRANSFERS) if (level >= needed) checkIoctl(set, cpu.kvmVcpuIoctl(set, bytes(cpu.env)));
  cpu.vcpuDirty = false;
}

/** Reads everything; state that KVM does not give is left as it was. */
export function kvmArchGetRegisters(cpu: CpuState): void {
  for (const [get, , bytes] of TRANSFERS) {
    const result = cpu.kvmVcpuIoctl(get, bytes(cpu.env));
    if (get === KVM_GET_REGS || get === KVM_GET_SREGS) checkIoctl(get, result);
  }
}

/** cpu_synchronize_state: the registers are wanted here, and may be changed: KVM gets them back before it runs. */
export function cpuSynchronizeState(cpu: CpuState): void {
  if (cpu.vcpuDirty) return;
  kvmArchGetRegisters(cpu);
  cpu.vcpuDirty = true;
}
