/**
 * VM exit (SDM vol. 3C, ch. 28): exit information, guest state to the VMCS, MSR-store and MSR-load lists, host state.
 */
import {
  ACTIVITY, CR0, CR3, CR4, CURRENT_RECORD, DR7, EXIT_GLA, EXIT_GPA, EXIT_INSN_INFO, GDTR_BASE, GDTR_LIMIT, IDTR_BASE, IDTR_LIMIT,
  IDT_VECTORING_ERROR, IDT_VECTORING_INFO, INTERRUPTIBILITY, LONG_MODE, MSR_DEBUGCTL, MSR_EFER, MSR_PAT, MSR_SYSENTER_CS,
  MSR_SYSENTER_EIP, MSR_SYSENTER_ESP, NEXT_RIP, PDPTE0, PENDING_DEBUG, PENDING_VECTORS, RFLAGS_REST, RIP, RSP,
  ST_DISPATCH, ST_SHUTDOWN, ST_VMEXIT, VMX_MODE,
} from "../../src/state/layout";
import { REC_LENGTH } from "../../src/state/record";
import {
  BREAKPOINT_HITS, MTF_PENDING, SHADOW_SERVED, STEP_ARMED, STEP_WANTED, TLB_TAG_CR3, TLB_TAG_MODE, VMCS_ABORT, VMX_HOST_IS_CODE, VMX_TIMER_DEADLINE,
} from "../../src/state/vmx-layout";
import {
  INTR_INFO_DELIVER_CODE_MASK, INTR_INFO_VALID_MASK, PIN_BASED_VMX_PREEMPTION_TIMER,
  SECONDARY_EXEC_ENABLE_EPT, VM_ENTRY_IA32E_MODE, VM_EXIT_ACK_INTR_ON_EXIT, VM_EXIT_SAVE_DEBUG_CONTROLS,
  VM_EXIT_SAVE_IA32_EFER, VM_EXIT_SAVE_IA32_PAT, VM_EXIT_SAVE_VMX_PREEMPTION_TIMER,
} from "../../../kvm-run/src/vmx/controls";
import {
  EXIT_REASON_APIC_ACCESS, EXIT_REASON_EPT_MISCONFIG, EXIT_REASON_EPT_VIOLATION, EXIT_REASON_EXCEPTION_NMI,
  EXIT_REASON_EXTERNAL_INTERRUPT, VMX_ABORT_LOAD_HOST_MSR_FAIL, VMX_ABORT_SAVE_GUEST_MSR_FAIL,
  VMX_EXIT_REASONS_FAILED_VMENTRY,
} from "../../../kvm-run/src/vmx/exit-reasons";
import {
  EXIT_QUALIFICATION, GUEST_ACTIVITY_STATE, GUEST_CR0, GUEST_CR3, GUEST_CR4, GUEST_DR7, GUEST_GDTR_BASE, GUEST_GDTR_LIMIT,
  GUEST_IA32_DEBUGCTL, GUEST_IA32_EFER, GUEST_IA32_PAT, GUEST_IDTR_BASE, GUEST_IDTR_LIMIT, GUEST_INTERRUPTIBILITY_INFO,
  GUEST_LINEAR_ADDRESS, GUEST_PDPTR0, GUEST_PENDING_DBG_EXCEPTIONS, GUEST_PHYSICAL_ADDRESS, GUEST_RFLAGS, GUEST_RIP, GUEST_RSP,
  GUEST_SYSENTER_CS, GUEST_SYSENTER_EIP, GUEST_SYSENTER_ESP, IDT_VECTORING_ERROR_CODE, IDT_VECTORING_INFO_FIELD,
  VMX_INSTRUCTION_INFO, VMX_PREEMPTION_TIMER_VALUE, VM_ENTRY_CONTROLS, VM_ENTRY_INTR_INFO_FIELD, VM_EXIT_CONTROLS,
  VM_EXIT_INSTRUCTION_LEN, VM_EXIT_INTR_ERROR_CODE, VM_EXIT_INTR_INFO, VM_EXIT_MSR_LOAD_ADDR, VM_EXIT_MSR_LOAD_COUNT,
  VM_EXIT_MSR_STORE_ADDR, VM_EXIT_MSR_STORE_COUNT, VM_EXIT_REASON,
} from "../../../kvm-run/src/vmx/fields";
import { cpu, get32, get64, set32, set64 } from "../cpu";
import { clearPending, TYPE_NMI } from "../event";
import { setDelivering } from "../tlb";
import { FLAG_BIT_TF, getRflags } from "../flags";
import { dropControls, pinControl, secondaryControl, unrestrictedGuest, VMX_ROOT } from "./controls";
import { DEBUGCTL_BTF } from "../system/msr";
import { settleStiShadow } from "../shadow";
import { loadHostState } from "./host-state";
import { loadMsrs, storeMsrs } from "./msr-list";
import { saveSegments } from "./segment-state";
import { timerValue } from "./timer";
import { currentVmcs, read32, read64, write32, write64 } from "./vmcs";
import { tlbMode } from "./vpid";

const INTERRUPTIBILITY_NMI = 8;
const BLOCKED_BY_STI = 1;
const BLOCKED_BY_MOV_SS = 2;
const HLT = 1;
const PENDING_BS: i64 = 0x4000;

/** An exit that reports no event: an instruction, a window, a fault of EPT. The area's RIP is the guest's. */
export function vmexit(reason: i32, qualification: i64): i32 {
  return leave(reason, qualification, 0, 0);
}

/** An exit caused by an exception or an NMI: `info` is the interruption information without its valid bit. */
export function vmexitEvent(info: i32, error: i32, qualification: i64): i32 {
  return leave(EXIT_REASON_EXCEPTION_NMI, qualification, info | <i32>INTR_INFO_VALID_MASK, error);
}

/** An exit caused by an external interrupt, which is acknowledged where the exit controls say so. */
export function vmexitExternalInterrupt(): i32 {
  let info = 0;
  if (read32(currentVmcs(), VM_EXIT_CONTROLS) & VM_EXIT_ACK_INTR_ON_EXIT)
    info = takeVector() | <i32>INTR_INFO_VALID_MASK;
  return leave(EXIT_REASON_EXTERNAL_INTERRUPT, 0, info, 0);
}

/** Takes the highest pending vector; there is one. */
export function takeVector(): i32 {
  for (let i = 7; i >= 0; i--) {
    const word = cpu + PENDING_VECTORS + <usize>(i << 2);
    const bits = atomic.load<i32>(word);
    if (bits == 0) continue;
    const bit = 31 - clz<i32>(bits);
    atomic.and<i32>(word, ~(1 << bit));
    return (i << 5) + bit;
  }
  return 0;
}

/** True when an external interrupt is pending. */
export function interruptPending(): bool {
  const words = cpu + PENDING_VECTORS;
  return (load<i64>(words) | load<i64>(words, 8) | load<i64>(words, 16) | load<i64>(words, 24)) != 0;
}

function leave(reason: i32, qualification: i64, info: i32, error: i32): i32 {
  const vmcs = currentVmcs();
  write32(vmcs, VM_EXIT_REASON, reason);
  write64(vmcs, EXIT_QUALIFICATION, qualification);
  saveExitInformation(vmcs, info, error);
  saveGuestState(vmcs);
  if (!storeMsrs(read64(vmcs, VM_EXIT_MSR_STORE_ADDR), read32(vmcs, VM_EXIT_MSR_STORE_COUNT)))
    return abort(vmcs, VMX_ABORT_SAVE_GUEST_MSR_FAIL);
  return toHost(vmcs, reason, info);
}

/** A VM entry that failed on guest state or MSR loading (27.8): guest state is not saved. */
export function vmexitFailedEntry(reason: i32, qualification: i64): i32 {
  const vmcs = currentVmcs();
  write32(vmcs, VM_EXIT_REASON, reason | <i32>VMX_EXIT_REASONS_FAILED_VMENTRY);
  write64(vmcs, EXIT_QUALIFICATION, qualification);
  return toHost(vmcs, reason, 0);
}

function toHost(vmcs: usize, reason: i32, info: i32): i32 {
  set64(TLB_TAG_CR3, get64(CR3));
  set32(TLB_TAG_MODE, tlbMode());
  clearPending();
  setDelivering(false);
  set32(IDT_VECTORING_INFO, 0);
  set32(EXIT_INSN_INFO, 0);
  set64(EXIT_GPA, 0);
  set64(EXIT_GLA, 0);
  set32(SHADOW_SERVED, 0);
  set32(STEP_ARMED, 0);
  set32(BREAKPOINT_HITS, 0);
  set32(STEP_WANTED, 0);
  set32(MTF_PENDING, 0);
  set32(ACTIVITY, 0);
  set64(PENDING_DEBUG, 0);
  store<f64>(cpu + VMX_TIMER_DEADLINE, Infinity);
  // 28.5.5: an exit because of an NMI leaves NMIs blocked; else blocking by NMI stays what the processor had.
  const nmi = reason == EXIT_REASON_EXCEPTION_NMI && ((info >> 8) & 7) == TYPE_NMI;
  set32(INTERRUPTIBILITY, nmi && get32(VMX_HOST_IS_CODE) ? INTERRUPTIBILITY_NMI : 0);
  set32(VMX_MODE, VMX_ROOT);
  dropControls();
  loadHostState(vmcs);
  if (loadMsrs(read64(vmcs, VM_EXIT_MSR_LOAD_ADDR), read32(vmcs, VM_EXIT_MSR_LOAD_COUNT), false) != 0)
    return abort(vmcs, VMX_ABORT_LOAD_HOST_MSR_FAIL);
  return get32(VMX_HOST_IS_CODE) ? ST_DISPATCH : ST_VMEXIT;
}

/** VMX abort (28.7): the processor shuts down. */
function abort(vmcs: usize, indicator: i32): i32 {
  store<i32>(vmcs + VMCS_ABORT, indicator);
  return ST_SHUTDOWN;
}

/** 28.2.2 to 28.2.4. Fields that do not apply get zero, so that runs are alike. */
function saveExitInformation(vmcs: usize, info: i32, error: i32): void {
  write32(vmcs, VM_EXIT_INTR_INFO, info);
  write32(vmcs, VM_EXIT_INTR_ERROR_CODE, info & INTR_INFO_DELIVER_CODE_MASK ? error : 0);
  write32(vmcs, IDT_VECTORING_INFO_FIELD, get32(IDT_VECTORING_INFO));
  write32(vmcs, IDT_VECTORING_ERROR_CODE, get32(IDT_VECTORING_ERROR));
  write32(vmcs, VM_EXIT_INSTRUCTION_LEN, instructionLength(vmcs));
  write32(vmcs, VMX_INSTRUCTION_INFO, get32(EXIT_INSN_INFO));
  write64(vmcs, GUEST_PHYSICAL_ADDRESS, get64(EXIT_GPA));
  write64(vmcs, GUEST_LINEAR_ADDRESS, get64(EXIT_GLA));
  const entry = read32(vmcs, VM_ENTRY_INTR_INFO_FIELD);
  if (entry < 0) write32(vmcs, VM_ENTRY_INTR_INFO_FIELD, entry & 0x7fffffff);
}

/**
 * The length of the instruction that exits. One that a memory access interrupts has not got as far as setting NEXT_RIP:
 * its record tells, unless the access belonged to the delivery of an event.
 */
function instructionLength(vmcs: usize): i32 {
  const reason = read32(vmcs, VM_EXIT_REASON);
  const record = <usize>get32(CURRENT_RECORD);
  const access = reason == EXIT_REASON_EPT_VIOLATION || reason == EXIT_REASON_EPT_MISCONFIG || reason == EXIT_REASON_APIC_ACCESS;
  if (access && get32(IDT_VECTORING_INFO) >= 0 && record != 0) return <i32>load<u8>(record + REC_LENGTH) & 15;
  const length = get64(NEXT_RIP) - get64(RIP);
  return <u64>length > 15 ? 0 : <i32>length;
}

/** 28.3: guest state to the VMCS. */
function saveGuestState(vmcs: usize): void {
  settleStiShadow();
  const controls = read32(vmcs, VM_EXIT_CONTROLS);
  write64(vmcs, GUEST_CR0, get64(CR0));
  write64(vmcs, GUEST_CR3, get64(CR3));
  write64(vmcs, GUEST_CR4, get64(CR4));
  write32(vmcs, GUEST_SYSENTER_CS, get32(MSR_SYSENTER_CS));
  write64(vmcs, GUEST_SYSENTER_ESP, get64(MSR_SYSENTER_ESP));
  write64(vmcs, GUEST_SYSENTER_EIP, get64(MSR_SYSENTER_EIP));
  if (controls & VM_EXIT_SAVE_DEBUG_CONTROLS) {
    write64(vmcs, GUEST_DR7, get64(DR7));
    write64(vmcs, GUEST_IA32_DEBUGCTL, get64(MSR_DEBUGCTL));
  }
  if (controls & VM_EXIT_SAVE_IA32_PAT) write64(vmcs, GUEST_IA32_PAT, get64(MSR_PAT));
  if (controls & VM_EXIT_SAVE_IA32_EFER) write64(vmcs, GUEST_IA32_EFER, get64(MSR_EFER));
  saveSegments(vmcs);
  write64(vmcs, GUEST_GDTR_BASE, get64(GDTR_BASE));
  write32(vmcs, GUEST_GDTR_LIMIT, get32(GDTR_LIMIT));
  write64(vmcs, GUEST_IDTR_BASE, get64(IDTR_BASE));
  write32(vmcs, GUEST_IDTR_LIMIT, get32(IDTR_LIMIT));
  write64(vmcs, GUEST_RIP, get64(RIP));
  write64(vmcs, GUEST_RSP, get64(RSP));
  write64(vmcs, GUEST_RFLAGS, getRflags());
  write32(vmcs, GUEST_ACTIVITY_STATE, get32(ACTIVITY));
  write32(vmcs, GUEST_INTERRUPTIBILITY_INFO, get32(INTERRUPTIBILITY));
  write64(vmcs, GUEST_PENDING_DBG_EXCEPTIONS, pendingDebug());
  if (unrestrictedGuest()) saveEntryMode(vmcs);
  if (secondaryControl(SECONDARY_EXEC_ENABLE_EPT)) savePdptes(vmcs);
  if (controls & VM_EXIT_SAVE_VMX_PREEMPTION_TIMER && pinControl(PIN_BASED_VMX_PREEMPTION_TIMER))
    write32(vmcs, VMX_PREEMPTION_TIMER_VALUE, timerValue());
}

/** 28.3.4: while traps are held back, BS says whether a single-step trap is. */
function pendingDebug(): i64 {
  const held = (get32(INTERRUPTIBILITY) & (BLOCKED_BY_STI | BLOCKED_BY_MOV_SS)) != 0 || get32(ACTIVITY) == HLT;
  const stepping = (get32(RFLAGS_REST) & FLAG_BIT_TF) != 0 && !(get64(MSR_DEBUGCTL) & DEBUGCTL_BTF);
  return held && stepping ? get64(PENDING_DEBUG) | PENDING_BS : get64(PENDING_DEBUG);
}

/** With "unrestricted guest", exits save EFER.LMA into the "IA-32e mode guest" control (28.3.1). */
function saveEntryMode(vmcs: usize): void {
  const controls = read32(vmcs, VM_ENTRY_CONTROLS) & ~VM_ENTRY_IA32E_MODE;
  write32(vmcs, VM_ENTRY_CONTROLS, get32(LONG_MODE) ? controls | VM_ENTRY_IA32E_MODE : controls);
}

function savePdptes(vmcs: usize): void {
  for (let i = 0; i < 4; i++) write64(vmcs, GUEST_PDPTR0 + i * 2, get64(<usize>(PDPTE0 + (i << 3))));
}
