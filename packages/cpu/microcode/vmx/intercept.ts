/** What leaves the guest: exceptions, and instructions that exit unconditionally or as controls say (SDM vol. 3C, ch. 26). */
import {
  EVENT_ADDRESS, EVENT_DR6, EXIT_INSN_INFO, GPR, IDT_VECTORING_INFO, RFLAGS_REST, SEG, SEG_SIZE, ST_NEXT,
} from "../../src/state/layout";
import {
  REC_BASE, REC_DISP, REC_INDEX_REG, REC_PREFIX, REC_P1, REC_SCALE, REC_SEG, PREFIX_ADDRSIZE_SHIFT, PREFIX_OPSIZE_SHIFT,
} from "../../src/state/record";
import { NMI_UNBLOCKED } from "../../src/state/vmx-layout";
import {
  INTR_INFO_DELIVER_CODE_MASK, INTR_INFO_UNBLOCK_NMI, SECONDARY_EXEC_DESC,
} from "../../../kvm-run/src/vmx/controls";
import { EXIT_REASON_GDTR_IDTR, EXIT_REASON_LDTR_TR } from "../../../kvm-run/src/vmx/exit-reasons";
import {
  EXCEPTION_BITMAP, PAGE_FAULT_ERROR_CODE_MASK, PAGE_FAULT_ERROR_CODE_MATCH,
} from "../../../kvm-run/src/vmx/fields";
import { cpu, get32, get64, set32 } from "../cpu";
import {
  TYPE_EXCEPTION, TYPE_EXTERNAL, TYPE_NMI, TYPE_SOFTWARE_INTERRUPT, VECTOR_DB, VECTOR_DF, VECTOR_PF,
} from "../event";
import { FLAG_BIT_RF } from "../flags";
import { in64BitMode } from "../mode";
import { inGuest, secondaryControl } from "./controls";
import { vmexit, vmexitEvent } from "./exit";
import { currentVmcs, read32 } from "./vmcs";

const DESCRIPTOR_INDEX_INVALID = 1 << 22;
const DESCRIPTOR_BASE_INVALID = 1 << 27;
const REGISTER_OPERAND = 1 << 10;

/**
 * Asked before an exception is delivered in non-root operation: exits where the exception bitmap says so. Returns
 * ST_VMEXIT (or what vmexit() returned), or ST_NEXT to go on with delivery. The RIP in the area is the one that the
 * exception would push. External interrupts, NMIs and INT n have their own controls and do not come here to exit.
 */
export function interceptException(vector: i32, type: i32, hasError: i32, error: i32): i32 {
  if (!inGuest() || type == TYPE_EXTERNAL || type == TYPE_NMI || type == TYPE_SOFTWARE_INTERRUPT) return ST_NEXT;
  const vmcs = currentVmcs();
  let exits = ((read32(vmcs, EXCEPTION_BITMAP) >> vector) & 1) != 0;
  // 26.2: for page faults the bit counts when the masked error code equals the match, else its opposite.
  if (vector == VECTOR_PF && type == TYPE_EXCEPTION) {
    const matches = (error & read32(vmcs, PAGE_FAULT_ERROR_CODE_MASK)) == read32(vmcs, PAGE_FAULT_ERROR_CODE_MATCH);
    if (!matches) exits = !exits;
  }
  if (!exits) return ST_NEXT;
  let info = vector | (type << 8);
  if (hasError) info |= INTR_INFO_DELIVER_CODE_MASK;
  if (get32(NMI_UNBLOCKED) && get32(IDT_VECTORING_INFO) >= 0 && vector != VECTOR_DF) info |= INTR_INFO_UNBLOCK_NMI;
  set32(NMI_UNBLOCKED, 0);
  // 28.3.3: RF as the pushed RFLAGS would have it: set by faults.
  if (type == TYPE_EXCEPTION && vector != VECTOR_DB && vector != VECTOR_DF) set32(RFLAGS_REST, get32(RFLAGS_REST) | FLAG_BIT_RF);
  const qualification = vector == VECTOR_PF ? get64(EVENT_ADDRESS) : vector == VECTOR_DB ? get64(EVENT_DR6) : 0;
  return vmexitEvent(info, error, qualification);
}

/** An exit by the instruction of the record, with its qualification and no further information. */
export function exitInstruction(reason: i32, qualification: i64): i32 {
  return vmexit(reason, qualification);
}

/** An exit by an instruction with VM-exit instruction information. */
export function exitWithInformation(reason: i32, qualification: i64, information: i32): i32 {
  set32(EXIT_INSN_INFO, information);
  return vmexit(reason, qualification);
}

/** Number of the general register that a record's pointer points to. */
// @ts-ignore: decorator
@inline
export function registerNumber(pointer: usize): i32 {
  return <i32>((pointer - cpu - GPR) >> 3);
}

// @ts-ignore: decorator
@inline
function isRegister(pointer: usize): bool {
  return pointer - cpu - GPR < 128;
}

/**
 * Tables 28-8 and later: scaling, address size, segment, index and base of the memory operand; for a register operand its
 * number and bit 10. An operand whose address an address record computed has no base and no index left to tell, and its
 * whole address stands in the qualification.
 */
export function operandInformation(rec: usize, register: usize): i32 {
  if (register != 0) return REGISTER_OPERAND | (registerNumber(register) << 3);
  const addressSize = ((<i32>load<u8>(rec + REC_PREFIX) >> PREFIX_ADDRSIZE_SHIFT) & 3) - 1;
  const base = <usize>load<u32>(rec + REC_BASE);
  const index = <usize>load<u32>(rec + REC_INDEX_REG);
  let info = <i32>load<u8>(rec + REC_SCALE) | (addressSize << 7) | (segmentNumber(rec) << 15);
  info |= isRegister(index) ? registerNumber(index) << 18 : DESCRIPTOR_INDEX_INVALID;
  info |= isRegister(base) ? registerNumber(base) << 23 : DESCRIPTOR_BASE_INVALID;
  return info;
}

/** The segment of the memory operand; where its base is known to be zero the record does not say which: DS then. */
export function segmentNumber(rec: usize): i32 {
  const offset = <usize>load<u32>(rec + REC_SEG) - cpu - SEG;
  return offset < 6 * SEG_SIZE ? <i32>(offset / SEG_SIZE) : 3;
}

/** The displacement: the exit qualification of instructions with a memory operand. */
// @ts-ignore: decorator
@inline
export function displacement(rec: usize): i64 {
  return load<i64>(rec + REC_DISP);
}

/**
 * "Descriptor-table exiting": LGDT, LIDT, SGDT, SIDT (`ldt` false; `identity` 0 SGDT, 1 SIDT, 2 LGDT, 3 LIDT) and LLDT,
 * LTR, SLDT, STR (`ldt` true; 0 SLDT, 1 STR, 2 LLDT, 3 LTR). Returns the exit's status, or ST_NEXT to execute it.
 */
export function interceptDescriptorTable(rec: usize, ldt: bool, identity: i32): i32 {
  if (!secondaryControl(SECONDARY_EXEC_DESC)) return ST_NEXT;
  const register = ldt ? <usize>load<u32>(rec + REC_P1) : 0;
  let info = operandInformation(rec, register) | (identity << 28);
  if (!ldt && !in64BitMode() && ((<i32>load<u8>(rec + REC_PREFIX) >> PREFIX_OPSIZE_SHIFT) & 3) >= 2) info |= 1 << 11;
  const qualification = register != 0 ? 0 : displacement(rec);
  return exitWithInformation(ldt ? EXIT_REASON_LDTR_TR : EXIT_REASON_GDTR_IDTR, qualification, info);
}

/** Information of an instruction with a register operand in REC_P2 beside the memory operand (INVEPT, INVPCID, VMREAD). */
export function twoOperandInformation(rec: usize, memory: usize, register: usize): i32 {
  return operandInformation(rec, memory) | (registerNumber(register) << 28);
}
