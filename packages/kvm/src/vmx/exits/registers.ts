/** Accesses to control and debug registers, descriptor tables, XCR0 (handle_cr, handle_dr, handle_desc, handle_xsetbv). */

import { KVM_EXIT_DEBUG, KVM_EXIT_SET_TPR, KVM_GUESTDBG_USE_HW_BP } from '@vm/kvm-run';
import * as V from '@vm/kvm-run/vmx';
import { kvmReadCr0, kvmReadCr4, kvmRegisterReadHi, kvmRegisterReadLo, kvmRegisterWrite, kvmRipRead64 } from '../../cache-regs.ts';
import { kvmGetCr, kvmGetCr8, kvmGetCrHigh, kvmLmsw, kvmSetCr, kvmSetCr0, kvmSetXcr } from '../../crs.ts';
import { grantDebugRegs, kvmGetDr, kvmSetDr, kvmUpdateDr7 } from '../../debug-regs.ts';
import { kvmEmulateInstruction } from '../../emulate/emulate-instruction.ts';
import { kvmInjectGp, kvmQueueException, kvmQueueExceptionP } from '../../queue.ts';
import { kvmSkipEmulatedInstruction } from '../../skip.ts';
import { VCPU_REGS_RAX, VCPU_REGS_RCX, VCPU_REGS_RDX, type KvmVcpu } from '../../types.ts';
import * as B from '../../x86-bits.ts';
import { is64BitMode, kvmGetCpl, kvmGetLinearRip } from '../segment.ts';

/** kvm_complete_insn_gp: #GP, or on to the next instruction. */
const completeInsnGp = (vcpu: KvmVcpu, ok: boolean): number => {
  if (ok) return kvmSkipEmulatedInstruction(vcpu);
  kvmInjectGp(vcpu, 0);
  return 1;
};

const traceCrRead = (vcpu: KvmVcpu, cr: number, low: number, high: number): void => {
  if (vcpu.tracer !== null) vcpu.tracer.event('kvm_cr', vcpu.vcpuId, 0, cr, (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0));
};

const movToCr = (vcpu: KvmVcpu, cr: number, reg: number): number => {
  const low = kvmRegisterReadLo(vcpu, reg);
  const high = is64BitMode(vcpu) ? kvmRegisterReadHi(vcpu, reg) : 0;
  if (cr !== 8) return completeInsnGp(vcpu, kvmSetCr(vcpu, cr, low, high));
  const before = kvmGetCr8(vcpu);
  const result = completeInsnGp(vcpu, kvmSetCr(vcpu, 8, low & 0xff, 0));
  // Userspace keeps the local APIC: it must hear of a lower priority, which may let an interrupt in.
  if (vcpu.apic !== null || before <= (low & 0xff) || result === 0) return result;
  vcpu.run.exitReason = KVM_EXIT_SET_TPR;
  return 0;
};

const movFromCr = (vcpu: KvmVcpu, cr: number, reg: number): number => {
  const low = kvmGetCr(vcpu, cr);
  const high = kvmGetCrHigh(vcpu, cr);
  traceCrRead(vcpu, cr, low, high);
  kvmRegisterWrite(vcpu, reg, low, is64BitMode(vcpu) ? high : 0);
  return kvmSkipEmulatedInstruction(vcpu);
};

/** handle_cr */
export const handleCr = (vcpu: KvmVcpu): number => {
  const qualification = vcpu.processor.vmread(V.EXIT_QUALIFICATION);
  const cr = qualification & V.CONTROL_REG_ACCESS_NUM;
  const reg = (qualification & V.CONTROL_REG_ACCESS_REG) >>> V.CONTROL_REG_ACCESS_REG_SHIFT;
  switch ((qualification & V.CONTROL_REG_ACCESS_TYPE) >>> V.CONTROL_REG_ACCESS_TYPE_SHIFT) {
    case V.CR_ACCESS_MOV_TO:
      return movToCr(vcpu, cr, reg);
    case V.CR_ACCESS_MOV_FROM:
      return movFromCr(vcpu, cr, reg);
    case V.CR_ACCESS_CLTS:
      kvmSetCr0(vcpu, (kvmReadCr0(vcpu) & ~B.X86_CR0_TS) >>> 0, 0);
      traceCrRead(vcpu, 0, kvmReadCr0(vcpu), 0);
      return kvmSkipEmulatedInstruction(vcpu);
    default:
      return completeInsnGp(vcpu, kvmLmsw(vcpu, qualification >>> V.LMSW_SOURCE_DATA_SHIFT));
  }
};

/** General detect (DR7.GD): to the debugger, or as #DB into the guest. */
const generalDetect = (vcpu: KvmVcpu, dr7: number): number => {
  if ((vcpu.guestDebug & KVM_GUESTDBG_USE_HW_BP) === 0) {
    kvmQueueExceptionP(vcpu, B.DB_VECTOR, B.DR6_BD);
    return 1;
  }
  const { run } = vcpu;
  run.exitReason = KVM_EXIT_DEBUG;
  run.view.setUint32(32, B.DB_VECTOR, true);
  run.view.setBigUint64(40, kvmGetLinearRip(vcpu, kvmRipRead64(vcpu)), true);
  run.view.setBigUint64(48, BigInt((B.DR6_BD | B.DR6_ACTIVE_LOW) >>> 0), true);
  run.view.setBigUint64(56, BigInt(dr7), true);
  return 0;
};

/** handle_dr: from the first access on the guest may have the registers for itself. */
export const handleDr = (vcpu: KvmVcpu): number => {
  const { processor } = vcpu;
  const qualification = processor.vmread(V.EXIT_QUALIFICATION);
  const dr = qualification & V.DEBUG_REG_ACCESS_NUM;
  // DR4 and DR5 are DR6 and DR7, or nothing while CR4.DE is set.
  if ((dr === 4 || dr === 5) && (kvmReadCr4(vcpu) & B.X86_CR4_DE) !== 0) {
    kvmQueueException(vcpu, B.UD_VECTOR);
    return 1;
  }
  if (kvmGetCpl(vcpu) > 0) return completeInsnGp(vcpu, false);
  const dr7 = processor.vmread(V.GUEST_DR7);
  if ((dr7 & B.DR7_GD) !== 0) return generalDetect(vcpu, dr7);
  if (vcpu.guestDebug === 0) {
    kvmUpdateDr7(vcpu);
    grantDebugRegs(vcpu);
    return 1;
  }
  const reg = (qualification >>> V.DEBUG_REG_ACCESS_REG_SHIFT) & 15;
  const long = is64BitMode(vcpu);
  if ((qualification & V.DEBUG_REG_ACCESS_TYPE) === V.TYPE_MOV_FROM_DR) {
    const value = kvmGetDr(vcpu, dr);
    kvmRegisterWrite(vcpu, reg, Number(value & 0xffffffffn), long ? Number(value >> 32n) : 0);
    return kvmSkipEmulatedInstruction(vcpu);
  }
  const high = long ? kvmRegisterReadHi(vcpu, reg) : 0;
  return completeInsnGp(vcpu, kvmSetDr(vcpu, dr, (BigInt(high) << 32n) | BigInt(kvmRegisterReadLo(vcpu, reg))));
};

/** handle_desc: LGDT and relatives exit only where UMIP is emulated. */
export const handleDesc = (vcpu: KvmVcpu): number => kvmEmulateInstruction(vcpu, 0);

/** handle_xsetbv */
export const handleXsetbv = (vcpu: KvmVcpu): number => {
  const low = kvmRegisterReadLo(vcpu, VCPU_REGS_RAX);
  const high = kvmRegisterReadLo(vcpu, VCPU_REGS_RDX);
  const ok = kvmGetCpl(vcpu) === 0 && kvmSetXcr(vcpu, kvmRegisterReadLo(vcpu, VCPU_REGS_RCX), low, high);
  return completeInsnGp(vcpu, ok);
};
