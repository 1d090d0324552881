/** The guest's debug registers (kvm_set_dr, kvm_update_dr7, kvm_vcpu_ioctl_x86_set_guest_debug of x86.c). */

import {
  EINVAL,
  EBUSY,
  KVM_GUESTDBG_ENABLE,
  KVM_GUESTDBG_INJECT_BP,
  KVM_GUESTDBG_INJECT_DB,
  KVM_GUESTDBG_SINGLESTEP,
  KVM_GUESTDBG_USE_HW_BP,
  kvmDebugregs,
  kvmGuestDebug,
  type View,
} from '@vm/kvm-run';
import { CPU_BASED_MOV_DR_EXITING, GUEST_DR7 } from '@vm/kvm-run/vmx';
import { kvmGetRflags, kvmRipRead64, kvmSetRflags } from './cache-regs.ts';
import { kvmQueueException } from './queue.ts';
import type { KvmVcpu } from './types.ts';
import { execControlsClearBit, execControlsSetBit } from './vmx/controls.ts';
import { vmxUpdateExceptionBitmap } from './vmx/exception-bitmap.ts';
import { kvmGetLinearRip } from './vmx/segment.ts';
import * as B from './x86-bits.ts';

/** switchDbRegs: the guest has breakpoints on; its debug registers are in the processor. */
export const KVM_DEBUGREG_BP_ENABLED = 1;
export const KVM_DEBUGREG_WONT_EXIT = 2;

/** kvm_update_dr0123 */
export const kvmUpdateDr0123 = (vcpu: KvmVcpu): void => {
  if ((vcpu.guestDebug & KVM_GUESTDBG_USE_HW_BP) === 0) vcpu.effDb.set(vcpu.db);
};

/** kvm_update_dr7 */
export const kvmUpdateDr7 = (vcpu: KvmVcpu): void => {
  const dr7 = (vcpu.guestDebug & KVM_GUESTDBG_USE_HW_BP) !== 0 ? vcpu.guestDebugDr7 : vcpu.dr7;
  vcpu.effDr7 = dr7;
  vcpu.processor.vmwrite(GUEST_DR7, dr7, 0);
  vcpu.switchDbRegs &= ~KVM_DEBUGREG_BP_ENABLED;
  if ((dr7 & B.DR7_BP_EN_MASK) !== 0) vcpu.switchDbRegs |= KVM_DEBUGREG_BP_ENABLED;
};

/** kvm_get_dr: 64 bits. */
export const kvmGetDr = (vcpu: KvmVcpu, dr: number): bigint => {
  if (dr < 4) return vcpu.db[dr]!;
  return BigInt(dr === 4 || dr === 6 ? vcpu.dr6 : vcpu.dr7);
};

/** kvm_set_dr: false where the upper half of DR6 or DR7 is not zero (#GP). */
export const kvmSetDr = (vcpu: KvmVcpu, dr: number, value: bigint): boolean => {
  if (dr < 4) {
    vcpu.db[dr] = value;
    kvmUpdateDr0123(vcpu);
    return true;
  }
  if (value >> 32n !== 0n) return false;
  const low = Number(value);
  // RTM and bus-lock detection are not in the guest's CPUID: their bits read as ones.
  if (dr === 4 || dr === 6) vcpu.dr6 = ((low & 0xe00f) | B.DR6_ACTIVE_LOW) >>> 0;
  else {
    vcpu.dr7 = ((low & B.DR7_VOLATILE) | B.DR7_FIXED_1) >>> 0;
    kvmUpdateDr7(vcpu);
  }
  return true;
};

/** Before entry: the breakpoint addresses, when any is on (vcpu_enter_guest). */
export const loadGuestDebugRegs = (vcpu: KvmVcpu): void => {
  const { processor, effDb } = vcpu;
  processor.writeDr(7, 0, 0);
  for (let i = 0; i < 4; i++)
    processor.writeDr(i as 0, Number(effDb[i]! & 0xffffffffn), Number(effDb[i]! >> 32n));
  if ((vcpu.switchDbRegs & KVM_DEBUGREG_WONT_EXIT) !== 0) processor.writeDr(6, vcpu.dr6, 0);
};

/** vmx_sync_dirty_debug_regs: the guest had its debug registers for itself; from now on MOV DR exits again. */
export const syncDirtyDebugRegs = (vcpu: KvmVcpu): void => {
  const { processor } = vcpu;
  for (let i = 0; i < 4; i++) {
    const low = processor.readDr(i as 0);
    vcpu.db[i] = (BigInt(processor.high >>> 0) << 32n) | BigInt(low >>> 0);
  }
  vcpu.dr6 = processor.readDr(6) >>> 0;
  vcpu.dr7 = processor.vmread(GUEST_DR7);
  vcpu.switchDbRegs &= ~KVM_DEBUGREG_WONT_EXIT;
  execControlsSetBit(vcpu, CPU_BASED_MOV_DR_EXITING);
  kvmUpdateDr0123(vcpu);
  kvmUpdateDr7(vcpu);
};

/** After the first MOV DR: the guest may have its debug registers for itself until the vCPU leaves the CPU. */
export const grantDebugRegs = (vcpu: KvmVcpu): void => {
  execControlsClearBit(vcpu, CPU_BASED_MOV_DR_EXITING);
  vcpu.switchDbRegs |= KVM_DEBUGREG_WONT_EXIT;
};

/** KVM_SET_GUEST_DEBUG */
export const kvmVcpuIoctlSetGuestDebug = (vcpu: KvmVcpu, debug: View<typeof kvmGuestDebug>): number => {
  if ((debug.control & (KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP)) !== 0) {
    if (vcpu.exception.pending) return -EBUSY;
    kvmQueueException(vcpu, (debug.control & KVM_GUESTDBG_INJECT_DB) !== 0 ? B.DB_VECTOR : B.BP_VECTOR);
  }
  const rflags = kvmGetRflags(vcpu);
  vcpu.guestDebug = (debug.control & KVM_GUESTDBG_ENABLE) !== 0 ? debug.control : 0;
  if ((vcpu.guestDebug & KVM_GUESTDBG_USE_HW_BP) !== 0) {
    for (let i = 0; i < 4; i++) vcpu.effDb[i] = debug.arch.debugreg[i]!;
    vcpu.guestDebugDr7 = Number(debug.arch.debugreg[7]! & 0xffffffffn);
  } else vcpu.effDb.set(vcpu.db);
  kvmUpdateDr7(vcpu);
  if ((vcpu.guestDebug & KVM_GUESTDBG_SINGLESTEP) !== 0) vcpu.singlestepRip = kvmGetLinearRip(vcpu, kvmRipRead64(vcpu));
  // Adds or takes away the debugger's TF.
  kvmSetRflags(vcpu, rflags);
  vmxUpdateExceptionBitmap(vcpu);
  return 0;
};

/** KVM_GET_DEBUGREGS */
export const kvmVcpuIoctlGetDebugregs = (vcpu: KvmVcpu, regs: View<typeof kvmDebugregs>): void => {
  regs.db.set(vcpu.db);
  regs.dr6 = BigInt(vcpu.dr6);
  regs.dr7 = BigInt(vcpu.dr7);
};

/** KVM_SET_DEBUGREGS */
export const kvmVcpuIoctlSetDebugregs = (vcpu: KvmVcpu, regs: View<typeof kvmDebugregs>): number => {
  if (regs.flags !== 0n || regs.dr6 >> 32n !== 0n || regs.dr7 >> 32n !== 0n) return -EINVAL;
  vcpu.db.set(regs.db);
  kvmUpdateDr0123(vcpu);
  vcpu.dr6 = Number(regs.dr6);
  vcpu.dr7 = Number(regs.dr7);
  kvmUpdateDr7(vcpu);
  return 0;
};
