/** VMXON, VMXOFF, VMCLEAR, VMPTRLD, VMREAD, VMWRITE, INVEPT, INVVPID after their checks of mode and privilege. */
import { CR0, CR4, CURRENT_VMCS, MSR_FEATURE_CONTROL, PHYSICAL_BITS, VMX_MODE } from "../../src/state/layout";
import {
  TLB_TAG_VPID, VMCS_DIRTY, VMCS_DIRTY_ALL, VMCS_LAUNCH_STATE, VMCS_REVISION_ID, VMXON_POINTER,
} from "../../src/state/vmx-layout";
import {
  VMXERR_INVALID_OPERAND_TO_INVEPT_INVVPID, VMXERR_UNSUPPORTED_VMCS_COMPONENT, VMXERR_VMCLEAR_INVALID_ADDRESS,
  VMXERR_VMCLEAR_VMXON_POINTER, VMXERR_VMPTRLD_INCORRECT_VMCS_REVISION_ID, VMXERR_VMPTRLD_INVALID_ADDRESS,
  VMXERR_VMPTRLD_VMXON_POINTER, VMXERR_VMXON_IN_VMX_ROOT_OPERATION,
} from "../../../kvm-run/src/vmx/instruction-errors";
import {
  FEAT_CTL_LOCKED, FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX, MSR_IA32_VMX_CR0_FIXED0, MSR_IA32_VMX_CR4_FIXED0,
} from "../../../kvm-run/src/vmx/msrs";
import { get32, get64, set32 } from "../cpu";
import { isRam } from "../memory";
import { isCanonical } from "../mode";
import { violatesFixedBits, VMX_OUTSIDE, VMX_ROOT, vmxMode } from "./controls";
import { currentVmcs, FAIL_INVALID, fieldExists, hasVmcs, slot, SUCCEED, vmfail } from "./vmcs";
import { dropEpt, dropTlb } from "./vpid";

/** vmxon(): the instruction raises #GP(0). */
export const VMXON_FAULT = -1;
const NONE = -1;
const HIGH = 1;
const WIDTH_16 = 0;
const WIDTH_32 = 2;
const EPT_SINGLE = 1;
const EPT_GLOBAL = 2;
const VPID_ADDRESS = 0;
const VPID_ALL = 2;
const VPID_MOST = 3;
const EPTP_RESERVED: i64 = 0xf80;
const BEYOND: i64 = ~((<i64>1 << PHYSICAL_BITS) - 1);
const VPID_BITS: i64 = 0xffff;

/** What the last vmread() read. */
export let vmreadValue: i64 = 0;

/** Page aligned, within the physical-address width, and RAM: no region can be anywhere else here. */
function isRegion(address: i64): bool {
  return (address & 0xfff) == 0 && isRam(address);
}

/** VMXON. Fixed bits of CR0 and CR4, and IA32_FEATURE_CONTROL, make it fault (SDM vol. 3C, 31.3). */
export function vmxon(address: i64): i32 {
  if (vmxMode() != VMX_OUTSIDE) return vmfail(VMXERR_VMXON_IN_VMX_ROOT_OPERATION);
  const control = get64(MSR_FEATURE_CONTROL);
  const enabled = FEAT_CTL_LOCKED | FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX;
  if (violatesFixedBits(get64(CR0), MSR_IA32_VMX_CR0_FIXED0, 0) || violatesFixedBits(get64(CR4), MSR_IA32_VMX_CR4_FIXED0, 0))
    return VMXON_FAULT;
  if ((control & enabled) != enabled) return VMXON_FAULT;
  if (!isRegion(address) || load<i32>(<usize>address) != VMCS_REVISION_ID) return FAIL_INVALID;
  set32(VMXON_POINTER, <i32>address);
  set32(CURRENT_VMCS, NONE);
  set32(VMX_MODE, VMX_ROOT);
  return SUCCEED;
}

export function vmxoff(): i32 {
  set32(VMX_MODE, VMX_OUTSIDE);
  set32(VMXON_POINTER, NONE);
  set32(CURRENT_VMCS, NONE);
  dropEpt();
  return SUCCEED;
}

export function vmclear(address: i64): i32 {
  if (!isRegion(address)) return vmfail(VMXERR_VMCLEAR_INVALID_ADDRESS);
  if (<i32>address == get32(VMXON_POINTER)) return vmfail(VMXERR_VMCLEAR_VMXON_POINTER);
  store<i32>(<usize>address + VMCS_LAUNCH_STATE, 0);
  store<i32>(<usize>address + VMCS_DIRTY, VMCS_DIRTY_ALL);
  if (<i32>address == get32(CURRENT_VMCS)) set32(CURRENT_VMCS, NONE);
  return SUCCEED;
}

export function vmptrld(address: i64): i32 {
  if (!isRegion(address)) return vmfail(VMXERR_VMPTRLD_INVALID_ADDRESS);
  if (<i32>address == get32(VMXON_POINTER)) return vmfail(VMXERR_VMPTRLD_VMXON_POINTER);
  if (load<i32>(<usize>address) != VMCS_REVISION_ID) return vmfail(VMXERR_VMPTRLD_INCORRECT_VMCS_REVISION_ID);
  set32(CURRENT_VMCS, <i32>address);
  return SUCCEED;
}

/** Bits of a field that an access moves: by its width, and the high half alone for a high access. */
function readField(encoding: i32): i64 {
  const at = currentVmcs() + slot(encoding & ~HIGH);
  if (encoding & HIGH) return <i64>load<u32>(at, 4);
  const width = (encoding >> 13) & 3;
  if (width == WIDTH_16) return <i64>load<u16>(at);
  return width == WIDTH_32 ? <i64>load<u32>(at) : load<i64>(at);
}

export function vmread(field: i64): i32 {
  if (!hasVmcs()) return FAIL_INVALID;
  if (!fieldExists(field)) return vmfail(VMXERR_UNSUPPORTED_VMCS_COMPONENT);
  vmreadValue = readField(<i32>field);
  return SUCCEED;
}

/** VMWRITE to any field is allowed: IA32_VMX_MISC bit 29. */
export function vmwrite(field: i64, value: i64): i32 {
  if (!hasVmcs()) return FAIL_INVALID;
  if (!fieldExists(field)) return vmfail(VMXERR_UNSUPPORTED_VMCS_COMPONENT);
  const encoding = <i32>field;
  const at = currentVmcs() + slot(encoding & ~HIGH);
  const width = (encoding >> 13) & 3;
  if (encoding & HIGH) store<u32>(at, <u32>value, 4);
  else if (width == WIDTH_16) store<i64>(at, value & 0xffff);
  else if (width == WIDTH_32) store<i64>(at, value & 0xffffffff);
  else store<i64>(at, value);
  store<i32>(currentVmcs() + VMCS_DIRTY, VMCS_DIRTY_ALL);
  return SUCCEED;
}

/** INVEPT: single-context and all-context. */
export function invept(type: i64, eptp: i64, reserved: i64): i32 {
  const bad = (type != EPT_SINGLE && type != EPT_GLOBAL) || reserved != 0 ||
    (type == EPT_SINGLE && (eptp & (EPTP_RESERVED | BEYOND)) != 0);
  if (bad) return vmfail(VMXERR_INVALID_OPERAND_TO_INVEPT_INVVPID);
  dropEpt();
  return SUCCEED;
}

/** INVVPID: the TLB holds one VPID's translations; those of others are gone already. */
export function invvpid(type: i64, descriptor: i64, linear: i64): i32 {
  const vpid = <i32>(descriptor & VPID_BITS);
  const bad = <u64>type > <u64>VPID_MOST || (descriptor & ~VPID_BITS) != 0 || (type != VPID_ALL && vpid == 0) ||
    (type == VPID_ADDRESS && !isCanonical(linear));
  if (bad) return vmfail(VMXERR_INVALID_OPERAND_TO_INVEPT_INVVPID);
  if (type == VPID_ALL || vpid == get32(TLB_TAG_VPID)) dropTlb();
  return SUCCEED;
}
