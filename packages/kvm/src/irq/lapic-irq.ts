/** An interrupt message (struct kvm_lapic_irq). Chips keep one each and fill it anew. */
export interface KvmLapicIrq {
  vector: number;
  /** APIC_DM_*. */
  deliveryMode: number;
  /** APIC_DEST_PHYSICAL or APIC_DEST_LOGICAL. */
  destMode: number;
  level: boolean;
  trigMode: boolean;
  /** APIC_DEST_NOSHORT, ... */
  shorthand: number;
  destId: number;
  msiRedirHint: boolean;
}

export function newLapicIrq(): KvmLapicIrq {
  return {
    vector: 0,
    deliveryMode: 0,
    destMode: 0,
    level: false,
    trigMode: false,
    shorthand: 0,
    destId: 0,
    msiRedirHint: false,
  };
}

/** Where an interrupt went, for the RTC's lost-tick accounting (struct dest_map): vector by vCPU id. */
export type DestMap = Map<number, number>;
