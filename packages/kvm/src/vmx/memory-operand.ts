/** The memory operand of an instruction, from the exit's information about it (get_vmx_mem_address of nested.c). */

import * as V from '@vm/kvm-run/vmx';
import { kvmRegisterRead64 } from '../cache-regs.ts';
import { kvmReadGuest } from '../guest-memory.ts';
import { kvmMmuGvaToGpa, UNMAPPED_GVA } from '../mmu/walk.ts';
import { VCPU_SREG_FS, type KvmVcpu } from '../types.ts';
import { PFERR_USER_MASK } from '../x86-bits.ts';
import { is64BitMode, kvmGetCpl, kvmSegmentBase } from './segment.ts';

/** Linear address: segment base + base + index * scale + displacement (which is in the qualification). */
export const vmxMemoryOperand = (vcpu: KvmVcpu, info: number): bigint => {
  const { processor } = vcpu;
  const displacement = processor.vmread(V.EXIT_QUALIFICATION);
  let offset = (BigInt(processor.high >>> 0) << 32n) | BigInt(displacement);
  if ((info & V.INSN_INFO_BASE_INVALID) === 0) offset += kvmRegisterRead64(vcpu, (info >>> V.INSN_INFO_BASE_SHIFT) & 15);
  if ((info & V.INSN_INFO_INDEX_INVALID) === 0) {
    const index = kvmRegisterRead64(vcpu, (info >>> V.INSN_INFO_INDEX_SHIFT) & 15);
    offset += index << BigInt(info & V.INSN_INFO_SCALE_MASK);
  }
  const addressSize = (info >>> V.INSN_INFO_ADDRESS_SIZE_SHIFT) & 7;
  offset = BigInt.asUintN(addressSize === 0 ? 16 : addressSize === 1 ? 32 : 64, offset);
  const segment = (info >>> V.INSN_INFO_SEGMENT_SHIFT) & 7;
  const long = is64BitMode(vcpu);
  if (long && segment < VCPU_SREG_FS) return offset;
  const base = kvmSegmentBase(vcpu, segment);
  return BigInt.asUintN(long ? 64 : 32, offset + ((BigInt(processor.high >>> 0) << 32n) | BigInt(base)));
};

/** kvm_read_guest_virt: false when the guest's paging forbids it (see kvmWalkFault) or there is no memory. */
export const readGuestVirt = (vcpu: KvmVcpu, address: bigint, into: Uint8Array): boolean => {
  const user = kvmGetCpl(vcpu) === 3 ? PFERR_USER_MASK : 0;
  for (let done = 0; done < into.length; ) {
    const linear = BigInt.asUintN(64, address + BigInt(done));
    const low = Number(linear & 0xffffffffn);
    const gpa = kvmMmuGvaToGpa(vcpu, low, Number(linear >> 32n), user);
    if (gpa === UNMAPPED_GVA) return false;
    const chunk = Math.min(into.length - done, 0x1000 - (low & 0xfff));
    if (kvmReadGuest(vcpu.kvm, gpa, into.subarray(done, done + chunk)) !== 0) return false;
    done += chunk;
  }
  return true;
};
