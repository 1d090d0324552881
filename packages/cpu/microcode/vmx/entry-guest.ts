/** VM-entry checks on the guest-state area but its segments (SDM vol. 3C, 27.3.1). */
import {
  CHECK_ACTIVITY_BLOCKING, CHECK_ACTIVITY_DPL, CHECK_ACTIVITY_EVENT, CHECK_ACTIVITY_VALUE, CHECK_GUEST_CR0, CHECK_GUEST_CR0_PG,
  CHECK_GUEST_CR3, CHECK_GUEST_CR4, CHECK_GUEST_DEBUGCTL, CHECK_GUEST_DR7, CHECK_GUEST_EFER_LMA, CHECK_GUEST_EFER_LME,
  CHECK_GUEST_EFER_RESERVED, CHECK_GUEST_IA32E_PAGING, CHECK_GUEST_IA32E_PCID, CHECK_GUEST_PAT, CHECK_GUEST_SYSENTER,
  CHECK_INTERRUPTIBILITY_BOTH, CHECK_INTERRUPTIBILITY_ENCLAVE, CHECK_INTERRUPTIBILITY_EXTERNAL, CHECK_INTERRUPTIBILITY_NMI,
  CHECK_INTERRUPTIBILITY_RESERVED, CHECK_INTERRUPTIBILITY_SMI, CHECK_INTERRUPTIBILITY_STI, CHECK_INTERRUPTIBILITY_VIRTUAL_NMI,
  CHECK_LINK_ADDRESS, CHECK_LINK_REVISION, CHECK_PENDING_DEBUG_BS, CHECK_PENDING_DEBUG_RESERVED, CHECK_RFLAGS_IF,
  CHECK_RFLAGS_RESERVED, CHECK_RFLAGS_VM, CHECK_RIP_CANONICAL, CHECK_RIP_HIGH, CHECK_TABLE_BASE, CHECK_TABLE_LIMIT,
} from "../../src/vmx/check-ids";
import { VMCS_REVISION_ID } from "../../src/state/vmx-layout";
import {
  PIN_BASED_VIRTUAL_NMIS, SECONDARY_EXEC_UNRESTRICTED_GUEST, VMX_AR_DPL_MASK, VMX_AR_L_MASK, VM_ENTRY_IA32E_MODE,
  VM_ENTRY_LOAD_DEBUG_CONTROLS, VM_ENTRY_LOAD_IA32_EFER, VM_ENTRY_LOAD_IA32_PAT,
} from "../../../kvm-run/src/vmx/controls";
import {
  GUEST_ACTIVITY_STATE, GUEST_CR0, GUEST_CR3, GUEST_CR4, GUEST_CS_AR_BYTES, GUEST_DR7, GUEST_GDTR_BASE, GUEST_GDTR_LIMIT,
  GUEST_IA32_DEBUGCTL, GUEST_IA32_EFER, GUEST_IA32_PAT, GUEST_IDTR_BASE, GUEST_IDTR_LIMIT, GUEST_INTERRUPTIBILITY_INFO,
  GUEST_PENDING_DBG_EXCEPTIONS, GUEST_RFLAGS, GUEST_RIP, GUEST_SS_AR_BYTES, GUEST_SYSENTER_EIP, GUEST_SYSENTER_ESP,
  PIN_BASED_VM_EXEC_CONTROL, VMCS_LINK_POINTER, VM_ENTRY_CONTROLS, VM_ENTRY_INTR_INFO_FIELD,
} from "../../../kvm-run/src/vmx/fields";
import {
  EFER_LMA, EFER_LME, MSR_IA32_VMX_CR0_FIXED0, MSR_IA32_VMX_CR4_FIXED0,
} from "../../../kvm-run/src/vmx/msrs";
import { FLAG_BIT_IF, FLAG_BIT_TF, FLAG_BIT_VM } from "../flags";
import { isRam } from "../memory";
import { CR0_PG, CR4_PAE, CR4_PCIDE } from "../mode";
import { DEBUGCTL_BTF, DEBUGCTL_SUPPORTED, EFER_SUPPORTED } from "../system/msr";
import { secondaryOf, violatesFixedBits } from "./controls";
import { badPage, badPat, beyondPhysical, failed, wild } from "./entry-check";
import { currentVmcs, read32, read64 } from "./vmcs";

const CR0_PE: i64 = 1;
/** All bits of RFLAGS that must be zero; bit 1 must be one. */
const RFLAGS_ZERO: i64 = ~0x3f7fd7;
/** BP bits 3:0, bit 12 (enabled breakpoint), BS bit 14, RTM bit 16 (not supported). */
const PENDING_DEBUG_BITS: i64 = 0x500f;
const PENDING_DEBUG_BS: i64 = 0x4000;
const STI = 1;
const MOV_SS = 2;
const SMI = 4;
const NMI = 8;
const ENCLAVE = 16;
const HLT = 1;
const SHUTDOWN = 2;
const WAIT_FOR_SIPI = 3;
const NO_LINK: i64 = -1;

/** Control registers, debug registers, MSRs and descriptor tables: what need not be repeated while they stay. */
export function checkGuestRegisters(vmcs: usize): i32 {
  const controls = checkControlRegisters(vmcs);
  if (controls != 0) return controls;
  const msrs = checkGuestMsrs(vmcs);
  if (msrs != 0) return msrs;
  if (wild(read64(vmcs, GUEST_GDTR_BASE)) || wild(read64(vmcs, GUEST_IDTR_BASE)))
    return failed(CHECK_TABLE_BASE, GUEST_GDTR_BASE, GUEST_IDTR_BASE);
  if ((read32(vmcs, GUEST_GDTR_LIMIT) | read32(vmcs, GUEST_IDTR_LIMIT)) & 0xffff0000)
    return failed(CHECK_TABLE_LIMIT, GUEST_GDTR_LIMIT, GUEST_IDTR_LIMIT);
  return 0;
}

function checkControlRegisters(vmcs: usize): i32 {
  const entry = read32(vmcs, VM_ENTRY_CONTROLS);
  const cr0 = read64(vmcs, GUEST_CR0);
  const cr4 = read64(vmcs, GUEST_CR4);
  const exempt = secondaryOf(vmcs) & SECONDARY_EXEC_UNRESTRICTED_GUEST ? CR0_PE | CR0_PG : 0;
  if (violatesFixedBits(cr0, MSR_IA32_VMX_CR0_FIXED0, exempt)) return failed(CHECK_GUEST_CR0, GUEST_CR0);
  if (cr0 & CR0_PG && !(cr0 & CR0_PE)) return failed(CHECK_GUEST_CR0_PG, GUEST_CR0);
  if (violatesFixedBits(cr4, MSR_IA32_VMX_CR4_FIXED0, 0)) return failed(CHECK_GUEST_CR4, GUEST_CR4);
  if (entry & VM_ENTRY_LOAD_DEBUG_CONTROLS && read64(vmcs, GUEST_IA32_DEBUGCTL) & ~DEBUGCTL_SUPPORTED)
    return failed(CHECK_GUEST_DEBUGCTL, GUEST_IA32_DEBUGCTL);
  if (entry & VM_ENTRY_IA32E_MODE) {
    if (!(cr0 & CR0_PG) || !(cr4 & CR4_PAE)) return failed(CHECK_GUEST_IA32E_PAGING, GUEST_CR0, GUEST_CR4, VM_ENTRY_CONTROLS);
  } else if (cr4 & CR4_PCIDE) {
    return failed(CHECK_GUEST_IA32E_PCID, GUEST_CR4, VM_ENTRY_CONTROLS);
  }
  if (beyondPhysical(read64(vmcs, GUEST_CR3))) return failed(CHECK_GUEST_CR3, GUEST_CR3);
  if (entry & VM_ENTRY_LOAD_DEBUG_CONTROLS && <u64>read64(vmcs, GUEST_DR7) >> 32) return failed(CHECK_GUEST_DR7, GUEST_DR7);
  return 0;
}

function checkGuestMsrs(vmcs: usize): i32 {
  const entry = read32(vmcs, VM_ENTRY_CONTROLS);
  if (wild(read64(vmcs, GUEST_SYSENTER_ESP)) || wild(read64(vmcs, GUEST_SYSENTER_EIP)))
    return failed(CHECK_GUEST_SYSENTER, GUEST_SYSENTER_ESP, GUEST_SYSENTER_EIP);
  if (entry & VM_ENTRY_LOAD_IA32_PAT && badPat(read64(vmcs, GUEST_IA32_PAT))) return failed(CHECK_GUEST_PAT, GUEST_IA32_PAT);
  if (!(entry & VM_ENTRY_LOAD_IA32_EFER)) return 0;
  const efer = read64(vmcs, GUEST_IA32_EFER);
  const lma = (efer & EFER_LMA) != 0;
  if (efer & ~EFER_SUPPORTED) return failed(CHECK_GUEST_EFER_RESERVED, GUEST_IA32_EFER);
  if (lma != ((entry & VM_ENTRY_IA32E_MODE) != 0)) return failed(CHECK_GUEST_EFER_LMA, GUEST_IA32_EFER, VM_ENTRY_CONTROLS);
  if (read64(vmcs, GUEST_CR0) & CR0_PG && lma != ((efer & EFER_LME) != 0))
    return failed(CHECK_GUEST_EFER_LME, GUEST_IA32_EFER, GUEST_CR0);
  return 0;
}

/** RIP, RFLAGS and the non-register state, which change at each exit, and the event that is to be injected into them. */
export function checkGuestEveryEntry(vmcs: usize): i32 {
  const flow = checkFlow(vmcs);
  if (flow != 0) return flow;
  const activity = checkActivity(vmcs);
  if (activity != 0) return activity;
  const blocking = checkInterruptibility(vmcs);
  if (blocking != 0) return blocking;
  return checkPendingDebug(vmcs);
}

/** Interruption type of the event to inject, or -1. */
function injectedType(vmcs: usize): i32 {
  const info = read32(vmcs, VM_ENTRY_INTR_INFO_FIELD);
  return info < 0 ? (info >> 8) & 7 : -1;
}

function checkFlow(vmcs: usize): i32 {
  const rip = read64(vmcs, GUEST_RIP);
  const rflags = read64(vmcs, GUEST_RFLAGS);
  const long = read32(vmcs, VM_ENTRY_CONTROLS) & VM_ENTRY_IA32E_MODE;
  if (!long || !(read32(vmcs, GUEST_CS_AR_BYTES) & VMX_AR_L_MASK)) {
    if (<u64>rip >> 32) return failed(CHECK_RIP_HIGH, GUEST_RIP, GUEST_CS_AR_BYTES, VM_ENTRY_CONTROLS);
  } else if (wild(rip)) {
    return failed(CHECK_RIP_CANONICAL, GUEST_RIP);
  }
  if (rflags & RFLAGS_ZERO || !(rflags & 2)) return failed(CHECK_RFLAGS_RESERVED, GUEST_RFLAGS);
  if (rflags & FLAG_BIT_VM && (long || !(read64(vmcs, GUEST_CR0) & CR0_PE)))
    return failed(CHECK_RFLAGS_VM, GUEST_RFLAGS, GUEST_CR0, VM_ENTRY_CONTROLS);
  if (!(rflags & FLAG_BIT_IF) && injectedType(vmcs) == 0) return failed(CHECK_RFLAGS_IF, GUEST_RFLAGS, VM_ENTRY_INTR_INFO_FIELD);
  return 0;
}

function checkActivity(vmcs: usize): i32 {
  const activity = read32(vmcs, GUEST_ACTIVITY_STATE);
  if (activity == 0) return 0;
  if (<u32>activity > <u32>WAIT_FOR_SIPI) return failed(CHECK_ACTIVITY_VALUE, GUEST_ACTIVITY_STATE);
  if (activity == HLT && read32(vmcs, GUEST_SS_AR_BYTES) & VMX_AR_DPL_MASK)
    return failed(CHECK_ACTIVITY_DPL, GUEST_ACTIVITY_STATE, GUEST_SS_AR_BYTES);
  if (read32(vmcs, GUEST_INTERRUPTIBILITY_INFO) & (STI | MOV_SS))
    return failed(CHECK_ACTIVITY_BLOCKING, GUEST_ACTIVITY_STATE, GUEST_INTERRUPTIBILITY_INFO);
  const type = injectedType(vmcs);
  if (type >= 0 && !admits(activity, type, read32(vmcs, VM_ENTRY_INTR_INFO_FIELD) & 0xff))
    return failed(CHECK_ACTIVITY_EVENT, GUEST_ACTIVITY_STATE, VM_ENTRY_INTR_INFO_FIELD);
  return 0;
}

/** HLT admits interrupts, NMIs, #DB, #MC and pending MTF exits; shutdown NMIs and #MC; wait-for-SIPI nothing. */
function admits(activity: i32, type: i32, vector: i32): bool {
  if (activity == HLT) return type == 0 || type == 2 || type == 7 || (type == 3 && (vector == 1 || vector == 18));
  if (activity == SHUTDOWN) return type == 2 || (type == 3 && vector == 18);
  return false;
}

function checkInterruptibility(vmcs: usize): i32 {
  const state = read32(vmcs, GUEST_INTERRUPTIBILITY_INFO);
  if (state == 0) return 0;
  const type = injectedType(vmcs);
  if (state & ~(STI | MOV_SS | SMI | NMI | ENCLAVE)) return failed(CHECK_INTERRUPTIBILITY_RESERVED, GUEST_INTERRUPTIBILITY_INFO);
  if (state & STI && state & MOV_SS) return failed(CHECK_INTERRUPTIBILITY_BOTH, GUEST_INTERRUPTIBILITY_INFO);
  if (state & STI && !(read64(vmcs, GUEST_RFLAGS) & FLAG_BIT_IF))
    return failed(CHECK_INTERRUPTIBILITY_STI, GUEST_INTERRUPTIBILITY_INFO, GUEST_RFLAGS);
  if (type == 0 && state & (STI | MOV_SS))
    return failed(CHECK_INTERRUPTIBILITY_EXTERNAL, GUEST_INTERRUPTIBILITY_INFO, VM_ENTRY_INTR_INFO_FIELD);
  if (type == 2 && state & MOV_SS)
    return failed(CHECK_INTERRUPTIBILITY_NMI, GUEST_INTERRUPTIBILITY_INFO, VM_ENTRY_INTR_INFO_FIELD);
  if (state & SMI) return failed(CHECK_INTERRUPTIBILITY_SMI, GUEST_INTERRUPTIBILITY_INFO);
  if (type == 2 && state & NMI && read32(vmcs, PIN_BASED_VM_EXEC_CONTROL) & PIN_BASED_VIRTUAL_NMIS)
    return failed(CHECK_INTERRUPTIBILITY_VIRTUAL_NMI, GUEST_INTERRUPTIBILITY_INFO, VM_ENTRY_INTR_INFO_FIELD);
  if (state & ENCLAVE) return failed(CHECK_INTERRUPTIBILITY_ENCLAVE, GUEST_INTERRUPTIBILITY_INFO);
  return 0;
}

function checkPendingDebug(vmcs: usize): i32 {
  const pending = read64(vmcs, GUEST_PENDING_DBG_EXCEPTIONS);
  const held = (read32(vmcs, GUEST_INTERRUPTIBILITY_INFO) & (STI | MOV_SS)) != 0 || read32(vmcs, GUEST_ACTIVITY_STATE) == HLT;
  if (pending == 0 && !held) return 0;
  if (pending & ~PENDING_DEBUG_BITS) return failed(CHECK_PENDING_DEBUG_RESERVED, GUEST_PENDING_DBG_EXCEPTIONS);
  if (!held) return 0;
  const stepping = (read64(vmcs, GUEST_RFLAGS) & FLAG_BIT_TF) != 0 && !(read64(vmcs, GUEST_IA32_DEBUGCTL) & DEBUGCTL_BTF);
  if (stepping != ((pending & PENDING_DEBUG_BS) != 0))
    return failed(CHECK_PENDING_DEBUG_BS, GUEST_PENDING_DBG_EXCEPTIONS, GUEST_RFLAGS, GUEST_IA32_DEBUGCTL);
  return 0;
}

/** The VMCS link pointer; its failure has an exit qualification of its own. */
export function checkLinkPointer(vmcs: usize): i32 {
  const link = read64(vmcs, VMCS_LINK_POINTER);
  if (link == NO_LINK) return 0;
  if (badPage(vmcs, VMCS_LINK_POINTER)) return failed(CHECK_LINK_ADDRESS, VMCS_LINK_POINTER);
  // "VMCS shadowing" is not offered: bit 31 of the linked VMCS must equal that control, 0.
  const usable = isRam(link) && load<i32>(<usize>link) == VMCS_REVISION_ID && <usize>link != currentVmcs();
  return usable ? 0 : failed(CHECK_LINK_REVISION, VMCS_LINK_POINTER);
}
