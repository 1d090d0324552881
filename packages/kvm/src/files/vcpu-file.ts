/** The file of a vCPU (kvm_vcpu_ioctl): its ioctls run with its VMCS current. */

import * as P from '@vm/kvm-run';
import { kvmVcpuIoctlGetDebugregs, kvmVcpuIoctlSetDebugregs, kvmVcpuIoctlSetGuestDebug } from '../debug-regs.ts';
import * as fpu from '../fpu.ts';
import { kvmApicGetState, kvmApicSetState } from '../irq/lapic-state.ts';
import { getRegs, getSregs, getSregs2, setRegs, setSregs, setSregs2 } from '../regs.ts';
import type { KvmVcpu } from '../types.ts';
import { getVcpuEvents, setVcpuEvents } from '../vcpu-events.ts';
import { kvmArchVcpuIoctlRun } from '../vcpu-run.ts';
import { vmxVcpuLoad, vmxVcpuPut } from '../vmx/vcpu-setup.ts';
import { bytes, exchanges, reads, tableOf, value, writes, copyIn, type Handler } from './dispatch.ts';
import * as V from './vcpu-ioctls.ts';
import type { VmState } from './vm-state.ts';

const getLapic = (vcpu: KvmVcpu, _state: unknown, image: Uint8Array): number => {
  if (vcpu.apic === null) return -P.EINVAL;
  kvmApicGetState(vcpu, image);
  return 0;
};

const setLapic = (vcpu: KvmVcpu, argument: Uint8Array): number => {
  if (vcpu.apic === null) return -P.EINVAL;
  return kvmApicSetState(vcpu, copyIn(argument, P.kvmLapicState.size)!) === 0 ? 0 : -P.EINVAL;
};

const tprAccessReporting = (vcpu: KvmVcpu, control: P.View<typeof P.kvmTprAccessCtl>): number =>
  control.flags !== 0 ? -P.EINVAL : vcpu.apic === null ? -P.EINVAL : 0;

const setSignalMask = (_vcpu: KvmVcpu, argument: Uint8Array): number => {
  const { len } = P.view(P.kvmSignalMask, copyIn(argument, P.kvmSignalMask.size)!);
  // Signals are not masked here (immediate_exit does what the mask was for); a set of another size is an error.
  return len === 8 ? 0 : -P.EINVAL;
};

const table: ReadonlyMap<number, Handler<KvmVcpu>> = tableOf<KvmVcpu>([
  writes(P.KVM_GET_REGS, P.kvmRegs, (vcpu, regs) => getRegs(vcpu, regs)),
  reads(P.KVM_SET_REGS, P.kvmRegs, (vcpu, regs) => {
    setRegs(vcpu, regs);
    return 0;
  }),
  writes(P.KVM_GET_SREGS, P.kvmSregs, (vcpu, sregs) => getSregs(vcpu, sregs)),
  reads(P.KVM_SET_SREGS, P.kvmSregs, setSregs),
  writes(P.KVM_GET_SREGS2, P.kvmSregs2, (vcpu, sregs) => getSregs2(vcpu, sregs)),
  reads(P.KVM_SET_SREGS2, P.kvmSregs2, setSregs2),
  writes(P.KVM_GET_FPU, P.kvmFpu, (vcpu, state) => fpu.kvmVcpuIoctlGetFpu(vcpu, state)),
  reads(P.KVM_SET_FPU, P.kvmFpu, (vcpu, state) => {
    fpu.kvmVcpuIoctlSetFpu(vcpu, state);
    return 0;
  }),
  writes(P.KVM_GET_XSAVE, P.kvmXsave, (vcpu, _state, image) => fpu.kvmVcpuIoctlGetXsave(vcpu, image)),
  writes(P.KVM_GET_XSAVE2, P.kvmXsave, (vcpu, _state, image) => fpu.kvmVcpuIoctlGetXsave(vcpu, image)),
  bytes(P.KVM_SET_XSAVE, P.kvmXsave.size, (vcpu, image) => fpu.kvmVcpuIoctlSetXsave(vcpu, copyIn(image, P.kvmXsave.size)!)),
  writes(P.KVM_GET_XCRS, P.kvmXcrs, (vcpu, xcrs) => fpu.kvmVcpuIoctlGetXcrs(vcpu, xcrs)),
  reads(P.KVM_SET_XCRS, P.kvmXcrs, fpu.kvmVcpuIoctlSetXcrs),
  bytes(P.KVM_GET_MSRS, P.kvmMsrs.size, V.getMsrs),
  bytes(P.KVM_SET_MSRS, P.kvmMsrs.size, V.setMsrs),
  bytes(P.KVM_SET_CPUID, P.kvmCpuid.size, V.setCpuid),
  bytes(P.KVM_SET_CPUID2, P.kvmCpuid2.size, V.setCpuid2),
  bytes(P.KVM_GET_CPUID2, P.kvmCpuid2.size, (vcpu, argument) => V.putCpuid(vcpu.cpuidEntries, argument)),
  writes(P.KVM_GET_LAPIC, P.kvmLapicState, getLapic),
  bytes(P.KVM_SET_LAPIC, P.kvmLapicState.size, setLapic),
  reads(P.KVM_INTERRUPT, P.kvmInterrupt, V.interrupt),
  value(P.KVM_NMI, V.nmi),
  // There is no system-management mode: as a kernel without CONFIG_KVM_SMM answers.
  value(P.KVM_SMI, () => -P.ENOTTY),
  writes(P.KVM_GET_MP_STATE, P.kvmMpState, V.getMpState),
  reads(P.KVM_SET_MP_STATE, P.kvmMpState, V.setMpState),
  writes(P.KVM_GET_VCPU_EVENTS, P.kvmVcpuEvents, (vcpu, events) => getVcpuEvents(vcpu, events)),
  reads(P.KVM_SET_VCPU_EVENTS, P.kvmVcpuEvents, setVcpuEvents),
  writes(P.KVM_GET_DEBUGREGS, P.kvmDebugregs, (vcpu, regs) => kvmVcpuIoctlGetDebugregs(vcpu, regs)),
  reads(P.KVM_SET_DEBUGREGS, P.kvmDebugregs, kvmVcpuIoctlSetDebugregs),
  reads(P.KVM_SET_GUEST_DEBUG, P.kvmGuestDebug, kvmVcpuIoctlSetGuestDebug),
  exchanges(P.KVM_TRANSLATE, P.kvmTranslation, V.translate),
  bytes(P.KVM_X86_SETUP_MCE, 8, V.setupMce),
  reads(P.KVM_X86_SET_MCE, P.kvmX86Mce, V.setMce),
  value(P.KVM_KVMCLOCK_CTRL, V.kvmclockCtrl),
  value(P.KVM_SET_TSC_KHZ, V.setTscKhz),
  value(P.KVM_GET_TSC_KHZ, (vcpu) => vcpu.virtualTscKhz),
  reads(P.KVM_ENABLE_CAP, P.kvmEnableCap, V.enableCap),
  reads(P.KVM_TPR_ACCESS_REPORTING, P.kvmTprAccessCtl, tprAccessReporting),
  reads(P.KVM_SET_VAPIC_ADDR, P.kvmVapicAddr, V.setVapicAddr),
  bytes(P.KVM_SET_SIGNAL_MASK, P.kvmSignalMask.size, setSignalMask),
  reads(P.KVM_HAS_DEVICE_ATTR, P.kvmDeviceAttr, (vcpu, attr) => V.deviceAttr(vcpu, attr, 'has')),
  reads(P.KVM_GET_DEVICE_ATTR, P.kvmDeviceAttr, (vcpu, attr) => V.deviceAttr(vcpu, attr, 'get')),
  reads(P.KVM_SET_DEVICE_ATTR, P.kvmDeviceAttr, (vcpu, attr) => V.deviceAttr(vcpu, attr, 'set')),
]);

class VcpuFile implements P.KvmFile {
  readonly #vm: VmState;
  readonly #vcpu: KvmVcpu;
  #open = true;

  constructor(vm: VmState, vcpu: KvmVcpu) {
    this.#vm = vm;
    this.#vcpu = vcpu;
  }

  ioctl(code: number, argument?: P.IoctlArgument): number {
    if (!this.#open) return -P.EBADF;
    const vcpu = this.#vcpu;
    if (code === P.KVM_RUN) return argument === undefined || argument === 0 ? kvmArchVcpuIoctlRun(vcpu) : -P.EINVAL;
    if (vcpu.kvm.vmDead) return -P.EIO;
    const handler = table.get(code);
    if (handler === undefined) return -P.EINVAL;
    vmxVcpuLoad(vcpu);
    const result = handler(vcpu, argument);
    vmxVcpuPut(vcpu);
    return result;
  }

  mmap(length: number, offset = 0): Uint8Array<SharedArrayBuffer> | number {
    if (!this.#open) return -P.EBADF;
    const { memory, runAddress, dirtyRing, kvm } = this.#vcpu;
    if (!(length > 0) || offset < 0 || offset % P.PAGE_SIZE !== 0) return -P.EINVAL;
    const ring = offset - P.KVM_DIRTY_LOG_PAGE_OFFSET * P.PAGE_SIZE;
    if (dirtyRing !== null && ring >= 0 && ring + length <= kvm.dirtyRingSize)
      return memory.u8.subarray(dirtyRing.address + ring, dirtyRing.address + ring + length);
    if (offset + length > P.VCPU_MMAP_SIZE) return -P.EINVAL;
    return memory.u8.subarray(runAddress + offset, runAddress + offset + length);
  }

  close(): number {
    if (!this.#open) return -P.EBADF;
    this.#open = false;
    this.#vm.put();
    return 0;
  }
}

export const vcpuFile = (vm: VmState, vcpu: KvmVcpu): P.KvmFile => new VcpuFile(vm, vcpu);
