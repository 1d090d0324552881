/** VM-entry checks on the VMX controls (SDM vol. 3C, 27.2.1). Each returns 0 or the number of the check that failed. */
import {
  CHECK_APIC_ACCESS, CHECK_CR3_TARGET_COUNT, CHECK_ENTRY_MSR_LOAD, CHECK_ENTRY_RESERVED, CHECK_EPTP_MEMORY_TYPE,
  CHECK_EPTP_RESERVED, CHECK_EPTP_WALK_LENGTH, CHECK_EVENT_ERROR_CODE, CHECK_EVENT_ERROR_RESERVED, CHECK_EVENT_LENGTH,
  CHECK_EVENT_RESERVED, CHECK_EVENT_TYPE, CHECK_EVENT_VECTOR, CHECK_EXIT_MSR_LOAD, CHECK_EXIT_MSR_STORE, CHECK_EXIT_RESERVED,
  CHECK_EXIT_SAVE_TIMER, CHECK_IO_BITMAP, CHECK_MSR_BITMAP, CHECK_NMI_VIRTUAL, CHECK_NMI_WINDOW, CHECK_PIN_RESERVED,
  CHECK_PROC2_RESERVED, CHECK_PROC_RESERVED, CHECK_TPR_DEPENDENTS, CHECK_TPR_THRESHOLD_ABOVE, CHECK_TPR_THRESHOLD_RESERVED,
  CHECK_UNRESTRICTED_EPT, CHECK_VIRTUAL_APIC, CHECK_VPID_ZERO,
} from "../../src/vmx/check-ids";
import {
  CPU_BASED_ACTIVATE_SECONDARY_CONTROLS, CPU_BASED_NMI_WINDOW_EXITING, CPU_BASED_TPR_SHADOW, CPU_BASED_USE_IO_BITMAPS,
  CPU_BASED_USE_MSR_BITMAPS, INTR_INFO_DELIVER_CODE_MASK, INTR_INFO_RESVD_BITS_MASK, PIN_BASED_NMI_EXITING,
  PIN_BASED_VIRTUAL_NMIS, PIN_BASED_VMX_PREEMPTION_TIMER, SECONDARY_EXEC_APIC_REGISTER_VIRT, SECONDARY_EXEC_ENABLE_EPT,
  SECONDARY_EXEC_ENABLE_VPID, SECONDARY_EXEC_UNRESTRICTED_GUEST, SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES,
  SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE, SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY, VMX_EPTP_AD_ENABLE_BIT, VMX_EPTP_MT_MASK,
  VMX_EPTP_MT_UC, VMX_EPTP_MT_WB, VMX_EPTP_PWL_4, VMX_EPTP_PWL_MASK, VM_EXIT_SAVE_VMX_PREEMPTION_TIMER,
} from "../../../kvm-run/src/vmx/controls";
import {
  APIC_ACCESS_ADDR, CPU_BASED_VM_EXEC_CONTROL, CR3_TARGET_COUNT, EPT_POINTER, GUEST_CR0, IO_BITMAP_A, IO_BITMAP_B, MSR_BITMAP,
  PIN_BASED_VM_EXEC_CONTROL, SECONDARY_VM_EXEC_CONTROL, TPR_THRESHOLD, VIRTUAL_APIC_PAGE_ADDR, VIRTUAL_PROCESSOR_ID,
  VM_ENTRY_CONTROLS, VM_ENTRY_EXCEPTION_ERROR_CODE, VM_ENTRY_INSTRUCTION_LEN, VM_ENTRY_INTR_INFO_FIELD, VM_ENTRY_MSR_LOAD_ADDR,
  VM_ENTRY_MSR_LOAD_COUNT, VM_EXIT_CONTROLS, VM_EXIT_MSR_LOAD_ADDR, VM_EXIT_MSR_LOAD_COUNT, VM_EXIT_MSR_STORE_ADDR,
  VM_EXIT_MSR_STORE_COUNT,
} from "../../../kvm-run/src/vmx/fields";
import {
  MSR_IA32_VMX_PROCBASED_CTLS2, MSR_IA32_VMX_TRUE_ENTRY_CTLS, MSR_IA32_VMX_TRUE_EXIT_CTLS, MSR_IA32_VMX_TRUE_PINBASED_CTLS,
  MSR_IA32_VMX_TRUE_PROCBASED_CTLS,
} from "../../../kvm-run/src/vmx/msrs";
import { isRam } from "../memory";
import { secondaryOf, violatesCapability } from "./controls";
import { badArea, badPage, beyondPhysical, failed } from "./entry-check";
import { read32, read64 } from "./vmcs";

const MOST_CR3_TARGETS: u32 = 4;
const VTPR: i64 = 0x80;
const TPR_DEPENDENTS = SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE | SECONDARY_EXEC_APIC_REGISTER_VIRT | SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY;
/** Vectors whose exceptions push an error code: 8, 10 to 14, 17. */
const ERROR_CODE_VECTORS = 0x27d00;

/** The checks that need not be repeated while the fields are as they were. */
export function checkControls(vmcs: usize): i32 {
  const check = checkExecution(vmcs);
  if (check != 0) return check;
  const ept = checkTranslation(vmcs);
  if (ept != 0) return ept;
  return checkExitAndEntry(vmcs);
}

function checkExecution(vmcs: usize): i32 {
  const pin = read32(vmcs, PIN_BASED_VM_EXEC_CONTROL);
  const proc = read32(vmcs, CPU_BASED_VM_EXEC_CONTROL);
  const proc2 = secondaryOf(vmcs);
  if (violatesCapability(pin, MSR_IA32_VMX_TRUE_PINBASED_CTLS)) return failed(CHECK_PIN_RESERVED, PIN_BASED_VM_EXEC_CONTROL);
  if (violatesCapability(proc, MSR_IA32_VMX_TRUE_PROCBASED_CTLS)) return failed(CHECK_PROC_RESERVED, CPU_BASED_VM_EXEC_CONTROL);
  if (proc & <i32>CPU_BASED_ACTIVATE_SECONDARY_CONTROLS && violatesCapability(proc2, MSR_IA32_VMX_PROCBASED_CTLS2))
    return failed(CHECK_PROC2_RESERVED, SECONDARY_VM_EXEC_CONTROL);
  if (<u32>read32(vmcs, CR3_TARGET_COUNT) > MOST_CR3_TARGETS) return failed(CHECK_CR3_TARGET_COUNT, CR3_TARGET_COUNT);
  if (proc & CPU_BASED_USE_IO_BITMAPS && (badPage(vmcs, IO_BITMAP_A) || badPage(vmcs, IO_BITMAP_B)))
    return failed(CHECK_IO_BITMAP, IO_BITMAP_A, IO_BITMAP_B);
  if (proc & CPU_BASED_USE_MSR_BITMAPS && badPage(vmcs, MSR_BITMAP)) return failed(CHECK_MSR_BITMAP, MSR_BITMAP);
  if (proc & CPU_BASED_TPR_SHADOW) {
    if (badPage(vmcs, VIRTUAL_APIC_PAGE_ADDR)) return failed(CHECK_VIRTUAL_APIC, VIRTUAL_APIC_PAGE_ADDR);
  } else if (proc2 & TPR_DEPENDENTS) {
    return failed(CHECK_TPR_DEPENDENTS, CPU_BASED_VM_EXEC_CONTROL, SECONDARY_VM_EXEC_CONTROL);
  }
  if (!(pin & PIN_BASED_NMI_EXITING) && pin & PIN_BASED_VIRTUAL_NMIS) return failed(CHECK_NMI_VIRTUAL, PIN_BASED_VM_EXEC_CONTROL);
  if (!(pin & PIN_BASED_VIRTUAL_NMIS) && proc & CPU_BASED_NMI_WINDOW_EXITING)
    return failed(CHECK_NMI_WINDOW, PIN_BASED_VM_EXEC_CONTROL, CPU_BASED_VM_EXEC_CONTROL);
  if (proc2 & SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES && badPage(vmcs, APIC_ACCESS_ADDR))
    return failed(CHECK_APIC_ACCESS, APIC_ACCESS_ADDR);
  return 0;
}

function checkTranslation(vmcs: usize): i32 {
  const proc2 = secondaryOf(vmcs);
  if (proc2 & SECONDARY_EXEC_ENABLE_VPID && !(read32(vmcs, VIRTUAL_PROCESSOR_ID) & 0xffff))
    return failed(CHECK_VPID_ZERO, VIRTUAL_PROCESSOR_ID);
  if (!(proc2 & SECONDARY_EXEC_ENABLE_EPT))
    return proc2 & SECONDARY_EXEC_UNRESTRICTED_GUEST ? failed(CHECK_UNRESTRICTED_EPT, SECONDARY_VM_EXEC_CONTROL) : 0;
  const eptp = read64(vmcs, EPT_POINTER);
  const type = <i32>eptp & VMX_EPTP_MT_MASK;
  if (type != VMX_EPTP_MT_UC && type != VMX_EPTP_MT_WB) return failed(CHECK_EPTP_MEMORY_TYPE, EPT_POINTER);
  if ((<i32>eptp & VMX_EPTP_PWL_MASK) != VMX_EPTP_PWL_4) return failed(CHECK_EPTP_WALK_LENGTH, EPT_POINTER);
  const reserved = <i32>eptp & 0xfff & ~(VMX_EPTP_MT_MASK | VMX_EPTP_PWL_MASK | VMX_EPTP_AD_ENABLE_BIT);
  if (reserved || beyondPhysical(eptp)) return failed(CHECK_EPTP_RESERVED, EPT_POINTER);
  return 0;
}

function checkExitAndEntry(vmcs: usize): i32 {
  const exit = read32(vmcs, VM_EXIT_CONTROLS);
  if (violatesCapability(exit, MSR_IA32_VMX_TRUE_EXIT_CTLS)) return failed(CHECK_EXIT_RESERVED, VM_EXIT_CONTROLS);
  const active = read32(vmcs, PIN_BASED_VM_EXEC_CONTROL) & PIN_BASED_VMX_PREEMPTION_TIMER;
  if (!active && exit & VM_EXIT_SAVE_VMX_PREEMPTION_TIMER)
    return failed(CHECK_EXIT_SAVE_TIMER, VM_EXIT_CONTROLS, PIN_BASED_VM_EXEC_CONTROL);
  if (badArea(read64(vmcs, VM_EXIT_MSR_STORE_ADDR), read32(vmcs, VM_EXIT_MSR_STORE_COUNT)))
    return failed(CHECK_EXIT_MSR_STORE, VM_EXIT_MSR_STORE_ADDR, VM_EXIT_MSR_STORE_COUNT);
  if (badArea(read64(vmcs, VM_EXIT_MSR_LOAD_ADDR), read32(vmcs, VM_EXIT_MSR_LOAD_COUNT)))
    return failed(CHECK_EXIT_MSR_LOAD, VM_EXIT_MSR_LOAD_ADDR, VM_EXIT_MSR_LOAD_COUNT);
  if (violatesCapability(read32(vmcs, VM_ENTRY_CONTROLS), MSR_IA32_VMX_TRUE_ENTRY_CTLS))
    return failed(CHECK_ENTRY_RESERVED, VM_ENTRY_CONTROLS);
  if (badArea(read64(vmcs, VM_ENTRY_MSR_LOAD_ADDR), read32(vmcs, VM_ENTRY_MSR_LOAD_COUNT)))
    return failed(CHECK_ENTRY_MSR_LOAD, VM_ENTRY_MSR_LOAD_ADDR, VM_ENTRY_MSR_LOAD_COUNT);
  return 0;
}

/** The checks of what changes from entry to entry: the TPR threshold and the event to inject. */
export function checkEveryEntry(vmcs: usize): i32 {
  const tpr = checkTprThreshold(vmcs);
  if (tpr != 0) return tpr;
  return read32(vmcs, VM_ENTRY_INTR_INFO_FIELD) < 0 ? checkEvent(vmcs) : 0;
}

function checkTprThreshold(vmcs: usize): i32 {
  if (!(read32(vmcs, CPU_BASED_VM_EXEC_CONTROL) & CPU_BASED_TPR_SHADOW)) return 0;
  const threshold = read32(vmcs, TPR_THRESHOLD);
  if (threshold & ~0xf) return failed(CHECK_TPR_THRESHOLD_RESERVED, TPR_THRESHOLD);
  if (threshold == 0 || secondaryOf(vmcs) & SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES) return 0;
  const page = read64(vmcs, VIRTUAL_APIC_PAGE_ADDR);
  const vtpr = isRam(page) ? <i32>load<u8>(<usize>(page + VTPR)) : 0xff;
  return threshold > vtpr >> 4 ? failed(CHECK_TPR_THRESHOLD_ABOVE, TPR_THRESHOLD, VIRTUAL_APIC_PAGE_ADDR) : 0;
}

function checkEvent(vmcs: usize): i32 {
  const info = read32(vmcs, VM_ENTRY_INTR_INFO_FIELD);
  const type = (info >> 8) & 7;
  const vector = info & 0xff;
  if (type == 1) return failed(CHECK_EVENT_TYPE, VM_ENTRY_INTR_INFO_FIELD);
  if ((type == 2 && vector != 2) || (type == 3 && vector > 31) || (type == 7 && vector != 0))
    return failed(CHECK_EVENT_VECTOR, VM_ENTRY_INTR_INFO_FIELD);
  if (info & INTR_INFO_RESVD_BITS_MASK) return failed(CHECK_EVENT_RESERVED, VM_ENTRY_INTR_INFO_FIELD);
  const protectedMode = !(secondaryOf(vmcs) & SECONDARY_EXEC_UNRESTRICTED_GUEST) || (read64(vmcs, GUEST_CR0) & 1) != 0;
  const expected = protectedMode && type == 3 && ((ERROR_CODE_VECTORS >> vector) & 1) != 0;
  if (expected != ((info & INTR_INFO_DELIVER_CODE_MASK) != 0))
    return failed(CHECK_EVENT_ERROR_CODE, VM_ENTRY_INTR_INFO_FIELD, GUEST_CR0);
  if (expected && read32(vmcs, VM_ENTRY_EXCEPTION_ERROR_CODE) & 0xffff0000)
    return failed(CHECK_EVENT_ERROR_RESERVED, VM_ENTRY_EXCEPTION_ERROR_CODE);
  if (type >= 4 && type <= 6 && <u32>read32(vmcs, VM_ENTRY_INSTRUCTION_LEN) > 15)
    return failed(CHECK_EVENT_LENGTH, VM_ENTRY_INSTRUCTION_LEN, VM_ENTRY_INTR_INFO_FIELD);
  return 0;
}
