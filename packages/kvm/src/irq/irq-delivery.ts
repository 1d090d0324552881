import type { ApicVcpu, IrqKvm } from './types.ts';
import type { KvmLapic } from './lapic.ts';
import type { DestMap, KvmLapicIrq } from './lapic-irq.ts';
import {
  APIC_BROADCAST,
  APIC_DEST_ALLBUT,
  APIC_DEST_ALLINC,
  APIC_DEST_NOSHORT,
  APIC_DEST_PHYSICAL,
  APIC_DEST_SELF,
  APIC_DFR,
  APIC_DFR_FLAT,
  APIC_DM_FIXED,
  APIC_DM_LOWEST,
  APIC_LDR,
  X2APIC_BROADCAST,
} from './apicdef.ts';
import {
  apicX2apicMode,
  kvmApicCalcX2apicLdr,
  kvmApicPresent,
  kvmApicSwEnabled,
  kvmLapicGetReg,
  kvmX2apicId,
  kvmXapicId,
} from './lapic.ts';
import { kvmApicSetIrq } from './lapic-accept.ts';

/**
 * Which local APICs an interrupt message reaches: physical and logical destinations, shorthands, broadcast and lowest
 * priority (arch/x86/kvm/lapic.c and irq_comm.c; SDM vol. 3A, 12.6.2).
 */

/** kvm_recalculate_apic_map: local APICs by physical identifier, after an identifier or mode changed. */
export function kvmRecalculateApicMap(kvm: IrqKvm): void {
  if (!kvm.irq.apicMapDirty) return;
  kvm.irq.apicMapDirty = false;
  const map: (KvmLapic | undefined)[] = [];
  for (const vcpu of kvm.vcpus) {
    const apic = vcpu.apic;
    if (apic === null || !kvmApicPresent(vcpu)) continue;
    map[kvmX2apicId(apic)] ??= apic;
    if (!apicX2apicMode(apic)) map[kvmXapicId(apic)] ??= apic;
  }
  kvm.irq.physMap = map;
}

function isBroadcast(apic: KvmLapic, mda: number): boolean {
  return mda === (apicX2apicMode(apic) ? X2APIC_BROADCAST : APIC_BROADCAST);
}

function matchPhysicalAddr(apic: KvmLapic, mda: number): boolean {
  if (isBroadcast(apic, mda)) return true;
  if (apicX2apicMode(apic)) return mda === kvmX2apicId(apic);
  // A wide identifier also reaches an APIC in xAPIC mode, so that vCPUs above 255 can be started (kvm_apic_match_physical_addr).
  if (mda > 0xff) return mda === kvmX2apicId(apic);
  return mda === kvmXapicId(apic);
}

function matchLogicalAddr(apic: KvmLapic, mda: number): boolean {
  if (isBroadcast(apic, mda)) return true;
  const ldr = kvmLapicGetReg(apic, APIC_LDR);
  if (apicX2apicMode(apic)) {
    const own = ldr === 0 ? kvmApicCalcX2apicLdr(kvmX2apicId(apic)) : ldr;
    return own >>> 16 === mda >>> 16 && (own & mda & 0xffff) !== 0;
  }
  const own = ldr >>> 24;
  if (kvmLapicGetReg(apic, APIC_DFR) === APIC_DFR_FLAT) return (own & mda) !== 0;
  return own >>> 4 === mda >>> 4 && (own & mda & 15) !== 0;
}

/** kvm_apic_mda: 0xff of a message that is no IPI is a broadcast for x2APICs too. */
function mdaOf(kvm: IrqKvm, destId: number, source: KvmLapic | null, target: KvmLapic): number {
  if (
    !kvm.irq.x2apicBroadcastQuirkDisabled &&
    source === null &&
    destId === APIC_BROADCAST &&
    apicX2apicMode(target)
  )
    return X2APIC_BROADCAST;
  return destId;
}

/** kvm_apic_match_dest. */
export function kvmApicMatchDest(
  vcpu: ApicVcpu,
  source: KvmLapic | null,
  shorthand: number,
  destId: number,
  destMode: number,
): boolean {
  const target = vcpu.apic;
  if (target === null) return false;
  switch (shorthand) {
    case APIC_DEST_NOSHORT: {
      const mda = mdaOf(vcpu.kvm, destId, source, target);
      return destMode === APIC_DEST_PHYSICAL ? matchPhysicalAddr(target, mda) : matchLogicalAddr(target, mda);
    }
    case APIC_DEST_SELF:
      return target === source;
    case APIC_DEST_ALLINC:
      return true;
    case APIC_DEST_ALLBUT:
      return target !== source;
    default:
      return false;
  }
}

export function kvmLowestPrioDelivery(irq: KvmLapicIrq): boolean {
  return irq.deliveryMode === APIC_DM_LOWEST || irq.msiRedirHint;
}

/** One destination with no search: self, or a physical identifier. Undefined: search; null: reaches nobody. */
function singleDestination(kvm: IrqKvm, source: KvmLapic | null, irq: KvmLapicIrq): KvmLapic | null | undefined {
  if (irq.shorthand === APIC_DEST_SELF) return source;
  if (irq.shorthand !== APIC_DEST_NOSHORT || irq.destMode !== APIC_DEST_PHYSICAL) return undefined;
  if (irq.destId === APIC_BROADCAST || irq.destId === X2APIC_BROADCAST) return undefined;
  kvmRecalculateApicMap(kvm);
  return kvm.irq.physMap[irq.destId] ?? null;
}

/** kvm_irq_delivery_to_apic: number of APICs that took it, 0 when it was dropped, -1 when none was addressed. */
export function kvmIrqDeliveryToApic(
  kvm: IrqKvm,
  source: KvmLapic | null,
  irq: KvmLapicIrq,
  destMap: DestMap | null,
): number {
  const single = singleDestination(kvm, source, irq);
  if (single === null) return 0;
  if (single !== undefined) return kvmApicSetIrq(single.vcpu, irq, destMap);
  if (irq.destMode === APIC_DEST_PHYSICAL && irq.destId === 0xff && kvmLowestPrioDelivery(irq)) {
    irq.deliveryMode = APIC_DM_FIXED;
    irq.msiRedirHint = false;
  }
  return kvmLowestPrioDelivery(irq) ? deliverLowest(kvm, source, irq, destMap) : deliverAll(kvm, source, irq, destMap);
}

function deliverAll(kvm: IrqKvm, source: KvmLapic | null, irq: KvmLapicIrq, destMap: DestMap | null): number {
  let r = -1;
  for (const vcpu of kvm.vcpus) {
    if (!kvmApicPresent(vcpu) || !kvmApicMatchDest(vcpu, source, irq.shorthand, irq.destId, irq.destMode)) continue;
    r = Math.max(r, 0) + kvmApicSetIrq(vcpu, irq, destMap);
  }
  return r;
}

/** The vector picks among the candidates (kvm_vector_to_index), so that one vector always goes to one vCPU. */
function deliverLowest(kvm: IrqKvm, source: KvmLapic | null, irq: KvmLapicIrq, destMap: DestMap | null): number {
  let candidates = 0;
  for (const vcpu of kvm.vcpus) if (isCandidate(vcpu, source, irq)) candidates++;
  if (candidates === 0) return -1;
  let skip = irq.vector % candidates;
  for (const vcpu of kvm.vcpus) {
    if (!isCandidate(vcpu, source, irq)) continue;
    if (skip-- === 0) return kvmApicSetIrq(vcpu, irq, destMap);
  }
  return -1;
}

function isCandidate(vcpu: ApicVcpu, source: KvmLapic | null, irq: KvmLapicIrq): boolean {
  return (
    kvmApicPresent(vcpu) &&
    kvmApicSwEnabled(vcpu.apic!) &&
    kvmApicMatchDest(vcpu, source, irq.shorthand, irq.destId, irq.destMode)
  );
}

/** kvm_intr_is_single_vcpu: the only vCPU that the message addresses, or null. */
export function kvmIntrIsSingleVcpu(kvm: IrqKvm, irq: KvmLapicIrq): ApicVcpu | null {
  let found: ApicVcpu | null = null;
  for (const vcpu of kvm.vcpus) {
    if (!kvmApicPresent(vcpu) || !kvmApicMatchDest(vcpu, null, irq.shorthand, irq.destId, irq.destMode)) continue;
    if (found !== null) return null;
    found = vcpu;
  }
  return found;
}
