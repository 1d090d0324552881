import { KVM_IRQCHIP_IOAPIC } from '@vm/kvm-run';
import type { KvmIoDevice } from '../io-bus.ts';
import type { ApicVcpu, IrqKvm } from './types.ts';
import type { DestMap, KvmLapicIrq } from './lapic-irq.ts';
import { APIC_DEST_LOGICAL, APIC_DEST_NOSHORT, APIC_DEST_PHYSICAL } from './apicdef.ts';
import { HrTimer } from './hrtimer.ts';
import { kvmIrqLineState, NO_VCPU } from './irq-state.ts';
import { u64 } from '../trace.ts';
import { kvmIrqDeliveryToApic, kvmApicMatchDest } from './irq-delivery.ts';
import {
  kvmFireMaskNotifiers,
  kvmIrqHasNotifier,
  kvmMakeScanIoapicRequest,
  kvmNotifyAckedIrq,
} from './irq-notifier.ts';
import { newLapicIrq } from './lapic-irq.ts';
import { kvmApicPendingEoi } from './lapic.ts';

/**
 * The I/O APIC with 24 pins (Intel 82093AA data sheet; arch/x86/kvm/ioapic.c). A redirection entry is two words; the
 * low one has vector 7:0, delivery mode 10:8, destination mode 11, delivery status 12, polarity 13, remote IRR 14, trigger mode 15,
 * mask 16; the high one the destination in 31:24.
 */

export const IOAPIC_NUM_PINS = 24;
export const IOAPIC_DEFAULT_BASE_ADDRESS = 0xfec00000;
export const IOAPIC_MEM_LENGTH = 0x100;
const IOAPIC_VERSION_ID = 0x11;
const IOAPIC_REG_SELECT = 0x00;
const IOAPIC_REG_WINDOW = 0x10;
const IOAPIC_REG_APIC_ID = 0;
const IOAPIC_REG_VERSION = 1;
const IOAPIC_REG_ARB_ID = 2;
const IOAPIC_SUCCESSIVE_IRQ_MAX_COUNT = 10000;
/** Pin of the real-time clock, whose lost ticks userspace wants to know. */
const RTC_GSI = 8;

const DEST_LOGICAL = 0x800;
const DELIVERY_STATUS = 0x1000;
const REMOTE_IRR = 0x4000;
const LEVEL = 0x8000;
const MASKED = 0x10000;
const READ_ONLY = REMOTE_IRR | DELIVERY_STATUS;

export interface KvmIoapic {
  readonly kvm: IrqKvm;
  readonly device: KvmIoDevice;
  baseAddress: number;
  ioregsel: number;
  id: number;
  /** Level of each pin, wired-or. */
  irr: number;
  irrDelivered: number;
  /** Low and high words of the entries. */
  readonly redirtbl: Uint32Array;
  readonly irqStates: Uint32Array;
  /** Interrupts re-delivered at EOI in a row, by pin. */
  readonly irqEoi: Uint32Array;
  /** vCPUs that got the RTC's interrupt and did not end it yet. */
  readonly rtcDestMap: DestMap;
  readonly eoiInject: HrTimer;
  readonly message: KvmLapicIrq;
}

/** kvm_ioapic_init. */
export function kvmIoapicInit(kvm: IrqKvm): boolean {
  const ioapic: KvmIoapic = {
    kvm,
    device: {
      read: (_vcpu, address, length, result) => ioapicMmioRead(ioapic, address, length, result),
      write: (_vcpu, address, length, low) => ioapicMmioWrite(ioapic, address, length, low),
    },
    baseAddress: IOAPIC_DEFAULT_BASE_ADDRESS,
    ioregsel: 0,
    id: 0,
    irr: 0,
    irrDelivered: 0,
    redirtbl: new Uint32Array(IOAPIC_NUM_PINS * 2),
    irqStates: new Uint32Array(IOAPIC_NUM_PINS),
    irqEoi: new Uint32Array(IOAPIC_NUM_PINS),
    rtcDestMap: new Map(),
    eoiInject: new HrTimer(() => eoiInjectWork(ioapic)),
    message: newLapicIrq(),
  };
  kvmIoapicReset(ioapic);
  if (!kvm.mmioBus.register(ioapic.baseAddress, IOAPIC_MEM_LENGTH, ioapic.device)) return false;
  kvm.irq.vioapic = ioapic;
  return true;
}

export function kvmIoapicDestroy(kvm: IrqKvm): void {
  const ioapic = kvm.irq.vioapic;
  if (ioapic === null) return;
  kvm.hrtimers.cancel(ioapic.eoiInject);
  kvm.mmioBus.unregister(ioapic.device);
  kvm.irq.vioapic = null;
}

export function kvmIoapicReset(ioapic: KvmIoapic): void {
  ioapic.kvm.hrtimers.cancel(ioapic.eoiInject);
  ioapic.redirtbl.fill(0);
  for (let pin = 0; pin < IOAPIC_NUM_PINS; pin++) ioapic.redirtbl[pin * 2] = MASKED;
  ioapic.baseAddress = IOAPIC_DEFAULT_BASE_ADDRESS;
  ioapic.ioregsel = 0;
  ioapic.irr = 0;
  ioapic.irrDelivered = 0;
  ioapic.id = 0;
  ioapic.irqEoi.fill(0);
  ioapic.rtcDestMap.clear();
}

// ---- pins

/** ioapic_service: sends the pin's message; -1 when it must wait. */
function ioapicService(ioapic: KvmIoapic, pin: number, lineStatus: boolean): number {
  const entry = ioapic.redirtbl[pin * 2]!;
  const level = (entry & LEVEL) !== 0;
  if ((entry & MASKED) !== 0 || (level && (entry & REMOTE_IRR) !== 0)) return -1;
  const message = fill(ioapic, pin);
  if (!level) ioapic.irrDelivered |= 1 << pin;
  const destMap = pin === RTC_GSI && lineStatus ? ioapic.rtcDestMap : null;
  const r = kvmIrqDeliveryToApic(ioapic.kvm, null, message, destMap);
  if (r !== 0 && level) ioapic.redirtbl[pin * 2] = ioapic.redirtbl[pin * 2]! | REMOTE_IRR;
  return r;
}

function fill(ioapic: KvmIoapic, pin: number): KvmLapicIrq {
  const entry = ioapic.redirtbl[pin * 2]!;
  const message = ioapic.message;
  message.vector = entry & 0xff;
  message.deliveryMode = entry & 0x700;
  message.destMode = (entry & DEST_LOGICAL) !== 0 ? APIC_DEST_LOGICAL : APIC_DEST_PHYSICAL;
  message.trigMode = (entry & LEVEL) !== 0;
  message.level = true;
  message.shorthand = APIC_DEST_NOSHORT;
  message.destId = ioapic.redirtbl[pin * 2 + 1]! >>> 24;
  message.msiRedirHint = false;
  return message;
}

/** ioapic_set_irq: 0 when the interrupt merged into one that is still waiting. */
function ioapicSetIrq(ioapic: KvmIoapic, pin: number, level: number, lineStatus: boolean): number {
  const mask = 1 << pin;
  if (level === 0) {
    ioapic.irr &= ~mask;
    return 1;
  }
  if (pin === RTC_GSI && lineStatus && ioapic.rtcDestMap.size > 0) return 0;
  const old = ioapic.irr;
  ioapic.irr |= mask;
  if ((ioapic.redirtbl[pin * 2]! & LEVEL) === 0) {
    ioapic.irrDelivered &= ~mask;
    if (old === ioapic.irr) return 0;
  }
  return ioapicService(ioapic, pin, lineStatus);
}

/** kvm_ioapic_set_irq. */
export function kvmIoapicSetIrq(
  ioapic: KvmIoapic,
  pin: number,
  source: number,
  level: number,
  lineStatus: boolean,
): number {
  if (pin < 0 || pin >= IOAPIC_NUM_PINS) return -1;
  const { tracer } = ioapic.kvm.global;
  const entry = tracer === null ? 0n : u64(ioapic.redirtbl[pin * 2]!, ioapic.redirtbl[pin * 2 + 1]!);
  const r = ioapicSetIrq(ioapic, pin, kvmIrqLineState(ioapic.irqStates, pin, source, level), lineStatus);
  if (tracer !== null) tracer.event('kvm_ioapic_set_irq', NO_VCPU, pin, entry, r === 0 ? 1 : 0);
  return r;
}

// ---- end of interrupt

/** kvm_ioapic_update_eoi: a vCPU ended a vector; `level`: its local APIC has it as level-triggered and broadcasts. */
export function kvmIoapicUpdateEoi(vcpu: ApicVcpu, vector: number, level: boolean): void {
  const ioapic = vcpu.kvm.irq.vioapic;
  if (ioapic === null) return;
  if (ioapic.rtcDestMap.get(vcpu.vcpuId) === vector) ioapic.rtcDestMap.delete(vcpu.vcpuId);
  for (let pin = 0; pin < IOAPIC_NUM_PINS; pin++)
    if ((ioapic.redirtbl[pin * 2]! & 0xff) === vector) eoiPin(ioapic, pin, level);
}

function eoiPin(ioapic: KvmIoapic, pin: number, level: boolean): void {
  kvmNotifyAckedIrq(ioapic.kvm, KVM_IRQCHIP_IOAPIC, pin);
  if (!level || (ioapic.redirtbl[pin * 2]! & LEVEL) === 0) return;
  ioapic.redirtbl[pin * 2] = ioapic.redirtbl[pin * 2]! & ~REMOTE_IRR;
  if ((ioapic.redirtbl[pin * 2]! & MASKED) !== 0 || (ioapic.irr & (1 << pin)) === 0) {
    ioapic.irqEoi[pin] = 0;
    return;
  }
  // A storm of a line that nobody lowers: let the guest make some progress, as slow hardware would.
  if (++ioapic.irqEoi[pin]! >= IOAPIC_SUCCESSIVE_IRQ_MAX_COUNT) {
    ioapic.irqEoi[pin] = 0;
    const queue = ioapic.kvm.hrtimers;
    queue.start(ioapic.eoiInject, queue.now() + queue.ticks(10_000_000));
  } else {
    ioapicService(ioapic, pin, false);
  }
}

/** kvm_ioapic_eoi_inject_work. */
function eoiInjectWork(ioapic: KvmIoapic): number {
  for (let pin = 0; pin < IOAPIC_NUM_PINS; pin++) {
    const entry = ioapic.redirtbl[pin * 2]!;
    if ((entry & LEVEL) !== 0 && (entry & REMOTE_IRR) === 0 && (ioapic.irr & (1 << pin)) !== 0)
      ioapicService(ioapic, pin, false);
  }
  return -1;
}

/** kvm_ioapic_scan_entry: the vectors whose EOI of this vCPU the IOAPIC needs, into eight words. */
export function kvmIoapicScanEntry(vcpu: ApicVcpu, vectors: Uint32Array): void {
  const ioapic = vcpu.kvm.irq.vioapic;
  if (ioapic === null) return;
  const rtc = ioapic.rtcDestMap.get(vcpu.vcpuId);
  if (rtc !== undefined) vectors[rtc >> 5] = vectors[rtc >> 5]! | (1 << (rtc & 31));
  for (let pin = 0; pin < IOAPIC_NUM_PINS; pin++) {
    const entry = ioapic.redirtbl[pin * 2]!;
    if ((entry & LEVEL) === 0 && pin !== RTC_GSI && !kvmIrqHasNotifier(ioapic.kvm, KVM_IRQCHIP_IOAPIC, pin)) continue;
    const message = fill(ioapic, pin);
    const vector = message.vector;
    if (
      kvmApicMatchDest(vcpu, null, APIC_DEST_NOSHORT, message.destId, message.destMode) ||
      kvmApicPendingEoi(vcpu, vector)
    )
      vectors[vector >> 5] = vectors[vector >> 5]! | (1 << (vector & 31));
  }
}

// ---- registers

function readIndirect(ioapic: KvmIoapic): number {
  switch (ioapic.ioregsel) {
    case IOAPIC_REG_VERSION:
      return ((IOAPIC_NUM_PINS - 1) << 16) | IOAPIC_VERSION_ID;
    case IOAPIC_REG_APIC_ID:
    case IOAPIC_REG_ARB_ID:
      return (ioapic.id & 15) << 24;
    default: {
      const index = ioapic.ioregsel - 0x10;
      return index >= 0 && index < IOAPIC_NUM_PINS * 2 ? ioapic.redirtbl[index]! : 0xffffffff;
    }
  }
}

function writeIndirect(ioapic: KvmIoapic, value: number): void {
  if (ioapic.ioregsel === IOAPIC_REG_APIC_ID) ioapic.id = (value >>> 24) & 15;
  const index = ioapic.ioregsel - 0x10;
  if (index < 0 || index >= IOAPIC_NUM_PINS * 2) return;
  const pin = index >> 1;
  const before = ioapic.redirtbl[pin * 2]!;
  if ((index & 1) === 0) {
    let entry = (value & ~READ_ONLY) | (before & READ_ONLY);
    // Some systems end an interrupt by making the entry edge-triggered for a moment.
    if ((entry & LEVEL) === 0) entry &= ~REMOTE_IRR;
    ioapic.redirtbl[index] = entry;
  } else {
    ioapic.redirtbl[index] = value;
  }
  const after = ioapic.redirtbl[pin * 2]!;
  if (((before ^ after) & MASKED) !== 0)
    kvmFireMaskNotifiers(ioapic.kvm, KVM_IRQCHIP_IOAPIC, pin, (after & MASKED) !== 0);
  if ((after & LEVEL) !== 0 && (ioapic.irr & (1 << pin)) !== 0) ioapicService(ioapic, pin, false);
  kvmMakeScanIoapicRequest(ioapic.kvm);
}

export function ioapicMmioRead(ioapic: KvmIoapic, address: number, length: number, result: Uint32Array): boolean {
  const offset = address - ioapic.baseAddress;
  if (offset < 0 || offset >= IOAPIC_MEM_LENGTH) return false;
  let value = 0;
  if (offset === IOAPIC_REG_SELECT) value = ioapic.ioregsel;
  else if (offset === IOAPIC_REG_WINDOW) value = readIndirect(ioapic);
  result[0] = length === 1 ? value & 0xff : length === 2 ? value & 0xffff : value;
  return true;
}

export function ioapicMmioWrite(ioapic: KvmIoapic, address: number, length: number, low: number): boolean {
  const offset = address - ioapic.baseAddress;
  if (offset < 0 || offset >= IOAPIC_MEM_LENGTH) return false;
  const value = length === 1 ? low & 0xff : length === 2 ? low & 0xffff : low >>> 0;
  if (offset === IOAPIC_REG_SELECT) ioapic.ioregsel = value & 0xff;
  else if (offset === IOAPIC_REG_WINDOW) writeIndirect(ioapic, value);
  return true;
}

// ---- KVM_GET_IRQCHIP and KVM_SET_IRQCHIP: struct kvm_ioapic_state, 216 bytes

export const KVM_IOAPIC_STATE_SIZE = 216;

/** kvm_get_ioapic. The level of an edge-triggered pin that was delivered is not in the image. */
export function kvmGetIoapic(ioapic: KvmIoapic, image: DataView): void {
  image.setBigUint64(0, BigInt(ioapic.baseAddress), true);
  image.setUint32(8, ioapic.ioregsel, true);
  image.setUint32(12, ioapic.id, true);
  image.setUint32(16, (ioapic.irr & ~ioapic.irrDelivered) >>> 0, true);
  image.setUint32(20, 0, true);
  for (let i = 0; i < ioapic.redirtbl.length; i++) image.setUint32(24 + i * 4, ioapic.redirtbl[i]!, true);
}

/** kvm_set_ioapic: and delivers what is pending in the image. */
export function kvmSetIoapic(ioapic: KvmIoapic, image: DataView): void {
  const base = Number(image.getBigUint64(0, true));
  if (base !== ioapic.baseAddress) {
    ioapic.kvm.mmioBus.unregister(ioapic.device);
    ioapic.baseAddress = base;
    ioapic.kvm.mmioBus.register(base, IOAPIC_MEM_LENGTH, ioapic.device);
  }
  ioapic.ioregsel = image.getUint32(8, true) & 0xff;
  ioapic.id = image.getUint32(12, true) & 15;
  for (let i = 0; i < ioapic.redirtbl.length; i++) ioapic.redirtbl[i] = image.getUint32(24 + i * 4, true);
  const irr = image.getUint32(16, true);
  ioapic.irr = 0;
  ioapic.irrDelivered = 0;
  kvmMakeScanIoapicRequest(ioapic.kvm);
  ioapic.rtcDestMap.clear();
  for (let pin = 0; pin < IOAPIC_NUM_PINS; pin++)
    if ((irr & (1 << pin)) !== 0) ioapicSetIrq(ioapic, pin, 1, true);
  for (const vcpu of ioapic.kvm.vcpus) kvmRtcEoiTrackingRestoreOne(vcpu);
}

/** kvm_rtc_eoi_tracking_restore_one: after a local APIC was loaded. */
export function kvmRtcEoiTrackingRestoreOne(vcpu: ApicVcpu): void {
  const ioapic = vcpu.kvm.irq.vioapic;
  if (ioapic === null) return;
  const message = fill(ioapic, RTC_GSI);
  if (!kvmApicMatchDest(vcpu, null, APIC_DEST_NOSHORT, message.destId, message.destMode)) return;
  if (kvmApicPendingEoi(vcpu, message.vector)) ioapic.rtcDestMap.set(vcpu.vcpuId, message.vector);
  else ioapic.rtcDestMap.delete(vcpu.vcpuId);
}
