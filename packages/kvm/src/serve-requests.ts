/**
 * Row 4 of the way in: the requests of a vCPU, each with what serves it, in the order in which vcpu_enter_guest serves
 * them. A function returns true when KVM_RUN must leave to userspace instead (kvm_run is filled).
 */

import { KVM_EXIT_IOAPIC_EOI, KVM_EXIT_SHUTDOWN, KVM_EXIT_TPR_ACCESS, KVM_MP_STATE_HALTED } from '@vm/kvm-run';
import { APIC_ACCESS_ADDR } from '@vm/kvm-run/vmx';
import { kvmCheckAsyncPfCompletion } from './async-pf.ts';
import { kvmRipRead64 } from './cache-regs.ts';
import { kvmGuestTimeUpdate, kvmUpdateMasterclock } from './clock.ts';
import { processNmi } from './events.ts';
import { kvmMigrateApicTimer } from './irq/lapic-timer.ts';
import { vcpuScanIoapic } from './irq/irq.ts';
import { kvmMmuUnload } from './mmu/mmu.ts';
import * as R from './requests.ts';
import { recordStealTime } from './steal-time.ts';
import type { KvmVcpu } from './types.ts';
import { vmxUpdateCpuDirtyLogging } from './vmx/pml.ts';
import { vmxFlushTlbCurrent, vmxFlushTlbGuest, vmxLoadMmuPgd, vmxMsrFilterChanged, vmxSetVirtualApicMode } from './vmx/vcpu-setup.ts';

type Serve = (vcpu: KvmVcpu) => boolean | void;

const kvmGenKvmclockUpdate = (vcpu: KvmVcpu): void => {
  for (const other of vcpu.kvm.vcpus) R.kvmMakeRequest(R.KVM_REQ_CLOCK_UPDATE, other);
};

const tripleFault = (vcpu: KvmVcpu): boolean => {
  vcpu.run.exitReason = KVM_EXIT_SHUTDOWN;
  vcpu.mmioNeeded = false;
  return true;
};

/** Userspace's IOAPIC wants to know of an EOI. */
const ioapicEoiExit = (vcpu: KvmVcpu): boolean => {
  vcpu.run.exitReason = KVM_EXIT_IOAPIC_EOI;
  vcpu.run.bytes[32] = vcpu.apic === null ? 0 : vcpu.apic.pendingIoapicEoi;
  return true;
};

const reportTprAccess = (vcpu: KvmVcpu): boolean => {
  vcpu.run.exitReason = KVM_EXIT_TPR_ACCESS;
  vcpu.run.view.setBigUint64(32, kvmRipRead64(vcpu), true);
  vcpu.run.view.setUint32(40, 1, true);
  return true;
};

const flushAll = (vcpu: KvmVcpu): void => {
  vmxFlushTlbCurrent(vcpu);
  vmxFlushTlbGuest(vcpu);
};

/** Asked to halt until a page is there: the page ready event ends it. */
const apfHalt = (vcpu: KvmVcpu): void => {
  vcpu.mpState = KVM_MP_STATE_HALTED;
};

const apicPageReload = (vcpu: KvmVcpu): void => {
  if (vcpu.kvm.apicAccessPage !== 0) vcpu.processor.vmwrite(APIC_ACCESS_ADDR, vcpu.kvm.apicAccessPage, 0);
};

const ORDER: readonly (readonly [request: number, serve: Serve])[] = [
  [R.KVM_REQ_MMU_RELOAD, (vcpu) => kvmMmuUnload(vcpu)],
  [R.KVM_REQ_MMU_FREE_OBSOLETE_ROOTS, (vcpu) => kvmMmuUnload(vcpu)],
  [R.KVM_REQ_MIGRATE_TIMER, (vcpu) => kvmMigrateApicTimer(vcpu, vcpu.hrtimers)],
  [R.KVM_REQ_MASTERCLOCK_UPDATE, (vcpu) => kvmUpdateMasterclock(vcpu.kvm)],
  [R.KVM_REQ_GLOBAL_CLOCK_UPDATE, kvmGenKvmclockUpdate],
  [R.KVM_REQ_CLOCK_UPDATE, kvmGuestTimeUpdate],
  // With EPT there are no shadow page tables to synchronize: what the guest changed counts after a flush.
  [R.KVM_REQ_MMU_SYNC, vmxFlushTlbGuest],
  [R.KVM_REQ_LOAD_MMU_PGD, vmxLoadMmuPgd],
  [R.KVM_REQ_TLB_FLUSH, flushAll],
  [R.KVM_REQ_TLB_FLUSH_CURRENT, vmxFlushTlbCurrent],
  [R.KVM_REQ_TLB_FLUSH_GUEST, vmxFlushTlbGuest],
  [R.KVM_REQ_REPORT_TPR_ACCESS, reportTprAccess],
  [R.KVM_REQ_TRIPLE_FAULT, tripleFault],
  [R.KVM_REQ_APF_HALT, apfHalt],
  [R.KVM_REQ_STEAL_UPDATE, recordStealTime],
  [R.KVM_REQ_NMI, processNmi],
  // No performance counters, so that there is nothing to reprogram; their overflow interrupt is an NMI or nothing.
  [R.KVM_REQ_PMU, () => {}],
  [R.KVM_REQ_PMI, () => {}],
  [R.KVM_REQ_IOAPIC_EOI_EXIT, ioapicEoiExit],
  [R.KVM_REQ_SCAN_IOAPIC, (vcpu) => vcpuScanIoapic(vcpu)],
  [R.KVM_REQ_LOAD_EOI_EXITMAP, (vcpu) => vcpuScanIoapic(vcpu)],
  [R.KVM_REQ_APIC_PAGE_RELOAD, apicPageReload],
  [R.KVM_REQ_APICV_UPDATE, vmxSetVirtualApicMode],
  [R.KVM_REQ_APF_READY, kvmCheckAsyncPfCompletion],
  [R.KVM_REQ_MSR_FILTER_CHANGED, vmxMsrFilterChanged],
  [R.KVM_REQ_UPDATE_CPU_DIRTY_LOGGING, vmxUpdateCpuDirtyLogging],
];

/** True: go on to the guest. False: to userspace, kvm_run is filled. */
export const serveRequests = (vcpu: KvmVcpu): boolean => {
  for (const [request, serve] of ORDER) if (R.kvmCheckRequest(request, vcpu) && serve(vcpu) === true) return false;
  return true;
};
