/**
 * Which translations may stay across VM entries (SDM vol. 3C, 29.4). The TLB holds those of one guest at a time: they stay
 * while VPID, EPT pointer, CR3 and the paging mode are what they were when that guest left.
 */
import { CR0, CR3, CR4, MSR_EFER } from "../../src/state/layout";
import { TLB_TAG_CR3, TLB_TAG_EPTP, TLB_TAG_MODE, TLB_TAG_VPID } from "../../src/state/vmx-layout";
import { get32, get64, set32, set64 } from "../cpu";
import { flushEptCache, flushTlb } from "../mmu";

/** No guest's translations. */
const NOTHING = -1;

/** The bits of CR0 (PE WP PG), CR4 (PSE PAE PGE SMEP SMAP PKE) and EFER (LMA NXE) that translations depend on; they do not overlap. */
export function tlbMode(): i32 {
  return (get32(CR0) & <i32>0x80010001) | (get32(CR4) & 0x7000b0) | (get32(MSR_EFER) & 0xc00);
}

/** At VM entry, with the guest's state loaded: flushes unless the TLB holds this guest's translations. */
export function enterTlb(vpid: i32, eptp: i64): void {
  const same = vpid != 0 && get32(TLB_TAG_VPID) == vpid && get64(TLB_TAG_EPTP) == eptp &&
    get64(TLB_TAG_CR3) == get64(CR3) && get32(TLB_TAG_MODE) == tlbMode();
  if (!same) flushTlb();
  set32(TLB_TAG_VPID, vpid);
  set64(TLB_TAG_EPTP, eptp);
}

/** Forgets the linear translations of whatever guest they belong to. */
export function dropTlb(): void {
  set32(TLB_TAG_VPID, NOTHING);
  flushTlb();
}

/** Forgets guest-physical translations too (INVEPT). */
export function dropEpt(): void {
  flushEptCache();
  dropTlb();
}
