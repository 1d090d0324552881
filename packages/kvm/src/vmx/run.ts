/**
 * The switch itself (vmx_vcpu_run and __vmx_vcpu_run of arch/x86/kvm/vmx): brings the VMCS up to date with the vCPU,
 * swaps the general registers, enters, and takes stock after the exit. Called with interrupts off.
 */

import * as V from '@vm/kvm-run/vmx';
import { kvmRipRead64 } from '../cache-regs.ts';
import { u64 } from '../trace.ts';
import {
  VCPU_EXREG_CR0,
  VCPU_EXREG_CR3,
  VCPU_EXREG_CR4,
  VCPU_EXREG_EXIT_INFO_1,
  VCPU_EXREG_EXIT_INFO_2,
  VCPU_EXREG_PDPTR,
  VCPU_EXREG_RFLAGS,
  VCPU_PAGE_HOST_GPRS,
  VCPU_REGS_RIP,
  VCPU_REGS_RSP,
  type KvmVcpu,
} from '../types.ts';
import { INIT_PKRU_VALUE, X86_CR4_OSXSAVE, X86_CR4_PKE, XFEATURE_MASK_PKRU } from '../x86-bits.ts';
import { vmxCompleteAtomicExit, vmxCompleteInterrupts, vmxRecoverNmiBlocking } from './complete.ts';
import { eptLoadPdptrs } from './cr.ts';
import { vmxSetInterruptShadow } from './inject.ts';
import { reportSwitch } from './switch-report.ts';

const RSP = 1 << VCPU_REGS_RSP;
const RIP = 1 << VCPU_REGS_RIP;
const CR3 = 1 << VCPU_EXREG_CR3;
const PDPTR = 1 << VCPU_EXREG_PDPTR;
/** Registers that are read from the VMCS only when somebody asks (VMX_REGS_LAZY_LOAD_SET). */
const LAZY_LOAD_SET =
  RSP |
  RIP |
  CR3 |
  PDPTR |
  (1 << VCPU_EXREG_RFLAGS) |
  (1 << VCPU_EXREG_CR0) |
  (1 << VCPU_EXREG_CR4) |
  (1 << VCPU_EXREG_EXIT_INFO_1) |
  (1 << VCPU_EXREG_EXIT_INFO_2);
const KVM_GUESTDBG_SINGLESTEP = 2;
const TIMER_OFF = 0xffffffff;
const GPR_NAMES = ['RAX', 'RCX', 'RDX', 'RBX', 'RSP', 'RBP', 'RSI', 'RDI', 'R8', 'R9', 'R10', 'R11', 'R12', 'R13', 'R14', 'R15'];

/** What the guest's state in the VMCS does not have yet. */
const writeDirtyRegisters = (vcpu: KvmVcpu): void => {
  const { processor, u32, regs } = vcpu;
  const dirty = vcpu.regsDirty;
  if ((dirty & RSP) !== 0) processor.vmwrite(V.GUEST_RSP, u32[regs + 8]!, u32[regs + 9]!);
  if ((dirty & RIP) !== 0) processor.vmwrite(V.GUEST_RIP, u32[regs + 32]!, u32[regs + 33]!);
  if ((dirty & (CR3 | PDPTR)) !== 0) {
    if ((dirty & CR3) !== 0) processor.vmwrite(V.GUEST_CR3, vcpu.cr3Lo, vcpu.cr3Hi);
    eptLoadPdptrs(vcpu);
  }
  vcpu.regsDirty = 0;
};

/** vmx_update_hv_timer: the preemption timer counts from now on each entry. */
const vmxUpdateHvTimer = (vcpu: KvmVcpu): void => {
  const { processor } = vcpu;
  if (vcpu.reqImmediateExit) {
    processor.vmwrite(V.VMX_PREEMPTION_TIMER_VALUE, 0, 0);
    vcpu.hvTimerSoftDisabled = false;
  } else if (vcpu.hvDeadlineTsc !== Infinity) {
    const ticks = Math.floor((vcpu.hvDeadlineTsc - processor.rdtsc()) / (1 << vcpu.kvm.global.vmx.preemptionTimerShift));
    processor.vmwrite(V.VMX_PREEMPTION_TIMER_VALUE, ticks <= 0 ? 0 : Math.min(ticks, TIMER_OFF), 0);
    vcpu.hvTimerSoftDisabled = false;
  } else if (!vcpu.hvTimerSoftDisabled) {
    processor.vmwrite(V.VMX_PREEMPTION_TIMER_VALUE, TIMER_OFF, 0);
    vcpu.hvTimerSoftDisabled = true;
  }
};

const reportGprs = (vcpu: KvmVcpu, phase: 'entry' | 'exit', from: string, to: string, at: number): void => {
  for (let i = 0; i < 16; i++)
    if (i !== VCPU_REGS_RSP)
      reportSwitch(vcpu.processor, phase, 'vmx_vcpu_run', GPR_NAMES[i]!, from, to, vcpu.u32[at + i * 2]!, vcpu.u32[at + i * 2 + 1]!);
};

/** The host's general registers out, the guest's in; RSP is in the VMCS. */
const loadGuestGprs = (vcpu: KvmVcpu): void => {
  const { u32, regs } = vcpu;
  const processor = vcpu.processor.gprs >>> 2;
  const host = (vcpu.page + VCPU_PAGE_HOST_GPRS) >>> 2;
  for (let i = 0; i < 32; i++) {
    if (i === 8) i = 10;
    u32[host + i] = u32[processor + i]!;
    u32[processor + i] = u32[regs + i]!;
  }
  if (vcpu.processor.switchObserver !== null) {
    reportGprs(vcpu, 'entry', 'processor', 'host stack', host);
    reportGprs(vcpu, 'entry', 'vcpu', 'processor', regs);
  }
};

const loadHostGprs = (vcpu: KvmVcpu): void => {
  const { u32, regs } = vcpu;
  const processor = vcpu.processor.gprs >>> 2;
  const host = (vcpu.page + VCPU_PAGE_HOST_GPRS) >>> 2;
  for (let i = 0; i < 32; i++) {
    if (i === 8) i = 10;
    u32[regs + i] = u32[processor + i]!;
    u32[processor + i] = u32[host + i]!;
  }
  if (vcpu.processor.switchObserver !== null) {
    reportGprs(vcpu, 'exit', 'processor', 'vcpu', regs);
    reportGprs(vcpu, 'exit', 'host stack', 'processor', host);
  }
};

/** kvm_load_guest_xsave_state, kvm_load_host_xsave_state: XCR0 as the side that runs wants it. */
const switchXcr0 = (vcpu: KvmVcpu, guest: boolean): void => {
  const { processor, cpu } = vcpu;
  if ((vcpu.cr4 & X86_CR4_OSXSAVE) === 0 || vcpu.xcr0Lo === cpu.hostXcr0) return;
  const value = guest ? vcpu.xcr0Lo : cpu.hostXcr0;
  processor.xsetbv(value, 0);
  if (processor.switchObserver !== null)
    reportSwitch(processor, guest ? 'entry' : 'exit', 'vmx_vcpu_run', 'XCR0', guest ? 'vcpu' : 'host', 'processor', value, 0);
};

/** Can the guest see PKRU, by RDPKRU or by XSAVE? Else the processor keeps the host's. */
const hasPkru = (vcpu: KvmVcpu): boolean =>
  (vcpu.cpu.cr4 & X86_CR4_PKE) !== 0 && ((vcpu.xcr0Lo & XFEATURE_MASK_PKRU) !== 0 || (vcpu.cr4 & X86_CR4_PKE) !== 0);

const reportPkru = (vcpu: KvmVcpu, phase: 'entry' | 'exit', from: string, to: string, value: number): void => {
  if (vcpu.processor.switchObserver !== null) reportSwitch(vcpu.processor, phase, 'vmx_vcpu_run', 'PKRU', from, to, value, 0);
};

/** kvm_load_guest_xsave_state's other part: PKRU, which is written only where the two sides differ. */
const loadGuestPkru = (vcpu: KvmVcpu): void => {
  if (!hasPkru(vcpu) || vcpu.pkru === INIT_PKRU_VALUE) return;
  vcpu.processor.wrpkru(vcpu.pkru);
  reportPkru(vcpu, 'entry', 'vcpu', 'processor', vcpu.pkru);
};

const saveGuestPkru = (vcpu: KvmVcpu): void => {
  if (!hasPkru(vcpu)) return;
  vcpu.pkru = vcpu.processor.rdpkru();
  if (vcpu.pkru === INIT_PKRU_VALUE) return;
  reportPkru(vcpu, 'exit', 'processor', 'vcpu', vcpu.pkru);
  vcpu.processor.wrpkru(INIT_PKRU_VALUE);
};

/** CR2 is not in the VMCS: the guest's goes in before entry and is kept after exit. */
const loadGuestCr2 = (vcpu: KvmVcpu): void => {
  const { processor } = vcpu;
  const low = processor.readCr(2);
  if (low !== vcpu.cr2Lo || processor.high !== vcpu.cr2Hi) processor.writeCr(2, vcpu.cr2Lo, vcpu.cr2Hi);
};

const saveGuestCr2 = (vcpu: KvmVcpu): void => {
  vcpu.cr2Lo = vcpu.processor.readCr(2);
  vcpu.cr2Hi = vcpu.processor.high;
};

const traceExit = (vcpu: KvmVcpu): void => {
  const { processor, tracer } = vcpu;
  if (tracer === null) return;
  const low = processor.vmread(V.EXIT_QUALIFICATION);
  const qualification = u64(low, processor.high);
  const error = (vcpu.exitIntrInfo & V.INTR_INFO_DELIVER_CODE_MASK) !== 0 ? processor.vmread(V.VM_EXIT_INTR_ERROR_CODE) : 0;
  const rip = kvmRipRead64(vcpu);
  tracer.event('kvm_exit', vcpu.vcpuId, vcpu.exitReason, rip, qualification, vcpu.idtVectoringInfo, vcpu.exitIntrInfo, error);
};

/** Reads what the exit left, and completes what must not wait. */
const afterExit = (vcpu: KvmVcpu): void => {
  const { processor } = vcpu;
  const reason = processor.vmread(V.VM_EXIT_REASON);
  vcpu.exitReason = reason;
  vcpu.idtVectoringInfo = processor.vmread(V.IDT_VECTORING_INFO_FIELD);
  const basic = reason & V.VMX_BASIC_EXIT_REASON_MASK;
  vcpu.exitIntrInfo =
    basic === V.EXIT_REASON_EXCEPTION_NMI || basic === V.EXIT_REASON_EXTERNAL_INTERRUPT ? processor.vmread(V.VM_EXIT_INTR_INFO) : 0;
  const statistics = vcpu.kvm.global.statistics;
  if (statistics !== null) {
    statistics.exited(basic);
    vcpu.statReason = basic;
    vcpu.statSince = performance.now();
  }
  traceExit(vcpu);
  vmxCompleteAtomicExit(vcpu);
  if ((reason & V.VMX_EXIT_REASONS_FAILED_VMENTRY) !== 0) {
    vcpu.idtVectoringInfo = 0;
    return;
  }
  vcpu.launched = true;
  vmxRecoverNmiBlocking(vcpu);
  vmxCompleteInterrupts(vcpu);
};

/** vmx_vcpu_run: one stay in the guest. */
export const vmxVcpuRun = (vcpu: KvmVcpu): void => {
  const { processor } = vcpu;
  writeDirtyRegisters(vcpu);
  if ((vcpu.guestDebug & KVM_GUESTDBG_SINGLESTEP) !== 0) vmxSetInterruptShadow(vcpu, 0);
  switchXcr0(vcpu, true);
  loadGuestPkru(vcpu);
  vmxUpdateHvTimer(vcpu);
  loadGuestCr2(vcpu);
  loadGuestGprs(vcpu);
  vcpu.fail = vcpu.launched ? processor.vmresume() : processor.vmlaunch();
  loadHostGprs(vcpu);
  saveGuestCr2(vcpu);
  vcpu.regsAvail &= ~LAZY_LOAD_SET;
  saveGuestPkru(vcpu);
  switchXcr0(vcpu, false);
  if (vcpu.fail !== V.VM_SUCCEED) {
    vcpu.exitReason = 0xdead;
    vcpu.idtVectoringInfo = 0;
    vcpu.exitIntrInfo = 0;
    return;
  }
  afterExit(vcpu);
};
