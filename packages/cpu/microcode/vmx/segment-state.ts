/** Segment registers between the area and the guest-state area of the VMCS. Both keep bases, limits and rights alike. */
import { SEG_ATTR, SEG_BASE, SEG_LIMIT, SEG_SELECTOR } from "../../src/state/layout";
import {
  GUEST_ES_AR_BYTES, GUEST_ES_BASE, GUEST_ES_LIMIT, GUEST_ES_SELECTOR,
} from "../../../kvm-run/src/vmx/fields";
import { segPointer } from "../cpu";
import { slot } from "./vmcs";

const SEGMENTS = 8;

/** The fields of the eight segments follow one another in ES CS SS DS FS GS LDTR TR order. */
export function saveSegments(vmcs: usize): void {
  for (let i = 0; i < SEGMENTS; i++) {
    const segment = segPointer(i);
    const at = vmcs + (<usize>i << 3);
    store<i64>(at + slot(GUEST_ES_BASE), load<i64>(segment + SEG_BASE));
    store<i32>(at + slot(GUEST_ES_LIMIT), load<i32>(segment + SEG_LIMIT));
    store<i32>(at + slot(GUEST_ES_AR_BYTES), load<i32>(segment + SEG_ATTR));
    store<i32>(at + slot(GUEST_ES_SELECTOR), load<i32>(segment + SEG_SELECTOR) & 0xffff);
  }
}

export function loadSegments(vmcs: usize): void {
  for (let i = 0; i < SEGMENTS; i++) {
    const segment = segPointer(i);
    const at = vmcs + (<usize>i << 3);
    store<i64>(segment + SEG_BASE, load<i64>(at + slot(GUEST_ES_BASE)));
    store<i32>(segment + SEG_LIMIT, load<i32>(at + slot(GUEST_ES_LIMIT)));
    store<i32>(segment + SEG_ATTR, load<i32>(at + slot(GUEST_ES_AR_BYTES)) & 0x1f0ff);
    store<i32>(segment + SEG_SELECTOR, load<i32>(at + slot(GUEST_ES_SELECTOR)) & 0xffff);
  }
}
