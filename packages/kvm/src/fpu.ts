/**
 * The guest's extended state (kvm_load_guest_fpu, kvm_put_guest_fpu and the FPU ioctls). The registers of a physical CPU
 * keep the state of the vCPU that used them last; it goes to memory only when another one, or an ioctl, wants it
 * (fpu_fpregs_owner_ctx).
 */

import { EINVAL, PAGE_SIZE, type kvmFpu, type kvmXcrs, type View } from '@vm/kvm-run';
import { kvmSetXcr } from './crs.ts';
import { VCPU_PAGE_FPU, type KvmVcpu } from './types.ts';
import { XFEATURE_MASK_PKRU } from './x86-bits.ts';

/** XSAVE area: legacy region and header, then components. */
const LEGACY = 512;
const HEADER = 64;
const DEFAULT_FCW = 0x37f;
const DEFAULT_MXCSR = 0x1f80;
const MXCSR_MASK = 0xffff;

export const fpuArea = (vcpu: KvmVcpu): number => vcpu.page + VCPU_PAGE_FPU;
/** Bytes that the area has room for. */
export const FPU_AREA_SIZE: number = PAGE_SIZE - VCPU_PAGE_FPU;

/** PKRU's place in the area of the ioctls (CPUID leaf 0xd); in the vCPU it is kept apart, because each switch looks at it. */
const PKRU_OFFSET = 2688;

/** Components that the area may have. */
const supported = (vcpu: KvmVcpu): number => (vcpu.cpu.hostXcr0 === 0 ? 3 : vcpu.cpu.hostXcr0);
/** Those that XSAVE and XRSTOR move. */
const mask = (vcpu: KvmVcpu): number => supported(vcpu) & ~XFEATURE_MASK_PKRU;

/** State of a vCPU that has never run. */
export const fpuInit = (vcpu: KvmVcpu): void => {
  const area = fpuArea(vcpu);
  const { u8, view } = vcpu.memory;
  u8.fill(0, area, area + FPU_AREA_SIZE);
  view.setUint16(area, DEFAULT_FCW, true);
  view.setUint32(area + 24, DEFAULT_MXCSR, true);
  view.setUint32(area + 28, MXCSR_MASK, true);
  if (vcpu.cpu.fpuOwner === vcpu) vcpu.cpu.fpuOwner = null;
};

const trace = (vcpu: KvmVcpu, load: number): void => {
  if (vcpu.tracer !== null) vcpu.tracer.event('kvm_fpu', vcpu.vcpuId, load);
};

/** Writes the registers to memory, if they hold this vCPU's state. */
export const fpuSync = (vcpu: KvmVcpu): void => {
  const { cpu } = vcpu;
  if (cpu.fpuOwner !== vcpu) return;
  cpu.processor.xsave(fpuArea(vcpu), mask(vcpu));
  cpu.fpuOwner = null;
};

/** kvm_load_guest_fpu */
export const kvmLoadGuestFpu = (vcpu: KvmVcpu): void => {
  const { cpu } = vcpu;
  if (vcpu.tracer !== null) trace(vcpu, 1);
  if (cpu.fpuOwner === vcpu) return;
  if (cpu.fpuOwner !== null) fpuSync(cpu.fpuOwner);
  cpu.processor.xrstor(fpuArea(vcpu), mask(vcpu));
  cpu.fpuOwner = vcpu;
};

/** kvm_put_guest_fpu: the registers stay until somebody else needs them. */
export const kvmPutGuestFpu = (vcpu: KvmVcpu): void => {
  if (vcpu.tracer !== null) trace(vcpu, 0);
};

/** The components that the area holds, as XRSTOR will read them. */
const setXstateBv = (vcpu: KvmVcpu, bits: number): void => {
  const at = fpuArea(vcpu) + LEGACY;
  vcpu.memory.view.setUint32(at, vcpu.memory.view.getUint32(at, true) | bits, true);
};

export const kvmVcpuIoctlGetFpu = (vcpu: KvmVcpu, fpu: View<typeof kvmFpu>): void => {
  fpuSync(vcpu);
  const area = fpuArea(vcpu);
  const { u8, view } = vcpu.memory;
  fpu.fpr.set(u8.subarray(area + 32, area + 160));
  fpu.fcw = view.getUint16(area, true);
  fpu.fsw = view.getUint16(area + 2, true);
  fpu.ftwx = view.getUint8(area + 4);
  fpu.last_opcode = view.getUint16(area + 6, true);
  fpu.last_ip = view.getBigUint64(area + 8, true);
  fpu.last_dp = view.getBigUint64(area + 16, true);
  fpu.xmm.set(u8.subarray(area + 160, area + 416));
  fpu.mxcsr = view.getUint32(area + 24, true);
};

export const kvmVcpuIoctlSetFpu = (vcpu: KvmVcpu, fpu: View<typeof kvmFpu>): void => {
  fpuSync(vcpu);
  const area = fpuArea(vcpu);
  const { u8, view } = vcpu.memory;
  u8.set(fpu.fpr, area + 32);
  view.setUint16(area, fpu.fcw, true);
  view.setUint16(area + 2, fpu.fsw, true);
  view.setUint8(area + 4, fpu.ftwx);
  view.setUint16(area + 6, fpu.last_opcode, true);
  view.setBigUint64(area + 8, fpu.last_ip, true);
  view.setBigUint64(area + 16, fpu.last_dp, true);
  u8.set(fpu.xmm, area + 160);
  // Reserved bits of MXCSR would make XRSTOR fault.
  view.setUint32(area + 24, fpu.mxcsr & MXCSR_MASK, true);
  setXstateBv(vcpu, 3);
};

/** KVM_GET_XSAVE, KVM_GET_XSAVE2: the area in the standard format, as far as the caller's structure goes. */
export const kvmVcpuIoctlGetXsave = (vcpu: KvmVcpu, into: Uint8Array): void => {
  fpuSync(vcpu);
  const area = fpuArea(vcpu);
  into.fill(0);
  into.set(vcpu.memory.u8.subarray(area, area + Math.min(into.length, FPU_AREA_SIZE)));
  if ((supported(vcpu) & XFEATURE_MASK_PKRU) === 0 || into.length < PKRU_OFFSET + 8) return;
  const view = new DataView(into.buffer, into.byteOffset, into.byteLength);
  view.setUint32(PKRU_OFFSET, vcpu.pkru, true);
  view.setUint32(PKRU_OFFSET + 4, 0, true);
  const present = view.getUint32(LEGACY, true) & ~XFEATURE_MASK_PKRU;
  view.setUint32(LEGACY, vcpu.pkru === 0 ? present : present | XFEATURE_MASK_PKRU, true);
};

/** KVM_SET_XSAVE: -EINVAL for components or MXCSR bits that do not exist. */
export const kvmVcpuIoctlSetXsave = (vcpu: KvmVcpu, from: Uint8Array): number => {
  fpuSync(vcpu);
  const source = new DataView(from.buffer, from.byteOffset, from.byteLength);
  const xstateBv = source.getBigUint64(LEGACY, true);
  if ((xstateBv & ~BigInt(supported(vcpu))) !== 0n) return -EINVAL;
  for (let i = 8; i < HEADER; i++) if (from[LEGACY + i] !== 0) return -EINVAL;
  if ((source.getUint32(24, true) & ~MXCSR_MASK) !== 0) return -EINVAL;
  const area = fpuArea(vcpu);
  vcpu.memory.u8.set(from.subarray(0, Math.min(from.length, FPU_AREA_SIZE)), area);
  // XRSTOR is not to see the component: the registers that KVM_RUN loads have it from here.
  const present = vcpu.memory.view.getUint32(area + LEGACY, true);
  vcpu.memory.view.setUint32(area + LEGACY, present & ~XFEATURE_MASK_PKRU, true);
  const known = (present & XFEATURE_MASK_PKRU) !== 0 && from.length >= PKRU_OFFSET + 4;
  vcpu.pkru = known ? source.getUint32(PKRU_OFFSET, true) : 0;
  return 0;
};

export const kvmVcpuIoctlGetXcrs = (vcpu: KvmVcpu, xcrs: View<typeof kvmXcrs>): void => {
  xcrs.nr_xcrs = 1;
  xcrs.flags = 0;
  xcrs.xcrs[0]!.xcr = 0;
  xcrs.xcrs[0]!.value = (BigInt(vcpu.xcr0Hi) << 32n) | BigInt(vcpu.xcr0Lo);
};

export const kvmVcpuIoctlSetXcrs = (vcpu: KvmVcpu, xcrs: View<typeof kvmXcrs>): number => {
  if (xcrs.nr_xcrs > 16 || xcrs.flags !== 0) return -EINVAL;
  for (let i = 0; i < xcrs.nr_xcrs; i++) {
    const { xcr, value } = xcrs.xcrs[i]!;
    // Only XCR0 exists.
    if (xcr !== 0) continue;
    return kvmSetXcr(vcpu, 0, Number(value & 0xffffffffn), Number(value >> 32n)) ? 0 : -EINVAL;
  }
  return 0;
};
