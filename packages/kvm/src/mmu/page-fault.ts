/** From an EPT violation or misconfiguration to a mapping or to emulation (kvm_mmu_page_fault). */

import { PAGE_SIZE } from '@vm/kvm-run';
import { EMULTYPE_PF, EMULTYPE_SKIP, x86EmulateInstruction } from '../emulate/emulate-instruction.ts';
import { gfnToMemslot } from '../memslots.ts';
import type { KvmVcpu } from '../types.ts';
import { PFERR_RSVD_MASK } from '../x86-bits.ts';
import { kvmTdpPageFault, RET_PF_EMULATE } from './mmu.ts';

/**
 * kvm_mmu_page_fault: `errorCode` has PFERR_WRITE_MASK, PFERR_FETCH_MASK, and PFERR_RSVD_MASK for an EPT
 * misconfiguration, which marks MMIO. 1 when the guest goes on, 0 when kvm_run is filled, or a negative errno.
 */
export function kvmMmuPageFault(vcpu: KvmVcpu, gpa: number, errorCode: number): number {
  if ((errorCode & PFERR_RSVD_MASK) !== 0) {
    // A slot has come since: the mark is being taken away.
    if (gfnToMemslot(vcpu.kvm, Math.floor(gpa / PAGE_SIZE)) !== undefined) {
      const fault = kvmTdpPageFault(vcpu, gpa, errorCode & ~PFERR_RSVD_MASK);
      if (fault !== RET_PF_EMULATE) return fault < 0 ? fault : 1;
    }
    return x86EmulateInstruction(vcpu, gpa, EMULTYPE_PF);
  }
  const fault = kvmTdpPageFault(vcpu, gpa, errorCode);
  if (fault < 0) return fault;
  return fault === RET_PF_EMULATE ? x86EmulateInstruction(vcpu, gpa, EMULTYPE_PF) : 1;
}

/**
 * The head of handle_ept_misconfig: a write that an ioeventfd without length and data waits for needs no emulation. True
 * when it was one; the instruction has been passed.
 */
export function kvmFastMmioWrite(vcpu: KvmVcpu, gpa: number): boolean {
  if (!vcpu.kvm.fastMmioBus.write(vcpu, gpa, 0, 0, 0)) return false;
  if (vcpu.tracer !== null) vcpu.tracer.event('kvm_fast_mmio', vcpu.vcpuId, BigInt(gpa));
  // The length of the instruction is not defined for this exit, so that the emulator finds it (vmx.c, skip_emulated_instruction).
  x86EmulateInstruction(vcpu, 0, EMULTYPE_SKIP);
  return true;
}
