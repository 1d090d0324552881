/** VM-entry checks on the host-state area (SDM vol. 3C, 27.2.2 to 27.2.4). */
import {
  CHECK_HOST_BASE, CHECK_HOST_CR0, CHECK_HOST_CR3, CHECK_HOST_CR4, CHECK_HOST_CS, CHECK_HOST_EFER_RESERVED,
  CHECK_HOST_EFER_SIZE, CHECK_HOST_LEGACY, CHECK_HOST_LONG, CHECK_HOST_PAT, CHECK_HOST_SELECTOR, CHECK_HOST_SIZE_32,
  CHECK_HOST_SIZE_64, CHECK_HOST_SS, CHECK_HOST_SYSENTER, CHECK_HOST_TR,
} from "../../src/vmx/check-ids";
import { MSR_EFER } from "../../src/state/layout";
import {
  VM_ENTRY_IA32E_MODE, VM_EXIT_HOST_ADDR_SPACE_SIZE, VM_EXIT_LOAD_IA32_EFER, VM_EXIT_LOAD_IA32_PAT,
} from "../../../kvm-run/src/vmx/controls";
import {
  HOST_CR0, HOST_CR3, HOST_CR4, HOST_CS_SELECTOR, HOST_ES_SELECTOR, HOST_FS_BASE, HOST_IA32_EFER, HOST_IA32_PAT,
  HOST_IA32_SYSENTER_EIP, HOST_IA32_SYSENTER_ESP, HOST_IDTR_BASE, HOST_RIP, HOST_SS_SELECTOR, HOST_TR_SELECTOR,
  VM_ENTRY_CONTROLS, VM_EXIT_CONTROLS,
} from "../../../kvm-run/src/vmx/fields";
import {
  EFER_LMA, EFER_LME, MSR_IA32_VMX_CR0_FIXED0, MSR_IA32_VMX_CR4_FIXED0,
} from "../../../kvm-run/src/vmx/msrs";
import { get32 } from "../cpu";
import { CR4_PAE, CR4_PCIDE } from "../mode";
import { EFER_SUPPORTED } from "../system/msr";
import { violatesFixedBits } from "./controls";
import { badPat, beyondPhysical, failed, wild } from "./entry-check";
import { read32, read64 } from "./vmcs";

const RPL_TI = 7;

export function checkHost(vmcs: usize): i32 {
  const registers = checkHostRegisters(vmcs);
  if (registers != 0) return registers;
  const segments = checkHostSegments(vmcs);
  if (segments != 0) return segments;
  return checkAddressSpace(vmcs);
}

function checkHostRegisters(vmcs: usize): i32 {
  const controls = read32(vmcs, VM_EXIT_CONTROLS);
  if (violatesFixedBits(read64(vmcs, HOST_CR0), MSR_IA32_VMX_CR0_FIXED0, 0)) return failed(CHECK_HOST_CR0, HOST_CR0);
  if (violatesFixedBits(read64(vmcs, HOST_CR4), MSR_IA32_VMX_CR4_FIXED0, 0)) return failed(CHECK_HOST_CR4, HOST_CR4);
  if (beyondPhysical(read64(vmcs, HOST_CR3))) return failed(CHECK_HOST_CR3, HOST_CR3);
  if (wild(read64(vmcs, HOST_IA32_SYSENTER_ESP)) || wild(read64(vmcs, HOST_IA32_SYSENTER_EIP)))
    return failed(CHECK_HOST_SYSENTER, HOST_IA32_SYSENTER_ESP, HOST_IA32_SYSENTER_EIP);
  if (controls & VM_EXIT_LOAD_IA32_PAT && badPat(read64(vmcs, HOST_IA32_PAT))) return failed(CHECK_HOST_PAT, HOST_IA32_PAT);
  if (controls & VM_EXIT_LOAD_IA32_EFER) {
    const efer = read64(vmcs, HOST_IA32_EFER);
    if (efer & ~EFER_SUPPORTED) return failed(CHECK_HOST_EFER_RESERVED, HOST_IA32_EFER);
    const wide = controls & VM_EXIT_HOST_ADDR_SPACE_SIZE ? EFER_LMA | EFER_LME : 0;
    if ((<i32>efer & (EFER_LMA | EFER_LME)) != wide) return failed(CHECK_HOST_EFER_SIZE, HOST_IA32_EFER, VM_EXIT_CONTROLS);
  }
  return 0;
}

function checkHostSegments(vmcs: usize): i32 {
  const wide = read32(vmcs, VM_EXIT_CONTROLS) & VM_EXIT_HOST_ADDR_SPACE_SIZE;
  for (let field = HOST_ES_SELECTOR; field <= HOST_TR_SELECTOR; field += 2)
    if (read32(vmcs, field) & RPL_TI) return failed(CHECK_HOST_SELECTOR, field);
  if (!read32(vmcs, HOST_CS_SELECTOR)) return failed(CHECK_HOST_CS, HOST_CS_SELECTOR);
  if (!read32(vmcs, HOST_TR_SELECTOR)) return failed(CHECK_HOST_TR, HOST_TR_SELECTOR);
  if (!wide && !read32(vmcs, HOST_SS_SELECTOR)) return failed(CHECK_HOST_SS, HOST_SS_SELECTOR, VM_EXIT_CONTROLS);
  for (let field = HOST_FS_BASE; field <= HOST_IDTR_BASE; field += 2)
    if (wild(read64(vmcs, field))) return failed(CHECK_HOST_BASE, field);
  return 0;
}

function checkAddressSpace(vmcs: usize): i32 {
  const wide = read32(vmcs, VM_EXIT_CONTROLS) & VM_EXIT_HOST_ADDR_SPACE_SIZE;
  const guest64 = read32(vmcs, VM_ENTRY_CONTROLS) & VM_ENTRY_IA32E_MODE;
  const rip = read64(vmcs, HOST_RIP);
  const cr4 = <i32>read64(vmcs, HOST_CR4);
  if (!(get32(MSR_EFER) & EFER_LMA)) {
    if (wide || guest64) return failed(CHECK_HOST_LEGACY, VM_EXIT_CONTROLS, VM_ENTRY_CONTROLS);
  } else if (!wide) {
    return failed(CHECK_HOST_LONG, VM_EXIT_CONTROLS);
  }
  if (!wide && (guest64 || cr4 & CR4_PCIDE || <u64>rip >> 32))
    return failed(CHECK_HOST_SIZE_32, VM_EXIT_CONTROLS, VM_ENTRY_CONTROLS, HOST_CR4, HOST_RIP);
  if (wide && (!(cr4 & CR4_PAE) || wild(rip))) return failed(CHECK_HOST_SIZE_64, VM_EXIT_CONTROLS, HOST_CR4, HOST_RIP);
  return 0;
}
