import { KVM_X86_QUIRK_LAPIC_MMIO_HOLE } from '@vm/kvm-run';
import type { KvmIoDevice } from '../io-bus.ts';
import type { ApicVcpu } from './types.ts';
import type { KvmLapic } from './lapic.ts';
import {
  APIC_ARBPRI,
  APIC_BASE_MSR,
  APIC_DEST_SELF,
  APIC_DFR,
  APIC_DEST_LOGICAL,
  APIC_EOI,
  APIC_ESR,
  APIC_ICR,
  APIC_ICR2,
  APIC_ICR_BUSY,
  APIC_ID,
  APIC_INT_ASSERT,
  APIC_INT_LEVELTRIG,
  APIC_IRR,
  APIC_ISR,
  APIC_LDR,
  APIC_LVR,
  APIC_LVR_DIRECTED_EOI,
  APIC_LVT0,
  APIC_LVT1,
  APIC_LVTERR,
  APIC_LVTPC,
  APIC_LVTT,
  APIC_LVTTHMR,
  APIC_LVT_MASKED,
  APIC_DM_NMI,
  APIC_MODE_MASK,
  APIC_PROCPRI,
  APIC_SELF_IPI,
  APIC_SHORT_MASK,
  APIC_SPIV,
  APIC_SPIV_APIC_ENABLED,
  APIC_SPIV_DIRECTED_EOI,
  APIC_TASKPRI,
  APIC_TDCR,
  APIC_TMCCT,
  APIC_TMICT,
  APIC_TMR,
  APIC_VECTOR_MASK,
  LAPIC_MMIO_LENGTH,
} from './apicdef.ts';
import {
  apicClearIsr,
  apicFindHighestIsr,
  apicIsLevel,
  apicSetSpiv,
  apicSetTpr,
  apicUpdatePpr,
  apicX2apicMode,
  kvmApicHwEnabled,
  kvmApicId,
  kvmApicSetDfr,
  kvmApicSetLdr,
  kvmApicSetXapicId,
  kvmApicSwEnabled,
  kvmLapicGetReg,
  kvmLapicSetReg,
} from './lapic.ts';
import { kvmIoapicUpdateEoi } from './ioapic.ts';
import { apicGetTmcct, apicUpdateLvtt, apicWriteTdcr, apicWriteTmict } from './lapic-timer.ts';
import { kvmIrqDeliveryToApic, kvmRecalculateApicMap } from './irq-delivery.ts';
import { KVM_REQ_EVENT, KVM_REQ_IOAPIC_EOI_EXIT, KVM_REQ_SCAN_IOAPIC } from '../requests.ts';

/** Reads and writes of the local APIC's registers, through its page or its MSRs (arch/x86/kvm/lapic.c). */

/** Writable bits of the LVT entries (apic_lvt_mask). */
const LVT_COMMON = 0xff | 0x10000;
const LVT_LINT = LVT_COMMON | 0x700 | 0x8000 | 0x2000 | 0x4000;
const LVT_MASKS: ReadonlyMap<number, number> = new Map([
  [APIC_LVTT, LVT_COMMON],
  [APIC_LVTTHMR, LVT_COMMON | APIC_MODE_MASK],
  [APIC_LVTPC, LVT_COMMON | APIC_MODE_MASK],
  [APIC_LVT0, LVT_LINT],
  [APIC_LVT1, LVT_LINT],
  [APIC_LVTERR, LVT_COMMON],
]);
const LVTS: readonly number[] = [...LVT_MASKS.keys()];

const READABLE = new Uint8Array(0x100);
for (const reg of [APIC_ID, APIC_LVR, APIC_TASKPRI, APIC_PROCPRI, APIC_LDR, APIC_SPIV, APIC_ESR, APIC_ICR, ...LVTS])
  READABLE[reg >> 4] = 1;
for (const reg of [APIC_TMICT, APIC_TMCCT, APIC_TDCR]) READABLE[reg >> 4] = 1;
for (const bank of [APIC_ISR, APIC_TMR, APIC_IRR]) READABLE.fill(1, bank >> 4, (bank >> 4) + 8);
/** Readable in xAPIC mode only. */
for (const reg of [APIC_ARBPRI, APIC_DFR, APIC_ICR2]) READABLE[reg >> 4] = 2;

function readable(apic: KvmLapic, reg: number): boolean {
  const r = READABLE[reg >> 4];
  return r === 1 || (r === 2 && !apicX2apicMode(apic));
}

/** __apic_read. */
function apicRead(apic: KvmLapic, reg: number): number {
  if (reg === APIC_PROCPRI) apicUpdatePpr(apic);
  const value = reg === APIC_TMCCT ? apicGetTmcct(apic) : reg === APIC_ARBPRI ? 0 : kvmLapicGetReg(apic, reg);
  const { tracer } = apic.vcpu.kvm.global;
  if (tracer !== null) tracer.event('kvm_apic', apic.vcpu.vcpuId, 'apic_read', reg, value);
  return value;
}

// ---- end of interrupt

export function kvmIoapicHandlesVector(apic: KvmLapic, vector: number): boolean {
  return (apic.ioapicHandledVectors[vector >> 5]! & (1 << (vector & 31))) !== 0;
}

function traceEoi(apic: KvmLapic, vector: number): void {
  const { tracer } = apic.vcpu.kvm.global;
  if (tracer !== null) tracer.event('kvm_eoi', apic.vcpu.vcpuId, kvmApicId(apic), vector);
}

/** kvm_ioapic_send_eoi. */
function kvmIoapicSendEoi(apic: KvmLapic, vector: number): void {
  if (!kvmIoapicHandlesVector(apic, vector)) return;
  if (apic.vcpu.kvm.irq.split) {
    apic.pendingIoapicEoi = vector;
    apic.vcpu.makeRequest(KVM_REQ_SCAN_IOAPIC);
    apic.vcpu.makeRequest(KVM_REQ_IOAPIC_EOI_EXIT);
    return;
  }
  const directed = (kvmLapicGetReg(apic, APIC_SPIV) & APIC_SPIV_DIRECTED_EOI) !== 0;
  kvmIoapicUpdateEoi(apic.vcpu, vector, apicIsLevel(apic, vector) && !directed);
}

/** apic_set_eoi: the vector that ended, -1 when none was in service. */
export function apicSetEoi(apic: KvmLapic): number {
  const vector = apicFindHighestIsr(apic);
  traceEoi(apic, vector);
  if (vector < 0) return -1;
  apicClearIsr(apic, vector);
  apicUpdatePpr(apic);
  kvmIoapicSendEoi(apic, vector);
  apic.vcpu.makeRequest(KVM_REQ_EVENT);
  return vector;
}

/** kvm_lapic_set_eoi. */
export function kvmLapicSetEoi(vcpu: ApicVcpu): void {
  if (vcpu.apic !== null) apicSetEoi(vcpu.apic);
}

/** kvm_apic_set_eoi_accelerated: the processor has done the APIC's part (EOI-induced exit). */
export function kvmApicSetEoiAccelerated(vcpu: ApicVcpu, vector: number): void {
  if (vcpu.apic === null) return;
  traceEoi(vcpu.apic, vector & 0xff);
  kvmIoapicSendEoi(vcpu.apic, vector & 0xff);
  vcpu.makeRequest(KVM_REQ_EVENT);
}

// ---- interprocessor interrupts

/** kvm_apic_send_ipi. */
export function kvmApicSendIpi(apic: KvmLapic, low: number, high: number): void {
  const ipi = apic.ipi;
  ipi.vector = low & APIC_VECTOR_MASK;
  ipi.deliveryMode = low & APIC_MODE_MASK;
  ipi.destMode = low & APIC_DEST_LOGICAL;
  ipi.level = (low & APIC_INT_ASSERT) !== 0;
  ipi.trigMode = (low & APIC_INT_LEVELTRIG) !== 0;
  ipi.shorthand = low & APIC_SHORT_MASK;
  ipi.msiRedirHint = false;
  ipi.destId = apicX2apicMode(apic) ? high >>> 0 : high >>> 24;
  const { tracer } = apic.vcpu.kvm.global;
  if (tracer !== null) tracer.event('kvm_apic_ipi', apic.vcpu.vcpuId, low >>> 0, ipi.destId);
  kvmIrqDeliveryToApic(apic.vcpu.kvm, apic, ipi, null);
}

// ---- writes

/** apic_manage_nmi_watchdog. */
export function apicManageNmiWatchdog(apic: KvmLapic, lvt0: number): void {
  const nmi = (lvt0 & (APIC_MODE_MASK | APIC_LVT_MASKED)) === APIC_DM_NMI;
  if (apic.lvt0InNmiMode === nmi) return;
  apic.lvt0InNmiMode = nmi;
  apic.vcpu.kvm.irq.vapicsInNmiMode += nmi ? 1 : -1;
}

function writeSpiv(apic: KvmLapic, value: number): void {
  let mask = 0x3ff;
  if ((kvmLapicGetReg(apic, APIC_LVR) & APIC_LVR_DIRECTED_EOI) !== 0) mask |= APIC_SPIV_DIRECTED_EOI;
  apicSetSpiv(apic, value & mask);
  if ((value & APIC_SPIV_APIC_ENABLED) !== 0) return;
  // A software-disabled APIC masks its vector table (SDM vol. 3A, 12.4.7.2).
  for (const lvt of LVTS) kvmLapicSetReg(apic, lvt, kvmLapicGetReg(apic, lvt) | APIC_LVT_MASKED);
  apicManageNmiWatchdog(apic, kvmLapicGetReg(apic, APIC_LVT0));
  apicUpdateLvtt(apic);
  apic.timer.pending = 0;
}

function writeLvt(apic: KvmLapic, reg: number, value: number): void {
  const masked = kvmApicSwEnabled(apic) ? value : value | APIC_LVT_MASKED;
  const mask = LVT_MASKS.get(reg)! | (reg === APIC_LVTT ? apic.timer.timerModeMask : 0);
  kvmLapicSetReg(apic, reg, masked & mask);
  if (reg === APIC_LVT0) {
    apicManageNmiWatchdog(apic, masked & mask);
    // The 8259 may be waiting for just this entry.
    apic.vcpu.makeRequest(KVM_REQ_EVENT);
  }
  if (reg === APIC_LVTT) apicUpdateLvtt(apic);
}

/** kvm_lapic_reg_write: false when the register is not writable (an MSR write then faults). */
export function kvmLapicRegWrite(apic: KvmLapic, reg: number, value: number): boolean {
  const x2apic = apicX2apicMode(apic);
  const { tracer } = apic.vcpu.kvm.global;
  if (tracer !== null) tracer.event('kvm_apic', apic.vcpu.vcpuId, 'apic_write', reg, value >>> 0);
  switch (reg) {
    case APIC_EOI:
      apicSetEoi(apic);
      return true;
    case APIC_TASKPRI:
      apicSetTpr(apic, value & 0xff);
      return true;
    case APIC_ICR:
      kvmLapicSetReg(apic, APIC_ICR, (value & ~APIC_ICR_BUSY) >>> 0);
      kvmApicSendIpi(apic, value & ~APIC_ICR_BUSY, kvmLapicGetReg(apic, APIC_ICR2));
      return true;
    case APIC_TMICT:
      apicWriteTmict(apic, value >>> 0);
      return true;
    case APIC_TDCR:
      apicWriteTdcr(apic, value);
      return true;
    case APIC_LVTT:
    case APIC_LVTTHMR:
    case APIC_LVTPC:
    case APIC_LVT0:
    case APIC_LVT1:
    case APIC_LVTERR:
      writeLvt(apic, reg, value);
      return true;
    case APIC_SPIV:
      writeSpiv(apic, value);
      return true;
    case APIC_ESR:
      // No APIC errors are modelled, so that the register stays zero.
      return !x2apic || value === 0;
    case APIC_SELF_IPI:
      if (!x2apic || (value & ~APIC_VECTOR_MASK) !== 0) return false;
      kvmApicSendIpi(apic, APIC_DEST_SELF | value, 0);
      return true;
    default:
      return !x2apic && writeXapicOnly(apic, reg, value);
  }
}

function writeXapicOnly(apic: KvmLapic, reg: number, value: number): boolean {
  switch (reg) {
    case APIC_ID:
      kvmApicSetXapicId(apic, value >>> 24);
      kvmRecalculateApicMap(apic.vcpu.kvm);
      return true;
    case APIC_LDR:
      kvmApicSetLdr(apic, (value & 0xff000000) >>> 0);
      return true;
    case APIC_DFR:
      kvmApicSetDfr(apic, (value | 0x0fffffff) >>> 0);
      return true;
    case APIC_ICR2:
      kvmLapicSetReg(apic, APIC_ICR2, (value & 0xff000000) >>> 0);
      return true;
    default:
      return false;
  }
}

/** kvm_apic_write_nodecode: the processor has stored the value in the page already (APIC-write exit). */
export function kvmApicWriteNodecode(vcpu: ApicVcpu, offset: number): void {
  const apic = vcpu.apic;
  if (apic !== null) kvmLapicRegWrite(apic, offset & 0xff0, kvmLapicGetReg(apic, offset & 0xff0));
}

// ---- the page

function inRange(apic: KvmLapic, address: number): boolean {
  return address >= apic.baseAddress && address < apic.baseAddress + LAPIC_MMIO_LENGTH;
}

/** A page that is not in force swallows accesses, unless userspace wants them. */
function isHole(apic: KvmLapic): boolean {
  return (apic.vcpu.kvm.disabledQuirks & KVM_X86_QUIRK_LAPIC_MMIO_HOLE) === 0;
}

/**
 * Reads of the page: 32-bit registers at 16-byte boundaries; what reaches past the register reads zero. In x2APIC mode and when
 * the APIC is off, its page reads all ones (KVM_X86_QUIRK_LAPIC_MMIO_HOLE).
 */
export function apicMmioRead(apic: KvmLapic, address: number, length: number, result: Uint32Array): boolean {
  if (!inRange(apic, address)) return false;
  if (!kvmApicHwEnabled(apic) || apicX2apicMode(apic)) {
    result[0] = 0xffffffff;
    result[1] = 0xffffffff;
    return isHole(apic);
  }
  const offset = address - apic.baseAddress;
  const within = offset & 15;
  const reg = offset & ~15;
  if (within + length > 4 || !readable(apic, reg)) return true;
  result[0] = apicRead(apic, reg) >>> (within << 3);
  return true;
}

/** Writes of the page: only whole, aligned registers (SDM vol. 3A, 12.4.1). */
export function apicMmioWrite(apic: KvmLapic, address: number, length: number, value: number): boolean {
  if (!inRange(apic, address)) return false;
  if (!kvmApicHwEnabled(apic) || apicX2apicMode(apic)) return isHole(apic);
  const offset = address - apic.baseAddress;
  if (length === 4 && (offset & 15) === 0) kvmLapicRegWrite(apic, offset, value);
  return true;
}

/** Each vCPU sees its own local APIC at the base address, so the device looks at who accesses. */
export const lapicIoDevice: KvmIoDevice = {
  read: (vcpu, address, length, result) =>
    vcpu !== null && vcpu.apic !== null && apicMmioRead(vcpu.apic, address, length, result),
  write: (vcpu, address, length, low) =>
    vcpu !== null && vcpu.apic !== null && apicMmioWrite(vcpu.apic, address, length, low),
};

// ---- the MSRs of x2APIC mode (SDM vol. 3A, 12.12.1)

/** kvm_x2apic_msr_write: false injects #GP. */
export function kvmX2apicMsrWrite(vcpu: ApicVcpu, msr: number, low: number, high: number): boolean {
  const apic = vcpu.apic;
  if (apic === null || !apicX2apicMode(apic)) return false;
  const reg = (msr - APIC_BASE_MSR) << 4;
  if (reg === APIC_ICR) {
    // Reserved: bits 31:20, 17:16 and 13; the busy bit is ignored.
    if ((low & 0xfff32000) !== 0) return false;
    const command = low & ~APIC_ICR_BUSY;
    kvmLapicSetReg(apic, APIC_ICR, command >>> 0);
    kvmLapicSetReg(apic, APIC_ICR2, high >>> 0);
    kvmApicSendIpi(apic, command, high);
    return true;
  }
  if (high !== 0 || (reg === APIC_EOI && low !== 0)) return false;
  return kvmLapicRegWrite(apic, reg, low >>> 0);
}

/** kvm_x2apic_msr_read into `out`, low and high half: false injects #GP. */
export function kvmX2apicMsrRead(vcpu: ApicVcpu, msr: number, out: Uint32Array): boolean {
  const apic = vcpu.apic;
  if (apic === null || !apicX2apicMode(apic)) return false;
  const reg = (msr - APIC_BASE_MSR) << 4;
  if (reg < 0 || reg >= LAPIC_MMIO_LENGTH || !readable(apic, reg)) return false;
  out[0] = apicRead(apic, reg);
  out[1] = reg === APIC_ICR ? kvmLapicGetReg(apic, APIC_ICR2) : 0;
  return true;
}
