/** The VM-execution controls in effect. They are cached in the area while a guest runs, and zero otherwise. */
import { VMX_MODE } from "../../src/state/layout";
import { VMX_CAPABILITIES, VMX_PIN, VMX_PROC, VMX_PROC2 } from "../../src/state/vmx-layout";
import {
  CPU_BASED_ACTIVATE_SECONDARY_CONTROLS, SECONDARY_EXEC_UNRESTRICTED_GUEST,
} from "../../../kvm-run/src/vmx/controls";
import {
  CPU_BASED_VM_EXEC_CONTROL, PIN_BASED_VM_EXEC_CONTROL, SECONDARY_VM_EXEC_CONTROL,
} from "../../../kvm-run/src/vmx/fields";
import { MSR_IA32_VMX_BASIC } from "../../../kvm-run/src/vmx/msrs";
import { cpu, get32, get64, set32 } from "../cpu";
import { read32 } from "./vmcs";

export const VMX_OUTSIDE = 0;
export const VMX_ROOT = 1;
export const VMX_NON_ROOT = 2;

/** True in VMX non-root operation: a guest runs. */
// @ts-ignore: decorator
@inline
export function inGuest(): bool {
  return load<i32>(cpu + VMX_MODE) == VMX_NON_ROOT;
}

// @ts-ignore: decorator
@inline
export function pinControl(bit: i32): bool {
  return (load<i32>(cpu + VMX_PIN) & bit) != 0;
}

// @ts-ignore: decorator
@inline
export function procControl(bit: i32): bool {
  return (load<i32>(cpu + VMX_PROC) & bit) != 0;
}

// @ts-ignore: decorator
@inline
export function secondaryControl(bit: i32): bool {
  return (load<i32>(cpu + VMX_PROC2) & bit) != 0;
}

// @ts-ignore: decorator
@inline
export function unrestrictedGuest(): bool {
  return secondaryControl(SECONDARY_EXEC_UNRESTRICTED_GUEST);
}

/** Secondary controls of a VMCS as they take effect: none unless activated. */
// @ts-ignore: decorator
@inline
export function secondaryOf(vmcs: usize): i32 {
  const active = read32(vmcs, CPU_BASED_VM_EXEC_CONTROL) & <i32>CPU_BASED_ACTIVATE_SECONDARY_CONTROLS;
  return active ? read32(vmcs, SECONDARY_VM_EXEC_CONTROL) : 0;
}

/** Takes the controls of the VMCS into effect. */
export function cacheControls(vmcs: usize): void {
  set32(VMX_PIN, read32(vmcs, PIN_BASED_VM_EXEC_CONTROL));
  set32(VMX_PROC, read32(vmcs, CPU_BASED_VM_EXEC_CONTROL));
  set32(VMX_PROC2, secondaryOf(vmcs));
}

export function dropControls(): void {
  set32(VMX_PIN, 0);
  set32(VMX_PROC, 0);
  set32(VMX_PROC2, 0);
}

/** A VMX capability MSR, by its number. */
// @ts-ignore: decorator
@inline
export function capability(msr: i32): i64 {
  return get64(<usize>(VMX_CAPABILITIES + ((msr - MSR_IA32_VMX_BASIC) << 3)));
}

/** SDM vol. 3D, A.2: does the value violate the allowed 0-settings (low half) or 1-settings (high half)? */
export function violatesCapability(value: i32, msr: i32): bool {
  const allowed = capability(msr);
  return (value & <i32>allowed) != <i32>allowed || (value & ~<i32>(allowed >> 32)) != 0;
}

/** True when a control register's value has the bits that VMX operation fixes (A.7, A.8), but those of `exempt`. */
export function violatesFixedBits(value: i64, fixed0: i32, exempt: i64): bool {
  return ((~value & capability(fixed0)) | (value & ~capability(fixed0 + 1))) & ~exempt ? true : false;
}

/** Current VMX mode: VMX_OUTSIDE, VMX_ROOT, VMX_NON_ROOT. */
export function vmxMode(): i32 {
  return get32(VMX_MODE);
}
