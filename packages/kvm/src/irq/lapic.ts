import type { HostMemory } from '@vm/kvm-run';
import type { ApicVcpu } from './types.ts';
import type { KvmLapicIrq } from './lapic-irq.ts';
import { HrTimer } from './hrtimer.ts';
import { newLapicIrq } from './lapic-irq.ts';
import { KVM_REQ_EVENT } from '../requests.ts';
import {
  APIC_DEFAULT_PHYS_BASE,
  APIC_DFR,
  APIC_ID,
  APIC_IRR,
  APIC_ISR,
  APIC_LDR,
  APIC_LVR,
  APIC_LVR_DIRECTED_EOI,
  APIC_LVT0,
  APIC_LVT_MASKED,
  APIC_DM_EXTINT,
  APIC_MODE_MASK,
  APIC_PROCPRI,
  APIC_SPIV,
  APIC_SPIV_APIC_ENABLED,
  APIC_TASKPRI,
  APIC_TMR,
  APIC_VERSION,
  KVM_APIC_NR_LVT_ENTRIES,
  MSR_IA32_APICBASE_ENABLE,
  MSR_IA32_APICBASE_EXTD,
} from './apicdef.ts';

/**
 * The local APIC: its register page and the arithmetic of pending and in-service interrupts (arch/x86/kvm/lapic.c; SDM
 * vol. 3A, ch. 12). The registers are a page of host memory, because the processor reads and writes the task priority
 * there (the virtual-APIC page of the TPR shadow) and because other threads set IRR bits there.
 */

export const KVM_APIC_INIT = 1;
export const KVM_APIC_SIPI = 2;

/** The timer's part of a local APIC (struct kvm_timer). Times are TSC ticks. */
export interface ApicTimer {
  /** Fires in the vCPU's thread when the preemption timer is not used. */
  readonly timer: HrTimer;
  /** Period in host ticks; 0: no count was programmed. */
  period: number;
  /** Host TSC at which the count reaches zero. */
  targetExpiration: number;
  /** LVTT's mode bits. */
  timerMode: number;
  /** Bits of LVTT that hold the mode. */
  timerModeMask: number;
  /** Guest TSC of the deadline, 0 when off; the halves as the guest wrote them. */
  tscDeadline: number;
  tscDeadlineLow: number;
  tscDeadlineHigh: number;
  /** The timer expired, and its interrupt has not been delivered yet. */
  pending: number;
  hvTimerInUse: boolean;
}

export interface KvmLapic {
  readonly vcpu: ApicVcpu;
  readonly memory: HostMemory;
  /** Host address of the register page. */
  readonly regs: number;
  /** Index of the register page in 32-bit words. */
  readonly words: number;
  readonly timer: ApicTimer;
  /** The message of the interprocessor interrupt being sent. */
  readonly ipi: KvmLapicIrq;
  /** IA32_APIC_BASE, in halves, and the address in it. */
  baseLow: number;
  baseHigh: number;
  baseAddress: number;
  swEnabled: boolean;
  divideCount: number;
  /** A bit of IRR may be set; cleared when a search finds none. */
  irrPending: boolean;
  /** Number of bits in ISR. */
  isrCount: number;
  /** Highest bit of ISR, -1 when not known. */
  highestIsrCache: number;
  /** KVM_APIC_INIT, KVM_APIC_SIPI. */
  pendingEvents: number;
  sipiVector: number;
  arbPrio: number;
  lvt0InNmiMode: boolean;
  /** Vectors whose EOI the IOAPIC wants, eight words. */
  readonly ioapicHandledVectors: Uint32Array;
  /** Vector for KVM_EXIT_IOAPIC_EOI. */
  pendingIoapicEoi: number;
}

export function newLapic(vcpu: ApicVcpu, timerFn: (apic: KvmLapic) => number): KvmLapic {
  const memory = vcpu.kvm.memory;
  const regs = memory.allocPages(1);
  const apic: KvmLapic = {
    vcpu,
    memory,
    regs,
    words: regs >>> 2,
    timer: {
      timer: new HrTimer(() => timerFn(apic)),
      period: 0,
      targetExpiration: 0,
      timerMode: 0,
      timerModeMask: 0x60000,
      tscDeadline: 0,
      tscDeadlineLow: 0,
      tscDeadlineHigh: 0,
      pending: 0,
      hvTimerInUse: false,
    },
    ipi: newLapicIrq(),
    baseLow: 0,
    baseHigh: 0,
    baseAddress: APIC_DEFAULT_PHYS_BASE,
    swEnabled: false,
    divideCount: 2,
    irrPending: false,
    isrCount: 0,
    highestIsrCache: -1,
    pendingEvents: 0,
    sipiVector: 0,
    arbPrio: 0,
    lvt0InNmiMode: false,
    ioapicHandledVectors: new Uint32Array(8),
    pendingIoapicEoi: 0,
  };
  return apic;
}

export function kvmLapicGetReg(apic: KvmLapic, reg: number): number {
  return apic.memory.u32[apic.words + (reg >>> 2)]!;
}

export function kvmLapicSetReg(apic: KvmLapic, reg: number, value: number): void {
  apic.memory.u32[apic.words + (reg >>> 2)] = value;
}

// ---- 256-bit registers: eight words, 16 bytes apart

function word(apic: KvmLapic, bank: number, vector: number): number {
  return apic.words + ((bank + ((vector >> 5) << 4)) >>> 2);
}

export function apicTestVector(apic: KvmLapic, bank: number, vector: number): boolean {
  return (apic.memory.u32[word(apic, bank, vector)]! & (1 << (vector & 31))) !== 0;
}

/** Other threads work on IRR and TMR too, so bits change atomically. */
export function apicSetVector(apic: KvmLapic, bank: number, vector: number): boolean {
  const bit = 1 << (vector & 31);
  return (Atomics.or(apic.memory.i32, word(apic, bank, vector), bit) & bit) !== 0;
}

export function apicClearVector(apic: KvmLapic, bank: number, vector: number): boolean {
  const bit = 1 << (vector & 31);
  return (Atomics.and(apic.memory.i32, word(apic, bank, vector), ~bit) & bit) !== 0;
}

/** find_highest_vector: -1 for none. */
function findHighestVector(apic: KvmLapic, bank: number): number {
  const u32 = apic.memory.u32;
  const first = apic.words + (bank >>> 2);
  for (let i = 7; i >= 0; i--) {
    const bits = u32[first + (i << 2)]!;
    if (bits !== 0) return (i << 5) + 31 - Math.clz32(bits);
  }
  return -1;
}

export function apicFindHighestIrr(apic: KvmLapic): number {
  if (!apic.irrPending) return -1;
  const vector = findHighestVector(apic, APIC_IRR);
  if (vector < 0) apic.irrPending = false;
  return vector;
}

export function apicFindHighestIsr(apic: KvmLapic): number {
  if (apic.isrCount === 0) return -1;
  if (apic.highestIsrCache < 0) apic.highestIsrCache = findHighestVector(apic, APIC_ISR);
  return apic.highestIsrCache;
}

/** kvm_lapic_set_irr: irrPending after the bit, so that a reader that clears the hint still sees one of the two. */
export function kvmLapicSetIrr(apic: KvmLapic, vector: number): void {
  apicSetVector(apic, APIC_IRR, vector);
  apic.irrPending = true;
}

export function apicClearIrr(apic: KvmLapic, vector: number): void {
  apicClearVector(apic, APIC_IRR, vector);
  apic.irrPending = findHighestVector(apic, APIC_IRR) >= 0;
}

export function apicSetIsr(apic: KvmLapic, vector: number): void {
  if (apicSetVector(apic, APIC_ISR, vector)) return;
  apic.isrCount++;
  // An interrupt that is taken has the highest priority of all in service (lapic.c, apic_set_isr).
  apic.highestIsrCache = vector;
}

export function apicClearIsr(apic: KvmLapic, vector: number): void {
  if (!apicClearVector(apic, APIC_ISR, vector)) return;
  apic.isrCount--;
  apic.highestIsrCache = -1;
}

/** After the register page was loaded from outside. */
export function apicRecountVectors(apic: KvmLapic): void {
  apic.irrPending = true;
  apic.highestIsrCache = -1;
  apic.isrCount = 0;
  for (let vector = 0; vector < 256; vector++) if (apicTestVector(apic, APIC_ISR, vector)) apic.isrCount++;
}

// ---- enabled, mode, identity

export function kvmApicHwEnabled(apic: KvmLapic): boolean {
  return (apic.baseLow & MSR_IA32_APICBASE_ENABLE) !== 0;
}

export function kvmApicSwEnabled(apic: KvmLapic): boolean {
  return apic.swEnabled;
}

export function apicEnabled(apic: KvmLapic): boolean {
  return apic.swEnabled && (apic.baseLow & MSR_IA32_APICBASE_ENABLE) !== 0;
}

export function apicX2apicMode(apic: KvmLapic): boolean {
  return (apic.baseLow & MSR_IA32_APICBASE_EXTD) !== 0;
}

/** kvm_apic_present: the vCPU has a local APIC and it is enabled in IA32_APIC_BASE. */
export function kvmApicPresent(vcpu: ApicVcpu): boolean {
  return vcpu.apic !== null && (vcpu.apic.baseLow & MSR_IA32_APICBASE_ENABLE) !== 0;
}

export function kvmXapicId(apic: KvmLapic): number {
  return kvmLapicGetReg(apic, APIC_ID) >>> 24;
}

/** The identifier in x2APIC mode is the vCPU's. */
export function kvmX2apicId(apic: KvmLapic): number {
  return apic.vcpu.vcpuId;
}

export function kvmApicId(apic: KvmLapic): number {
  return apicX2apicMode(apic) ? kvmX2apicId(apic) : kvmXapicId(apic);
}

export function kvmApicSetXapicId(apic: KvmLapic, id: number): void {
  kvmLapicSetReg(apic, APIC_ID, (id << 24) >>> 0);
  apic.vcpu.kvm.irq.apicMapDirty = true;
}

/** SDM vol. 3A, 12.12.10.2: cluster in the high half, one bit of sixteen in the low half. */
export function kvmApicCalcX2apicLdr(id: number): number {
  return (((id >>> 4) << 16) | (1 << (id & 15))) >>> 0;
}

export function kvmApicSetX2apicId(apic: KvmLapic, id: number): void {
  kvmLapicSetReg(apic, APIC_ID, id);
  kvmLapicSetReg(apic, APIC_LDR, kvmApicCalcX2apicLdr(id));
  apic.vcpu.kvm.irq.apicMapDirty = true;
}

export function kvmApicSetLdr(apic: KvmLapic, value: number): void {
  kvmLapicSetReg(apic, APIC_LDR, value);
}

export function kvmApicSetDfr(apic: KvmLapic, value: number): void {
  kvmLapicSetReg(apic, APIC_DFR, value);
}

/** Directed EOI only where the IOAPIC is not this layer's, which has no EOI register (kvm_apic_set_version). */
export function kvmApicSetVersion(apic: KvmLapic): void {
  let version = APIC_VERSION | ((KVM_APIC_NR_LVT_ENTRIES - 1) << 16);
  if (apic.vcpu.hasX2apic && apic.vcpu.kvm.irq.vioapic === null) version |= APIC_LVR_DIRECTED_EOI;
  kvmLapicSetReg(apic, APIC_LVR, version);
}

export function apicSetSpiv(apic: KvmLapic, value: number): void {
  kvmLapicSetReg(apic, APIC_SPIV, value);
  apic.swEnabled = (value & APIC_SPIV_APIC_ENABLED) !== 0;
}

// ---- priorities (SDM vol. 3A, 12.8.3.1)

/** Writes the processor priority; true when it fell. */
function updatePpr(apic: KvmLapic): boolean {
  const old = kvmLapicGetReg(apic, APIC_PROCPRI);
  const tpr = kvmLapicGetReg(apic, APIC_TASKPRI) & 0xff;
  const isr = apicFindHighestIsr(apic);
  const service = isr < 0 ? 0 : isr & 0xf0;
  const ppr = (tpr & 0xf0) >= service ? tpr : service;
  if (old !== ppr) kvmLapicSetReg(apic, APIC_PROCPRI, ppr);
  return ppr < old;
}

/** The highest requested vector whose class is above the priority; -1 for none. */
function apicHasInterruptForPpr(apic: KvmLapic, ppr: number): number {
  const vector = apicFindHighestIrr(apic);
  return vector < 0 || (vector & 0xf0) <= (ppr & 0xf0) ? -1 : vector;
}

export function apicUpdatePpr(apic: KvmLapic): void {
  if (updatePpr(apic) && apicHasInterruptForPpr(apic, kvmLapicGetReg(apic, APIC_PROCPRI)) >= 0)
    apic.vcpu.makeRequest(KVM_REQ_EVENT);
}

export function apicSetTpr(apic: KvmLapic, tpr: number): void {
  kvmLapicSetReg(apic, APIC_TASKPRI, tpr);
  apicUpdatePpr(apic);
}

/** kvm_apic_has_interrupt: the vector that could be delivered now, -1 for none. */
export function kvmApicHasInterrupt(vcpu: ApicVcpu): number {
  const apic = vcpu.apic;
  if (apic === null || (apic.baseLow & MSR_IA32_APICBASE_ENABLE) === 0) return -1;
  updatePpr(apic);
  return apicHasInterruptForPpr(apic, kvmLapicGetReg(apic, APIC_PROCPRI));
}

/** kvm_apic_ack_interrupt: from requested to in service. */
export function kvmApicAckInterrupt(vcpu: ApicVcpu, vector: number): void {
  const apic = vcpu.apic;
  if (apic === null || vector < 0) return;
  apicClearIrr(apic, vector);
  apicSetIsr(apic, vector);
  updatePpr(apic);
}

/** kvm_get_apic_interrupt: takes the next vector, -1 for none. */
export function kvmGetApicInterrupt(vcpu: ApicVcpu): number {
  const vector = kvmApicHasInterrupt(vcpu);
  if (vector >= 0) kvmApicAckInterrupt(vcpu, vector);
  return vector;
}

/** kvm_lapic_find_highest_irr, for the TPR threshold. */
export function kvmLapicFindHighestIrr(vcpu: ApicVcpu): number {
  return vcpu.apic === null ? -1 : apicFindHighestIrr(vcpu.apic);
}

/** kvm_apic_accept_pic_intr: is the 8259's output wired to this vCPU (LVT0 in ExtINT mode, or no APIC at all)? */
export function kvmApicAcceptPicIntr(vcpu: ApicVcpu): boolean {
  const apic = vcpu.apic;
  if (apic === null || !kvmApicHwEnabled(apic)) return true;
  const lvt0 = kvmLapicGetReg(apic, APIC_LVT0);
  return (lvt0 & APIC_LVT_MASKED) === 0 && (lvt0 & APIC_MODE_MASK) === APIC_DM_EXTINT;
}

/** kvm_apic_pending_eoi: is the vector requested or in service? */
export function kvmApicPendingEoi(vcpu: ApicVcpu, vector: number): boolean {
  const apic = vcpu.apic;
  return apic !== null && (apicTestVector(apic, APIC_ISR, vector) || apicTestVector(apic, APIC_IRR, vector));
}

/** kvm_lapic_set_tpr: MOV to CR8. */
export function kvmLapicSetTpr(vcpu: ApicVcpu, cr8: number): void {
  if (vcpu.apic !== null) apicSetTpr(vcpu.apic, (cr8 & 15) << 4);
}

export function kvmLapicGetCr8(vcpu: ApicVcpu): number {
  return vcpu.apic === null ? 0 : (kvmLapicGetReg(vcpu.apic, APIC_TASKPRI) & 0xf0) >> 4;
}

/** Is the vector marked level-triggered? */
export function apicIsLevel(apic: KvmLapic, vector: number): boolean {
  return apicTestVector(apic, APIC_TMR, vector);
}
