/**
 * VM entry (SDM vol. 3C, ch. 27): checks, guest state, MSR-load list, event injection. Checks of fields that have not been
 * written since they last passed are not repeated: VMWRITE says which groups are dirty.
 */
import {
  ACTIVITY, CR0, CR3, CR4, DR7, GDTR_BASE, GDTR_LIMIT, IDTR_BASE, IDTR_LIMIT, INTERRUPTIBILITY, MSR_DEBUGCTL, MSR_EFER, MSR_PAT,
  MSR_SYSENTER_CS, MSR_SYSENTER_EIP, MSR_SYSENTER_ESP, PDPTE0, PENDING_DEBUG, RIP, RSP, ST_FAULT,
  ST_SHUTDOWN, ST_VMEXIT, VMX_MODE,
} from "../../src/state/layout";
import {
  ENTRY_CHECK, MTF_PENDING, SHADOW_SERVED, STEP_ARMED, VMCS_CHECKED_PROC2, VMCS_CHECKED_VM, VMCS_DIRTY, VMCS_DIRTY_CONTROLS,
  VMCS_DIRTY_GUEST, VMCS_DIRTY_HOST, VMCS_LAUNCH_STATE, VMX_TIMER_DEADLINE, VMX_VPID,
} from "../../src/state/vmx-layout";
import { CHECK_MSR_LOAD } from "../../src/vmx/check-ids";
import {
  PIN_BASED_VMX_PREEMPTION_TIMER, SECONDARY_EXEC_ENABLE_EPT, SECONDARY_EXEC_ENABLE_VPID,
  SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES, VM_ENTRY_IA32E_MODE, VM_ENTRY_LOAD_DEBUG_CONTROLS, VM_ENTRY_LOAD_IA32_EFER,
  VM_ENTRY_LOAD_IA32_PAT,
} from "../../../kvm-run/src/vmx/controls";
import {
  ENTRY_FAIL_DEFAULT, ENTRY_FAIL_PDPTE, ENTRY_FAIL_VMCS_LINK_PTR, EXIT_REASON_INVALID_STATE, EXIT_REASON_MSR_LOAD_FAIL,
} from "../../../kvm-run/src/vmx/exit-reasons";
import {
  APIC_ACCESS_ADDR, EPT_POINTER, GUEST_ACTIVITY_STATE, GUEST_CR0, GUEST_CR3, GUEST_CR4, GUEST_DR7, GUEST_GDTR_BASE,
  GUEST_GDTR_LIMIT, GUEST_IA32_DEBUGCTL, GUEST_IA32_EFER, GUEST_IA32_PAT, GUEST_IDTR_BASE, GUEST_IDTR_LIMIT,
  GUEST_INTERRUPTIBILITY_INFO, GUEST_PDPTR0, GUEST_PENDING_DBG_EXCEPTIONS, GUEST_RFLAGS, GUEST_RIP, GUEST_RSP,
  GUEST_SYSENTER_CS, GUEST_SYSENTER_EIP, GUEST_SYSENTER_ESP, VIRTUAL_PROCESSOR_ID, VMX_PREEMPTION_TIMER_VALUE,
  VM_ENTRY_CONTROLS, VM_ENTRY_EXCEPTION_ERROR_CODE, VM_ENTRY_INSTRUCTION_LEN, VM_ENTRY_INTR_INFO_FIELD, VM_ENTRY_MSR_LOAD_ADDR,
  VM_ENTRY_MSR_LOAD_COUNT,
} from "../../../kvm-run/src/vmx/fields";
import {
  VMXERR_ENTRY_EVENTS_BLOCKED_BY_MOV_SS, VMXERR_ENTRY_INVALID_CONTROL_FIELD, VMXERR_ENTRY_INVALID_HOST_STATE_FIELD,
  VMXERR_VMLAUNCH_NONCLEAR_VMCS, VMXERR_VMRESUME_NONLAUNCHED_VMCS,
} from "../../../kvm-run/src/vmx/instruction-errors";
import { EFER_LMA, EFER_LME } from "../../../kvm-run/src/vmx/msrs";
import { cpu, get32, get64, set32, set64 } from "../cpu";
import { deliver, deliverEvent } from "../deliver";
import { clearPending, TYPE_NMI, TYPE_SOFTWARE_EXCEPTION, TYPE_SOFTWARE_INTERRUPT } from "../event";
import { FLAG_BIT_VM, FLAGS_ALL, setRflags } from "../flags";
import { forgetWatched, setApicAccessPage, setEptPointer } from "../mmu";
import { CR0_PG, CR4_PAE, updateMode } from "../mode";
import { readPhysical64 } from "../memory";
import { cacheControls, pinControl, secondaryControl, secondaryOf, VMX_NON_ROOT } from "./controls";
import { checkControls, checkEveryEntry } from "./entry-controls";
import { failed } from "./entry-check";
import { checkGuestEveryEntry, checkGuestRegisters, checkLinkPointer } from "./entry-guest";
import { checkHost } from "./entry-host";
import { checkPdptes, checkSegments } from "./entry-segments";
import { vmexitFailedEntry } from "./exit";
import { CR0_KEPT } from "./host-state";
import { loadMsrs } from "./msr-list";
import { loadSegments } from "./segment-state";
import { startTimer } from "./timer";
import { currentVmcs, FAIL_INVALID, hasVmcs, read32, read64, vmfail } from "./vmcs";
import { enterTlb } from "./vpid";

/** vmentry(): the guest is to run; the instruction failed (VMfailInvalid 1, VMfailValid 2); an exit was taken; shut down. */
export const ENTERED = 0;
export const ENTRY_EXITED = 3;
export const ENTRY_SHUTDOWN = 4;

const BLOCKED_BY_MOV_SS = 2;
const BLOCKED_BY_NMI = 8;
const TYPE_OTHER_EVENT = 7;
/** Activity states from here on, of which the other is wait-for-SIPI, have no pending debug exceptions (27.7.3). */
const SHUTDOWN = 2;

/** VMLAUNCH (`launch` 1) and VMRESUME (0), after the checks of privilege and mode. */
export function vmentry(launch: i32): i32 {
  set32(ENTRY_CHECK, 0);
  if (!hasVmcs()) return FAIL_INVALID;
  const vmcs = currentVmcs();
  if (get32(INTERRUPTIBILITY) & BLOCKED_BY_MOV_SS) return vmfail(VMXERR_ENTRY_EVENTS_BLOCKED_BY_MOV_SS);
  const launched = load<i32>(vmcs + VMCS_LAUNCH_STATE) != 0;
  if (launch && launched) return vmfail(VMXERR_VMLAUNCH_NONCLEAR_VMCS);
  if (!launch && !launched) return vmfail(VMXERR_VMRESUME_NONLAUNCHED_VMCS);
  if (checkControlArea(vmcs) != 0) return vmfail(VMXERR_ENTRY_INVALID_CONTROL_FIELD);
  if (checkHostArea(vmcs) != 0) return vmfail(VMXERR_ENTRY_INVALID_HOST_STATE_FIELD);
  const qualification = checkGuestArea(vmcs);
  if (qualification >= 0) return exited(vmexitFailedEntry(EXIT_REASON_INVALID_STATE, qualification));
  loadGuestState(vmcs);
  const entry = loadMsrs(read64(vmcs, VM_ENTRY_MSR_LOAD_ADDR), read32(vmcs, VM_ENTRY_MSR_LOAD_COUNT), true);
  if (entry != 0) {
    failed(CHECK_MSR_LOAD, VM_ENTRY_MSR_LOAD_ADDR, VM_ENTRY_MSR_LOAD_COUNT);
    return exited(vmexitFailedEntry(EXIT_REASON_MSR_LOAD_FAIL, entry));
  }
  store<i32>(vmcs + VMCS_LAUNCH_STATE, 1);
  return enterGuest(vmcs);
}

function exited(status: i32): i32 {
  return status == ST_SHUTDOWN ? ENTRY_SHUTDOWN : ENTRY_EXITED;
}

function isDirty(vmcs: usize, group: i32): bool {
  return (load<i32>(vmcs + VMCS_DIRTY) & group) != 0;
}

function setClean(vmcs: usize, group: i32): void {
  store<i32>(vmcs + VMCS_DIRTY, load<i32>(vmcs + VMCS_DIRTY) & ~group);
}

function checkControlArea(vmcs: usize): i32 {
  if (isDirty(vmcs, VMCS_DIRTY_CONTROLS)) {
    const check = checkControls(vmcs);
    if (check != 0) return check;
    setClean(vmcs, VMCS_DIRTY_CONTROLS);
  }
  return checkEveryEntry(vmcs);
}

function checkHostArea(vmcs: usize): i32 {
  if (!isDirty(vmcs, VMCS_DIRTY_HOST)) return 0;
  const check = checkHost(vmcs);
  if (check == 0) setClean(vmcs, VMCS_DIRTY_HOST);
  return check;
}

/** The exit qualification of a failed check on guest state, or -1. */
function checkGuestArea(vmcs: usize): i32 {
  const secondary = secondaryOf(vmcs);
  const vm = <i32>read64(vmcs, GUEST_RFLAGS) & FLAG_BIT_VM;
  const changed = load<i32>(vmcs + VMCS_CHECKED_PROC2) != secondary || load<i32>(vmcs + VMCS_CHECKED_VM) != vm;
  if (changed || isDirty(vmcs, VMCS_DIRTY_GUEST)) {
    if (checkGuestRegisters(vmcs) != 0 || checkSegments(vmcs) != 0) return ENTRY_FAIL_DEFAULT;
    if (checkLinkPointer(vmcs) != 0) return ENTRY_FAIL_VMCS_LINK_PTR;
    if (checkPdptes(vmcs) != 0) return ENTRY_FAIL_PDPTE;
    store<i32>(vmcs + VMCS_CHECKED_PROC2, secondary);
    store<i32>(vmcs + VMCS_CHECKED_VM, vm);
    setClean(vmcs, VMCS_DIRTY_GUEST);
  }
  return checkGuestEveryEntry(vmcs) != 0 ? ENTRY_FAIL_DEFAULT : -1;
}

/** 27.3.2. */
function loadGuestState(vmcs: usize): void {
  loadGuestRegisters(vmcs);
  loadSegments(vmcs);
  set64(GDTR_BASE, read64(vmcs, GUEST_GDTR_BASE));
  set32(GDTR_LIMIT, read32(vmcs, GUEST_GDTR_LIMIT));
  set64(IDTR_BASE, read64(vmcs, GUEST_IDTR_BASE));
  set32(IDTR_LIMIT, read32(vmcs, GUEST_IDTR_LIMIT));
  set64(RSP, read64(vmcs, GUEST_RSP));
  set64(RIP, read64(vmcs, GUEST_RIP));
  setRflags(read64(vmcs, GUEST_RFLAGS), FLAGS_ALL);
  set32(ACTIVITY, read32(vmcs, GUEST_ACTIVITY_STATE));
  set32(INTERRUPTIBILITY, read32(vmcs, GUEST_INTERRUPTIBILITY_INFO));
  set64(PENDING_DEBUG, read64(vmcs, GUEST_PENDING_DBG_EXCEPTIONS));
  loadPdptes(vmcs);
}

function loadGuestRegisters(vmcs: usize): void {
  const controls = read32(vmcs, VM_ENTRY_CONTROLS);
  set64(CR0, (get64(CR0) & CR0_KEPT) | (read64(vmcs, GUEST_CR0) & ~CR0_KEPT));
  set64(CR3, read64(vmcs, GUEST_CR3));
  set64(CR4, read64(vmcs, GUEST_CR4));
  if (controls & VM_ENTRY_LOAD_DEBUG_CONTROLS) {
    set64(DR7, (read64(vmcs, GUEST_DR7) & 0xffff2fff) | 0x400);
    set64(MSR_DEBUGCTL, read64(vmcs, GUEST_IA32_DEBUGCTL));
  }
  set64(MSR_SYSENTER_CS, <i64><u32>read32(vmcs, GUEST_SYSENTER_CS));
  set64(MSR_SYSENTER_ESP, read64(vmcs, GUEST_SYSENTER_ESP));
  set64(MSR_SYSENTER_EIP, read64(vmcs, GUEST_SYSENTER_EIP));
  if (controls & VM_ENTRY_LOAD_IA32_PAT) set64(MSR_PAT, read64(vmcs, GUEST_IA32_PAT));
  if (controls & VM_ENTRY_LOAD_IA32_EFER) {
    set64(MSR_EFER, read64(vmcs, GUEST_IA32_EFER));
  } else {
    const long = (controls & VM_ENTRY_IA32E_MODE) != 0;
    const lme = get64(CR0) & CR0_PG ? EFER_LME : 0;
    const efer = get64(MSR_EFER) & ~<i64>(EFER_LMA | lme);
    set64(MSR_EFER, long ? efer | <i64>(EFER_LMA | lme) : efer);
  }
}

/** 27.3.2.4: with EPT from the fields; without, from the table that CR3 points to (checked before). */
function loadPdptes(vmcs: usize): void {
  const pae = (get64(CR0) & CR0_PG) != 0 && (get32(CR4) & CR4_PAE) != 0 && !(get32(MSR_EFER) & EFER_LMA);
  if (!pae) return;
  const ept = (secondaryOf(vmcs) & SECONDARY_EXEC_ENABLE_EPT) != 0;
  const table = get64(CR3) & 0xffffffe0;
  for (let i = 0; i < 4; i++)
    set64(<usize>(PDPTE0 + (i << 3)), ept ? read64(vmcs, GUEST_PDPTR0 + i * 2) : readPhysical64(table + (i << 3)));
}

function enterGuest(vmcs: usize): i32 {
  cacheControls(vmcs);
  set32(VMX_MODE, VMX_NON_ROOT);
  set32(SHADOW_SERVED, 0);
  set32(STEP_ARMED, 0);
  set32(MTF_PENDING, 0);
  clearPending();
  const eptp = secondaryControl(SECONDARY_EXEC_ENABLE_EPT) ? read64(vmcs, EPT_POINTER) : 0;
  const vpid = secondaryControl(SECONDARY_EXEC_ENABLE_VPID) ? read32(vmcs, VIRTUAL_PROCESSOR_ID) & 0xffff : 0;
  set32(VMX_VPID, vpid);
  setEptPointer(eptp);
  setApicAccessPage(secondaryControl(SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES) ? read64(vmcs, APIC_ACCESS_ADDR) : -1);
  enterTlb(vpid, eptp);
  forgetWatched();
  updateMode();
  if (pinControl(PIN_BASED_VMX_PREEMPTION_TIMER)) startTimer(read32(vmcs, VMX_PREEMPTION_TIMER_VALUE));
  else store<f64>(cpu + VMX_TIMER_DEADLINE, Infinity);
  const info = read32(vmcs, VM_ENTRY_INTR_INFO_FIELD);
  if (info < 0) return inject(vmcs, info);
  if (get32(ACTIVITY) >= SHUTDOWN) set64(PENDING_DEBUG, 0);
  return ENTERED;
}

/** Pending debug exceptions outlast an injection only of a software interrupt or exception behind MOV SS (27.7.3). */
function keepsPendingDebug(type: i32): bool {
  return (type == TYPE_SOFTWARE_INTERRUPT || type == TYPE_SOFTWARE_EXCEPTION) && (get32(INTERRUPTIBILITY) & BLOCKED_BY_MOV_SS) != 0;
}

/** Event injection (27.6): delivery through the guest's IDT before its first instruction. */
function inject(vmcs: usize, info: i32): i32 {
  const type = (info >> 8) & 7;
  if (type == TYPE_OTHER_EVENT) {
    set32(MTF_PENDING, 1);
    return ENTERED;
  }
  if (!keepsPendingDebug(type)) set64(PENDING_DEBUG, 0);
  set32(ACTIVITY, 0);
  set32(INTERRUPTIBILITY, get32(INTERRUPTIBILITY) & BLOCKED_BY_NMI);
  if (type == TYPE_NMI) set32(INTERRUPTIBILITY, get32(INTERRUPTIBILITY) | BLOCKED_BY_NMI);
  const length = type >= 4 ? read32(vmcs, VM_ENTRY_INSTRUCTION_LEN) : 0;
  const hasError = (info >> 11) & 1;
  let status = deliverEvent(info & 0xff, type, hasError, read32(vmcs, VM_ENTRY_EXCEPTION_ERROR_CODE), length);
  while (status == ST_FAULT) status = deliver();
  if (status == ST_VMEXIT) return ENTRY_EXITED;
  if (status == ST_SHUTDOWN) return ENTRY_SHUTDOWN;
  // With "monitor trap flag", the exit comes right after the injected event (26.5.2).
  set32(MTF_PENDING, 1);
  return ENTERED;
}
