/** Life of a vCPU: made, reset, started by a SIPI, freed (kvm_arch_vcpu_create, kvm_vcpu_reset of x86.c). */

import { KvmRun, KVM_MP_STATE_RUNNABLE, KVM_MP_STATE_UNINITIALIZED, PAGE_SIZE, VCPU_MMAP_SIZE } from '@vm/kvm-run';
import { kvmRegisterWrite, kvmRipWrite, kvmSetRflags } from './cache-regs.ts';
import { kvmSynchronizeTsc } from './clock.ts';
import { kvmFindCpuidEntry } from './cpuid.ts';
import { kvmUpdateDr0123, kvmUpdateDr7 } from './debug-regs.ts';
import { kvmDirtyRingAlloc, kvmDirtyRingFree } from './dirty-ring.ts';
import { fpuInit } from './fpu.ts';
import { irqchipInKernel } from './irq/irq.ts';
import { kvmCreateLapic, kvmFreeLapic, kvmLapicReset } from './irq/lapic-state.ts';
import { kvmClearExceptionQueue, kvmClearInterruptQueue, kvmInjectNmi } from './queue.ts';
import { KVM_REQ_EVENT, kvmMakeRequest } from './requests.ts';
import { KvmVcpu, VCPU_REGS_RDX, VCPU_SREG_CS, type HostCpu, type Kvm, type KvmVcpuOps } from './types.ts';
import { kvmSetSegment } from './vmx/segment.ts';
import { vmxCancelHvTimer, vmxSetHvTimer } from './vmx/timer.ts';
import { vmxSetVirtualApicMode, vmxVcpuCreate, vmxVcpuFree, vmxVcpuLoad, vmxVcpuReset } from './vmx/vcpu-setup.ts';
import * as B from './x86-bits.ts';

/** Signature of a processor that CPUID says nothing about. */
const DEFAULT_SIGNATURE = 0x600;

/** kvm_vcpu_reset: RESET, or INIT (SDM vol. 3A, table 10-1). */
export const kvmVcpuReset = (vcpu: KvmVcpu, initEvent: boolean): void => {
  kvmLapicReset(vcpu, initEvent);
  vcpu.nmiQueued = 0;
  vcpu.nmiPending = 0;
  vcpu.nmiInjected = false;
  kvmClearInterruptQueue(vcpu);
  kvmClearExceptionQueue(vcpu);
  vcpu.db.fill(0n);
  vcpu.dr6 = B.DR6_ACTIVE_LOW;
  vcpu.dr7 = B.DR7_FIXED_1;
  vcpu.cr2Lo = 0;
  vcpu.cr2Hi = 0;
  vcpu.apfMsrEn = 0;
  vcpu.apfMsrInt = 0;
  vcpu.asyncPfDone.length = 0;
  vcpu.apfPageReadyPending = false;
  kvmMakeRequest(KVM_REQ_EVENT, vcpu);
  if (!initEvent) {
    vcpu.xcr0Lo = B.XFEATURE_MASK_FP;
    vcpu.xcr0Hi = 0;
    vcpu.cpuidFault = false;
    vcpu.pvTimeEnabled = false;
    vcpu.stealEnabled = false;
    fpuInit(vcpu);
  }
  for (let reg = 0; reg < 16; reg++) kvmRegisterWrite(vcpu, reg, 0, 0);
  kvmRegisterWrite(vcpu, VCPU_REGS_RDX, kvmFindCpuidEntry(vcpu, 1, 0)?.eax ?? DEFAULT_SIGNATURE, 0);
  kvmRipWrite(vcpu, 0xfff0, 0);
  vmxVcpuReset(vcpu, initEvent);
  kvmSetRflags(vcpu, B.X86_EFLAGS_FIXED);
  kvmUpdateDr0123(vcpu);
  kvmUpdateDr7(vcpu);
  if (vcpu.apic !== null) vmxSetVirtualApicMode(vcpu);
};

/** kvm_vcpu_deliver_sipi_vector */
const deliverSipiVector = (vcpu: KvmVcpu, vector: number): void => {
  kvmSetSegment(vcpu, VCPU_SREG_CS, vector << 8, vector << 12, 0, 0xffff, 0x9b);
  kvmRipWrite(vcpu, 0, 0);
};

/** kvm_x86_ops, as far as the interrupt chips need them. */
const vcpuOps: KvmVcpuOps = {
  injectNmi: kvmInjectNmi,
  // There is no system-management mode.
  injectSmi: () => false,
  reset: kvmVcpuReset,
  deliverSipiVector,
  setHvTimer: vmxSetHvTimer,
  cancelHvTimer: vmxCancelHvTimer,
};

/** kvm_vm_ioctl_create_vcpu, kvm_arch_vcpu_create. Throws OutOfHostMemory. */
export const kvmArchVcpuCreate = (kvm: Kvm, vcpuId: number, cpu: HostCpu): KvmVcpu => {
  const { memory } = kvm;
  const runAddress = memory.allocPages(VCPU_MMAP_SIZE / PAGE_SIZE);
  const page = memory.allocPages(1);
  const run = new KvmRun(memory.u8.subarray(runAddress, runAddress + VCPU_MMAP_SIZE));
  const vcpu = new KvmVcpu({ kvm, vcpuId, vcpuIdx: kvm.vcpus.length, cpu, run, runAddress, page, ops: vcpuOps });
  vcpu.dirtyRing = kvmDirtyRingAlloc(kvm);
  vmxVcpuCreate(vcpu);
  vmxVcpuLoad(vcpu);
  const inKernel = irqchipInKernel(kvm);
  if (inKernel) kvmCreateLapic(vcpu);
  vcpu.mpState = !inKernel || vcpuId === kvm.bspVcpuId ? KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_UNINITIALIZED;
  vcpu.cr4GuestRsvdBits = ~B.CR4_KNOWN_BITS >>> 0;
  vcpu.virtualTscKhz = kvm.defaultTscKhz;
  vcpu.apicBaseLo = (0xfee00000 | 0x800 | (vcpuId === kvm.bspVcpuId ? 0x100 : 0)) >>> 0;
  kvmVcpuReset(vcpu, false);
  kvm.vcpus.push(vcpu);
  // The guest's TSC begins at zero.
  kvmSynchronizeTsc(vcpu, 0n, true);
  return vcpu;
};

/** kvm_arch_vcpu_destroy */
export const kvmArchVcpuDestroy = (vcpu: KvmVcpu): void => {
  const { memory, cpu } = vcpu;
  kvmFreeLapic(vcpu);
  kvmDirtyRingFree(vcpu);
  if (cpu.fpuOwner === vcpu) cpu.fpuOwner = null;
  vmxVcpuFree(vcpu);
  memory.free(vcpu.page, 1);
  memory.free(vcpu.runAddress, VCPU_MMAP_SIZE / PAGE_SIZE);
};
