/** CR8 and the TPR shadow (SDM vol. 3C, 30.1). */
import { ST_NEXT } from "../../src/state/layout";
import { EXIT_REASON_TPR_BELOW_THRESHOLD } from "../../../kvm-run/src/vmx/exit-reasons";
import { TPR_THRESHOLD, VIRTUAL_APIC_PAGE_ADDR } from "../../../kvm-run/src/vmx/fields";
import { isRam } from "../memory";
import { vmexit } from "./exit";
import { field32, field64 } from "./vmcs";

const VTPR: i64 = 0x80;

/** The class of the virtual task priority: VTPR bits 7:4. */
export function virtualTpr(): i32 {
  const page = field64(VIRTUAL_APIC_PAGE_ADDR);
  return isRam(page) ? <i32>load<u8>(<usize>(page + VTPR)) >> 4 : 0;
}

export function setVirtualTpr(value: i32): void {
  const page = field64(VIRTUAL_APIC_PAGE_ADDR);
  if (isRam(page)) store<i32>(<usize>(page + VTPR), value << 4);
}

/** TPR virtualization: an exit once the virtual TPR is below the threshold; RIP is past the instruction. */
export function exitIfTprBelowThreshold(): i32 {
  return virtualTpr() < (field32(TPR_THRESHOLD) & 15) ? vmexit(EXIT_REASON_TPR_BELOW_THRESHOLD, 0) : ST_NEXT;
}
