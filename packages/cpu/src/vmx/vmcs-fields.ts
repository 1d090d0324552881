/** Which VMCS fields the processor has, where they stand in the region, and what VM entry has to check after a VMWRITE. */
import * as V from '@vm/kvm-run/vmx';
import {
  VMCS_DATA, VMCS_DIRTY_CONTROLS, VMCS_DIRTY_GUEST, VMCS_DIRTY_HOST, VMCS_GROUP_FIELDS,
} from '../state/vmx-layout.ts';

/** Fields of features that the processor does not have: VMREAD and VMWRITE fail on them (SDM vol. 3D, appendix B). */
const ABSENT: ReadonlySet<number> = new Set([
  V.POSTED_INTR_NV, V.LAST_PID_POINTER_INDEX, V.GUEST_INTR_STATUS, V.GUEST_PML_INDEX, V.PML_ADDRESS, V.APIC_ACCESS_ADDR,
  V.POSTED_INTR_DESC_ADDR, V.VM_FUNCTION_CONTROL, V.EOI_EXIT_BITMAP0, V.EOI_EXIT_BITMAP1, V.EOI_EXIT_BITMAP2,
  V.EOI_EXIT_BITMAP3, V.EPTP_LIST_ADDRESS, V.VMREAD_BITMAP, V.VMWRITE_BITMAP, V.VE_INFORMATION_ADDRESS,
  V.ENCLS_EXITING_BITMAP, V.TSC_MULTIPLIER, V.TERTIARY_VM_EXEC_CONTROL, V.SHARED_EPT_POINTER, V.PID_POINTER_TABLE,
  V.GUEST_IA32_PERF_GLOBAL_CTRL, V.HOST_IA32_PERF_GLOBAL_CTRL, V.GUEST_BNDCFGS, V.GUEST_IA32_RTIT_CTL, V.NOTIFY_WINDOW,
  V.GUEST_S_CET, V.GUEST_SSP, V.GUEST_INTR_SSP_TABLE, V.HOST_S_CET, V.HOST_SSP, V.HOST_INTR_SSP_TABLE,
]);

/** Encodings of all fields that exist, without the high halves. */
export const SUPPORTED_FIELDS: readonly number[] = V.VMCS_FIELDS.map(([field]) => field).filter((field) => !ABSENT.has(field));

const indexOf = (field: number): number => (field >> 1) & 0x1ff;
const groupOf = (field: number): number => ((field >> V.FIELD_WIDTH_SHIFT) & 3) * 4 + ((field >> V.FIELD_TYPE_SHIFT) & 3);

/** The largest index of a field that exists (IA32_VMX_VMCS_ENUM). */
export const VMCS_HIGHEST_INDEX: number = Math.max(...SUPPORTED_FIELDS.map(indexOf));

/** Sixteen masks of existing indices, by width and type, for the microcode. */
export function fieldMasks(): number[] {
  const masks = Array.from({ length: 16 }, () => 0);
  for (const field of SUPPORTED_FIELDS) masks[groupOf(field)]! |= 1 << indexOf(field);
  return masks;
}

/** Offset of a field in the VMCS region. */
export function fieldSlot(field: number): number {
  return VMCS_DATA + (groupOf(field) * VMCS_GROUP_FIELDS + indexOf(field)) * 8;
}

/** Control fields that change what other checks see, and those that no cached check looks at. */
const GUEST_DEPENDS: ReadonlySet<number> = new Set([V.VM_ENTRY_CONTROLS, V.SECONDARY_VM_EXEC_CONTROL]);
const HOST_DEPENDS: ReadonlySet<number> = new Set([V.VM_ENTRY_CONTROLS, V.VM_EXIT_CONTROLS]);
const NEVER_CACHED: ReadonlySet<number> = new Set([
  V.VM_ENTRY_INTR_INFO_FIELD, V.VM_ENTRY_EXCEPTION_ERROR_CODE, V.VM_ENTRY_INSTRUCTION_LEN, V.TPR_THRESHOLD,
  V.EXCEPTION_BITMAP, V.PAGE_FAULT_ERROR_CODE_MASK, V.PAGE_FAULT_ERROR_CODE_MATCH, V.TSC_OFFSET, V.PLE_GAP, V.PLE_WINDOW,
  V.CR0_GUEST_HOST_MASK, V.CR0_READ_SHADOW, V.CR4_GUEST_HOST_MASK, V.CR4_READ_SHADOW, V.XSS_EXIT_BITMAP,
  V.GUEST_RIP, V.GUEST_RSP, V.GUEST_RFLAGS, V.GUEST_INTERRUPTIBILITY_INFO, V.GUEST_ACTIVITY_STATE,
  V.GUEST_PENDING_DBG_EXCEPTIONS, V.VMX_PREEMPTION_TIMER_VALUE, V.HOST_RSP, V.HOST_IA32_SYSENTER_CS,
]);

function dirtyBits(field: number): number {
  if (NEVER_CACHED.has(field)) return 0;
  const type = (field >> V.FIELD_TYPE_SHIFT) & 3;
  if (type === V.FIELD_TYPE_HOST) return VMCS_DIRTY_HOST;
  if (type === V.FIELD_TYPE_GUEST) return VMCS_DIRTY_GUEST;
  if (type === V.FIELD_TYPE_EXIT_INFO) return 0;
  return VMCS_DIRTY_CONTROLS | (GUEST_DEPENDS.has(field) ? VMCS_DIRTY_GUEST : 0) | (HOST_DEPENDS.has(field) ? VMCS_DIRTY_HOST : 0);
}

/** By encoding: offset of the field in the region, high halves included; 0 where no field exists. */
export function slotTable(): Uint16Array {
  const table = new Uint16Array(V.FIELD_ENCODINGS);
  for (const field of SUPPORTED_FIELDS) {
    table[field] = fieldSlot(field);
    if (((field >> V.FIELD_WIDTH_SHIFT) & 3) === V.FIELD_WIDTH_64) table[field + V.FIELD_HIGH] = fieldSlot(field) + 4;
  }
  return table;
}

/** By encoding: VMCS_DIRTY_* bits that a changed value sets. */
export function dirtyTable(): Uint8Array {
  const table = new Uint8Array(V.FIELD_ENCODINGS);
  for (const field of SUPPORTED_FIELDS) table[field] = table[field + V.FIELD_HIGH] = dirtyBits(field);
  return table;
}
