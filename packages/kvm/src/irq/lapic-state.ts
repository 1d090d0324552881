import { KVM_X86_QUIRK_LINT0_REENABLED } from '@vm/kvm-run';
import type { ApicVcpu } from './types.ts';
import type { KvmLapic } from './lapic.ts';
import {
  APIC_DEFAULT_PHYS_BASE,
  APIC_DFR,
  APIC_DFR_FLAT,
  APIC_DM_EXTINT,
  APIC_ESR,
  APIC_ICR,
  APIC_ICR2,
  APIC_ID,
  APIC_IRR,
  APIC_ISR,
  APIC_LDR,
  APIC_LVT0,
  APIC_LVT_MASKED,
  APIC_LVTT,
  APIC_PROCPRI,
  APIC_SPIV,
  APIC_TASKPRI,
  APIC_TDCR,
  APIC_TMCCT,
  APIC_TMICT,
  APIC_TMR,
  KVM_APIC_NR_LVT_ENTRIES,
  LAPIC_MMIO_LENGTH,
  MSR_IA32_APICBASE_BSP,
  MSR_IA32_APICBASE_ENABLE,
  MSR_IA32_APICBASE_EXTD,
} from './apicdef.ts';
import {
  apicRecountVectors,
  apicSetSpiv,
  apicUpdatePpr,
  apicX2apicMode,
  kvmApicCalcX2apicLdr,
  kvmApicSetVersion,
  kvmApicSetX2apicId,
  kvmApicSetXapicId,
  kvmLapicGetReg,
  kvmLapicSetReg,
  newLapic,
} from './lapic.ts';
import { kvmRtcEoiTrackingRestoreOne } from './ioapic.ts';
import { kvmRecalculateApicMap } from './irq-delivery.ts';
import { apicManageNmiWatchdog } from './lapic-regs.ts';
import {
  apicFoldTmcct,
  apicTimerFn,
  apicUpdateLvtt,
  cancelApicTimer,
  startApicTimer,
  updateDivideCount,
} from './lapic-timer.ts';
import { KVM_REQ_EVENT } from '../requests.ts';

/** Life, reset, base address and saved image of a local APIC (arch/x86/kvm/lapic.c). */

/** kvm_create_lapic: the register page comes from host memory; the reset follows with the vCPU's. */
export function kvmCreateLapic(vcpu: ApicVcpu): KvmLapic {
  const apic = newLapic(vcpu, apicTimerFn);
  apic.baseLow = (APIC_DEFAULT_PHYS_BASE | MSR_IA32_APICBASE_ENABLE) >>> 0;
  vcpu.apic = apic;
  vcpu.kvm.irq.apicMapDirty = true;
  kvmLapicReset(vcpu, false);
  return apic;
}

/** kvm_free_lapic. */
export function kvmFreeLapic(vcpu: ApicVcpu): void {
  const apic = vcpu.apic;
  if (apic === null) return;
  cancelApicTimer(apic);
  apicManageNmiWatchdog(apic, 0);
  vcpu.apic = null;
  vcpu.kvm.irq.apicMapDirty = true;
  apic.memory.free(apic.regs, 1);
}

/** Is an MMIO access to this address one of the vCPU's local APIC? */
export function kvmLapicInRange(vcpu: ApicVcpu, address: number): boolean {
  const apic = vcpu.apic;
  return apic !== null && address >= apic.baseAddress && address < apic.baseAddress + LAPIC_MMIO_LENGTH;
}

/** kvm_lapic_reset. INIT keeps the base and the identifier (SDM vol. 3A, 12.4.7.3). */
export function kvmLapicReset(vcpu: ApicVcpu, initEvent: boolean): void {
  const apic = vcpu.apic;
  if (apic === null) return;
  cancelApicTimer(apic);
  if (!initEvent) {
    const bsp = isResetBsp(vcpu) ? MSR_IA32_APICBASE_BSP : 0;
    applyBase(apic, (APIC_DEFAULT_PHYS_BASE | MSR_IA32_APICBASE_ENABLE | bsp) >>> 0, 0);
    kvmApicSetXapicId(apic, vcpu.vcpuId);
  }
  kvmApicSetVersion(apic);
  resetRegisters(apic);
  apic.irrPending = false;
  apic.isrCount = 0;
  apic.highestIsrCache = -1;
  apic.timer.pending = 0;
  apic.timer.tscDeadline = 0;
  apic.timer.tscDeadlineLow = 0;
  apic.timer.tscDeadlineHigh = 0;
  apic.timer.period = 0;
  apic.arbPrio = 0;
  if (!initEvent) apic.pendingEvents = 0;
  vcpu.kvm.irq.apicMapDirty = true;
  apicUpdatePpr(apic);
  kvmRecalculateApicMap(vcpu.kvm);
}

/** kvm_vcpu_is_reset_bsp. */
function isResetBsp(vcpu: ApicVcpu): boolean {
  return vcpu.vcpuId === vcpu.kvm.bspVcpuId;
}

function resetRegisters(apic: KvmLapic): void {
  for (let i = 0; i < KVM_APIC_NR_LVT_ENTRIES; i++) kvmLapicSetReg(apic, APIC_LVTT + i * 0x10, APIC_LVT_MASKED);
  apic.timer.timerMode = 0;
  // Virtual wire after reset: LINT0 of the bootstrap processor carries the 8259's output.
  const quirk = (apic.vcpu.kvm.disabledQuirks & KVM_X86_QUIRK_LINT0_REENABLED) === 0;
  if (isResetBsp(apic.vcpu) && quirk) kvmLapicSetReg(apic, APIC_LVT0, APIC_DM_EXTINT);
  apicManageNmiWatchdog(apic, kvmLapicGetReg(apic, APIC_LVT0));
  kvmLapicSetReg(apic, APIC_DFR, APIC_DFR_FLAT);
  apicSetSpiv(apic, 0xff);
  kvmLapicSetReg(apic, APIC_TASKPRI, 0);
  kvmLapicSetReg(apic, APIC_PROCPRI, 0);
  if (!apicX2apicMode(apic)) kvmLapicSetReg(apic, APIC_LDR, 0);
  for (const reg of [APIC_ESR, APIC_ICR, APIC_ICR2, APIC_TDCR, APIC_TMICT, APIC_TMCCT]) kvmLapicSetReg(apic, reg, 0);
  for (let i = 0; i < 8; i++)
    for (const bank of [APIC_ISR, APIC_TMR, APIC_IRR]) kvmLapicSetReg(apic, bank + i * 0x10, 0);
  updateDivideCount(apic);
}

// ---- IA32_APIC_BASE

const LAPIC_MODE_DISABLED = 0;
const LAPIC_MODE_INVALID = MSR_IA32_APICBASE_EXTD;
const LAPIC_MODE_XAPIC = MSR_IA32_APICBASE_ENABLE;
const LAPIC_MODE_X2APIC = MSR_IA32_APICBASE_ENABLE | MSR_IA32_APICBASE_EXTD;

function applyBase(apic: KvmLapic, low: number, high: number): void {
  const changed = apic.baseLow ^ low;
  apic.baseLow = low >>> 0;
  apic.baseHigh = high >>> 0;
  apic.baseAddress = apic.baseHigh * 0x1_0000_0000 + ((low & 0xfffff000) >>> 0);
  const enabled = (low & MSR_IA32_APICBASE_ENABLE) !== 0;
  if ((changed & MSR_IA32_APICBASE_ENABLE) !== 0) {
    if (enabled) kvmApicSetXapicId(apic, apic.vcpu.vcpuId);
    apic.vcpu.kvm.irq.apicMapDirty = true;
  }
  if ((changed & MSR_IA32_APICBASE_EXTD) !== 0) {
    if ((low & MSR_IA32_APICBASE_EXTD) !== 0) kvmApicSetX2apicId(apic, apic.vcpu.vcpuId);
    else if (enabled) kvmApicSetXapicId(apic, apic.vcpu.vcpuId);
  }
}

/** kvm_apic_set_base: false injects #GP. State machine of SDM vol. 3A, 12.12.5. */
export function kvmApicSetBase(vcpu: ApicVcpu, low: number, high: number, hostInitiated: boolean): boolean {
  const apic = vcpu.apic;
  if (apic === null) return false;
  const oldMode = apic.baseLow & LAPIC_MODE_X2APIC;
  const newMode = low & LAPIC_MODE_X2APIC;
  const reservedHigh = vcpu.maxPhyAddr > 32 ? (high >>> 0) >>> Math.min(31, vcpu.maxPhyAddr - 32) : high;
  if ((low & 0x2ff) !== 0 || reservedHigh !== 0 || newMode === LAPIC_MODE_INVALID) return false;
  if (newMode === LAPIC_MODE_X2APIC && !vcpu.hasX2apic) return false;
  if (!hostInitiated) {
    if (oldMode === LAPIC_MODE_X2APIC && newMode === LAPIC_MODE_XAPIC) return false;
    if (oldMode === LAPIC_MODE_DISABLED && newMode === LAPIC_MODE_X2APIC) return false;
  }
  applyBase(apic, low >>> 0, high >>> 0);
  kvmRecalculateApicMap(vcpu.kvm);
  return true;
}

/** After KVM_SET_CPUID2: the version register and the modes of the timer follow CPUID. */
export function kvmLapicAfterSetCpuid(vcpu: ApicVcpu, hasTscDeadline: boolean): void {
  const apic = vcpu.apic;
  if (apic === null) return;
  apic.timer.timerModeMask = hasTscDeadline ? 0x60000 : 0x20000;
  kvmApicSetVersion(apic);
}

// ---- KVM_GET_LAPIC and KVM_SET_LAPIC: struct kvm_lapic_state, the first 1024 bytes of the page

export const KVM_APIC_REG_SIZE = 0x400;

/** kvm_apic_get_state. Without KVM_CAP_X2APIC_API the identifier is in the byte of xAPIC mode. */
export function kvmApicGetState(vcpu: ApicVcpu, image: Uint8Array): void {
  const apic = vcpu.apic!;
  apicFoldTmcct(apic);
  image.set(apic.memory.u8.subarray(apic.regs, apic.regs + KVM_APIC_REG_SIZE));
  if (!apicX2apicMode(apic)) return;
  const view = new DataView(image.buffer, image.byteOffset);
  if (!vcpu.kvm.irq.x2apicFormat) view.setUint32(APIC_ID, (view.getUint32(APIC_ID, true) << 24) >>> 0, true);
}

/** kvm_apic_set_state: 0, or -1 for an identifier that is not the vCPU's. */
export function kvmApicSetState(vcpu: ApicVcpu, image: Uint8Array): number {
  const apic = vcpu.apic!;
  const view = new DataView(image.buffer, image.byteOffset, KVM_APIC_REG_SIZE);
  let id = view.getUint32(APIC_ID, true);
  if (apicX2apicMode(apic)) {
    if (!vcpu.kvm.irq.x2apicFormat) id >>>= 24;
    if (id !== vcpu.vcpuId && (vcpu.kvm.irq.x2apicFormat || id !== (vcpu.vcpuId & 0xff))) return -1;
    id = vcpu.vcpuId;
  }
  cancelApicTimer(apic);
  for (let reg = 0; reg < KVM_APIC_REG_SIZE; reg += 4) kvmLapicSetReg(apic, reg, view.getUint32(reg, true));
  kvmLapicSetReg(apic, APIC_ID, id);
  if (apicX2apicMode(apic)) kvmLapicSetReg(apic, APIC_LDR, kvmApicCalcX2apicLdr(id));
  apicSetSpiv(apic, kvmLapicGetReg(apic, APIC_SPIV));
  vcpu.kvm.irq.apicMapDirty = true;
  kvmRecalculateApicMap(vcpu.kvm);
  kvmApicSetVersion(apic);
  apicRecountVectors(apic);
  apicUpdatePpr(apic);
  apic.timer.pending = 0;
  apicUpdateLvtt(apic);
  apicManageNmiWatchdog(apic, kvmLapicGetReg(apic, APIC_LVT0));
  updateDivideCount(apic);
  // A count of zero has run out: only its period starts anew.
  kvmLapicSetReg(apic, APIC_TMICT, view.getUint32(APIC_TMICT, true));
  startApicTimer(apic, APIC_TMCCT);
  kvmLapicSetReg(apic, APIC_TMCCT, 0);
  vcpu.makeRequest(KVM_REQ_EVENT);
  kvmRtcEoiTrackingRestoreOne(vcpu);
  return 0;
}
