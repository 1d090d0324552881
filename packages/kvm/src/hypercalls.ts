/** VMCALL of the guest (kvm_emulate_hypercall of x86.c; Documentation/virt/kvm/x86/hypercalls.rst). */

import * as P from '@vm/kvm-run';
import { kvmApicSetIrq } from './irq/lapic-accept.ts';
import { kvmApicId } from './irq/lapic.ts';
import { newLapicIrq } from './irq/lapic-irq.ts';
import { APIC_DM_FIXED, APIC_DM_NMI } from './irq/apicdef.ts';
import { kvmRegisterReadHi, kvmRegisterReadLo, kvmRegisterWrite64 } from './cache-regs.ts';
import { kvmClockPairing } from './clock.ts';
import { kvmWriteGuest } from './guest-memory.ts';
import { KVM_REQ_EVENT, KVM_REQ_UNBLOCK } from './requests.ts';
import { kvmSkipEmulatedInstruction } from './skip.ts';
import { VCPU_REGS_RAX, VCPU_REGS_RBX, VCPU_REGS_RCX, VCPU_REGS_RDX, VCPU_REGS_RSI, type Kvm, type KvmVcpu } from './types.ts';
import { is64BitMode, kvmGetCpl } from './vmx/segment.ts';

const ARGUMENTS = [VCPU_REGS_RAX, VCPU_REGS_RBX, VCPU_REGS_RCX, VCPU_REGS_RDX, VCPU_REGS_RSI] as const;
const TWO_32 = 0x1_0000_0000;

const vcpuByApicId = (kvm: Kvm, id: number): KvmVcpu | undefined =>
  kvm.vcpus.find((vcpu) => vcpu.apic !== null && kvmApicId(vcpu.apic) === id);

/** KVM_HC_KICK_CPU: wakes a halted vCPU; the requester waits for nothing. */
const kickCpu = (kvm: Kvm, apicId: number): number => {
  const target = vcpuByApicId(kvm, apicId);
  if (target !== undefined) {
    target.pvUnhalted = true;
    target.makeRequest(KVM_REQ_EVENT);
    target.makeRequest(KVM_REQ_UNBLOCK);
    target.kick();
  }
  return 0;
};

/** KVM_HC_CLOCK_PAIRING: host time and the guest's TSC, read together. */
const clockPairing = (vcpu: KvmVcpu, address: number, type: number): number => {
  if (type !== 0) return -P.KVM_EOPNOTSUPP;
  return kvmWriteGuest(vcpu.kvm, address, kvmClockPairing(vcpu)) === 0 ? 0 : -P.KVM_EFAULT;
};

/** KVM_HC_SEND_IPI: a bitmap of destinations, from local APIC identifier `min` on. Returns how many got it. */
const sendIpi = (vcpu: KvmVcpu, bits: readonly number[], min: number, icr: number): number => {
  const irq = newLapicIrq();
  irq.vector = icr & 0xff;
  irq.deliveryMode = icr & 0x700;
  // Only fixed interrupts and NMIs go this way.
  if (irq.deliveryMode !== APIC_DM_FIXED && irq.deliveryMode !== APIC_DM_NMI) return -P.KVM_EINVAL;
  let count = 0;
  bits.forEach((word, i) => {
    for (let bit = 0; bit < 32; bit++) {
      if (((word >>> bit) & 1) === 0) continue;
      const target = vcpuByApicId(vcpu.kvm, min + i * 32 + bit);
      if (target !== undefined && kvmApicSetIrq(target, irq, null) > 0) count++;
    }
  });
  return count;
};

/** KVM_HC_MAP_GPA_RANGE goes to userspace when that asked for it. */
const mapGpaRange = (vcpu: KvmVcpu, gpa: bigint, pages: bigint, attributes: bigint): number | null => {
  if ((vcpu.kvm.hypercallExitEnabled & (1 << P.KVM_HC_MAP_GPA_RANGE)) === 0) return -P.KVM_ENOSYS;
  if ((gpa & 0xfffn) !== 0n || pages === 0n) return -P.KVM_EINVAL;
  const { run } = vcpu;
  run.exitReason = P.KVM_EXIT_HYPERCALL;
  const values = [BigInt(P.KVM_HC_MAP_GPA_RANGE), gpa, pages, attributes, 0n, 0n, 0n, 0n];
  values.forEach((value, i) => run.view.setBigUint64(32 + i * 8, value, true));
  run.view.setUint32(96, Number(is64BitMode(vcpu)), true);
  vcpu.completeUserspaceIo = completeHypercallExit;
  return null;
};

/** complete_hypercall_exit */
const completeHypercallExit = (vcpu: KvmVcpu): number => {
  const result = vcpu.run.view.getBigUint64(88, true);
  kvmRegisterWrite64(vcpu, VCPU_REGS_RAX, is64BitMode(vcpu) ? result : result & 0xffffffffn);
  return kvmSkipEmulatedInstruction(vcpu);
};

/** The result, or null when userspace must answer. */
const dispatch = (vcpu: KvmVcpu, nr: number, lo: readonly number[], hi: readonly number[]): number | null => {
  const wide = (i: number): bigint => (BigInt(hi[i]!) << 32n) | BigInt(lo[i]!);
  switch (nr) {
    case P.KVM_HC_VAPIC_POLL_IRQ:
      return 0;
    case P.KVM_HC_KICK_CPU:
      return kickCpu(vcpu.kvm, lo[2]!);
    case P.KVM_HC_CLOCK_PAIRING:
      return clockPairing(vcpu, hi[1]! * TWO_32 + lo[1]!, lo[2]!);
    case P.KVM_HC_SEND_IPI:
      return sendIpi(
        vcpu,
        is64BitMode(vcpu) ? [lo[1]!, hi[1]!, lo[2]!, hi[2]!] : [lo[1]!, lo[2]!],
        lo[3]!,
        lo[4]!,
      );
    case P.KVM_HC_SCHED_YIELD:
      vcpu.cpu.signalPending = true;
      return 0;
    case P.KVM_HC_MAP_GPA_RANGE:
      return mapGpaRange(vcpu, wide(1), wide(2), wide(3));
    default:
      return -P.KVM_ENOSYS;
  }
};

/** kvm_emulate_hypercall */
export const kvmEmulateHypercall = (vcpu: KvmVcpu): number => {
  const long = is64BitMode(vcpu);
  const lo = ARGUMENTS.map((reg) => kvmRegisterReadLo(vcpu, reg));
  const hi = ARGUMENTS.map((reg) => (long ? kvmRegisterReadHi(vcpu, reg) : 0));
  if (vcpu.tracer !== null) {
    const wide = lo.map((low, i) => (BigInt(hi[i]!) << 32n) | BigInt(low));
    vcpu.tracer.event('kvm_hypercall', vcpu.vcpuId, ...wide);
  }
  const result = kvmGetCpl(vcpu) !== 0 ? -P.KVM_EPERM : dispatch(vcpu, lo[0]!, lo, hi);
  if (result === null) return 0;
  kvmRegisterWrite64(vcpu, VCPU_REGS_RAX, BigInt.asUintN(long ? 64 : 32, BigInt(result)));
  return kvmSkipEmulatedInstruction(vcpu);
};
