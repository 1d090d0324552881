import type { ApicVcpu } from './types.ts';
import type { KvmLapic } from './lapic.ts';
import type { DestMap, KvmLapicIrq } from './lapic-irq.ts';
import {
  APIC_DM_FIXED,
  APIC_DM_INIT,
  APIC_DM_LOWEST,
  APIC_DM_NMI,
  APIC_DM_REMRD,
  APIC_DM_SMI,
  APIC_DM_STARTUP,
  APIC_LVT_LEVEL_TRIGGER,
  APIC_LVT_MASKED,
  APIC_LVT0,
  APIC_LVTPC,
  APIC_MODE_MASK,
  APIC_TMR,
  APIC_VECTOR_MASK,
} from './apicdef.ts';
import {
  apicClearVector,
  apicEnabled,
  apicSetVector,
  apicTestVector,
  KVM_APIC_INIT,
  KVM_APIC_SIPI,
  kvmApicHwEnabled,
  kvmApicId,
  kvmLapicGetReg,
  kvmLapicSetIrr,
  kvmLapicSetReg,
} from './lapic.ts';
import { KVM_REQ_EVENT } from '../requests.ts';

const KVM_MP_STATE_RUNNABLE = 0;
const KVM_MP_STATE_INIT_RECEIVED = 2;

/** __apic_accept_irq: 1 when the local APIC took the interrupt, 0 when it was dropped. */
export function apicAcceptIrq(
  apic: KvmLapic,
  deliveryMode: number,
  vector: number,
  level: boolean,
  trigMode: boolean,
  destMap: DestMap | null,
): number {
  const vcpu = apic.vcpu;
  const { tracer } = vcpu.kvm.global;
  if (tracer !== null)
    tracer.event('kvm_apic_accept_irq', vcpu.vcpuId, kvmApicId(apic), deliveryMode >> 8, trigMode ? 1 : 0, vector);
  switch (deliveryMode) {
    case APIC_DM_LOWEST:
      apic.arbPrio++;
      return acceptFixed(apic, vector, level, trigMode, destMap);
    case APIC_DM_FIXED:
      return acceptFixed(apic, vector, level, trigMode, destMap);
    case APIC_DM_REMRD:
      // Used by the guest's paravirtual spin locks to wake a vCPU (KVM_HC_KICK_CPU); wakes and no more.
      break;
    case APIC_DM_SMI:
      if (!vcpu.injectSmi()) return 0;
      vcpu.kick();
      return 1;
    case APIC_DM_NMI:
      vcpu.injectNmi();
      vcpu.kick();
      return 1;
    case APIC_DM_INIT:
      // The level de-assert of an INIT does nothing (SDM vol. 3A, 12.6.1).
      if (trigMode && !level) return 0;
      apic.pendingEvents = KVM_APIC_INIT;
      break;
    case APIC_DM_STARTUP:
      apic.sipiVector = vector;
      apic.pendingEvents |= KVM_APIC_SIPI;
      break;
    default:
      // ExtINT through LVT0 is handled by kvmApicAcceptPicIntr.
      return 0;
  }
  vcpu.makeRequest(KVM_REQ_EVENT);
  vcpu.kick();
  return 1;
}

function acceptFixed(
  apic: KvmLapic,
  vector: number,
  level: boolean,
  trigMode: boolean,
  destMap: DestMap | null,
): number {
  if ((trigMode && !level) || !apicEnabled(apic)) return 0;
  destMap?.set(apic.vcpu.vcpuId, vector);
  if (apicTestVector(apic, APIC_TMR, vector) !== trigMode) {
    if (trigMode) apicSetVector(apic, APIC_TMR, vector);
    else apicClearVector(apic, APIC_TMR, vector);
  }
  kvmLapicSetIrr(apic, vector);
  apic.vcpu.makeRequest(KVM_REQ_EVENT);
  apic.vcpu.kick();
  return 1;
}

/** kvm_apic_set_irq. */
export function kvmApicSetIrq(vcpu: ApicVcpu, irq: KvmLapicIrq, destMap: DestMap | null): number {
  const apic = vcpu.apic;
  if (apic === null) return 0;
  return apicAcceptIrq(apic, irq.deliveryMode, irq.vector, irq.level, irq.trigMode, destMap);
}

/** kvm_apic_local_deliver: an interrupt of the local vector table. */
export function kvmApicLocalDeliver(apic: KvmLapic, lvt: number): number {
  const reg = kvmLapicGetReg(apic, lvt);
  if (!kvmApicHwEnabled(apic) || (reg & APIC_LVT_MASKED) !== 0) return 0;
  const trigMode = (reg & APIC_LVT_LEVEL_TRIGGER) !== 0;
  const r = apicAcceptIrq(apic, reg & APIC_MODE_MASK, reg & APIC_VECTOR_MASK, true, trigMode, null);
  // The performance-counter entry masks itself (SDM vol. 3A, 12.5.1).
  if (r !== 0 && lvt === APIC_LVTPC) kvmLapicSetReg(apic, APIC_LVTPC, reg | APIC_LVT_MASKED);
  return r;
}

/** kvm_apic_nmi_wd_deliver: the PIT reaches LINT0 of every APIC. */
export function kvmApicNmiWdDeliver(vcpu: ApicVcpu): void {
  if (vcpu.apic !== null) kvmApicLocalDeliver(vcpu.apic, APIC_LVT0);
}

/** kvm_apic_accept_events: INIT and start-up IPIs, in the vCPU's own thread. */
export function kvmApicAcceptEvents(vcpu: ApicVcpu): number {
  const apic = vcpu.apic;
  if (apic === null || apic.pendingEvents === 0) return 0;
  if ((apic.pendingEvents & KVM_APIC_INIT) !== 0) {
    apic.pendingEvents &= ~KVM_APIC_INIT;
    vcpu.reset(true);
    vcpu.mpState = (apic.baseLow & 0x100) !== 0 ? KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_INIT_RECEIVED;
  }
  if ((apic.pendingEvents & KVM_APIC_SIPI) !== 0) {
    apic.pendingEvents &= ~KVM_APIC_SIPI;
    if (vcpu.mpState === KVM_MP_STATE_INIT_RECEIVED) {
      vcpu.deliverSipiVector(apic.sipiVector);
      vcpu.mpState = KVM_MP_STATE_RUNNABLE;
    }
  }
  return 0;
}

/** kvm_apic_has_pending_init_or_sipi. */
export function kvmApicHasPendingInitOrSipi(vcpu: ApicVcpu): boolean {
  return vcpu.apic !== null && vcpu.apic.pendingEvents !== 0;
}
