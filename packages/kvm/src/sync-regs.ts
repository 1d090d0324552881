/** Registers in kvm_run, so that userspace needs no ioctl for them (KVM_CAP_SYNC_REGS). */

import {
  KVM_SYNC_X86_EVENTS,
  KVM_SYNC_X86_REGS,
  KVM_SYNC_X86_SREGS,
  kvmSyncRegs,
  view,
  EINVAL,
  type View,
} from '@vm/kvm-run';
import { getRegs, getSregs, setRegs, setSregs } from './regs.ts';
import type { KvmVcpu } from './types.ts';
import { getVcpuEvents, setVcpuEvents } from './vcpu-events.ts';

const SYNC_VALID_FIELDS = BigInt(KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS);
const VALID_REGS = 288;
const DIRTY_REGS = 296;
const REGS = 304;

/** A copy: userspace may write the page meanwhile. */
const copy = (vcpu: KvmVcpu): View<typeof kvmSyncRegs> =>
  view(kvmSyncRegs, vcpu.run.bytes.slice(REGS, REGS + kvmSyncRegs.size));

/** sync_regs: takes over what userspace marked dirty. */
export const syncDirtyRegs = (vcpu: KvmVcpu): number => {
  const { run } = vcpu;
  const dirty = run.view.getBigUint64(DIRTY_REGS, true);
  if ((dirty & ~SYNC_VALID_FIELDS) !== 0n) return -EINVAL;
  const sync = copy(vcpu);
  const bits = Number(dirty);
  if ((bits & KVM_SYNC_X86_REGS) !== 0) setRegs(vcpu, sync.regs);
  if ((bits & KVM_SYNC_X86_SREGS) !== 0 && setSregs(vcpu, sync.sregs) !== 0) return -EINVAL;
  if ((bits & KVM_SYNC_X86_EVENTS) !== 0 && setVcpuEvents(vcpu, sync.events) !== 0) return -EINVAL;
  run.view.setBigUint64(DIRTY_REGS, 0n, true);
  return 0;
};

/** store_regs: those that userspace wants to see. */
export const storeSyncRegs = (vcpu: KvmVcpu): void => {
  const { run } = vcpu;
  const bits = Number(run.view.getBigUint64(VALID_REGS, true) & SYNC_VALID_FIELDS);
  const bytes = new Uint8Array(kvmSyncRegs.size);
  const sync = view(kvmSyncRegs, bytes);
  if ((bits & KVM_SYNC_X86_REGS) !== 0) {
    getRegs(vcpu, sync.regs);
    run.bytes.set(bytes.subarray(0, 144), REGS);
  }
  if ((bits & KVM_SYNC_X86_SREGS) !== 0) {
    getSregs(vcpu, sync.sregs);
    run.bytes.set(bytes.subarray(144, 456), REGS + 144);
  }
  if ((bits & KVM_SYNC_X86_EVENTS) !== 0) {
    getVcpuEvents(vcpu, sync.events);
    run.bytes.set(bytes.subarray(456), REGS + 456);
  }
};

/** No unknown bits in kvm_valid_regs and kvm_dirty_regs, whose halves are read without a bigint. */
export const syncFieldsValid = (vcpu: KvmVcpu): boolean => {
  const at = (vcpu.runAddress + VALID_REGS) >>> 2;
  const { u32 } = vcpu;
  return ((u32[at]! | u32[at + 2]!) & ~7) === 0 && (u32[at + 1]! | u32[at + 3]!) === 0;
};
