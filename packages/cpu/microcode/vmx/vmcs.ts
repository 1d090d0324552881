/** The current VMCS: access to its fields by encoding, and the fate of a VMX instruction. */
import { CURRENT_VMCS } from "../../src/state/layout";
import { VMCS_DATA, VMCS_FIELD_MASKS, VMCS_GROUP_FIELDS } from "../../src/state/vmx-layout";
import { VM_INSTRUCTION_ERROR } from "../../../kvm-run/src/vmx/fields";
import { cpu, get32 } from "../cpu";

/** What a VMX instruction tells: VMsucceed, VMfailInvalid, VMfailValid (SDM vol. 3C, 31.2). */
export const SUCCEED = 0;
export const FAIL_INVALID = 1;
export const FAIL_VALID = 2;

/** Offset of a field in the VMCS region; folds to a constant where the encoding is one. */
// @ts-ignore: decorator
@inline
export function slot(field: i32): usize {
  const group = ((field >> 13) & 3) * 4 + ((field >> 10) & 3);
  return <usize>(VMCS_DATA + ((group * VMCS_GROUP_FIELDS + ((field >> 1) & 0x1ff)) << 3));
}

/** Host address of the current VMCS. */
// @ts-ignore: decorator
@inline
export function currentVmcs(): usize {
  return <usize>load<u32>(cpu + CURRENT_VMCS);
}

// @ts-ignore: decorator
@inline
export function hasVmcs(): bool {
  return get32(CURRENT_VMCS) != -1;
}

// @ts-ignore: decorator
@inline
export function read32(vmcs: usize, field: i32): i32 {
  return load<i32>(vmcs + slot(field));
}

// @ts-ignore: decorator
@inline
export function read64(vmcs: usize, field: i32): i64 {
  return load<i64>(vmcs + slot(field));
}

// @ts-ignore: decorator
@inline
export function write32(vmcs: usize, field: i32, value: i32): void {
  store<i32>(vmcs + slot(field), value);
}

// @ts-ignore: decorator
@inline
export function write64(vmcs: usize, field: i32, value: i64): void {
  store<i64>(vmcs + slot(field), value);
}

/** A field of the current VMCS. */
// @ts-ignore: decorator
@inline
export function field32(field: i32): i32 {
  return read32(currentVmcs(), field);
}

// @ts-ignore: decorator
@inline
export function field64(field: i32): i64 {
  return read64(currentVmcs(), field);
}

/** True when this processor has the field (its high half too, where `field` says so). */
export function fieldExists(field: i64): bool {
  if (<u64>field >= 0x8000) return false;
  const encoding = <i32>field;
  if (encoding & 0x1000) return false;
  const index = (encoding >> 1) & 0x1ff;
  const width = (encoding >> 13) & 3;
  if (index >= VMCS_GROUP_FIELDS || (encoding & 1 && width != 1)) return false;
  const group = width * 4 + ((encoding >> 10) & 3);
  return ((load<u32>(cpu + VMCS_FIELD_MASKS + <usize>(group << 2)) >> index) & 1) != 0;
}

/** VMfail: VMfailValid with the error when there is a current VMCS, else VMfailInvalid. */
export function vmfail(error: i32): i32 {
  if (!hasVmcs()) return FAIL_INVALID;
  write32(currentVmcs(), VM_INSTRUCTION_ERROR, error);
  return FAIL_VALID;
}
