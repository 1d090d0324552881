/** The vCPU's MSRs over a reset (kvm_get_supported_msrs, kvm_put_msrs): each gets back the value that it was created with. */

import { E2BIG, KVM_GET_MSRS, KVM_GET_MSR_INDEX_LIST, KVM_SET_MSRS, allocate, kvmMsrEntry, kvmMsrList, kvmMsrs, view } from '@vm/kvm-run';
import type { CpuState } from '../../../accel/kvm/cpu-state.ts';
import type { KvmState } from '../../../accel/kvm/kvm-all.ts';
import { checkIoctl } from '../../../accel/kvm/kvm-error.ts';
import { MSR_IA32_TSC, MSR_IA32_TSC_ADJUST, MSR_IA32_TSC_DEADLINE } from '../bits.ts';

/** The time-stamp counter goes on counting over a reset of the machine. */
const KEPT: ReadonlySet<number> = new Set([MSR_IA32_TSC, MSR_IA32_TSC_ADJUST, MSR_IA32_TSC_DEADLINE]);

export interface MsrValue {
  readonly index: number;
  readonly data: bigint;
}

/** kvm_get_supported_msrs: indices that KVM saves and restores. */
export function kvmGetSupportedMsrs(kvm: KvmState): number[] {
  const probe = allocate(kvmMsrList);
  const first = kvm.system.ioctl(KVM_GET_MSR_INDEX_LIST, probe);
  if (first < 0 && first !== -E2BIG) checkIoctl(KVM_GET_MSR_INDEX_LIST, first);
  const count = view(kvmMsrList, probe).nmsrs;
  if (count === 0) return [];
  const bytes = allocate(kvmMsrList, count);
  const list = view(kvmMsrList, bytes);
  list.nmsrs = count;
  checkIoctl(KVM_GET_MSR_INDEX_LIST, kvm.system.ioctl(KVM_GET_MSR_INDEX_LIST, bytes));
  return [...list.indices.subarray(0, list.nmsrs)];
}

/** Reads those of the MSRs that can be read. */
export function kvmGetMsrs(cpu: CpuState, indices: readonly number[]): MsrValue[] {
  const values: MsrValue[] = [];
  for (let at = 0; at < indices.length;) {
    const wanted = indices.slice(at);
    const bytes = fill(wanted.map((index) => ({ index, data: 0n })));
    const done = checkIoctl(KVM_GET_MSRS, cpu.kvmVcpuIoctl(KVM_GET_MSRS, bytes));
    const entries = view(kvmMsrs, bytes).entries;
    for (let i = 0; i < done; i++) values.push({ index: entries[i]!.index, data: entries[i]!.data });
    at += done + 1; // the one at which KVM stopped cannot be read
  }
  return values;
}

/** Writes those of the MSRs that can be written; returns the indices of those that cannot. */
export function kvmPutMsrs(cpu: CpuState, values: readonly MsrValue[]): number[] {
  const refused: number[] = [];
  for (let at = 0; at < values.length;) {
    const wanted = values.slice(at);
    const done = checkIoctl(KVM_SET_MSRS, cpu.kvmVcpuIoctl(KVM_SET_MSRS, fill(wanted)));
    if (done < wanted.length) refused.push(wanted[done]!.index);
    at += done + 1;
  }
  return refused;
}

/** The values that a reset gives back. */
export function kvmResetMsrs(cpu: CpuState): MsrValue[] {
  return kvmGetMsrs(
    cpu,
    kvmGetSupportedMsrs(cpu.kvm).filter((index) => !KEPT.has(index)),
  );
}

function fill(values: readonly MsrValue[]): Uint8Array {
  const bytes = allocate(kvmMsrs, values.length);
  const data = new DataView(bytes.buffer);
  data.setUint32(0, values.length, true);
  values.forEach((value, i) => {
    data.setUint32(kvmMsrs.size + i * kvmMsrEntry.size, value.index, true);
    data.setBigUint64(kvmMsrs.size + i * kvmMsrEntry.size + 8, value.data, true);
  });
  return bytes;
}
